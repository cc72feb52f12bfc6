# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""logrotate.conf and what it includes, read as logrotate 3.21 and 3.22 read them.

What logrotate skips is skipped here: a stanza in which something is wrong, the
rest of a file that it cannot read on. (3.18, of Debian 11, goes on after some
mistakes.) Rules: logrotate.conf(5), and the order in which ``config.c`` decides.
"""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from .._names import display
from .._writers._files import MAX_FILES, below, list_names, matching, read_text, unread
from .._writers._source import Problem
from ._logrotate_file import File, Scope
from ._stanza import Place, Settings

CONFIGURATION = "/etc/logrotate.conf"
#: Names that are passed over in a directory, until tabooext says otherwise.
_TABOO = (
    *("*,v", "*.bak", "*.cfsaved", "*.disabled", "*.dpkg-bak", "*.dpkg-del"),
    *("*.dpkg-dist", "*.dpkg-new", "*.dpkg-old", "*.dpkg-tmp", "*.new", "*.old"),
    *("*.orig", "*.rhn-cfg-tmp-*", "*.rpmnew", "*.rpmorig", "*.rpmsave", "*.swp"),
    *("*.ucf-dist", "*.ucf-new", "*.ucf-old", "*~"),
)
_MAX_NESTING = 16


@dataclass(frozen=True)
class Stanza:
    """What logrotate does with some logs.

    ``files`` are what the patterns match now: absolute paths that exist; of a
    pattern that matches nothing, the pattern itself.
    """

    place: Place
    patterns: tuple[str, ...]
    files: tuple[str, ...]
    settings: Settings


@dataclass(frozen=True)
class Duplicate:
    """A file that two stanzas name: logrotate ignores the second."""

    path: str
    place: Place
    first: Place


@dataclass(frozen=True)
class Configuration:
    """All that logrotate reads, and what is wrong with it.

    ``files`` are those that it takes, in the order in which it reads them.
    """

    stanzas: tuple[Stanza, ...] = ()
    problems: tuple[Problem, ...] = ()
    duplicates: tuple[Duplicate, ...] = ()
    files: tuple[str, ...] = ()


def read(root: str, path: str = CONFIGURATION) -> Configuration:
    """Read a configuration; none, if there is none."""
    reader = _Reader(root)
    if os.path.lexists(below(root, path)):
        reader.read_path(path, Scope(), Place(path, 0))
    return reader.configuration()


class _Reader:
    """Collects the stanzas of all files."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.problems: list[Problem] = []
        self.duplicates: list[Duplicate] = []
        self.files: list[str] = []
        self.scopes: list[Scope] = []
        self.taboo: tuple[str, ...] = _TABOO
        self._depth = 0
        self._seen: dict[str, Scope] = {}

    def configuration(self) -> Configuration:
        stanzas = (
            Stanza(each.place, each.patterns, tuple(each.files), each.settings)
            for each in self.scopes
            if each.place is not None
        )
        return Configuration(
            tuple(stanzas),
            tuple(self.problems),
            tuple(self.duplicates),
            tuple(dict.fromkeys(self.files)),
        )

    def problem(self, place: Place, reason: str) -> None:
        self.problems.append(Problem(place.path, place.line, reason))

    def include(self, path: str, scope: Scope, origin: Place) -> None:
        """Read a file, or all of a directory, that is included somewhere."""
        if self._depth >= _MAX_NESTING:
            self.problem(origin, "includes too deep: logrotate does not follow")
            return
        self._depth += 1
        try:
            self.read_path(path, scope, origin)
        finally:
            self._depth -= 1

    def read_path(self, path: str, scope: Scope, origin: Place) -> None:
        try:
            status = os.stat(below(self.root, path))
            is_directory = stat.S_ISDIR(status.st_mode)
            names = list_names(self.root, path) if is_directory else []
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            self.problem(origin, f"includes {display(path)}: {reason}")
            return
        if not is_directory:
            self._read_file(path, scope)
        for name in names[:MAX_FILES]:
            if not any(_is_taboo(name, pattern) for pattern in self.taboo):
                self._read_file(os.path.join(path, name), scope)

    def _read_file(self, path: str, scope: Scope) -> None:
        before = scope.settings
        try:
            if self._is_ignored(path):
                return
            text = read_text(below(self.root, path))
        except OSError as error:
            self.problems.append(unread(path, error))
            return
        self.files.append(path)
        if not File(self, path, text, scope).read():
            scope.settings = before

    def _is_ignored(self, path: str) -> bool:
        """Tell whether logrotate, as root, passes over a file; raises OSError."""
        status = os.stat(below(self.root, path))
        if not stat.S_ISREG(status.st_mode):
            return True
        if status.st_mode & 0o022:
            reason = "is writable by group or others: logrotate ignores it"
        elif status.st_uid != 0:
            reason = "does not belong to root: logrotate ignores it"
        else:
            return False
        self.problem(Place(path, 0), reason)
        return True

    def add_files(self, scope: Scope, pattern: str, place: Place) -> bool:
        """Add what a pattern matches to a stanza; False for a duplicate."""
        for path in _expanded(self.root, pattern):
            other = self._seen.get(path)
            if other is None:
                self._seen[path] = scope
                scope.files.append(path)
            elif not other.settings.ignoreduplicates:
                first = other.place or place
                self.duplicates.append(Duplicate(path, place, first))
                reason = (
                    f"names {display(path)} again, as {display(first.path)} line "
                    f"{first.line}: logrotate calls that an error"
                )
                self.problem(place, reason)
                return False
        return True

    def drop(self, scope: Scope) -> None:
        """Forget a stanza that logrotate skips."""
        self.scopes.remove(scope)
        for path in scope.files:
            del self._seen[path]

    def device(self, path: str) -> int | None:
        """Return the device that a path is on; None if it does not exist."""
        try:
            return os.stat(below(self.root, path)).st_dev
        except OSError:
            return None


def _is_taboo(name: str, pattern: str) -> bool:
    """Tell whether fnmatch(3) matches with FNM_PERIOD."""
    hidden = name.startswith(".") and not pattern.startswith(".")
    return not hidden and fnmatch.fnmatchcase(name, pattern)


def _expanded(root: str, pattern: str) -> Iterator[str]:
    """Yield what glob(3) finds, directories left out; itself, if nothing."""
    pattern = os.path.expanduser(pattern) if pattern.startswith("~") else pattern
    if not pattern.startswith("/"):
        yield pattern
        return
    for path in matching(root, pattern) or [pattern]:
        try:
            mode = os.lstat(below(root, path)).st_mode
        except (OSError, ValueError):
            mode = 0
        if not stat.S_ISDIR(mode):
            yield path
