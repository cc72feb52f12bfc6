# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuration files: find them and read them, whatever lies there.

``root`` is where the host's file system is: ``/``, or a test's directory. Paths
that go in and out of here are the host's, without it.
"""

from __future__ import annotations

import errno
import glob
import itertools
import os
import stat

from .._names import display
from ._source import Problem

#: More is no configuration that somebody wrote.
MAX_BYTES = 1024 * 1024
MAX_FILES = 10_000


def read_lines(path: str) -> list[str]:
    r"""Return the lines of a regular file, without the ``\n`` at their ends.

    Otherwise as read_text().
    """
    lines = read_text(path).split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def read_text(path: str) -> str:
    """Return what a regular file holds.

    Symbolic links are followed: ``sites-enabled`` consists of them. FIFOs and
    devices are never opened, as they could block or act. Bytes that are not
    UTF-8 become what they become in file names (os.fsdecode). Raises OSError,
    also for what is not a regular file or is larger than MAX_BYTES.
    """
    return os.fsdecode(_read(path))


def _read(path: str) -> bytes:
    try:
        pin = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except ValueError:
        raise OSError(errno.EINVAL, "Invalid file name", display(path)) from None
    try:
        mode = os.fstat(pin).st_mode
        if stat.S_ISDIR(mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "Not a regular file", path)
        with open(f"/proc/self/fd/{pin}", "rb", buffering=0, opener=_open) as file:
            return _read_all(file.fileno(), path)
    finally:
        os.close(pin)


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def _read_all(descriptor: int, path: str) -> bytes:
    data = b""
    while part := os.read(descriptor, MAX_BYTES + 1 - len(data)):
        data += part
    if len(data) > MAX_BYTES:
        raise OSError(errno.EFBIG, f"Larger than {MAX_BYTES} bytes", path)
    return data


def below(root: str, path: str) -> str:
    """Return where an absolute path of the host is found."""
    return os.path.join(root, path.lstrip("/"))


def list_names(root: str, directory: str) -> list[str]:
    """Return the sorted names in a directory; none if it does not exist."""
    try:
        return sorted(os.listdir(below(root, directory)))
    except (FileNotFoundError, NotADirectoryError):
        return []


def matching(root: str, pattern: str) -> list[str]:
    """Return the sorted absolute paths that an absolute glob pattern matches."""
    top = os.path.join(root, "")
    try:
        found = glob.iglob(glob.escape(top) + pattern.lstrip("/"))
        return sorted(
            "/" + path[len(top) :] for path in itertools.islice(found, MAX_FILES)
        )
    except ValueError:  # a NUL in the pattern
        return []


def unread(path: str, error: OSError) -> Problem:
    """Say that a file could not be read, and why."""
    return Problem(path, 0, f"cannot be read: {error.strerror or error}")
