# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back: what a run has changed, and nobody else since, is as before.

The journal is read from its end, so that what was changed last is restored
first. A restore is a repair, too: it is journaled, so that it can be taken
back as well, and what must not be touched in a repair is not touched here.
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any

from ._access import REGULAR, SETGID, SETUID, Inode
from ._diff import Diff
from ._edits import EditEntry
from ._errors import HostError
from ._fs import (
    ChangedMeanwhile,
    Observation,
    Paths,
    Stamp,
    change,
    has_capability,
    is_gone,
    is_owners_doing,
    left_by,
    observe_fd,
    read_mounts,
    same_bytes,
)
from ._history import History
from ._host import require_root
from ._journal import (
    LATEST,
    Entry,
    Journal,
    check_journal_directory,
    checked_run_id,
    new_run_id,
)
from ._lock import check_lock_directory, checked_lock_timeout, host_lock
from ._names import display, path_fields
from ._plan import change_refusal
from ._policy import checked_path
from ._recorded import Run, open_run
from ._restore_edits import AS_BEFORE, RESTORE, EditRestore
from ._runs import Runs
from ._services._unit import is_unit_file, reload_units_if_systemd_runs


@dataclass(frozen=True)
class RestoreOptions:
    """Which run is taken back, and how. ``lock_timeout`` is in seconds."""

    run_id: str
    journal_dir: str
    lock_timeout: int


def parse_options(params: Mapping[str, Any]) -> RestoreOptions:
    """Check the options. Raises OptionError."""
    run_id = params["run_id"]
    return RestoreOptions(
        run_id if run_id == LATEST else checked_run_id(run_id),
        checked_path(params["journal_dir"], "journal_dir"),
        checked_lock_timeout(params),
    )


def preview(options: RestoreOptions) -> dict[str, Any]:
    """Return what ``restore`` would do; changes nothing (check mode)."""
    with ExitStack() as stack:
        run = _found(options, stack)
        return _Restore(run, None).run()


def restore(options: RestoreOptions) -> dict[str, Any]:
    """Take a run back and return what was done.

    Raises HostError; what was done until then stays, and is in the journal.
    """
    own_id = new_run_id()
    with ExitStack() as stack:
        _runs(options).find(options.run_id)  # or there is nothing to lock for
        stack.enter_context(host_lock(own_id, options.lock_timeout))
        run = _found(options, stack)
        history = History(options.journal_dir)
        journal = Journal(options.journal_dir, own_id, run.run_id, history.newest_ns)
        stack.enter_context(closing(journal))
        back = _Restore(run, journal)
        result = back.run()
        if back.has_unit_files:
            # Also where a run that was killed has come no further than to the files.
            reload_units_if_systemd_runs()
        return {**result, "restore_run_id": own_id} if result["changed"] else result


def _found(options: RestoreOptions, stack: ExitStack) -> Run:
    runs = _runs(options)
    return open_run(runs, runs.find(options.run_id), stack)


def _runs(options: RestoreOptions) -> Runs:
    require_root()
    check_journal_directory(options.journal_dir)
    check_lock_directory()
    return Runs(options.journal_dir)


def judge(entry: Entry, found: Observation) -> str:
    """Return what to do with an inode that is where an entry says, or why nothing."""
    present, after = found.inode, entry.before
    if found.stamp != entry.stamp:
        return "exchanged"
    if same_bytes(present, after):
        return AS_BEFORE
    if not left_by(entry.before, entry.after, present):
        return "changed_since"
    return _refusal(entry, present) or RESTORE


def _refusal(entry: Entry, present: Inode) -> str | None:
    after = entry.before
    if present.mount.read_only:
        return "read_only"
    if present.kind == REGULAR and present.links > 1:
        return "hard_link"
    if present.kind == REGULAR and after.special & (SETUID | SETGID):
        return "privileged_file"
    refused = change_refusal(present, after)
    # That root's secret took the place, and the number, of a log is out of the
    # question where the file system says when an inode was born.
    known = refused == "foreign_owner" and entry.stamp.born_ns is not None
    return None if known else refused


@dataclass
class _Pinned:
    """An inode to restore: what the journal says, what is there, and a pin."""

    entry: Entry
    present: Inode
    fd: int


class _Restore:
    """Takes one run back: pins, records, changes, and counts.

    ``has_unit_files`` tells afterwards whether systemd must read its files again.
    """

    def __init__(self, run: Run, journal: Journal | None) -> None:
        self._run = run
        self._journal = journal
        self._mounts = read_mounts()
        self._diff = Diff(run.run_id)
        self._restored = self._as_before = 0
        self._left_alone: Counter[str] = Counter()
        self._examples: dict[str, str] = {}
        self._pretended: dict[Stamp, Inode] = {}
        self._edits = EditRestore(journal)
        self._files: list[tuple[str, Mapping[str, str]]] = []
        self.has_unit_files = False

    def run(self) -> dict[str, Any]:
        """Restore what each batch recorded, the last one first."""
        with closing(Paths()) as paths:
            for batch in self._run.batches():
                self._take(batch, paths)
        return self._result()

    def _take(self, batch: Sequence[Entry | EditEntry], paths: Paths) -> None:
        self._take_inodes([each for each in batch if isinstance(each, Entry)], paths)
        for each in batch:
            if isinstance(each, EditEntry):
                self._take_edit(each)

    def _take_edit(self, entry: EditEntry) -> None:
        done = self._edits.undo(entry)
        if done.verdict in (RESTORE, AS_BEFORE) and is_unit_file(entry.path):
            self.has_unit_files = True
        if done.diff is not None:
            self._files.append((entry.path, done.diff))
        elif done.verdict == AS_BEFORE:
            self._as_before += 1
        else:
            self._leave(done.verdict, entry)

    def _take_inodes(self, batch: Sequence[Entry], paths: Paths) -> None:
        with ExitStack() as pins:
            found = [self._pinned(entry, paths, pins) for entry in batch]
            pinned = [each for each in found if each is not None]
            for each in pinned:
                self._restored += 1
                self._diff.add(each.entry.path, each.present, each.entry.before)
            if self._journal is not None and pinned:
                self._journal.record([_way_back(each) for each in pinned])
            for each in pinned:
                self._change(each) if self._journal else self._pretend(each)

    def _pinned(self, entry: Entry, paths: Paths, pins: ExitStack) -> _Pinned | None:
        """Pin what an entry is about; None where nothing is to be done with it."""
        try:
            fd = paths.pin(entry.path)
            pins.callback(os.close, fd)
            # Of what somebody has mounted there the kernel may tell root nothing.
            observed = self._observe(fd)
        except OSError as error:
            self._leave(_unpinned(error), entry)
            return None
        verdict = judge(entry, observed)
        privileged = observed.inode.kind == REGULAR and has_capability(fd)
        if verdict == RESTORE and privileged:
            verdict = "privileged_file"
        if verdict == RESTORE:
            return _Pinned(entry, observed.inode, fd)
        if verdict == AS_BEFORE:
            self._as_before += 1
        else:
            self._leave(verdict, entry)
        return None

    def _observe(self, fd: int) -> Observation:
        observed = observe_fd(fd, self._mounts)
        pretended = self._pretended.get(observed.stamp)
        return observed._replace(inode=pretended) if pretended else observed

    def _pretend(self, each: _Pinned) -> None:
        """Remember, in check mode, for what an earlier call did to the same inode."""
        if self._run.calls > 1:
            self._pretended[each.entry.stamp] = each.entry.before

    def _change(self, each: _Pinned) -> None:
        if self._observe(each.fd).inode != each.present:
            self._leave_after_all("changed_since", each.entry)
            return
        try:
            change(each.fd, each.present, each.entry.before, self._mounts)
        except ChangedMeanwhile:
            self._leave_after_all("changed_since", each.entry)
        except (OSError, HostError) as error:
            if isinstance(error, OSError) and is_owners_doing(each.fd, error):
                self._leave_after_all("unchangeable", each.entry)
                return
            problem = error.strerror if isinstance(error, OSError) else error
            raise HostError(
                f"{display(each.entry.path)} could not be restored: {problem}. What "
                "was done before stays and is in the journal; running again finishes it"
            ) from error

    def _leave_after_all(self, reason: str, entry: Entry) -> None:
        self._restored -= 1
        self._leave(reason, entry)

    def _leave(self, reason: str, entry: Entry | EditEntry) -> None:
        self._left_alone[reason] += 1
        self._examples.setdefault(reason, entry.path)

    def _result(self) -> dict[str, Any]:
        diff = self._diff.result()
        return {
            "changed": self._restored > 0 or bool(self._files),
            "diff": ([diff] if diff else []) + [diff for _path, diff in self._files],
            "run_id": self._run.run_id,
            "restored": self._restored,
            "files": [path_fields(path) for path, _diff in self._files],
            "as_before": self._as_before,
            "ignored_entries": self._run.ignored,
            # Not "skipped": a task that returns that has not run, for Ansible.
            "left_alone": [
                {
                    **path_fields(self._examples[reason]),
                    "reason": reason,
                    "count": count,
                }
                for reason, count in sorted(self._left_alone.items())
            ],
        }


def _unpinned(error: OSError) -> str:
    """Return why there is nothing at a path."""
    if error.errno in (errno.ENOTDIR, errno.ELOOP):
        return "exchanged"
    return "vanished" if is_gone(error) else "unreadable"


def _way_back(each: _Pinned) -> Entry:
    return Entry(each.entry.path, each.entry.stamp, each.present, each.entry.before)
