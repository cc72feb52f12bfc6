# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes of a service, from /proc alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Callable

from .._writers._instances import Units
from .._writers._processes import Process, process_ids, read_process
from ._service import Running


def running_in(unit: str, is_its: Callable[[Process], bool]) -> tuple[Running, ...]:
    """Return those processes in a unit's control group that are the service's own."""
    units = Units()
    pids = (pid for pid in sorted(process_ids()) if units.service_of(pid) == unit)
    return tuple(each for each in _of(pids, is_its))


def running_as(pids: Iterable[int]) -> tuple[Running, ...]:
    """Return those of the processes that have not ended."""
    return tuple(_of(pids, lambda _process: True))


def _of(pids: Iterable[int], is_its: Callable[[Process], bool]) -> Iterable[Running]:
    for pid in pids:
        process = read_process(pid)
        if process is not None and is_its(process):
            identity = process.identity
            groups = identity.groups | {identity.gid}
            yield Running(pid, identity.umask, identity.uid, groups)
