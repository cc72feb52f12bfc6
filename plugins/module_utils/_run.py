# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run that writes: its options, the host's lock, its part of the journal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from ._history import KEEP, History, Keep
from ._host import require_root
from ._journal import (
    Journal,
    check_journal_directory,
    checked_run_id,
    new_run_id,
)
from ._lock import check_lock_directory, checked_lock_timeout, host_lock
from ._options import checked_count
from ._policy import checked_path


@dataclass(frozen=True)
class RunOptions:
    """How a run is recorded. ``lock_timeout`` is in seconds."""

    run_id: str
    journal_dir: str
    lock_timeout: int
    keep: Keep = KEEP


def parse_run_options(params: Mapping[str, Any]) -> RunOptions:
    """Check the options that all runs have. Raises OptionError."""
    keep = Keep(
        checked_count(params, "journal_keep"),
        checked_count(params, "journal_keep_days"),
    )
    journal_dir = checked_path(params["journal_dir"], "journal_dir")
    run_id = checked_run_id(params["run_id"] or new_run_id())
    return RunOptions(run_id, journal_dir, checked_lock_timeout(params), keep)


def refuse_run(options: RunOptions) -> None:
    """Raise what forbids any run, before there is a lock or a journal."""
    require_root()
    check_journal_directory(options.journal_dir)
    check_lock_directory()


@contextmanager
def recording(options: RunOptions) -> Iterator[Journal]:
    """Hold the host's lock, and yield the journal of the run. Raises HostError.

    A call that has recorded anything, in whichever of its processes, removes at its
    end what need not stay. Whether an earlier call of the run has does not count.
    """
    history = History(options.journal_dir)
    journal = Journal(options.journal_dir, options.run_id, newest_ns=history.newest_ns)
    with host_lock(options.run_id, options.lock_timeout), closing(journal):
        files = journal.files()
        yield journal
        if journal.files() > files:
            history.prune(options.run_id, options.keep)
