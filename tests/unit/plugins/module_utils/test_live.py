# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Repairs of log directories that are in use: processes log, rotate and delete."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._identity import (
    Identity,
)
from ansible_collections.logward.permissions.plugins.module_utils._policy import (
    parse_policies,
)
from ansible_collections.logward.permissions.plugins.module_utils._repair import (
    RepairOptions,
    preview,
    repair,
)
from ansible_collections.logward.permissions.tests.unit import kernel

WEB, QUEUE = 64001, 64002
IDENTITIES = [
    {"name": "web", "user": "64001", "group": "64001"},
    {"name": "queue", "user": "64002", "group": "64002"},
]
FILES = 3000
ROTATIONS = 5
SECONDS = 2.0


@pytest.fixture
def logs(site: Path, mounted: Callable[..., Path]) -> Path:
    """A large log directory of web's, in which queue may write nothing."""
    # In memory: each sync of the journal would put their files on disk, too.
    path = mounted(site / "tmpfs", "-t", "tmpfs", "-o", "mode=0755", "none") / "logs"
    for directory in (path, path / "archive"):
        directory.mkdir()
        os.chown(directory, WEB, WEB)
    for number in range(FILES):
        log = path / ("archive" if number % 2 else ".") / f"old-{number}.log"
        log.write_text("one line\n")
        os.chown(log, WEB, WEB)
        log.chmod(0o640)
    return path


def _repair(logs: Path, function: Any = repair) -> dict[str, Any]:
    declaration = {"path": str(logs), "writers": ["web", "queue"]}
    policies = parse_policies([declaration], IDENTITIES)
    options = RepairOptions("run-1", str(logs.parent / "journal"), 0)
    (directory,) = function(policies, options)["directories"]
    assert isinstance(directory, dict)
    return directory


# What processes do with logs, each time with the next number


def _append(path: str) -> None:
    with open(path, "a") as file:
        file.write("one line\n")


def _create(number: int) -> None:
    _append(f"{'archive/' * (number % 2)}new-{number}.log")


def _rotate(number: int) -> None:
    """Rotate as logrotate does, then log as the application does."""
    for old in range(ROTATIONS, 0, -1):
        with suppress(FileNotFoundError):
            os.rename(f"app.log.{old - 1}" if old > 1 else "app.log", f"app.log.{old}")
    for _line in range(number % 3):
        _append("app.log")


def _delete(number: int) -> None:
    with suppress(FileNotFoundError):
        os.unlink(f"{'archive/' * (number % 2)}old-{number % FILES}.log")


def _shuffle(number: int) -> None:
    """Move old files to the archive and back."""
    name = f"old-{random.Random(number).randrange(FILES)}.log"  # noqa: S311 - no secret
    with suppress(FileNotFoundError):
        os.rename(name, f"archive/{name}")
    with suppress(FileNotFoundError):
        os.rename(f"archive/{name}", name)


def _identity(uid: int) -> Identity:
    return Identity(str(uid), str(uid), uid, uid, frozenset(), umask=0o022)


def _work(act: Callable[[int], None], logs: Path, to: Connection) -> None:
    os.chdir(logs)
    kernel.become(_identity(WEB))
    number = 0
    while not to.poll():
        act(number)
        number += 1
        if number == 10:
            to.send("at work")
        time.sleep(0.0002)
    to.send(number)


@contextmanager
def _at_work(logs: Path, *acts: Callable[[int], None]) -> Iterator[None]:
    """Let web's processes act during the block, and fail as they do."""
    fork = multiprocessing.get_context("fork")
    pipes = [fork.Pipe() for _act in acts]
    processes = [
        fork.Process(target=_work, args=(act, logs, theirs), daemon=True)
        for act, (_ours, theirs) in zip(acts, pipes)
    ]
    try:
        for process in processes:
            process.start()
        for ours, theirs in pipes:
            theirs.close()
            assert ours.recv() == "at work"
        yield
        for ours, _theirs in pipes:
            ours.send(None)
        for ours, _theirs in pipes:
            assert ours.recv() > 10
    finally:
        for process in processes:
            process.kill()
            process.join()
        for ours, _theirs in pipes:
            ours.close()


def test_what_appears_during_a_repair_ends_right(logs: Path) -> None:
    with _at_work(logs, _create, _create, _delete):
        before = set(os.listdir(logs))
        done = _repair(logs)
        after = set(os.listdir(logs))
    assert len(after - before) > 10, "the processes were too slow"
    assert done["changed_inodes"] > FILES / 2
    assert {each["reason"] for each in done["skipped"]} <= {"vanished"}
    assert _repair(logs, preview)["changed_inodes"] == 0
    new = [str(path) for path in logs.rglob("new-*")]
    questions = [kernel.Question(_identity(QUEUE), "append", path) for path in new]
    assert set(kernel.ask_kernel(questions)) == {0}


def test_repairs_of_a_directory_in_use(logs: Path) -> None:
    tally: Counter[str] = Counter()
    with _at_work(logs, _create, _rotate, _delete, _shuffle):
        end = time.monotonic() + SECONDS
        while time.monotonic() < end or tally["runs"] < 2:
            done = _repair(logs)
            tally["runs"] += 1
            tally["changed"] += done["changed_inodes"]
            for each in done["skipped"]:
                tally[each["reason"]] += each["count"]
        _repair(logs)
    print(dict(tally))
    assert tally["vanished"] > 0
    assert tally.keys() <= {"runs", "changed", "vanished", "changes_all_the_time"}
    _repair(logs)  # what was renamed while it was listed may not have been seen
    assert _repair(logs)["changed_inodes"] == 0
