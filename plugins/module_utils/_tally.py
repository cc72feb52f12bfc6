# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the repair of a directory, or of a part of it, came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from ._diff import Diff
from ._findings import Finding, Findings
from ._fs import Walk
from ._names import path_fields
from ._survey import unreadable_findings


class Tally:
    """What was changed, what was left alone and why, and what remains wrong."""

    def __init__(self, path: str) -> None:
        """Start with nothing. ``path`` is the log directory."""
        self.diff = Diff(path)
        self.findings = Findings()
        self.changed = 0
        self._path = path
        self._skipped: Counter[str] = Counter()
        self._examples: dict[str, str] = {}
        self._first_unreadable = ""

    def count_missed(self, walk: Walk) -> None:
        """Count what a walk, that has ended, could not look at."""
        self.skip("vanished", "", walk.vanished)
        self.skip("unreadable", "", walk.unreadable)
        self._first_unreadable = walk.first_unreadable

    def skip(self, reason: str, path: str, count: int = 1) -> None:
        """Count what was left alone; the first of a reason is the example."""
        if count:
            self._skipped[reason] += count
            self._examples.setdefault(reason, path)

    def as_json(self) -> dict[str, Any]:
        """Return it as what goes from one process to another."""
        return {
            "changed": self.changed,
            "diff": self.diff.as_json(),
            "findings": [
                [asdict(finding), count] for finding, count in self.findings.counted()
            ],
            "skipped": self._skipped,
            "examples": self._examples,
            "first_unreadable": self._first_unreadable,
        }

    def add_json(self, value: Mapping[str, Any]) -> None:
        """Add what ``as_json`` made of another one."""
        self.changed += value["changed"]
        self.diff.add_json(value["diff"])
        for finding, count in value["findings"]:
            self.findings.add(Finding(**finding), count)
        for reason, count in value["skipped"].items():
            self.skip(reason, value["examples"][reason], count)
        self._first_unreadable = self._first_unreadable or value["first_unreadable"]

    def result(self) -> dict[str, Any]:
        """Return it as a module returns it."""
        count = self._skipped["unreadable"]
        for finding in unreadable_findings(self._path, count, self._first_unreadable):
            self.findings.add(finding)
        return {
            **path_fields(self._path),
            "changed_inodes": self.changed,
            "skipped": list(self._skipped_fields()),
            "findings": self.findings.results(),
        }

    def _skipped_fields(self) -> Iterator[dict[str, Any]]:
        for reason, count in sorted(self._skipped.items()):
            fields = path_fields(self._examples[reason])
            yield {**fields, "reason": reason, "count": count}
