# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Callable

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    HostError,
    OptionError,
)
from ansible_collections.logward.permissions.plugins.module_utils._fs import (
    MissingDirectory,
    Tree,
    Visit,
    _tree,
)

Excluded = frozenset[str]


@contextmanager
def opened(path: Path) -> Iterator[Tree]:
    with closing(Tree(str(path))) as tree:
        yield tree


def walked(
    path: Path, *, recurse: bool = True, exclude: Excluded = frozenset()
) -> list[str]:
    with opened(path) as tree:
        return [visit.path for visit in tree.walk(recurse, exclude.__contains__)]


@pytest.fixture
def logs(site: Path) -> Path:
    path = site / "logs"
    (path / "a/b").mkdir(parents=True)
    (path / "c").mkdir()
    for name in ("0.log", "a/1.log", "a/b/2.log", "c/3.log"):
        (path / name).touch()
    return path


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
        for visit in tree.walk(recurse=True, excluded=lambda _path: False):
            paths.append(visit.path)
            visit.enter = visit.path != "a"
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


def test_ancestors(logs: Path) -> None:
    with opened(logs / "a/b") as tree:
        paths = [path for path, _inode in tree.ancestors]
        inodes = [inode for _path, inode in tree.ancestors]
    assert paths == [str(each) for each in reversed((logs / "a/b").parents)]
    assert [inode.mode for inode in inodes] == [
        os.stat(path).st_mode & 0o7777 for path in paths
    ]


def test_directory_is_pinned_whatever_becomes_of_its_name(
    site: Path, logs: Path
) -> None:
    with opened(logs) as tree:
        logs.rename(site / "moved")
        logs.mkdir()
        visited = tree.walk(recurse=False, excluded=lambda _path: False)
        assert sorted(visit.path for visit in visited) == ["0.log", "a", "c"]


def test_names_that_vanish_are_counted(site: Path) -> None:
    # Listed at once, read in parts.
    for number in range(600):
        (site / f"{number}").mkdir()
    with opened(site) as tree:
        visits = tree.walk(recurse=False, excluded=lambda _path: False)
        visited = [next(visits).path]
        for path in site.iterdir():
            path.rmdir()
        visited += [visit.path for visit in visits]
        assert tree.vanished > 0
        assert len(visited) + tree.vanished == 600


def test_working_directory_is_as_before(
    site: Path, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = site / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    with opened(logs) as tree:
        for _visit in tree.walk(recurse=True, excluded=lambda _path: False):
            assert Path.cwd() == elsewhere
    elsewhere.rmdir()
    assert len(walked(logs)) == 7
    assert os.readlink("/proc/self/cwd") == f"{elsewhere} (deleted)"


def test_too_many_entries(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_tree, "MAX_ENTRIES", 6)
    with pytest.raises(HostError, match=f"{logs}: more than 6 entries; exclude a part"):
        walked(logs)
    monkeypatch.setattr(_tree, "MAX_ENTRIES", 7)
    assert len(walked(logs)) == 7


def test_too_many_levels(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_tree, "MAX_DEPTH", 2)
    with opened(logs) as tree:
        visits = list(tree.walk(recurse=True, excluded=lambda _path: False))
    assert [visit.path for visit in visits if visit.too_deep] == ["a/b"]
    assert "a/b/2.log" not in [visit.path for visit in visits]
    monkeypatch.setattr(_tree, "MAX_DEPTH", 3)
    assert len(walked(logs)) == 7


def test_pin_does_not_follow_a_link(logs: Path) -> None:
    with opened(logs) as tree:
        visit = _first_visit(tree)
        (logs / "0.log").unlink()
        (logs / "0.log").symlink_to("c/3.log")
        fd = tree.pin(visit)
        pinned = os.fstat(fd)
        os.close(fd)
    assert pinned.st_ino == (logs / "0.log").lstat().st_ino


def _first_visit(tree: Tree) -> Visit:
    visits = tree.walk(recurse=False, excluded=lambda _path: False)
    visit = next(visits)
    assert visit.path == "0.log"
    return visit


def test_pin_of_what_vanished(logs: Path) -> None:
    with opened(logs) as tree:
        visit = _first_visit(tree)
        (logs / "0.log").unlink()
        with pytest.raises(OSError, match="No such file") as error:
            tree.pin(visit)
    assert _tree.is_gone(error.value)


@pytest.mark.parametrize("path", ["new", "new/deep", "a/new"])
def test_missing_directory(logs: Path, path: str) -> None:
    with pytest.raises(MissingDirectory, match="does not exist"):
        Tree(f"{logs}/{path}")


@pytest.mark.usefixtures("logs")
def test_links_on_the_way_are_not_followed(site: Path) -> None:
    (site / "link").symlink_to("logs")
    for path in ("link", "link/a"):
        with pytest.raises(OptionError) as error:
            Tree(f"{site}/{path}")
        resolved = os.path.realpath(site / path)
        assert f"Use the resolved path {resolved}." in str(error.value)


@pytest.mark.usefixtures("logs")
def test_no_descriptor_is_left_open(site: Path) -> None:
    (site / "link").symlink_to("logs")
    descriptors = os.listdir("/proc/self/fd")
    walked(site)
    for path in ("link/a", "logs/0.log", "logs/new"):
        with pytest.raises(OptionError):
            Tree(f"{site}/{path}")
    with opened(site) as tree:
        next(tree.walk(recurse=True, excluded=lambda _path: False))
    assert os.listdir("/proc/self/fd") == descriptors


def test_file_systems_without_acls(site: Path, mounted: Callable[..., Path]) -> None:
    with opened(site) as tree:
        assert tree.acl_supported
        assert tree.observe().inode.mount.acl_supported
    with opened(mounted(site / "ramfs", "-t", "ramfs", "none")) as tree:
        assert not tree.acl_supported
        assert not tree.observe().inode.mount.acl_supported
        assert tree.observe().inode.mount.type == "ramfs"


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
        visits = tree.walk(recurse=False, excluded=lambda _path: False)
        found = {visit.path: visit.other_mount for visit in visits}
    assert found == {"0.log": True, "a": False, "c": True}
