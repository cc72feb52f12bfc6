# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What it takes until processes run with what is configured: a decision on values."""

from __future__ import annotations

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._identity import (
    Identity,
)
from ansible_collections.logward.permissions.plugins.module_utils._services._service import (
    Configured,
    Need,
    Rules,
    Running,
    need,
)

RULES = Rules("restart", "a reload would hand it on", "reload", "a reload is enough")
OTHER = Rules("restart", "umask", "restart", "groups")
WEB = Identity("web", "web", 64001, 64001, frozenset({64001, 64005}), 0o002)
QUEUE = Identity("queue", "queue", 64002, 64002, frozenset(), 0o002)
CONFIGURED = Configured(0o002, "/etc/x", 1, (WEB, QUEUE))
FRESH = Running(7, 0o002, 64001, frozenset({64001, 64005}))


def running(**changes: object) -> Running:
    return Running(**{**vars(FRESH), **changes})


UMASK_WHY = (
    "pid 7 runs with umask 0022, and 0002 is configured; a reload would hand it on"
)
GROUPS_WHY = "pid 7 of 64001 lacks 64005; a reload is enough"

NEEDS = {
    "it does not run": ([], "none", "it does not run"),
    "as configured": ([FRESH], "none", "it runs with what is configured"),
    "another umask": ([running(umask=0o022)], "restart", UMASK_WHY),
    "several": (
        [FRESH, running(umask=0o022), running(pid=8, umask=0o022)],
        "restart",
        UMASK_WHY.replace("pid 7 runs", "pid 7 and 1 more run"),
    ),
    "a group more": (
        [running(groups=frozenset({64001}))],
        "reload",
        GROUPS_WHY,
    ),
    "a group less": (
        [running(groups=frozenset({64001, 64005, 64006}))],
        "reload",
        "pid 7 of 64001 is still in 64006; a reload is enough",
    ),
    "both": (
        [running(groups=frozenset({64001}), umask=0o022)],
        "restart",
        f"{UMASK_WHY}; {GROUPS_WHY}",
    ),
    "the second of them": (
        [FRESH, running(pid=8, groups=frozenset({64001}))],
        "reload",
        GROUPS_WHY.replace("pid 7", "pid 8"),
    ),
    "another group": (
        [running(groups=frozenset({64001, 64006}))],
        "reload",
        "pid 7 of 64001 lacks 64005 and is still in 64006; a reload is enough",
    ),
    "the primary group alone": (
        [running(uid=64002, groups=frozenset({64002}))],
        "none",
        "it runs with what is configured",
    ),
    "a user of whom nothing is known": (
        [running(uid=64009, groups=frozenset({1}))],
        "none",
        "it runs with what is configured",
    ),
    "root, started by hand": (
        [running(uid=0, groups=frozenset({0}))],
        "none",
        "it runs with what is configured",
    ),
}


@pytest.mark.parametrize(("processes", "action", "why"), NEEDS.values(), ids=NEEDS)
def test_need(processes: list[Running], action: str, why: str) -> None:
    assert need(CONFIGURED, processes, RULES) == Need(action, why)


def test_groups_of_root_are_not_judged_even_where_they_are_known() -> None:
    root = Identity("root", "root", 0, 0, frozenset(), 0o002)
    configured = Configured(0o002, "", 0, (root,))
    process = running(uid=0, groups=frozenset({0, 4}))
    assert need(configured, [process], RULES).action == "none"


def test_two_identities_of_one_user() -> None:
    """Either is right: which process is which is not known."""
    other = Identity("cgi", "web", 64001, 64007, frozenset({64007}), 0o002)
    configured = Configured(0o002, "", 0, (WEB, other))
    assert (
        need(configured, [running(groups=frozenset({64007}))], RULES).action == "none"
    )
    assert need(configured, [FRESH], RULES).action == "none"


def test_the_strongest_wins_and_both_are_told() -> None:
    stale = running(groups=frozenset({64001}), umask=0o022)
    rules = Rules("reload", "u", "restart", "g")
    found = need(CONFIGURED, [stale], rules)
    assert found.action == "restart"
    assert found.why.count(";") == 3
