# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service: what it is configured to run with, what it runs with, what it needs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from .._edits import Edit
from .._errors import HostError, OptionError
from .._identity import Identity, checked_octal, group_name, user_name
from ._commands import said
from ._copy import copied

NONE, RELOAD, RESTART = "none", "reload", "restart"
_STRENGTH = (NONE, RELOAD, RESTART)
_OWNERS = 0o700


@dataclass(frozen=True)
class Configured:
    """What a service's processes get when it is started now.

    ``path`` and ``line`` are where the umask is set, ``""`` and 0 where nothing
    sets it. ``identities`` are those whom it starts processes as, as far as that
    is known.
    """

    umask: int
    path: str
    line: int
    identities: tuple[Identity, ...] = ()


@dataclass(frozen=True)
class Running:
    """A process of a service, as /proc/PID/status shows it; ``groups`` has the gid."""

    pid: int
    umask: int
    uid: int
    groups: frozenset[int]


@dataclass(frozen=True)
class Rules:
    """What gives the processes of a kind of service a new umask, and new groups.

    Each is ``reload`` or ``restart``, and why that, or no less, is needed.
    """

    umask: str
    umask_because: str
    groups: str
    groups_because: str


@dataclass(frozen=True)
class Need:
    """``none``, ``reload`` or ``restart``, and why, in a sentence."""

    action: str
    why: str


def checked_umask(text: str) -> int:
    """Return a umask that a service may get. Raises OptionError."""
    umask = checked_octal(text, "umask")
    if umask & _OWNERS:
        raise OptionError(
            "umask",
            text,
            "takes permissions from the owner of each new file",
            "Use one that starts with 00, for example '0027'",
        )
    return umask


def need(configured: Configured, running: Sequence[Running], rules: Rules) -> Need:
    """Return what it takes until all processes run with what is configured."""
    if not running:
        return Need(NONE, "it does not run")
    found = []
    stale = [each for each in running if each.umask != configured.umask]
    if stale:
        found.append(Need(rules.umask, _umask_why(stale, configured, rules)))
    for each in running:
        why = _groups_why(each, configured.identities)
        if why:
            found.append(Need(rules.groups, f"{why}; {rules.groups_because}"))
            break
    if not found:
        return Need(NONE, "it runs with what is configured")
    strongest = max(found, key=lambda each: _STRENGTH.index(each.action))
    return Need(strongest.action, "; ".join(each.why for each in found))


def _umask_why(stale: Sequence[Running], configured: Configured, rules: Rules) -> str:
    first, more = stale[0], len(stale) - 1
    others = f" and {more} more" if more else ""
    verb = "run" if more else "runs"
    return (
        f"pid {first.pid}{others} {verb} with umask {first.umask:04o}, and "
        f"{configured.umask:04o} is configured; {rules.umask_because}"
    )


def _groups_why(process: Running, identities: Iterable[Identity]) -> str | None:
    """Say which groups a process lacks, or has kept; None where that is right.

    Root's are not judged: it may do everything, and whoever starts a service by
    hand gives it the groups of a session.
    """
    expected = {
        each.groups | {each.gid} for each in identities if each.uid == process.uid
    }
    if not process.uid or not expected or process.groups in expected:
        return None
    nearest = max(expected, key=lambda groups: len(groups & process.groups))
    differs = [f"lacks {group_name(gid)}" for gid in sorted(nearest - process.groups)]
    differs += [
        f"is still in {group_name(gid)}" for gid in sorted(process.groups - nearest)
    ]
    user = user_name(process.uid)
    return f"pid {process.pid} of {user} {' and '.join(differs)}"


class Service(ABC):
    """One service of this host. ``root`` is where its file system is.

    ``name`` is what results call it; ``unit`` is systemd's for it.
    """

    rules: Rules

    def __init__(self, name: str, unit: str, root: str = "/") -> None:
        """Name it. Raises nothing: ``of`` of its kind has found it."""
        self.name = name
        self.unit = unit
        self.root = root

    @abstractmethod
    def configured(self) -> Configured:
        """Read what it is configured with. Raises HostError where that is not known."""

    @abstractmethod
    def running(self) -> tuple[Running, ...]:
        """Return its processes; none where it does not run. Raises HostError."""

    @abstractmethod
    def umask_edit(self, umask: int) -> Edit:
        """Return what gives it another umask, once it is restarted.

        What is configured so already is an edit that changes nothing. Raises
        HostError where that cannot be told.
        """

    @abstractmethod
    def files(self) -> Iterable[str]:
        """Return the files that decide about its umask."""

    @abstractmethod
    def test(self, copy: str, edits: Sequence[Edit]) -> None:
        """Have its own check judge edits, which are below ``copy``. HostError."""

    @abstractmethod
    def at(self, root: str) -> Service:
        """Return the same service, read from where a copy of its files is."""

    def check(self, edits: Sequence[Edit], umask: int) -> Configured:
        """Return what it is configured with after edits, which are tried on a copy.

        Raises HostError where they do not give it the umask, or its own check
        refuses them.
        """
        with copied(self.root, self.files(), edits) as copy:
            found = self.at(copy).configured()
            if found.umask != umask:
                raise HostError(
                    f"the umask of {self.name} would still be {found.umask:04o}: "
                    f"{found.path}:{found.line} decides. Set it there by hand. "
                    "Nothing was changed"
                )
            self.test(copy, edits)
            return replace(
                self.configured(), umask=umask, path=found.path, line=found.line
            )


def not_found(name: str, problem: str, remedy: str) -> OptionError:
    """Return the error for a service that ``services`` names and cannot be used."""
    return OptionError("services", name, problem, remedy)


def refused(name: str, status: int, output: str) -> HostError:
    """Return the error for a configuration that a service's own check refuses."""
    return HostError(
        f"{name} refuses its configuration (exit status {status}): {said(output)}. "
        "Nothing was changed. Correct that first"
    )
