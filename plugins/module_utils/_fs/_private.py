# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories of Logward's own: root's alone, from the first byte."""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress

from .._access import STICKY, Mount, others_create
from .._errors import HostError
from ._inode import observe_fd

#: Who owns a directory and may write there does not depend on its mount.
_NO_MOUNTS: dict[int, Mount] = {}
_PIN = os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC


def open_private_directory(path: str) -> int:
    """Open a directory that only root can reach into, making what is missing.

    Every component is opened without following a link; one in which others
    could exchange the next is refused. Raises HostError.
    """
    fd = _walk_to(path, make=True)
    if fd is None:
        raise HostError(f"{path} was removed while it was made. Run again")
    return fd


def check_private_directory(path: str) -> None:
    """Raise what ``open_private_directory`` would; make nothing."""
    fd = find_private_directory(path)
    if fd is not None:
        os.close(fd)


def find_private_directory(path: str) -> int | None:
    """Open a directory as ``open_private_directory`` does; None if it is missing."""
    return _walk_to(path, make=False)


def _walk_to(path: str, *, make: bool) -> int | None:
    """Return the directory; None where it is missing, and not to be made."""
    at = "/"
    with ExitStack() as opened:
        fd = _open(at, None, opened)
        inode = observe_fd(fd, _NO_MOUNTS).inode
        for component in path.strip("/").split("/"):
            at = os.path.join(at, component)
            if others_create(inode) and not inode.special & STICKY:
                raise _not_private(path, at)
            child = _enter(fd, component, at, opened, make=make)
            if child is None:
                return None
            fd = child
            inode = observe_fd(fd, _NO_MOUNTS).inode
            if inode.uid != 0:
                raise _not_private(path, at)
        if others_create(inode) or inode.mode & 0o007:
            raise HostError(
                f"{path} is open to others than root. Run: chmod 0700 {path}"
            )
        return os.dup(fd)


def _not_private(path: str, at: str) -> HostError:
    return HostError(
        f"{path}: {at} can be exchanged by others than root. "
        "Name a directory that is root's alone all the way"
    )


def _open(name: str, parent: int | None, opened: ExitStack) -> int:
    fd = os.open(name, _PIN, dir_fd=parent)
    opened.callback(os.close, fd)
    return fd


def _enter(
    parent: int, component: str, at: str, opened: ExitStack, *, make: bool
) -> int | None:
    try:
        if make:
            with suppress(FileExistsError):
                os.mkdir(component, 0o700, dir_fd=parent)
                sync_directory(parent)
        return _open(component, parent, opened)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HostError(
            f"{at} cannot be made or opened as a directory: {error.strerror}"
        ) from error


def sync_directory(fd: int) -> None:
    """Put the names in a private directory on disk."""
    listing = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
    try:
        os.fsync(listing)
    finally:
        os.close(listing)
