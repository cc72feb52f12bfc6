# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values as modules return them, and as a diff shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ._access import DIRECTORY, Inode
from ._acl import Acl, to_lines
from ._findings import explain
from ._identity import Identity, group_name, user_name
from ._names import display
from ._predict import Access, NextFile

#: How many users, and how many groups, of an ACL are shown.
_NAMED = 50


def octal(mode: int) -> str:
    """Return four octal digits."""
    return f"{mode:04o}"


def acl_text(acl: Acl | None) -> str | None:
    """Return an ACL in one line, entries separated by commas."""
    return None if acl is None else ",".join(_acl_lines(acl))


def _acl_lines(acl: Acl) -> list[str]:
    """Return the entries by name, of those that have names the first only.

    An owner can give a file thousands of them, and have each looked up.
    """
    first = replace(acl, users=acl.users[:_NAMED], groups=acl.groups[:_NAMED])
    lines = to_lines(first, user_name, group_name)
    named, shown = (len(each.users) + len(each.groups) for each in (acl, first))
    return lines if named == shown else [*lines, f"... and {named - shown:,} more"]


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


class Diff:
    """The changes of one directory in Ansible's form, the first ones in full."""

    def __init__(self, path: str, most: int = 100) -> None:
        """Show ``most`` inodes and count the rest."""
        self._path = display(path)
        self._most = most
        self._count = 0
        self._before: list[str] = []
        self._after: list[str] = []

    def add(self, path: str, before: Inode, after: Inode) -> None:
        """Add an inode; ``path`` is relative, "" for the directory itself."""
        self._count += 1
        if self._count > self._most:
            return
        name = display(path) or "."
        self._before += [name, *_lines(before)]
        self._after += [name, *_lines(after)]

    def result(self) -> dict[str, str] | None:
        """Return the diff, or None where nothing changes."""
        if not self._count:
            return None
        after = self._after
        if self._count > self._most:
            after = [*after, f"... and {self._count - self._most:,} more"]
        return {
            "before_header": self._path,
            "after_header": self._path,
            "before": _text(self._before),
            "after": _text(after),
        }


def _text(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _lines(inode: Inode) -> list[str]:
    lines = [
        f"owner {user_name(inode.uid)}",
        f"group {group_name(inode.gid)}",
        f"mode  {octal(inode.mode)}",
        *_acl_lines(inode.acl),
    ]
    if inode.kind == DIRECTORY and inode.default_acl is not None:
        lines += [f"default:{line}" for line in _acl_lines(inode.default_acl)]
    return [f"    {line}" for line in lines]
