# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restarts that nobody regrets: only what is due, one after another, looked after.

A service is touched only where its own check takes its configuration and its
budget allows it; what forbids that holds back this service alone. One that does
not come back ends the run: what the run has edited of it is put back, it is
started again, and those after it are left as they are.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ._errors import HostError, LogwardError, OptionError
from ._host import require_debian, require_root
from ._journal import check_journal_directory, checked_run_id, new_run_id
from ._lock import check_lock_directory, checked_lock_timeout, host_lock
from ._names import display
from ._policy import checked_path
from ._put_back import PutBack, put_back
from ._result import octal
from ._services._budget import Budget, checked_max_per_hour, present
from ._services._control import Control, State
from ._services._controls import Controls
from ._services._decide import (
    NEVER,
    START,
    Decision,
    condition_of,
    decide,
    in_order,
    lacking,
)
from ._services._kinds import find_services
from ._services._service import (
    NONE,
    RELOAD,
    RESTART,
    Configured,
    Running,
    Service,
    checked_umask,
)

_POLL_SECONDS = 0.2
#: What is reloaded has been up for long: it must be so for this long afterwards.
_RELOADED_SECONDS = 1.0
#: What may go wrong with a service that was stopped, and must be started again.
_PROBLEMS = (LogwardError, OSError)


@dataclass(frozen=True)
class RestartOptions:
    """What is restarted, and when. ``timeout`` and ``lock_timeout`` are in seconds.

    ``run_id`` is the run whose edits are put back where a service does not come back
    with them, None for none. ``planned_umask`` is what a preview takes for
    configured, None for what is.
    """

    services: tuple[str, ...]
    mode: str
    max_per_hour: int
    timeout: int
    run_id: str | None
    planned_umask: int | None
    journal_dir: str
    lock_timeout: int


class RestartFailed(HostError):
    """Something was not restarted that should have been, or did not come back."""

    def __init__(self, message: str, result: Mapping[str, Any]) -> None:
        """Keep what was done nevertheless."""
        super().__init__(message)
        self.result = result


def parse_restart_options(params: Mapping[str, Any]) -> RestartOptions:
    """Check the options. Raises OptionError."""
    timeout = params["timeout"]
    if timeout < 1:
        raise OptionError(
            "timeout", timeout, "is no time", "Give the seconds, 1 or more"
        )
    run_id, umask = params["run_id"], params["umask"]
    return RestartOptions(
        tuple(params["services"]),
        params["mode"],
        checked_max_per_hour(params),
        timeout,
        checked_run_id(run_id) if run_id else None,
        checked_umask(umask) if umask is not None else None,
        checked_path(params["journal_dir"], "journal_dir"),
        checked_lock_timeout(params),
    )


def preview_restart(options: RestartOptions) -> dict[str, Any]:
    """Return what ``restart`` would do; changes nothing (check mode).

    Raises what it would raise before it touches anything.
    """
    restarts = _prepared(options)
    return restarts.result([each.outcome for each in restarts.looked_at()])


def restart(options: RestartOptions) -> dict[str, Any]:
    """Restart what is due, and return what was done and why.

    Raises OptionError before anything is touched, and RestartFailed in the end.
    """
    restarts = _prepared(replace(options, planned_umask=None))
    with host_lock(options.run_id or new_run_id(), options.lock_timeout):
        return restarts.result([restarts.handle(each) for each in restarts.services])


def _prepared(options: RestartOptions) -> _Restarts:
    require_root()
    require_debian()
    services = find_services(options.services)
    check_journal_directory(options.journal_dir)
    check_lock_directory()
    by_name = {each.name: each for each in services}
    return _Restarts(options, [by_name[name] for name in in_order(by_name)])


@dataclass(frozen=True)
class _Outcome:
    """What became of a service. ``problem`` is why what was due was not done."""

    name: str
    decision: Decision
    before: tuple[Running, ...] = ()
    after: tuple[Running, ...] = ()
    seconds: float = 0.0
    problem: str | None = None


@dataclass(frozen=True)
class _Due:
    """A service that was looked at; ``control`` and ``state`` where that worked."""

    outcome: _Outcome
    service: Service
    control: Control | None = None
    state: State | None = None


class _Restarts:
    """Looks at services, and restarts those that are due, one after another."""

    def __init__(self, options: RestartOptions, services: Sequence[Service]) -> None:
        self.services = services
        self._options = options
        named = frozenset(each.name for each in services)
        self._controls = Controls(named, options.timeout)
        self._budget = Budget(options.max_per_hour)
        self._failed: str | None = None
        self._failures: list[str] = []
        self._put_back: list[str] = []
        self._last_lines: tuple[str, ...] = ()

    def looked_at(self) -> list[_Due]:
        """Return what is due, or will be with the planned umask; touches nothing."""
        return [self._look(each) for each in self.services]

    def handle(self, service: Service) -> _Outcome:
        """Look at a service, and do what is due now, unless an earlier one failed."""
        if self._failed is not None:
            why = f"not touched, because {self._failed} did not come back"
            return _Outcome(service.name, Decision(NONE, why))
        due = self._look(service)
        if due.outcome.decision.action == NONE or not due.control or not due.state:
            return due.outcome
        return self._do(due, due.control, due.state)

    def result(self, outcomes: Sequence[_Outcome]) -> dict[str, Any]:
        """Return the result of the module. Raises RestartFailed."""
        problems = [
            f"{each.name} was not restarted: {each.problem}"
            for each in outcomes
            if each.problem and self._options.mode != NEVER
        ]
        result = {
            "changed": any(each.decision.action != NONE for each in outcomes)
            or bool(self._put_back),
            "services": [_fields(each) for each in outcomes],
            "put_back": [display(path) for path in self._put_back],
            "last_lines": list(self._last_lines),
        }
        untouched = [
            each.name
            for each in outcomes
            if each.decision.why.startswith("not touched")
        ]
        if untouched:
            self._failures.append(f"Not touched after it: {', '.join(untouched)}")
        if self._last_lines:
            said = "\n".join(self._last_lines)
            self._failures.append(f"{self._failed} said last:\n{said}")
        failures = [*problems, *self._failures]
        if failures:
            raise RestartFailed(". ".join(failures), result)
        return result

    def _look(self, service: Service) -> _Due:
        try:
            control = self._controls.of(service)
            state = self._at_rest(control)
            configured = self._configured(service)
            condition = condition_of(state, configured, service.rules)
            decision = decide(self._options.mode, condition)
            problem = None
            if decision.action != NONE:
                problem = self._problem(service, control, state, configured)
        except _PROBLEMS as error:
            why = Decision(NONE, str(error))
            return _Due(_Outcome(service.name, why, problem=str(error)), service)
        if problem is not None:
            decision = Decision(NONE, f"{decision.why}; not done, because {problem}")
        outcome = _Outcome(
            service.name, decision, state.running, state.running, problem=problem
        )
        return _Due(outcome, service, control, state)

    def _configured(self, service: Service) -> Configured:
        configured, umask = service.configured(), self._options.planned_umask
        return configured if umask is None else replace(configured, umask=umask)

    def _at_rest(self, control: Control) -> State:
        """Return how a service is, once it does not come up by itself any more."""
        deadline = time.monotonic() + self._options.timeout
        while True:
            state = control.state()
            is_moving = not state.is_up and not state.is_down
            if not is_moving or self._options.mode == NEVER:
                return state
            if time.monotonic() > deadline:
                return state
            time.sleep(_POLL_SECONDS)

    def _problem(
        self, service: Service, control: Control, state: State, configured: Configured
    ) -> str | None:
        """Return why what is due must not be done."""
        try:
            control.test()
        except HostError as error:
            return str(error)
        obstacle = control.obstacle(state, configured.umask)
        return obstacle or self._budget.refusal(service.name, present())

    def _do(self, due: _Due, control: Control, before: State) -> _Outcome:
        started = time.monotonic()
        after: State | None = None
        action = due.outcome.decision.action
        try:
            self._budget.spend(due.service.name, present())
        except HostError as error:
            return replace(
                due.outcome, decision=Decision(NONE, str(error)), problem=str(error)
            )
        try:
            control.act(action)
            after = self._back(due.service, control, action, before)
        except _PROBLEMS as error:
            after = self._recovered(due.service, control, error)
        seconds = time.monotonic() - started
        running = after.running if after is not None else ()
        return replace(due.outcome, after=running, seconds=seconds)

    def _back(
        self, service: Service, control: Control, action: str, before: State
    ) -> State:
        """Wait until a service is back from an action. HostError where it is not."""
        configured = self._configured(service)
        deadline = time.monotonic() + self._options.timeout
        steady = _RELOADED_SECONDS if action == RELOAD else 0.0
        since: float | None = None
        while True:
            state = control.state()
            missing = lacking(action, before, state, configured, service.rules)
            now = time.monotonic()
            since = None if missing else now if since is None else since
            if since is not None and now - since >= steady:
                return state
            if state.is_down or now > deadline:
                raise HostError(missing or f"it is {state.word}")
            time.sleep(_POLL_SECONDS)

    def _recovered(
        self, service: Service, control: Control, error: Exception
    ) -> State | None:
        """Put back what was edited, start the service, and remember what to say."""
        self._failed = service.name
        self._last_lines = control.last_lines()
        self._failures.append(f"{service.name} did not come back: {error}")
        found = self._take_back(service)
        self._put_back += found.restored
        if found.restored:
            files = ", ".join(display(path) for path in found.restored)
            self._failures.append(f"Its configuration was put back ({files})")
        for path, reason in found.left_alone:
            self._failures.append(f"{display(path)} was not put back: {reason}")
        state = self._started_again(control)
        is_up = state is not None and state.is_up
        self._failures.append(
            "It was started again, and runs as it did before"
            if is_up and found.restored
            else "It runs"
            if is_up
            else "It was started again, and still does not run"
        )
        return state

    def _take_back(self, service: Service) -> PutBack:
        if self._options.run_id is None:
            return PutBack()
        try:
            paths = {os.path.realpath(path) for path in service.files()}
            return put_back(self._options.run_id, self._options.journal_dir, paths)
        except _PROBLEMS as error:
            # Whatever became of the journal meanwhile, the service is started again.
            return PutBack(left_alone=((service.name, str(error)),))

    def _started_again(self, control: Control) -> State | None:
        """Start it with what is configured now; None where that is not known."""
        try:
            before = control.state()
            if before.is_up and not self._put_back:
                return before
            action = RESTART if before.is_up else START
            control.act(action)
            deadline = time.monotonic() + self._options.timeout
            while True:
                state = control.state()
                if state.is_settled or state.is_down or time.monotonic() > deadline:
                    return state
                time.sleep(_POLL_SECONDS)
        except _PROBLEMS as error:
            self._failures.append(str(error))
            return None


def _fields(outcome: _Outcome) -> dict[str, Any]:
    return {
        "name": outcome.name,
        "action": outcome.decision.action,
        "why": outcome.decision.why,
        "before": [_running_fields(each) for each in outcome.before],
        "after": [_running_fields(each) for each in outcome.after],
        "seconds": round(outcome.seconds, 1),
    }


def _running_fields(running: Running) -> dict[str, Any]:
    return {
        "pid": running.pid,
        "umask": octal(running.umask),
        "groups": sorted(running.groups),
    }
