# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._access import Mount
from ansible_collections.logward.permissions.plugins.module_utils._fs._mounts import (
    mount_of,
    parse_mountinfo,
    read_mounts,
)

LINES = {
    "plain": (
        "25 30 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
        {25: Mount("ext4")},
    ),
    "read-only mount": (
        "25 30 8:1 / / ro,relatime - ext4 /dev/sda1 rw",
        {25: Mount("ext4", read_only=True)},
    ),
    "read-only file system": (
        "25 30 8:1 / / rw,relatime - ext4 /dev/sda1 ro,errors=remount-ro",
        {25: Mount("ext4", read_only=True)},
    ),
    "grpid": (
        "25 30 8:1 / / rw - ext4 /dev/sda1 rw,grpid",
        {25: Mount("ext4", group_from_directory=True)},
    ),
    "bsdgroups": (
        "25 30 8:1 / / rw - xfs /dev/sda1 rw,bsdgroups,attr2",
        {25: Mount("xfs", group_from_directory=True)},
    ),
    "several optional fields": (
        "25 30 8:1 / /a rw shared:1 master:2 propagate_from:3 - tmpfs none rw",
        {25: Mount("tmpfs")},
    ),
    "space and dash in a name": (
        "25 30 8:1 /a\\040-\\040b /mnt/a\\040-\\040b rw - tmpfs a\\040b rw",
        {25: Mount("tmpfs")},
    ),
    "nothing": ("", {}),
    "something else": ("a line of a kernel to come", {}),
}


@pytest.mark.parametrize(("line", "mounts"), LINES.values(), ids=LINES)
def test_parse_mountinfo(line: str, mounts: dict[int, Mount]) -> None:
    assert parse_mountinfo([line]) == mounts


def test_mounts_of_this_process() -> None:
    mounts = read_mounts()
    assert mounts[_mount_id("/proc")].type == "proc"
    assert not mounts[_mount_id("/proc")].read_only


def _mount_id(path: str) -> int:
    fd = os.open(path, os.O_PATH)
    fields = Path(f"/proc/self/fdinfo/{fd}").read_text().split()
    os.close(fd)
    return int(fields[fields.index("mnt_id:") + 1])


def test_mount_of_an_unknown_id() -> None:
    assert mount_of({}, None) == mount_of({}, 1) == Mount()
    assert mount_of({1: Mount("xfs")}, 1) == Mount("xfs")
