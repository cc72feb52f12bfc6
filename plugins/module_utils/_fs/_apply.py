# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changing one inode through its descriptor, and reading it back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache

from .._access import Inode, Mount
from .._acl import Acl, encode, in_force, with_mask_of_entries
from .._errors import HostError
from ._inode import ACCESS_XATTR, DEFAULT_XATTR, observe_fd, proc_path


def same_permissions(one: Inode, other: Inode) -> bool:
    """Compare owner, group, mode and the meaning of both ACLs."""
    return one is other or _permissions(one) == _permissions(other)


@lru_cache(maxsize=4096)
def _permissions(inode: Inode) -> tuple[object, ...]:
    default = inode.default_acl.meaning if inode.default_acl else None
    return inode.kind, inode.uid, inode.gid, inode.special, inode.acl.meaning, default


def change(fd: int, before: Inode, after: Inode, mounts: Mapping[int, Mount]) -> None:
    """Bring the inode of ``fd`` from ``before`` to ``after``.

    Before the group changes, its permissions and those of *other* are reduced
    to what both old and new have, so that no one holds more in between; the
    named entries of both are there, so that no one holds less. The owner's are
    not reduced: an owner could grant them anyway, and the old one must not lose
    them, should this be the last thing done. Raises HostError where the kernel
    kept something else, OSError where it refused.
    """
    path = proc_path(fd)
    acl = before.acl
    if (before.uid, before.gid) != (after.uid, after.gid):
        acl = _in_between(before.acl, after.acl)
        _set_access(path, before.acl, acl)
        os.chown(path, after.uid, after.gid)
    _set_access(path, acl, after.acl)
    if after.default_acl is not None and after.default_acl != before.default_acl:
        os.setxattr(path, DEFAULT_XATTR, encode(after.default_acl))
    now = observe_fd(fd, mounts).inode
    if now.special != after.special:
        os.chmod(path, after.mode)
        now = observe_fd(fd, mounts).inode
    if not same_permissions(now, after):
        raise HostError(
            f"the kernel kept mode {now.mode:04o} where {after.mode:04o} was set; "
            "the file system or a missing capability drops bits"
        )


def _in_between(before: Acl, after: Acl) -> Acl:
    old, new = in_force(before), in_force(after)
    acl = Acl(
        user_obj=old.user_obj,
        group_obj=old.group_obj & new.group_obj,
        other=old.other & new.other,
        users=tuple(sorted({**dict(old.users), **dict(new.users)}.items())),
        groups=tuple(sorted({**dict(old.groups), **dict(new.groups)}.items())),
    )
    return with_mask_of_entries(acl)


def _set_access(path: str, present: Acl, wanted: Acl) -> None:
    if present.meaning != wanted.meaning:
        # A minimal ACL sets the mode's bits and drops the attribute at once.
        os.setxattr(path, ACCESS_XATTR, encode(wanted))
