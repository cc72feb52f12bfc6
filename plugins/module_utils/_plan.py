# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what is there and what is wanted to what must change.

Pure functions. Nobody loses what they have and nobody gains but those whom
the policy names; a plan that cannot keep that promise is not made.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import reduce

from ._access import (
    DIRECTORY,
    REGULAR,
    SETGID,
    SETUID,
    Inode,
    acl_verdict,
    created_directory,
    created_file,
    permission,
)
from ._acl import EXECUTE, READ, WRITE, Acl, in_force, with_mask_of_entries
from ._identity import STRANGER, Identity
from ._policy import Grant, Policy

_BITS = (READ, WRITE, EXECUTE)


def held(identity: Identity, inode: Inode) -> int:
    """Return the permissions that an identity has by owner, ACL and mode.

    Write on a directory is nothing without search, by one and the same entry:
    with a search that is granted later it would come alive.
    """
    creates = acl_verdict(identity, inode, WRITE | EXECUTE).allowed
    bits = _bits(identity, inode)
    return bits if inode.kind != DIRECTORY or creates else bits & ~WRITE


def _bits(identity: Identity, inode: Inode) -> int:
    return sum(bit for bit in _BITS if acl_verdict(identity, inode, bit).allowed)


def planned_file(policy: Policy, inode: Inode) -> Inode:
    """Return a log file as the policy wants it."""
    moved = _without_other(policy, regrouped(inode, policy.group))
    return granted(policy, moved, inode, policy.file_grants)


def planned_directory(
    policy: Policy, inode: Inode, newest: Sequence[Inode] = ()
) -> Inode:
    """Return a directory as the policy wants it, its default ACL included.

    ``newest`` are files of the directory, the newest first: what the latest of
    each creator denies to its group or to *other*, the next will not grant.
    """
    moved = regrouped(reowned(inode, policy.owner), policy.group)
    wanted = granted(
        policy, _without_other(policy, moved), inode, policy.directory_grants
    )
    return replace(
        wanted,
        special=wanted.special | SETGID,
        default_acl=_planned_default(policy, inode, moved.gid, newest),
    )


def _without_other(policy: Policy, inode: Inode) -> Inode:
    if policy.keep_other or not inode.acl.other:
        return inode
    # With a mask of --- the kernel lets named entries fall to other: what is
    # in force now has to be written down before other is taken away.
    return replace(inode, acl=replace(in_force(inode.acl), other=0))


def granted(
    policy: Policy, inode: Inode, before: Inode, grants: Sequence[Grant]
) -> Inode:
    """Return ``inode`` with the fewest entries added that the grants need.

    What anybody of the same uid or group held ``before``, or is granted, goes
    into the entry that is added, because a named entry ends the kernel's search.
    """
    lacking = [grant.identity for grant in grants if not _has(grant, inode)]
    if not lacking:
        return inode
    acl = in_force(inode.acl)
    for identity in lacking:
        alike = [each for each in policy.identities if _share_entry(each, identity)]
        perms = [held(each, before) for each in alike]
        perms += [grant.perm for grant in grants if grant.identity in alike]
        acl = _with_entry(acl, inode, identity, _all_of(perms))
    return replace(inode, acl=with_mask_of_entries(acl))


def _share_entry(one: Identity, other: Identity) -> bool:
    if one.is_group or other.is_group:
        return one == other
    return one.uid == other.uid


def _has(grant: Grant, inode: Inode) -> bool:
    needed = [bit for bit in _BITS if grant.perm & bit]
    return all(permission(grant.identity, inode, bit).allowed for bit in needed)


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
    return tuple(sorted(_by_id((*entries, (entry_id, perm))).items()))


def _by_id(entries: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Return what each id has; a group may have it in several entries."""
    by_id: dict[int, int] = {}
    for entry_id, perm in entries:
        by_id[entry_id] = by_id.get(entry_id, 0) | perm
    return by_id


def regrouped(inode: Inode, gid: int | None) -> Inode:
    """Return ``inode`` with another group, and everybody's rights as before.

    The old group keeps its permissions as a named entry; the new one gets
    what its members had, not what the old group had.
    """
    if gid is None or gid == inode.gid:
        return inode
    acl = in_force(inode.acl)
    groups = _by_id(acl.groups)
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
        file = _bits(identity, self.file) | EXECUTE
        return _bits(identity, self._directory) & file

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
        return _least(
            _bits(member, self.file) | _bits(member, self._directory) & ~requested
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
        group_obj=_least(each.of_group(gid) for each in today),
        other=_least(each.of_other() for each in today),
        users=in_force(present).users if present else (),
        groups=_kept_groups(directory, gid, today),
    )
    if present is None:
        acl = _narrowed_by(newest, acl, policy)
    if not policy.keep_other:
        acl = replace(acl, other=0)
    for grant in policy.directory_grants:
        if "cap_dac_override" in grant.identity.capabilities:
            continue
        others = (each for each in today if each.file.uid != grant.identity.uid)
        perm = _all_of(each.held(grant.identity) for each in others) | grant.perm
        acl = _with_default_entry(acl, gid, grant.identity, perm)
    acl = with_mask_of_entries(acl)
    unchanged = present is not None and in_force(present) == in_force(acl)
    return present if present is not None and unchanged else acl


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
    groups = _by_id(in_force(present).groups) if present else {}
    groups.pop(gid, None)
    inherited = all(each.file.gid == directory.gid for each in today)
    if gid != directory.gid and inherited:
        perm = _least(each.of_group(directory.gid) for each in today)
        if groups or perm != _least(each.of_other() for each in today):
            groups[directory.gid] = groups.get(directory.gid, 0) | perm
    return tuple(sorted(groups.items()))


def _all_of(perms: Iterable[int]) -> int:
    return reduce(lambda one, other: one | other, perms, 0)


def _least(perms: Iterable[int]) -> int:
    return reduce(lambda one, other: one & other, perms, 7)


def breaks_promise(policy: Policy, before: Inode, after: Inode) -> bool:
    """Tell whether a plan takes from anybody, or gives to the unnamed.

    Modes in which other may do more than a group or the owner can make both
    unavoidable; such an inode is left alone and reported.
    """
    if _masks_all_files(before.default_acl):
        return True
    grants = policy.file_grants if before.kind == REGULAR else policy.directory_grants
    for identity in (*policy.identities, STRANGER):
        had, has = held(identity, before), held(identity, after)
        granted_perm = _granted_to(identity, grants)
        # other: none takes from all but those whom the policy grants something.
        keeps = had if policy.keep_other else had & granted_perm
        if keeps & ~has or has & ~had & ~granted_perm:
            return True
    return False


def _masks_all_files(default: Acl | None) -> bool:
    """Tell whether a default ACL has entries that are in force in no file.

    A mask of --x becomes --- in files, and whom they name falls to other. With
    the mask that writers need they would be in force.
    """
    return (
        default is not None
        and default.mask == EXECUTE
        and bool(default.users or default.groups)
    )


def _granted_to(identity: Identity, grants: Iterable[Grant]) -> int:
    """Return what the grants give to whoever has this uid and these groups.

    Not only to the one who is named: several identities can share a uid.
    """
    return _all_of(
        grant.perm for grant in grants if _is_meant(grant.identity, identity)
    )


def _is_meant(named: Identity, identity: Identity) -> bool:
    if named.is_group:
        return identity.in_group(min(named.groups))
    return identity.uid == named.uid


def refusal(policy: Policy, inode: Inode, protected_hardlinks: bool) -> str | None:
    """Return the code of the finding for what must not be touched, or None.

    Only regular files and directories of declared identities are the policy's
    business: an application can link or rename other inodes into its tree.
    """
    if inode.kind == "symlink":
        return "symbolic_link"
    if inode.kind not in (REGULAR, DIRECTORY):
        return "special_file"
    if inode.kind == DIRECTORY:
        return None if _is_own_directory(policy, inode) else "foreign_owner"
    return _file_refusal(policy, inode, protected_hardlinks)


def _is_own_directory(policy: Policy, inode: Inode) -> bool:
    owned_by_policy = policy.owner is not None and inode.uid == policy.owner.uid
    root_may = policy.root_writes and inode.uid == 0
    return inode.uid in policy.users or root_may or owned_by_policy


def _file_refusal(
    policy: Policy, inode: Inode, protected_hardlinks: bool
) -> str | None:
    root_may = policy.root_writes and protected_hardlinks and inode.uid == 0
    if inode.uid not in policy.file_owners and not root_may:
        return "foreign_owner"
    if inode.links > 1:
        return "hard_link"
    if inode.special & (SETUID | SETGID):
        return "privileged_file"
    return None


def change_refusal(before: Inode, after: Inode) -> str | None:
    """Return the code of the finding for a change that must not be made."""
    if before.immutable or before.append_only:
        return "immutable"
    secret = not (before.acl.group_class | before.acl.other) & READ
    reads = before.kind == REGULAR and before.uid == 0 and secret
    if reads and (after.acl.group_class | after.acl.other) & READ:
        return "foreign_owner"
    return None
