# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ctypes
import errno
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Callable

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._access import Mount
from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    HostError,
)
from ansible_collections.logward.permissions.plugins.module_utils._fs import (
    HALVES,
    WHOLE,
    Known,
    Observation,
    Tree,
    Visit,
    Walk,
    _walk,
)
from ansible_collections.logward.permissions.plugins.module_utils._fs._inode import (
    Fingerprint,
    observe_names,
)

_IN_OPEN = 0x20

Excluded = frozenset[str]


@contextmanager
def opened(path: Path) -> Iterator[Tree]:
    with closing(Tree(str(path))) as tree:
        yield tree


def visits(
    tree: Tree, *, recurse: bool = True, exclude: Excluded = frozenset()
) -> Iterator[Visit]:
    """Yield every visit, and enter every directory."""
    for visit in Walk(tree, exclude.__contains__).visits(recurse, set()):
        visit.enter = set()
        yield visit


def walked(
    path: Path, *, recurse: bool = True, exclude: Excluded = frozenset()
) -> list[str]:
    with opened(path) as tree:
        return [visit.path for visit in visits(tree, recurse=recurse, exclude=exclude)]


def test_everything_is_visited_once_and_directories_before_what_is_in_them(
    logs: Path,
) -> None:
    paths = walked(logs)
    expected = ["0.log", "a", "a/1.log", "a/b", "a/b/2.log", "c", "c/3.log"]
    assert sorted(paths) == expected
    assert all(
        paths.index(os.path.dirname(path)) < paths.index(path)
        for path in paths
        if "/" in path
    )


def test_without_recursion(logs: Path) -> None:
    assert sorted(walked(logs, recurse=False)) == ["0.log", "a", "c"]


def test_what_is_excluded_is_not_entered(logs: Path) -> None:
    assert sorted(walked(logs, exclude=frozenset({"a", "c/3.log"}))) == ["0.log", "c"]


def test_directory_that_the_visitor_turns_down_is_not_entered(logs: Path) -> None:
    paths = []
    with opened(logs) as tree:
        for visit in visits(tree):
            paths.append(visit.path)
            visit.enter = None if visit.path == "a" else set()
    assert sorted(paths) == ["0.log", "a", "c", "c/3.log"]


def test_newest_files_come_first(site: Path) -> None:
    for number in range(200):
        path = site / f"{number}"
        path.touch()
        os.utime(path, (number, number))
    (site / "newest directory").mkdir()
    paths = walked(site)
    assert paths[:64] == [str(number) for number in range(199, 135, -1)]
    assert len(paths) == len(set(paths)) == 201


def test_directory_is_pinned_whatever_becomes_of_its_name(
    site: Path, logs: Path
) -> None:
    with opened(logs) as tree:
        logs.rename(site / "moved")
        logs.mkdir()
        visited = visits(tree, recurse=False)
        assert sorted(visit.path for visit in visited) == ["0.log", "a", "c"]


def test_names_that_vanish_are_counted(site: Path) -> None:
    # Listed at once, read in parts.
    for number in range(600):
        (site / f"{number}").mkdir()
    with opened(site) as tree:
        walk = Walk(tree, lambda _path: False)
        left = walk.visits(False, set())
        visited = [next(left).path]
        for path in site.iterdir():
            path.rmdir()
        visited += [visit.path for visit in left]
        assert walk.vanished > 0
        assert len(visited) + walk.vanished == 600


def test_working_directory_is_as_before(
    site: Path, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = site / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    with opened(logs) as tree:
        for _visit in visits(tree):
            assert Path.cwd() == elsewhere
    elsewhere.rmdir()
    assert len(walked(logs)) == 7
    assert os.readlink("/proc/self/cwd") == f"{elsewhere} (deleted)"


@contextmanager
def never_opened(path: Path) -> Iterator[None]:
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    assert libc.inotify_add_watch(watch, os.fsencode(path), _IN_OPEN) > 0
    try:
        yield
        with pytest.raises(BlockingIOError):
            os.read(watch, 4096)
    finally:
        os.close(watch)


@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_what_takes_the_place_of_a_directory_is_not_opened(
    site: Path, logs: Path, kind: str
) -> None:
    other = site / "other"
    if kind == "link":
        other.mkdir()
        (site / "link").symlink_to(other)
    else:
        os.mkfifo(other)
        os.link(other, site / "fifo")
    with opened(logs) as tree, never_opened(other):
        walk = Walk(tree, lambda _path: False)
        for visit in walk.visits(recurse=True, known=set()):
            if visit.path == "a":
                visit.enter = set()
                (logs / "a").rename(site / "moved")
                (site / kind).rename(logs / "a")
        assert walk.vanished == 1


def test_directory_that_takes_the_place_of_another_is_not_entered(
    site: Path, logs: Path
) -> None:
    (site / "other").mkdir()
    (site / "other/secret").touch()
    descriptors = os.listdir("/proc/self/fd")
    paths = []
    with opened(logs) as tree:
        walk = Walk(tree, lambda _path: False)
        for visit in walk.visits(recurse=True, known=set()):
            paths.append(visit.path)
            if visit.path == "a":
                visit.enter = set()
                (logs / "a").rename(site / "moved")
                (site / "other").rename(logs / "a")
        assert walk.vanished == 1
    assert sorted(paths) == ["0.log", "a", "c"]
    assert os.listdir("/proc/self/fd") == descriptors


def test_too_many_entries(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_walk, "MAX_ENTRIES", 6)
    with pytest.raises(HostError, match=f"{logs}: more than 6 entries; exclude a part"):
        walked(logs)
    monkeypatch.setattr(_walk, "MAX_ENTRIES", 7)
    assert len(walked(logs)) == 7


def test_too_many_levels(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_walk, "MAX_DEPTH", 2)
    with opened(logs) as tree:
        found = list(visits(tree))
    assert [visit.path for visit in found if visit.too_deep] == ["a/b"]
    assert "a/b/2.log" not in [visit.path for visit in found]
    monkeypatch.setattr(_walk, "MAX_DEPTH", 3)
    assert len(walked(logs)) == 7


def test_pin_does_not_follow_a_link(logs: Path) -> None:
    with opened(logs) as tree:
        visit = _first_visit(tree)
        (logs / "0.log").unlink()
        (logs / "0.log").symlink_to("c/3.log")
        fd = visit.pin()
        pinned = os.fstat(fd)
        os.close(fd)
    assert pinned.st_ino == (logs / "0.log").lstat().st_ino


def _first_visit(tree: Tree) -> Visit:
    visit = next(visits(tree, recurse=False))
    assert visit.path == "0.log"
    return visit


def test_pin_of_what_vanished(logs: Path) -> None:
    with opened(logs) as tree:
        visit = _first_visit(tree)
        (logs / "0.log").unlink()
        with pytest.raises(OSError, match="No such file") as error:
            visit.pin()
    assert _walk.is_gone(error.value)


@pytest.mark.parametrize("same", [True, False], ids=["bind", "tmpfs"])
def test_other_mounts(
    site: Path, logs: Path, mounted: Callable[..., Path], same: bool
) -> None:
    if same:
        (site / "other").mkdir()
        mounted(logs / "c", "--bind", str(site / "other"))
    else:
        mounted(logs / "c", "-t", "tmpfs", "none")
    mounted(logs / "0.log", "--bind", str(logs / "a/1.log"))
    with opened(logs) as tree:
        found = {visit.path: visit.other_mount for visit in visits(tree, recurse=False)}
    assert found == {"0.log": True, "a": False, "c": True}


def test_files_that_are_known_are_counted_and_not_shown(site: Path) -> None:
    for number in range(600):
        (site / f"{number}").touch()
    (site / "other").touch(0o600)
    (site / "link").symlink_to("0")
    (site / "directory").mkdir()
    with opened(site) as tree:
        walk = Walk(tree, lambda _path: False)
        shown = []
        for visit in walk.visits(False, set()):
            shown.append(visit.path)
            if visit.path != "other":
                visit.dismiss()
        assert {"other", "link", "directory"} <= set(shown)
        # Names are looked at 256 at a time, the 64 newest first.
        assert len(shown) <= 64 + 256 + 3
        assert walk.counted == 603 - len(shown) > 0
        assert len(walk.newest(set())) == 64


def test_files_are_known_in_their_own_directory_only(logs: Path) -> None:
    with opened(logs) as tree:
        paths = []
        for visit in visits(tree):
            paths.append(visit.path)
            visit.dismiss()
    assert len(paths) == 7


CHANGES = {
    "mode": lambda path: path.chmod(0o600),
    "special bits": lambda path: path.chmod(0o4644),
    "owner": lambda path: os.chown(path, 64001, 0),
    "group": lambda path: os.chown(path, 0, 64001),
    "link": lambda path: os.link(path, path.parent.parent / "hard"),
    "ACL": lambda path: subprocess.run(
        ["setfacl", "-m", "u:64001:r", path], check=True
    ),
    "append-only": lambda path: subprocess.run(["chattr", "+a", path], check=True),
    "immutable": lambda path: subprocess.run(["chattr", "+i", path], check=True),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_is_not_alike_in_everything_is_shown(
    site: Path, change: Callable[[Path], object]
) -> None:
    logs = site / "logs"
    logs.mkdir()
    for number in range(700):
        (logs / f"{number}").touch(0o644)
    other = logs / list_of_names(logs)[-1]
    os.utime(other, (0, 0))
    change(other)
    try:
        with opened(logs) as tree:
            shown = []
            for visit in visits(tree):
                shown.append(visit.path)
                if visit.path != other.name:
                    visit.dismiss()
    finally:
        subprocess.run(["chattr", "-a", "-i", other], check=True)
    assert other.name in shown
    assert len(shown) < 700


def list_of_names(path: Path) -> list[str]:
    """Return the names in the order in which the kernel lists them."""
    with os.scandir(path) as entries:
        return [entry.name for entry in entries]


def test_only_so_many_kinds_of_files_are_known(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_walk, "_MOST_KNOWN", 2)
    for number in range(5):
        (logs / f"{number}").touch(0o600 + number)
    with opened(logs) as tree:
        found = list(visits(tree, recurse=False))
        known = found[0].listing.known
        for visit in found:
            visit.dismiss()
        assert len(known) == 2


def test_shares_have_everything_once(logs: Path) -> None:
    names = [f"{number}.log" for number in range(100)]
    for name in names:
        (logs / name).touch()
    everything = sorted(walked(logs))
    found = []
    with opened(logs) as tree:
        walk = Walk(tree, lambda _path: False)
        newest = [visit.path for visit in walk.newest(set())]
        assert newest[0] in names
        for share in HALVES:
            paths = []
            for group in walk.others(True, set(), share):
                for visit in group:
                    paths.append(visit.path)
                    visit.enter = set()
            assert not set(newest) & set(paths)
            below = {path for path in paths if "/" in path}
            assert all(path.partition("/")[0] in paths for path in below)
            others = set(paths) - below
            assert others
            assert all(share.has(path) for path in others)
            found += paths
    assert sorted(newest + found) == everything
    assert all(WHOLE.has(name) for name in names)


def test_counters_are_those_of_the_last_walk(site: Path) -> None:
    for number in range(600):
        (site / f"{number}").touch()
    with opened(site) as tree:
        walk = Walk(tree, lambda _path: False)
        (site / min(walk._newest)).unlink()
        counts = []
        for _again in range(2):
            shown = 0
            for visit in walk.visits(False, set()):
                shown += 1
                visit.dismiss()
            counts.append((shown, walk.counted, walk.vanished, walk.unreadable))
    assert walk.names == 600
    assert counts[0] == counts[1]
    shown, counted, vanished, unreadable = counts[0]
    assert (vanished, unreadable) == (1, 0)
    assert counted > 0
    assert shown + counted + vanished == 600


def test_what_the_kernel_does_not_tell_of_is_not_counted_as_known(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("a", "b", "c", "d")
    for name in names:
        (logs / name).with_suffix(".log").touch()
    unreadable: list[str] = []

    def observe(
        wanted: Sequence[str],
        mounts: Mapping[int, Mount],
        known: Known,
        missed: Callable[[str, OSError], None],
    ) -> Iterator[tuple[str, Observation, Fingerprint]]:
        for name in wanted:
            if name in ("a.log", "b.log"):
                unreadable.append(name)
                missed(name, OSError(errno.EIO, "Input/output error"))
            elif name == "c.log":
                missed(name, FileNotFoundError(errno.ENOENT, "No such file"))
            else:
                yield from observe_names([name], mounts, known, missed)

    monkeypatch.setattr(_walk, "observe_names", observe)
    with opened(logs) as tree:
        walk = Walk(tree, lambda _path: False)
        for _again in range(2):
            shown = [visit.path for visit in walk.visits(False, set())]
            assert sorted(shown) == ["0.log", "a", "c", "d.log"]
            assert (walk.unreadable, walk.vanished, walk.counted) == (2, 1, 0)
    assert walk.first_unreadable == f"{unreadable[0]}: Input/output error"
