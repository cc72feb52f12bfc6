# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._fs._statx import (
    Status,
    glance,
    last_status,
    status_of_fd,
)


def assert_same(status: Status, path: Path) -> None:
    expected = path.lstat()
    assert status.links == expected.st_nlink
    assert (status.uid, status.gid) == (expected.st_uid, expected.st_gid)
    assert status.mode == expected.st_mode
    assert status.ino == expected.st_ino
    assert status.device == expected.st_dev


@pytest.mark.parametrize("path", ["/", "/proc/self", "/dev/null", "/proc/version"])
def test_same_as_stat(path: str) -> None:
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    try:
        assert_same(status_of_fd(fd), Path(path))
    finally:
        os.close(fd)


def status_of(name: str) -> Status:
    glance(name)
    return last_status()


def test_name_in_the_working_directory(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(site)
    path = site / "\udcff\n"
    path.touch()
    os.chown(path, 2**32 - 3, 64003)
    path.chmod(0o4711)
    os.link(path, site / "hard")
    (site / "link").symlink_to(path)
    assert_same(status_of(path.name), path)
    assert_same(status_of("link"), site / "link")
    with pytest.raises(FileNotFoundError, match="new"):
        glance("new")


def test_birth_and_mount(site: Path) -> None:
    before = os.stat(site).st_ctime_ns
    path = site / "file"
    path.touch()
    os.utime(path, (0, 0))
    fd = os.open(path, os.O_PATH)
    fields = Path(f"/proc/self/fdinfo/{fd}").read_text().split()
    status = status_of_fd(fd)
    os.close(fd)
    assert status.mount_id == int(fields[fields.index("mnt_id:") + 1])
    assert status.born_ns is not None
    assert before <= status.born_ns <= time.time_ns()


def test_closed_descriptor(site: Path) -> None:
    fd = os.open(site, os.O_PATH)
    os.close(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        status_of_fd(fd)
