# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a policy takes away: of other, and of entries that it does not name.

Whoever loses an entry must not gain by what the kernel looks at instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ._access import REGULAR, Inode
from ._acl import Acl, in_force, with_mask_of_entries
from ._identity import STRANGER_ID, identity_of
from ._policy import Policy
from ._rights import all_of, bits_of, by_id

Entry = tuple[int, int]


def reduced(policy: Policy, inode: Inode) -> Inode:
    """Return ``inode`` without what ``other: none`` and ``exact`` take away."""
    return without_unnamed(policy, without_other(policy, inode))


def reduced_default(policy: Policy, default: Acl, gid: int) -> Acl:
    """Return a default ACL without that, for files of the group ``gid``."""
    acl = with_mask_of_entries(default)
    return reduced(policy, Inode(REGULAR, STRANGER_ID, gid, 0, acl)).acl


def without_other(policy: Policy, inode: Inode) -> Inode:
    """Return ``inode`` without what ``other: none`` takes away."""
    if policy.keep_other or not inode.acl.other:
        return inode
    # With a mask of --- the kernel lets named entries fall to other: what is
    # in force now has to be written down before other is taken away.
    return replace(inode, acl=replace(in_force(inode.acl), other=0))


def without_unnamed(policy: Policy, inode: Inode) -> Inode:
    """Return ``inode`` without what ``exact`` takes away.

    Everybody keeps what they have and would have without all those entries;
    where an entry is what denies them more, it is left with that.
    """
    acl = in_force(inode.acl)
    if not policy.exact or not _names_others(policy, inode.acl):
        return inode
    named = tuple(each for each in acl.groups if each[0] in policy.named_gids)
    without = replace(acl, users=_named_users(policy, acl), groups=named)
    groups = (*named, *_denying_groups(policy, inode.gid, acl))
    left = replace(without, groups=tuple(sorted(groups)))
    users = _denying_users(policy, inode, acl, without, left)
    left = replace(left, users=tuple(sorted((*left.users, *users))))
    left = with_mask_of_entries(left)
    return inode if left.meaning == inode.acl.meaning else replace(inode, acl=left)


def _named_users(policy: Policy, acl: Acl) -> tuple[Entry, ...]:
    return tuple(each for each in acl.users if each[0] in policy.named_uids)


def _denying_groups(policy: Policy, owning_gid: int, acl: Acl) -> Iterator[Entry]:
    """Yield what is left of unnamed groups, if one has less than other.

    Then all are left: who is in several has what any of them has.
    """
    # Who is in the owning group as well has what that has.
    known = (*policy.named_gids, owning_gid)
    unnamed = by_id(each for each in acl.groups if each[0] not in known)
    if any(acl.other & ~perm for perm in unnamed.values()):
        yield from ((gid, acl.other & perm) for gid, perm in unnamed.items())


def _denying_users(
    policy: Policy, inode: Inode, acl: Acl, without: Acl, left: Acl
) -> Iterator[Entry]:
    for uid, perm in acl.users:
        if uid in policy.named_uids or uid == inode.uid:
            continue
        keeps = perm & _held_by_uid(policy, uid, inode, without)
        if keeps != _held_by_uid(policy, uid, inode, left):
            yield uid, keeps


def _held_by_uid(policy: Policy, uid: int, inode: Inode, acl: Acl) -> int:
    same = (each for each in policy.identities if each.uid == uid)
    users = [each for each in same if not each.is_group] or [identity_of(uid)]
    present = replace(inode, acl=with_mask_of_entries(acl))
    return all_of(bits_of(each, present) for each in users)


def _names_others(policy: Policy, acl: Acl) -> bool:
    return any(uid not in policy.named_uids for uid, _perm in acl.users) or any(
        gid not in policy.named_gids for gid, _perm in acl.groups
    )


def unless_alike(policy: Policy, present: Acl | None, planned: Acl) -> Acl:
    """Return the default ACL that is there, if the planned one is no other."""
    if present is None or in_force(present) != in_force(planned):
        return planned
    names = policy.exact and _names_others(policy, present)
    return planned if names and not _names_others(policy, planned) else present
