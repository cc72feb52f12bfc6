# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounts of this process, as /proc/self/mountinfo lists them (proc(5))."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .._access import Mount

_PLAIN = Mount()


def parse_mountinfo(lines: Iterable[str]) -> dict[int, Mount]:
    """Return the mounts by their id."""
    mounts: dict[int, Mount] = {}
    for line in lines:
        before, _separator, after = line.partition(" - ")
        left, right = before.split(), after.split()
        if len(left) < 6 or len(right) < 3:
            continue
        options, super_options = left[5].split(","), right[2].split(",")
        mounts[int(left[0])] = Mount(
            type=right[0],
            read_only="ro" in options or "ro" in super_options,
            group_from_directory=bool({"grpid", "bsdgroups"} & set(super_options)),
        )
    return mounts


def read_mounts() -> Mapping[int, Mount]:
    """Return the mounts that this process sees, by their id."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as lines:
        return parse_mountinfo(lines)


def mount_of(mounts: Mapping[int, Mount], mount_id: int | None) -> Mount:
    """Return the mount with that id; a plain one where the kernel names none."""
    return _PLAIN if mount_id is None else mounts.get(mount_id, _PLAIN)
