# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of supervisor: stopped and started through its socket, no other with them.

supervisord starts a program as it has read it. Where that differs from what is
configured now, the program's group is removed and added again; ``update`` would
do that to all groups. A run that was killed in between leaves a group out, which
is added by the next one.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .._errors import HostError
from ._commands import last_lines
from ._control import Control, State
from ._copy import copied
from ._processes import running_as
from ._service import Running
from ._supervisor import Facts, SupervisorProgram
from ._supervisor_parser import without_values
from ._supervisor_rpc import (
    ALIVE,
    ALREADY_STARTED,
    CANT_REREAD,
    NOT_RUNNING,
    RUNNING,
    SPAWN_ERROR,
    STOPPING,
    Fault,
    Process,
    Supervisor,
    processes_of,
    seconds_of,
)

_NOT_STARTED = "unknown to supervisord, which has not read its configuration"
_POLL_SECONDS = 0.1
_TAIL_BYTES = 4096


class ProgramControl(Control):
    """A program, with all its processes. ``named`` are the services that may restart."""

    def __init__(
        self,
        service: SupervisorProgram,
        supervisor: Supervisor,
        timeout: float,
        named: frozenset[str],
    ) -> None:
        """Take how supervisord is asked, and how long it may take to stop a process."""
        self._service = service
        self._supervisor = supervisor
        self._timeout = timeout
        self._named = named

    def state(self) -> State:
        """Ask supervisord, and /proc."""
        facts = self._service.facts()
        processes = self._processes(facts.names)
        settled = self._settled_seconds()
        missing = facts.names - processes.keys()
        found = processes.values()
        running = [each for each in found if each.state == RUNNING]
        is_up = not missing and len(running) == len(found)
        words = [each.word for each in found if each.state != RUNNING]
        return State(
            words[0] if words else _NOT_STARTED if missing else "RUNNING",
            is_up,
            is_up and all(each.seconds >= settled.get(each.name, 1) for each in found),
            bool(missing) or any(each.is_down for each in found),
            frozenset(each.pid for each in found if each.pid),
            running_as(sorted(each.pid for each in found if each.pid)),
        )

    def obstacle(self, state: State, umask: int) -> str | None:
        """Say whose umask it gets instead, or what else would be restarted."""
        facts = self._service.facts()
        # another one than that of now will be its own
        if not facts.sets_umask and umask == self._service.configured().umask:
            return _of_the_daemon(self._service.daemon(), umask)
        others = {
            other for services in facts.groups.values() for other in services
        } - self._named
        if others and any(each.umask != umask for each in state.running):
            group = next(iter(facts.groups))
            return (
                f"its new umask takes effect only with its whole group, in which are "
                f"{', '.join(sorted(others))}, too. Name supervisor:{group}:* instead"
            )
        return None

    def test(self) -> None:
        """Have supervisor's own parser read its files as they are."""
        service = self._service
        with copied(service.root, service.files(), ()) as copy:
            service.test(copy, ())

    def act(self, action: str) -> None:
        """Stop what runs of it, and start it with what is configured now."""
        del action  # a start is a restart of what does not run
        facts = self._service.facts()
        pending = self._reread()
        renewed = {
            group
            for group, services in facts.groups.items()
            if group in pending and services <= self._named
        }
        for group in facts.groups:
            if group in renewed:
                self._renew(group, facts)
            else:
                own = [each for each in facts.names if _group(each) == group]
                self._stop(own)
                self._start(own)

    def last_lines(self) -> tuple[str, ...]:
        """Return what the processes that do not run have logged last."""
        try:
            facts = self._service.facts()
            processes = self._processes(facts.names).values()
            quiet = [each for each in processes if each.state != RUNNING]
            text = "\n".join(self._tail(each) for each in quiet or processes)
        except HostError as error:
            text = str(error)
        return last_lines(text)

    def _processes(self, names: Iterable[str]) -> dict[str, Process]:
        wanted = frozenset(names)
        every = processes_of(self._supervisor)
        return {name: each for name, each in every.items() if name in wanted}

    def _settled_seconds(self) -> Mapping[str, int]:
        """Return how long each process must run, which is at least a second."""
        found = seconds_of(self._supervisor, "startsecs")
        return {name: max(1, seconds) for name, seconds in found.items()}

    def _reread(self) -> frozenset[str]:
        """Have supervisord read its files; return the groups that it has otherwise."""
        try:
            return self._supervisor.ask(_changed, "supervisor.reloadConfig")
        except Fault as fault:
            if fault.code != CANT_REREAD:
                raise
            raise HostError(
                f"supervisor refuses its configuration: {without_values(str(fault))}. "
                "Correct it"
            ) from None

    def _renew(self, group: str, facts: Facts) -> None:
        """Have supervisord forget a group, and start it as it is configured now."""
        before = self._in(group)
        if before:
            self._stop(before)
            self._call("removeProcessGroup", group)
        self._call("addProcessGroup", group)
        own = {each for each in facts.names if _group(each) == group}
        ran = {name for name, each in before.items() if each.state in ALIVE}
        self._start(sorted((own | ran) & self._in(group).keys()))

    def _in(self, group: str) -> dict[str, Process]:
        every = processes_of(self._supervisor)
        return {name: each for name, each in every.items() if _group(name) == group}

    def _stop(self, names: Iterable[str]) -> None:
        names = frozenset(names)
        for name in sorted(names):
            self._call("stopProcess", name, False, but=(NOT_RUNNING,))
        deadline = time.monotonic() + self._stop_seconds(names) + self._timeout
        while True:
            left = [
                each.name
                for each in self._processes(names).values()
                if each.state in (*ALIVE, STOPPING)
            ]
            if not left:
                return
            if time.monotonic() > deadline:
                raise HostError(f"supervisor could not stop {', '.join(left)}")
            time.sleep(_POLL_SECONDS)

    def _stop_seconds(self, names: frozenset[str]) -> int:
        """Return how long supervisord waits before it kills a process."""
        found = seconds_of(self._supervisor, "stopwaitsecs")
        return max((found[name] for name in names & found.keys()), default=0)

    def _start(self, names: Iterable[str]) -> None:
        # One that ended at once may be up at supervisord's next try.
        fine = (ALREADY_STARTED, SPAWN_ERROR)
        for name in names:
            self._call("startProcess", name, False, but=fine)

    def _tail(self, process: Process) -> str:
        for channel, path in process.logs.items():
            try:
                method = f"supervisor.tailProcess{channel}Log"
                text = self._supervisor.ask(
                    lambda answer: str(answer[0]), method, process.name, 0, _TAIL_BYTES
                )
            except HostError:  # not UTF-8, or cut in a character
                text = f"what it logs cannot be shown; it is in {path}"
            if text.strip():
                return text
        return ""

    def _call(self, method: str, *arguments: object, but: tuple[int, ...] = ()) -> None:
        """Have supervisord do something; a fault that is expected is none."""
        try:
            self._supervisor.call(f"supervisor.{method}", *arguments)
        except Fault as fault:
            if fault.code not in but:
                raise


def _changed(answer: Any) -> frozenset[str]:  # noqa: ANN401 - whatever it answers
    """Return the groups that are to be added or changed."""
    ((added, changed, _removed),) = answer
    return frozenset(map(str, [*added, *changed]))


def _group(name: str) -> str:
    return name.partition(":")[0]


def _of_the_daemon(daemon: Sequence[Running], umask: int) -> str | None:
    """Say that a program would inherit a umask which is not configured any more."""
    stale = [each for each in daemon if each.umask != umask]
    if not stale:
        return None
    return (
        f"it has its umask from supervisord, pid {stale[0].pid}, which runs with "
        f"{stale[0].umask:04o}, and {umask:04o} is configured. Name supervisor, too: "
        "that restarts all programs"
    )
