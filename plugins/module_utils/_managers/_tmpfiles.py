# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd-tmpfiles: what it sets back at boot, and what it removes by age.

Rules: tmpfiles.d(5), and ``path_set_perms`` of systemd's ``tmpfiles.c``: a mode is
set with chmod(2), which cuts the mask of an ACL and takes the setgid bit away.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Optional

from .._access import DIRECTORY, REGULAR, Inode
from .._acl import Acl, with_mask_of_entries
from .._errors import OptionError
from .._findings import Finding
from .._identity import resolve_gid, resolve_uid
from .._names import display
from .._rehearsal import chmodded, given
from .._writers._source import Problem
from ._conflicts import (
    Answer,
    Logs,
    Manager,
    Rehearsed,
    evidence_of,
    rehearsed_directory,
    rehearsed_file,
    shown_origin,
)
from ._globs import matches_glob
from ._host import Host
from ._tmpfiles_conf import Line
from ._tmpfiles_conf import read as read_lines

_WHEN = "At boot, and whenever systemd-tmpfiles --create runs"
_EXACT, _GLOBS, _TREES = "dDvqQfF", "ezma", "ZA"
_OF_DIRECTORIES = "dDvqQe"
_CLEANED = "dDvqQeC"
_PERMS = {"r": 4, "w": 2, "x": 1, "X": 1, "-": 0}
_ENTRY = re.compile(r"(d(?:efault)?:)?([ugmo])[a-z]*:([^:]*):([rwxX-]{0,3})")

Entries = dict[tuple[str, Optional[int]], int]


def read(host: Host) -> Manager:
    """Read what systemd-tmpfiles is configured to do."""
    lines, problems = read_lines(host.root)
    return Tmpfiles(tuple(lines), tuple(problems))


@dataclass(frozen=True)
class Tmpfiles(Manager):
    """systemd-tmpfiles, as it is configured."""

    lines: tuple[Line, ...]
    problems: tuple[Problem, ...] = ()

    def answer(self, logs: Logs) -> Answer:
        """Return what it will do with a log directory."""
        return Answer(
            (*self._of_directory(logs), *self._of_files(logs), *self._cleaned(logs))
        )

    def _of_directory(self, logs: Logs) -> Iterator[Finding]:
        for line in self.lines:
            if line.kind in _EXACT + _GLOBS + _TREES and _matches(line, logs.path):
                before = applied(line, logs.before.inode)
                after = applied(line, logs.after.inode)
                changes = after != logs.after.inode
                rehearsed = rehearsed_directory(logs, before, after)
                if changes:
                    what = f"create logs in {display(logs.path)}"
                    yield _finding(logs, line, rehearsed, after, what)

    def _of_files(self, logs: Logs) -> Iterator[Finding]:
        for line in self.lines:
            for file in logs.files:
                path = f"{logs.path}/{file.name}"
                if line.kind in "fF" + _GLOBS + _TREES and _matches(line, path):
                    after = applied(line, file.after)
                    before = applied(line, file.before)
                    if after != file.after:
                        rehearsed = rehearsed_file(logs, before, after)
                        what = f"append to {display(file.name)}"
                        yield _finding(logs, line, rehearsed, after, what)
                        break

    def _cleaned(self, logs: Logs) -> Iterator[Finding]:
        if any(each.kind in "xX" and _matches(each, logs.path) for each in self.lines):
            return
        for line in self.lines:
            if not _is_above(line, logs.path):
                continue
            origin = shown_origin(line.file, line.line)
            if line.kind in _CLEANED and re.search("[1-9]", line.age):
                what = f"what is older than {line.age} ({origin})"
            elif line.kind in "DR" and "!" not in line.modifiers:
                what = f"everything at boot ({origin})"
            else:
                continue
            yield Finding(
                "tmpfiles_cleans",
                logs.path,
                f"{display(line.file)}:{line.line}",
                f"{line.kind}{line.modifiers} {display(line.path)} {line.age}".strip(),
                f"systemd-tmpfiles removes from {display(line.path)} {what}: logs, too",
            )


def _finding(
    logs: Logs, line: Line, rehearsed: Rehearsed, after: Inode, what: str
) -> Finding:
    origin = shown_origin(line.file, line.line)
    sets = f"{origin} makes it {evidence_of(after)}"
    code = "tmpfiles_locks_out" if rehearsed.locks_out else "tmpfiles_resets"
    end = (
        rehearsed.sentence(what)
        if rehearsed.locks_out
        else f"what a repair set is set back ({display(logs.path)})"
    )
    return Finding(
        code,
        logs.path,
        f"{display(line.file)}:{line.line}",
        f"{line.kind}{line.modifiers} {display(line.path)}, {sets}",
        f"{_WHEN}, {sets}: {end}",
        f"give {origin} - for mode, user and group (a file of the same name in "
        "/etc/tmpfiles.d replaces a package's)",
    )


def _matches(line: Line, path: str) -> bool:
    """Tell whether a line is about a path that exists."""
    if line.kind in _TREES:
        parts = path.split("/")
        return any(
            matches_glob("/".join(parts[:count]), line.path)
            for count in range(2, len(parts) + 1)
        )
    if line.kind in _EXACT:
        return line.path == path
    return matches_glob(path, line.path)


def _is_above(line: Line, path: str) -> bool:
    parts = path.split("/")
    return any(
        matches_glob("/".join(parts[:count]), line.path)
        for count in range(2, len(parts) + 1)
    )


def applied(line: Line, inode: Inode) -> Inode:
    """Return an inode, which exists, after a line was carried out on it."""
    wanted = DIRECTORY if line.kind in _OF_DIRECTORIES else inode.kind
    if inode.kind != (REGULAR if line.kind in "fF" else wanted):
        return inode
    if line.kind in "aA":
        return _with_acl(line, inode)
    mode = None if "mode" in line.new_only else line.mode
    if mode is not None:
        mode = _masked(mode, inode) if line.masked else mode
        if mode != inode.mode:
            inode = chmodded(inode, mode)
    uid = None if "uid" in line.new_only else line.uid
    gid = None if "gid" in line.new_only else line.gid
    return given(inode, uid, gid)


def _masked(mode: int, inode: Inode) -> int:
    for bits in (0o111, 0o222, 0o444):
        if not inode.mode & bits:
            mode &= ~bits
    return mode if inode.kind == DIRECTORY else mode & 0o777


def _with_acl(line: Line, inode: Inode) -> Inode:
    """Return an inode with another ACL: ``a`` replaces it, ``a+`` adds to it."""
    access: Entries = {}
    default: Entries = {}
    for text in line.argument.split(","):
        match = _ENTRY.fullmatch(text.strip())
        if match is None:
            return inode
        try:
            entry = _entry(match)
        except OptionError:
            return inode
        (default if match[1] else access).update([entry])
    adds = "+" in line.modifiers
    if access:
        inode = replace(inode, acl=_changed(inode.acl, access, adds=adds))
    if default and inode.kind == DIRECTORY:
        present = inode.default_acl if adds else None
        changed = _changed(present or inode.acl, default, adds=present is not None)
        inode = replace(inode, default_acl=changed)
    return inode


def _entry(match: re.Match[str]) -> tuple[tuple[str, int | None], int]:
    kind, name = match[2], match[3]
    perm = sum(_PERMS[letter] for letter in set(match[4].replace("X", "x")))
    if not name:
        return (kind, None), perm
    number = resolve_uid(name, "user") if kind == "u" else resolve_gid(name, "group")
    return (kind, number), perm


def _with_base(acl: Acl, kind: str, perm: int) -> Acl:
    if kind == "u":
        return replace(acl, user_obj=perm)
    if kind == "g":
        return replace(acl, group_obj=perm)
    return replace(acl, other=perm)


def _changed(acl: Acl, entries: Entries, *, adds: bool) -> Acl:
    """Return an ACL with further entries, or with these alone.

    One that is there keeps its mask. A new one is made of the mode, so that the group
    gets what was the mask, and has the mask that the new entries alone need.
    """
    if not adds:
        acl = Acl(acl.user_obj, acl.group_class, acl.other)
    users, groups = dict(acl.users), dict(acl.groups)
    named = 0
    for (kind, number), perm in entries.items():
        if number is not None:
            (users if kind == "u" else groups)[number] = perm
            named |= perm
        elif kind in "ugo":
            acl = _with_base(acl, kind, perm)
            named |= perm if kind == "g" else 0
    present = acl.mask
    acl = replace(
        acl, users=tuple(sorted(users.items())), groups=tuple(sorted(groups.items()))
    )
    if not users and not groups:
        return acl
    wanted = named if not adds else with_mask_of_entries(acl).mask
    return replace(
        acl, mask=entries.get(("m", None), wanted if present is None else present)
    )
