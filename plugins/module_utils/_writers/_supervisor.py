# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of supervisor 4, and supervisord, which opens their logs itself.

supervisord sets its own umask only where it goes into the background; Debian's
unit keeps it in the foreground, with the umask that systemd gives it.
"""

from __future__ import annotations

import grp
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .._errors import OptionError
from .._identity import DEFAULT_UMASK, Identity
from .._names import display
from ._daemons import account, root_itself
from ._files import unread
from ._sessions import Sessions
from ._shell import Run, merged, of_arguments
from ._source import NOBODY, Found, Launch, Writer
from ._supervisor_ini import Configuration, Place, Section, Values, read
from ._unit_files import configured_umask, files_of, places_of
from ._unit_files import read as read_unit

CONFIGURATIONS = ("/etc/supervisor/supervisord.conf", "/etc/supervisord.conf")
UNIT = "supervisor.service"
NAME = "supervisord"
_RESTART = "systemctl daemon-reload && systemctl restart supervisor"
_FOREGROUND = re.compile(r"\s(?:-[a-z]*n[a-z]*|--nodaemon)(?:\s|$)")
#: The first that has a name is ``supervisor:NAME``.
_KINDS = ("program", "fcgi-program", "eventlistener")
AUTOMATIC = "auto"
_NO_LOGS = ("none", "off", "syslog")
_NO_FILES = ("/dev/", "/proc/")
#: mkstemp(3) makes the logs that supervisord names itself.
AUTOMATIC_MODE = 0o600
_AUTOMATIC_DIRECTORY = "/tmp"  # noqa: S108
_MAX_PROCESSES = 1000


def discover(root: str = "/") -> Found:
    """Return who runs programs on the host whose file system is below ``root``."""
    for path in CONFIGURATIONS:
        try:
            return _found(root, path, read(root, path))
        except FileNotFoundError:
            continue
        except OSError as error:
            return Found(problems=(unread(path, error),))
    return NOBODY


@dataclass(frozen=True)
class Host:
    """Where supervisor's configuration is read, and what was wrong with it."""

    root: str
    path: str
    values: Values
    sessions: Sessions


@dataclass(frozen=True)
class Daemon:
    """supervisord: who it is, and the directory that it works in."""

    identity: Identity
    directory: str


@dataclass(frozen=True)
class Program:
    """A section that supervisord starts processes for.

    ``processes`` has the names that each process can use in expressions.
    """

    service: str
    section: Section
    processes: tuple[Mapping[str, Any], ...]


def _found(root: str, path: str, configuration: Configuration) -> Found:
    host = Host(root, path, Values(configuration.problems), Sessions(root))
    own = configuration.sections.get("supervisord")
    if own is None:
        own = Section("supervisord", Place(path, 0), {}, {})
        host.values.refuse(own, "", "has no section [supervisord]")
    daemon = daemon_of(host, own)
    logs = [log_of(host, own, "logfile", {}, daemon)] if "logfile" in own.values else []
    writers: list[Writer] = []
    for program in programs_of(host, configuration.sections.values()):
        writers += _writers(host, program, daemon)
        logs += _logs(host, program, daemon)
    writers += _own_writers(host, own, daemon, logs)
    return Found(tuple(writers), host.values.problems)


def daemon_of(host: Host, section: Section) -> Daemon:
    """Return whom a section [supervisord] makes the daemon."""
    umask = _daemon_umask(host, section)
    identity = root_itself("supervisord", umask)
    user = host.values.known(section, "user", {})
    if user is not None:
        identity = _account(host, section, "supervisord", user, umask) or identity
    directory = host.values.known(section, "directory", {}) or ""
    return Daemon(identity, os.path.join("/", directory))


def _daemon_umask(host: Host, section: Section) -> int:
    started_with = configured_umask(host.root, UNIT)
    configured = host.values.umask(section, {}, DEFAULT_UMASK)
    if not stays_in_foreground(host, section):
        return DEFAULT_UMASK if configured is None else configured
    if "umask" in section.values and configured not in (None, started_with):
        reason = (
            "has no effect: supervisord sets it only where it goes into the "
            f"background; set UMask= in {UNIT}, or umask= in each program"
        )
        host.values.warn(section, "umask", reason)
    return started_with


def stays_in_foreground(host: Host, section: Section) -> bool:
    """Tell whether systemd's umask is that of the daemon, and not its own."""
    if host.values.truth(section, "nodaemon"):
        return True
    settings, _problems = read_unit(host.root, files_of(host.root, UNIT))
    commands = [each.value for each in settings if each.key == "ExecStart"]
    return bool(commands and _FOREGROUND.search(commands[-1]))


def _account(
    host: Host, section: Section, identifier: str, user: str, umask: int
) -> Identity | None:
    """Return who supervisord makes a process that it starts as a user."""
    try:
        identity = account(identifier, user, "", umask, "user")
    except OptionError:
        reason = f"names a user that this host does not have: {display(user)}"
        host.values.refuse(section, "user", reason)
        return None
    if identity.uid == 0:  # which it is already: it changes nothing
        return root_itself(identifier, umask)
    # It looks through all groups, and so misses those that can only be asked for.
    groups = (each.gr_gid for each in grp.getgrall() if identity.name in each.gr_mem)
    return replace(identity, groups=frozenset([identity.gid, *groups]))


def programs_of(host: Host, sections: Iterable[Section]) -> Iterator[Program]:
    """Yield what is started; what there is twice has its kind before its name."""
    by_name = {section.name: section for section in sections}
    groups = _groups(host, by_name)
    taken: set[str] = set()
    for kind in _KINDS:
        for section in by_name.values():
            prefix, _colon, name = section.name.partition(":")
            name = name.strip()
            if prefix != kind:
                continue
            if not name or any(character in name for character in " :/"):
                host.values.refuse(section, "", "has a name that is none")
                continue
            service = f"{kind}:{display(name)}" if name in taken else display(name)
            taken.add(name)
            processes = _processes(host, section, name, groups.get(name, [name]))
            yield Program(f"supervisor:{service}", section, tuple(processes))


def _groups(host: Host, sections: Mapping[str, Section]) -> dict[str, list[str]]:
    """Return the groups of each program that a group names."""
    groups: dict[str, list[str]] = {}
    for section in sections.values():
        prefix, _colon, name = section.name.partition(":")
        if prefix != "group":
            continue
        programs = host.values.known(section, "programs", {}) or ""
        for program in filter(None, map(str.strip, programs.split(","))):
            groups.setdefault(program, []).append(name.strip())
            if not {f"{kind}:{program}" for kind in _KINDS[:2]} & sections.keys():
                reason = f"names a program that there is not: {display(program)}"
                host.values.refuse(section, "programs", reason)
    return groups


def _processes(
    host: Host, section: Section, name: str, groups: Iterable[str]
) -> Iterator[Mapping[str, Any]]:
    first = host.values.number(section, "numprocs_start", 0)
    number = host.values.number(section, "numprocs", 1)
    if number > 1 and "%(process_num)" not in section.values.get("process_name", ""):
        reason = "is more than 1, and process_name has no %(process_num) in it"
        host.values.refuse(section, "numprocs", reason)
    for group in groups:
        for process in range(first, first + min(number, _MAX_PROCESSES)):
            yield {
                "program_name": name,
                "group_name": group,
                "numprocs": number,
                "process_num": process,
            }


def _writers(host: Host, program: Program, daemon: Daemon) -> Iterator[Writer]:
    runs = merged(_runs(host, program, daemon))
    identity = identity_of(host, program, daemon)
    place = program.section.place
    if identity is None or not program.processes:
        return
    for run in runs:
        runner = _runner(host, program, run, identity)
        if runner is not None:
            yield Writer(
                runner,
                program.service,
                f"{display(place.path)}:{place.line}",
                run.writes,
                run.mentions,
                launch=None if run.through else _launch(host, program),
            )


def _launch(host: Host, program: Program) -> Launch:
    """Return how the processes that supervisord starts for a program are known."""
    restart = f"supervisorctl restart {' '.join(targets_of(program))}"
    groups = dict.fromkeys(names["group_name"] for names in program.processes)
    update = f"supervisorctl update {' '.join(_quoted(each) for each in groups)}"
    is_its_own = "umask" in program.section.values
    return Launch(
        UNIT,
        # A restart alone starts it as supervisord remembers it.
        new_umask=update if is_its_own else _RESTART,
        new_groups=restart,
        new_logs=restart,
        parent=NAME,
        files=(program.section.place.path, host.path, *places_of(host.root, UNIT)),
    )


def targets_of(program: Program) -> Iterator[str]:
    """Yield, quoted for a shell, what supervisorctl calls the processes of a program."""
    for names in program.processes:
        group = names["group_name"]
        if "process_name" in program.section.values or names["numprocs"] > 1:
            yield _quoted(f"{group}:*")
            return
        name = names["program_name"]
        yield _quoted(name if group == name else f"{group}:{name}")


def _quoted(name: str) -> str:
    return shlex.quote(display(name))


def identity_of(host: Host, program: Program, daemon: Daemon) -> Identity | None:
    """Return whom a program's processes are started as; None if that is not known."""
    section = program.section
    names = next(iter(program.processes), {})
    umask = host.values.umask(section, names, daemon.identity.umask)
    if umask is None:
        return None
    own = replace(daemon.identity, id=program.service, umask=umask)
    if "user" not in section.values:
        return own
    user = host.values.known(section, "user", names)
    if user is None:
        return None
    other = _account(host, section, program.service, user, umask)
    if other is None or own.uid in (other.uid, 0):
        return other
    reason = f"is not the user of supervisord, {own.name}, and only root can change it"
    host.values.warn(section, "user", reason)
    return None


def _runner(
    host: Host, program: Program, run: Run, identity: Identity
) -> Identity | None:
    """Return who runs a part of a program's command."""
    umask, identifier = identity.umask, identity.id
    if run.user is not None:
        identifier = f"{identifier}:{display(run.user)}"
        try:
            identity = account(identifier, run.user, "", umask, "command")
        except OptionError:
            reason = f"runs as a user that this host does not have: {run.user}"
            host.values.warn(program.section, "command", reason)
            return None
    own = host.sessions.umask_of(run, identity.name, umask)
    suffix = "" if run.umask in (None, umask) else f":{own:04o}"
    return replace(identity, id=identifier + suffix, umask=own)


def _runs(host: Host, program: Program, daemon: Daemon) -> Iterator[Run]:
    """Yield what the processes of a program name."""
    yield Run()  # even if it names nothing
    section = program.section
    commands: dict[tuple[str, str], None] = {}
    for names in program.processes:
        directory = daemon.directory
        own = host.values.known(section, "directory", names)
        if own:
            directory = os.path.normpath(os.path.join(directory, own))
            yield Run(mentions=(directory,))
        command = host.values.text(section, "command", names)
        if command is not None:
            commands[command, directory] = None
    if program.processes and "command" not in section.values:
        host.values.refuse(section, "command", "has no command")
    for command, directory in commands:
        try:
            yield from of_arguments(shlex.split(command), directory)
        except ValueError as error:
            reason = f"cannot be started: {str(error).lower()}"
            host.values.warn(section, "command", reason)


def _logs(host: Host, program: Program, daemon: Daemon) -> Iterator[str | None]:
    section = program.section
    is_redirected = host.values.truth(section, "redirect_stderr")
    for names in program.processes:
        yield log_of(host, section, "stdout_logfile", names, daemon)
        if not is_redirected:
            yield log_of(host, section, "stderr_logfile", names, daemon)


def log_of(
    host: Host, section: Section, key: str, names: Mapping[str, Any], daemon: Daemon
) -> str | None:
    """Return the path of a log, or that supervisord makes one up; None for none."""
    if key not in section.values:
        return AUTOMATIC
    value = host.values.known(section, key, names)
    if not value or value.lower() in _NO_LOGS:
        return None
    if value.lower() == AUTOMATIC:
        return AUTOMATIC
    if value.startswith("~"):
        host.values.warn(section, key, "depends on the environment of supervisord")
        return None
    path = os.path.normpath(os.path.join(daemon.directory, value))
    return None if path.startswith(_NO_FILES) else path


def child_directory(host: Host, section: Section, daemon: Daemon) -> str:
    """Return where the logs lie that supervisord names itself."""
    directory = host.values.known(section, "childlogdir", {})
    path = os.path.join(daemon.directory, directory or _AUTOMATIC_DIRECTORY)
    return os.path.normpath(path)


def _own_writers(
    host: Host, section: Section, daemon: Daemon, logs: Iterable[str | None]
) -> Iterator[Writer]:
    """Yield supervisord, which opens the logs, and whatever it names itself."""
    origin = f"{display(section.place.path)}:{section.place.line}"
    paths = dict.fromkeys(path for path in logs if path)
    is_automatic = AUTOMATIC in paths
    paths.pop(AUTOMATIC, None)
    launch = Launch(
        UNIT,
        new_umask=_RESTART,
        new_groups=_RESTART,
        new_logs=f"systemctl kill --kill-who=main --signal=USR2 {UNIT}",
        name=NAME,
        files=(host.path, *places_of(host.root, UNIT)),
    )
    if paths:
        yield Writer(
            daemon.identity, "supervisord", origin, tuple(paths), launch=launch
        )
    if is_automatic:
        path = child_directory(host, section, daemon)
        yield Writer(
            replace(
                daemon.identity, id="supervisord:auto", request_mode=AUTOMATIC_MODE
            ),
            "supervisord",
            origin,
            mentions=(path,),
            launch=launch,
        )
