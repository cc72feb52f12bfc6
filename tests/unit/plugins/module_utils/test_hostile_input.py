# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever users can write is read in no time, and fills no report."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._acl import (
    Acl,
    encode,
)
from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    HostError,
)
from ansible_collections.logward.permissions.plugins.module_utils._fs import (
    check_private_directory,
)
from ansible_collections.logward.permissions.plugins.module_utils._fs._file import (
    ConfigurationFile,
    Refused,
)
from ansible_collections.logward.permissions.plugins.module_utils._fs._inode import (
    ACCESS_XATTR,
    DEFAULT_XATTR,
)
from ansible_collections.logward.permissions.plugins.module_utils._laravel_env import (
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
from ansible_collections.logward.permissions.plugins.module_utils._policy import (
    parse_policies,
)
from ansible_collections.logward.permissions.plugins.module_utils._repair import (
    RepairOptions,
    repair,
)
from ansible_collections.logward.permissions.plugins.module_utils._restore import (
    RestoreOptions,
    restore,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._managers.logs import (
    logs_at,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._writers.files import (
    host,
)

WEB = 64001
USERS = [
    {"name": "web", "user": "64001", "group": "64001", "groups": []},
    {"name": "queue", "user": "64002", "group": "64002", "groups": []},
]
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


def acl_of(entries: int, perm: int = 4) -> Acl:
    """Return an ACL that has so many entries, four of which every one has."""
    users = tuple((70_000 + number, perm) for number in range(entries - 4))
    return Acl(6, 4, 0, 6, users)


@pytest.fixture
def logs(site: Path) -> Path:
    """A log directory; what is called long has an ACL that is too long, or will have."""
    base = site / "logs"
    for path in (base, base / "long", base / "short"):
        path.mkdir()
        (path / "a.log").touch(0o600)
        (path / "long.log").touch(0o600)
    (base / "full.log").touch(0o600)
    for path in (base, *base.rglob("*")):
        os.chown(path, WEB, WEB)
        acl = encode(acl_of(257 if path.name == "long.log" else 250))
        if path.name != "long":
            os.setxattr(path, ACCESS_XATTR, acl)
    os.setxattr(base / "full.log", ACCESS_XATTR, encode(acl_of(256)))
    os.setxattr(base / "long", DEFAULT_XATTR, encode(acl_of(257)))
    return base


def repaired(logs: Path, run_id: str = "run-1") -> dict[str, Any]:
    policies = parse_policies([{"path": str(logs), "writers": ["web", "queue"]}], USERS)
    journal = str(logs.parent / "journal")
    return repair(policies, RepairOptions(run_id, journal, 0))


def test_a_long_acl_is_left_alone(logs: Path) -> None:
    before = {path: os.getxattr(path, ACCESS_XATTR) for path in logs.rglob("*.log")}
    (directory,) = repaired(logs)["directories"]
    skipped = {each["reason"]: each["count"] for each in directory["skipped"]}
    assert skipped == {"unchangeable": 4}
    assert directory["changed_inodes"] == 4
    assert "unchangeable" in [each["code"] for each in directory["findings"]]
    for path, acl in before.items():
        is_left = re.search("long|full", str(path.relative_to(logs)))
        assert (os.getxattr(path, ACCESS_XATTR) == acl) is bool(is_left)
    assert not repaired(logs, "run-2")["changed"]


def test_a_log_directory_with_a_long_acl_is_refused(logs: Path) -> None:
    os.setxattr(logs, ACCESS_XATTR, encode(acl_of(257)))
    with pytest.raises(HostError, match="its ACL is too long"):
        repaired(logs)


def test_what_has_a_long_acl_since_is_not_restored(logs: Path) -> None:
    repaired(logs)
    acl = encode(acl_of(257))
    os.setxattr(logs / "a.log", ACCESS_XATTR, acl)
    journal = str(logs.parent / "journal")
    done = restore(RestoreOptions("run-1", journal, 0))
    left = {"path": f"{logs}/a.log", "reason": "changed_since", "count": 1}
    assert done["left_alone"] == [left]
    assert done["restored"] == 3
    assert os.getxattr(logs / "a.log", ACCESS_XATTR) == acl


def test_a_long_acl_may_name_anybody(site: Path) -> None:
    private = site / "private"
    private.mkdir(0o700)
    (private / "file").touch(0o600)
    check_private_directory(str(private))
    os.setxattr(private / "file", ACCESS_XATTR, encode(acl_of(257, 0)))
    with pytest.raises(Refused) as refused:
        ConfigurationFile(str(private / "file"))
    assert refused.value.reason == "unchangeable"
    os.setxattr(private, ACCESS_XATTR, encode(acl_of(257, 0)))
    with pytest.raises(HostError, match="open to others"):
        check_private_directory(str(private))


def test_the_meaning_of_an_acl_is_found_at_once() -> None:
    groups = tuple((70_000 + number // 2, 4 + number % 2) for number in range(40_000))
    assert Acl(6, 4, 0, 6, (), groups).meaning.groups == groups[1::2]
