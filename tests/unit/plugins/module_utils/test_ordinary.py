# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What log directories are like on hosts is repaired, whatever the policy.

The promise could be kept by leaving everything alone: not here.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._access import (
    DIRECTORY,
    REGULAR,
    Inode,
    created_file,
)
from ansible_collections.logward.permissions.plugins.module_utils._acl import (
    Acl,
    from_mode,
    with_mask_of_entries,
)
from ansible_collections.logward.permissions.plugins.module_utils._identity import (
    STRANGER,
    Identity,
    members,
)
from ansible_collections.logward.permissions.plugins.module_utils._plan import (
    breaks_promise,
    planned_directory,
    planned_file,
)
from ansible_collections.logward.permissions.plugins.module_utils._policy import Policy
from ansible_collections.logward.permissions.plugins.module_utils._rights import (
    has,
    held,
)

SHIPPER, APP, STAFF = 64009, 64010, 64008
WEB = Identity("web", "web", 64001, 64001, frozenset({APP}), umask=0o002)
QUEUE = Identity("queue", "queue", 64002, 64002, frozenset({APP}), umask=0o002)
READER = Identity("shipper", "shipper", SHIPPER, SHIPPER, frozenset())

OWNERS = [(each.uid, gid) for each in (WEB, QUEUE) for gid in (each.gid, APP)]
FILES = (0o600, 0o640, 0o644, 0o660, 0o664)
DIRECTORIES = (0o700, 0o750, 0o755, 0o770, 0o775)
#: Of one inode: what setfacl has added.
ENTRIES: dict[str, dict[str, Any]] = {
    "no entry": {},
    "a user reads": {"users": ((SHIPPER, 5),)},
    "a user writes": {"users": ((SHIPPER, 7),)},
    "a writer writes": {"users": ((QUEUE.uid, 7),)},
    "a group reads": {"groups": ((STAFF, 5),)},
    "all": {"users": ((QUEUE.uid, 7), (SHIPPER, 7)), "groups": ((STAFF, 5),)},
}
WAYS: list[dict[str, Any]] = [
    {},
    {"group": APP},
    {"readers": (READER,)},
    {"readers": (members(STAFF),), "group": APP},
    {"strategy": "group", "group": APP},
]
POLICIES = [
    Policy("/logs", (WEB, QUEUE), keep_other=keep_other, exact=exact, **way)
    for way, keep_other, exact in product(WAYS, (True, False), (True, False))
]


def named(mode: int, entries: dict[str, Any]) -> Acl:
    """Return what a mode and entries make, of a file without execute."""
    most = mode >> 6 & 7
    narrowed: dict[str, Any] = {
        key: tuple((each, perm & most) for each, perm in pairs)
        for key, pairs in entries.items()
    }
    return with_mask_of_entries(replace(from_mode(mode), **narrowed))


def unnamed(policy: Policy, acl: Acl | None) -> set[int]:
    if acl is None:
        return set()
    users = {uid for uid, _perm in acl.users} - policy.named_uids
    return users | {gid for gid, _perm in acl.groups} - policy.named_gids


@pytest.mark.parametrize("entries", ENTRIES.values(), ids=ENTRIES)
def test_files(entries: dict[str, Any]) -> None:
    for (uid, gid), mode, policy in product(OWNERS, FILES, POLICIES):
        before = Inode(REGULAR, uid, gid, 0, named(mode, entries))
        after = planned_file(policy, before)
        what = policy, before, after
        assert not breaks_promise(policy, before, after), what
        assert all(has(grant, after) for grant in policy.file_grants), what
        assert not held(STRANGER, after) & ~held(STRANGER, before), what
        assert not (policy.exact and unnamed(policy, after.acl)), what
        assert planned_file(policy, after) == after, what


@pytest.mark.parametrize("inherited", [None, *ENTRIES.values()], ids=["none", *ENTRIES])
@pytest.mark.parametrize("entries", ENTRIES.values(), ids=ENTRIES)
def test_directories(entries: dict[str, Any], inherited: dict[str, Any] | None) -> None:
    for (uid, gid), mode, policy in product(OWNERS, DIRECTORIES, POLICIES):
        default = None if inherited is None else named(mode, inherited)
        before = Inode(DIRECTORY, uid, gid, 0, named(mode, entries), default)
        after = planned_directory(policy, before)
        what = policy, before, after
        assert not breaks_promise(policy, before, after), what
        nexts = [created_file(creator, after) for creator in policy.creators]
        assert all(has(grant, after) for grant in policy.directory_grants), what
        assert all(has(*each) for each in product(policy.file_grants, nexts)), what
        assert not (policy.exact and unnamed(policy, after.acl)), what
        assert not (policy.exact and unnamed(policy, after.default_acl)), what
        assert planned_directory(policy, after) == after, what
