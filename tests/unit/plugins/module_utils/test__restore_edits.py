# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits that are taken back, wherever they ended; by then others were there, too."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._apply_edits import (
    apply_edits,
)
from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    HostError,
    OptionError,
)
from ansible_collections.logward.permissions.plugins.module_utils._restore import (
    preview,
    restore,
)
from ansible_collections.logward.permissions.plugins.module_utils._runs import (
    NoSuchRun,
)
from ansible_collections.logward.permissions.plugins.module_utils._services import (
    _unit,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils import (
    edits as hosts,
)

Listing = Callable[..., dict[str, tuple[Any, ...]]]


@pytest.fixture
def host(site: Path) -> hosts.Host:
    return hosts.Host(site)


@pytest.fixture
def read_again(host: hosts.Host, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what holds a word for each time that systemd was to read its files.

    Of these there is one in the host's; no systemd runs where tests do.
    """
    seen: list[str] = []
    monkeypatch.setattr(_unit, "DIRECTORIES", [f"{host.etc}/unit.d"])
    monkeypatch.setattr(_unit, "_BOOTED", str(host.etc))
    monkeypatch.setattr(_unit, "reload_units", lambda: seen.append("read"))
    return seen


def test_systemd_reads_its_files_again(host: hosts.Host, read_again: list[str]) -> None:
    host.apply()
    host.restore(function=preview)
    assert not read_again
    host.restore()
    assert read_again == ["read"]
    # The first one may have been killed before it came to that.
    assert not host.restore()["changed"]
    assert read_again == ["read", "read"]


def test_systemd_reads_nothing_for_others_files(
    host: hosts.Host, read_again: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    edits = [host.edit("app.conf", hosts.NEW)]
    apply_edits(edits.copy, host.options(), hosts.no_check)
    assert host.restore()["changed"]
    host.apply("run-2")
    monkeypatch.setattr(_unit, "_BOOTED", f"{host.etc}/another-init")
    assert host.restore("run-2")["changed"]
    assert not read_again


def test_everything_is_as_before_to_the_byte(host: hosts.Host) -> None:
    before = host.state()
    host.apply()
    assert host.state() != before
    done = host.restore()
    assert host.state() == before
    assert done["changed"] is True
    assert (done["restored"], done["as_before"], done["left_alone"]) == (0, 0, [])
    assert done["files"] == [
        {"path": f"{host.etc}/{name}"}
        for name in ("gone/old.conf", "unit.d/a/logward.conf", "app.conf")
    ]
    assert done["diff"][2] == {
        "before_header": f"{host.etc}/app.conf",
        "after_header": f"{host.etc}/app.conf",
        "before": "umask=002\n",
        "after": "umask=022\n",
    }


def test_second_restore_changes_nothing(
    host: hosts.Host, site: Path, listing: Listing
) -> None:
    host.apply()
    host.restore()
    before = listing(site)
    for function in (preview, restore):
        again = host.restore("latest", function)
        assert listing(site) == before
        assert (again["changed"], again["files"], again["diff"]) == (False, [], [])
        assert (again["as_before"], again["run_id"]) == (3, "run-1")
        assert "restore_run_id" not in again


def test_restore_can_be_taken_back(host: hosts.Host) -> None:
    before = host.state()
    host.apply()
    edited = host.state()
    undone = host.restore()
    redone = host.restore(undone["restore_run_id"])
    assert host.state() == edited
    host.restore(redone["restore_run_id"])
    assert host.state() == before


def test_preview_tells_what_is_then_done(
    host: hosts.Host, site: Path, listing: Listing
) -> None:
    host.apply()
    before = listing(site, Path("/run"))
    announced = host.restore("latest", preview)
    assert listing(site, Path("/run")) == before
    done = host.restore()
    del done["restore_run_id"]
    assert announced == done


def test_calls_of_a_run_are_taken_back_from_the_last(host: hosts.Host) -> None:
    before = host.state()
    host.apply()
    for number in range(3):
        after = hosts.NEW + b"x=%d\n" % number
        apply_edits(
            lambda after=after: [host.edit("app.conf", after)],  # type: ignore[misc]
            host.options(),
            hosts.no_check,
        )
    announced = host.restore("latest", preview)
    done = host.restore()
    assert len(done["files"]) == 6
    assert host.state() == before
    assert announced["diff"] == done["diff"]


def test_directory_that_an_edit_made_stays_where_others_use_it(
    host: hosts.Host,
) -> None:
    host.apply()
    (host.etc / "unit.d/other.conf").touch()
    host.restore()
    assert os.listdir(host.etc / "unit.d") == ["other.conf"]


LEFT_ALONE = {
    "edited": ("app.conf", "echo x >> app.conf", "changed_since"),
    "gone": ("app.conf", "rm app.conf", "vanished"),
    "gone with its directory": ("unit.d/a/logward.conf", "rm -r unit.d/a", "as_before"),
    "there again": ("gone/old.conf", "echo x > gone/old.conf", "changed_since"),
    "link": ("app.conf", "mv app.conf b; ln -s b app.conf", "exchanged"),
    "link on the way": (
        "unit.d/a/logward.conf",
        "mv unit.d x; ln -s x unit.d",
        "exchanged",
    ),
    "fifo": ("app.conf", "rm app.conf; mkfifo app.conf", "exchanged"),
    "hard link": ("app.conf", "ln app.conf b", "hard_link"),
    "open": ("app.conf", "chmod 0666 app.conf", "open_to_others"),
    "given away": ("app.conf", "chown 64001 app.conf", "open_to_others"),
    "open directory": ("gone/old.conf", "chmod 0777 gone", "open_to_others"),
}


@pytest.mark.parametrize(
    ("name", "command", "reason"), LEFT_ALONE.values(), ids=LEFT_ALONE
)
@pytest.mark.parametrize("function", [preview, restore])
def test_left_alone(
    host: hosts.Host, name: str, command: str, reason: str, function: Any
) -> None:
    host.apply()
    subprocess.run(["sh", "-ec", command], cwd=host.etc, check=True)
    before = host.state()
    done = host.restore("latest", function)
    left = [(each["path"], each["reason"]) for each in done["left_alone"]]
    if reason == "as_before":
        assert done["as_before"] == 1
    else:
        assert left == [(f"{host.etc}/{name}", reason)]
    after = host.state()
    path = f"{host.etc}/{name}"
    assert after.get(path) == before.get(path)
    assert len(done["files"]) == 2


def test_read_only(host: hosts.Host, mounted: Callable[..., Path]) -> None:
    host.apply()
    mounted(host.etc, "--bind", str(host.etc))
    subprocess.run(["mount", "-o", "remount,ro,bind", host.etc], check=True)
    done = host.restore()
    assert done["changed"] is False
    assert [(each["reason"], each["count"]) for each in done["left_alone"]] == [
        ("read_only", 3)
    ]


def test_permissions_that_changed_since_are_kept(host: hosts.Host) -> None:
    host.apply()
    (host.etc / "app.conf").chmod(0o600)
    host.restore()
    assert (host.etc / "app.conf").read_bytes() == hosts.OLD
    assert (host.etc / "app.conf").stat().st_mode & 0o7777 == 0o600


@pytest.mark.parametrize("name", ["app.conf", "gone/old.conf"])
def test_full_disk(
    host: hosts.Host, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before = host.state()
    host.apply()
    real = os.fsync

    def full(fd: int) -> None:
        path = os.readlink(f"/proc/self/fd/{fd}")
        if path.endswith(".dpkg-new") and os.path.dirname(path) == os.path.dirname(
            host.etc / name
        ):
            raise OSError(28, "No space left on device")
        real(fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(HostError, match=rf"{name} could not be written: No space"):
            host.restore()
    assert not list(host.etc.rglob("*.dpkg-new"))
    host.restore()
    assert host.state() == before


def test_changed_journal_is_refused(host: hosts.Host) -> None:
    host.apply()
    edited = host.state()
    file = host.journal / "run-1/0001.jsonl"
    # umask=022 becomes umask=000
    file.write_bytes(file.read_bytes().replace(b"dW1hc2s9MDIyCg", b"dW1hc2s9MDAwCg"))
    for function in (preview, restore):
        with pytest.raises(OptionError, match="has the digest of other bytes"):
            host.restore("run-1", function)
    assert host.state() == edited


# Killed


#: Before every so many system calls a process is killed; fewer where LOGWARD_KILLS
#: asks for fewer than the twelve that are usual.
STEP = max(1, 12 // int(os.environ.get("LOGWARD_KILLS", "12")))


@pytest.fixture
def quick(site: Path, mounted: Callable[..., Path]) -> hosts.Host:
    """A host in memory, where it takes no time to have all on disk."""
    place = mounted(site / "tmpfs", "-t", "tmpfs", "-o", "mode=0755", "none")
    return hosts.Host(place)


def test_wherever_edits_are_killed_all_comes_back(quick: hosts.Host) -> None:
    before = quick.state()
    number = 0
    midway = 0
    while hosts.killed_at(quick.apply, number):
        midway += quick.state() != before
        with suppress(NoSuchRun):
            quick.restore()
        assert quick.state() == before, number
        subprocess.run(["rm", "-rf", quick.journal], check=True)
        number += STEP
    assert number > 30
    assert midway > 15 / STEP
    quick.restore()
    assert quick.state() == before


def test_wherever_edits_are_killed_they_can_be_finished(quick: hosts.Host) -> None:
    before = quick.state()
    quick.apply("whole")
    edited = quick.state()
    quick.restore("whole")
    number = 0
    while hosts.killed_at(quick.apply, number):
        quick.apply("again")
        assert quick.state() == edited, number
        for run_id in ("again", "run-1"):
            with suppress(NoSuchRun):
                quick.restore(run_id)
        assert quick.state() == before, number
        subprocess.run(["rm", "-rf", quick.journal], check=True)
        number += STEP


def test_wherever_a_restore_is_killed_it_can_be_finished(quick: hosts.Host) -> None:
    before = quick.state()
    number = 0
    killed = True
    while killed:
        quick.apply()
        killed = hosts.killed_at(quick.restore, number)
        quick.restore("run-1")
        assert quick.state() == before, number
        subprocess.run(["rm", "-rf", quick.journal], check=True)
        number += STEP
    assert number > 30
