# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which services are restarted, in which order, and why: values in, values out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ._control import State
from ._service import NONE, RELOAD, RESTART, Configured, Need, Rules, need

START = "start"
AUTO, ALWAYS, NEVER = "auto", "always", "never"
MODES = (AUTO, ALWAYS, NEVER)
_APACHE, _SUPERVISOR = "apache2", "supervisor"


@dataclass(frozen=True)
class Condition:
    """How a service is.

    ``word`` is what systemd or supervisor calls that. ``idle_because`` says why
    it need not run all the time, None for one that has to. ``need`` is what its
    processes lack. ``reloads`` tells whether a reload renews its processes without
    losing a request.
    """

    is_up: bool
    word: str
    need: Need
    reloads: bool = False
    idle_because: str | None = None


@dataclass(frozen=True)
class Decision:
    """``none``, ``reload``, ``restart`` or ``start``, and why, in a sentence."""

    action: str
    why: str


def condition_of(state: State, configured: Configured, rules: Rules) -> Condition:
    """Return how a service is, held against what it is configured with."""
    return Condition(
        state.is_up,
        state.word,
        need(configured, state.running, rules),
        rules.groups == RELOAD,
        state.idle_because,
    )


def decide(mode: str, condition: Condition) -> Decision:
    """Return what is to be done with a service, and why that or why nothing."""
    wanted = _wanted(mode == ALWAYS, condition)
    if mode == NEVER and wanted.action != NONE:
        return Decision(NONE, f"{wanted.why}; mode is {NEVER}")
    return wanted


def _wanted(whatever_runs: bool, condition: Condition) -> Decision:
    needed = condition.need
    if not condition.is_up:
        if condition.idle_because is not None:
            return Decision(NONE, f"{condition.idle_because}, and is not due now")
        return Decision(START, f"it does not run as it should: it is {condition.word}")
    if needed.action != NONE or not whatever_runs:
        return Decision(needed.action, needed.why)
    if condition.reloads:
        return Decision(RELOAD, f"{needed.why}; mode is {ALWAYS}, and it needs no more")
    return Decision(RESTART, f"{needed.why}; mode is {ALWAYS}")


def in_order(names: Iterable[str]) -> list[str]:
    """Return services as the runbook has them: Apache, supervisor, its programs, rest.

    Those that are alike stay in the order in which they were named.
    """
    return sorted(names, key=_rank)


def _rank(name: str) -> int:
    if name == _APACHE:
        return 0
    if name == _SUPERVISOR:
        return 1
    return 2 if name.startswith(f"{_SUPERVISOR}:") else 3


def lacking(
    action: str, before: State, after: State, configured: Configured, rules: Rules
) -> str | None:
    """Say why a service has not come back from an action yet; None if it has.

    What a reload leaves running serves its last requests, and is not judged.
    """
    if not after.is_up:
        return f"it is {after.word}"
    if not after.is_settled:
        return f"it is {after.word}, but not for long enough"
    old = {each.pid for each in before.running}
    judged = after.running
    if action == RELOAD:
        judged = tuple(each for each in after.running if each.pid not in old)
        left = [each for each in after.running if each.pid in old - after.main]
        if not judged and left:
            return f"pid {left[0].pid} is an old process, and there is no new one"
    elif after.main & before.main:
        return f"pid {min(after.main & before.main)} is still the old process"
    found = need(configured, judged, rules)
    return None if found.action == NONE else found.why
