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
from ._cwd import working_directory
from ._inode import Fingerprint, Known, Observation, observe_fd, observe_names
from ._tree import LIST, PIN, Tree

MAX_DEPTH = 128
MAX_ENTRIES = 10_000_000
_MOST_KNOWN = 4096
_NEWEST_FIRST = 64
#: More would be pinned at once than a process may have open.
MOST_AT_ONCE = 256
_GONE = (errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.ESTALE)


@dataclass(frozen=True)
class Share:
    """What is right below a directory, if its name leaves ``rest`` by ``parts``."""

    rest: int
    parts: int

    def has(self, name: str) -> bool:
        """Tell whether a name, and all that is below it, is in the share."""
        return (
            self.parts == 1 or zlib.crc32(os.fsencode(name)) % self.parts == self.rest
        )


WHOLE = Share(0, 1)
HALVES = Share(0, 2), Share(1, 2)


@dataclass(frozen=True)
class Listing:
    """A directory that is being listed: open, pinned, and its files in ``known``.

    ``prefix`` is its path, with a slash behind, relative to the log directory, and
    "" for that itself. Those in it are not entered where it ``is_deepest``.
    """

    fd: int
    prefix: str
    known: Known
    tree: Tree

    @property
    def is_deepest(self) -> bool:
        """True where directories are too deep to be entered."""
        return self.prefix.count("/") + 1 >= MAX_DEPTH


@dataclass
class Visit:
    """One inode below the log directory.

    Its ``listing`` is open during the visit only.

    The walk enters a directory if whoever takes its visit sets ``enter``: to
    the files that are known there.
    """

    listing: Listing
    name: str
    observed: Observation
    fingerprint: Fingerprint
    enter: Known | None = None

    @property
    def path(self) -> str:
        """The path relative to the log directory."""
        return self.listing.prefix + self.name

    @property
    def other_mount(self) -> bool:
        """True where something else is mounted there."""
        return self.listing.tree.is_other_mount(self.observed)

    @property
    def too_deep(self) -> bool:
        """True for a directory that is not entered for its depth."""
        return self.observed.inode.kind == DIRECTORY and self.listing.is_deepest

    @property
    def enters(self) -> bool:
        """True for a directory that is to be entered."""
        return self.enter is not None and not self.too_deep

    def dismiss(self) -> None:
        """Have files of this directory that are like this one only counted."""
        known = self.listing.known
        if self.observed.inode.kind == REGULAR and len(known) < _MOST_KNOWN:
            known.add(self.fingerprint)

    def pin(self) -> int:
        """Return an O_PATH descriptor of what was visited; OSError if gone.

        A write lease does not delay it.
        """
        return os.open(self.name, PIN, dir_fd=self.listing.fd)


def is_gone(error: OSError) -> bool:
    """Tell whether a name vanished, or became another, under the walk."""
    return error.errno in _GONE


class Walk:
    """What is below a log directory, but for what is ``excluded`` by its path.

    ``counted`` are the files that were known and not shown, ``vanished`` counts
    what went away while it was looked at, ``unreadable`` what the kernel would
    not tell of (somebody's FUSE mount, a broken disk); ``first_unreadable`` is
    the first of them and the reason. ``names`` is how many the directory has, and
    ``directories`` how many of them are some.
    """

    def __init__(self, tree: Tree, excluded: Callable[[str], bool]) -> None:
        """List the newest files of the directory itself."""
        self._tree = tree
        self._excluded = excluded
        self.names = self.directories = 0
        self._newest = self._find_newest()
        self._done = frozenset(self._newest)
        self.count_anew()

    def count_anew(self) -> None:
        """Forget what was counted: for another look, or a share of another process."""
        self.counted = self.vanished = self.unreadable = self._entries = 0
        self.first_unreadable = ""

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
            self.directories += entry.is_dir(follow_symlinks=False)
            yield entry

    def newest(self, known: Known) -> list[Visit]:
        """Return the files in the directory itself that changed last, newest first."""
        return self._visits(Listing(self._tree.fd, "", known, self._tree), self._newest)

    def visits(self, recurse: bool, known: Known) -> Iterator[Visit]:
        """Yield what is below the directory one by one, the newest files first."""
        self.count_anew()
        yield from self.newest(known)
        for group in self.others(recurse, known):
            yield from group

    def others(
        self, recurse: bool, known: Known, share: Share = WHOLE
    ) -> Iterator[list[Visit]]:
        """Yield what is below the directory, but for its newest files, in groups.

        A group lies in one directory, and has MOST_AT_ONCE visits at most. Its
        directories are entered when all of it was taken, before the next one.
        ``known`` are the files of the directory itself that are counted only.
        Raises HostError where the tree has more than MAX_ENTRIES entries.
        """
        # Not a duplicate, which would share its position with a child process.
        fd = os.open(".", LIST, dir_fd=self._tree.fd)
        levels = [self._listed(fd, "", partial(self._is_done, share), known)]
        to_enter: list[list[Visit]] = [[]]
        try:
            while levels:
                if to_enter[-1]:
                    for level in self._entered(to_enter[-1].pop()):
                        levels.append(level)
                        to_enter.append([])
                    continue
                group = next(levels[-1], None)
                if group is None:
                    levels.pop()
                    to_enter.pop()
                    continue
                yield group
                if recurse:
                    to_enter[-1] = [each for each in reversed(group) if each.enters]
        finally:
            for level in levels:
                level.close()

    def _is_done(self, share: Share, name: str) -> bool:
        """Tell whether a name right below has been visited or is not to be."""
        return name in self._done or not share.has(name) or self._excluded(name)

    def _entered(self, visit: Visit) -> Iterator[Generator[list[Visit], None, None]]:
        """Yield the listing of a directory, unless it went away."""
        try:
            fd = os.open(visit.name, LIST, dir_fd=visit.listing.fd)
        except OSError as error:
            self._missed(visit.path, error)
            return
        if observe_fd(fd, self._tree.mounts).stamp != visit.observed.stamp:
            # Another directory took its name: nobody has judged that one.
            os.close(fd)
            self.vanished += 1
            return
        known = set() if visit.enter is None else visit.enter
        yield self._listed(fd, visit.path + "/", self._excluded, known)

    def _listed(
        self, fd: int, prefix: str, skipped: Callable[[str], bool], known: Known
    ) -> Generator[list[Visit], None, None]:
        """Yield what is in a directory, and close its descriptor in the end."""
        listing = Listing(fd, prefix, known, self._tree)
        try:
            with os.scandir(fd) as entries:
                while some := [each.name for each in islice(entries, MOST_AT_ONCE)]:
                    names = [name for name in some if not skipped(prefix + name)]
                    self._count(names)
                    yield self._visits(listing, names)
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

    def _visits(self, listing: Listing, names: Sequence[str]) -> list[Visit]:
        """Observe names of one directory, which is the working one meanwhile.

        Only there can attributes be read of a name without opening it.
        """

        def missed(name: str, error: OSError) -> None:
            self._missed(listing.prefix + name, error)

        lost = self.vanished + self.unreadable
        mounts = self._tree.mounts
        with working_directory(listing.fd):
            found = [
                Visit(listing, name, observed, fingerprint)
                for name, observed, fingerprint in observe_names(
                    names, mounts, listing.known, missed
                )
            ]
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
