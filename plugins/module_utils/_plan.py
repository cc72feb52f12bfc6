# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what is there and what is wanted to what must change.

Pure functions. Nobody loses what they have and nobody gains but those whom
the policy names; a plan that cannot keep that promise is not made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ._access import DIRECTORY, REGULAR, SETGID, SETUID, Inode
from ._acl import EXECUTE, READ, WRITE, Acl
from ._identity import STRANGER, Identity, identity_of, known_members
from ._plan_acl import acl_directory, acl_file
from ._plan_group import (
    directory_grants,
    file_grants,
    frees,
    group_directory,
    group_file,
    next_files,
)
from ._policy import BY_GROUP, Grant, Policy
from ._reduce import without_unnamed
from ._rights import granted_to, held


def planned_file(policy: Policy, inode: Inode) -> Inode:
    """Return a log file as the policy wants it."""
    plan = group_file if policy.strategy == BY_GROUP else acl_file
    return plan(policy, inode)


def planned_directory(
    policy: Policy, inode: Inode, newest: Sequence[Inode] = ()
) -> Inode:
    """Return a directory as the policy wants it, its default ACL included.

    ``newest`` are files of the directory, the newest first: they show what the
    umasks of their creators are.
    """
    if policy.strategy == BY_GROUP:
        return group_directory(policy, inode)
    return acl_directory(policy, inode, newest)


def breaks_promise(policy: Policy, before: Inode, after: Inode) -> bool:
    """Tell whether a plan takes from anybody, or gives to the unnamed.

    Modes in which other may do more than a group or the owner can make both
    unavoidable; such an inode is left alone and reported.
    """
    if _masks_all_files(before.default_acl):
        return True
    opens = frees if policy.strategy == BY_GROUP else _opens_next_files
    if opens(policy, before, after):
        return True
    grants = _grants(policy, after)
    # What exact takes away may be lost, and nothing else.
    kept = without_unnamed(policy, before)
    for identity in (*policy.identities, STRANGER, *_moved_away(policy, before, after)):
        granted_perm = granted_to(identity, grants)
        had, has = held(identity, before), held(identity, after)
        keeps = had & held(identity, kept)
        if not policy.keep_other:
            # other: none takes from all but those whom the policy grants something.
            keeps &= granted_perm
        if keeps & ~has or has & ~had & ~granted_perm:
            return True
    return False


def _opens_next_files(policy: Policy, before: Inode, after: Inode) -> bool:
    """Tell whether somebody gains by the next files whom nothing is granted.

    A default entry for one of two groups denies its members more; in the other,
    to which the next files will belong, they would have what that has.
    """
    unnamed = [
        each
        for each in (*policy.identities, STRANGER)
        if not granted_to(each, policy.file_grants)
    ]
    return before.kind == DIRECTORY and any(
        held(each, new) & ~held(each, old) & (READ | WRITE)
        for old, new in next_files(policy, before, after)
        for each in unnamed
        if each.uid != new.uid
    )


def _grants(policy: Policy, inode: Inode) -> Sequence[Grant]:
    if policy.strategy == BY_GROUP:
        grants = file_grants if inode.kind == REGULAR else directory_grants
        return grants(policy, inode.gid)
    return policy.file_grants if inode.kind == REGULAR else policy.directory_grants


def _moved_away(policy: Policy, before: Inode, after: Inode) -> Iterator[Identity]:
    """Yield who is not in the policy and could lose by another owner or group.

    With entries that nothing takes away, nobody can.
    """
    if policy.strategy != BY_GROUP and not policy.exact:
        return
    known = {each.uid for each in policy.identities if not each.is_group} | {0}
    if before.uid != after.uid and before.uid not in known:
        yield identity_of(before.uid)
    if before.gid != after.gid:
        yield from (each for each in known_members(before.gid) if each.uid not in known)


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


def refusal(policy: Policy, inode: Inode, protected_hardlinks: bool) -> str | None:
    """Return the code of the finding for what must not be touched, or None.

    Only regular files and directories of declared identities are the policy's
    business: an application can link or rename other inodes into its tree. What is
    theirs and has an ACL that was not read cannot be planned.
    """
    if inode.kind == "symlink":
        return "symbolic_link"
    if inode.kind not in (REGULAR, DIRECTORY):
        return "special_file"
    if inode.kind == DIRECTORY:
        refused = None if _is_own_directory(policy, inode) else "foreign_owner"
    else:
        refused = _file_refusal(policy, inode, protected_hardlinks)
    return refused or ("unchangeable" if inode.acl_unread else None)


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
    default = after.default_acl
    if before.acl_unread or after.acl.is_too_long or (default and default.is_too_long):
        return "unchangeable"
    secret = not (before.acl.group_class | before.acl.other) & READ
    reads = before.kind == REGULAR and before.uid == 0 and secret
    if reads and (after.acl.group_class | after.acl.other) & READ:
        return "foreign_owner"
    return None
