# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often a service was restarted within the last hour, whoever asked for it.

A service that has to be restarted again and again is not helped by one more
restart. What was done is on disk before it is done, so that a run that is
killed counts, too. Whoever uses this holds the host's lock.

Hours are those of the clock that counts from the boot (CLOCK_BOOTTIME), which
nobody can set. What an earlier boot has seen is at least as old as this one, and
as old as the wall clock says where that makes it older.
"""

from __future__ import annotations

import json
import math
import os
import stat
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from .._errors import HostError, OptionError
from .._fs import find_private_directory, open_private_directory, sync_directory

STATE_DIRECTORY = "/var/lib/logward"
_NAME = "restarts.json"
_NEW = f"{_NAME}.new"
_FORMAT = 1
_HOUR = 3600.0
_MAX_BYTES = 1024 * 1024
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Now:
    """The time. ``wall`` and ``up``, since the boot, are in seconds."""

    boot: str
    up: float
    wall: float


@dataclass(frozen=True)
class Restart:
    """When a service was restarted."""

    service: str
    at: Now

    def age(self, now: Now) -> float:
        """Return how long ago that was, in seconds."""
        if self.at.boot == now.boot:
            return now.up - self.at.up
        return max(now.up, now.wall - self.at.wall)


def present() -> Now:
    """Return the time of this host."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot = file.read().strip()
    return Now(boot, time.clock_gettime(time.CLOCK_BOOTTIME), time.time())


def checked_max_per_hour(params: Mapping[str, Any]) -> int:
    """Return how often a service may be restarted. OptionError if it is below 1."""
    most: int = params["max_per_hour"]
    if most < 1:
        raise OptionError(
            "max_per_hour",
            most,
            "allows no restart",
            "Give 1 or more, or set mode to never",
        )
    return most


class Budget:
    """The restarts of the last hour; nothing exists on disk until there is one."""

    def __init__(self, most: int, directory: str = STATE_DIRECTORY) -> None:
        """Read what was done. HostError where that is not as it was written."""
        self._most = most
        self._directory = directory
        self._restarts = self._read()

    def refusal(self, service: str, now: Now) -> str | None:
        """Say why a service must not be restarted now; None if it may be."""
        ages = sorted(each.age(now) for each in self._recent(service, now))
        if len(ages) < self._most:
            return None
        minutes = math.ceil((_HOUR - ages[self._most - 1]) / 60)
        return (
            f"it was restarted {_times(len(ages))} within the last hour, and "
            f"max_per_hour is {self._most}. Find out why it needs that so often; a "
            f"restart is possible again in {minutes} min, or with a higher max_per_hour"
        )

    def spend(self, service: str, now: Now) -> None:
        """Put it on disk that a service is being restarted. Raises HostError."""
        kept = [each for each in self._restarts if each.age(now) < _HOUR]
        self._restarts = (*kept, Restart(service, now))
        try:
            self._write()
        except OSError as error:
            raise HostError(
                f"{self._path} could not be written: {error.strerror}. {service} was "
                "not restarted. Make room or repair the disk, then run again"
            ) from error

    def _recent(self, service: str, now: Now) -> list[Restart]:
        return [
            each
            for each in self._restarts
            if each.service == service and each.age(now) < _HOUR
        ]

    @property
    def _path(self) -> str:
        return os.path.join(self._directory, _NAME)

    def _read(self) -> tuple[Restart, ...]:
        parent = find_private_directory(self._directory)
        if parent is None:
            return ()
        try:
            fd = os.open(_NAME, _READ, dir_fd=parent)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise self._damaged(f"cannot be opened: {error.strerror}") from error
        finally:
            os.close(parent)
        with open(fd, "rb") as file:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode) or status.st_uid != 0:
                raise self._damaged("is not a file of root's")
            return self._parsed(file.read(_MAX_BYTES))

    def _parsed(self, content: bytes) -> tuple[Restart, ...]:
        try:
            state = json.loads(content)
            if state["format"] != _FORMAT:
                raise self._damaged("is of another version")
            return tuple(_restart(*each) for each in state["restarts"])
        except (ValueError, TypeError, KeyError) as error:
            raise self._damaged("is not as it was written") from error

    def _damaged(self, problem: str) -> HostError:
        return HostError(
            f"{self._path}, which counts restarts, {problem}. Nothing was restarted. "
            "Remove it to count from 0"
        )

    def _write(self) -> None:
        parent = open_private_directory(self._directory)
        try:
            with suppress(FileNotFoundError):  # of a run that was killed
                os.unlink(_NEW, dir_fd=parent)
            with open(os.open(_NEW, _WRITE, 0o600, dir_fd=parent), "wb") as file:
                file.write(_content(self._restarts))
                file.flush()
                os.fsync(file.fileno())
            os.rename(_NEW, _NAME, src_dir_fd=parent, dst_dir_fd=parent)
            sync_directory(parent)
        finally:
            os.close(parent)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _restart(service: object, boot: object, up: object, wall: object) -> Restart:
    if not isinstance(service, str) or not isinstance(boot, str):
        raise TypeError
    if not isinstance(up, (int, float)) or not isinstance(wall, (int, float)):
        raise TypeError
    return Restart(service, Now(boot, float(up), float(wall)))


def _content(restarts: Sequence[Restart]) -> bytes:
    found = [
        [each.service, each.at.boot, each.at.up, each.at.wall] for each in restarts
    ]
    return json.dumps({"format": _FORMAT, "restarts": found}).encode() + b"\n"
