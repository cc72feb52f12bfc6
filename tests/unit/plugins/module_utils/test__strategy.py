# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._access import (
    DIRECTORY,
    Inode,
    Mount,
)
from ansible_collections.logward.permissions.plugins.module_utils._acl import (
    Acl,
    from_mode,
)
from ansible_collections.logward.permissions.plugins.module_utils._identity import (
    Identity,
)
from ansible_collections.logward.permissions.plugins.module_utils._policy import (
    AUTO,
    BY_ACL,
    BY_GROUP,
    Policy,
)
from ansible_collections.logward.permissions.plugins.module_utils._strategy import (
    hindrance,
    settled,
)

WEB = Identity("web", "web", 1, 1, frozenset({3}))
QUEUE = Identity("queue", "queue", 2, 2, frozenset())
MEMBERS = Identity("@3", "@3", 98, 98, frozenset({3}), is_group=True)
ROOT = Identity(
    "root", "root", 0, 0, frozenset(), capabilities=frozenset({"cap_dac_override"})
)
WITH_ACLS = Inode(DIRECTORY, 1, 3, 0, from_mode(0o755))
# By that of a group which no policy names: exact takes it away.
READ_BY_ENTRY = replace(WITH_ACLS, acl=Acl(7, 7, 0, 7, groups=((2, 5),)))
WITHOUT = replace(WITH_ACLS, mount=Mount(acl_supported=False))


@pytest.mark.parametrize(
    ("declared", "directory", "strategy", "group"),
    [
        (AUTO, WITH_ACLS, BY_ACL, None),
        (AUTO, WITHOUT, BY_GROUP, 3),
        (BY_ACL, WITHOUT, BY_ACL, None),
        (BY_GROUP, WITH_ACLS, BY_GROUP, 3),
    ],
)
def test_settled(
    declared: str, directory: Inode, strategy: str, group: int | None
) -> None:
    policy = settled(Policy("/logs", (WEB,), strategy=declared), directory)
    assert (policy.strategy, policy.group) == (strategy, group)


def test_group_that_is_named_stays() -> None:
    policy = Policy("/logs", (WEB,), strategy=BY_GROUP, group=1)
    assert settled(policy, WITH_ACLS).group == 1


@pytest.mark.parametrize(
    ("strategy", "directory", "changes", "code"),
    [
        (AUTO, WITH_ACLS, {"writers": (QUEUE,)}, None),
        (AUTO, WITHOUT, {}, None),
        (AUTO, WITHOUT, {"writers": (QUEUE,)}, "acl_unsupported"),
        (BY_ACL, WITH_ACLS, {}, None),
        (BY_ACL, WITHOUT, {}, "acl_unsupported"),
        (BY_GROUP, WITH_ACLS, {"writers": (WEB, MEMBERS, ROOT)}, None),
        (BY_GROUP, WITH_ACLS, {"writers": (WEB, QUEUE)}, "group_unfit"),
        (BY_GROUP, WITHOUT, {"writers": (WEB, QUEUE)}, "group_unfit"),
        (BY_GROUP, WITH_ACLS, {"group": 2}, "group_unfit"),
        (BY_GROUP, WITH_ACLS, {"readers": (QUEUE,)}, None),
        (
            BY_GROUP,
            WITH_ACLS,
            {"readers": (QUEUE,), "keep_other": False},
            "group_unfit",
        ),
        (BY_GROUP, READ_BY_ENTRY, {"readers": (QUEUE,)}, None),
        (BY_GROUP, READ_BY_ENTRY, {"readers": (QUEUE,), "exact": True}, "group_unfit"),
        (
            BY_GROUP,
            replace(WITH_ACLS, acl=from_mode(0o751)),
            {"readers": (QUEUE,)},
            "group_unfit",
        ),
    ],
)
def test_hindrance(
    strategy: str, directory: Inode, changes: dict[str, Any], code: str | None
) -> None:
    policy = replace(Policy("/logs", (WEB,), strategy=strategy), **changes)
    found = hindrance(policy, directory)
    assert (found.code if found else None) == code


def test_no_remedy_that_the_file_system_does_not_have() -> None:
    policy = Policy("/logs", (QUEUE,), strategy=BY_GROUP)
    found = [hindrance(policy, each) for each in (WITH_ACLS, WITHOUT)]
    assert ["set strategy: acl" in str(each and each.remedy) for each in found] == [
        True,
        False,
    ]
