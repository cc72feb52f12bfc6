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
import sys
from typing import NamedTuple

from .._errors import HostError

IMMUTABLE, APPEND_ONLY = 0x10, 0x20

_AT_FDCWD, _AT_EMPTY_PATH = -100, 0x1000
_AT_SYMLINK_NOFOLLOW, _AT_NO_AUTOMOUNT = 0x100, 0x800
_FLAGS = _AT_SYMLINK_NOFOLLOW | _AT_NO_AUTOMOUNT
_BASIC_STATS, _BTIME, _MNT_ID = 0x7FF, 0x800, 0x1000
_WANTED = _BASIC_STATS | _BTIME | _MNT_ID
# mask, attributes, nlink, uid, gid, mode, ino, btime, ctime, device, mount id
_LAYOUT = struct.Struct("=I4xQIIIH2xQ40xqI4xqI28xIIQ")
# attributes to gid as they are, mode, device, mount id
_GLANCE = struct.Struct("=8x20sH106xQQ").unpack_from
_ENCODING, _ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
# One for all calls: a module has a single thread.
_BUFFER = ctypes.create_string_buffer(256)


class Status(NamedTuple):
    """What statx said, times in nanoseconds; None where it is not known."""

    attributes: int
    links: int
    uid: int
    gid: int
    mode: int
    ino: int
    device: int
    born_ns: int | None
    changed_ns: int
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
    if _CALL(fd, b"", _FLAGS | _AT_EMPTY_PATH, _WANTED, _BUFFER):
        raise _error("")
    return last_status()


def glance(name: str) -> tuple[bytes, int, int, int]:
    """Look at a name in the working directory; a last link is not followed.

    Returns what is the same for inodes that are alike: bytes that stand for
    attributes, links, owner and group; the mode; numbers that stand for the
    device and the mount. It is cheap, being called for every inode of a tree:
    ``last_status`` has the rest until the next call.
    """
    # os.fsencode() would take as long as the rest of it.
    if _CALL(_AT_FDCWD, name.encode(_ENCODING, _ERRORS), _FLAGS, _WANTED, _BUFFER):
        raise _error(name)
    return _GLANCE(_BUFFER)


def last_status() -> Status:
    """Return all that the last call said."""
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
        changed_s,
        changed_ns,
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
        changed_s * 10**9 + changed_ns,
        mount_id if mask & _MNT_ID else None,
    )


def _error(name: str) -> OSError:
    error = ctypes.get_errno()
    return OSError(error, os.strerror(error), name)


_CALL = _load()
