# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    HostError,
)
from ansible_collections.logward.permissions.plugins.module_utils._fs import (
    check_private_directory,
    open_private_directory,
)


def test_what_is_missing_is_made_for_root_alone(site: Path) -> None:
    path = site / "a/b/c"
    umask = os.umask(0)
    try:
        fd = open_private_directory(str(path))
    finally:
        os.umask(umask)
    assert os.path.realpath(f"/proc/self/fd/{fd}") == str(path)
    os.close(fd)
    for directory in (site / "a", site / "a/b", path):
        assert directory.stat().st_mode & 0o7777 == 0o700
        assert (directory.stat().st_uid, directory.stat().st_gid) == (0, 0)


def test_check_makes_nothing(site: Path) -> None:
    check_private_directory(str(site / "a/b"))
    assert list(site.iterdir()) == []
    (site / "a").mkdir(0o700)
    check_private_directory(str(site / "a"))
    check_private_directory(str(site / "a/b"))
    assert list((site / "a").iterdir()) == []


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o500])
def test_what_only_root_reaches_into_is_taken_as_it_is(site: Path, mode: int) -> None:
    (site / "a").mkdir()
    (site / "a").chmod(mode)
    os.close(open_private_directory(str(site / "a")))
    assert (site / "a").stat().st_mode & 0o7777 == mode


@pytest.mark.parametrize("function", [open_private_directory, check_private_directory])
@pytest.mark.parametrize(
    ("command", "path", "message"),
    [
        ("chmod 0701 a", "a", "{site}/a is open to others than root. Run: chmod 0700"),
        ("chmod 0704 a", "a", "{site}/a is open to others"),
        ("chgrp 64001 a; chmod 0770 a", "a", "{site}/a is open to others"),
        ("setfacl -m u:64001:wx a", "a", "{site}/a is open to others"),
        ("chown 64001 a", "a", "{site}/a can be exchanged by others than root"),
        ("chown 64001 a", "a/b", "{site}/a can be exchanged"),
        ("chmod 0777 a", "a/b", "{site}/a/b can be exchanged"),
        ("chmod 2777 a", "a/b", "{site}/a/b can be exchanged"),
        ("setfacl -m g:64001:wx a", "a/b", "{site}/a/b can be exchanged"),
        (
            "chmod 1777 a; mkdir -m 0700 a/b; chown 64001 a/b",
            "a/b",
            "{site}/a/b can be exchanged",
        ),
        ("rmdir a; ln -s /root a", "a", "{site}/a cannot be made or opened"),
        ("rmdir a; ln -s /root a", "a/b", "{site}/a cannot be made or opened"),
        ("rmdir a; touch a", "a/b", "{site}/a cannot be made or opened"),
    ],
)
def test_what_others_reach_into_is_refused_and_nothing_is_made(
    site: Path,
    function: object,
    command: str,
    path: str,
    message: str,
) -> None:
    (site / "a").mkdir(0o700)
    subprocess.run(command, shell=True, cwd=site, check=True)  # noqa: S602
    before = sorted(site.rglob("*"))
    assert callable(function)
    with pytest.raises(HostError) as error:
        function(str(site / path))
    assert message.format(site=site) in str(error.value)
    assert sorted(site.rglob("*")) == before


def test_sticky_directory_in_which_root_makes_its_own(site: Path) -> None:
    site.chmod(0o1777)
    os.close(open_private_directory(str(site / "a")))
    check_private_directory(str(site / "a"))


def test_directory_that_goes_away_while_it_is_made(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "mkdir", lambda *_arguments, **_keywords: None)
    with pytest.raises(HostError, match=r"/a was removed while it was made\."):
        open_private_directory(str(site / "a"))


def test_names_are_put_on_disk_with_their_directory(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    monkeypatch.setattr(
        os, "fsync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}"))
    )
    os.close(open_private_directory(str(site / "a/b")))
    assert synced == [str(site), str(site / "a")]


def test_no_descriptor_is_left_open(site: Path) -> None:
    descriptors = os.listdir("/proc/self/fd")
    os.close(open_private_directory(str(site / "a/b")))
    check_private_directory(str(site / "a/b"))
    check_private_directory(str(site / "c/d"))
    (site / "a").chmod(0o777)
    with pytest.raises(HostError):
        open_private_directory(str(site / "a/b"))
    assert os.listdir("/proc/self/fd") == descriptors
