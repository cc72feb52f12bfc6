# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The repair of one directory: what its survey plans is recorded, done, read back.

Two processes share a large one, once the directory itself and its newest files
are done. Each has a file of the journal; neither goes on without the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ._access import DIRECTORY, Inode
from ._child import Child
from ._errors import HostError
from ._fs import (
    HALVES,
    MOST_AT_ONCE,
    WHOLE,
    ChangedMeanwhile,
    Known,
    Share,
    change_near,
    copy_up,
    is_owners_doing,
    own_descriptors,
    same_permissions,
)
from ._journal import BATCH, Entry, Journal
from ._names import display
from ._predict import AccessTable
from ._survey import Change, Step, Survey
from ._tally import Tally

_ATTEMPTS = 3


class _Unchangeable(Exception):
    """The owner of an inode has seen to it that nobody can change it."""


class DirectoryRepair:
    """Takes the steps of one survey: records, changes, and counts.

    Without a journal nothing is changed, and all is counted (check mode).
    """

    def __init__(self, survey: Survey, journal: Journal | None) -> None:
        """Take a survey that nothing blocks."""
        self._survey = survey
        self._journal = journal
        self._tally = Tally(survey.policy.path)
        self._table = AccessTable(survey.policy)
        self._error: Exception | None = None
        self._child: Child | None = None

    def run(self) -> tuple[dict[str, Any], dict[str, str] | None]:
        """Take every step; return this part of the result, and the diff.

        A directory is as it is to be before what is in it is listed. Raises
        HostError; what was done until then is in the journal.
        """
        for finding in self._survey.findings():
            self._tally.findings.add(finding)
        for group in self._survey.first(self._known):
            self._take_all([group])
        if self._survey.is_large:
            self._share_others()
        else:
            self._take_all(self._survey.others(self._known, WHOLE))
            self._tally.count_missed(self._survey.walk)
        return self._tally.result(), self._tally.diff.result()

    def _known(self, change: Change) -> Known:
        return self._table.known(change.after)

    def _share_others(self) -> None:
        first, second = HALVES
        with Child(lambda: self._of_child(second)) as child:
            self._child = child
            self._take_all(self._survey.others(self._known, first))
            self._tally.count_missed(self._survey.walk)
            self._tally.add_json(_checked(child))
        self._child = None

    def _of_child(self, share: Share) -> dict[str, Any]:
        """Do a share, in a process of its own; return what came of it, as JSON."""
        self._survey.walk.count_anew()
        self._tally = Tally(self._survey.policy.path)
        if self._journal is not None:
            self._journal = self._journal.of_second_process()
        problem = None
        try:
            self._take_all(self._survey.others(self._known, share))
            self._tally.count_missed(self._survey.walk)
        except (HostError, OSError) as error:
            problem = str(error)
        return {"problem": problem, "tally": self._tally.as_json()}

    def _take_all(self, groups: Iterable[list[Step]]) -> None:
        """Take groups in batches; one with directories before these are listed."""
        batch: list[Step] = []
        try:
            for group in self._until_error(groups):
                self._sort(group, batch)
                if len(batch) > BATCH - MOST_AT_ONCE or _changes_directories(group):
                    self._take(batch)
            self._take(batch)
            if self._error is not None:
                raise self._error
        finally:
            for step in batch:
                step.close()

    def _until_error(self, groups: Iterable[list[Step]]) -> Iterator[list[Step]]:
        """Yield groups; what ends them early waits until those are taken."""
        try:
            yield from groups
        except (HostError, OSError) as error:
            self._error = error

    def _sort(self, group: Sequence[Step], batch: list[Step]) -> None:
        """Put what changes into the batch; judge the rest."""
        for step in group:
            if step.fd is not None:
                batch.append(step)
            else:
                self._judge(step)

    def _judge(self, step: Step) -> None:
        if step.refused:
            self._tally.skip(step.refused, step.path)
        found = step.findings(self._table, step.place.after, step.after)
        for finding in found:
            self._tally.findings.add(finding)
        if not found:
            step.dismiss()

    def _take(self, batch: list[Step]) -> None:
        """Record a batch, then change it; what moved meanwhile comes again."""
        if self._child is not None and self._child.has_ended():
            _checked(self._child)
        if self._journal is not None:
            self._copy_up(batch)
        for _attempt in range(_ATTEMPTS):
            if self._journal is not None and batch:
                self._journal.record([self._entry(step) for step in batch])
            with own_descriptors():
                batch[:] = [step for step in batch if not self._settle(step)]
        for step in batch:
            self._tally.skip("changes_all_the_time", step.path)
            step.close()
        batch.clear()

    def _copy_up(self, batch: Sequence[Step]) -> None:
        """Let what an overlay would copy be the copy, before that is recorded."""
        for step in batch:
            if step.fd is not None and step.before.mount.type == "overlay":
                if self._survey.decided_again(step).changes:
                    try:
                        copy_up(step.fd)
                    except OSError as error:
                        raise self._failed(step, error) from error
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
            except _Unchangeable:
                now = self._unchangeable(now)
        self._judge(now)
        step.close()
        return True

    def _unchangeable(self, step: Step) -> Step:
        """Return what a step that its owner has made impossible has left."""
        now = self._survey.decided_again(step)
        if not same_permissions(step.before, now.before):
            self._count(step.path, step.before, now.before)
        now.refused, now.after = "unchangeable", now.before
        return now

    def _change(self, step: Step) -> None:
        if self._journal is not None and step.fd is not None:
            self._change_inode(step, step.fd)
        self._count(step.path, step.before, step.after)

    def _count(self, path: str, before: Inode, after: Inode) -> None:
        self._tally.changed += 1
        self._tally.diff.add(path, before, after)

    def _change_inode(self, step: Step, fd: int) -> None:
        try:
            change_near(fd, step.before, step.after, self._survey.tree.mounts)
        except ChangedMeanwhile:
            raise
        except (OSError, HostError) as error:
            # Of the log directory itself it would be the end of the repair.
            if isinstance(error, OSError) and step.path and is_owners_doing(fd, error):
                raise _Unchangeable from error
            raise self._failed(step, error) from error

    def _failed(self, step: Step, error: OSError | HostError) -> HostError:
        path = display(self._absolute(step))
        problem = error.strerror if isinstance(error, OSError) else error
        return HostError(
            f"{path} could not be changed: {problem}. What was done before "
            "stays and is in the journal; running again finishes it"
        )


def _checked(child: Child) -> dict[str, Any]:
    """Wait for a child and return what it did. Raises what stopped it."""
    answer = child.answer()
    if answer is None:
        raise HostError(
            "a process of the repair ended early. What was done before stays and is "
            "in the journal; running again finishes it"
        )
    if answer["problem"] is not None:
        raise HostError(answer["problem"])
    return dict(answer["tally"])


def _changes_directories(group: Sequence[Step]) -> bool:
    return any(step.changes and step.before.kind == DIRECTORY for step in group)
