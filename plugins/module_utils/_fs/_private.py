# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories of Logward's own: root's alone, from the first byte."""

from __future__ import annotations

import os
from contextlib import suppress

from .._access import STICKY, Inode, others_create
from .._errors import HostError
from ._inode import observe_fd
from ._mounts import read_mounts

_PIN = os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC


def open_private_directory(path: str) -> int:
    """Open a directory that only root can reach into, making what is missing.

    Every component is opened without following a link; one in which others
    could exchange the next is refused. Raises HostError.
    """
    mounts = read_mounts()
    at = "/"
    fd = os.open(at, _PIN)
    inode = observe_fd(fd, mounts).inode
    for component in path.strip("/").split("/"):
        parent = inode
        at = os.path.join(at, component)
        child = _enter(fd, component, at)
        inode = observe_fd(child, mounts).inode
        if inode.uid != 0 or _exchangeable(parent):
            os.close(child)
            raise HostError(
                f"{path}: {at} can be exchanged by others than root. "
                "Name a directory that is root's alone all the way"
            )
        fd = child
    if others_create(inode) or inode.mode & 0o007:
        os.close(fd)
        raise HostError(f"{path} is open to others than root. Run: chmod 0700 {path}")
    return fd


def _exchangeable(parent: Inode) -> bool:
    return others_create(parent) and not parent.special & STICKY


def _enter(fd: int, component: str, at: str) -> int:
    try:
        with suppress(FileExistsError):
            os.mkdir(component, 0o700, dir_fd=fd)
        return os.open(component, _PIN, dir_fd=fd)
    except OSError as error:
        raise HostError(
            f"{at} cannot be made or opened as a directory: {error.strerror}"
        ) from error
    finally:
        os.close(fd)


def sync_directory(fd: int) -> None:
    """Put the names in a private directory on disk."""
    listing = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
    try:
        os.fsync(listing)
    finally:
        os.close(listing)
