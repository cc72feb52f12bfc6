# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._services._control import (
    State,
)
from ansible_collections.logward.permissions.plugins.module_utils._services._decide import (
    ALWAYS,
    AUTO,
    MODES,
    NEVER,
    Condition,
    condition_of,
    decide,
    in_order,
    lacking,
)
from ansible_collections.logward.permissions.plugins.module_utils._services._service import (
    Configured,
    Need,
    Rules,
    Running,
)

FINE = Condition(True, "active", Need("none", "fine"))
STALE = replace(FINE, need=Need("restart", "stale umask"))
GROUPS = replace(FINE, need=Need("reload", "stale groups"), reloads=True)
DOWN = Condition(False, "FATAL", Need("none", "it does not run"))
IDLE = replace(DOWN, idle_because="it is started by x.timer")
RULES = Rules("restart", "umask", "reload", "groups")
CONFIGURED = Configured(0o022, "", 0)


@pytest.mark.parametrize(
    ("mode", "condition", "action", "why"),
    [
        (AUTO, FINE, "none", "fine"),
        (AUTO, STALE, "restart", "stale umask"),
        (AUTO, GROUPS, "reload", "stale groups"),
        (AUTO, DOWN, "start", "it does not run as it should: it is FATAL"),
        (AUTO, IDLE, "none", "it is started by x.timer, and is not due now"),
        (ALWAYS, FINE, "restart", "fine; mode is always"),
        (
            ALWAYS,
            replace(FINE, reloads=True),
            "reload",
            "fine; mode is always, and it needs no more",
        ),
        (ALWAYS, replace(STALE, reloads=True), "restart", "stale umask"),
        (ALWAYS, DOWN, "start", "it does not run as it should: it is FATAL"),
        (ALWAYS, IDLE, "none", "it is started by x.timer, and is not due now"),
        (NEVER, FINE, "none", "fine"),
        (NEVER, STALE, "none", "stale umask; mode is never"),
        (
            NEVER,
            DOWN,
            "none",
            "it does not run as it should: it is FATAL; mode is never",
        ),
    ],
)
def test_what_is_done_and_why(
    mode: str, condition: Condition, action: str, why: str
) -> None:
    assert mode in MODES
    decision = decide(mode, condition)
    assert (decision.action, decision.why) == (action, why)


def test_order_of_the_runbook() -> None:
    named = ["systemd:b.service", "supervisor:x", "php8.2-fpm", "supervisor", "apache2"]
    assert in_order(named) == [
        "apache2",
        "supervisor",
        "supervisor:x",
        "systemd:b.service",
        "php8.2-fpm",
    ]


def state(main: int, *more: int, umask: int = 0o022) -> State:
    """A service whose processes have these pids, the first one its manager's child."""
    running = tuple(Running(pid, umask, 33, frozenset([33])) for pid in (main, *more))
    return State("active", True, True, False, frozenset([main]), running)


def test_condition() -> None:
    found = condition_of(state(1, umask=0o002), CONFIGURED, RULES)
    assert (found.is_up, found.word, found.reloads) == (True, "active", True)
    assert found.need.action == "restart"


BEFORE = state(1, 2, 3)
RESTARTED = state(4, 5)


@pytest.mark.parametrize(
    ("action", "after", "reason"),
    [
        ("restart", RESTARTED, None),
        ("start", RESTARTED, None),
        ("restart", replace(RESTARTED, is_up=False, word="BACKOFF"), "it is BACKOFF"),
        (
            "restart",
            replace(RESTARTED, is_settled=False),
            "it is active, but not for long enough",
        ),
        ("restart", state(1, 5), "pid 1 is still the old process"),
        ("restart", state(4, umask=0o002), "pid 4 runs with umask 0002, and 0022 is"),
        ("reload", BEFORE, "pid 2 is an old process, and there is no new one"),
        ("reload", state(1, 4), None),
        ("reload", state(1, 2, 4), None),  # 2 serves its last requests
        ("reload", state(1), None),  # PHP-FPM that starts children on demand
        ("reload", state(1, 4, umask=0o002), "pid 4 runs with umask 0002"),
    ],
)
def test_what_is_lacking_until_it_is_back(
    action: str, after: State, reason: str | None
) -> None:
    found = lacking(action, BEFORE, after, CONFIGURED, RULES)
    assert found == reason or (reason and str(found).startswith(reason))
