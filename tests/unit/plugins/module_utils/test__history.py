# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which runs stay in a journal, and that no others do."""

from __future__ import annotations

import calendar
import os
import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._history import (
    History,
    Keep,
    superfluous,
)
from ansible_collections.logward.permissions.plugins.module_utils._record import Header
from ansible_collections.logward.permissions.plugins.module_utils._recorded import (
    open_run,
)
from ansible_collections.logward.permissions.plugins.module_utils._runs import Runs
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils import (
    journals,
)


def _header(time: str, restores: str | None = None) -> Header:
    return Header("run", restores, None, time)


@pytest.mark.parametrize(
    ("keep", "removed"),
    [
        (Keep(9, 9999), []),
        (Keep(2, 9999), ["c"]),
        (Keep(0, 9999), ["a", "b", "c"]),
        (Keep(-1, 9999), ["a", "b", "c"]),
        (Keep(9, 2), []),
        (Keep(9, 1), ["c"]),
        (Keep(9, 0), ["b", "c"]),
        (Keep(9, 10**9), []),
        (Keep(1, 2), ["b", "c"]),
    ],
)
@pytest.mark.parametrize("days_ahead", [0, 1000])
def test_superfluous(keep: Keep, days_ahead: int, removed: list[str]) -> None:
    days = ("1970-01-11T12", "1970-01-10T12", "1970-01-09T12")
    runs = [
        (name, _header(f"{day}:00:00.000000Z", "x"))
        for name, day in zip(("a", "b", "c"), days)
    ]
    now_ns = int((11 + days_ahead) * 86_400 * 1e9)
    assert superfluous(runs, keep, now_ns + 1) == removed


def test_a_run_of_a_clock_that_was_ahead_makes_no_other_older() -> None:
    times = ("2026-05-01", "2020-01-02", "2020-01-01", "2019-01-01")
    runs = [
        (name, _header(f"{day}T00:00:00.000000Z", "x"))
        for name, day in zip(("ahead", "a", "b", "old"), times)
    ]
    now_ns = calendar.timegm((2020, 1, 3, 0, 0, 0)) * 10**9
    assert superfluous(runs, Keep(9, 90), now_ns) == ["old"]


def test_oldest_runs_are_removed_and_never_the_own(site: Path) -> None:
    for run_id in ("own", "a", "b", "c"):
        journals.write(site, run_id)
    (site / "journal/note").write_text("")
    (site / "journal/.removed-x").mkdir()
    (site / "journal/.removed-x/0001.jsonl").write_text("what a crash has left")
    History(str(site / "journal")).prune("own", Keep(3, 1))
    assert sorted(os.listdir(site / "journal")) == ["b", "c", "note", "own"]
    History(str(site / "journal")).prune("own", Keep(0, 0))
    assert sorted(os.listdir(site / "journal")) == ["note", "own"]
    with ExitStack() as stack:
        own = open_run(Runs(str(site / "journal")), "own", stack)
        assert len(list(own.batches())) == len(journals.WRITTEN)


def test_what_a_crash_left_is_not_in_the_way_of_a_run_of_that_name(site: Path) -> None:
    for run_id in ("own", "a", "b"):
        journals.write(site, run_id)
    (site / "journal/.removed-b").mkdir()
    (site / "journal/.removed-b/0001.jsonl").write_text("what a crash has left")
    History(str(site / "journal")).prune("own", Keep(1, 90))
    assert os.listdir(site / "journal") == ["own"]


def test_what_cannot_be_removed_keeps_nothing_else(site: Path) -> None:
    for run_id in ("own", "a", "b", "c"):
        journals.write(site, run_id)
    for name in (".removed-b", ".removed-x"):
        (site / "journal" / name / "somebody's").mkdir(parents=True)
    History(str(site / "journal")).prune("own", Keep(1, 90))
    left = {".removed-b", ".removed-x", "b", "own"}
    assert set(os.listdir(site / "journal")) == left


def test_run_that_somebody_removes_meanwhile_keeps_no_other(site: Path) -> None:
    for run_id in ("own", "a", "b", "c"):
        journals.write(site, run_id)
    history = History(str(site / "journal"))
    assert history.newest_ns()
    shutil.rmtree(site / "journal/c")
    history.prune("own", Keep(1, 90))
    assert os.listdir(site / "journal") == ["own"]


def test_nothing_is_removed_where_a_run_is_not_as_it_was_written(
    site: Path, run_file: Path
) -> None:
    journals.write(site, "own")
    run_file.write_text("{}\n")
    History(str(site / "journal")).prune("own", Keep(0, 0))
    assert run_file.exists()


def test_pruning_leaves_no_descriptor_open(site: Path, run_file: Path) -> None:
    descriptors = os.listdir("/proc/self/fd")
    History(str(site / "journal")).prune("own", Keep(0, 0))
    assert not run_file.exists()
    assert os.listdir("/proc/self/fd") == descriptors
