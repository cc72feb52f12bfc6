# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The repair: what the survey plans is journaled, done, and read back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

from ._access import DIRECTORY
from ._errors import HostError, OptionError
from ._findings import KINDS, Findings
from ._fs import ChangedMeanwhile, MissingDirectory, Tree, change, copy_up
from ._host import KernelSettings, read_kernel_settings
from ._journal import BATCH, Entry, Journal
from ._lock import LOCK_DIRECTORY
from ._names import display, path_fields
from ._options import checked_count
from ._policy import Policy
from ._predict import (
    AccessTable,
    missing_directory,
)
from ._result import Diff
from ._run import RunOptions, parse_run_options, recording, refuse_run
from ._runs import Keep, prune
from ._survey import Step, Survey, unreadable_findings
from ._writers._live import running_writers
from ._writers._source import Found

_ATTEMPTS = 3
_FIRST_BATCH = 64


#: A repair is a run like others.
RepairOptions = RunOptions


def parse_options(
    params: Mapping[str, Any], policies: Sequence[Policy]
) -> RepairOptions:
    """Check what is not part of the policy. Raises OptionError."""
    keep = Keep(
        checked_count(params, "journal_keep"),
        checked_count(params, "journal_keep_days"),
    )
    options = parse_run_options(params, keep)
    journal_dir = options.journal_dir
    for policy in policies:
        if f"{journal_dir}/".startswith(f"{policy.path}/"):
            raise OptionError(
                "journal_dir",
                journal_dir,
                f"lies in the log directory {policy.path}, which others can write",
                "Name a directory that is root's alone",
            )
        if f"{policy.path}/".startswith((f"{journal_dir}/", f"{LOCK_DIRECTORY}/")):
            raise OptionError(
                "directories",
                policy.path,
                "is Logward's own",
                "Name a log directory of the application",
            )
    return options


def preview(policies: Sequence[Policy], options: RepairOptions) -> dict[str, Any]:
    """Return what ``repair`` would do and find; changes nothing (check mode)."""
    _refuse(policies, options)
    return _run(policies, options, None)


def repair(policies: Sequence[Policy], options: RepairOptions) -> dict[str, Any]:
    """Bring the directories to their policies and return what was done.

    Raises HostError; what was done until then stays, and is in the journal.
    """
    _refuse(policies, options)
    with recording(options) as journal:
        result = _run(policies, options, journal)
        if result["changed"]:
            prune(options.journal_dir, options.run_id, options.keep)
        return result


def _refuse(policies: Sequence[Policy], options: RepairOptions) -> None:
    """Raise what forbids the run, before there is a lock or a journal."""
    refuse_run(options)
    settings = read_kernel_settings()
    for policy in policies:
        tree = _open(policy)
        if tree is not None:
            with closing(tree):
                _refuse_blocked(Survey(policy, tree, settings))


def _run(
    policies: Sequence[Policy], options: RepairOptions, journal: Journal | None
) -> dict[str, Any]:
    running = running_writers(policy.path for policy in policies)
    settings = read_kernel_settings()
    done = [_repaired(policy, settings, running, journal) for policy in policies]
    return {
        "changed": any(each["changed_inodes"] for each, _diff in done),
        "diff": [diff for _each, diff in done if diff],
        "run_id": options.run_id,
        "directories": [each for each, _diff in done],
    }


def _repaired(
    policy: Policy,
    settings: KernelSettings,
    running: Found,
    journal: Journal | None,
) -> tuple[dict[str, Any], dict[str, str] | None]:
    """Repair one directory; return its part of the result, and its diff."""
    tree = _open(policy)
    if tree is None:
        return _skipped(policy)
    with closing(tree):
        survey = Survey(policy, tree, settings, running)
        _refuse_blocked(survey)
        return _DirectoryRepair(survey, journal).run()


def _open(policy: Policy) -> Tree | None:
    try:
        return Tree(policy.path)
    except MissingDirectory:
        if policy.skip_missing:
            return None
        raise


def _refuse_blocked(survey: Survey) -> None:
    finding = survey.blocking()
    if finding is not None:
        raise HostError(
            f"{finding.message} ({finding.evidence}). Nothing was changed. "
            f"To repair it, {KINDS[finding.code].remedy}"
        )


def _skipped(policy: Policy) -> tuple[dict[str, Any], dict[str, str] | None]:
    findings = Findings()
    findings.add(missing_directory(policy))
    result = {
        **path_fields(policy.path),
        "changed_inodes": 0,
        "skipped": [
            {**path_fields(policy.path), "reason": "missing_directory", "count": 1}
        ],
        "findings": findings.results(),
    }
    return result, None


class _DirectoryRepair:
    """Takes the steps of one survey: records, changes, and counts."""

    def __init__(self, survey: Survey, journal: Journal | None) -> None:
        self._survey = survey
        self._journal = journal
        self._diff = Diff(survey.policy.path)
        self._findings = Findings()
        self._table = AccessTable(survey.policy)
        self._changed = 0
        self._error: Exception | None = None
        # The newest files come first, and are not to wait for the rest.
        self._batch_size = _FIRST_BATCH
        self._skipped: Counter[str] = Counter()
        self._examples: dict[str, str] = {}

    def run(self) -> tuple[dict[str, Any], dict[str, str] | None]:
        """Take every step; a directory's is done before what is in it is listed."""
        self._judge_directory()
        batch: list[Step] = []
        try:
            for step in self._steps_until_error():
                if step.changes:
                    batch.append(step)
                else:
                    self._judge(step)
                is_directory = step.changes and step.before.kind == DIRECTORY
                if batch and (is_directory or len(batch) >= self._batch_size):
                    self._take(batch)
                    if step.path:
                        self._batch_size = BATCH
            self._take(batch)
            if self._error is not None:
                raise self._error
        finally:
            for step in batch:
                step.close()
        return self._result(), self._diff.result()

    def _steps_until_error(self) -> Iterator[Step]:
        """Yield steps; what ends them early waits until those are taken."""
        try:
            yield from self._survey.steps(
                lambda change: self._table.known(change.after)
            )
        except (HostError, OSError) as error:
            self._error = error

    def _judge_directory(self) -> None:
        for finding in self._survey.findings():
            self._findings.add(finding)

    def _judge(self, step: Step) -> None:
        if step.refused:
            self._skip(step.refused, step.path)
        found = list(step.findings(self._table, step.place.after, step.after))
        for finding in found:
            self._findings.add(finding)
        if not found:
            step.dismiss()

    def _skip(self, reason: str, path: str) -> None:
        self._skipped[reason] += 1
        self._examples.setdefault(reason, path)

    def _take(self, batch: list[Step]) -> None:
        """Record a batch, then change it; what moved meanwhile comes again."""
        if self._journal is not None:
            self._copy_up(batch)
        for _attempt in range(_ATTEMPTS):
            if self._journal is not None and batch:
                self._journal.record([self._entry(step) for step in batch])
            batch[:] = [step for step in batch if not self._settle(step)]
        for step in batch:
            self._skip("changes_all_the_time", step.path)
            step.close()
        batch.clear()

    def _copy_up(self, batch: Sequence[Step]) -> None:
        """Let what an overlay would copy be the copy, before that is recorded."""
        for step in batch:
            if step.fd is not None and step.before.mount.type == "overlay":
                if self._survey.decided_again(step).changes:
                    copy_up(step.fd)
                self._look_again(step)

    def _look_again(self, step: Step) -> None:
        now = self._survey.decided_again(step)
        step.observed, step.after = now.observed, now.after

    def _entry(self, step: Step) -> Entry:
        return Entry(self._absolute(step), step.observed.stamp, step.before, step.after)

    def _absolute(self, step: Step) -> str:
        path = self._survey.policy.path
        return f"{path}/{step.path}" if step.path else path

    def _settle(self, step: Step) -> bool:
        """Change what a step pins; False where it is no longer as recorded."""
        now = self._survey.decided_again(step)
        was = step.before, step.observed.stamp
        if now.changes and (now.before, now.observed.stamp) != was:
            step.observed, step.after = now.observed, now.after
            return False
        if now.changes:
            try:
                self._change(now)
            except ChangedMeanwhile:
                self._look_again(step)
                return False
        self._judge(now)
        step.close()
        return True

    def _change(self, step: Step) -> None:
        if self._journal is not None and step.fd is not None:
            self._change_inode(step, step.fd)
        self._changed += 1
        self._diff.add(step.path, step.before, step.after)

    def _change_inode(self, step: Step, fd: int) -> None:
        try:
            change(fd, step.before, step.after, self._survey.tree.mounts)
        except ChangedMeanwhile:
            raise
        except (OSError, HostError) as error:
            path = display(self._absolute(step))
            problem = error.strerror if isinstance(error, OSError) else error
            raise HostError(
                f"{path} could not be changed: {problem}. What was done before "
                "stays and is in the journal; running again finishes it"
            ) from error

    def _result(self) -> dict[str, Any]:
        walk = self._survey.walk
        for reason, count in (
            ("vanished", walk.vanished),
            ("unreadable", walk.unreadable),
        ):
            if count:
                self._skipped[reason] = count
                self._examples.setdefault(reason, "")
        path = self._survey.policy.path
        for finding in unreadable_findings(
            path, walk.unreadable, walk.first_unreadable
        ):
            self._findings.add(finding)
        return {
            **path_fields(self._survey.policy.path),
            "changed_inodes": self._changed,
            "skipped": [
                {
                    **path_fields(self._examples[reason]),
                    "reason": reason,
                    "count": count,
                }
                for reason, count in sorted(self._skipped.items())
            ],
            "findings": self._findings.results(),
        }
