# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services of systemd: who they run as, what they log to, what they may write.

``systemctl show`` tells all of it except the files of ``StandardOutput=``, which
stand in the unit files that it names.
"""

from __future__ import annotations

import os
import pwd
import re
import shlex
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Callable

from .._errors import OptionError
from .._identity import (
    DEFAULT_UMASK,
    FILE_CAPABILITIES,
    Identity,
    resolve_gid,
    user_name,
)
from .._lsm import enforced_on
from ._daemons import account, is_of_the_system, root_itself
from ._namespace import other_namespace
from ._processes import read_process
from ._sandbox import Sandbox, Surroundings
from ._source import Found, Launch, Problem, Writer
from ._unit_files import Setting, expand, parse_umask, places_of, read

#: Takes the arguments of systemctl(1), returns its output; raises OSError.
Runner = Callable[[Sequence[str]], str]

_TIMEOUT_SECONDS: float = 20
#: As sd_booted(3) tells.
_BOOTED = "/run/systemd/system"
#: Which of a service's directories lies where.
_DIRECTORIES = {
    "RuntimeDirectory": "/run",
    "StateDirectory": "/var/lib",
    "CacheDirectory": "/var/cache",
    "LogsDirectory": "/var/log",
    "ConfigurationDirectory": "/etc",
}
_SANDBOX = (
    "ProtectSystem",
    "ProtectHome",
    "PrivateTmp",
    "ReadOnlyPaths",
    "ReadWritePaths",
    "InaccessiblePaths",
    "BindPaths",
    "BindReadOnlyPaths",
    "TemporaryFileSystem",
)
_PROPERTIES = (
    *("Id", "LoadState", "ActiveState", "UnitFileState", "TriggeredBy"),
    "MainPID",
    *("FragmentPath", "DropInPaths", "ExecStart", "WorkingDirectory"),
    *("User", "Group", "SupplementaryGroups", "DynamicUser", "UMask"),
    *("AmbientCapabilities", "CapabilityBoundingSet"),
    *("StandardOutput", "StandardError"),
    *_DIRECTORIES,
    *_SANDBOX,
)
_SHOWN = "--property=" + ",".join(_PROPERTIES)
_SHOW = ("show", "--type=service", "--all", _SHOWN)

_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_FILE = re.compile(r"(?:file|append|truncate):(.+)")
_ARGUMENTS = re.compile(r"argv\[\]=(.*?) ; (?:ignore_errors|flags)=")


@dataclass(frozen=True)
class Unit:
    """A service that runs, or that is enabled to."""

    name: str
    files: tuple[str, ...]
    main_pid: int
    user: str
    group: str
    more_groups: tuple[str, ...]
    dynamic_user: bool
    umask: int
    ambient_capabilities: frozenset[str]
    capability_bounds: frozenset[str]
    working_directory: str
    directories: tuple[str, ...]
    arguments: tuple[str, ...]
    logs_to_files: bool
    sandbox: Sandbox


def discover(runner: Runner | None = None, root: str = "/") -> Found:
    """Return who writes in services: their users, and PID 1 for their output."""
    try:
        units = read_units(runner)
    except OSError as error:
        return Found(problems=(Problem("systemctl", 0, error.strerror or str(error)),))
    return writers_of(units, root)


def read_units(runner: Runner | None = None) -> tuple[Unit, ...]:
    """Return the services; none where systemd does not run. Raises OSError."""
    return parse_units((runner or _systemctl)(_SHOW))


def read_unit(name: str, runner: Runner | None = None) -> Unit | None:
    """Return one service, None if nothing starts it. Raises OSError."""
    units = parse_units((runner or _systemctl)(("show", _SHOWN, "--", name)))
    return next(iter(units), None)


def _systemctl(arguments: Sequence[str]) -> str:
    if not os.path.isdir(_BOOTED):
        return ""
    try:
        return os.fsdecode(
            subprocess.run(
                ["systemctl", "--no-pager", *arguments],  # noqa: S607
                env={**os.environ, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TIMEOUT_SECONDS,
                check=True,
            ).stdout
        )
    except FileNotFoundError:
        return ""
    except subprocess.TimeoutExpired:
        raise TimeoutError(
            f"systemctl show has not answered within {_TIMEOUT_SECONDS} s"
        ) from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode("utf-8", "backslashreplace").strip()
        raise OSError(f"systemctl show failed: {said or error.returncode}") from None


def parse_units(text: str) -> tuple[Unit, ...]:
    """Return the services in the output of ``systemctl show``."""
    blocks = (_properties(block) for block in text.split("\n\n"))
    return tuple(_unit(block) for block in blocks if _runs(block))


def _properties(block: str) -> dict[str, str]:
    """Return properties; ExecStart= stands there once for each command."""
    properties: dict[str, str] = {}
    for line in block.split("\n"):
        key, equals, value = line.partition("=")
        if equals:
            properties[key] = (
                f"{properties[key]}\n{value}" if key in properties else value
            )
    return properties


def _runs(properties: Mapping[str, str]) -> bool:
    """Tell whether a service runs, failed, or will be started by something."""
    if properties.get("LoadState") != "loaded" or not properties.get("Id"):
        return False
    active, file = properties.get("ActiveState"), properties.get("UnitFileState", "")
    if active == "failed":
        return file != "transient"
    if active == "inactive":
        enabled = file.startswith(("enabled", "generated"))
        return enabled or bool(properties.get("TriggeredBy"))
    return True


def _unit(properties: Mapping[str, str]) -> Unit:
    def value(key: str) -> str:
        return properties.get(key, "")

    def words(key: str) -> tuple[str, ...]:
        return split_words(value(key))

    pid = value("MainPID")
    standard = {value("StandardOutput"), value("StandardError")}
    return Unit(
        name=value("Id"),
        files=tuple(filter(None, (value("FragmentPath"), *words("DropInPaths")))),
        main_pid=int(pid) if pid.isdecimal() else 0,
        user=value("User"),
        group=value("Group"),
        more_groups=words("SupplementaryGroups"),
        dynamic_user=value("DynamicUser") == "yes",
        umask=parse_umask(value("UMask"), DEFAULT_UMASK),
        ambient_capabilities=frozenset(words("AmbientCapabilities")),
        capability_bounds=frozenset(words("CapabilityBoundingSet")),
        working_directory=value("WorkingDirectory").lstrip("!-"),
        directories=_logs_directories(properties),
        arguments=_application_paths(value("ExecStart")),
        logs_to_files=bool(standard & {"file", "append", "truncate"}),
        sandbox=_sandbox(properties),
    )


def split_words(text: str) -> tuple[str, ...]:
    r"""Undo how systemctl writes lists: ``"a b" -/c "\$d"``."""
    return tuple(
        re.sub(r"\\(.)", r"\1", match[1]) if match[2] is None else match[2]
        for match in _WORD.finditer(text)
    )


def _logs_directories(properties: Mapping[str, str]) -> tuple[str, ...]:
    place = _DIRECTORIES["LogsDirectory"]
    if properties.get("DynamicUser") == "yes":
        place += "/private"
    names = split_words(properties.get("LogsDirectory", ""))
    return tuple(f"{place}/{name}" for name in names)


def _application_paths(commands: str) -> tuple[str, ...]:
    """Return the absolute paths among arguments that may be an application's."""
    return tuple(
        dict.fromkeys(
            word
            for match in _ARGUMENTS.finditer(commands)
            for word in match[1].split()
            if word.startswith("/") and not is_of_the_system(word)
        )
    )


def _sandbox(properties: Mapping[str, str]) -> Sandbox:
    def words(key: str) -> tuple[str, ...]:
        return split_words(properties.get(key, ""))

    # systemd makes these, and leaves them writable.
    own = [
        f"{place}{private}/{name}"
        for key, place in _DIRECTORIES.items()
        for name in words(key)
        for private in ("", "/private")
    ]
    return Sandbox(
        protect_system=properties.get("ProtectSystem", "no"),
        protect_home=properties.get("ProtectHome", "no"),
        private_tmp=properties.get("PrivateTmp") == "yes",
        read_only_paths=words("ReadOnlyPaths"),
        read_write_paths=(*words("ReadWritePaths"), *own),
        inaccessible_paths=words("InaccessiblePaths"),
        bind_paths=words("BindPaths"),
        bind_read_only_paths=words("BindReadOnlyPaths"),
        temporary_paths=words("TemporaryFileSystem"),
    )


def writers_of(units: Iterable[Unit], root: str = "/") -> Found:
    """Return the writers that services are; those with nothing to say are not."""
    writers: list[Writer] = []
    problems: list[Problem] = []
    sandboxes: list[Surroundings] = []
    for unit in units:
        surroundings = _surroundings(unit)
        if surroundings is not None:
            sandboxes.append(surroundings)
        if _has_to_say(unit):
            settings, wrong = read(root, unit.files)
            found = _writers_of(unit, settings, surroundings)
            launch = _launch(root, unit)
            writers += (replace(each, launch=launch) for each in found.writers)
            problems += [*wrong, *found.problems]
    return Found(tuple(writers), tuple(problems), sandboxes=tuple(sandboxes))


def _launch(root: str, unit: Unit) -> Launch | None:
    """Return how its main process is known; of others it may be anything."""
    if not unit.main_pid:
        return None
    restart = f"systemctl restart {shlex.quote(unit.name)}"
    return Launch(
        unit.name,
        new_umask=restart,
        new_groups=restart,
        new_logs=restart,
        pid=unit.main_pid,
        files=places_of(root, unit.name),
    )


def _has_to_say(unit: Unit) -> bool:
    somewhere = unit.working_directory.strip("/") or unit.directories or unit.arguments
    return bool(unit.user or unit.logs_to_files or somewhere)


def _writers_of(
    unit: Unit, settings: Sequence[Setting], surroundings: Surroundings | None
) -> Found:
    service = f"systemd:{unit.name}"
    mine = [each for each in settings if each.section == "Service"]
    logs, problems = _output_files(unit, mine)
    origin = _origin(unit, mine)
    try:
        identity = _identity(unit, service)
    except OptionError as error:
        path, _colon, line = origin.rpartition(":")
        identity, problems = None, [*problems, Problem(path, int(line), str(error))]
    writers: list[Writer] = []
    pids = (unit.main_pid,) if unit.main_pid else ()
    opens_output = identity is not None and identity.uid == 0
    if surroundings is not None:  # PID 1 is not in the sandbox, whoever the user is
        places = {os.path.dirname(log) for log in logs}
        opens_output &= not any(surroundings.sandboxed(each) for each in places)
    if identity is not None:
        if unit.main_pid:
            identity = replace(identity, confined_by=enforced_on(unit.main_pid))
        mentions = _mentions(unit, identity)
        own_logs = tuple(logs) if opens_output else ()
        writers.append(
            Writer(
                identity,
                service,
                origin,
                own_logs,
                mentions,
                pids,
                surroundings=surroundings,
            )
        )
    if logs and not opens_output:
        first = next(iter(logs.values()))
        root = root_itself(f"{service}:{user_name(0)}", unit.umask)
        writers.append(Writer(root, service, first, tuple(logs)))
    return Found(tuple(writers), tuple(problems))


def _surroundings(unit: Unit) -> Surroundings | None:
    """Return what a service sees of the host's files; None if it is in no sandbox."""
    if unit.main_pid:
        with suppress(OSError):  # it has ended
            runs = other_namespace(unit.main_pid)
            return Surroundings(unit.name, unit.sandbox, runs) if runs else None
    denies_nothing = replace(unit.sandbox, read_write_paths=()) == Sandbox()
    return None if denies_nothing else Surroundings(unit.name, unit.sandbox)


def _output_files(
    unit: Unit, settings: Sequence[Setting]
) -> tuple[dict[str, str], list[Problem]]:
    """Return the files that PID 1 opens for a service, and where that is set."""
    logs: dict[str, str] = {}
    problems: list[Problem] = []
    last = {each.key: each for each in settings}
    for key in ("StandardOutput", "StandardError"):
        match = _FILE.fullmatch(last[key].value) if key in last else None
        if match:
            setting = last[key]
            try:
                path = os.path.normpath(expand(match[1], unit.name))
            except ValueError as error:
                problems.append(Problem(setting.path, setting.line, f"{key}: {error}"))
                continue
            if os.path.isabs(path):
                logs.setdefault(path, f"{setting.path}:{setting.line}")
    return logs, problems


def _origin(unit: Unit, settings: Sequence[Setting]) -> str:
    """Return the line that says most about a service."""
    lines = {each.key: f"{each.path}:{each.line}" for each in settings if each.value}
    for key in ("User", "WorkingDirectory", "LogsDirectory", "ExecStart"):
        if key in lines:
            return lines[key]
    return f"{unit.files[0] if unit.files else unit.name}:0"


def _identity(unit: Unit, service: str) -> Identity | None:
    """Return who a service runs as; None if its user exists only while it runs."""
    if unit.dynamic_user:
        process = read_process(unit.main_pid) if unit.main_pid else None
        return replace(process.identity, id=service) if process else None
    if unit.user or unit.group:
        user = unit.user or user_name(0)
        identity = account(service, user, unit.group, unit.umask, "User")
    else:
        identity = root_itself(service, unit.umask)
    groups = (resolve_gid(each, "SupplementaryGroups") for each in unit.more_groups)
    # systemd asks the name service neither for PID 1's groups nor for gid 0.
    own = identity.groups if unit.user and identity.gid else frozenset()
    return replace(
        identity, groups=own.union(groups), capabilities=_capabilities(unit, identity)
    )


def _capabilities(unit: Unit, identity: Identity) -> frozenset[str]:
    if identity.uid:
        return unit.ambient_capabilities.intersection(FILE_CAPABILITIES)
    return identity.capabilities & unit.capability_bounds


def _mentions(unit: Unit, identity: Identity) -> tuple[str, ...]:
    """Return where a service is told to work and log."""
    directory = unit.working_directory
    if directory == "~":
        directory = pwd.getpwuid(identity.uid).pw_dir
    named = (directory, *unit.directories, *unit.arguments)
    return tuple(dict.fromkeys(each for each in named if each.strip("/")))
