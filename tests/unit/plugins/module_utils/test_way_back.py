# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repair that ended anywhere can be taken back to the byte, or be finished.

Random trees are repaired and restored under random policies, and both are cut
short after any change; then processes that repair 5,000 inodes are killed at
any moment. LOGWARD_PROMISES and LOGWARD_KILLS say how many, LOGWARD_SEED which.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Optional

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    HostError,
)
from ansible_collections.logward.permissions.plugins.module_utils._lock import (
    host_lock,
)
from ansible_collections.logward.permissions.plugins.module_utils._policy import (
    parse_policies,
)
from ansible_collections.logward.permissions.plugins.module_utils._repair import (
    RepairOptions,
    repair,
)
from ansible_collections.logward.permissions.plugins.module_utils._restore import (
    RestoreOptions,
    preview,
    restore,
)
from ansible_collections.logward.permissions.plugins.module_utils._runs import (
    NoSuchRun,
)
from ansible_collections.logward.permissions.tests.unit import strategies
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils import (
    test_promise as promise,
)

RESTORES = promise.PROMISES // 2
KILLS = int(os.environ.get("LOGWARD_KILLS", "12"))
SEED = int(os.environ.get("LOGWARD_SEED") or random.SystemRandom().getrandbits(32))

State = dict[str, tuple[Any, ...]]
#: After how many changes a repair, and its restore, end; None is in the end.
Cuts = tuple[Optional[int], Optional[int]]


def state(root: str) -> State:
    """Return all that a repair can change, as the kernel has it, to the byte."""
    found = {}
    for directory, _names, files in os.walk(root):
        for path in (directory, *(os.path.join(directory, name) for name in files)):
            status = os.lstat(path)
            attributes = {name: os.getxattr(path, name) for name in os.listxattr(path)}
            found[path] = (status.st_mode, status.st_uid, status.st_gid, attributes)
    return found


class _Cut(BaseException):
    """The end of a process, as far as its inodes are concerned."""


@contextmanager
def cut_short(changes: int | None) -> Iterator[None]:
    """End the block, as a kill would, when it has changed so many inodes."""
    left = iter(range(sys.maxsize if changes is None else changes))

    def limited(real: Callable[..., None]) -> Callable[..., None]:
        def change(*arguments: Any) -> None:
            if next(left, None) is None:
                raise _Cut
            real(*arguments)

        return change

    with pytest.MonkeyPatch.context() as patch:
        for name in ("chmod", "chown", "setxattr"):
            patch.setattr(os, name, limited(getattr(os, name)))
        try:
            yield
        except _Cut:
            return


def _there_and_back(place: Path, case: promise.Case, cuts: Cuts, tally: Any) -> None:
    path, journal = f"{place}/log", "/run/logward-way-back"
    repair_cut, restore_cut = cuts
    options = RestoreOptions("latest", journal, 0)
    try:
        promise._build(path, case)
        before = state(path)
        try:
            with cut_short(repair_cut):
                repair([case.policy(path)], RepairOptions("run-1", journal, 0))
        except HostError:
            tally["stopped"] += 1
        repaired = state(path)
        if not Path(journal).exists():
            assert repaired == before
            return
        announced = preview(options)
        assert state(path) == repaired
        with cut_short(restore_cut):
            done = restore(options)
            assert done["restored"] == announced["restored"]
            assert done["diff"] == announced["diff"]
        restore(options)
        after = state(path)
        assert after == before
        again = restore(options)
        assert (again["changed"], again["left_alone"]) == (False, [])
        tally["changed"] += repaired != before
        tally["inodes"] += sum(repaired[each] != before[each] for each in before)
    finally:
        shutil.rmtree(path)
        shutil.rmtree(journal, ignore_errors=True)


@pytest.mark.usefixtures("quiet_host")
@pytest.mark.parametrize(
    ("other", "strategy", "exact"),
    [
        ("keep", "acl", False),
        ("none", "acl", False),
        ("keep", "acl", True),
        ("none", "group", True),
    ],
)
def test_random_repairs_are_taken_back_to_the_byte(
    site: Path, mounted: Callable[..., Path], other: str, strategy: str, exact: bool
) -> None:
    place = mounted(site / "tmpfs", "-t", "tmpfs", "-o", "mode=0755", "none")
    tally: Counter[str] = Counter()
    print(f"Replay: LOGWARD_SEED={SEED} LOGWARD_PROMISES={2 * RESTORES}")
    cut = st.none() | st.integers(0, 12)

    @seed(SEED)
    @settings(strategies.PROPERTY, max_examples=RESTORES)
    @given(promise._cases(other == "keep", strategy, exact), st.tuples(cut, cut))
    def kept(case: promise.Case, cuts: Cuts) -> None:
        _there_and_back(place, case, cuts, tally)

    kept()
    print(tally)
    # So that it was tried at all: see test_promise.py for how much this varies.
    assert tally["changed"] > RESTORES / 20
    assert tally["inodes"] > RESTORES / 10


# Killed

DIRECTORIES, FILES = 50, 99
#: That share the repair of a tree as large as this one.
PROCESSES = 2
WEB, QUEUE, GROUP = 64001, 64002, 64003
POLICY = {
    "path": "",
    "writers": ["64001", "64002"],
    "owner": "64001",
    "group": "64003",
    "other": "none",
}
CHILD = """
import sys
from ansible_collections.logward.permissions.plugins.module_utils import (
    _policy, _repair, _restore, _survey
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._source import (
    NOBODY
)
what, run_id, journal, policy = sys.argv[1:]
_repair.running_writers = lambda *_arguments: NOBODY
_survey.root_writes_below = lambda _path: []
policies = _policy.parse_policies([eval(policy)], [])
print(flush=True)
if what == "repair":
    _repair.repair(policies, _repair.RepairOptions(run_id, journal, 0))
else:
    _restore.restore(_restore.RestoreOptions(run_id, journal, 0))
"""


def _make_tree(path: Path) -> None:
    """Make 5,000 inodes, of several owners, modes and ACLs, all to be changed."""
    path.mkdir()
    for number in range(DIRECTORIES):
        directory = path / f"day \udcff\n{number}"
        directory.mkdir()
        for each in range(FILES):
            file = directory / f"{each}.log"
            file.touch()
            os.chown(file, WEB if each % 2 else QUEUE, WEB)
            file.chmod((0o640, 0o604, 0o600)[each % 3])
        os.chown(directory, WEB, QUEUE if number % 2 else WEB)
    subprocess.run(
        ["setfacl", "-R", "-m", "u:64008:r,g:64007:r,m::r", path / "day \udcff\n7"],
        check=True,
    )
    subprocess.run(["setfacl", "-d", "-m", "u:64008:r", path], check=True)


class _Host:
    """A log directory, its journal, and processes that repair and restore it."""

    def __init__(self, site: Path) -> None:
        self.logs = site / "logs"
        self.journal = str(site / "journal")
        self.policy = {**POLICY, "path": str(self.logs)}

    def start(self, what: str, run_id: str) -> subprocess.Popen[bytes]:
        """Start a process; it has not begun with the work, or just so."""
        arguments = [what, run_id, self.journal, repr(self.policy)]
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD, *arguments], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        return process

    def seconds(self, what: str, run_id: str) -> float:
        """Let a process end, and return how long it worked."""
        with self.start(what, run_id) as process:
            start = time.monotonic()
            assert process.wait() == 0
            return time.monotonic() - start

    def kill(self, what: str, run_id: str, after: float) -> bool:
        """Kill a process after so many seconds; tell whether it had not ended."""
        with self.start(what, run_id) as process:
            time.sleep(after)
            process.send_signal(signal.SIGKILL)
            killed = process.wait() == -signal.SIGKILL
        # Its second process may be a system call behind, and holds the lock.
        with host_lock("none", 10):
            return killed

    def repair(self, run_id: str) -> dict[str, Any]:
        policies = parse_policies([self.policy], [])
        return repair(policies, RepairOptions(run_id, self.journal, 0))

    def restore(self, run_id: str) -> dict[str, Any]:
        return restore(RestoreOptions(run_id, self.journal, 0))

    def state(self) -> State:
        return state(str(self.logs))


@pytest.mark.usefixtures("quiet_host")
def test_killed_repairs_can_be_taken_back_and_finished(
    site: Path, mounted: Callable[..., Path]
) -> None:
    host = _Host(mounted(site / "tmpfs", "-t", "tmpfs", "-o", "mode=0755", "none"))
    _make_tree(host.logs)
    before = host.state()
    assert len(before) == DIRECTORIES * (FILES + 1) + 1
    repair_seconds = host.seconds("repair", "whole")
    repaired = host.state()
    assert all(repaired[path] != before[path] for path in before)
    restore_seconds = host.seconds("restore", "whole")
    assert host.state() == before
    moments = random.Random(SEED)  # noqa: S311 - no secret
    tally: Counter[str] = Counter()
    for number in range(KILLS):
        run_id = f"run-{number}"
        tally["killed"] += host.kill(
            "repair", run_id, moments.uniform(0, repair_seconds)
        )
        cut = host.state()
        tally["midway"] += cut not in (before, repaired)
        try:
            if number % 2:
                _finish(host, run_id, repaired)
            else:
                after = moments.uniform(0, restore_seconds)
                tally["killed, too"] += host.kill("restore", run_id, after)
            host.restore(run_id)
        except NoSuchRun:
            assert cut == before
        assert host.state() == before, run_id
    print(tally)
    # Enough to have tried it: how many are hit depends on how busy the machine is.
    assert tally["killed"] >= max(1, KILLS // 4)
    assert tally["midway"] >= max(1, KILLS // 8)


def _finish(host: _Host, run_id: str, repaired: State) -> None:
    """Let a second run reach the policy; and take that run back."""
    cut = host.state()
    host.repair(f"{run_id}-again")
    finished = host.state()
    assert not host.repair(f"{run_id}-third")["changed"]
    # What the kill left half-way, one inode of each process, keeps what it had then:
    # more is not needed.
    other = {path for path in finished if finished[path] != repaired[path]}
    assert len(other) <= PROCESSES, other
    if finished != cut:
        host.restore(f"{run_id}-again")
        assert host.state() == cut
