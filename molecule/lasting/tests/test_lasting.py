# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A repair lasts, whatever happens to the host afterwards, in whatever order.

LOGWARD_ROUNDS is how many rounds of all events there are (3); LOGWARD_SEED, which
a failure tells, plays them in the same order again.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.hosts.payments.events import EVENTS
from tests.hosts.payments.host import WRITERS, PaymentsHost
from tests.hosts.play import run_playbook

POLICY = Path(__file__).parents[1] / "policy.yml"
ROUNDS = int(os.environ.get("LOGWARD_ROUNDS", "3"))
SEED = int(os.environ.get("LOGWARD_SEED", "") or random.randrange(10**9))  # noqa: S311 - a test's


@pytest.fixture(scope="module")
def host() -> PaymentsHost:
    return PaymentsHost(os.environ["LOGWARD_HOST_NAME"])


def play(name: str, *arguments: str) -> int:
    inventory = os.environ["MOLECULE_INVENTORY_FILE"]
    done = run_playbook(inventory, name, "-e", f"@{POLICY}", *arguments)
    return done.exit_status


def locked_out(host: PaymentsHost, chance: random.Random) -> list[str]:
    """Have everybody log, in any order, and return who could not."""
    writers = chance.sample(WRITERS, k=len(WRITERS))
    return [writer for writer in writers if not host.log_as(writer)]


def test_nobody_is_ever_locked_out_again(host: PaymentsHost) -> None:
    assert play("remediate") == 0
    chance = random.Random(SEED)  # noqa: S311 - a test's
    for number in range(ROUNDS):
        happened: list[str] = []
        for name in chance.sample(sorted(EVENTS), k=len(EVENTS)):
            happened.append(name)
            told = f"seed {SEED}, round {number + 1}: {', then '.join(happened)}"
            EVENTS[name](host, chance)
            assert locked_out(host, chance) == [], told
            assert host.pay() == 200, told
        assert play("audit") == 0, f"the audit, after {told}"
