# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opening a log directory component by component, and walking below it.

Nothing here follows a symbolic link. A directory stays pinned by its
descriptor whatever happens to its name; the walk iterates, never recurses
(CVE-2021-3997), and never leaves the mount.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from heapq import nlargest
from itertools import islice
from typing import Callable

from .._access import DIRECTORY, Inode, Mount
from .._errors import HostError, OptionError
from .._names import display
from ._inode import (
    Observation,
    observe_fd,
    observe_name,
    supports_acls,
    without_acls,
)
from ._mounts import read_mounts

MAX_DEPTH = 128
MAX_ENTRIES = 10_000_000
_NEWEST_FIRST = 64
_NAMES_AT_ONCE = 256
_GONE = (errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.ESTALE)
_PIN = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class MissingDirectory(OptionError):
    """The path, or a part of it, does not exist."""


@dataclass
class Visit:
    """One inode below the log directory.

    ``path`` is relative to it; ``directory_fd`` is open during the visit
    only. ``other_mount`` is true where something else is mounted there.
    Whoever takes the visit of a directory may keep the walk from entering it;
    one that is ``too_deep`` is not entered.
    """

    path: str
    name: str
    directory_fd: int
    observed: Observation
    other_mount: bool
    too_deep: bool = False
    enter: bool = True


class _Level:
    """A directory that is being listed: its descriptor and what is left."""

    def __init__(self, fd: int, prefix: str, excluded: Callable[[str], bool]) -> None:
        self.fd = fd
        self.prefix = prefix
        self._entries = os.scandir(fd)
        self.names = (
            entry.name for entry in self._entries if not excluded(prefix + entry.name)
        )
        self.visits: Iterator[Visit] = iter(())

    def close(self) -> None:
        self._entries.close()
        os.close(self.fd)


def is_gone(error: OSError) -> bool:
    """Tell whether a name vanished, or became another, under the walk."""
    return error.errno in _GONE


class Tree:
    """A log directory, pinned: its ancestors, itself, and what is below it.

    ``vanished`` counts what went away while it was looked at, ``unreadable``
    what the kernel would not tell of (somebody's FUSE mount, a broken disk);
    ``first_unreadable`` is the first of them and the reason.
    """

    def __init__(self, path: str) -> None:
        """Open ``path`` (absolute, normalised) without following a link.

        Raises MissingDirectory, or OptionError where a component is a symbolic
        link or no directory.
        """
        self.path = path
        self.mounts: Mapping[int, Mount] = read_mounts()
        self.ancestors: list[tuple[str, Inode]] = []
        self._newest: list[str] | None = None
        self.vanished = 0
        self.unreadable = 0
        self.first_unreadable = ""
        self.fd = self._open()
        self.acl_supported = supports_acls(self.fd)
        self._mount_id = self.observe().mount_id
        self._device = self.observe().stamp.device

    def _open(self) -> int:
        at = "/"
        fd = os.open(at, _PIN)
        for component in self.path.strip("/").split("/"):
            try:
                self.ancestors.append((at, observe_fd(fd, self.mounts).inode))
                at = os.path.join(at, component)
                child = self._pin_component(fd, component, at)
            finally:
                os.close(fd)
            fd = child
        try:
            return os.open(".", _LIST, dir_fd=fd)
        except OSError as error:
            raise HostError(f"{self.path}: {error.strerror}") from error
        finally:
            os.close(fd)

    def _pin_component(self, fd: int, component: str, at: str) -> int:
        try:
            child = os.open(component, _PIN, dir_fd=fd)
        except FileNotFoundError:
            raise MissingDirectory(
                "directories.path",
                self.path,
                f"does not exist: there is no {display(at)}",
                "Create it, or set missing: skip",
            ) from None
        except OSError as error:
            raise HostError(f"{display(at)}: {error.strerror}") from error
        kind = observe_fd(child, self.mounts).inode.kind
        if kind == DIRECTORY:
            return child
        os.close(child)
        if kind == "symlink":
            raise OptionError(
                "directories.path",
                self.path,
                f"goes through a symbolic link, {display(at)}",
                f"Use the resolved path {display(os.path.realpath(self.path))}",
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

    def observe(self) -> Observation:
        """Read the directory itself, through its descriptor."""
        observation = observe_fd(self.fd, self.mounts)
        return observation if self.acl_supported else without_acls(observation)

    def pin(self, visit: Visit) -> int:
        """Return an O_PATH descriptor of what was visited; OSError if gone.

        Opening so neither blocks nor acts, whatever the name stands for now,
        and a write lease does not delay it.
        """
        return os.open(visit.name, _PIN, dir_fd=visit.directory_fd)

    def walk(self, recurse: bool, excluded: Callable[[str], bool]) -> Iterator[Visit]:
        """Yield what is below the directory, the newest files first.

        A directory comes before what is in it. Raises HostError where the
        tree has more than MAX_ENTRIES entries.
        """
        yield from self.newest(excluded)
        done = frozenset(self._newest_names(excluded))
        for count, visit in enumerate(self._walk(recurse, excluded)):
            if count >= MAX_ENTRIES:
                raise HostError(
                    f"{display(self.path)}: more than {MAX_ENTRIES} entries; "
                    "exclude a part of it"
                )
            if visit.path not in done:
                yield visit

    def newest(self, excluded: Callable[[str], bool]) -> Iterator[Visit]:
        """Yield the files in the directory itself that changed last, newest first."""
        yield from self._visits(self.fd, "", iter(self._newest_names(excluded)))

    def _newest_names(self, excluded: Callable[[str], bool]) -> list[str]:
        if self._newest is None:
            self._newest = self._find_newest(excluded)
        return self._newest

    def _find_newest(self, excluded: Callable[[str], bool]) -> list[str]:
        with os.scandir(self.fd) as entries:
            files = (
                (_modified_ns(entry), entry.name)
                for entry in entries
                if entry.is_file(follow_symlinks=False) and not excluded(entry.name)
            )
            return [name for _time, name in nlargest(_NEWEST_FIRST, files)]

    def _walk(self, recurse: bool, excluded: Callable[[str], bool]) -> Iterator[Visit]:
        levels: list[_Level] = []
        try:
            self._enter(levels, os.dup(self.fd), "", excluded)
            while levels:
                visit = self._next(levels[-1])
                if visit is None:
                    levels.pop().close()
                    continue
                yield visit
                is_directory = visit.observed.inode.kind == DIRECTORY
                if recurse and is_directory and visit.enter and not visit.too_deep:
                    self._descend(levels, visit, excluded)
        finally:
            for level in levels:
                level.close()

    def _next(self, level: _Level) -> Visit | None:
        """Return what comes next in a directory; None where nothing does."""
        try:
            return next(level.visits, None)
        except OSError as error:
            self._missed(level.prefix, error)
            return None

    def _enter(
        self,
        levels: list[_Level],
        fd: int,
        prefix: str,
        excluded: Callable[[str], bool],
    ) -> None:
        try:
            level = _Level(fd, prefix, excluded)
        except OSError as error:
            self._missed(prefix, error)
            os.close(fd)
            return
        level.visits = self._visits(fd, prefix, level.names)
        levels.append(level)

    def _descend(
        self, levels: list[_Level], visit: Visit, excluded: Callable[[str], bool]
    ) -> None:
        try:
            fd = os.open(visit.name, _LIST, dir_fd=visit.directory_fd)
        except OSError as error:
            self._missed(visit.path, error)
            return
        if observe_fd(fd, self.mounts).stamp != visit.observed.stamp:
            # Another directory took its name: nobody has judged that one.
            os.close(fd)
            self.vanished += 1
            return
        self._enter(levels, fd, visit.path + "/", excluded)

    def _visits(self, fd: int, prefix: str, names: Iterator[str]) -> Iterator[Visit]:
        while True:
            some = list(islice(names, _NAMES_AT_ONCE))
            if not some:
                return
            too_deep = prefix.count("/") + 1 >= MAX_DEPTH
            for name, observed in self._observe_names(fd, prefix, some):
                other_mount = self._is_other_mount(observed)
                is_directory = observed.inode.kind == DIRECTORY
                yield Visit(
                    prefix + name,
                    name,
                    fd,
                    observed,
                    other_mount,
                    too_deep and is_directory,
                )

    def _missed(self, path: str, error: OSError) -> None:
        """Count what could not be looked at; the walk goes on without it."""
        if is_gone(error):
            self.vanished += 1
            return
        self.unreadable += 1
        self.first_unreadable = self.first_unreadable or f"{path}: {error.strerror}"

    def _observe_names(
        self, fd: int, prefix: str, names: list[str]
    ) -> list[tuple[str, Observation]]:
        """Observe names of one directory, pinned as the working directory.

        Only there can attributes be read of a name without opening it. The
        module's own working directory comes back at the end.
        """
        found = []
        before = os.open(".", _PIN)
        try:
            os.fchdir(fd)
            for name in names:
                try:
                    found.append((name, observe_name(fd, name, self.mounts)))
                except OSError as error:
                    self._missed(prefix + name, error)
        finally:
            os.fchdir(before)
            os.close(before)
        return found

    def _is_other_mount(self, observed: Observation) -> bool:
        if observed.mount_id is not None:
            return observed.mount_id != self._mount_id
        is_directory = observed.inode.kind == DIRECTORY
        return is_directory and observed.stamp.device != self._device


def _modified_ns(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_mtime_ns
    except OSError:
        return 0
