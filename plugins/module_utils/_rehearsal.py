# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The next file as somebody makes it who sets its owner, mode and ACL himself.

Pure functions: what open(2), fchmod(2), fchown(2) and acl_set_fd(3) leave behind
when a manager calls them one after another (``fs/posix_acl.c``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ._access import (
    SETGID,
    Inode,
    Place,
    Verdict,
    created_file,
    may_append,
    may_create,
)
from ._acl import Acl, from_mode
from ._identity import Identity
from ._policy import Policy


@dataclass(frozen=True)
class Recipe:
    """How a manager makes a file.

    ``creator`` opens it, with its umask and request mode. Then ``uid`` and ``gid``
    are set if the creator is root, then ``mode``, or instead of it ``acl``. None
    is left as it is.
    """

    creator: Identity
    uid: int | None = None
    gid: int | None = None
    mode: int | None = None
    acl: Acl | None = None


def chmodded(inode: Inode, mode: int) -> Inode:
    """Return an inode after chmod(2): where there is an ACL, its group bits are the mask.

    So posix_acl_chmod() does it, for files and directories alike.
    """
    acl = inode.acl
    if acl.is_minimal:
        acl = from_mode(mode & 0o777)
    else:
        group = mode >> 3 & 7
        acl = replace(
            acl,
            user_obj=mode >> 6 & 7,
            other=mode & 7,
            mask=None if acl.mask is None else group,
            group_obj=group if acl.mask is None else acl.group_obj,
        )
    return replace(inode, special=mode & 0o7000, acl=acl)


def given(inode: Inode, uid: int | None, gid: int | None) -> Inode:
    """Return an inode after chown(2) by root; None leaves what is there."""
    return replace(
        inode,
        uid=inode.uid if uid is None else uid,
        gid=inode.gid if gid is None else gid,
    )


def made(recipe: Recipe, directory: Inode) -> Inode:
    """Predict the file that a manager makes in a directory."""
    file = created_file(recipe.creator, directory)
    if recipe.creator.uid == 0:
        file = given(file, recipe.uid, recipe.gid)
    if recipe.acl is not None:
        return replace(file, special=0, acl=recipe.acl)
    if recipe.mode is None:
        return file
    foreign = recipe.creator.uid != 0 and not recipe.creator.in_group(file.gid)
    return chmodded(file, recipe.mode & ~SETGID if foreign else recipe.mode)


def locked_out(
    policy: Policy, place: Place, file: Inode
) -> list[tuple[Identity, Verdict]]:
    """Return the policy's writers who may not append to a file, and why."""
    verdicts = ((each, may_append(each, place, file)) for each in policy.writers)
    return [(each, verdict) for each, verdict in verdicts if verdict.allowed is False]


def kept_out(policy: Policy, place: Place) -> list[tuple[Identity, Verdict]]:
    """Return the policy's writers who may not create files in a directory."""
    verdicts = ((each, may_create(each, place)) for each in policy.writers)
    return [(each, verdict) for each, verdict in verdicts if verdict.allowed is False]
