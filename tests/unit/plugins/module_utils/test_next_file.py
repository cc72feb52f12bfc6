# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a repaired directory gives with its next files, and to whom it must not.

Each case was once wrong: the next file was open to somebody whom no policy
names, or closed to somebody who had it.
"""

from __future__ import annotations

import errno
import os
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._access import (
    DIRECTORY,
    REGULAR,
    Inode,
    created_file,
)
from ansible_collections.logward.permissions.plugins.module_utils._acl import (
    EXECUTE,
    READ,
    WRITE,
    Acl,
    from_mode,
)
from ansible_collections.logward.permissions.plugins.module_utils._fs import (
    Tree,
    Walk,
    _inode,
)
from ansible_collections.logward.permissions.plugins.module_utils._fs._statx import (
    glance,
)
from ansible_collections.logward.permissions.plugins.module_utils._identity import (
    STRANGER,
    Identity,
    resolve,
)
from ansible_collections.logward.permissions.plugins.module_utils._plan import (
    breaks_promise,
    planned_directory,
    planned_file,
)
from ansible_collections.logward.permissions.plugins.module_utils._policy import Policy
from ansible_collections.logward.permissions.plugins.module_utils._rights import held

WEB = Identity("web", "web", 64001, 64001, frozenset())
QUEUE = Identity("queue", "queue", 64002, 64002, frozenset())


def directory(uid: int, gid: int, mode: int) -> Inode:
    return Inode(DIRECTORY, uid, gid, mode & 0o7000, from_mode(mode))


def member(gid: int) -> Identity:
    return replace(STRANGER, groups=frozenset({gid}))


def next_file(policy: Policy, logs: Inode, creator: Identity, *newest: Inode) -> Inode:
    after = planned_directory(policy, logs, newest)
    again = planned_directory(policy, after, newest)
    assert again == after
    return created_file(creator, after)


def test_members_of_the_directorys_group_gain_nothing_from_group_writers() -> None:
    policy = Policy(
        "/logs", (resolve("@64005", "-", {}),), (resolve("@64006", "-", {}),)
    )
    logs = directory(WEB.uid, 64001, 0o2755)
    file = next_file(policy, logs, policy.writers[0])
    assert held(member(64001), file) == READ


def test_members_of_two_groups_do_not_own_each_others_files() -> None:
    one, other = resolve("@64005", "-", {}), resolve("@64006", "-", {})
    file = created_file(one, directory(0, 0, 0o777))
    assert held(one, file) == READ | WRITE
    assert held(other, file) == READ


def test_a_creators_latest_file_shows_its_umask() -> None:
    closed = Inode(REGULAR, WEB.uid, WEB.gid, 0, from_mode(0o640))
    older = Inode(REGULAR, WEB.uid, WEB.gid, 0, from_mode(0o600))
    policy = Policy("/logs", (WEB, QUEUE))
    logs = directory(WEB.uid, WEB.gid, 0o755)
    assert held(STRANGER, next_file(policy, logs, WEB)) == READ
    assert held(STRANGER, next_file(policy, logs, WEB, closed)) == 0
    assert held(member(WEB.gid), next_file(policy, logs, WEB, closed, older)) == READ


def test_what_a_creator_does_not_ask_for_is_given_to_nobody_else() -> None:
    shy = replace(WEB, request_mode=0o640)
    policy = Policy("/logs", (shy,), group=64009)
    file = next_file(policy, directory(WEB.uid, WEB.gid, 0o2755), shy)
    assert file.gid == 64009
    assert held(member(64009), file) == 0


def test_the_old_group_keeps_the_next_file() -> None:
    sharing = replace(WEB, umask=0o002)
    policy = Policy("/logs", (sharing,), group=64009)
    file = next_file(policy, directory(WEB.uid, 64001, 0o2775), sharing)
    assert held(member(64001), file) == READ | WRITE
    assert held(member(64009), file) == READ


def test_entries_that_deny_are_in_force_in_files() -> None:
    root = resolve("root", "-", {})
    policy = Policy("/logs", (replace(root, umask=0o061),), group=64009)
    logs = directory(WEB.uid, 64001, 0o2777)
    file = next_file(policy, logs, policy.writers[0])
    assert file.acl.groups == ((64001, EXECUTE),)
    assert file.acl.mask == READ
    after = planned_directory(policy, logs)
    assert not breaks_promise(policy, after, after)


def test_who_is_denied_the_next_file_by_one_group_does_not_get_it_by_another() -> None:
    both = replace(QUEUE, groups=frozenset({64008, 64009}))
    logs = replace(
        directory(WEB.uid, 64009, 0o777),
        default_acl=Acl(7, 6, 6, 7, groups=((64008, 0),)),
    )
    for others, conflict in (((), False), ((both,), True)):
        policy = Policy("/logs", (WEB,), others=others)
        after = planned_directory(policy, logs)
        assert breaks_promise(policy, logs, after) == conflict
        assert not breaks_promise(policy, after, after)


@pytest.mark.parametrize("keep_other", [True, False])
def test_identities_that_share_a_uid_share_its_entry(*, keep_other: bool) -> None:
    worker = replace(QUEUE, id="worker", groups=frozenset({64009}))
    policy = Policy("/logs", (worker,), (QUEUE,), keep_other=keep_other)
    log = Inode(REGULAR, WEB.uid, 64009, 0, from_mode(0o664))
    after = planned_file(policy, log)
    assert planned_file(policy, after) == after
    assert held(worker, after) == READ | WRITE


def test_who_shares_a_readers_uid_keeps_what_a_group_gives() -> None:
    worker = replace(QUEUE, id="worker", groups=frozenset({64009}))
    policy = Policy("/logs", (WEB,), (QUEUE,), others=(worker,))
    logs = replace(
        directory(WEB.uid, WEB.gid, 0o2750),
        default_acl=Acl(7, 0, 0, 7, groups=((64009, WRITE),)),
    )
    file = next_file(policy, logs, WEB)
    assert held(worker, file) == READ | WRITE


def test_a_named_group_is_not_dropped_with_the_directorys() -> None:
    logs = replace(
        directory(WEB.uid, 64001, 0o2775),
        default_acl=Acl(7, 7, 5, 7, groups=((64008, 5),)),
    )
    file = next_file(Policy("/logs", (WEB,), group=64009), logs, WEB)
    assert held(member(64001), file) == READ | WRITE
    assert held(member(64008), file) == READ


def test_what_the_kernel_does_not_tell_of_is_counted_and_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A stand-in for a FUSE mount of the application's user, which refuses root.
    for name in ("a.log", "b.log", "mounted"):
        (tmp_path / name).touch()

    def refused(name: str) -> Any:
        if name == "mounted":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)
        return glance(name)

    monkeypatch.setattr(_inode, "glance", refused)
    with closing(Tree(str(tmp_path))) as tree:
        walk = Walk(tree, lambda _path: False)
        found = {visit.path for visit in walk.visits(True, set())}
    assert found == {"a.log", "b.log"}
    assert walk.unreadable > 0
    assert walk.first_unreadable == "mounted: Permission denied"
    assert walk.vanished == 0
