# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the audit says of running services, and what doing literally that does.

One story, on the host of the outage; each test looks at a part of it.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.hosts.payments.host import LOGS, WORKER, PaymentsHost, wait_until
from tests.hosts.play import AUDIT, run_playbook

POLICY = Path(__file__).parents[1] / "policy.yml"
PROGRAM = f"/etc/supervisor/conf.d/{WORKER}.conf"
UNIT = "payments-export.service"
UNIT_FILE = f"/etc/systemd/system/{UNIT}"
EXPORT_LOG = f"{LOGS}/export.log"
KEPT_LOG = "/root/kept.log"
# No child, and so no wait for its end: see tests/hosts/configure.
EXPORT = f"""
[Service]
User=www-data
WorkingDirectory=/srv/payments
ProtectSystem=strict
ExecStart=/bin/sh -c 'echo exported >>{EXPORT_LOG}; exec sleep infinity'
"""
SHIELDED = f"www-data in {UNIT}"
ADM = "4"  # on every Debian

Finding = Mapping[str, Any]


@dataclass
class Story:
    """What was seen, in the order in which it happened."""

    export_was_refused: bool
    first: list[Finding]
    export_writes: bool
    groups_after_restart: list[str]
    second: list[Finding]
    umask_after_update: str
    third: list[Finding]
    worker_logs_again: bool
    last: list[Finding]


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    host = PaymentsHost(os.environ["LOGWARD_HOST_NAME"])
    program = host.run(["cat", PROGRAM])
    log = host.log_file_today()
    seen: dict[str, object] = {}
    try:
        # Only the worker: cron's job would create the log that is deleted.
        host.quiet()
        host.run(["supervisorctl", "start", WORKER])
        write(host, UNIT_FILE, EXPORT)
        host.run(["systemctl", "daemon-reload"])
        host.run(["systemctl", "start", UNIT])
        seen["export_was_refused"] = wait_until(lambda: was_refused(host))
        host.run(["usermod", "--append", "--groups", "adm", "queue"])
        seen["first"] = first = audit()
        give_drop_in(host, remedy(first, "creator_denied", SHIELDED))
        follow(host, remedy(first, "groups_stale"))
        seen["export_writes"] = wait_until(lambda: exported(host))
        seen["groups_after_restart"] = worker(host, "Groups").split()
        write(host, PROGRAM, f"{program}umask=002\n")
        seen["second"] = second = audit()
        follow(host, remedy(second, "umask_stale"))
        seen["umask_after_update"] = worker(host, "Umask")
        assert host.log_as("queue")
        host.run(["cp", "--preserve=all", log, KEPT_LOG])
        host.run(["rm", log])
        seen["third"] = third = audit()
        follow(host, remedy(third, "deleted_file_held"))
        seen["worker_logs_again"] = host.log_as("queue")
        seen["last"] = audit()
        yield Story(**seen)  # type: ignore[arg-type]
    finally:
        host.run(["systemctl", "stop", UNIT], check=False)
        host.run(["rm", "-rf", UNIT_FILE, f"{UNIT_FILE}.d", EXPORT_LOG])
        host.run(["systemctl", "daemon-reload"])
        host.run(["gpasswd", "--delete", "queue", "adm"], check=False)
        host.quiet()
        # Without a repair before, the worker's new log keeps the others out.
        host.run(["sh", "-c", f"test ! -e {KEPT_LOG} || mv {KEPT_LOG} {log}"])
        write(host, PROGRAM, program)
        host.run(["supervisorctl", "update", WORKER])
        host.resume()


def audit() -> list[Finding]:
    """Ask with the team's policy, and return what it says of the logs."""
    inventory = os.environ["MOLECULE_INVENTORY_FILE"]
    more = json.dumps({"logward_probe": False})
    play = run_playbook(inventory, "audit", "-e", f"@{POLICY}", "-e", more)
    (logs,) = play.result(AUDIT)["directories"]
    found: list[Finding] = logs["findings"]
    return found


def of(findings: list[Finding], code: str, subject: str | None = None) -> list[Finding]:
    return [
        each
        for each in findings
        if each["code"] == code and subject in (None, each["subject"])
    ]


def remedy(findings: list[Finding], code: str, subject: str | None = None) -> str:
    (finding,) = of(findings, code, subject)
    return str(finding["remedy"])


def follow(host: PaymentsHost, command: str) -> None:
    """Do what is told, if that is a single command and nothing else."""
    host.run(shlex.split(command))


def give_drop_in(host: PaymentsHost, told: str) -> None:
    parts = re.fullmatch(
        r"give (\S+) a drop-in with (\S+) (.+), then (.+) and (.+)", told
    )
    assert parts is not None, told
    unit, section, setting, *commands = parts.groups()
    write(host, f"/etc/systemd/system/{unit}.d/logs.conf", f"{section}\n{setting}\n")
    for command in commands:
        follow(host, command)


def write(host: PaymentsHost, path: str, text: str) -> None:
    host.run(["install", "-D", "--mode=0644", "/dev/stdin", path], stdin=text)


def was_refused(host: PaymentsHost) -> bool:
    argv = ["systemctl", "show", "--value", "--property=InvocationID", UNIT]
    this_time = f"_SYSTEMD_INVOCATION_ID={host.run(argv).strip()}"
    said = host.run(["journalctl", "--output=cat", this_time])
    return f"cannot create {EXPORT_LOG}: Read-only file system" in said


def exported(host: PaymentsHost) -> bool:
    return host.run(["cat", EXPORT_LOG], check=False) == "exported\n"


def worker(host: PaymentsHost, field: str) -> str:
    """What the kernel says of the worker's process."""
    wait_until(lambda: host.worker_state() == "RUNNING")
    pid = host.run(["supervisorctl", "pid", WORKER]).strip()
    lines = host.run(["cat", f"/proc/{pid}/status"]).splitlines()
    return dict(line.split(":", 1) for line in lines)[field].strip()


def test_the_audit_tells_what_keeps_a_service_out(story: Story) -> None:
    assert story.export_was_refused
    (creates,) = of(story.first, "creator_denied", SHIELDED)
    assert creates["evidence"] == "denied_sandbox"
    (appends,) = of(story.first, "writer_denied", SHIELDED)
    assert (
        "the sandbox of its service has the directory read-only" in (appends["message"])
    )
    assert creates["remedy"] == appends["remedy"]
    assert f"[Service] ReadWritePaths={LOGS}," in creates["remedy"]


def test_with_the_drop_in_the_service_writes(story: Story) -> None:
    assert story.export_writes
    assert of(story.second, "creator_denied", SHIELDED) == []
    assert of(story.second, "writer_denied", SHIELDED) == []


def test_groups_of_a_running_process(story: Story) -> None:
    (finding,) = of(story.first, "groups_stale")
    assert finding["subject"] == f"supervisor:{WORKER}"
    assert finding["evidence"].endswith(" lacks adm")
    assert finding["remedy"] == f"supervisorctl restart {WORKER}"
    assert ADM in story.groups_after_restart
    assert of(story.second, "groups_stale") == []


def test_umask_of_a_running_process(story: Story) -> None:
    assert of(story.first, "umask_stale") == []
    (finding,) = of(story.second, "umask_stale")
    assert finding["subject"] == f"supervisor:{WORKER}"
    assert finding["evidence"].endswith(" has 0022, configured is 0002")
    assert finding["remedy"] == f"supervisorctl update {WORKER}"
    assert story.umask_after_update == "0002"
    assert of(story.third, "umask_stale") == []


def test_deleted_log_of_a_running_process(story: Story) -> None:
    assert of(story.second, "deleted_file_held") == []
    (finding,) = of(story.third, "deleted_file_held")
    assert finding["subject"] == f"supervisor:{WORKER}"
    assert finding["remedy"] == f"supervisorctl restart {WORKER}"
    assert story.worker_logs_again
    assert of(story.last, "deleted_file_held") == []
