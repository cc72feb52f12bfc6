# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever users can write is read in no time, and fills no report."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._laravel import (
    daily_log,
)
from ansible_collections.logward.permissions.plugins.module_utils._managers import (
    _hardening,
    _monolog,
)
from ansible_collections.logward.permissions.plugins.module_utils._managers._conflicts import (
    Answer,
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

SECONDS = 5
#: As much as is read of a file.
SIZE = 1024 * 1024
FILE = "['driver' => 'single', 'path' => storage_path('logs/a'), 'permission' => 0600]"
#: Each leads to the next one a hundred times.
STACKS = "".join(
    f"'{name}' => ['driver' => 'stack', 'channels' => [{f'{following!r},' * 100}]],"
    for name, following in zip("abcdefgh", "bcdefghi")
)


@pytest.fixture(autouse=True)
def limit() -> Iterator[None]:
    """End a test that takes too long, instead of waiting for hours."""

    def fail(*_signal: object) -> None:
        pytest.fail(f"took more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def application(site: Path) -> Path:
    (site / "artisan").touch()
    (site / "config").mkdir()
    (site / "storage/logs").mkdir(parents=True)
    return site


def filled(pattern: str) -> str:
    return (pattern * (SIZE // len(pattern)))[:SIZE]


@pytest.mark.parametrize("pattern", ["\n", "\n\t ", " ", "A", "A= ", "export \n"])
def test_environment(application: Path, pattern: str) -> None:
    (application / ".env").write_text(filled(pattern))
    assert daily_log(str(application)) is None


@pytest.mark.parametrize("pattern", ["\n", " ", "'timezone' ", "'timezone'\n"])
def test_timezone(application: Path, pattern: str) -> None:
    (application / ".env").write_text("LOG_CHANNEL=daily\n")
    (application / "config/app.php").write_text(filled(pattern))
    log = daily_log(str(application))
    assert log is not None
    assert log.timezone == "UTC"


def monolog(application: Path, text: str) -> Answer:
    (application / "config/logging.php").write_text(text)
    return _monolog.read(Host()).answer(logs_at(f"{application}/storage/logs"))


@pytest.mark.parametrize(
    "text",
    [
        filled("/* "),
        filled("'a\\"),
        filled("'a\\")[:-1],
        filled('"\\'),
        filled("0777"),
        filled("0") + "a",
        filled("a b "),
        f"<?php return [{filled('9')}];",
        f"<?php return {filled('[')};",
    ],
)
def test_php(application: Path, text: str) -> None:
    (problem,) = monolog(application, text[:SIZE]).problems
    assert problem.message.endswith("not understood")


def test_stacks_that_lead_to_each_other(application: Path) -> None:
    channels = f"{STACKS}'i' => {FILE}, 'j' => {FILE}"
    found = monolog(
        application, f"<?php return ['default' => 'a', 'channels' => [{channels}]];"
    )
    assert [each.subject for each in found.findings] == ["i"]


def test_too_many_channels(application: Path) -> None:
    channels = "".join(f"'c{number}' => {FILE}," for number in range(1000))
    found = monolog(application, f"<?php return ['channels' => [{channels}]];")
    assert not found.findings
    assert "more than 100 channels" in found.problems[0].message


def test_each_channel_asks_for_the_same_environment(application: Path) -> None:
    (application / ".env").write_text(filled("A=a\n"))
    channels = "'driver' => 'single', 'path' => env('B'),"
    text = "".join(f"'c{number}' => [{channels}]," for number in range(1000))
    assert not monolog(application, f"<?php return ['channels' => [{text}]];").problems


@pytest.mark.parametrize(
    "command",
    ["chmod 1 /srv/app/" + "*" * 60 + "x", "chmod 1 /srv/app/" + "*a" * 30 + "x"],
)
def test_patterns_of_a_crontab(site: Path, command: str) -> None:
    path = "/var/spool/cron/crontabs/mallory"
    manager = _hardening.read(Host(host(site, {path: f"@daily {command}\n"})))
    assert not manager.answer(logs_at(f"/srv/app/{'a' * 60}")).findings


def test_a_crontab_does_not_fill_the_report(site: Path) -> None:
    path = "/var/spool/cron/crontabs/mallory"
    text = "@daily chmod 750 /srv/app/logs\n" * 5000
    manager = _hardening.read(Host(host(site, {path: text})))
    assert len(manager.answer(logs_at("/srv/app/logs")).findings) == 100
    (problem,) = manager.problems
    assert (problem.path, problem.line) == (path, 0)
    assert "more than 100 commands" in problem.message
