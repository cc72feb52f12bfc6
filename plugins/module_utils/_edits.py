# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits of configuration files, as values: what changes, and how to undo it.

A journal has of a file only the lines that an edit changes: whatever else the
file holds, passwords for instance, is told by a digest alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from hashlib import sha256

from ._access import REGULAR, Inode
from ._acl import from_mode
from ._errors import HostError
from ._fs import Stamp
from ._journal import as_json, base64_path, base64_text, state_json
from ._names import display

EDIT = "edit"
# Comparing more could take minutes, and more would not fit into a line of a journal.
_MAX_PAIRS = 4_000_000
_MAX_BYTES = 256 * 1024
#: Of a file that an edit makes: everybody may read it, as Debian's are.
NEW_FILE = Inode(REGULAR, 0, 0, 0, from_mode(0o644))


@dataclass(frozen=True)
class Edit:
    """What a configuration file is to hold.

    ``path`` is absolute, without a symbolic link in it. ``before`` is what was
    read, None where there was no file; ``after`` is None where it is removed.
    """

    path: str
    before: bytes | None
    after: bytes | None


@dataclass(frozen=True)
class Span:
    """Whole lines that an edit replaces; ``offset`` is in the file before it."""

    offset: int
    removed: bytes
    inserted: bytes


@dataclass(frozen=True)
class EditEntry:
    """An edit as the journal has it. ``path`` is absolute.

    ``stamp`` is that of the inode before, None where there was none; ``inode`` has
    owner, group, mode and ACL, which an edit keeps. ``before`` and ``after`` are
    digests (SHA-256 in hexadecimal), None for no file. ``made`` are the directories
    that the edit has to make, the outermost first.
    """

    path: str
    stamp: Stamp | None
    inode: Inode
    before: str | None
    after: str | None
    spans: tuple[Span, ...]
    made: tuple[str, ...] = ()

    def line(self) -> str:
        """Return it as a journal has it."""
        return as_json(
            {
                "entry": EDIT,
                "path_b64": base64_path(self.path),
                "stamp": None if self.stamp is None else list(self.stamp),
                "inode": json.loads(state_json(self.inode)),
                "before": self.before,
                "after": self.after,
                "spans": [
                    [each.offset, base64_text(each.removed), base64_text(each.inserted)]
                    for each in self.spans
                ],
                "made": [base64_path(path) for path in self.made],
            }
        )


def digest(content: bytes | None) -> str | None:
    """Return the SHA-256 of a file; None for no file."""
    return None if content is None else sha256(content).hexdigest()


def spans(edit: Edit) -> tuple[Span, ...]:
    """Return which lines an edit replaces, and no other line.

    Raises HostError where that is too much.
    """
    old, new = _lines(edit.before), _lines(edit.after)
    start = _common(old, new)
    end = _common(old[start:][::-1], new[start:][::-1])
    old_part, new_part = old[start : len(old) - end], new[start : len(new) - end]
    if len(old_part) * len(new_part) > _MAX_PAIRS:
        raise _too_much(edit)
    offset = sum(map(len, old[:start]))
    found = tuple(
        Span(
            offset + sum(map(len, old_part[:old_from])),
            b"".join(old_part[old_from:old_to]),
            b"".join(new_part[new_from:new_to]),
        )
        for tag, old_from, old_to, new_from, new_to in _opcodes(old_part, new_part)
        if tag != "equal"
    )
    if sum(len(each.removed) + len(each.inserted) for each in found) > _MAX_BYTES:
        raise _too_much(edit)
    return found


def _too_much(edit: Edit) -> HostError:
    return HostError(
        f"{display(edit.path)} would change in too many lines. Edit it by hand"
    )


def _lines(content: bytes | None) -> list[bytes]:
    r"""Return lines as diff(1) has them: ``\n`` alone ends one."""
    lines = (content or b"").split(b"\n")
    return [line + b"\n" for line in lines[:-1]] + [each for each in lines[-1:] if each]


def _common(one: Sequence[bytes], other: Sequence[bytes]) -> int:
    """Return how many lines both begin with."""
    pairs = enumerate(zip(one, other))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _opcodes(
    old: list[bytes], new: list[bytes]
) -> Sequence[tuple[str, int, int, int, int]]:
    return SequenceMatcher(None, old, new, autojunk=False).get_opcodes()


def merged(edits: Sequence[Edit]) -> list[Edit]:
    """Return one edit for each file, which changes what all of its edits change.

    Raises HostError where they contradict each other.
    """
    by_path: dict[str, Edit] = {}
    for edit in edits:
        other = by_path.get(edit.path)
        by_path[edit.path] = edit if other is None else _both(other, edit)
    return list(by_path.values())


def _both(one: Edit, other: Edit) -> Edit:
    """Return an edit that does what two do, which were made from the same file."""
    if one.after is None or other.after is None or one.before != other.before:
        if one == other:
            return one
        raise _contradiction(one)
    content, end = one.before or b"", 0
    parts: list[bytes] = []
    for span in sorted({*spans(one), *spans(other)}, key=lambda each: each.offset):
        if span.offset < end or (span.offset == end and parts and not span.removed):
            raise _contradiction(one)
        parts += [content[end : span.offset], span.inserted]
        end = span.offset + len(span.removed)
    after = b"".join([*parts, content[end:]])
    return Edit(one.path, one.before, after)


def _contradiction(edit: Edit) -> HostError:
    return HostError(
        f"{display(edit.path)} is to be changed in two ways at the same place. Name "
        "one service at a time"
    )


def undone(entry: EditEntry, content: bytes | None) -> bytes | None:
    """Return what the file held before, from what the edit has left.

    Raises HostError where the two do not belong to each other.
    """
    before = content or b""
    for span in entry.spans:
        # What comes before a span is undone already, so that its offset is right.
        end = span.offset + len(span.inserted)
        before = before[: span.offset] + span.removed + before[end:]
    found = None if entry.before is None and not before else before
    if digest(found) != entry.before:
        raise HostError(
            f"the journal's entry of {display(entry.path)} does not lead back to what "
            "was there"
        )
    return found


def shown(edit: Edit) -> dict[str, str]:
    """Return a diff in Ansible's form: the lines that change, and no other."""
    path = display(edit.path)
    changed = spans(edit)
    return {
        "before_header": path,
        "after_header": path,
        "before": "".join(_text(span.removed) for span in changed),
        "after": "".join(_text(span.inserted) for span in changed),
    }


def _text(lines: bytes) -> str:
    return "".join(
        display(os.fsdecode(line.rstrip(b"\n"))) + "\n" for line in _lines(lines)
    )
