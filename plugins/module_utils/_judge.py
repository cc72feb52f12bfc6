# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judging every inode of a directory by what a survey found there.

It only reads, so a large directory is judged by two processes at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ._access import DIRECTORY, REGULAR
from ._child import Child
from ._findings import Finding, Findings
from ._fs import HALVES, WHOLE, Known, Share
from ._names import display, path_fields
from ._policy import Policy
from ._predict import AccessTable, access_to
from ._result import access_fields, inode_fields
from ._running import root_findings
from ._survey import Change, Step, Survey
from ._writers._source import Found

_PLURALS = {REGULAR: "files", DIRECTORY: "directories"}


@dataclass(frozen=True)
class Judged:
    """What the inodes of a directory, or of a share of them, came to."""

    totals: dict[str, int]
    findings: list[tuple[Finding, int]]
    files: list[dict[str, Any]]
    first_unreadable: str

    def __add__(self, other: Judged) -> Judged:
        totals = {key: count + other.totals[key] for key, count in self.totals.items()}
        return Judged(
            totals,
            self.findings + other.findings,
            self.files + other.files,
            self.first_unreadable or other.first_unreadable,
        )

    def as_json(self) -> dict[str, Any]:
        """Return it as what goes from one process to another."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Judged:
        """Return what ``as_json`` was called of."""
        findings = [(Finding(**finding), count) for finding, count in value["findings"]]
        return cls(**{**value, "findings": findings})


def judged_inodes(survey: Survey, max_listed: int) -> Judged:
    """Judge all inodes; those of a large directory in two processes."""
    judge = _Judge(survey.policy, survey.running, max_listed)
    judge.judge_all(survey.first(judge.known))
    if not survey.is_large:
        return _judged(survey, judge, WHOLE)
    first, second = HALVES

    def others() -> Judged:
        survey.walk.count_anew()
        return _judged(survey, judge.anew(), second)

    with Child(lambda: others().as_json()) as child:
        judged = _judged(survey, judge, first)
        return judged + Judged.from_json(child.result())


def _judged(survey: Survey, judge: _Judge, share: Share) -> Judged:
    judge.judge_all(survey.others(judge.known, share))
    walk = survey.walk
    totals = {**judge.totals, "vanished": walk.vanished, "unreadable": walk.unreadable}
    totals["files"] += walk.counted
    found = list(judge.findings.counted())
    return Judged(totals, found, judge.files, walk.first_unreadable)


class _Judge:
    """Judges each step of a survey by what was found there."""

    def __init__(self, policy: Policy, running: Found, max_listed: int) -> None:
        self.table = AccessTable(policy)
        self.findings = Findings()
        self.files: list[dict[str, Any]] = []
        self.totals = dict.fromkeys(("files", "directories", "others", "to_change"), 0)
        self._running = running
        self._max_listed = max_listed

    def anew(self) -> _Judge:
        """Return one that has judged nothing yet."""
        return _Judge(self.table.policy, self._running, self._max_listed)

    def known(self, change: Change) -> Known:
        """Return the files that need no second look in a directory."""
        return self.table.known(change.before)

    def judge_all(self, groups: Iterable[Sequence[Step]]) -> None:
        """Judge steps, and let go of what they pin."""
        for group in groups:
            for step in group:
                self.judge(step)
                step.close()

    def judge(self, step: Step) -> None:
        """Count a step, and list it if there is still room."""
        self.totals[_PLURALS.get(step.before.kind, "others")] += 1
        self.totals["to_change"] += step.changes
        found = list(step.findings(self.table, step.place.before, step.before))
        if step.before.kind == DIRECTORY:
            policy, inode = self.table.policy, step.before
            found += root_findings(policy, self._running, step.path, inode)
        for finding in found:
            self.findings.add(finding)
        if len(self.files) < self._max_listed:
            self._list(step)
        elif not found:
            step.dismiss()

    def _list(self, step: Step) -> None:
        if step.before.kind == REGULAR:
            rows = access_to(self.table.policy, step.place.before, step.before)
            self.files.append(
                {
                    **path_fields(step.path),
                    **inode_fields(step.before),
                    "access": [access_fields(row, display(step.path)) for row in rows],
                }
            )
