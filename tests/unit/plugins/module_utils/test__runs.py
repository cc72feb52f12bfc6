# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which runs there are, and which is the latest."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    LogwardError,
)
from ansible_collections.logward.permissions.plugins.module_utils._history import (
    History,
)
from ansible_collections.logward.permissions.plugins.module_utils._runs import (
    MAX_LINE,
    NoSuchRun,
    Runs,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils import (
    journals,
)


@pytest.fixture
def runs(site: Path) -> Runs:
    return Runs(str(site / "journal"))


def test_latest_is_the_newest_repair(site: Path, runs: Runs) -> None:
    for run_id in ("b", "a", "c"):
        journals.write(site, run_id)
    journals.write(site, "z", restores="c")
    assert runs.find("latest") == "c"
    journals.write(site, "b")
    assert runs.find("latest") == "b"
    assert runs.find("z") == "z"
    assert [name for name, _header in runs.newest_first()] == ["b", "z", "c", "a"]


def test_latest_is_the_newest_when_the_clock_was_set(
    site: Path, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = str(site / "journal")
    assert History(journal).newest_ns() == 0
    days = (20_000, 50_000, 19_999, 19_999, 20_001)  # days since 1970
    for run_id, day in zip("ebdac", days):
        monkeypatch.setattr(time, "time_ns", lambda day=day: day * 86_400 * 10**9)
        journals.write(site, run_id, newest_ns=History(journal).newest_ns)
        assert runs.find("latest") == run_id
    assert [name for name, _header in runs.newest_first()] == list("cadbe")
    assert History(journal).newest_ns() == 50_000 * 86_400 * 10**9 + 3000
    (site / "journal/c/0001.jsonl").write_text("{}\n")
    assert History(journal).newest_ns() == 0


def test_what_is_no_run_is_passed_over(site: Path, runs: Runs, run_file: Path) -> None:
    for name in ("later", "later still"):
        (site / "journal" / name).mkdir(0o700)
    (site / "journal/later/0001.jsonl").write_text('{"logward_journal":1,')
    (site / "journal/note").write_text("")
    (site / "journal/link").symlink_to(run_file.parent)
    assert runs.find("latest") == "run-1"
    for name in ("later", "note", "link"):
        with pytest.raises(NoSuchRun):
            runs.find(name)


def test_run_that_does_not_exist(site: Path, runs: Runs) -> None:
    for run_id in ("run-1", "latest"):
        with pytest.raises(NoSuchRun) as error:
            runs.find(run_id)
        expected = f"run_id: '{run_id}' is not in {site}/journal of this host. "
        assert str(error.value) == expected + "It has no run at all."
    assert list(site.iterdir()) == []
    for number in range(7):
        journals.write(site, f"run-{number}")
    with pytest.raises(NoSuchRun) as error:
        runs.find("run-9")
    assert "Name one of run-6, run-5, run-4, run-3, run-2, ..." in str(error.value)


def test_first_line_without_an_end(site: Path, runs: Runs, run_file: Path) -> None:
    run_file.write_bytes(b"{" * MAX_LINE + b"}\n")
    with pytest.raises(NoSuchRun):
        runs.find("run-1")
    assert History(str(site / "journal")).newest_ns() == 0


def test_newest_of_which_nobody_knows_whose_it_is(
    site: Path, runs: Runs, run_file: Path
) -> None:
    journals.write(site, "run-2")
    run_file.write_bytes(b"{}\n")
    with pytest.raises(LogwardError, match=r"line 1 of .*run-1.*Move that run else"):
        runs.find("latest")
