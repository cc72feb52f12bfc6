# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who holds what on an inode by owner, ACL and mode, and who is granted what."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

from ._access import DIRECTORY, Inode, acl_verdict, permission
from ._acl import EXECUTE, READ, WRITE
from ._identity import Identity
from ._policy import Grant

_BITS = (READ, WRITE, EXECUTE)


def held(identity: Identity, inode: Inode) -> int:
    """Return the permissions that an identity has by owner, ACL and mode.

    Write on a directory is nothing without search, by one and the same entry:
    with a search that is granted later it would come alive.
    """
    creates = acl_verdict(identity, inode, WRITE | EXECUTE).allowed
    bits = bits_of(identity, inode)
    return bits if inode.kind != DIRECTORY or creates else bits & ~WRITE


def bits_of(identity: Identity, inode: Inode) -> int:
    """Return the same, a directory's write without search included."""
    return sum(bit for bit in _BITS if acl_verdict(identity, inode, bit).allowed)


def has(grant: Grant, inode: Inode) -> bool:
    """Tell whether an identity has what it is granted, if only by a capability.

    To create in a directory takes write and search by one and the same entry.
    """
    needed = [bit for bit in _BITS if grant.perm & bit]
    if inode.kind == DIRECTORY and grant.perm & WRITE:
        needed.append(WRITE | EXECUTE)
    return all(permission(grant.identity, inode, bit).allowed for bit in needed)


def granted_to(identity: Identity, grants: Iterable[Grant]) -> int:
    """Return what the grants give to whoever has this uid and these groups.

    Not only to the one who is named: several identities can share a uid.
    """
    return all_of(grant.perm for grant in grants if _is_meant(grant.identity, identity))


def _is_meant(named: Identity, identity: Identity) -> bool:
    if named.is_group:
        return identity.in_group(min(named.groups))
    return identity.uid == named.uid


def by_id(entries: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Return what each id has; a group may have it in several entries."""
    found: dict[int, int] = {}
    for entry_id, perm in entries:
        found[entry_id] = found.get(entry_id, 0) | perm
    return found


def all_of(perms: Iterable[int]) -> int:
    """Return what any of them has."""
    return reduce(lambda one, other: one | other, perms, 0)


def least(perms: Iterable[int]) -> int:
    """Return what each of them has."""
    return reduce(lambda one, other: one & other, perms, 7)
