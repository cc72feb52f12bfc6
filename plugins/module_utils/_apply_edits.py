# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits of configuration files: checked, journaled, and put in place at once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Any, Callable

from ._edits import NEW_FILE, Edit, EditEntry, digest, shown, spans
from ._errors import HostError
from ._fs import ChangedMeanwhile
from ._fs._exchange import exchange
from ._fs._file import MAX_BYTES, ConfigurationFile
from ._journal import Journal
from ._names import display, path_fields
from ._run import RunOptions, recording, refuse_run

#: Reads the host and returns what is to be edited; of what is right already, too.
Plan = Callable[[], Sequence[Edit]]
#: Has the service judge what its files are to hold, on copies. Raises HostError or
#: OptionError where it does not take them.
Check = Callable[[Sequence[Edit]], None]


def preview_edits(plan: Plan, options: RunOptions, check: Check) -> dict[str, Any]:
    """Return what ``apply_edits`` would do; changes nothing (check mode)."""
    refuse_run(options)
    return _run(plan, options, check, None)


def apply_edits(plan: Plan, options: RunOptions, check: Check) -> dict[str, Any]:
    """Make the edits of a plan, all of them checked before the first one.

    The plan is made while the host's lock is held, so that no other run comes
    between. Raises HostError; the edits made until then stay, and are in the
    journal. Returns ``changed``, ``diff``, ``run_id`` and ``files``: what was
    edited, ``path`` (and ``path_b64``) of each.
    """
    refuse_run(options)
    with recording(options) as journal:
        return _run(plan, options, check, journal)


def _run(
    plan: Plan, options: RunOptions, check: Check, journal: Journal | None
) -> dict[str, Any]:
    edits = [edit for edit in plan() if edit.before != edit.after]
    for edit in edits:
        _refuse(edit)
    if edits:
        check(edits)
    if journal is not None:
        for edit in edits:
            _make(edit, journal)
    return {
        "changed": bool(edits),
        "diff": [shown(edit) for edit in edits],
        "run_id": options.run_id,
        "files": [path_fields(edit.path) for edit in edits],
    }


def _refuse(edit: Edit) -> None:
    """Raise what forbids an edit, before anything is written."""
    if len(edit.after or b"") > MAX_BYTES:
        raise HostError(
            f"{display(edit.path)} would have more than {MAX_BYTES:,} bytes"
        )
    spans(edit)
    with closing(_found(edit)):
        pass


def _found(edit: Edit) -> ConfigurationFile:
    """Look at a file; raise where it is not what the edit was made for."""
    file = ConfigurationFile(edit.path)
    if (file.present.content if file.present else None) != edit.before:
        file.close()
        raise ChangedMeanwhile(
            f"{display(edit.path)} was changed by others meanwhile, and is left as "
            "they made it. Run again"
        )
    return file


def _make(edit: Edit, journal: Journal) -> None:
    with closing(_found(edit)) as file:
        journal.record([entry_of(edit, file)])
        exchange(file, edit.after, NEW_FILE)


def entry_of(edit: Edit, file: ConfigurationFile) -> EditEntry:
    """Return what the journal must have before a file is exchanged."""
    observed = file.present.observed if file.present else None
    return EditEntry(
        edit.path,
        observed.stamp if observed else None,
        observed.inode if observed else NEW_FILE,
        digest(edit.before),
        digest(edit.after),
        spans(edit),
        file.missing,
    )
