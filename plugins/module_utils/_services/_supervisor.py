# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""supervisord, and each of its programs: ``umask=``, or else what it has itself."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .._edits import Edit
from .._errors import HostError
from .._identity import Identity
from .._writers._files import below
from .._writers._sessions import Sessions
from .._writers._supervisor import (
    CONFIGURATIONS,
    UNIT,
    Daemon,
    Host,
    Program,
    daemon_of,
    identity_of,
    programs_of,
    stays_in_foreground,
)
from .._writers._supervisor import NAME as DAEMON
from .._writers._supervisor_ini import Configuration, Section, Values, read
from ._processes import running_as, running_in
from ._service import (
    RESTART,
    Configured,
    Rules,
    Running,
    Service,
    not_found,
    refused,
)
from ._supervisor_parser import parse, without_values
from ._supervisor_rpc import NobodyListens, Supervisor, find_endpoint, processes_of
from ._text import content_of, replaced_line, resolved
from ._unit import configured_by_unit, refuse_masked, test_unit, unit_edit, unit_files

NAME = "supervisor"
PREFIX = "supervisor:"
_UMASK = re.compile(rb"^(umask[ \t]*[=:][ \t]*)([0-7]+)((?:\s.*)?)$", re.IGNORECASE)
_HEADER = re.compile(rb"\[([^\]]+)\]")
_ANSWER_SECONDS = 10.0


@dataclass(frozen=True)
class _Read:
    """supervisor's configuration, and what it makes of it."""

    host: Host
    configuration: Configuration
    section: Section
    daemon: Daemon
    programs: tuple[Program, ...]

    def files(self) -> list[str]:
        """Return each file that has any setting."""
        found = {self.host.path: None}
        for section in self.configuration.sections.values():
            for place in (section.place, *section.places.values()):
                found[place.path] = None
        return list(found)


@dataclass(frozen=True)
class Facts:
    """What a restart of a program has to know.

    ``names`` are its processes, as GROUP:NAME; ``groups`` those that it is in, and
    all services of each. ``sets_umask`` is false where it gets the daemon's.
    """

    path: str
    configuration: Configuration
    names: frozenset[str]
    groups: Mapping[str, frozenset[str]]
    sets_umask: bool


def of(name: str, root: str = "/") -> tuple[Service, ...] | None:
    """Return the daemon, or programs; None for another kind's name.

    ``supervisor:NAME`` is a program; GROUP:NAME and GROUP:* name what is in a group.
    Raises OptionError where there is none.
    """
    if name != NAME and not name.startswith(PREFIX):
        return None
    path = _path(root)
    if path is None:
        raise not_found(
            name,
            f"is not installed: there is no {CONFIGURATIONS[0]}",
            "Install supervisor, or leave it out",
        )
    refuse_masked(name, UNIT, root)
    if name == NAME:
        return (Supervisord(NAME, UNIT, root),)
    programs = _read(root).programs
    wanted = name[len(PREFIX) :]
    found = [each for each in programs if wanted in _names(each)]
    if not found:
        known = ", ".join(each.service for each in programs[:5]) or "none"
        raise not_found(
            name,
            "is no program of supervisor",
            f"Programs are {known}{', ...' if len(programs) > 5 else ''}",
        )
    return tuple(SupervisorProgram(each.service, UNIT, root) for each in found)


def _path(root: str) -> str | None:
    paths = (each for each in CONFIGURATIONS if os.path.exists(below(root, each)))
    return next(paths, None)


def _names(program: Program) -> Iterator[str]:
    yield program.service[len(PREFIX) :]
    for names in program.processes:
        yield f"{names['group_name']}:*"
        yield f"{names['group_name']}:{names['program_name']}"


def _read(root: str) -> _Read:
    path = _path(root) or CONFIGURATIONS[0]
    try:
        configuration = read(root, path)
    except OSError as error:
        raise HostError(f"{path} cannot be read: {error.strerror or error}") from error
    section = configuration.sections.get(DAEMON)
    if section is None:
        raise HostError(
            f"{path} has no section [{DAEMON}], and supervisor refuses that. Correct it"
        )
    host = Host(root, path, Values(configuration.problems), Sessions(root))
    daemon = daemon_of(host, section)
    programs = tuple(programs_of(host, configuration.sections.values()))
    return _Read(host, configuration, section, daemon, programs)


class _Supervised(Service):
    """What supervisord and its programs have in common."""

    def files(self) -> Iterable[str]:
        """Return supervisor's configuration, and its unit's files."""
        return (*_read(self.root).files(), *unit_files(self.root, self.unit))

    def test(self, copy: str, edits: Sequence[Edit]) -> None:
        """Have supervisor's own parser read the copy, in its own Python."""
        test_unit(self.unit, copy, edits)
        found = _read(copy)
        answer = parse(copy, found.host.path, found.files())
        if answer.status:
            output = without_values(answer.output.replace(copy, ""))
            raise refused(NAME, answer.status, output)


class Supervisord(_Supervised):
    """The daemon: in the foreground it keeps the umask that systemd gives it."""

    rules = Rules(
        RESTART,
        "supervisord sets its own only when it starts",
        RESTART,
        "supervisord has those with which it was started",
    )

    def configured(self) -> Configured:
        """Return what it is started with."""
        found = _read(self.root)
        identity = found.daemon.identity
        if stays_in_foreground(found.host, found.section):
            by_unit = configured_by_unit(self.root, self.unit)
            return Configured(identity.umask, by_unit.path, by_unit.line, (identity,))
        return _configured(found.section, identity.umask, (identity,))

    def running(self) -> tuple[Running, ...]:
        """Return the daemon itself."""
        return running_in(self.unit, lambda process: process.name == DAEMON)

    def umask_edit(self, umask: int) -> Edit:
        """Edit its unit, or where it goes into the background, its own section."""
        found = _read(self.root)
        if stays_in_foreground(found.host, found.section):
            return unit_edit(self.root, self.unit, umask)
        return _section_edit(
            self.root, found.section, umask, found.daemon.identity.umask
        )

    def at(self, root: str) -> Supervisord:
        """Return it as it would be."""
        return Supervisord(self.name, self.unit, root)


class SupervisorProgram(_Supervised):
    """A program, all its processes together."""

    rules = Rules(
        RESTART,
        "supervisord sets it when it starts a process, after reread and update",
        RESTART,
        "supervisord looks them up when it starts a process",
    )

    def configured(self) -> Configured:
        """Return its own umask, or the daemon's."""
        found = _read(self.root)
        program = self._program(found)
        identity = identity_of(found.host, program, found.daemon)
        if identity is None:
            raise _not_understood(found, program)
        if "umask" not in program.section.values:
            inherited = Supervisord(NAME, self.unit, self.root).configured()
            return Configured(
                identity.umask, inherited.path, inherited.line, (identity,)
            )
        return _configured(program.section, identity.umask, (identity,))

    def running(self) -> tuple[Running, ...]:
        """Return its processes, as supervisord lists them."""
        facts = self.facts()
        endpoint = find_endpoint(facts.configuration, facts.path)
        try:
            found = processes_of(Supervisor(endpoint, _ANSWER_SECONDS))
        except NobodyListens as error:
            if self.daemon():
                raise HostError(f"{error}, and supervisord runs") from None
            return ()
        return running_as(
            each.pid for each in found.values() if each.pid and each.name in facts.names
        )

    def umask_edit(self, umask: int) -> Edit:
        """Edit its section, wherever that is."""
        found = _read(self.root)
        section = self._program(found).section
        return _section_edit(self.root, section, umask, self.configured().umask)

    def at(self, root: str) -> SupervisorProgram:
        """Return it as it would be."""
        return SupervisorProgram(self.name, self.unit, root)

    def facts(self) -> Facts:
        """Read what a restart of it has to know. Raises HostError."""
        found = _read(self.root)
        program = self._program(found)
        groups = {
            group: frozenset(
                each.service
                for each in found.programs
                if any(names["group_name"] == group for names in each.processes)
            )
            for group in dict.fromkeys(each["group_name"] for each in program.processes)
        }
        return Facts(
            found.host.path,
            found.configuration,
            frozenset(_process_names(found, program)),
            groups,
            "umask" in program.section.values,
        )

    def daemon(self) -> tuple[Running, ...]:
        """Return the supervisord that starts it, as it runs."""
        return Supervisord(NAME, self.unit, self.root).running()

    def _program(self, found: _Read) -> Program:
        programs = (each for each in found.programs if each.service == self.name)
        program = next(programs, None)
        if program is None:
            raise HostError(f"{self.name} was removed meanwhile. Run again")
        return program


def _process_names(found: _Read, program: Program) -> Iterator[str]:
    for each in program.processes:
        own = each["program_name"]
        if "process_name" in program.section.values:
            own = found.host.values.text(program.section, "process_name", each)
        yield f"{each['group_name']}:{own}"


def _configured(
    section: Section, umask: int, identities: tuple[Identity, ...]
) -> Configured:
    if "umask" not in section.values:
        return Configured(umask, "", 0, identities)
    place = section.where("umask")
    return Configured(umask, place.path, place.line, identities)


def _not_understood(found: _Read, program: Program) -> HostError:
    path = program.section.place.path
    problems = [each for each in found.host.values.problems if each.path == path]
    if not problems:
        return HostError(f"{path}: {program.service} cannot be understood. Correct it")
    problem = problems[-1]
    return HostError(f"{problem.path}:{problem.line} {problem.message}. Correct it")


def _section_edit(root: str, section: Section, umask: int, present: int) -> Edit:
    """Return an edit of ``umask=`` in a section, or of its first line."""
    place = section.where("umask")
    if "umask" in section.values and _is_in(root, section, place.path, place.line):
        return replaced_line(root, place.path, place.line, _UMASK, umask)
    path, line = section.place.path, section.place.line
    before = content_of(root, path)
    lines = (before or b"").split(b"\n")
    if present == umask:
        return Edit(resolved(root, path), before, before)
    end = b"\r" if lines[line - 1].endswith(b"\r") else b""
    lines.insert(line, b"umask=%04o" % umask + end)
    return Edit(resolved(root, path), before, b"\n".join(lines))


def _is_in(root: str, section: Section, path: str, line: int) -> bool:
    """Tell whether a line is of a section, and not of [DEFAULT], which all share."""
    lines = (content_of(root, path) or b"").split(b"\n")[:line]
    headers = [match for match in map(_HEADER.match, lines) if match]
    return bool(headers) and os.fsdecode(headers[-1][1]) == section.name
