# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running processes, as /proc shows them; never command lines or environments."""

from __future__ import annotations

import os
from collections.abc import Iterator


def root_writes_below(directory: str) -> list[int]:
    """Return the pids of root's processes that write files below a directory.

    A process that ends meanwhile is left out.
    """
    prefix = directory.rstrip("/") + "/"
    return [
        int(pid)
        for pid in os.listdir("/proc")
        if pid.isdecimal() and _is_root(pid) and _writes_below(pid, prefix)
    ]


def _is_root(pid: str) -> bool:
    try:
        return os.stat(f"/proc/{pid}").st_uid == 0
    except OSError:
        return False


def _writes_below(pid: str, prefix: str) -> bool:
    for number in _descriptors(pid):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{number}")
            if target.startswith(prefix) and _is_writable(pid, number):
                return True
        except OSError:
            continue
    return False


def _descriptors(pid: str) -> Iterator[str]:
    try:
        yield from os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return


def _is_writable(pid: str, number: str) -> bool:
    with open(f"/proc/{pid}/fdinfo/{number}", encoding="ascii") as lines:
        for line in lines:
            if line.startswith("flags:"):
                return int(line.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY
    return False
