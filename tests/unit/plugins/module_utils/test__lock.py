# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    HostError,
)
from ansible_collections.logward.permissions.plugins.module_utils._lock import host_lock

HOLD = """
import sys, time
from ansible_collections.logward.permissions.plugins.module_utils._lock import host_lock
with host_lock("other", 0, sys.argv[1]):
    print(flush=True)
    time.sleep(float(sys.argv[2]))
"""


@contextmanager
def held_by_another(directory: Path, seconds: float) -> Iterator[int]:
    """Hold the lock in another process for some time; yield its pid."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, directory, str(seconds)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        try:
            yield process.pid
        finally:
            process.kill()


@pytest.fixture
def directory(site: Path) -> Path:
    return site / "run"


def take(directory: Path, timeout: int = 0) -> None:
    """Take the lock and let go of it."""
    with host_lock("run-1", timeout, str(directory)):
        assert not is_free(directory)


def is_free(directory: Path) -> bool:
    with (directory / "lock").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_holder_and_end(directory: Path) -> None:
    with host_lock("run-1", 0, str(directory)):
        assert (directory / "lock").read_text() == f"pid {os.getpid()}, run run-1"
        assert not is_free(directory)
    assert (directory / "lock").read_text() == ""
    assert is_free(directory)


def test_only_root_reads_it(directory: Path) -> None:
    umask = os.umask(0)
    try:
        take(directory)
    finally:
        os.umask(umask)
    assert directory.stat().st_mode & 0o7777 == 0o700
    assert (directory / "lock").stat().st_mode & 0o7777 == 0o600


def test_it_is_free_after_an_error(directory: Path) -> None:
    with pytest.raises(ZeroDivisionError), host_lock("run-1", 0, str(directory)):
        _nothing = 1 / 0
    assert is_free(directory)
    take(directory)


def test_it_is_free_after_a_kill(directory: Path) -> None:
    with held_by_another(directory, 60):
        assert not is_free(directory)
    assert is_free(directory)
    take(directory)


def test_held_by_another(directory: Path) -> None:
    before = time.monotonic()
    with held_by_another(directory, 60) as pid, pytest.raises(HostError) as error:
        take(directory, timeout=1)
    assert 1 <= time.monotonic() - before < 10
    assert f"(pid {pid}, run other)" in str(error.value)
    assert "within 1 s" in str(error.value)


@pytest.mark.parametrize(("content", "holder"), [(b"", "unknown"), (b"\xff", "\ufffd")])
def test_held_by_what_tells_nothing(
    directory: Path, content: bytes, holder: str
) -> None:
    directory.mkdir(0o700)
    (directory / "lock").write_bytes(content)
    with (directory / "lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(HostError, match=rf"of this host \({holder}\)"):
            take(directory)


def test_waits_until_another_ends(directory: Path) -> None:
    with held_by_another(directory, 0.5), host_lock("run-1", 60, str(directory)):
        assert (directory / "lock").read_text() == f"pid {os.getpid()}, run run-1"


def test_link_in_place_of_the_lock_is_not_followed(site: Path, directory: Path) -> None:
    directory.mkdir(0o700)
    (site / "victim").write_text("content")
    (directory / "lock").symlink_to(site / "victim")
    with pytest.raises(HostError, match=f"{directory}/lock cannot be opened"):
        take(directory)
    assert (site / "victim").read_text() == "content"


def test_fifo_in_place_of_the_lock_does_not_block(directory: Path) -> None:
    directory.mkdir(0o700)
    os.mkfifo(directory / "lock")
    with pytest.raises(HostError, match=r"lock is not a regular file\. Remove it"):
        take(directory)
