# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of strategy group: setgid, and write for the owning group.

No entry is added. The next files are what the umasks of their creators make of
them, unless there is a default ACL: that overrides every umask, so it is kept,
and widened like a mode.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ._access import DIRECTORY, SETGID, Inode, created_file
from ._acl import (
    EXECUTE,
    READ,
    WRITE,
    Acl,
    NamedEntries,
    in_force,
    with_mask_of_entries,
)
from ._identity import STRANGER, members
from ._plan_acl import regrouped, reowned
from ._policy import Grant, Policy
from ._reduce import inheriting, reduced, unless_alike, without_users
from ._rights import granted_to, has, held


def group_file(policy: Policy, inode: Inode) -> Inode:
    """Return a log file as the policy wants it."""
    moved = _moved(inode, regrouped(inode, policy.group))
    return _reached(policy, moved, file_grants(policy, moved.gid))


def group_directory(policy: Policy, inode: Inode) -> Inode:
    """Return a directory as the policy wants it."""
    moved = _moved(inode, regrouped(reowned(inode, policy.owner), policy.group))
    grants = directory_grants(policy, moved.gid)
    wanted = _reached(policy, moved, grants)
    default = _widened(policy, inode.default_acl, moved.gid, grants)
    return replace(wanted, special=wanted.special | SETGID, default_acl=default)


def file_grants(policy: Policy, gid: int) -> tuple[Grant, ...]:
    """Return what is granted on a file: to the members of its group, as well."""
    return (*policy.file_grants, Grant(members(gid), READ | WRITE))


def directory_grants(policy: Policy, gid: int) -> tuple[Grant, ...]:
    """Return the same of a directory."""
    return (*policy.directory_grants, Grant(members(gid), READ | WRITE | EXECUTE))


def _moved(before: Inode, moved: Inode) -> Inode:
    """Return ``moved`` without entries for the owner and group that it had."""
    if moved is before:
        return before
    there = in_force(before.acl)
    uids, gids = dict(there.users), dict(there.groups)
    acl = replace(
        moved.acl,
        users=tuple(entry for entry in moved.acl.users if entry[0] in uids),
        groups=tuple(entry for entry in moved.acl.groups if entry[0] in gids),
    )
    return replace(moved, acl=with_mask_of_entries(acl))


def _reached(policy: Policy, moved: Inode, grants: Sequence[Grant]) -> Inode:
    """Return ``moved`` with what is granted, and without what is taken away."""
    wanted = _granted(reduced(policy, moved), grants)
    return without_users(policy, wanted, grants)


def _granted(inode: Inode, grants: Sequence[Grant]) -> Inode:
    """Return ``inode`` with what the grants need, and no entry more."""
    lacking = [grant for grant in grants if not has(grant, inode)]
    if not lacking:
        return inode
    acl = in_force(inode.acl)
    for grant in lacking:
        acl = _raised(acl, inode, grant)
    return replace(inode, acl=with_mask_of_entries(acl))


def _raised(acl: Acl, inode: Inode, grant: Grant) -> Acl:
    """Return an ACL in which the entry that decides about somebody gives more."""
    identity, perm = grant.identity, grant.perm
    if identity.uid == inode.uid:
        return replace(acl, user_obj=acl.user_obj | perm)
    if identity.uid in dict(acl.users):
        return replace(acl, users=_with(acl.users, identity.uid, perm))
    if identity.in_group(inode.gid):
        return replace(acl, group_obj=acl.group_obj | perm)
    return acl


def _with(entries: NamedEntries, entry_id: int, perm: int) -> NamedEntries:
    return tuple(
        (each, old | perm if each == entry_id else old) for each, old in entries
    )


def _widened(
    policy: Policy, present: Acl | None, gid: int, grants: Sequence[Grant]
) -> Acl | None:
    if present is None:
        return None
    acl = replace(in_force(present), user_obj=READ | WRITE | EXECUTE)
    planned = _reached(policy, inheriting(acl, gid), grants)
    return unless_alike(policy, present, planned.acl)


def frees(policy: Policy, before: Inode, after: Inode) -> bool:
    """Tell whether another group lets somebody have more, whom nothing grants it.

    Where a group had less than other, its former members fall to other: on the
    inode, and on the next files of a directory.
    """
    grants = file_grants(policy, after.gid)
    if before.kind == DIRECTORY:
        if any(
            _is_freed(policy, *pair, grants)
            for pair in next_files(policy, before, after)
        ):
            return True
        grants = directory_grants(policy, after.gid)
    return _is_freed(policy, before, after, grants)


def next_files(
    policy: Policy, before: Inode, after: Inode
) -> Iterator[tuple[Inode, Inode]]:
    """Yield what each creator makes in a directory as it is, and as planned."""
    for creator in policy.creators:
        yield created_file(creator, before), created_file(creator, after)


def _is_freed(
    policy: Policy, before: Inode, after: Inode, grants: Sequence[Grant]
) -> bool:
    former = replace(STRANGER, groups=frozenset({before.gid}))
    return any(
        held(each, after) & ~held(each, before) & ~granted_to(each, grants)
        for each in (*policy.identities, STRANGER, former)
        if each.uid != after.uid
    )
