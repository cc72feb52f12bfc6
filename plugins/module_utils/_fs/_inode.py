# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading inodes: through a descriptor, or by a name in the pinned directory."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from .._access import DIRECTORY, REGULAR, Inode, Mount
from .._acl import decode, from_mode
from ._mounts import mount_of
from ._statx import (
    APPEND_ONLY,
    IMMUTABLE,
    Status,
    status_of_fd,
    status_of_name,
)

ACCESS_XATTR = "system.posix_acl_access"
DEFAULT_XATTR = "system.posix_acl_default"
CAPABILITY_XATTR = "security.capability"

_DISTINCT_INODES = 4096
_KINDS = {
    stat.S_IFDIR: DIRECTORY,
    stat.S_IFREG: REGULAR,
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFBLK: "device",
    stat.S_IFCHR: "device",
}


@dataclass(frozen=True)
class Stamp:
    """What tells one inode from another that later has the same number.

    ``born_ns`` is the birth time in nanoseconds, None where the file system
    keeps none.
    """

    device: int
    ino: int
    born_ns: int | None


@dataclass(frozen=True)
class Observation:
    """An inode as it was read, and which one it was."""

    inode: Inode
    stamp: Stamp
    mount_id: int | None


def proc_path(fd: int) -> str:
    """Return the path that reaches exactly the inode of a descriptor.

    Calls that refuse an O_PATH descriptor take it (open(2), O_PATH).
    """
    return f"/proc/self/fd/{fd}"


def observe_fd(fd: int, mounts: Mapping[int, Mount]) -> Observation:
    """Read the inode of a descriptor, which may be an O_PATH one."""
    return _observed(status_of_fd(fd), proc_path(fd), True, mounts)


def observe_name(
    directory_fd: int, name: str, mounts: Mapping[int, Mount]
) -> Observation:
    """Read a name of the directory that is the working directory now."""
    return _observed(status_of_name(directory_fd, name), name, False, mounts)


def _observed(
    status: Status, path: str, follow: bool, mounts: Mapping[int, Mount]
) -> Observation:
    format_bits = stat.S_IFMT(status.mode)
    access = default = None
    if format_bits in (stat.S_IFREG, stat.S_IFDIR):
        access = _read_xattr(path, ACCESS_XATTR, follow)
    if format_bits == stat.S_IFDIR:
        default = _read_xattr(path, DEFAULT_XATTR, follow)
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
    return Observation(inode, stamp, status.mount_id)


def _read_xattr(path: str, attribute: str, follow: bool) -> bytes | None:
    """Return the bytes of an ACL; None where there is none or none can be."""
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
    acl = decode(access) if access is not None else None
    return Inode(
        kind=_KINDS.get(stat.S_IFMT(mode), "device"),
        uid=uid,
        gid=gid,
        special=mode & 0o7000,
        acl=acl or from_mode(mode),
        default_acl=decode(default) if default is not None else None,
        links=links,
        immutable=bool(attributes & IMMUTABLE),
        append_only=bool(attributes & APPEND_ONLY),
        mount=mount,
    )


def has_capability(fd: int) -> bool:
    """Tell whether a file carries capabilities(7)."""
    try:
        os.getxattr(proc_path(fd), CAPABILITY_XATTR)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.EOPNOTSUPP):
            return False
        raise
    return True


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
    return replace(observation, inode=replace(observation.inode, mount=mount))
