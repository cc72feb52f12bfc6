# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs that set permissions: found wherever they are, and told with their time."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._managers import (
    _logrotate_conf,
)
from ansible_collections.logward.permissions.plugins.module_utils._managers._hardening import (
    read,
)
from ansible_collections.logward.permissions.plugins.module_utils._managers._host import (
    Host,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._managers.logs import (
    logs_at,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._writers.files import (
    host,
)

LOGS = "/srv/app/logs"
CRONTAB = "25 6 * * * root run-parts /etc/cron.daily\n"


def found(root: Path, files: dict[str, str | bytes]) -> list[tuple[str, str, str]]:
    for path in files:
        if path.startswith("/etc/cron.daily/"):
            place = root / path.lstrip("/")
            place.parent.mkdir(parents=True)
            place.write_text("")
            place.chmod(0o755)
    manager = read(Host(host(root, {"/etc/crontab": CRONTAB, **files})))
    return [
        (each.code, each.subject, each.message.partition(",")[0])
        for each in manager.answer(logs_at(LOGS)).findings
    ]


@pytest.mark.parametrize(
    ("path", "text", "line", "when"),
    [
        ("/etc/cron.d/harden", f"17 3 * * * root chmod 750 {LOGS}\n", 1, "At 03:17"),
        ("/etc/cron.d/harden", f"@reboot root chmod 750 {LOGS}\n", 1, "At boot"),
        ("/etc/cron.d/harden", f"*/5 * * * * root chmod 750 {LOGS}\n", 1, "Every 5"),
        ("/etc/cron.daily/harden", f"#!/bin/sh\nchmod 750 {LOGS}\n", 2, "At 06:25"),
        (
            "/etc/systemd/system/harden.service",
            f"[Service]\nExecStart=-/bin/chmod 750 {LOGS}\n",
            2,
            "At each start of harden.service",
        ),
        (
            "/etc/systemd/system/harden.service",
            f"[Service]\nExecStartPre=+/bin/sh -c 'chmod -R o-rwx,g-w {LOGS}'\n",
            2,
            "At each start of harden.service",
        ),
        (
            "/etc/logrotate.conf",
            f"/var/log/x {{\n postrotate\n  chmod 640 {LOGS}/*.log\n endscript\n}}\n",
            3,
            "When logrotate runs next",
        ),
    ],
)
def test_where_it_is_found(
    tmp_path: Path, path: str, text: str, line: int, when: str
) -> None:
    (job,) = found(tmp_path, {path: text})
    assert job[:2] == ("hardening_locks_out", f"{path}:{line}")
    assert job[2].startswith(when)


def test_the_time_of_a_timer(tmp_path: Path) -> None:
    units = "/etc/systemd/system/harden"
    (job,) = found(
        tmp_path,
        {
            f"{units}.service": f"[Service]\nExecStart=chmod 750 {LOGS}\n",
            f"{units}.timer": "[Timer]\nOnCalendar=*-*-* 04:30:00\n",
        },
    )
    assert job[2].startswith("At 04:30 each day")


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (f"chmod 2775 {LOGS}", None),  # as it is already
        (f"chmod 1777 {LOGS}", "hardening_job"),
        (f"setfacl -b {LOGS}", "hardening_job"),
        (f"chmod g-w {LOGS}", "hardening_locks_out"),
        ("chmod -R 750 /srv/other", None),
        ("chmod 750 /srv/app", None),
        (f"chown root:root {LOGS}", "hardening_locks_out"),
        (f"find {LOGS} -type f -exec chmod 640 {{}} +", "hardening_locks_out"),
    ],
)
def test_what_comes_of_it(tmp_path: Path, command: str, code: str | None) -> None:
    jobs = found(tmp_path, {"/etc/cron.d/harden": f"@daily root {command}\n"})
    assert [each[0] for each in jobs] == ([code] if code else [])


def test_no_command_is_told(tmp_path: Path) -> None:
    text = f"@daily root PASSWORD=secret chmod 750 {LOGS} # secret\n"
    manager = read(Host(host(tmp_path, {"/etc/cron.d/harden": text})))
    (finding,) = manager.answer(logs_at(LOGS)).findings
    assert "secret" not in str(finding)
    assert _logrotate_conf.CONFIGURATION == "/etc/logrotate.conf"
