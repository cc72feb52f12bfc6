# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Part of the way back: what a run has edited of a service, and nothing else."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack, closing
from dataclasses import dataclass

from ._edits import EditEntry
from ._errors import HostError
from ._history import History
from ._journal import Journal, new_run_id
from ._recorded import open_run
from ._restore_edits import AS_BEFORE, RESTORE, EditRestore
from ._runs import NoSuchRun, Runs


@dataclass(frozen=True)
class PutBack:
    """The files that are as before the run again, and why others are not."""

    restored: tuple[str, ...] = ()
    left_alone: tuple[tuple[str, str], ...] = ()


def put_back(run_id: str, journal_dir: str, paths: Collection[str]) -> PutBack:
    """Take back what a run has edited of these files.

    Whoever calls this holds the host's lock. ``paths`` are absolute, without a
    symbolic link in them. A run that edited nothing is not in the journal. Raises
    LogwardError where the journal cannot be read; nothing is changed then.
    """
    restored: list[str] = []
    left: list[tuple[str, str]] = []
    with ExitStack() as stack:
        runs = Runs(journal_dir)
        try:
            run = open_run(runs, runs.find(run_id), stack)
        except NoSuchRun:
            return PutBack()
        history = History(journal_dir)
        journal = Journal(journal_dir, new_run_id(), run.run_id, history.newest_ns)
        stack.enter_context(closing(journal))
        edits = EditRestore(journal)
        for batch in run.batches():
            for entry in batch:
                if isinstance(entry, EditEntry) and entry.path in paths:
                    verdict = _undone(edits, entry)
                    if verdict == RESTORE:
                        restored.append(entry.path)
                    elif verdict != AS_BEFORE:
                        left.append((entry.path, verdict))
    return PutBack(tuple(dict.fromkeys(restored)), tuple(dict.fromkeys(left)))


def _undone(edits: EditRestore, entry: EditEntry) -> str:
    """Return what became of an edit: a failure does not keep the others from it."""
    try:
        return edits.undo(entry).verdict
    except HostError as error:
        return str(error)
