# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of strategy acl: setgid and a default ACL, whatever the umasks are.

Whom the policy names gets an entry, and so does who would lose by another
owner or group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ._access import SETGID, Inode, created_directory, created_file
from ._acl import EXECUTE, READ, WRITE, Acl, in_force, with_mask_of_entries
from ._identity import STRANGER, Identity
from ._policy import Grant, Policy
from ._reduce import inheriting, reduced, unless_alike, without_users
from ._rights import all_of, bits_of, by_id, has, held, least


def acl_file(policy: Policy, inode: Inode) -> Inode:
    """Return a log file as the policy wants it."""
    left = reduced(policy, regrouped(inode, policy.group))
    wanted = granted(policy, left, inode, policy.file_grants)
    return without_users(policy, wanted, policy.file_grants)


def acl_directory(policy: Policy, inode: Inode, newest: Sequence[Inode] = ()) -> Inode:
    """Return a directory as the policy wants it, its default ACL included.

    ``newest`` are files of the directory, the newest first: what the latest of
    each creator denies to its group or to *other*, the next will not grant.
    """
    moved = regrouped(reowned(inode, policy.owner), policy.group)
    left = reduced(policy, moved)
    wanted = granted(policy, left, inode, policy.directory_grants)
    wanted = without_users(policy, wanted, policy.directory_grants)
    return replace(
        wanted,
        special=wanted.special | SETGID,
        default_acl=_planned_default(policy, inode, moved.gid, newest),
    )


def granted(
    policy: Policy, inode: Inode, before: Inode, grants: Sequence[Grant]
) -> Inode:
    """Return ``inode`` with the fewest entries added that the grants need.

    What anybody of the same uid or group held ``before``, or is granted, goes
    into the entry that is added, because a named entry ends the kernel's search.
    """
    lacking = [grant.identity for grant in grants if not has(grant, inode)]
    if not lacking:
        return inode
    acl = in_force(inode.acl)
    for identity in lacking:
        alike = _sharing_entry(policy, identity)
        perms = [held(each, before) for each in alike]
        perms += [grant.perm for grant in grants if grant.identity in alike]
        acl = _with_entry(acl, inode, identity, all_of(perms))
    return replace(inode, acl=with_mask_of_entries(acl))


def _sharing_entry(policy: Policy, identity: Identity) -> Sequence[Identity]:
    """Return everybody in the policy whom an entry for somebody is for."""
    if identity.is_group:
        return (identity,)
    users = (each for each in policy.identities if not each.is_group)
    return [each for each in users if each.uid == identity.uid]


def _with_entry(acl: Acl, inode: Inode, identity: Identity, perm: int) -> Acl:
    if identity.is_group:
        return _with_group(acl, inode.gid, min(identity.groups), perm)
    if identity.uid == inode.uid:
        return replace(acl, user_obj=acl.user_obj | perm)
    return replace(acl, users=_added(acl.users, identity.uid, perm))


def _with_group(acl: Acl, owning_gid: int, gid: int, perm: int) -> Acl:
    if gid == owning_gid:
        return replace(acl, group_obj=acl.group_obj | perm)
    return replace(acl, groups=_added(acl.groups, gid, perm))


def _added(
    entries: tuple[tuple[int, int], ...], entry_id: int, perm: int
) -> tuple[tuple[int, int], ...]:
    return tuple(sorted(by_id((*entries, (entry_id, perm))).items()))


def regrouped(inode: Inode, gid: int | None) -> Inode:
    """Return ``inode`` with another group, and everybody's rights as before.

    The old group keeps its permissions as a named entry; the new one gets
    what its members had, not what the old group had.
    """
    if gid is None or gid == inode.gid:
        return inode
    acl = in_force(inode.acl)
    groups = by_id(acl.groups)
    new_perm = groups.pop(gid, acl.other)
    if acl.group_obj != acl.other or acl.groups:
        groups[inode.gid] = groups.get(inode.gid, 0) | acl.group_obj
    moved = replace(acl, group_obj=new_perm, groups=tuple(sorted(groups.items())))
    return replace(inode, gid=gid, acl=with_mask_of_entries(moved))


def reowned(inode: Inode, owner: Identity | None) -> Inode:
    """Return ``inode`` with another owner, and everybody's rights as before."""
    if owner is None or owner.uid == inode.uid:
        return inode
    acl = in_force(inode.acl)
    users = dict(acl.users)
    users.pop(owner.uid, None)
    if inode.uid != 0:
        users[inode.uid] = acl.user_obj
    new_perm = held(owner, inode)
    moved = replace(acl, user_obj=new_perm, users=tuple(sorted(users.items())))
    return replace(inode, uid=owner.uid, acl=with_mask_of_entries(moved))


class _Today:
    """What a creator makes in a directory as it is: a directory and a file.

    ``gid`` is the group that they will have instead of the creator's.
    """

    def __init__(self, creator: Identity, directory: Inode, gid: int) -> None:
        self.file = created_file(creator, directory)
        self._directory = created_directory(creator, directory)
        self._request_mode = creator.request_mode
        self._gid = gid

    def held(self, identity: Identity) -> int:
        """Return what an identity gets of both.

        A default ACL cannot give less of files than of directories, but for
        the search bit, which does no harm on a file that asks for 0666.
        """
        file = bits_of(identity, self.file) | EXECUTE
        return bits_of(identity, self._directory) & file

    def of_group(self, gid: int) -> int:
        """Return what a group's members get."""
        return self._least_of(self._request_mode >> 3, gid)

    def of_other(self) -> int:
        """Return what those get who are in no group."""
        return self._least_of(self._request_mode)

    def _least_of(self, requested: int, *groups: int) -> int:
        """Return what those in the groups get, and in the file's group or not.

        That will not count once the file has another group. What its creator
        does not request, no entry gives: that can be as in directories.
        """
        among = [frozenset(groups)]
        if self.file.gid != self._gid:
            among.append(frozenset((*groups, self.file.gid)))
        return least(
            bits_of(member, self.file) | bits_of(member, self._directory) & ~requested
            for member in (replace(STRANGER, groups=each) for each in among)
        )


def _planned_default(
    policy: Policy, directory: Inode, gid: int, newest: Sequence[Inode]
) -> Acl:
    """Return the default ACL: what any creator gives today, and the grants."""
    present = directory.default_acl
    today = [_Today(creator, directory, gid) for creator in policy.creators]
    acl = Acl(
        user_obj=READ | WRITE | EXECUTE,
        group_obj=least(each.of_group(gid) for each in today),
        other=least(each.of_other() for each in today),
        users=in_force(present).users if present else (),
        groups=_kept_groups(directory, gid, today),
    )
    if present is None:
        acl = _narrowed_by(newest, acl, policy)
    left = reduced(policy, inheriting(acl, gid))
    acl = left.acl
    for grant in policy.directory_grants:
        if "cap_dac_override" in grant.identity.capabilities:
            continue
        others = [each for each in today if each.file.uid != grant.identity.uid]
        held_today = (
            each.held(alike)
            for each in others
            for alike in _sharing_entry(policy, grant.identity)
        )
        perm = all_of(held_today) | grant.perm
        acl = _with_default_entry(acl, gid, grant.identity, perm)
    wanted = replace(left, acl=with_mask_of_entries(acl))
    planned = without_users(policy, wanted, policy.directory_grants)
    return unless_alike(policy, present, _in_force_in_files(planned.acl))


def _in_force_in_files(default: Acl) -> Acl:
    """Return a default ACL with a mask of which files, which get no x, keep some.

    With --- the kernel would not look at their entries.
    """
    if default.mask is None or default.mask & ~EXECUTE:
        return default
    return replace(default, mask=default.mask | READ)


def _narrowed_by(newest: Sequence[Inode], acl: Acl, policy: Policy) -> Acl:
    """Take away what the creators' latest files show their umask to deny."""
    uids = {creator.uid for creator in policy.creators}
    latest = {inode.uid: inode for inode in reversed(newest) if inode.uid in uids}
    for inode in latest.values():
        if inode.acl.is_minimal:
            acl = replace(
                acl,
                group_obj=acl.group_obj & _shown(inode.acl.group_obj),
                other=acl.other & _shown(inode.acl.other),
            )
    return acl


def _shown(perm: int) -> int:
    """Return what the bits of a file allow to conclude: not whether x is masked."""
    return perm | EXECUTE if perm else 0


def _with_default_entry(acl: Acl, gid: int, identity: Identity, perm: int) -> Acl:
    if identity.is_group:
        return _with_group(acl, gid, min(identity.groups), perm)
    return replace(acl, users=_added(acl.users, identity.uid, perm))


def _kept_groups(
    directory: Inode, gid: int, today: Sequence[_Today]
) -> tuple[tuple[int, int], ...]:
    """Return the named groups of the next files.

    The new owning group's entry is group_obj's now. The old one, if the next
    files would have belonged to it, has what they would have given it.
    """
    present = directory.default_acl
    groups = by_id(in_force(present).groups) if present else {}
    groups.pop(gid, None)
    inherited = all(each.file.gid == directory.gid for each in today)
    if gid != directory.gid and inherited:
        perm = least(each.of_group(directory.gid) for each in today)
        if groups or perm != least(each.of_other() for each in today):
            groups[directory.gid] = groups.get(directory.gid, 0) | perm
    return tuple(sorted(groups.items()))
