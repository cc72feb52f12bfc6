# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When something runs next, in words, where its timer or cron line is a plain one."""

from __future__ import annotations

import os
import re

from .._writers._files import below, read_lines
from .._writers._unit_files import files_of, read

_NICKNAMES = {
    "@reboot": "at boot",
    "@hourly": "each hour",
    "@daily": "at 00:00 each day",
    "@midnight": "at 00:00 each day",
    "@weekly": "at 00:00 each Sunday",
    "@monthly": "at 00:00 on the 1st of each month",
    "@yearly": "at 00:00 on 1 January",
    "@annually": "at 00:00 on 1 January",
}
_CALENDARS = {
    "minutely": "each minute",
    "hourly": "each hour",
    "daily": "at 00:00 each day",
    "weekly": "at 00:00 each Monday",
    "monthly": "at 00:00 on the 1st of each month",
    "yearly": "at 00:00 on 1 January",
}
_AT = re.compile(r"(?:\*-\*-\*\s+)?(\d{1,2}):(\d{2})(?::00)?")
_FIELDS = re.compile(r"(\S+)[ \t]+(\S+)[ \t]+(\S+)[ \t]+(\S+)[ \t]+(\S+)[ \t]")
_STEP = re.compile(r"\*/(\d{1,2})")
_BOOTED = "/run/systemd/system"


def of_timer(root: str, timer: str) -> str | None:
    """Return when a timer elapses; None if there is none, or it is not plain."""
    settings, _problems = read(root, files_of(root, timer))
    values: list[str] = []
    for setting in settings:
        if (setting.section, setting.key) == ("Timer", "OnCalendar"):
            values = [*values, setting.value] if setting.value else []
    if len(values) != 1:
        return None
    if values[0] in _CALENDARS:
        return _CALENDARS[values[0]]
    match = _AT.fullmatch(values[0])
    return f"at {int(match[1]):02}:{match[2]} each day" if match else None


def of_cron_line(line: str) -> str:
    """Return when a line of a crontab runs."""
    line = line.strip()
    nickname = line.split(None, 1)[0] if line else ""
    if nickname in _NICKNAMES:
        return _NICKNAMES[nickname]
    match = _FIELDS.match(line)
    if match is None:
        return "when cron runs it next"
    minute, hour, *days = match.groups()
    plain = _plain(minute, hour) if days == ["*", "*", "*"] else None
    return plain or f"when cron runs it next ({' '.join(match.groups())})"


def _plain(minute: str, hour: str) -> str | None:
    step = _STEP.fullmatch(minute)
    if minute.isdecimal() and hour.isdecimal():
        return f"at {int(hour):02}:{int(minute):02} each day"
    if hour != "*":
        return None
    if minute.isdecimal():
        return f"at minute {int(minute)} of each hour"
    if step:
        return f"every {int(step[1])} minutes"
    return "each minute" if minute == "*" else None


def of_cron_directory(root: str, directory: str) -> str:
    """Return when ``/etc/crontab`` has the scripts of a directory run."""
    try:
        lines = read_lines(below(root, "/etc/crontab"))
    except OSError:
        lines = []
    for line in lines:
        is_comment = line.lstrip().startswith("#")
        if not is_comment and re.search(rf"{re.escape(directory)}(?![\w./-])", line):
            return of_cron_line(line)
    return f"when {directory} runs next"


def of_logrotate(root: str) -> str:
    """Return when logrotate runs: by its timer, or by cron where systemd is not."""
    booted = os.path.isdir(below(root, _BOOTED))
    timer = of_timer(root, "logrotate.timer")
    if booted and timer:
        return f"{timer} (logrotate.timer)"
    if os.path.isfile(below(root, "/etc/cron.daily/logrotate")) and not booted:
        return f"{of_cron_directory(root, '/etc/cron.daily')} (cron.daily)"
    return f"{timer} (logrotate.timer)" if timer else "when logrotate runs next"
