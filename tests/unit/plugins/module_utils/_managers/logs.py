# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repaired log directory as a value, for tests of managers."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.logward.permissions.plugins.module_utils._access import (
    DIRECTORY,
    REGULAR,
    SETGID,
    Inode,
    Place,
)
from ansible_collections.logward.permissions.plugins.module_utils._acl import (
    Acl,
    from_mode,
)
from ansible_collections.logward.permissions.plugins.module_utils._identity import (
    Identity,
)
from ansible_collections.logward.permissions.plugins.module_utils._managers._conflicts import (
    LogFile,
    Logs,
)
from ansible_collections.logward.permissions.plugins.module_utils._policy import Policy

WEB, GAMES = 33, 5
NAMED = ((GAMES, 7), (64001, 7))
DEFAULT = Acl(7, 5, 5, 7, ((GAMES, 7), (WEB, 7), (64001, 7)))
REPAIRED = Inode(DIRECTORY, WEB, WEB, SETGID, Acl(7, 5, 5, 7, NAMED), DEFAULT)
#: The same before its repair.
PLAIN = replace(REPAIRED, special=0, acl=from_mode(0o755), default_acl=None)
LOG = Inode(REGULAR, WEB, WEB, 0, Acl(6, 4, 4, 6, ((GAMES, 6), (64001, 6))))
PLAIN_LOG = replace(LOG, acl=from_mode(0o644))


def logs_at(
    path: str, before: Inode = REPAIRED, after: Inode = REPAIRED, log: Inode = LOG
) -> Logs:
    """Return a log directory that web and games write, with one log in it."""
    writers = tuple(
        Identity(name, name, uid, uid, frozenset())
        for name, uid in (("web", WEB), ("games", GAMES))
    )
    return Logs(
        Policy(path, writers),
        Place((), path, before),
        Place((), path, after),
        (LogFile("app.log", log, LOG),),
    )
