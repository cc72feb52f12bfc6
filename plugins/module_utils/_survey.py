# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observe and plan: one pass over a log directory, a step for every inode.

The audit judges what each step found, the repair applies what it plans, and
check mode is the repair that does not. There is no second walk.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
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
    observe_again,
    same_permissions,
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
from ._writers._processes import root_writes_below
from ._writers._source import NOBODY, Found

_DISTINCT_INODES = 4096
#: More than any tick of the kernel's clock, which has 1 to 10 ms.
_TICK_NS = 10**9
_BLOCKING = frozenset(
    [
        "acl_unsupported",
        "read_only",
        "ancestor_untrusted",
        "immutable",
        "rights_conflict",
        "root_daemon_directory",
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
    planned ``fd`` pins the inode, and whoever takes the step closes it. Where
    nothing is, ``visit`` is what shows it.
    """

    path: str
    place: Change
    observed: Observation
    after: Inode
    refused: str | None = None
    fd: int | None = None
    visit: Visit | None = None

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
    ) -> Iterator[Finding]:
        """Yield what is wrong with the inode, as it is or will be, in ``place``."""
        if self.refused:
            yield finding_of(self.refused, self.path, self.before)
        for finding in table.findings(self.path, place, inode):
            if self.refused:
                # No repair will help with what is not repaired.
                remedy = finding.remedy or KINDS[self.refused].remedy
                yield replace(finding, remedy=remedy)
            else:
                yield finding

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
        self.policy = policy = with_running(policy, running)
        self.running = running
        self._before_ns = time.time_ns() - _TICK_NS
        self.tree = tree
        self.observed = tree.observe()
        self.place = Place(
            tree.ancestors, policy.path, self.observed.inode, settings.protected_regular
        )
        self.walk = Walk(tree, policy.excluded)
        self._newest = [(each.path, each.observed.inode) for each in self.walk.newest()]
        newest = [inode for _name, inode in self._newest]
        self.planned = self.place.inode
        if tree.acl_supported:
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
        if not self.tree.acl_supported:
            yield finding_of("acl_unsupported", path, before)
        if breaks_promise(self.policy, before, self.planned):
            yield finding_of("rights_conflict", path, before)
        refused = change_refusal(before, self.planned)
        if refused and not same_permissions(before, self.planned):
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

    def steps(
        self, known_in: Callable[[Change], Known], share: Share = WHOLE
    ) -> Iterator[Step]:
        """Yield a step for the directory, then for all that is below it.

        ``known_in`` has the files that are only counted in a directory.
        """
        self._entered = [("", self.places)]
        if share.is_first:
            yield self._own_step()
        known = known_in(self.places)
        for visit in self.walk.visits(self.policy.recurse, known, share):
            step = self._step(visit)
            if step is None:
                continue
            if step.before.kind == DIRECTORY:
                step.place = step.place.entered(visit.name, step.before, step.after)
                self._entered.append((visit.path, step.place))
                visit.enter = None if step.refused else known_in(step.place)
            yield step
            # On an overlay, what was changed is another inode from then on.
            visit.observed = step.observed

    def _own_step(self) -> Step:
        step = Step("", self.places, self.observed, self.planned)
        if not same_permissions(step.before, step.after):
            step.fd = os.dup(self.tree.fd)
        return step

    def _step(self, visit: Visit) -> Step | None:
        place = self._place_of(visit)
        observed = visit.observed
        if visit.other_mount or visit.too_deep:
            code = "other_file_system" if visit.other_mount else "too_deep"
            return Step(visit.path, place, observed, observed.inode, code)
        after, refused = self._decide(observed.inode)
        if refused:
            return Step(visit.path, place, observed, after, refused)
        if same_permissions(observed.inode, after):
            return Step(visit.path, place, observed, after, visit=visit)
        return self._pinned(visit, Step(visit.path, place, observed, after))

    def _place_of(self, visit: Visit) -> Change:
        """Return the directory of a visit: the walk goes in and out in order."""
        parent = visit.path[: -len(visit.name) - 1]
        while self._entered[-1][0] != parent:
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
        return step

    def decided_again(self, step: Step) -> Step:
        """Return what a step is now, by what the descriptor that it pins says.

        It was decided by a name, and that was some time ago.
        """
        fd = step.fd
        if fd is None:
            return step
        observed = observe_again(fd, step.observed, self._before_ns, self.tree.mounts)
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
            if refused or not self.tree.acl_supported:
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
