# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Repairs of directories that are large enough for two processes."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.logward.permissions.plugins.module_utils import (
    _carry_out,
    _fs,
    _survey,
)
from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    HostError,
)
from ansible_collections.logward.permissions.plugins.module_utils._fs import (
    HALVES,
    Visit,
)
from ansible_collections.logward.permissions.plugins.module_utils._history import (
    KEEP,
    Keep,
)
from ansible_collections.logward.permissions.plugins.module_utils._journal import (
    Journal,
)
from ansible_collections.logward.permissions.plugins.module_utils._policy import (
    parse_policies,
)
from ansible_collections.logward.permissions.plugins.module_utils._recorded import (
    open_run,
)
from ansible_collections.logward.permissions.plugins.module_utils._repair import (
    RepairOptions,
    preview,
    repair,
)
from ansible_collections.logward.permissions.plugins.module_utils._restore import (
    RestoreOptions,
    restore,
)
from ansible_collections.logward.permissions.plugins.module_utils._restore import (
    preview as restore_preview,
)
from ansible_collections.logward.permissions.plugins.module_utils._runs import Runs
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils import (
    test_way_back as way_back,
)

pytestmark = pytest.mark.usefixtures("quiet_host")

WEB, QUEUE, STRANGER = 64001, 64002, 64009
DIRECTORIES, FILES = 20, 30
Result = dict[str, Any]


@pytest.fixture
def logs(site: Path) -> Path:
    """A log directory of 720 inodes that are all wrong, but for 20 FIFOs."""
    path = site / "logs"
    for number in range(DIRECTORIES):
        (path / f"{number}").mkdir(parents=True)
        os.mkfifo(path / f"{number}" / "fifo")
        for each in range(FILES):
            (path / f"{number}" / f"{each}.log").touch(0o640)
    for number in range(80):
        (path / f"{number}.log").touch(0o604 if number % 2 else 0o600)
    (path / "foreign.log").touch()
    subprocess.run(["chown", "-hR", f"{WEB}:{WEB}", path], check=True)
    os.chown(path / "foreign.log", STRANGER, STRANGER)
    os.utime(path / "foreign.log", (0, 0))
    return path


@pytest.fixture(autouse=True)
def cores(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that says how many cores there are; two, if not called."""
    monkeypatch.setattr(_survey, "_WORTH_A_PROCESS", 100)

    def have(number: int) -> None:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(number)))

    have(2)
    return have


@pytest.fixture
def run(site: Path, logs: Path) -> Callable[..., Result]:
    def run(
        function: Callable[..., Result] = repair,
        run_id: str = "run-1",
        keep: Keep = KEEP,
    ) -> Result:
        declaration = {"path": str(logs), "writers": [str(WEB), str(QUEUE)]}
        options = RepairOptions(run_id, str(site / "journal"), 0, keep)
        return function(parse_policies([declaration], []), options)

    return run


def only(result: Result) -> Result:
    (directory,) = result["directories"]
    return dict(directory)


def take_back(site: Path, function: Callable[..., Result] = restore) -> Result:
    return function(RestoreOptions("run-1", str(site / "journal"), 0))


def journal(site: Path) -> list[list[dict[str, Any]]]:
    """Return the lines of each file of the run."""
    files = sorted((site / "journal/run-1").iterdir())
    return [
        [json.loads(line) for line in file.read_text().splitlines()] for file in files
    ]


def paths(lines: list[dict[str, Any]]) -> list[str]:
    entries = (line for line in lines if "ino" in line)
    return [os.fsdecode(base64.b64decode(each["path_b64"])) for each in entries]


def in_half(number: int, logs: Path, path: str) -> bool:
    return HALVES[number].has(os.path.relpath(path, logs).partition("/")[0])


def test_both_do_what_one_does(
    run: Callable[..., Result],
    site: Path,
    logs: Path,
    cores: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = way_back.state(str(logs))
    announced = run(preview)
    assert way_back.state(str(logs)) == before
    both = run()
    assert both == announced
    repaired = way_back.state(str(logs))
    assert not run(run_id="run-2")["changed"]
    assert only(both)["changed_inodes"] == 1 + 80 + DIRECTORIES * (FILES + 1)
    first, second = journal(site)
    assert first[0]["time"] == second[0]["time"]
    # The directory itself, its newest files, and then a half each.
    assert paths(first)[0] == str(logs)
    assert not set(paths(first)) & set(paths(second))
    assert all(in_half(1, logs, path) for path in paths(second))
    assert all(in_half(0, logs, path) for path in paths(first)[65:])
    assert min(len(paths(first)), len(paths(second))) > 100
    with ExitStack() as stack:
        assert open_run(Runs(str(site / "journal")), "run-1", stack).calls == 1
    told = take_back(site, restore_preview)
    assert way_back.state(str(logs)) == repaired
    done = take_back(site)
    assert way_back.state(str(logs)) == before
    assert (done["restored"], done["left_alone"]) == (
        (only(both)["changed_inodes"], [])
    )
    assert told["restored"] == done["restored"]
    # And the same of one process alone.
    cores(1)
    monkeypatch.setattr(os, "fork", None)
    alone = run(run_id="run-3")
    assert way_back.state(str(logs)) == repaired
    assert counted(alone) == counted(both)
    assert named(alone["diff"]) == named(both["diff"]) == (100, 101)


def counted(result: Result) -> list[tuple[str, Any]]:
    """Return what does not depend on which of those that are alike was first."""
    directory = only(result)
    skipped = [(each["reason"], each["count"]) for each in directory["skipped"]]
    findings = [(each["code"], each["message"][-20:]) for each in directory["findings"]]
    return [*skipped, *findings, ("changed", directory["changed_inodes"])]


def named(diffs: list[dict[str, str]]) -> tuple[int, ...]:
    """Return how many inodes a diff names."""
    (diff,) = diffs
    assert diff["after"].endswith("\n... and 601 more\n")
    texts = diff["before"], diff["after"]
    return tuple(len(text.replace("\n    ", " ").splitlines()) for text in texts)


@pytest.mark.parametrize("half", [0, 1])
def test_what_need_not_stay_is_removed_whichever_process_recorded(
    run: Callable[..., Result], site: Path, logs: Path, half: int
) -> None:
    run(run_id="run-1")
    deep = (each for each in logs.rglob("*/*.log") if in_half(half, logs, str(each)))
    next(deep).chmod(0o600)
    assert only(run(run_id="run-2", keep=Keep(1, 90)))["changed_inodes"] == 1
    assert os.listdir(site / "journal") == ["run-2"]


def test_diff_is_the_same_each_time(run: Callable[..., Result]) -> None:
    assert run(preview)["diff"] == run(preview)["diff"] != []


def test_directory_and_its_newest_files_are_done_first(
    run: Callable[..., Result], logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fork
    found: list[tuple[bool, int]] = []

    def fork() -> int:
        default = "system.posix_acl_default" in os.listxattr(logs)
        # Wherever the rest is: nothing of it was looked at.
        done = [each for each in logs.rglob("*.log") if each.stat().st_mode & 0o020]
        found.append((default, len(done)))
        return real()

    monkeypatch.setattr(os, "fork", fork)
    run()
    assert found == [(True, 64)]


@pytest.mark.parametrize("half", [0, 1])
def test_what_cannot_be_changed_stops_both(
    run: Callable[..., Result],
    site: Path,
    logs: Path,
    half: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = way_back.state(str(logs))
    bad = max(
        str(path) for path in logs.rglob("*/*.log") if in_half(half, logs, str(path))
    )
    real = _fs.change_near

    def change(fd: int, *arguments: Any) -> None:
        if os.path.realpath(f"/proc/self/fd/{fd}") == bad:
            raise OSError(5, "Input/output error")
        real(fd, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(_carry_out, "change_near", change)
        problem = f"^{bad} could not be changed: Input/output error. What was done"
        with pytest.raises(HostError, match=problem):
            run()
    cut = way_back.state(str(logs))
    assert {path for path in cut if cut[path] != before[path]} <= {
        path for lines in journal(site) for path in paths(lines)
    }
    assert bad in [path for lines in journal(site) for path in paths(lines)]
    assert only(run())["changed_inodes"] > 0
    assert not run()["changed"]
    assert take_back(site)["left_alone"] == []
    assert way_back.state(str(logs)) == before


def test_nothing_more_is_changed_when_the_child_has_failed(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    us = os.getpid()
    real = Journal.record
    batches = []

    def record(journal: Journal, entries: Any) -> None:
        if os.getpid() != us:
            raise HostError("the journal is full")
        batches.append(entries)
        real(journal, entries)

    real_take = _carry_out.DirectoryRepair._take

    def take(one: Any, batch: Any) -> None:
        while one._child is not None and not one._child.has_ended():
            time.sleep(0.01)
        real_take(one, batch)

    monkeypatch.setattr(Journal, "record", record)
    monkeypatch.setattr(_carry_out.DirectoryRepair, "_take", take)
    with pytest.raises(HostError, match="the journal is full"):
        run()
    assert [len(each) for each in batches] == [1, 64]


def test_child_that_is_killed_is_an_error_and_nothing_is_lost(
    run: Callable[..., Result], site: Path, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = way_back.state(str(logs))
    us = os.getpid()
    calls = iter(range(1000))

    def change(*arguments: Any) -> None:
        if os.getpid() != us and next(calls) == 100:
            os.kill(os.getpid(), signal.SIGKILL)
        _fs.change_near(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(_carry_out, "change_near", change)
        with pytest.raises(HostError, match=r"ended early.*running again finishes it"):
            run()
    cut = way_back.state(str(logs))
    assert cut != before
    assert 0 < only(run())["changed_inodes"] < 700
    assert not run()["changed"]
    assert take_back(site)["left_alone"] == []
    assert way_back.state(str(logs)) == before


def test_full_disk_of_both(
    run: Callable[..., Result], site: Path, logs: Path, mounted: Callable[..., Path]
) -> None:
    (site / "journal").mkdir(0o700)
    size = "mode=0700,size=80k"
    mounted(site / "journal", "-t", "tmpfs", "-o", size, "none")
    before = way_back.state(str(logs))
    with pytest.raises(
        HostError, match=r"cannot be written \(No space left.*Make room"
    ):
        run()
    cut = way_back.state(str(logs))
    # There was room for the directory and its newest files.
    assert sum(cut[path] != before[path] for path in before) >= 65
    remount = ["mount", "-o", "remount,size=8m", f"{site}/journal"]
    subprocess.run(remount, check=True)
    assert only(run())["changed_inodes"] > 0
    assert not run()["changed"]
    assert take_back(site)["left_alone"] == []
    assert way_back.state(str(logs)) == before


def test_parts_that_could_not_be_read_are_one_finding(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open
    bad = {"1", "2", "3", "4", "5"}
    assert {HALVES[0].has(name) for name in bad} == {True, False}

    def refuse(path: Any, flags: int, *arguments: Any, **more: Any) -> int:
        if path in bad and flags & os.O_DIRECTORY:
            raise OSError(5, "Input/output error")
        return real(path, flags, *arguments, **more)

    monkeypatch.setattr(os, "open", refuse)
    result = only(run(preview))
    counts: Mapping[str, int] = {
        each["reason"]: each["count"] for each in result["skipped"]
    }
    assert counts["unreadable"] == 5
    (found,) = [each for each in result["findings"] if each["code"] == "unreadable"]
    assert found["evidence"] == "5 unreadable"


def test_newest_file_that_vanishes_is_counted_once(
    run: Callable[..., Result], logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = logs / f"{79}.log"
    os.utime(newest, (2**32, 2**32))
    real = Visit.pin

    def pin(visit: Visit) -> int:
        if visit.path == newest.name:
            newest.unlink()
        return real(visit)

    monkeypatch.setattr(Visit, "pin", pin)
    skipped = {each["reason"]: each["count"] for each in only(run())["skipped"]}
    assert skipped["vanished"] == 1


def test_no_descriptor_and_no_process_is_left(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.listdir("/proc/self/fd"), os.getcwd(), _children()

    def fail(*_arguments: Any) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(_carry_out, "change_near", fail)
        with pytest.raises(HostError):
            run()
    run()
    assert (os.listdir("/proc/self/fd"), os.getcwd(), _children()) == before


def _children() -> list[str]:
    """Return the processes of this one. In a container it inherits orphans, too."""
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children")
    return children.read_text().split()


def test_files_whose_names_are_numbers_of_descriptors(
    run: Callable[..., Result], site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = site / "outside"
    outside.mkdir()
    for number in range(1100):
        (outside / f"{number}").touch(0o600)
    before = way_back.state(str(outside))
    monkeypatch.chdir(outside)
    assert run()["changed"]
    assert way_back.state(str(outside)) == before
    assert os.getcwd() == str(outside)
