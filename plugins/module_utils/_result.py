# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values as modules return them, and as a diff shows them."""

from __future__ import annotations

from typing import Any

from ._access import Inode, Place, may_create
from ._acl import Acl, shortened, to_lines
from ._findings import explain
from ._identity import Identity, group_name, user_name
from ._managers._conflicts import Logs, ManagedFile
from ._names import display
from ._predict import Access, NextFile, access_to


def octal(mode: int) -> str:
    """Return four octal digits."""
    return f"{mode:04o}"


def acl_text(acl: Acl | None) -> str | None:
    """Return an ACL in one line, entries separated by commas, the first ones."""
    if acl is None:
        return None
    first, more = shortened(acl)
    lines = to_lines(first, user_name, group_name)
    return ",".join([*lines, f"... and {more:,} more"] if more else lines)


def inode_fields(inode: Inode) -> dict[str, Any]:
    """Return owner, group, mode and access ACL."""
    return {
        "owner": user_name(inode.uid),
        "group": group_name(inode.gid),
        "mode": octal(inode.mode),
        "access_acl": acl_text(inode.acl),
    }


def identity_fields(identity: Identity) -> dict[str, Any]:
    """Return an identity: names where there are any, numbers for the kernel."""
    return {
        "id": identity.id,
        "name": identity.name,
        "uid": identity.uid,
        "gid": identity.gid,
        "groups": sorted(identity.groups),
        "umask": octal(identity.umask),
        "request_mode": octal(identity.request_mode),
        "capabilities": sorted(identity.capabilities),
        "source": identity.source,
        "pids": list(identity.pids),
    }


def access_fields(row: Access, what: str) -> dict[str, Any]:
    """Return one row of an access table."""
    verdict = row.verdict
    return {
        "identity": row.identity.id,
        "operation": row.operation,
        "allowed": verdict.allowed,
        "reason": verdict.reason,
        "ancestor": None if verdict.ancestor is None else display(verdict.ancestor),
        "explanation": explain(row.identity.name, row.operation, what, verdict),
    }


def next_file_fields(file: NextFile) -> dict[str, Any]:
    """Return the prediction for one creator."""
    fields: dict[str, Any] = {
        "creator": file.creator.id,
        "allowed": file.verdict.allowed,
        "reason": file.verdict.reason,
        "owner": None,
        "group": None,
        "mode": None,
        "access_acl": None,
    }
    if file.inode is not None:
        fields.update(inode_fields(file.inode))
    what = f"the next file of {file.creator.name}"
    fields["access"] = [access_fields(row, what) for row in file.access]
    return fields


def managed_file_fields(logs: Logs, file: ManagedFile) -> dict[str, Any]:
    """Return the prediction for a manager: as things are, and after the repair."""
    verdict = may_create(file.creator, logs.before)
    return {
        "creator": f"manager:{file.manager}",
        "origin": file.origin,
        "file": display(file.name),
        "allowed": verdict.allowed,
        "reason": verdict.reason,
        **_managed(logs, file, logs.before, file.before),
        "after_repair": _managed(logs, file, logs.after, file.after),
    }


def _managed(
    logs: Logs, file: ManagedFile, place: Place, inode: Inode
) -> dict[str, Any]:
    if may_create(file.creator, place).allowed is False:
        nothing = dict.fromkeys(("owner", "group", "mode", "access_acl"))
        return {**nothing, "access": []}
    what = f"the next {display(file.name)} of {file.manager}"
    rows = access_to(logs.policy, place, inode)
    access = [access_fields(row, what) for row in rows]
    return {**inode_fields(inode), "access": access}
