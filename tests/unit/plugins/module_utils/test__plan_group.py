# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._access import (
    DIRECTORY,
    REGULAR,
)
from ansible_collections.logward.permissions.plugins.module_utils._identity import (
    Identity,
)
from ansible_collections.logward.permissions.plugins.module_utils._plan import (
    breaks_promise,
    planned_directory,
    planned_file,
)
from ansible_collections.logward.permissions.plugins.module_utils._policy import (
    BY_GROUP,
    Policy,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils.test__plan import (
    ROOT,
    UNCHANGED,
    inode,
)

# 3 is the group of both, and 1 and 2 are their own.
WEB = Identity("web", "web", 1, 1, frozenset({3}), umask=0o002)
QUEUE = Identity("queue", "queue", 2, 2, frozenset({3}), umask=0o002)
FORMER = Identity("former", "former", 5, 5, frozenset({1}))


def policy(*writers: Identity, **changes: Any) -> Policy:
    return Policy("/logs", writers, **{"strategy": BY_GROUP, "group": 3, **changes})


BOTH = policy(WEB, QUEUE)

FILES: dict[str, tuple[Policy, str, str]] = {
    "as it should be": (BOTH, "1:3 660", UNCHANGED),
    "as it should be, with an entry": (
        BOTH,
        "1:3 u::rw- u:9:r-- g::rw- m::rw- o::---",
        UNCHANGED,
    ),
    "group without write": (BOTH, "1:3 644", "1:3 664"),
    "another group": (BOTH, "1:1 644", "1:3 664"),
    "root's": (policy(WEB, ROOT), "0:0 644", "0:3 664"),
    "owner without write": (BOTH, "1:3 460", "1:3 660"),
    "other: none": (policy(WEB, QUEUE, keep_other=False), "1:1 644", "1:3 660"),
    "an entry of a writer is raised": (
        BOTH,
        "1:3 u::rw- u:2:r-- g::rw- m::rw- o::---",
        "1:3 u::rw- u:2:rw- g::rw- m::rw- o::---",
    ),
    "raising the mask revives nothing": (
        BOTH,
        "1:3 u::rw- u:9:rw- g::r-- m::r-- o::---",
        "1:3 u::rw- u:9:r-- g::rw- m::rw- o::---",
    ),
    "an entry of the group becomes its mode": (
        BOTH,
        "1:1 u::rw- g::--- g:3:r-- m::r-- o::---",
        "1:3 660",
    ),
}


@pytest.mark.parametrize(("wanted", "before", "after"), FILES.values(), ids=FILES)
def test_file(wanted: Policy, before: str, after: str) -> None:
    present = inode(REGULAR, before)
    plan = planned_file(wanted, present)
    assert plan == (present if after == UNCHANGED else inode(REGULAR, after))
    assert planned_file(wanted, plan) == plan
    assert not breaks_promise(wanted, present, plan)


DIRECTORIES: dict[str, tuple[Policy, str, str]] = {
    "fresh": (BOTH, "1:1 755", "1:3 setgid 775"),
    "as it should be": (BOTH, "1:3 setgid 770", UNCHANGED),
    "write and search by two entries create nothing": (
        BOTH,
        "1:3 setgid u::rwx g::-w- g:3:r-x m::rwx o::---",
        "1:3 setgid u::rwx g::rwx g:3:r-x m::rwx o::---",
    ),
    "another owner": (
        policy(WEB, QUEUE, owner=QUEUE),
        "1:3 700",
        "2:3 setgid 770",
    ),
    "default ACL that narrows the group": (
        BOTH,
        "1:3 setgid 775 | u::rw- u:9:r-- g::r-x m::r-x o::---",
        "1:3 setgid 775 | u::rwx u:9:r-- g::rwx m::rwx o::---",
    ),
    "default ACL that is wide enough": (
        BOTH,
        "1:3 setgid 775 | u::rwx u:9:r-- g::rwx m::rwx o::---",
        UNCHANGED,
    ),
    "default ACL of which exact leaves the modes": (
        policy(WEB, QUEUE, exact=True),
        "1:3 setgid u::rwx u:9:r-x g::rwx m::rwx o::--- | u::rwx u:9:r-- g::rwx m::rwx o::---",
        "1:3 setgid 770 | 770",
    ),
}


@pytest.mark.parametrize(
    ("wanted", "before", "after"), DIRECTORIES.values(), ids=DIRECTORIES
)
def test_directory(wanted: Policy, before: str, after: str) -> None:
    present = inode(DIRECTORY, before)
    plan = planned_directory(wanted, present)
    assert plan == (present if after == UNCHANGED else inode(DIRECTORY, after))
    assert planned_directory(wanted, plan) == plan
    assert not breaks_promise(wanted, present, plan)


CONFLICTS: dict[str, tuple[Policy, str, str]] = {
    "former group loses a file": (policy(WEB, others=(FORMER,)), REGULAR, "1:1 640"),
    "former group would have more": (BOTH, REGULAR, "1:1 604"),
    "former group would have more of the next files": (
        policy(replace(WEB, umask=0o070), QUEUE),
        DIRECTORY,
        "1:1 755",
    ),
    "former owner loses": (
        policy(WEB, owner=WEB, others=(FORMER,)),
        DIRECTORY,
        "5:3 700",
    ),
}


@pytest.mark.parametrize(
    ("wanted", "kind", "before"), CONFLICTS.values(), ids=CONFLICTS
)
def test_conflict(wanted: Policy, kind: str, before: str) -> None:
    present = inode(kind, before)
    plan = planned_file if kind == REGULAR else planned_directory
    assert breaks_promise(wanted, present, plan(wanted, present))
