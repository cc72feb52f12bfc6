# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""statx(2): stat with the birth time, the inode flags and the mount.

Python's os.stat() has none of the three. The structure is that of
``include/uapi/linux/stat.h``; glibc has the call since 2.28.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import NamedTuple

from .._errors import HostError

IMMUTABLE, APPEND_ONLY = 0x10, 0x20

_AT_EMPTY_PATH, _AT_SYMLINK_NOFOLLOW, _AT_NO_AUTOMOUNT = 0x1000, 0x100, 0x800
_BASIC_STATS, _BTIME, _MNT_ID = 0x7FF, 0x800, 0x1000
_WANTED = _BASIC_STATS | _BTIME | _MNT_ID
# mask, attributes, nlink, uid, gid, mode, ino, btime, device, mount id
_LAYOUT = struct.Struct("=I4xQIIIH2xQ40xqI4x40xIIQ")
# One for all calls: a module has a single thread.
_BUFFER = ctypes.create_string_buffer(256)


class Status(NamedTuple):
    """What statx said; None where it is not known."""

    attributes: int
    links: int
    uid: int
    gid: int
    mode: int
    ino: int
    device: int
    born_ns: int | None
    mount_id: int | None


def _load() -> ctypes._NamedFuncPointer:
    try:
        call = ctypes.CDLL(None, use_errno=True).statx
    except AttributeError:
        raise HostError(
            "this host's C library has no statx(): glibc 2.28 or newer is needed"
        ) from None
    call.argtypes = [
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_char_p,
    ]
    return call


def status_of_fd(fd: int) -> Status:
    """Return the status of an open (or O_PATH) descriptor."""
    return _statx(fd, b"", _AT_EMPTY_PATH)


def status_of_name(directory_fd: int, name: str) -> Status:
    """Return the status of a name in a directory; a last link is not followed."""
    return _statx(directory_fd, os.fsencode(name), 0)


def _statx(directory_fd: int, name: bytes, flags: int) -> Status:
    flags |= _AT_SYMLINK_NOFOLLOW | _AT_NO_AUTOMOUNT
    if _CALL(directory_fd, name, flags, _WANTED, _BUFFER):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), os.fsdecode(name))
    (
        mask,
        attributes,
        links,
        uid,
        gid,
        mode,
        ino,
        born_s,
        born_ns,
        major,
        minor,
        mount_id,
    ) = _LAYOUT.unpack_from(_BUFFER)
    return Status(
        attributes,
        links,
        uid,
        gid,
        mode,
        ino,
        os.makedev(major, minor),
        born_s * 10**9 + born_ns if mask & _BTIME else None,
        mount_id if mask & _MNT_ID else None,
    )


_CALL = _load()
