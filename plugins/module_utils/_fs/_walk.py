# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Walking below a log directory that is pinned.

The walk iterates, never recurses (CVE-2021-3997), follows no symbolic link and
never leaves the mount.
"""

from __future__ import annotations

import errno
import os
import zlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import nlargest
from itertools import islice
from typing import Callable

from .._access import DIRECTORY, REGULAR
from .._errors import HostError
from .._names import display
from ._inode import Fingerprint, Known, Observation, observe_fd, observe_names
from ._tree import LIST, PIN, Tree

MAX_DEPTH = 128
MAX_ENTRIES = 10_000_000
_MOST_KNOWN = 4096
_NEWEST_FIRST = 64
_NAMES_AT_ONCE = 256
_GONE = (errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.ESTALE)


@dataclass(frozen=True)
class Share:
    """What is right below a directory, if its name leaves ``rest`` by ``parts``.

    The first share has the directory itself, too, and its newest files.
    """

    rest: int
    parts: int

    @property
    def is_first(self) -> bool:
        """True for one of all shares."""
        return self.rest == 0

    def has(self, name: str) -> bool:
        """Tell whether a name, and all that is below it, is in the share."""
        return (
            self.parts == 1 or zlib.crc32(os.fsencode(name)) % self.parts == self.rest
        )


WHOLE = Share(0, 1)


@dataclass
class Visit:
    """One inode below the log directory.

    ``path`` is relative to it; ``directory_fd`` is open during the visit
    only. ``other_mount`` is true where something else is mounted there. A
    directory that is ``too_deep`` is not entered.

    The walk enters a directory if whoever takes its visit sets ``enter``: to
    the files that are known there.
    """

    path: str
    name: str
    directory_fd: int
    observed: Observation
    other_mount: bool
    too_deep: bool
    fingerprint: Fingerprint
    known: Known
    enter: Known | None = None

    def dismiss(self) -> None:
        """Have files of this directory that are like this one only counted."""
        regular = self.observed.inode.kind == REGULAR
        if regular and len(self.known) < _MOST_KNOWN:
            self.known.add(self.fingerprint)

    def pin(self) -> int:
        """Return an O_PATH descriptor of what was visited; OSError if gone.

        A write lease does not delay it.
        """
        return os.open(self.name, PIN, dir_fd=self.directory_fd)


def is_gone(error: OSError) -> bool:
    """Tell whether a name vanished, or became another, under the walk."""
    return error.errno in _GONE


class Walk:
    """What is below a log directory, but for what is ``excluded`` by its path.

    ``counted`` are the files that were known and not shown, ``vanished`` counts
    what went away while it was looked at, ``unreadable`` what the kernel would
    not tell of (somebody's FUSE mount, a broken disk); ``first_unreadable`` is
    the first of them and the reason. ``names`` is how many the directory has.
    """

    def __init__(self, tree: Tree, excluded: Callable[[str], bool]) -> None:
        """List the newest files of the directory itself."""
        self.counted = self.vanished = self.unreadable = self.names = 0
        self.first_unreadable = ""
        self._tree = tree
        self._excluded = excluded
        self._newest = self._find_newest()
        self._done = frozenset(self._newest)
        self._entries = 0

    def _find_newest(self) -> list[str]:
        with os.scandir(self._tree.fd) as entries:
            files = (
                (_modified_ns(entry), entry.name)
                for entry in self._counted(entries)
                if entry.is_file(follow_symlinks=False)
                and not self._excluded(entry.name)
            )
            return [name for _time, name in nlargest(_NEWEST_FIRST, files)]

    def _counted(
        self, entries: Iterable[os.DirEntry[str]]
    ) -> Iterator[os.DirEntry[str]]:
        for entry in entries:
            self.names += 1
            yield entry

    def newest(self) -> Iterator[Visit]:
        """Yield the files in the directory itself that changed last, newest first."""
        return self._visits(self._tree.fd, "", self._newest, set())

    def visits(
        self, recurse: bool, known: Known, share: Share = WHOLE
    ) -> Iterator[Visit]:
        """Yield what is below the directory, the newest files first.

        A directory comes before what is in it. ``known`` are the files of the
        directory itself that are counted only. Raises HostError where the tree
        has more than MAX_ENTRIES entries.
        """
        self._entries = self.counted = self.vanished = self.unreadable = 0
        if share.is_first:
            yield from self._visits(self._tree.fd, "", self._newest, known)
        # Not a duplicate, which would share its position with a child process.
        fd = os.open(".", LIST, dir_fd=self._tree.fd)
        levels = [self._listed(fd, "", partial(self._is_done, share), known)]
        try:
            while levels:
                visit = next(levels[-1], None)
                if visit is None:
                    levels.pop()
                    continue
                yield visit
                if recurse and visit.enter is not None and not visit.too_deep:
                    levels += self._entered(visit, visit.enter)
        finally:
            for level in levels:
                level.close()

    def _is_done(self, share: Share, name: str) -> bool:
        """Tell whether a name right below has been visited or is not to be."""
        return name in self._done or not share.has(name) or self._excluded(name)

    def _entered(
        self, visit: Visit, known: Known
    ) -> Iterator[Generator[Visit, None, None]]:
        """Yield the listing of a directory, unless it went away."""
        try:
            fd = os.open(visit.name, LIST, dir_fd=visit.directory_fd)
        except OSError as error:
            self._missed(visit.path, error)
            return
        if observe_fd(fd, self._tree.mounts).stamp != visit.observed.stamp:
            # Another directory took its name: nobody has judged that one.
            os.close(fd)
            self.vanished += 1
            return
        yield self._listed(fd, visit.path + "/", self._excluded, known)

    def _listed(
        self, fd: int, prefix: str, skipped: Callable[[str], bool], known: Known
    ) -> Generator[Visit, None, None]:
        """Yield what is in a directory, and close its descriptor in the end."""
        try:
            with os.scandir(fd) as entries:
                while some := [each.name for each in islice(entries, _NAMES_AT_ONCE)]:
                    names = [name for name in some if not skipped(prefix + name)]
                    self._count(names)
                    yield from self._visits(fd, prefix, names, known)
        except OSError as error:
            self._missed(prefix, error)
        finally:
            os.close(fd)

    def _count(self, names: Sequence[str]) -> None:
        self._entries += len(names)
        if self._entries + len(self._newest) > MAX_ENTRIES:
            raise HostError(
                f"{display(self._tree.path)}: more than {MAX_ENTRIES} entries; "
                "exclude a part of it"
            )

    def _visits(
        self, fd: int, prefix: str, names: Sequence[str], known: Known
    ) -> Iterator[Visit]:
        too_deep = prefix.count("/") + 1 >= MAX_DEPTH
        for name, observed, fingerprint in self._observed(fd, prefix, names, known):
            yield Visit(
                prefix + name,
                name,
                fd,
                observed,
                self._tree.is_other_mount(observed),
                too_deep and observed.inode.kind == DIRECTORY,
                fingerprint,
                known,
            )

    def _observed(
        self, fd: int, prefix: str, names: Sequence[str], known: Known
    ) -> list[tuple[str, Observation, Fingerprint]]:
        """Observe names of one directory, pinned as the working directory.

        Only there can attributes be read of a name without opening it. The
        module's own working directory comes back at the end.
        """

        def missed(name: str, error: OSError) -> None:
            self._missed(prefix + name, error)

        lost = self.vanished + self.unreadable
        before = os.open(".", PIN)
        try:
            os.fchdir(fd)
            found = list(observe_names(names, self._tree.mounts, known, missed))
        finally:
            os.fchdir(before)
            os.close(before)
        lost = self.vanished + self.unreadable - lost
        self.counted += len(names) - len(found) - lost
        return found

    def _missed(self, path: str, error: OSError) -> None:
        """Count what could not be looked at; the walk goes on without it."""
        if is_gone(error):
            self.vanished += 1
            return
        self.unreadable += 1
        self.first_unreadable = self.first_unreadable or f"{path}: {error.strerror}"


def _modified_ns(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_mtime_ns
    except OSError:
        return 0
