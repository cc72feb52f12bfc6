# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observe and plan: one pass over a log directory, a step for every inode.

The audit judges what each step found, the repair applies what it plans, and
check mode is the repair that does not. There is no second walk.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Callable, Optional

from ._access import (
    DIRECTORY,
    REGULAR,
    Inode,
    Place,
    others_create,
)
from ._findings import KINDS, Finding
from ._fs import (
    WHOLE,
    Known,
    Observation,
    Share,
    Tree,
    Visit,
    Walk,
    has_capability,
    is_gone,
    is_unchanged,
    kernel_time_ns,
    observe_fd,
    same_permissions,
    seems_without_capability,
    working_directory,
)
from ._host import KernelSettings
from ._names import display
from ._plan import (
    breaks_promise,
    change_refusal,
    planned_directory,
    planned_file,
    refusal,
)
from ._policy import Policy
from ._predict import AccessTable, finding_of, next_file_losses, place_findings
from ._running import running_findings, with_running
from ._strategy import hindrance, settled
from ._writers._processes import root_writes_below
from ._writers._source import NOBODY, Found

_DISTINCT_INODES = 4096
#: How many inodes make a second process worth the milliseconds that it takes to
#: start, and how many a directory has whose content nobody has seen yet: a guess.
_WORTH_A_PROCESS, _IN_A_DIRECTORY = 1000, 20
_BLOCKING = frozenset(
    [
        "acl_unsupported",
        "group_unfit",
        "read_only",
        "ancestor_untrusted",
        "immutable",
        "rights_conflict",
        "root_daemon_directory",
        "unchangeable",
    ]
)


@dataclass(frozen=True)
class Change:
    """A directory as it is, and as it is planned."""

    before: Place
    after: Place

    def entered(self, name: str, before: Inode, after: Inode) -> Change:
        """Return a directory in this one."""
        return Change(
            _entered(self.before, name, before), _entered(self.after, name, after)
        )


def _entered(place: Place, name: str, inode: Inode) -> Place:
    ancestors = (*place.ancestors, (place.path, place.inode))
    return replace(
        place, ancestors=ancestors, path=os.path.join(place.path, name), inode=inode
    )


@dataclass
class Step:
    """One inode: as observed, as planned, and why it is left alone, if it is.

    ``path`` is relative to the log directory, "" for itself; ``place`` is the
    directory itself, or the one that the file lies in. Where a change is
    planned ``fd`` pins the inode, and whoever takes the step closes it;
    ``seems_plain`` is true of a file that had no capabilities by its name. Where
    nothing is planned, ``visit`` is what shows it.
    """

    path: str
    place: Change
    observed: Observation
    after: Inode
    refused: str | None = None
    fd: int | None = None
    visit: Visit | None = None
    seems_plain: bool = False

    @property
    def before(self) -> Inode:
        """The inode as observed."""
        return self.observed.inode

    @property
    def changes(self) -> bool:
        """True where something is planned."""
        return self.fd is not None

    def findings(
        self, table: AccessTable, place: Place, inode: Inode
    ) -> Sequence[Finding]:
        """Return what is wrong with the inode, as it is or will be, in ``place``."""
        found = table.findings(self.path, place, inode)
        if not self.refused:
            return found
        # No repair will help with what is not repaired.
        remedy = KINDS[self.refused].remedy
        return [
            finding_of(self.refused, self.path, self.before),
            *(replace(each, remedy=each.remedy or remedy) for each in found),
        ]

    def dismiss(self) -> None:
        """Have what is like this only counted from now on, if it needs nothing."""
        if self.visit is not None:
            self.visit.dismiss()

    def close(self) -> None:
        """Let go of the inode."""
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None


Decision = Callable[[Inode], tuple[Inode, Optional[str]]]


class Survey:
    """A log directory that is being looked at under a policy, once.

    ``places`` is the directory as observed and as planned.
    """

    def __init__(
        self,
        policy: Policy,
        tree: Tree,
        settings: KernelSettings,
        running: Found = NOBODY,
    ) -> None:
        """Observe the directory itself and its ancestors."""
        self._before_ns = kernel_time_ns()
        self.running = running
        self.tree = tree
        self.observed = tree.observe()
        self._hindrance = hindrance(policy, self.observed.inode)
        policy = settled(with_running(policy, running), self.observed.inode)
        self.policy = policy
        self.place = Place(
            tree.ancestors, policy.path, self.observed.inode, settings.protected_regular
        )
        self.walk = Walk(tree, policy.excluded)
        self._newest = [
            (each.path, each.observed.inode) for each in self.walk.newest(set())
        ]
        newest = [inode for _name, inode in self._newest]
        self.planned = self.place.inode
        if self._hindrance is None:
            self.planned = planned_directory(policy, self.place.inode, newest)
        self.places = Change(self.place, replace(self.place, inode=self.planned))
        self._plan = partial(_planned, self.policy, tuple(newest))
        self._decide = self._decisions(settings)

    def findings(self) -> Iterator[Finding]:
        """Yield what is wrong with the directory and the way to it."""
        yield from place_findings(self.policy, self.place)
        yield from running_findings(self.policy, self.running)
        before, path = self.place.inode, self.policy.path
        yield from next_file_losses(self.policy, self.places.before, self.places.after)
        if before.mount.read_only:
            yield finding_of("read_only", path, before)
        if self._hindrance is not None:
            yield self._hindrance
        if breaks_promise(self.policy, before, self.planned):
            yield finding_of("rights_conflict", path, before)
        refused = change_refusal(before, self.planned)
        changes = not same_permissions(before, self.planned)
        if refused and (changes or before.acl_unread):
            yield finding_of(refused, path, before)
        opened = others_create(self.planned) and not others_create(before)
        if opened and root_writes_below(path):
            yield finding_of("root_daemon_directory", path, before)

    def newest(self) -> Iterator[tuple[str, Inode, Inode]]:
        """Yield name, observed and planned inode of the directory's newest files."""
        for name, inode in self._newest:
            yield name, inode, self._decide(inode)[0]

    def blocking(self) -> Finding | None:
        """Return the first finding that forbids any repair here, or None."""
        return next((each for each in self.findings() if each.code in _BLOCKING), None)

    @property
    def is_large(self) -> bool:
        """True where two processes, each with a half of it, end sooner than one."""
        inodes = self.walk.names
        if self.policy.recurse:
            inodes += self.walk.directories * _IN_A_DIRECTORY
        return inodes >= _WORTH_A_PROCESS and len(os.sched_getaffinity(0)) > 1

    def first(self, known_in: Callable[[Change], Known]) -> Iterator[list[Step]]:
        """Yield the steps that come first: the directory, then its newest files.

        ``known_in`` has the files that are only counted in a directory.
        """
        self.walk.count_anew()
        self._entered = [("", self.places)]
        yield [self._own_step()]
        newest = self.walk.newest(known_in(self.places))
        if newest:
            yield from self._group(newest, known_in)

    def others(
        self, known_in: Callable[[Change], Known], share: Share = WHOLE
    ) -> Iterator[list[Step]]:
        """Yield the steps for all else, or for a share of it, in groups.

        What a group has of directories is listed when all of it was taken. A
        group has MOST_AT_ONCE steps at most.
        """
        self._entered = [("", self.places)]
        known = known_in(self.places)
        for visits in self.walk.others(self.policy.recurse, known, share):
            if visits:
                yield from self._group(visits, known_in)

    def _group(
        self, visits: list[Visit], known_in: Callable[[Change], Known]
    ) -> Iterator[list[Step]]:
        listing = visits[0].listing
        place = self._place_in(listing.prefix)
        steps: list[Step] = []
        directories: list[tuple[Visit, Step]] = []
        try:
            with working_directory(listing.fd):
                for visit in visits:
                    step = self._step(visit, place)
                    if step is None:
                        continue
                    steps.append(step)
                    if visit.observed.inode.kind == DIRECTORY:
                        directories.append((visit, step))
        except OSError:
            for step in steps:
                step.close()
            raise
        for visit, step in reversed(directories):
            step.place = place.entered(visit.name, step.before, step.after)
            self._entered.append((visit.path, step.place))
            visit.enter = None if step.refused else known_in(step.place)
        yield steps
        for visit, step in directories:
            # On an overlay, what was changed is another inode from then on.
            visit.observed = step.observed

    def _own_step(self) -> Step:
        step = Step("", self.places, self.observed, self.planned)
        if not same_permissions(step.before, step.after):
            step.fd = os.dup(self.tree.fd)
        return step

    def _step(self, visit: Visit, place: Change) -> Step | None:
        """Return the step of a visit whose directory is the working one."""
        observed = visit.observed
        inode = observed.inode
        if visit.other_mount or visit.too_deep:
            code = "other_file_system" if visit.other_mount else "too_deep"
            return Step(visit.path, place, observed, inode, code)
        after, refused = self._decide(inode)
        if refused:
            return Step(visit.path, place, observed, after, refused)
        if same_permissions(inode, after):
            return Step(visit.path, place, observed, after, visit=visit)
        return self._pinned(visit, Step(visit.path, place, observed, after))

    def _place_in(self, prefix: str) -> Change:
        """Return a directory that is listed: the walk goes in and out in order."""
        path = prefix[:-1]
        while self._entered[-1][0] != path:
            self._entered.pop()
        return self._entered[-1][1]

    def _pinned(self, visit: Visit, step: Step) -> Step | None:
        try:
            step.fd = visit.pin()
        except OSError as error:
            if not is_gone(error):
                raise
            self.walk.vanished += 1
            return None
        if step.observed.inode.kind == REGULAR:
            step.seems_plain = seems_without_capability(visit.name)
        return step

    def decided_again(self, step: Step) -> Step:
        """Return what a step is now, by what the descriptor that it pins says.

        It was decided by a name, and that was some time ago.
        """
        fd = step.fd
        if fd is None:
            return step
        seen = step.observed
        needs_look = seen.inode.kind == REGULAR and not step.seems_plain
        if not needs_look and is_unchanged(fd, seen, self._before_ns):
            return step
        observed = observe_fd(fd, self.tree.mounts)
        # The log directory itself may be anybody's.
        decide = self._decide if step.path else self._plan
        after, refused = decide(observed.inode)
        if not refused and observed.inode.kind == REGULAR and has_capability(fd):
            after, refused = observed.inode, "privileged_file"
        changes = not refused and not same_permissions(observed.inode, after)
        pinned = fd if changes else None
        return Step(step.path, step.place, observed, after, refused, pinned)

    def _decisions(self, settings: KernelSettings) -> Decision:
        """Return the decision for any inode below, made once for those alike."""

        @lru_cache(maxsize=_DISTINCT_INODES)
        def decide(inode: Inode) -> tuple[Inode, str | None]:
            refused = refusal(self.policy, inode, settings.protected_hardlinks)
            if refused or self._hindrance is not None:
                return inode, refused
            return self._plan(inode)

        return decide


def _planned(
    policy: Policy, newest: tuple[Inode, ...], inode: Inode
) -> tuple[Inode, str | None]:
    """Return what is planned for an inode that is the policy's business."""
    if inode.kind == DIRECTORY:
        after = planned_directory(policy, inode, newest)
    else:
        after = planned_file(policy, inode)
    if same_permissions(inode, after):
        return inode, None
    if breaks_promise(policy, inode, after):
        return inode, "rights_conflict"
    refused = change_refusal(inode, after)
    return (inode, refused) if refused else (after, None)


def unreadable_findings(path: str, count: int, first: str) -> Iterator[Finding]:
    """Yield, after a walk, what of a log directory could not be looked at."""
    if count:
        message = f"{KINDS['unreadable'].title}: {first}"
        evidence = f"{count} unreadable"
        yield Finding("unreadable", path, display(path), evidence, display(message))
