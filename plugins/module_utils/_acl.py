# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""POSIX ACLs as values: extended attribute bytes, entries and text.

The format is that of ``include/uapi/linux/posix_acl_xattr.h``: a version
number, then entries of tag, permission and id, little-endian.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Callable

READ, WRITE, EXECUTE = 4, 2, 1
#: How many users, and how many groups, of an ACL are shown.
_NAMED = 50

NamedEntries = tuple[tuple[int, int], ...]

_VERSION = 2
_HEADER = struct.Struct("<I")
_ENTRY = struct.Struct("<HHI")
#: What removes an ACL, whether or not there is one.
NO_ENTRIES = _HEADER.pack(_VERSION)
_NO_ID = 0xFFFFFFFF
_USER_OBJ, _USER, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 1, 2, 4, 8, 0x10, 0x20
#: An ACL with more entries is not looked at: an owner can give each of thousands of
#: files thousands of them, which would take hours, and all memory.
MAX_ENTRIES = 256
MAX_BYTES = _HEADER.size + MAX_ENTRIES * _ENTRY.size
_SINGLE = (_USER_OBJ, _GROUP_OBJ, _MASK, _OTHER)


class AclFormatError(ValueError):
    """The bytes of an extended attribute, or a text, are not an ACL."""


@dataclass(frozen=True)
class Acl:
    """One access or default ACL; a mode without an ACL is a minimal one.

    Permissions are integers from 0 to 7. ``users`` and ``groups`` hold pairs
    of id and permissions in the order in which the kernel tries them. Of a
    user that occurs twice the first pair counts; of groups, any one pair that
    holds all that is wanted (``fs/posix_acl.c``, ``posix_acl_permission``).
    """

    user_obj: int
    group_obj: int
    other: int
    mask: int | None = None
    users: NamedEntries = ()
    groups: NamedEntries = ()

    @property
    def is_minimal(self) -> bool:
        """True where the nine permission bits say all there is to say."""
        return self.mask is None and not self.users and not self.groups

    @property
    def is_too_long(self) -> bool:
        """True where it would not be looked at, if an inode had it."""
        return len(encode(self)) > MAX_BYTES

    @property
    def group_class(self) -> int:
        """The group bits of the mode: the mask, where there is one."""
        return self.group_obj if self.mask is None else self.mask

    @property
    def mode(self) -> int:
        """The nine permission bits of an inode that has this access ACL."""
        return self.user_obj << 6 | self.group_class << 3 | self.other

    @cached_property
    def meaning(self) -> Acl:
        """The same ACL without the differences that mean nothing."""
        return replace(
            self, users=_first_of_each(self.users), groups=_widest(self.groups)
        )


def _first_of_each(entries: NamedEntries) -> NamedEntries:
    first: dict[int, int] = {}
    for entry_id, perm in entries:
        first.setdefault(entry_id, perm)
    return tuple(sorted(first.items()))


def _widest(entries: NamedEntries) -> NamedEntries:
    """Leave out each entry that another one of the same group contains."""
    perms: dict[int, set[int]] = {}
    for gid, perm in entries:
        perms.setdefault(gid, set()).add(perm)
    wider = (
        (gid, perm)
        for gid, held in perms.items()
        for perm in held
        if not any(perm != each and perm & each == perm for each in held)
    )
    return tuple(sorted(wider))


def from_mode(mode: int) -> Acl:
    """Return the minimal ACL that the nine permission bits of a mode mean."""
    return Acl(mode >> 6 & 7, mode >> 3 & 7, mode & 7)


def decode(value: bytes) -> Acl | None:
    """Read the bytes of a ``system.posix_acl_*`` attribute.

    Returns None for a value without entries, which the kernel takes as "no
    ACL". Raises AclFormatError for bytes that the kernel would not accept.
    """
    if len(value) < _HEADER.size or (len(value) - _HEADER.size) % _ENTRY.size:
        raise AclFormatError(f"an ACL cannot have {len(value)} bytes")
    (version,) = _HEADER.unpack_from(value)
    if version != _VERSION:
        raise AclFormatError(f"ACL version {version} is unknown")
    single: dict[int, int] = {}
    named: dict[int, list[tuple[int, int]]] = {_USER: [], _GROUP: []}
    last = 0
    for tag, perm, entry_id in _ENTRY.iter_unpack(value[_HEADER.size :]):
        if perm > 7:
            raise AclFormatError(f"permissions {perm} are unknown")
        if tag < last:
            raise AclFormatError(f"entry with tag {tag} comes after one with {last}")
        last = tag
        if tag in named and entry_id != _NO_ID:
            named[tag].append((entry_id, perm))
        elif tag in _SINGLE and tag not in single:
            single[tag] = perm
        else:
            raise AclFormatError(
                f"entry with tag {tag} is unknown, repeated or no id's"
            )
    if not last:
        return None
    return _checked(single, tuple(named[_USER]), tuple(named[_GROUP]))


def _checked(single: dict[int, int], users: NamedEntries, groups: NamedEntries) -> Acl:
    if not {_USER_OBJ, _GROUP_OBJ, _OTHER} <= single.keys():
        raise AclFormatError("user, group and other are each needed once")
    if (users or groups) and _MASK not in single:
        raise AclFormatError("named entries need a mask")
    return Acl(
        single[_USER_OBJ],
        single[_GROUP_OBJ],
        single[_OTHER],
        single.get(_MASK),
        users,
        groups,
    )


@lru_cache(maxsize=1024)
def encode(acl: Acl) -> bytes:
    """Return the bytes of the extended attribute, entries in kernel order."""
    entries = [(_USER_OBJ, acl.user_obj, _NO_ID)]
    entries += [(_USER, perm, uid) for uid, perm in acl.users]
    entries += [(_GROUP_OBJ, acl.group_obj, _NO_ID)]
    entries += [(_GROUP, perm, gid) for gid, perm in acl.groups]
    if acl.mask is not None:
        entries += [(_MASK, acl.mask, _NO_ID)]
    entries += [(_OTHER, acl.other, _NO_ID)]
    return _HEADER.pack(_VERSION) + b"".join(_ENTRY.pack(*entry) for entry in entries)


def perm_text(perm: int) -> str:
    """Return three letters, for example ``r-x``."""
    return "".join(
        letter if perm & bit else "-"
        for letter, bit in (("r", READ), ("w", WRITE), ("x", EXECUTE))
    )


def to_lines(
    acl: Acl,
    user_name: Callable[[int], str] = str,
    group_name: Callable[[int], str] = str,
) -> list[str]:
    """Return the entries as ``getfacl`` writes them, one string an entry."""
    lines = [f"user::{perm_text(acl.user_obj)}"]
    lines += [f"user:{user_name(uid)}:{perm_text(perm)}" for uid, perm in acl.users]
    lines += [f"group::{perm_text(acl.group_obj)}"]
    lines += [f"group:{group_name(gid)}:{perm_text(perm)}" for gid, perm in acl.groups]
    if acl.mask is not None:
        lines += [f"mask::{perm_text(acl.mask)}"]
    lines += [f"other::{perm_text(acl.other)}"]
    return lines


def shortened(acl: Acl) -> tuple[Acl, int]:
    """Return an ACL with the first named entries only, and how many are left out.

    An owner can give a file thousands of them, and have each looked up.
    """
    first = replace(acl, users=acl.users[:_NAMED], groups=acl.groups[:_NAMED])
    named, kept = (len(each.users) + len(each.groups) for each in (acl, first))
    return first, named - kept


def in_force(acl: Acl) -> Acl:
    """Fold the mask into the entries, so that raising it revives nothing.

    The result grants what ``acl`` grants today. Where the mask is ``---``
    Linux does not look at the ACL at all (``fs/namei.c``, ``acl_permission_check``
    tests the mode's group bits first), so named entries mean nothing there and
    are left out.
    """
    if acl.mask is None:
        return acl
    if acl.mask == 0:
        return Acl(acl.user_obj, 0, acl.other)
    mask = acl.mask
    return replace(
        acl,
        group_obj=acl.group_obj & mask,
        users=tuple((uid, perm & mask) for uid, perm in acl.users),
        groups=tuple((gid, perm & mask) for gid, perm in acl.groups),
    ).meaning


def with_mask_of_entries(acl: Acl) -> Acl:
    """Set the mask to what the entries need; none where none is named.

    Entries that deny everything need no bit, and yet a mask that is not
    ``---``, or the kernel would not look at them.
    """
    if not acl.users and not acl.groups:
        return replace(acl, mask=None)
    mask = acl.group_obj
    for _entry_id, perm in acl.users + acl.groups:
        mask |= perm
    return replace(acl, mask=mask or acl.mask or READ)
