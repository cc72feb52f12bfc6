# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading inodes: through a descriptor, or by a name in the pinned directory."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Callable, NamedTuple, Optional

from .._access import DIRECTORY, REGULAR, Inode, Mount
from .._acl import MAX_BYTES, Acl, AclFormatError, decode, from_mode
from ._mounts import mount_of
from ._statx import (
    APPEND_ONLY,
    IMMUTABLE,
    Status,
    glance,
    last_status,
    status_of_fd,
)

ACCESS_XATTR = "system.posix_acl_access"
DEFAULT_XATTR = "system.posix_acl_default"
CAPABILITY_XATTR = "security.capability"

#: What is the same for files that are alike: attributes, links, owner and group;
#: mode, device, mount, access ACL.
Fingerprint = tuple[bytes, int, int, int, Optional[bytes]]
#: Regular files that need no second look.
Known = set[Fingerprint]

#: File systems where whatever gives an inode another name sets its ctime. On xfs
#: RENAME_EXCHANGE of files does not (fs/xfs/libxfs/xfs_dir2.c), and an overlay does
#: as what it lies on.
_CTIME_TELLS = frozenset({"btrfs", "ext4", "tmpfs"})

_DISTINCT_INODES = 4096
#: Stands for an ACL that is not looked at: all that are too long are alike.
_TOO_LONG = b""
_COARSE = 5
#: A file system that cuts times off: ext4 with small inodes keeps whole seconds.
_FINE_NS, _WHOLE_SECONDS_NS = 10**6, 2 * 10**9
_FORMAT = stat.S_IFMT(0xFFFF)
_HAVE_ACLS = (stat.S_IFREG, stat.S_IFDIR)
_KINDS = {
    stat.S_IFDIR: DIRECTORY,
    stat.S_IFREG: REGULAR,
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFBLK: "device",
    stat.S_IFCHR: "device",
}


class Stamp(NamedTuple):
    """What tells one inode from another that later has the same number.

    ``born_ns`` is the birth time in nanoseconds, None where the file system
    keeps none.
    """

    device: int
    ino: int
    born_ns: int | None


class Observation(NamedTuple):
    """An inode as it was read, which one it was, and when it last changed.

    ``changed_ns`` is the ctime in nanoseconds since the epoch.
    """

    inode: Inode
    stamp: Stamp
    mount_id: int | None
    changed_ns: int


def proc_path(fd: int) -> str:
    """Return the path that reaches exactly the inode of a descriptor.

    Calls that refuse an O_PATH descriptor take it (open(2), O_PATH).
    """
    return f"/proc/self/fd/{fd}"


def observe_fd(fd: int, mounts: Mapping[int, Mount]) -> Observation:
    """Read the inode of a descriptor, which may be an O_PATH one."""
    return _observed_fd(status_of_fd(fd), fd, mounts)


def kernel_time_ns() -> int:
    """Return the clock that the kernel takes the ctime of inodes from.

    It goes by ticks (``ktime_get_coarse_real_ts64()``): whatever changes from now
    on will have that time or a later one, and what has an earlier one has not
    been changed since.
    """
    return time.clock_gettime_ns(_COARSE)


def is_unchanged(fd: int, seen: Observation, before_ns: int) -> bool:
    """Tell whether an inode is certainly the one that was ``seen``, as it was.

    Whatever changes an inode sets its ctime, and where that is trusted so does
    whatever gives it another name: it was seen by its name, in two calls, and a
    name that stood for another inode in one of them shows. ``before_ns`` is what
    ``kernel_time_ns`` was before.
    """
    if seen.inode.mount.type not in _CTIME_TELLS:
        return False
    status = os.stat(fd)
    changed_ns = status.st_ctime_ns
    if changed_ns != seen.changed_ns or changed_ns >= before_ns:
        return False
    if not changed_ns % _FINE_NS and changed_ns >= before_ns - _WHOLE_SECONDS_NS:
        return False
    return status.st_ino == seen.stamp.ino and status.st_dev == seen.stamp.device


def _observed_fd(status: Status, fd: int, mounts: Mapping[int, Mount]) -> Observation:
    path = proc_path(fd)
    format_bits = status.mode & _FORMAT
    access = default = None
    if format_bits in _HAVE_ACLS:
        access = _read_acl(path, ACCESS_XATTR, True)
    if format_bits == stat.S_IFDIR:
        default = _read_acl(path, DEFAULT_XATTR, True)
    return _observed(status, access, default, mounts)


def observe_names(
    names: Iterable[str],
    mounts: Mapping[int, Mount],
    known: Known,
    missed: Callable[[str, OSError], None],
) -> Iterator[tuple[str, Observation, Fingerprint]]:
    """Read names of the directory that is the working directory now.

    Those that are ``known`` are not yielded. An error of a name is told to
    ``missed``, and the others are read.
    """
    for name in names:
        try:
            raw, mode, device, mount = glance(name)
            format_bits = mode & _FORMAT
            access = default = None
            if format_bits in _HAVE_ACLS:
                access = _read_acl(name, ACCESS_XATTR, False)
            fingerprint = raw, mode, device, mount, access
            if fingerprint in known:
                continue
            status = last_status()
            if format_bits == stat.S_IFDIR:
                default = _read_acl(name, DEFAULT_XATTR, False)
        except OSError as error:
            missed(name, error)
            continue
        yield name, _observed(status, access, default, mounts), fingerprint


def _observed(
    status: Status,
    access: bytes | None,
    default: bytes | None,
    mounts: Mapping[int, Mount],
) -> Observation:
    inode = _inode(
        status.mode,
        status.uid,
        status.gid,
        status.links,
        status.attributes,
        access,
        default,
        mount_of(mounts, status.mount_id),
    )
    stamp = Stamp(status.device, status.ino, status.born_ns)
    return Observation(inode, stamp, status.mount_id, status.changed_ns)


def _read_acl(path: str, attribute: str, follow: bool) -> bytes | None:
    value = _read_xattr(path, attribute, follow)
    return value if value is None or len(value) <= MAX_BYTES else _TOO_LONG


def _read_xattr(path: str, attribute: str, follow: bool) -> bytes | None:
    """Return the bytes of an attribute; None where there is none or none can be."""
    try:
        return os.getxattr(path, attribute, follow_symlinks=follow)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.EOPNOTSUPP):
            return None
        raise


@lru_cache(maxsize=_DISTINCT_INODES)
def _inode(
    mode: int,
    uid: int,
    gid: int,
    links: int,
    attributes: int,
    access: bytes | None,
    default: bytes | None,
    mount: Mount,
) -> Inode:
    """Return the same value for inodes that are alike, as most of a tree are.

    Whatever is decided about one of them then holds for all at no cost.
    """
    try:
        acl, default_acl = _decoded(access), _decoded(default)
        is_unread = False
    except AclFormatError:  # _TOO_LONG, or what some FUSE file system made up
        acl = default_acl = None
        is_unread = True
    return Inode(
        kind=_KINDS.get(mode & _FORMAT, "device"),
        uid=uid,
        gid=gid,
        special=mode & 0o7000,
        acl=acl or from_mode(mode),
        default_acl=default_acl,
        links=links,
        immutable=bool(attributes & IMMUTABLE),
        append_only=bool(attributes & APPEND_ONLY),
        acl_unread=is_unread,
        mount=mount,
    )


def _decoded(value: bytes | None) -> Acl | None:
    return None if value is None else decode(value)


def has_capability(fd: int) -> bool:
    """Tell whether a file carries capabilities(7)."""
    return _read_xattr(proc_path(fd), CAPABILITY_XATTR, True) is not None


def seems_without_capability(name: str) -> bool:
    """Tell whether a name of the working directory stands for a file without any.

    Certain only if what was opened by the name ``is_unchanged``.
    """
    try:
        return _read_xattr(name, CAPABILITY_XATTR, False) is None
    except OSError:
        return False


def supports_acls(fd: int) -> bool:
    """Tell whether the file system of a descriptor keeps POSIX ACLs."""
    try:
        os.getxattr(proc_path(fd), ACCESS_XATTR)
    except OSError as error:
        return error.errno != errno.EOPNOTSUPP
    return True


def without_acls(observation: Observation) -> Observation:
    """Mark an observation: its file system keeps no ACLs."""
    mount = replace(observation.inode.mount, acl_supported=False)
    return observation._replace(inode=replace(observation.inode, mount=mount))
