# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changing one inode through its descriptor, and reading it back."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import chain
from typing import Callable

from .._access import REGULAR, Inode, Mount
from .._acl import NO_ENTRIES, Acl, encode, in_force, with_mask_of_entries
from .._errors import HostError
from ._inode import ACCESS_XATTR, DEFAULT_XATTR, observe_fd, proc_path

_DISTINCT_CHANGES = 4096
_CAP_FSETID = 4
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.E2BIG)


class ChangedMeanwhile(HostError):
    """Others changed an inode between a change and the look at what it left."""


def same_permissions(one: Inode, other: Inode) -> bool:
    """Compare owner, group, mode and the meaning of both ACLs."""
    return one is other or _permissions(one) == _permissions(other)


def same_bytes(one: Inode, other: Inode) -> bool:
    """Compare what ``same_permissions`` does, and in which order an ACL has it."""
    acls = one.acl == other.acl and one.default_acl == other.default_acl
    return acls and same_permissions(one, other)


@lru_cache(maxsize=_DISTINCT_CHANGES)
def _permissions(inode: Inode) -> tuple[object, ...]:
    default = inode.default_acl.meaning if inode.default_acl else None
    known = inode.kind, inode.uid, inode.gid, inode.special, inode.acl.meaning, default
    return (*known, inode.acl_unread)


def copy_up(fd: int) -> None:
    """Have an overlay make its copy of a file of a lower layer now.

    The copy has a device, a number and a birth time of its own. Nothing else
    becomes of the inode, where it has neither setuid nor capabilities.
    """
    os.chown(proc_path(fd), -1, -1)


def change(fd: int, before: Inode, after: Inode, mounts: Mapping[int, Mount]) -> None:
    """Bring the inode of ``fd`` from ``before`` to ``after``, stage by stage.

    Raises HostError where the kernel kept something else, OSError where it
    refused; ChangedMeanwhile where that is the owner's doing, who may.
    """
    _change(proc_path(fd), fd, before, after, mounts)


def change_near(
    fd: int, before: Inode, after: Inode, mounts: Mapping[int, Mount]
) -> None:
    """Do what ``change`` does, and sooner, among the process's ``own_descriptors``."""
    _change(str(fd), fd, before, after, mounts)


def _change(
    path: str, fd: int, before: Inode, after: Inode, mounts: Mapping[int, Mount]
) -> None:
    for call in _calls(before, after):
        call(path)
    now = _read_back(fd, after, mounts)
    if now.special != after.special:
        os.chmod(path, after.mode)
        now = _read_back(fd, after, mounts)
    if not same_permissions(now, after):
        kept = f"kept mode {now.mode:04o} where {after.mode:04o} was set"
        if _dropped(now, after):
            raise HostError(f"the kernel {kept}, for want of CAP_FSETID")
        raise ChangedMeanwhile(f"the kernel {kept}, or others changed it at once")


def is_owners_doing(fd: int, error: OSError) -> bool:
    """Tell whether an inode can be one that its owner has made unchangeable.

    Its extended attributes leave no room for an ACL (setxattr(2)), or it lies in
    a read-only snapshot, which anybody may make of a btrfs subvolume of theirs.
    """
    if error.errno == errno.EROFS:
        return not os.fstatvfs(fd).f_flag & os.ST_RDONLY
    return error.errno in _NO_ROOM


def _dropped(now: Inode, after: Inode) -> bool:
    """Tell whether the kernel dropped a bit: nobody else is to end a run so."""
    only_special = same_permissions(replace(now, special=after.special), after)
    return only_special and not _has_fsetid()


def _has_fsetid() -> bool:
    with open("/proc/self/status", encoding="ascii", errors="replace") as lines:
        effective = next(line for line in lines if line.startswith("CapEff:"))
    return bool(int(effective.split()[1], 16) >> _CAP_FSETID & 1)


def _read_back(fd: int, after: Inode, mounts: Mapping[int, Mount]) -> Inode:
    """Return what the kernel made of it; of a file the mode tells enough."""
    status = os.stat(fd)
    kept = status.st_uid, status.st_gid, status.st_mode & 0o7777
    if after.kind == REGULAR and kept == (after.uid, after.gid, after.mode):
        return after
    return observe_fd(fd, mounts).inode


@lru_cache(maxsize=_DISTINCT_CHANGES)
def _calls(before: Inode, after: Inode) -> tuple[Callable[[str], None], ...]:
    """Return the system calls, which are the same for all that is alike."""
    left = stages(before, after)
    return tuple(chain.from_iterable(map(_call_for, (before, *left), left)))


def stages(before: Inode, after: Inode) -> list[Inode]:
    """Return what an inode is after each system call of a change.

    Before the group changes, its permissions and those of *other* are reduced
    to what both old and new have, so that no one holds more in between; the
    named entries of both are there, so that no one holds less. The owner's are
    not reduced: an owner could grant them anyway, and the old one must not lose
    them, should this be the last thing done.
    """
    found = []
    now = before
    if (before.uid, before.gid) != (after.uid, after.gid):
        now = replace(now, acl=_in_between(before.acl, after.acl))
        found.append(now)
        now = replace(now, uid=after.uid, gid=after.gid)
        found.append(now)
    for attribute in ("acl", "default_acl", "special"):
        now = replace(now, **{attribute: getattr(after, attribute)})
        found.append(now)
    return found


def left_by(before: Inode, after: Inode, present: Inode) -> bool:
    """Tell whether a change can have left an inode as it is at ``present``.

    It can have ended after any of its stages; and so can attempts, from there,
    to bring back what was ``before``.
    """
    left = stages(before, after)
    for each in left:  # which grows meanwhile, until nothing is new
        left += [stage for stage in stages(each, before) if stage not in left]
    return any(same_permissions(present, each) for each in left)


def _in_between(before: Acl, after: Acl) -> Acl:
    old, new = in_force(before), in_force(after)
    acl = Acl(
        user_obj=old.user_obj,
        group_obj=old.group_obj & new.group_obj,
        other=old.other & new.other,
        users=tuple({**dict(old.users), **dict(new.users)}.items()),
        groups=old.groups + new.groups,
    )
    return with_mask_of_entries(acl.meaning)


def _call_for(present: Inode, stage: Inode) -> Iterator[Callable[[str], None]]:
    """Yield the one system call, if any, that leads to the next stage."""
    if (present.uid, present.gid) != (stage.uid, stage.gid):
        yield lambda path: os.chown(path, stage.uid, stage.gid)
    if present.acl != stage.acl:
        acl = encode(stage.acl)
        yield lambda path: _set_access(path, acl, stage)
    if present.default_acl != stage.default_acl:
        default = stage.default_acl
        value = NO_ENTRIES if default is None else encode(default)
        yield lambda path: os.setxattr(path, DEFAULT_XATTR, value)


def _set_access(path: str, acl: bytes, stage: Inode) -> None:
    """Set the access ACL; the mode alone where the file system keeps no ACLs."""
    try:
        # A minimal ACL sets the mode's bits and drops the attribute at once.
        os.setxattr(path, ACCESS_XATTR, acl)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP or not stage.acl.is_minimal:
            raise
        os.chmod(path, stage.mode)
