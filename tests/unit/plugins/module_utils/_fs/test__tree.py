# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._access import REGULAR
from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    HostError,
    OptionError,
)
from ansible_collections.logward.permissions.plugins.module_utils._fs import (
    MissingDirectory,
    Tree,
    Walk,
    _tree,
    observe_fd,
)


@contextmanager
def opened(path: Path) -> Iterator[Tree]:
    with closing(Tree(str(path))) as tree:
        yield tree


def test_ancestors(logs: Path) -> None:
    with opened(logs / "a/b") as tree:
        paths = [path for path, _inode in tree.ancestors]
        inodes = [inode for _path, inode in tree.ancestors]
    assert paths == [str(each) for each in reversed((logs / "a/b").parents)]
    assert [inode.mode for inode in inodes] == [
        os.stat(path).st_mode & 0o7777 for path in paths
    ]


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
def test_link_that_leads_elsewhere_while_it_is_resolved(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def realpath(path: str) -> str:  # as before Python 3.10
        raise OSError(22, "Invalid argument", path)

    (site / "link").symlink_to("logs")
    monkeypatch.setattr(os.path, "realpath", realpath)
    with pytest.raises(OptionError, match=r"link\. Use the resolved path\."):
        Tree(f"{site}/link")


@pytest.mark.usefixtures("logs")
def test_what_the_kernel_does_not_tell_of(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    descriptors = os.listdir("/proc/self/fd")

    def refused(fd: int, mounts: Any) -> Any:
        # A stand-in for a FUSE mount of the application's user, which refuses root.
        if os.stat(fd).st_ino == site.stat().st_ino:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return observe_fd(fd, mounts)

    monkeypatch.setattr(_tree, "observe_fd", refused)
    with pytest.raises(HostError, match=f"^{site}: Permission denied"):
        Tree(f"{site}/logs")
    assert os.listdir("/proc/self/fd") == descriptors


def test_no_descriptor_is_left_open(site: Path) -> None:
    (site / "link").symlink_to("logs")
    descriptors = os.listdir("/proc/self/fd")
    for path in ("link/a", "logs/0.log", "logs/new"):
        with pytest.raises(OptionError):
            Tree(f"{site}/{path}")
    with opened(site) as tree:
        next(Walk(tree, lambda _path: False).visits(True, set()))
    assert os.listdir("/proc/self/fd") == descriptors


@pytest.mark.usefixtures("logs")
def test_names_are_shown_as_they_can_be(site: Path) -> None:
    (site / "\x1b").touch()
    (site / "\x1blogs").mkdir()
    (site / "\x1blink").symlink_to("\x1blogs")
    for name in ("\x1b", "\x1blink", "\x1bnew", "\x1blogs/" + "n" * 256):
        with pytest.raises((OptionError, HostError)) as error:
            Tree(f"{site}/{name}")
        assert rf"{site}/\x1b" in str(error.value)
        assert "\x1b" not in str(error.value)


def test_other_mounts_where_the_kernel_does_not_name_them(
    site: Path, mounted: Callable[..., Path]
) -> None:
    (site / "own").mkdir()
    with opened(mounted(site / "other", "-t", "tmpfs", "none")) as other:
        seen = other.observe()._replace(mount_id=None)
    with opened(site / "own") as own, opened(site) as tree:
        assert tree.is_other_mount(seen)
        assert not tree.is_other_mount(own.observe()._replace(mount_id=None))
        # On an overlay, files are of other devices.
        file = seen._replace(inode=replace(seen.inode, kind=REGULAR))
        assert not tree.is_other_mount(file)


def test_file_systems_without_acls(site: Path, mounted: Callable[..., Path]) -> None:
    with opened(site) as tree:
        assert tree.acl_supported
        assert tree.observe().inode.mount.acl_supported
    with opened(mounted(site / "ramfs", "-t", "ramfs", "none")) as tree:
        assert not tree.acl_supported
        assert not tree.observe().inode.mount.acl_supported
        assert tree.observe().inode.mount.type == "ramfs"
