# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One repair at a time on a host."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ._errors import HostError, OptionError
from ._fs import check_private_directory, open_private_directory

LOCK_DIRECTORY = "/run/logward"
_NAME = "lock"
_PAUSE_SECONDS = 0.2


def checked_lock_timeout(params: Mapping[str, Any]) -> int:
    """Return how many seconds to wait. OptionError if that is below 0."""
    timeout: int = params["lock_timeout"]
    if timeout < 0:
        raise OptionError(
            "lock_timeout",
            timeout,
            "is below 0",
            "Give the seconds to wait for another run, 0 for none",
        )
    return timeout


def check_lock_directory() -> None:
    """Raise what taking the lock would; make nothing."""
    check_private_directory(LOCK_DIRECTORY)


@contextmanager
def host_lock(
    run_id: str, timeout: int, directory: str = LOCK_DIRECTORY
) -> Iterator[None]:
    """Hold the host's lock. HostError, naming the holder, after ``timeout`` s.

    The kernel drops the lock with the process, whatever ends it.
    """
    parent = open_private_directory(directory)
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(_NAME, flags, 0o600, dir_fd=parent)
    except OSError as error:
        raise HostError(
            f"{directory}/{_NAME} cannot be opened: {error.strerror}"
        ) from error
    finally:
        os.close(parent)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise HostError(f"{directory}/{_NAME} is not a regular file. Remove it")
        _wait(fd, timeout)
        _write_holder(fd, f"pid {os.getpid()}, run {run_id}")
        yield
        _write_holder(fd, "")
    finally:
        os.close(fd)


def _wait(fd: int, timeout: int) -> None:
    deadline = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = os.pread(fd, 200, 0).decode("ascii", "replace") or "unknown"
                raise HostError(
                    f"another run holds the lock of this host ({holder}) and did "
                    f"not end within {timeout} s. Wait for it, or raise lock_timeout"
                ) from None
            time.sleep(_PAUSE_SECONDS)


def _write_holder(fd: int, holder: str) -> None:
    os.ftruncate(fd, 0)
    os.pwrite(fd, holder.encode("ascii"), 0)
