# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A repair lasts, whatever happens to the host afterwards, in whatever order.

LOGWARD_ROUNDS is how many rounds of all events there are (3); LOGWARD_SEED, which
is printed, plays them in the same order again.
"""

from __future__ import annotations

import os
import random
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.hosts.payments.events import EVENTS
from tests.hosts.payments.host import LOGS, WRITERS, CommandFailed, PaymentsHost
from tests.hosts.play import AUDIT, Play, run_module, run_playbook

SCENARIO = Path(__file__).parents[1]
POLICY = SCENARIO / "policy.yml"
INVENTORY = os.environ["MOLECULE_INVENTORY_FILE"]
ROUNDS = int(os.environ.get("LOGWARD_ROUNDS", "3"))
SEED = int(os.environ.get("LOGWARD_SEED", "") or random.randrange(10**9))  # noqa: S311 - a test's

STANZA = "/etc/logrotate.d/payments"
HARDENING = "/etc/tmpfiles.d/payments.conf"


@pytest.fixture
def host() -> PaymentsHost:
    """The host, as a repair leaves it."""
    assert play("remediate").exit_status == 0
    return PaymentsHost(os.environ["LOGWARD_HOST_NAME"])


def play(name: str) -> Play:
    return run_playbook(INVENTORY, name, "-e", f"@{POLICY}")


def locked_out(host: PaymentsHost, chance: random.Random) -> list[str]:
    """Have everybody log, in any order, and return who could not."""
    return host.locked_out(chance.sample(WRITERS, k=len(WRITERS)))


def refused() -> list[Mapping[str, Any]]:
    """What the kernel refuses to a writer or reader, or decides as nobody predicted.

    A worker that has its log open does not notice what would keep the next one out.
    """
    (logs,) = yaml.safe_load(POLICY.read_text())["logward_directories"]
    done = run_module(INVENTORY, "log_directory_probe", {"directories": [logs]})
    assert {each["identity"] for each in done["probes"]} >= set(WRITERS)
    return [
        each
        for each in done["probes"]
        if not (each["agrees"] and (each["allowed"] or needless(each, logs["writers"])))
    ]


def needless(probe: Mapping[str, Any], writers: Collection[str]) -> bool:
    return probe["operation"] != "read" and probe["identity"] not in writers


def test_nobody_is_ever_locked_out_again(host: PaymentsHost) -> None:
    chance = random.Random(SEED)  # noqa: S311 - a test's
    print(f"LOGWARD_SEED={SEED} LOGWARD_ROUNDS={ROUNDS}")
    for number in range(ROUNDS):
        happened: list[str] = []
        for name in chance.sample(sorted(EVENTS), k=len(EVENTS)):
            happened.append(name)
            told = f"seed {SEED}, round {number + 1}: {', then '.join(happened)}"
            EVENTS[name](host, chance)
            assert locked_out(host, chance) == [], f"{told}\n{host.worker_said()}"
            assert refused() == [], told
        print(told)
        assert play("audit").exit_status == 0, f"the audit, after {told}"


def test_without_protection_each_of_them_locks_out_whom_the_audit_names(
    host: PaymentsHost,
) -> None:
    """So the rounds above can fail, and it is Logward by which they do not."""
    chance = random.Random(SEED)  # noqa: S311 - a test's
    stanza = (SCENARIO / "logrotate-payments").read_text()
    # Without `su` logrotate would refuse, and harm nobody for the time being.
    careless = stanza.replace("    create ", "    su root www-data\n    create ")
    try:
        host.run(["tee", STANZA], stdin=careless)
        host.run(["tee", HARDENING], stdin=f"Z {LOGS} 0750 www-data www-data\n")
        audit = play("audit")
        assert audit.exit_status == 2
        (logs,) = audit.result(AUDIT)["directories"]
        assert {
            (each["code"], each["subject"].partition(":")[0])
            for each in logs["findings"]
            if each["severity"] == "error" and "queue" in each["message"]
        } == {("logrotate_locks_out", STANZA), ("tmpfiles_locks_out", HARDENING)}
        # The worker does not come back, and so the stanza's script fails.
        with pytest.raises(CommandFailed, match="postrotate"):
            EVENTS["logrotate -f"](host, chance)
        assert locked_out(host, chance) == ["queue"]
        assert {each["identity"] for each in refused()} == {"queue"}
        # The next file is as the directory has it, and the worker, which supervisor
        # has given up, is started again.
        host.quiet()
        host.next_midnight()
        assert host.log_as("root")
        host.resume()
        assert locked_out(host, chance) == []
        EVENTS["systemd-tmpfiles --create"](host, chance)
        # So is deploy, unless it has an entry of its own on the directory.
        assert "queue" in {each["identity"] for each in refused()}
    finally:
        host.run(["rm", "--force", HARDENING])
    assert play("remediate").exit_status == 0
    assert refused() == []
