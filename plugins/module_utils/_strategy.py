# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which strategy a policy comes to in a directory, and whether it can be kept."""

from __future__ import annotations

from dataclasses import replace

from ._access import Inode
from ._acl import EXECUTE, READ
from ._findings import KINDS, Finding
from ._identity import Identity, user_name
from ._names import display
from ._policy import AUTO, BY_ACL, BY_GROUP, Grant, Misfit, Policy, group_misfit
from ._predict import described_inode
from ._reduce import without_other, without_unnamed
from ._rights import has


def settled(policy: Policy, directory: Inode) -> Policy:
    """Return the policy with a strategy that is not auto; by group, with a group."""
    strategy = policy.strategy
    if strategy == AUTO:
        strategy = BY_ACL if directory.mount.acl_supported else BY_GROUP
    if strategy == BY_ACL:
        return replace(policy, strategy=BY_ACL)
    group = directory.gid if policy.group is None else policy.group
    return replace(policy, strategy=BY_GROUP, group=group)


def hindrance(declared: Policy, directory: Inode) -> Finding | None:
    """Return why a directory cannot be brought to a policy by its strategy."""
    policy = settled(declared, directory)
    if policy.strategy == BY_ACL:
        return (
            None if directory.mount.acl_supported else _without_acls(policy, directory)
        )
    misfit = _misfit(policy, directory)
    if misfit is None:
        return None
    if declared.strategy == AUTO:
        return _neither(policy, directory, misfit)
    return _unfit(policy, directory, misfit)


def _misfit(policy: Policy, directory: Inode) -> Misfit | None:
    left = without_unnamed(policy, without_other(policy, directory))

    def reads(reader: Identity) -> bool:
        return has(Grant(reader, READ | EXECUTE), left)

    gid = directory.gid if policy.group is None else policy.group
    return group_misfit(policy, gid, reads)


def _without_acls(policy: Policy, directory: Inode) -> Finding:
    title = KINDS["acl_unsupported"].title
    needs = f"directories.strategy: {policy.strategy!r} needs them"
    message = f"{title}, and {needs}: {display(policy.path)}"
    return _finding("acl_unsupported", policy, directory, message, None)


def _neither(policy: Policy, directory: Inode, misfit: Misfit) -> Finding:
    title = KINDS["acl_unsupported"].title
    message = f"{title}: {display(policy.path)}; and {misfit.described}"
    remedy = f"{misfit.remedy}, mount it with ACLs, or move the logs"
    return _finding("acl_unsupported", policy, directory, message, remedy)


def _unfit(policy: Policy, directory: Inode, misfit: Misfit) -> Finding:
    instead = "set strategy: acl"
    if not directory.mount.acl_supported:
        instead = "move the logs to a file system with ACLs"
    message = f"{misfit.described}: {display(policy.path)}"
    remedy = f"{misfit.remedy}, or {instead}"
    return _finding("group_unfit", policy, directory, message, remedy)


def _finding(
    code: str, policy: Policy, directory: Inode, message: str, remedy: str | None
) -> Finding:
    who, evidence = user_name(directory.uid), described_inode(directory)
    return Finding(code, policy.path, who, evidence, message, remedy)
