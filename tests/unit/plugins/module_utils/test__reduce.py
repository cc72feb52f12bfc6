# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._access import (
    DIRECTORY,
    REGULAR,
    Inode,
)
from ansible_collections.logward.permissions.plugins.module_utils._identity import (
    STRANGER,
)
from ansible_collections.logward.permissions.plugins.module_utils._plan import (
    breaks_promise,
    planned_directory,
    planned_file,
)
from ansible_collections.logward.permissions.plugins.module_utils._policy import Policy
from ansible_collections.logward.permissions.plugins.module_utils._reduce import (
    reduced,
    without_unnamed,
    without_users,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils.test__plan import (
    GROUP,
    MEMBER,
    QUEUE,
    ROOT,
    UNCHANGED,
    WEB,
    inode,
)


def exact(*writers: Any, **changes: Any) -> Policy:
    return Policy("/logs", writers, **{"exact": True, **changes})


FILES: dict[str, tuple[Policy, str, str]] = {
    "nothing to remove": (exact(WEB), "1:1 640", UNCHANGED),
    "writer, reader, owner, group": (
        exact(WEB, QUEUE, readers=(GROUP,), owner=MEMBER, group=8),
        "1:1 u::rw- u:2:rw- u:5:r-- g::r-- g:3:r-- g:8:r-- m::rw- o::---",
        UNCHANGED,
    ),
    "a stranger's": (
        exact(WEB, QUEUE),
        "1:1 u::rw- u:2:rw- u:9:rw- g::r-- g:8:rw- m::rw- o::---",
        "1:1 u::rw- u:2:rw- g::r-- m::rw- o::---",
    ),
    "all": (exact(WEB), "1:1 u::rw- u:9:rw- g::r-- m::rw- o::---", "1:1 640"),
    "declared, and granted nothing": (
        exact(WEB, others=(QUEUE,)),
        "1:1 u::rw- u:2:r-- g::--- m::r-- o::---",
        "1:1 600",
    ),
    "not in force": (exact(WEB), "1:1 u::rw- u:9:rw- g::r-- m::--- o::r--", "1:1 604"),
    "masked rights of those who stay": (
        exact(WEB, QUEUE),
        "1:1 u::rw- u:2:rw- u:9:r-- g::rw- m::r-- o::---",
        "1:1 u::rw- u:2:r-- g::r-- m::r-- o::---",
    ),
    "of the owner, which is never looked at": (
        exact(QUEUE),
        "1:1 u::rw- u:1:--- g::r-- m::r-- o::r--",
        "1:1 644",
    ),
    "that denies": (
        exact(WEB),
        "1:1 u::rw- u:9:--- g::r-- m::r-- o::r--",
        UNCHANGED,
    ),
    "that denies one and gives another": (
        exact(WEB),
        "1:1 u::rw- u:9:-w- g::r-- g:8:-w- m::rw- o::r--",
        "1:1 u::rw- u:9:--- g::r-- g:8:--- m::r-- o::r--",
    ),
    "that denies what the group has": (
        exact(WEB, others=(MEMBER,)),
        "1:3 u::rw- u:5:r-- g::rw- m::rw- o::---",
        UNCHANGED,
    ),
    "that denies a member what the writers' group has": (
        exact(WEB, GROUP, others=(MEMBER,)),
        "1:1 u::rw- u:5:r-- g::r-- g:3:rw- m::rw- o::---",
        "1:1 u::rw- g::r-- g:3:rw- m::rw- o::---",
    ),
    "that gives more than a group which denies": (
        exact(WEB, others=(MEMBER,)),
        "1:1 u::rw- u:5:rw- g::r-- g:3:--- m::rw- o::r--",
        "1:1 u::rw- u:5:r-- g::r-- g:3:--- m::r-- o::r--",
    ),
    "of the owning group, beside its mode": (
        exact(WEB),
        "1:1 u::rw- g::r-- g:1:-w- m::rw- o::r--",
        "1:1 644",
    ),
    "group of a member of the owning group, too": (
        exact(WEB, others=(replace(MEMBER, groups=frozenset({3, 8})),)),
        "1:3 u::rw- g::rw- g:8:--- m::rw- o::r--",
        "1:3 u::rw- g::rw- g:8:--- m::rw- o::r--",
    ),
    "groups, one of which denies": (
        exact(WEB),
        "1:1 u::rw- g::r-- g:7:rw- g:8:--- m::rw- o::r--",
        "1:1 u::rw- g::r-- g:7:r-- g:8:--- m::r-- o::r--",
    ),
}


@pytest.mark.parametrize(("wanted", "before", "after"), FILES.values(), ids=FILES)
def test_entries_that_are_taken_away(wanted: Policy, before: str, after: str) -> None:
    present = inode(REGULAR, before)
    left = taken_away(wanted, present)
    assert left == (present if after == UNCHANGED else inode(REGULAR, after))
    assert taken_away(wanted, left) == left


def taken_away(wanted: Policy, present: Inode) -> Inode:
    left = reduced(wanted, present)
    return without_users(wanted, left, wanted.file_grants)


def test_all_that_could_be_taken_away() -> None:
    present = inode(REGULAR, "1:1 u::rw- u:2:rw- u:9:--- g::r-- g:8:--- m::rw- o::r--")
    alone = inode(REGULAR, "1:1 u::rw- u:2:rw- g::r-- m::rw- o::r--")
    assert without_unnamed(exact(WEB, QUEUE), present) == alone
    assert without_unnamed(replace(exact(WEB, QUEUE), exact=False), present) == present


PROMISES = {
    "who has it by an entry alone loses it": ("u:2:rw-", "---"),
    "who is denied it is not given it": ("u:2:---", "r--"),
}


@pytest.mark.parametrize(("entry", "other"), PROMISES.values(), ids=PROMISES)
def test_what_is_taken_away_breaks_no_promise(entry: str, other: str) -> None:
    present = inode(REGULAR, f"1:1 u::rw- {entry} g::r-- m::rw- o::{other}")
    wanted = exact(WEB, others=(QUEUE,))
    assert not breaks_promise(wanted, present, planned_file(wanted, present))
    # By nothing else may anybody lose, and nobody has to gain.
    lost = inode(REGULAR, "1:1 600")
    assert breaks_promise(wanted, inode(REGULAR, "1:1 644"), lost)


def test_who_had_it_by_an_entry_that_goes_gets_one_if_named() -> None:
    present = inode(REGULAR, "1:1 u::rw- g::--- g:3:rw- m::rw- o::---")
    wanted = exact(MEMBER)
    plan = planned_file(wanted, present)
    assert plan == inode(REGULAR, "1:1 u::rw- u:5:rw- g::--- m::rw- o::---")
    assert not breaks_promise(wanted, present, plan)


def test_default_acl() -> None:
    present = inode(
        DIRECTORY,
        "1:1 setgid u::rwx u:9:rwx g::r-x m::rwx o::r-x"
        " | u::rwx u:1:rwx u:9:rwx g::r-x g:8:--- g:7:rwx m::rwx o::r-x",
    )
    wanted = exact(WEB)
    plan = planned_directory(wanted, present)
    assert plan == inode(
        DIRECTORY,
        "1:1 setgid 755 | u::rwx u:1:rwx g::r-x g:7:r-x g:8:--- m::rwx o::r-x",
    )
    assert planned_directory(wanted, plan) == plan


def test_default_acl_that_is_in_force_in_no_file() -> None:
    before = "1:1 setgid 755 | u::rwx u:9:rwx g::--- m::--- o::---"
    plan = planned_directory(exact(ROOT), inode(DIRECTORY, before))
    assert plan == inode(DIRECTORY, "1:1 setgid 755 | 700")


def test_former_group_gets_no_entry_and_those_known_lose_nothing() -> None:
    present = inode(REGULAR, "1:1 640")
    wanted = exact(WEB, group=3)
    assert planned_file(wanted, present) == inode(REGULAR, "1:3 600")
    assert not breaks_promise(wanted, present, planned_file(wanted, present))
    member = exact(WEB, group=3, others=(replace(STRANGER, gid=1),))
    assert breaks_promise(member, present, planned_file(member, present))
