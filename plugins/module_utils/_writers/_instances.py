# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which running processes are certainly of which configured service.

A process is of the unit whose control group it is in (systemd.unit(5),
cgroups(7)). Within a unit Launch tells those that the service itself starts
from all that these start in turn, which may run as anything.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ._processes import Process, process_ids, read_process
from ._source import Launch, Writer

_INIT = "/init.scope"
_SERVICE, _SLICE = ".service", ".slice"
_HIERARCHIES = ("", "name=systemd")


@dataclass(frozen=True)
class Instance:
    """A process of a unit, and the writers that it may be, none if unknown."""

    process: Process
    writers: tuple[Writer, ...]
    outdated: bool


class Units:
    """The units that this host's systemd runs processes in."""

    def __init__(self) -> None:
        """Find out where systemd itself is."""
        path = _control_group(1)
        self._top = path[: -len(_INIT)] if path.endswith(_INIT) else None

    def service_of(self, pid: int) -> str | None:
        """Return the service that a process belongs to, or None."""
        return None if self._top is None else service_in(_control_group(pid), self._top)


def service_in(path: str, top: str) -> str | None:
    """Return the service of a control group below systemd's, or None.

    Another systemd's, in a container, is below a scope or service of ours.
    """
    if not path.startswith(f"{top}/"):
        return None
    for component in path[len(top) + 1 :].split("/"):
        if not component.endswith(_SLICE):
            return component if component.endswith(_SERVICE) else None
    return None


def _control_group(pid: int) -> str:
    """Return the path of a process's control group, "" where it cannot be told."""
    try:
        with open(f"/proc/{pid}/cgroup", "rb") as lines:
            found = [os.fsdecode(line).rstrip("\n").split(":", 2)[1:] for line in lines]
    except OSError:
        return ""
    paths = {hierarchy: path for hierarchy, path in found if hierarchy in _HIERARCHIES}
    # Where both are there, systemd manages the one with its name.
    return paths.get("name=systemd", paths.get("", ""))


def find_instances(
    writers: Iterable[Writer], units: Units, held: Mapping[int, frozenset[str]]
) -> dict[int, Instance]:
    """Return the processes that are certainly configured writers, by their pids.

    ``held`` are the files that processes have open: where several programs run
    as one user, the logs tell them apart.
    """
    by_unit: dict[str, list[Writer]] = {}
    for writer in writers:
        if writer.launch is not None:
            by_unit.setdefault(writer.launch.unit, []).append(writer)
    found: dict[int, Instance] = {}
    for pid in process_ids() if by_unit else ():
        candidates = by_unit.get(units.service_of(pid) or "")
        process = read_process(pid) if candidates else None
        if candidates and process is not None:
            instance = _instance(process, candidates, held.get(pid, frozenset()))
            if instance is not None:
                found[pid] = instance
    return found


def _instance(
    process: Process, candidates: Iterable[Writer], held: frozenset[str]
) -> Instance | None:
    parent = read_process(process.parent)
    known = [
        writer
        for writer in candidates
        if writer.launch is not None
        and writer.identity.uid == process.identity.uid
        and is_launched(process, parent, writer.launch)
    ]
    of_its_log = [writer for writer in known if held & set(writer.logs)]
    known = of_its_log or known
    if not known:
        return None
    files = (file for each in known if each.launch for file in each.launch.files)
    return Instance(process, tuple(known), _changed_since(process, files))


def is_launched(process: Process, parent: Process | None, launch: Launch) -> bool:
    """Tell whether a process of the launch's unit is one that it tells of."""
    if launch.pid is not None:
        return process.pid == launch.pid
    if launch.name is not None:
        return process.name == launch.name
    return parent is not None and parent.name == launch.parent


def _changed_since(process: Process, files: Iterable[str]) -> bool:
    """Tell whether any of the files changed after a process was started."""
    started = _started(process.pid)
    return any(_changed(file) > started for file in set(files))


def _changed(path: str) -> float:
    try:
        return os.stat(path).st_ctime
    except OSError:
        return 0


def _started(pid: int) -> float:
    """Return when a process was started; now, where it has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name before may have blanks and parentheses in it.
            ticks = int(file.read().rpartition(b")")[2].split()[19])
    except OSError:
        return time.time()
    running = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return time.time() - running
