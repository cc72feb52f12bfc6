# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a policy takes away: of other, and of entries that it does not name.

Whoever loses an entry must not gain by what the kernel looks at instead: an
entry that denies somebody more stays, and gives no more than there would be
without it. Groups come before the grants, which need to know who falls to
*other*; users after them, for a named user is never looked up elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ._access import DIRECTORY, Inode
from ._acl import Acl, in_force, with_mask_of_entries
from ._identity import STRANGER_ID, Identity, identity_of
from ._policy import Grant, Policy
from ._rights import all_of, bits_of, by_id, granted_to


def reduced(policy: Policy, inode: Inode) -> Inode:
    """Return ``inode`` without what ``other: none`` and ``exact`` take away.

    The users of unnamed entries are still there.
    """
    return _without_groups(policy, without_other(policy, inode))


def inheriting(default: Acl, gid: int) -> Inode:
    """Return what inherits a default ACL, in the group ``gid``, as whoever's."""
    return Inode(DIRECTORY, STRANGER_ID, gid, 0, with_mask_of_entries(default))


def without_other(policy: Policy, inode: Inode) -> Inode:
    """Return ``inode`` without what ``other: none`` takes away."""
    if policy.keep_other or not inode.acl.other:
        return inode
    # With a mask of --- the kernel lets named entries fall to other: what is
    # in force now has to be written down before other is taken away.
    return replace(inode, acl=replace(in_force(inode.acl), other=0))


def without_unnamed(policy: Policy, inode: Inode) -> Inode:
    """Return ``inode`` without any entry that ``exact`` is about."""
    if not policy.exact or not _names_others(policy, inode.acl):
        return inode
    return _with(inode, _named_only(policy, in_force(inode.acl)))


def _without_groups(policy: Policy, inode: Inode) -> Inode:
    """Return ``inode`` without unnamed groups, unless one has less than other.

    Then all stay, with what other has, too: who is in several has what any of
    them has, and who is in the owning group as well what that has.
    """
    if not policy.exact or not _names_others(policy, inode.acl):
        return inode
    acl = in_force(inode.acl)
    known = (*policy.named_gids, inode.gid)
    unnamed = by_id(each for each in acl.groups if each[0] not in known)
    if not any(acl.other & ~perm for perm in unnamed.values()):
        unnamed = {}
    left = tuple((gid, acl.other & perm) for gid, perm in unnamed.items())
    groups = (*_named_only(policy, acl).groups, *left)
    return _with(inode, replace(acl, groups=tuple(sorted(groups))))


def without_users(policy: Policy, inode: Inode, grants: Sequence[Grant]) -> Inode:
    """Return ``inode``, which has what is granted, without unnamed users.

    One stays who would gain more than is granted, or lose, by the entry of a
    group that stays, what nothing takes away.
    """
    if not policy.exact or not _names_others(policy, inode.acl):
        return inode
    acl = in_force(inode.acl)
    named = _named_only(policy, acl)
    without, left = _with(inode, named), _with(inode, replace(acl, users=named.users))
    users = list(named.users)
    for uid, perm in acl.users:
        if uid in policy.named_uids or uid == inode.uid:
            continue
        known = _known(policy, uid)
        keeps = perm & all_of(bits_of(each, without) for each in known)
        if any(
            perm & bits_of(each, without) & ~bits_of(each, left)
            or bits_of(each, left) & ~perm & ~granted_to(each, grants)
            for each in known
        ):
            users.append((uid, keeps))
    return _with(inode, replace(left.acl, users=tuple(sorted(users))))


def _known(policy: Policy, uid: int) -> Sequence[Identity]:
    """Return the identities of a uid: the policy's, or the name service's."""
    same = (each for each in policy.identities if each.uid == uid)
    return [each for each in same if not each.is_group] or [identity_of(uid)]


def _named_only(policy: Policy, acl: Acl) -> Acl:
    uids, gids = policy.named_uids, policy.named_gids
    return replace(
        acl,
        users=tuple(entry for entry in acl.users if entry[0] in uids),
        groups=tuple(entry for entry in acl.groups if entry[0] in gids),
    )


def _names_others(policy: Policy, acl: Acl) -> bool:
    return _named_only(policy, acl) != acl


def _with(inode: Inode, acl: Acl) -> Inode:
    """Return ``inode`` with another ACL, unless that means the same."""
    acl = with_mask_of_entries(acl)
    return inode if acl.meaning == inode.acl.meaning else replace(inode, acl=acl)


def unless_alike(policy: Policy, present: Acl | None, planned: Acl) -> Acl:
    """Return the default ACL that is there, if the planned one is no other."""
    if present is None or in_force(present) != in_force(planned):
        return planned
    names = policy.exact and _names_others(policy, present)
    return planned if names and not _names_others(policy, planned) else present
