# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When something runs next, in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._managers._schedule import (
    of_cron_directory,
    of_cron_line,
    of_logrotate,
    of_timer,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._writers.files import (
    host,
)

UNITS = "/usr/lib/systemd/system"
DAILY = {"/etc/crontab": "# /etc/cron.daily\n25 6 * * * root x /etc/cron.daily; }\n"}


@pytest.mark.parametrize(
    ("line", "when"),
    [
        ("17 3 * * * root x", "at 03:17 each day"),
        ("5 * * * * root x", "at minute 5 of each hour"),
        ("* * * * * root x", "each minute"),
        ("*/10 * * * * root x", "every 10 minutes"),
        ("0 4 * * 1 root x", "when cron runs it next (0 4 * * 1)"),
        ("0 4-6 * * * root x", "when cron runs it next (0 4-6 * * *)"),
        ("@reboot root x", "at boot"),
        ("@daily root x", "at 00:00 each day"),
        ("x", "when cron runs it next"),
        ("", "when cron runs it next"),
    ],
)
def test_cron(line: str, when: str) -> None:
    assert of_cron_line(line) == when


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("OnCalendar=daily", "at 00:00 each day"),
        ("OnCalendar=*-*-* 04:05", "at 04:05 each day"),
        ("OnCalendar=daily\nOnCalendar=\nOnCalendar=hourly", "each hour"),
        ("OnCalendar=daily\nOnCalendar=hourly", None),
        ("OnCalendar=Mon *-*-* 04:05", None),
        ("OnBootSec=5", None),
    ],
)
def test_timers(tmp_path: Path, text: str, when: str | None) -> None:
    root = host(tmp_path, {f"{UNITS}/x.timer": f"[Timer]\n{text}\n"})
    assert of_timer(root, "x.timer") == when
    assert of_timer(root, "y.timer") is None


def test_directories_of_cron(tmp_path: Path) -> None:
    root = host(tmp_path, DAILY)
    assert of_cron_directory(root, "/etc/cron.daily") == "at 06:25 each day"
    assert of_cron_directory(root, "/etc/cron") == "when /etc/cron runs next"


def test_logrotate_by_its_timer_or_by_cron(tmp_path: Path) -> None:
    assert of_logrotate(str(tmp_path)) == "when logrotate runs next"
    root = host(tmp_path, {**DAILY, "/etc/cron.daily/logrotate": ""})
    assert of_logrotate(root) == "at 06:25 each day (cron.daily)"
    host(tmp_path, {f"{UNITS}/logrotate.timer": "[Timer]\nOnCalendar=daily\n"})
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    assert of_logrotate(root) == "at 00:00 each day (logrotate.timer)"
