# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Callable

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._acl import Acl
from ansible_collections.logward.permissions.plugins.module_utils._fs import (
    Observation,
    has_capability,
    is_unchanged,
    kernel_time_ns,
    observe_fd,
)
from ansible_collections.logward.permissions.plugins.module_utils._fs._inode import (
    observe_names,
    supports_acls,
    without_acls,
)
from ansible_collections.logward.permissions.plugins.module_utils._fs._mounts import (
    read_mounts,
)

WEB = 64001


def by_its_name(name: str) -> Observation:
    """Observe a name in the working directory."""

    def missed(_name: str, error: OSError) -> None:
        raise error

    ((found, observation, _fingerprint),) = observe_names(
        [name], read_mounts(), set(), missed
    )
    assert found == name
    return observation


@contextmanager
def pinned(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    try:
        yield fd
    finally:
        os.close(fd)


def observed(path: Path) -> Observation:
    """Observe an inode both ways, which must agree."""
    mounts = read_mounts()
    with pinned(path) as fd:
        by_descriptor = observe_fd(fd, mounts)
    before = Path.cwd()
    with pinned(path.parent) as fd:
        os.fchdir(fd)
        try:
            by_name = by_its_name(path.name)
        finally:
            os.chdir(before)
    assert by_name == by_descriptor
    return by_name


def _directory(path: Path) -> None:
    path.mkdir()


def _file(path: Path) -> None:
    path.touch()


def _symlink(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def _character_device(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 7))


def _block_device(path: Path) -> None:
    os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(7, 255))


KINDS = {
    "directory": _directory,
    "file": _file,
    "symlink": _symlink,
    "fifo": _fifo,
    "socket": _socket,
    "character device": _character_device,
    "block device": _block_device,
}


@pytest.mark.parametrize("kind", KINDS)
def test_kind_and_owner(site: Path, kind: str) -> None:
    path = site / "inode"
    KINDS[kind](path)
    os.chown(path, WEB, 64003, follow_symlinks=False)
    found = observed(path)
    assert found.inode.kind == kind.rpartition(" ")[2]
    assert (found.inode.uid, found.inode.gid) == (WEB, 64003)
    assert found.inode.links == path.lstat().st_nlink
    assert found.inode.mode == stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize("mode", [0o0000, 0o0640, 0o1777, 0o2775, 0o4755, 0o7777])
def test_mode(site: Path, mode: int) -> None:
    for path in (site / "file", site / "directory"):
        path.mkdir() if path.name == "directory" else path.touch()
        path.chmod(mode)
        inode = observed(path).inode
        assert inode.mode == mode
        assert inode.special == mode & 0o7000
        assert inode.acl.is_minimal
        assert inode.default_acl is None


def test_acls_that_setfacl_sets(site: Path) -> None:
    path = site / "directory"
    path.mkdir(0o750)
    for entries in ("u:64001:rwx,g:64003:rx,m::rx", "d:u:64002:rw,d:o::---"):
        subprocess.run(["setfacl", "-m", entries, path], check=True)
    inode = observed(path).inode
    assert inode.acl == Acl(7, 5, 0, 5, ((64001, 7),), ((64003, 5),))
    assert inode.default_acl == Acl(7, 5, 0, 7, ((64002, 6),))
    assert inode.mode == stat.S_IMODE(path.stat().st_mode) == 0o750


@pytest.mark.parametrize(
    ("flag", "name"), [("i", "immutable"), ("a", "append_only"), ("d", None)]
)
def test_flags(site: Path, flag: str, name: str | None) -> None:
    path = site / "file"
    path.touch()
    subprocess.run(["chattr", f"+{flag}", path], check=True)
    try:
        inode = observed(path).inode
    finally:
        subprocess.run(["chattr", f"-{flag}", path], check=True)
    assert inode.immutable is (name == "immutable")
    assert inode.append_only is (name == "append_only")


def test_stamp_is_the_same_under_another_name_and_another_for_another_inode(
    site: Path,
) -> None:
    path, moved = site / "a", site / "b"
    path.touch()
    stamp = observed(path).stamp
    path.rename(moved)
    moved.chmod(0o600)
    moved.write_text("content")
    assert observed(moved).stamp == stamp
    moved.unlink()
    # Most file systems give it the same number.
    moved.touch()
    assert observed(moved).stamp != stamp


def test_mount(site: Path, mounted: Callable[..., Path]) -> None:
    tmpfs = mounted(site / "tmpfs", "-t", "tmpfs", "-o", "ro", "none")
    mount = observed(tmpfs).inode.mount
    assert (mount.type, mount.read_only, mount.group_from_directory) == (
        "tmpfs",
        True,
        False,
    )
    assert not observed(site).inode.mount.read_only
    assert observed(tmpfs).mount_id != observed(site).mount_id


def test_has_capability(site: Path) -> None:
    path = site / "file"
    path.touch()
    with pinned(path) as fd:
        assert not has_capability(fd)
        subprocess.run(["setcap", "cap_chown+p", path], check=True)
        assert has_capability(fd)


def test_file_system_without_acls(site: Path, mounted: Callable[..., Path]) -> None:
    ramfs = mounted(site / "ramfs", "-t", "ramfs", "none")
    for path, supported in ((ramfs, False), (site, True)):
        with pinned(path) as fd:
            assert supports_acls(fd) is supported
        assert observed(path).inode.acl.is_minimal
    observation = without_acls(observed(site))
    assert not observation.inode.mount.acl_supported
    assert observation.stamp == observed(site).stamp


LATER = 2**62


def _unchanged(path: Path, seen: Observation, before_ns: int = LATER) -> bool:
    with pinned(path) as fd:
        return is_unchanged(fd, seen, before_ns)


@pytest.fixture
def path(site: Path, mounted: Callable[..., Path]) -> Path:
    """A file where its ctime tells all, whatever this machine's own disk is."""
    path = mounted(site / "tmpfs", "-t", "tmpfs", "none") / "file"
    path.touch()
    return path


def test_what_has_not_changed(path: Path) -> None:
    assert _unchanged(path, observed(path))


@pytest.mark.parametrize("kind", ["xfs", "overlay", "nfs4", "unknown"])
def test_what_has_not_changed_where_that_need_not_show(path: Path, kind: str) -> None:
    seen = observed(path)
    mount = replace(seen.inode.mount, type=kind)
    assert not _unchanged(path, seen._replace(inode=replace(seen.inode, mount=mount)))


def test_what_changed_after_the_kernels_clock_was_read(path: Path) -> None:
    for _again in range(1000):
        before_ns = kernel_time_ns()
        path.unlink(missing_ok=True)
        path.touch()
        # A second change might show the same time.
        assert not _unchanged(path, observed(path), before_ns)
    time.sleep(0.02)
    assert _unchanged(path, observed(path), kernel_time_ns())


def test_whole_seconds_tell_less(site: Path, mounted: Callable[..., Path]) -> None:
    image = site / "image"
    subprocess.run(["truncate", "-s", "4M", image], check=True)
    # Such inodes have no room for more.
    subprocess.run(["mkfs.ext4", "-q", "-I", "128", image], check=True)
    path = mounted(site / "ext4", "-o", "loop", str(image)) / "file"
    path.touch()
    seen = observed(path)
    assert seen.changed_ns % 10**9 == 0
    assert not _unchanged(path, seen, seen.changed_ns + 10**9)
    assert _unchanged(path, seen, seen.changed_ns + 3 * 10**9)


AFTERWARDS: dict[str, Callable[[Path], object]] = {
    "mode": lambda path: path.chmod(0o600),
    "owner": lambda path: os.chown(path, WEB, -1),
    "ACL": lambda path: subprocess.run(
        ["setfacl", "-m", "u:64001:r", path], check=True
    ),
    "link": lambda path: os.link(path, f"{path}.link"),
    "content": lambda path: path.write_text("x"),
    "name, and back": lambda path: path.rename(f"{path}.old").rename(path),
}


@pytest.mark.parametrize("change", AFTERWARDS.values(), ids=AFTERWARDS)
def test_what_has_changed(path: Path, change: Callable[[Path], object]) -> None:
    seen = observed(path)
    time.sleep(0.02)
    change(path)
    assert not _unchanged(path, seen)


def test_another_inode(path: Path) -> None:
    other = path.with_name("other")
    other.touch()
    seen, theirs = observed(path), observed(other)
    assert not _unchanged(other, seen._replace(changed_ns=theirs.changed_ns))
    assert _unchanged(other, theirs)


def test_inode_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError) as error:
        by_its_name("new\udcff")
    assert error.value.filename == "new\udcff"
