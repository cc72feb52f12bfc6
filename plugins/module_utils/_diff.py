# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The changes of one directory, as a diff that a person reads: a line an inode."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ._access import Inode
from ._acl import Acl, shortened, to_lines
from ._identity import group_name, user_name
from ._names import display

#: A terminal's 80 columns, and the sign in front of a line.
_WIDTH = 79
_INDENT = "    "
#: What the mode says of an ACL.
_IN_MODE = ("user::", "other::")


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
        name = _shown(path)
        self._before.append(_line([name, *_fields(before, after, "-")]))
        self._after.append(_line([name, *_fields(after, before, "+")]))

    def as_json(self) -> dict[str, Any]:
        """Return it as what goes from one process to another."""
        return {"count": self._count, "before": self._before, "after": self._after}

    def add_json(self, value: Mapping[str, Any]) -> None:
        """Add what ``as_json`` made of another one, as far as there is room."""
        room = max(0, self._most - self._count)
        self._count += value["count"]
        self._before += value["before"][:room]
        self._after += value["after"][:room]

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


def _shown(path: str) -> str:
    """Return a name that nobody takes for two fields, or for the end of a line."""
    name = display(path) or "."
    if name != name.strip() or "  " in name:
        return name.replace(" ", "\\x20")
    return name


def _fields(inode: Inode, other: Inode, sign: str) -> Iterator[str]:
    """Yield what an inode has and the ``other``, which it was or will be, has not."""
    if inode.uid != other.uid:
        yield f"owner: {user_name(inode.uid)}"
    if inode.gid != other.gid:
        yield f"group: {group_name(inode.gid)}"
    if inode.mode != other.mode:
        yield f"mode: {inode.mode:04o}"
    entries = _entries(inode, other)
    if entries:
        yield f"acl: {sign} {' '.join(entries)}"
    default = _lacking(inode.default_acl, other.default_acl)
    if default:
        yield f"default: {sign} {' '.join(default)}"


def _entries(inode: Inode, other: Inode) -> list[str]:
    """Return the entries of an access ACL that the mode does not tell of."""
    told = list(_IN_MODE)
    if inode.mode != other.mode:
        told.append("mask::")
        if inode.acl.is_minimal and other.acl.is_minimal:
            told.append("group::")
    entries = _lacking(inode.acl, other.acl)
    return [entry for entry in entries if not entry.startswith(tuple(told))]


def _lacking(acl: Acl | None, other: Acl | None) -> list[str]:
    """Return, by their names, the entries that the other has not, the first ones.

    Where the other has the same ones in another order, they are all returned.
    """
    if acl is None or acl == other:
        return []
    if other is None:
        return _lines(acl)
    if acl.meaning == other.meaning:
        other = replace(other, users=(), groups=())
    users, groups = set(other.users), set(other.groups)
    named = replace(
        acl,
        users=tuple(entry for entry in acl.users if entry not in users),
        groups=tuple(entry for entry in acl.groups if entry not in groups),
    )
    has = to_lines(replace(other, users=(), groups=()))
    return [line for line in _lines(named) if line not in has]


def _lines(acl: Acl) -> list[str]:
    first, more = shortened(acl)
    lines = to_lines(first, user_name, group_name)
    return [*lines, f"... and {more:,} more"] if more else lines


def _line(fields: Sequence[str]) -> str:
    """Join fields; what goes beyond the width goes on below, further in."""
    line = "  ".join(fields)
    if len(line) <= _WIDTH:
        return line
    name, *others = fields
    lines = [name]
    for field in others:
        gap = "  "
        for word in _words(field):
            if len(lines[-1]) + len(gap) + len(word) <= _WIDTH:
                lines[-1] += gap + word
            else:
                lines.append(_INDENT + word)
            gap = " "
    return "\n".join(lines)


def _words(field: str) -> list[str]:
    """Split a field where a line may end: not between a label and what it tells."""
    label, *rest = field.split(" ")
    if len(rest) > 1:
        sign, first, *entries = rest
        return [f"{label} {sign} {first}", *entries]
    return [field]
