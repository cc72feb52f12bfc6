# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Laravel application's environment says: whether a file comes each day.

Only the keys that decide that are looked at in ``.env``; nothing else of it
goes anywhere (https://laravel.com/docs/logging).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ._writers._files import read_text

_WORD = re.compile(r"[A-Za-z0-9_,./+-]{1,64}")
# What an application writes is matched line by line: a search that goes on behind
# the end of one would take hours for a file of empty ones.
_ENTRY = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Z_]+)[ \t]*=(.*)")
_TIMEZONE = re.compile(
    r"^[ \t]*'timezone'\s*=>\s*(env\(\s*'APP_TIMEZONE'\s*,\s*)?'([A-Za-z0-9_/+-]+)'",
    re.MULTILINE,
)
_KEYS = ("LOG_CHANNEL", "LOG_STACK", "APP_TIMEZONE")


@dataclass(frozen=True)
class DailyLog:
    """Why a new log file appears each day, and when: ``timezone``'s midnight."""

    path: str
    key: str
    value: str
    timezone: str


def daily_log(application: str) -> DailyLog | None:
    """Return why a new file comes each day; None if none does, or none can tell."""
    path = os.path.join(application, ".env")
    try:
        settings = _settings(read_text(path))
    except OSError:
        return None
    for key in ("LOG_CHANNEL", "LOG_STACK"):
        if "daily" in settings.get(key, "").split(","):
            return DailyLog(path, key, settings[key], _timezone(application, settings))
    return None


def env_words(application: str) -> Mapping[str, str]:
    """Return the values of ``.env`` that are words."""
    try:
        text = read_text(os.path.join(application, ".env"))
    except OSError:
        return {}
    values = dict(_entries(text))
    return {key: value for key, value in values.items() if _WORD.fullmatch(value)}


def _entries(text: str) -> Iterator[tuple[str, str]]:
    """Yield each key and its value, without quotes, in their order."""
    for match in filter(None, map(_ENTRY.match, text.split("\n"))):
        yield match[1], match[2].strip().strip("\"'")


def _settings(text: str) -> dict[str, str]:
    """Return the keys that decide, and only those whose value is a word."""
    return {
        key: value
        for key, value in _entries(text)
        if key in _KEYS and _WORD.fullmatch(value)
    }


def _timezone(application: str, settings: Mapping[str, str]) -> str:
    try:
        text = read_text(os.path.join(application, "config/app.php"))
    except OSError:
        text = ""
    configured = _TIMEZONE.search(text)
    if configured is None:
        return settings.get("APP_TIMEZONE", "UTC")
    by_environment, zone = configured.groups()
    return settings.get("APP_TIMEZONE", zone) if by_environment else zone
