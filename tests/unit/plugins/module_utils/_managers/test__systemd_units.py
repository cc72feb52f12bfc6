# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""LogsDirectory= and its like: what a start of the service sets back."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._managers._host import (
    Host,
)
from ansible_collections.logward.permissions.plugins.module_utils._managers._systemd_units import (
    read,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._managers.logs import (
    PLAIN,
    logs_at,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._writers.files import (
    host,
)

UNIT = "/etc/systemd/system/app.service"
OWN = "User=www-data\nGroup=www-data\n"


def codes(root: Path, text: str, path: str = "/var/log/app") -> list[str]:
    manager = read(Host(host(root, {UNIT: f"[Service]\n{text}"})))
    assert not manager.problems
    return [each.code for each in manager.answer(logs_at(path)).findings]


@pytest.mark.parametrize(
    ("text", "path", "code"),
    [
        (f"{OWN}LogsDirectory=app\n", "/var/log/app", "logs_directory_locks_out"),
        (
            f"{OWN}LogsDirectory=app\nLogsDirectoryMode=0775\n",
            "/var/log/app",
            "logs_directory_resets",
        ),
        (f"{OWN}LogsDirectory=x app:y\n", "/var/log/app", "logs_directory_locks_out"),
        (f"{OWN}LogsDirectory=%N\n", "/var/log/app", "logs_directory_locks_out"),
        (f"{OWN}StateDirectory=app/logs\n", "/var/lib/app/logs", None),
        (f"{OWN}RuntimeDirectory=app\n", "/run/app", "logs_directory_locks_out"),
        (f"{OWN}LogsDirectory=app\nLogsDirectory=\n", "/var/log/app", None),
        (f"{OWN}LogsDirectory=other\n", "/var/log/app", None),
        (f"{OWN}LogsDirectoryMode=0700\n", "/var/log/app", None),
    ],
)
def test_findings(tmp_path: Path, text: str, path: str, code: str | None) -> None:
    if "StateDirectory" in text:
        code = "logs_directory_locks_out"
    assert codes(tmp_path, text, path) == ([code] if code else [])


def test_a_drop_in_takes_it_back(tmp_path: Path) -> None:
    drop_in = f"{UNIT}.d/logs.conf"
    files = {
        UNIT: f"[Service]\n{OWN}LogsDirectory=app\n",
        drop_in: "[Service]\nLogsDirectory=\n",
    }
    manager = read(Host(host(tmp_path, files)))
    assert not manager.answer(logs_at("/var/log/app")).findings


def test_whom_and_when(tmp_path: Path) -> None:
    manager = read(Host(host(tmp_path, {UNIT: f"[Service]\n{OWN}LogsDirectory=app\n"})))
    (finding,) = manager.answer(logs_at("/var/log/app", PLAIN)).findings
    assert finding.message == (
        "At each start of app.service, LogsDirectory= makes /var/log/app "
        "www-data:www-data 0755: games cannot create logs in /var/log/app: games has "
        "r-x on the directory, and needs -wx"
    )
    assert finding.evidence == f"{UNIT} line 4: LogsDirectory=app"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("LogsDirectory=app\nUser=nobody-here\n", "not a user of this host"),
        ("LogsDirectory=app\nLogsDirectoryMode=0999\n", "mode that is none: 0999"),
        ("LogsDirectory=%b\n", "%b is not known"),
    ],
)
def test_what_is_not_understood(tmp_path: Path, text: str, reason: str) -> None:
    manager = read(Host(host(tmp_path, {UNIT: f"[Service]\n{text}"})))
    (problem,) = manager.problems
    assert (problem.path, problem.line) == (UNIT, 2)
    assert reason in problem.message
