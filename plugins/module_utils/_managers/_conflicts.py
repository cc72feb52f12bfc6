# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What managers are asked about a log directory, and what they answer."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from .._access import Inode, Place, Verdict
from .._findings import Finding, because, described
from .._identity import Identity, group_name, user_name
from .._names import display
from .._policy import Policy
from .._rehearsal import kept_out, locked_out
from .._writers._source import Problem

_DATE = re.compile(r"(\d{4})([-_.]?)(\d{2})\2(\d{2})(?!\d)")
_DAY_SECONDS = 24 * 60 * 60


@dataclass(frozen=True)
class LogFile:
    """A file right in a log directory, as it is and as it is planned."""

    name: str
    before: Inode
    after: Inode


@dataclass(frozen=True)
class Logs:
    """A log directory as it is and as it is planned, and its newest files."""

    policy: Policy
    before: Place
    after: Place
    files: tuple[LogFile, ...] = ()
    #: Names that files may have tomorrow, by those that are there.
    coming: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The path of the directory."""
        return self.policy.path

    def holds(self, path: str) -> bool:
        """Tell whether a path is the directory or in it."""
        return f"{path}/".startswith(f"{self.path}/")


@dataclass(frozen=True)
class ManagedFile:
    """The next file that a manager makes in a log directory.

    ``manager`` names it, ``origin`` is where it is told to (``FILE:LINE``), and
    ``creator`` is whom it does it as.
    ``before`` and ``after`` are that file as things are, and after the repair.
    """

    manager: str
    origin: str
    name: str
    creator: Identity
    before: Inode
    after: Inode


@dataclass(frozen=True)
class Answer:
    """What one manager will do with a log directory.

    ``problems`` are what could not be understood of the directory's application.
    """

    findings: tuple[Finding, ...] = ()
    files: tuple[ManagedFile, ...] = ()
    problems: tuple[Problem, ...] = ()


NOTHING = Answer()


class Manager:
    """Somebody who makes or changes logs as its configuration says.

    ``problems`` are what of the configuration could not be understood.
    """

    problems: tuple[Problem, ...] = ()

    def answer(self, logs: Logs) -> Answer:
        """Return what it will do with a log directory."""
        raise NotImplementedError


@dataclass(frozen=True)
class Managers:
    """All managers of a host."""

    all: tuple[Manager, ...] = ()

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Return all that could not be understood, each once."""
        return tuple(
            dict.fromkeys(each for manager in self.all for each in manager.problems)
        )

    def answer(self, logs: Logs) -> Answer:
        """Return what all of them will do."""
        answers = [manager.answer(logs) for manager in self.all]
        return Answer(
            tuple(each for answer in answers for each in answer.findings),
            tuple(each for answer in answers for each in answer.files),
            tuple(each for answer in answers for each in answer.problems),
        )


NO_MANAGERS = Managers()


@dataclass(frozen=True)
class Rehearsed:
    """What comes of a manager's change: whom it locks out, and when.

    ``out_before`` are those whom it would lock out as things are, ``out_after``
    those after the repair.
    """

    out_before: Sequence[tuple[Identity, Verdict]] = ()
    out_after: Sequence[tuple[Identity, Verdict]] = ()
    shown: str = field(default="", compare=False)

    @property
    def locks_out(self) -> bool:
        """Whether any writer will not be able to write."""
        return bool(self.out_before or self.out_after)

    def sentence(self, cannot: str) -> str:
        """Return whom it locks out and why; ``cannot`` is what they cannot do."""
        out = self.out_after or self.out_before
        identity, verdict = out[0]
        more = f" (and {len(out) - 1} more)" if len(out) > 1 else ""
        still = "" if self.out_after else ", unless it is repaired before"
        return (
            f"{identity.name}{more} cannot {cannot}{still}: "
            f"{because(identity.name, verdict)}"
        )


def rehearsed_file(logs: Logs, before: Inode, after: Inode) -> Rehearsed:
    """Return whom a file locks out that a manager makes or changes."""
    return Rehearsed(
        locked_out(logs.policy, logs.before, before),
        locked_out(logs.policy, logs.after, after),
        evidence_of(after),
    )


def rehearsed_directory(logs: Logs, before: Inode, after: Inode) -> Rehearsed:
    """Return whom a log directory keeps out that a manager changes."""
    return Rehearsed(
        kept_out(logs.policy, replace(logs.before, inode=before)),
        kept_out(logs.policy, replace(logs.after, inode=after)),
        evidence_of(after),
    )


def evidence_of(inode: Inode) -> str:
    """Return an inode in few words."""
    return described(user_name(inode.uid), group_name(inode.gid), inode.mode)


def coming_names(names: Iterable[str], now: float | None = None) -> tuple[str, ...]:
    """Return what names with a date in them become tomorrow, each once."""
    tomorrow = time.localtime((time.time() if now is None else now) + _DAY_SECONDS)
    year, month, day = (time.strftime(part, tomorrow) for part in ("%Y", "%m", "%d"))
    found = (
        _DATE.sub(lambda match: match[2].join((year, month, day)), name)
        for name in names
        if _DATE.search(name)
    )
    return tuple(dict.fromkeys(found))


def in_directory(logs: Logs, paths: Iterable[str]) -> Iterator[str]:
    """Yield the names of those paths that lie right in the log directory."""
    for path in paths:
        directory, name = os.path.split(path)
        if directory == logs.path:
            yield name


def shown_origin(path: str, line: int) -> str:
    """Return where something is set, as a message says it."""
    return f"{display(path)} line {line}"
