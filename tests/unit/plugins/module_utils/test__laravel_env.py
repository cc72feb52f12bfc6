# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a new file comes."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._laravel_env import (
    daily_log,
)


@pytest.fixture
def application(tmp_path: Path) -> Path:
    (tmp_path / "config").mkdir()
    return tmp_path


ENVIRONMENTS: dict[str, tuple[str, tuple[str, str] | None]] = {
    "daily": ("APP_ENV=production\nLOG_CHANNEL=daily\n", ("LOG_CHANNEL", "daily")),
    "quoted": ('  export LOG_CHANNEL = "daily" \n', ("LOG_CHANNEL", "daily")),
    "in a stack": (
        "LOG_CHANNEL=stack\nLOG_STACK=single,daily\n",
        ("LOG_STACK", "single,daily"),
    ),
    "the last one counts": ("LOG_CHANNEL=daily\nLOG_CHANNEL=single\n", None),
    "a single file": ("LOG_CHANNEL=single\n", None),
    "commented out": ("#LOG_CHANNEL=daily\n", None),
    "not set": ("", None),
    "no word": ("LOG_CHANNEL=daily; rm -rf /\n", None),
    "another key": ("LOG_CHANNEL_OLD=daily\n", None),
}


@pytest.mark.parametrize(
    ("text", "expected"), ENVIRONMENTS.values(), ids=ENVIRONMENTS.keys()
)
def test_daily_log(
    application: Path, text: str, expected: tuple[str, str] | None
) -> None:
    (application / ".env").write_text(text)
    found = daily_log(str(application))
    assert (found and (found.key, found.value)) == expected


TIMEZONES = {
    "plain": ("'timezone' => 'Europe/Berlin',", "", "Europe/Berlin"),
    "none": ("", "", "UTC"),
    "of the environment": (
        "'timezone' => env('APP_TIMEZONE', 'UTC'),",
        "APP_TIMEZONE=Asia/Tokyo",
        "Asia/Tokyo",
    ),
    "its default": ("'timezone' => env('APP_TIMEZONE', 'UTC'),", "", "UTC"),
    "not of the environment": (
        "'timezone' => 'Europe/Berlin',",
        "APP_TIMEZONE=Asia/Tokyo",
        "Europe/Berlin",
    ),
}


@pytest.mark.parametrize(
    ("config", "environment", "timezone"), TIMEZONES.values(), ids=TIMEZONES.keys()
)
def test_timezone(
    application: Path, config: str, environment: str, timezone: str
) -> None:
    (application / "config/app.php").write_text(f"<?php return [\n    {config}\n];\n")
    (application / ".env").write_text(f"LOG_CHANNEL=daily\n{environment}\n")
    found = daily_log(str(application))
    assert found is not None
    assert found.timezone == timezone


def test_without_an_environment_nobody_can_tell(application: Path) -> None:
    assert daily_log(str(application)) is None
    (application / ".env").mkdir()
    assert daily_log(str(application)) is None
