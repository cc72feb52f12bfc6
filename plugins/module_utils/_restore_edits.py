# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back of edits: a file that nobody has edited since is as before."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

from ._apply_edits import entry_of
from ._edits import Edit, EditEntry, digest, shown, undone
from ._fs import ChangedMeanwhile
from ._fs._exchange import discard_leftover, exchange, remove_empty
from ._fs._file import ConfigurationFile, Refused
from ._journal import Journal

RESTORE, AS_BEFORE = "restore", "as_before"


def judge_edit(entry: EditEntry, content: bytes | None) -> str:
    """Return what to do with a file that holds ``content``, or why nothing."""
    present = digest(content)
    if present == entry.before:
        return AS_BEFORE
    if present != entry.after:
        return "vanished" if present is None else "changed_since"
    return RESTORE


@dataclass(frozen=True)
class Undone:
    """What became of one edit: the verdict, and the diff where it was restored."""

    verdict: str
    diff: Mapping[str, str] | None = None


class EditRestore:
    """Takes edits back, the last one first; only says it where there is no journal."""

    def __init__(self, journal: Journal | None) -> None:
        """Take the journal of the restore itself; None in check mode."""
        self._journal = journal
        self._pretended: dict[str, bytes | None] = {}

    def undo(self, entry: EditEntry) -> Undone:
        """Take one edit back, or leave it alone. Raises HostError."""
        try:
            with closing(ConfigurationFile(entry.path)) as file:
                return self._undo(entry, file)
        except Refused as error:
            return Undone(error.reason)
        except ChangedMeanwhile:
            return Undone("changed_since")

    def _undo(self, entry: EditEntry, file: ConfigurationFile) -> Undone:
        content = self._content(file)
        verdict = judge_edit(entry, content)
        if verdict == RESTORE:
            edit = Edit(entry.path, content, undone(entry, content))
            self._make(edit, entry, file)
            return Undone(verdict, shown(edit))
        if verdict == AS_BEFORE and self._journal is not None:
            # A run that was killed may have come no further than to these.
            discard_leftover(file)
            remove_empty(entry.made)
        return Undone(verdict)

    def _content(self, file: ConfigurationFile) -> bytes | None:
        there = file.present.content if file.present else None
        return self._pretended.get(file.path, there)

    def _make(self, edit: Edit, entry: EditEntry, file: ConfigurationFile) -> None:
        if self._journal is None:
            self._pretended[edit.path] = edit.after
            return
        self._journal.record([entry_of(edit, file)])
        exchange(file, edit.after, entry.inode)
        if edit.after is None:
            remove_empty(entry.made)
