# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who writes at this moment: all that run alike are one writer."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from .._identity import Identity
from .._lsm import enforced_on
from ._instances import Instance, Units, find_instances
from ._processes import (
    OpenFile,
    Process,
    may_look_into_others,
    open_for_writing,
    read_process,
)
from ._sandbox import Surroundings
from ._source import NOBODY, Found, Problem, Writer

#: What logrotate(8), and loggers that rotate themselves, append to a name.
_ROTATED = re.compile(r"(?P<log>.+[^/])(?:\.[0-9]{1,3}|-[0-9]{8}(?:-[0-9]{6,10})?)")


@dataclass(frozen=True)
class _Kind:
    """What processes have in common that are one writer."""

    identity: Identity
    service: str
    configured: tuple[Writer, ...] = ()
    outdated: bool = False


@dataclass
class _Seen:
    pids: set[int] = field(default_factory=set)
    files: set[OpenFile] = field(default_factory=set)


def running_writers(directories: Iterable[str], configured: Found = NOBODY) -> Found:
    """Return who has files below the directories open, and who is configured to."""
    opened: dict[int, set[OpenFile]] = {}
    for file in open_for_writing(directories):
        opened.setdefault(file.pid, set()).add(file)
    held = {pid: frozenset(each.path for each in opened[pid]) for pid in opened}
    units = Units()
    instances = find_instances(configured.writers, units, held)
    seen: dict[_Kind, _Seen] = {}
    for pid in sorted({*opened, *instances}):
        kind = _kind(pid, instances.get(pid), units)
        if kind is not None:
            each = seen.setdefault(kind, _Seen())
            each.pids.add(pid)
            each.files |= opened.get(pid, set())
    return Found(tuple(_writers(seen)), tuple(_hidden()))


def _hidden() -> Iterator[Problem]:
    """Yield what even root may not see; that others see less is a finding."""
    if os.geteuid() == 0 and not may_look_into_others():
        message = (
            "which logs processes have open may not be seen, because root has no "
            "CAP_SYS_PTRACE here"
        )
        yield Problem("/proc", 0, message)


def _kind(pid: int, instance: Instance | None, units: Units) -> _Kind | None:
    if instance is not None:
        service = _service_of(instance)
        identity = _confined(instance.process)
        return _Kind(identity, service, instance.writers, instance.outdated)
    process = read_process(pid)
    if process is None:
        return None
    unit = units.service_of(pid)
    service = f"systemd:{unit}" if unit else process.identity.id
    return _Kind(_confined(process), service)


def _confined(process: Process) -> Identity:
    return replace(process.identity, confined_by=enforced_on(process.pid))


def _service_of(instance: Instance) -> str:
    """Name the service that a process is of, or those that it may be of."""
    services = dict.fromkeys(writer.service for writer in instance.writers)
    # What a source knows of a service says more than its unit.
    better = [each for each in services if not each.startswith("systemd:")]
    return " or ".join(better or services)


def _writers(seen: dict[_Kind, _Seen]) -> Iterable[Writer]:
    kinds = {(kind.identity, _surroundings(kind)) for kind in seen}
    ids = Counter(identity.id for identity, _around in kinds)
    for kind, each in seen.items():
        identity, around = kind.identity, _surroundings(kind)
        pids = tuple(sorted(each.pids))
        logs = tuple(sorted({file.path for file in each.files if not file.deleted}))
        yield Writer(
            identity if ids[identity.id] == 1 else _told_apart(identity, around),
            kind.service,
            f"pid {pids[0]}",
            logs,
            pids=pids,
            deleted=tuple(sorted({file.path for file in each.files if file.deleted})),
            rotated=tuple(filter(_is_rotated, logs)),
            surroundings=around,
            configured=kind.configured,
            outdated=kind.outdated,
        )


def _surroundings(kind: _Kind) -> Surroundings | None:
    known = (writer.surroundings for writer in kind.configured)
    return next(filter(None, known), None)


def _is_rotated(path: str) -> bool:
    """Tell whether a new log has taken the place of one that was renamed."""
    name = _ROTATED.fullmatch(path)
    return name is not None and os.path.lexists(name["log"])


def _told_apart(identity: Identity, around: Surroundings | None) -> Identity:
    """Give an id of its own to one of several that run the same program."""
    groups = (identity.gid, *sorted(identity.groups - {identity.gid}))
    parts = (
        identity.id,
        f"{identity.umask:04o}",
        ".".join(map(str, groups)),
        ".".join(sorted(identity.capabilities)),
        identity.confined_by,
        around.unit if around else None,
    )
    return replace(identity, id=":".join(part for part in parts if part))
