# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opening a log directory component by component.

Nothing here follows a symbolic link. A directory stays pinned by its
descriptor whatever happens to its name.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing

from .._access import DIRECTORY, Inode, Mount
from .._errors import HostError, LogwardError, OptionError
from .._names import display
from ._inode import Observation, observe_fd, supports_acls, without_acls
from ._mounts import read_mounts

#: Opening so neither blocks nor acts, whatever a name stands for.
PIN = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def resolved(path: str) -> str:
    """Return, for a message, where a path leads, unless that changes meanwhile."""
    try:
        return f" {display(os.path.realpath(path))}"
    except OSError:  # before Python 3.10
        return ""


class MissingDirectory(OptionError):
    """The path, or a part of it, does not exist."""


class Tree:
    """A log directory, pinned: its ancestors and itself."""

    def __init__(self, path: str) -> None:
        """Open ``path`` (absolute, normalised) without following a link.

        Raises MissingDirectory, or OptionError where a component is a symbolic
        link or no directory.
        """
        self.path = path
        self.mounts: Mapping[int, Mount] = read_mounts()
        self.ancestors: list[tuple[str, Inode]] = []
        self.fd = self._open()
        self.acl_supported = supports_acls(self.fd)
        own = self.observe()
        self._mount_id, self._device = own.mount_id, own.stamp.device
        if own.mount_id is not None:
            self.mounts = {**self.mounts, own.mount_id: own.inode.mount}

    def _open(self) -> int:
        at = "/"
        fd = os.open(at, PIN)
        for component in self.path.strip("/").split("/"):
            try:
                self.ancestors.append((at, observe_fd(fd, self.mounts).inode))
                at = os.path.join(at, component)
                child = self._pin_component(fd, component, at)
            finally:
                os.close(fd)
            fd = child
        try:
            return os.open(".", LIST, dir_fd=fd)
        except OSError as error:
            raise HostError(f"{self.path}: {error.strerror}") from error
        finally:
            os.close(fd)

    def _pin_component(self, fd: int, component: str, at: str) -> int:
        try:
            child = os.open(component, PIN, dir_fd=fd)
        except FileNotFoundError:
            raise MissingDirectory(
                "directories.path",
                self.path,
                f"does not exist: there is no {display(at)}",
                "Create it, or set missing: skip",
            ) from None
        except OSError as error:
            raise HostError(f"{display(at)}: {error.strerror}") from error
        try:
            kind = observe_fd(child, self.mounts).inode.kind
        except OSError as error:  # somebody's FUSE mount, for one
            os.close(child)
            raise HostError(f"{display(at)}: {error.strerror}") from error
        if kind == DIRECTORY:
            return child
        os.close(child)
        if kind == "symlink":
            raise OptionError(
                "directories.path",
                self.path,
                f"goes through a symbolic link, {display(at)}",
                f"Use the resolved path{resolved(self.path)}",
            )
        raise OptionError(
            "directories.path",
            self.path,
            f"is not a directory: {display(at)} is a {kind}",
            "Name the directory that the logs are in",
        )

    def close(self) -> None:
        """Let go of the directory."""
        os.close(self.fd)

    def refuse_if_covered(self) -> None:
        """Raise HostError where its path leads to another mount meanwhile.

        Whoever may rename it can lead the path elsewhere, but not there.
        """
        try:
            there = Tree(self.path)
        except (LogwardError, OSError):
            return
        with closing(there):
            if self.is_other_mount(there.observe()):
                raise HostError(
                    f"{display(self.path)}: a file system was mounted or unmounted "
                    "here meanwhile, and what was changed is below it. That stays and "
                    "is in the journal. Run again for what is here now"
                )

    def observe(self) -> Observation:
        """Read the directory itself, through its descriptor."""
        observation = observe_fd(self.fd, self.mounts)
        return observation if self.acl_supported else without_acls(observation)

    def is_other_mount(self, observed: Observation) -> bool:
        """Tell whether something else is mounted where that was observed."""
        if observed.mount_id is not None:
            return observed.mount_id != self._mount_id
        is_directory = observed.inode.kind == DIRECTORY
        return is_directory and observed.stamp.device != self._device
