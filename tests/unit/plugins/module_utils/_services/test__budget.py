# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    HostError,
    OptionError,
)
from ansible_collections.logward.permissions.plugins.module_utils._services._budget import (
    Budget,
    Now,
    checked_max_per_hour,
    present,
)

START = Now("boot-1", 1000.0, 1_700_000_000.0)
Mount = Callable[..., Path]


def later(seconds: float, wall: float | None = None, boot: str = "boot-1") -> Now:
    """The time some seconds after START, the wall clock set as given."""
    return Now(boot, START.up + seconds, START.wall + (wall or seconds))


@pytest.fixture
def directory(site: Path) -> Path:
    return site / "lib"


def budget(directory: Path, most: int = 2) -> Budget:
    return Budget(most, str(directory))


def spend_two(directory: Path) -> None:
    budget(directory).spend("apache2", START)
    budget(directory).spend("apache2", later(600))


def test_so_often_and_no_more_within_an_hour(directory: Path) -> None:
    assert budget(directory).refusal("apache2", START) is None
    spend_two(directory)
    refused = budget(directory).refusal("apache2", later(1200))
    assert refused is not None
    assert "restarted 2 times" in refused
    assert "max_per_hour is 2" in refused
    assert "possible again in 40 min" in refused
    assert budget(directory, 3).refusal("apache2", later(1200)) is None
    assert budget(directory).refusal("apache2", later(3599.9)) is not None
    assert budget(directory).refusal("apache2", later(3600)) is None


def test_more_than_allowed_now_waits_for_as_many(directory: Path) -> None:
    spend_two(directory)
    refused = budget(directory, 1).refusal("apache2", later(600))
    assert refused is not None
    assert "possible again in 60 min" in refused


def test_each_service_has_its_own(directory: Path) -> None:
    spend_two(directory)
    assert budget(directory).refusal("supervisor:queue", later(1200)) is None


def test_an_hour_is_an_hour_whatever_the_clock_is_set_to(directory: Path) -> None:
    spend_two(directory)
    for wall in (-86_400.0, 86_400.0):
        assert budget(directory).refusal("apache2", later(1200, wall)) is not None
        assert budget(directory).refusal("apache2", later(3600, wall)) is None


def test_what_an_earlier_boot_has_seen_counts_by_the_wall_clock(
    directory: Path,
) -> None:
    spend_two(directory)

    def refusal(up: float, wall: float) -> str | None:
        now = Now("boot-2", up, START.wall + wall)
        return budget(directory).refusal("apache2", now)

    assert refusal(up=10, wall=1200) is not None
    assert refusal(up=10, wall=4300) is None
    # set back, it is as old as the boot that follows it
    assert refusal(up=10, wall=-86_400) is not None
    assert refusal(up=3600, wall=-86_400) is None


def test_the_present_counts_on(directory: Path) -> None:
    now = present()
    assert now.boot
    assert 0 < now.up <= present().up
    budget(directory, 1).spend("apache2", now)
    assert budget(directory, 1).refusal("apache2", present()) is not None


def test_the_file_is_roots_alone_and_forgets_what_is_over(directory: Path) -> None:
    umask = os.umask(0)
    try:
        spend_two(directory)
        budget(directory).spend("apache2", later(3700))
    finally:
        os.umask(umask)
    assert directory.stat().st_mode & 0o7777 == 0o700
    (file,) = directory.iterdir()
    assert file.stat().st_mode & 0o7777 == 0o600
    kept = json.loads(file.read_text())["restarts"]
    assert [each[2] for each in kept] == [START.up + 600, START.up + 3700]


def test_looking_makes_nothing(directory: Path) -> None:
    budget(directory).refusal("apache2", START)
    assert not directory.exists()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"format": 2, "restarts": []}',
        '{"format": 1}',
        '{"format": 1, "restarts": [["apache2", "boot-1", 1]]}',
        '{"format": 1, "restarts": [["apache2", "boot-1", "1", 1]]}',
        '{"format": 1, "restarts": [[2, "boot-1", 1, 1]]}',
        '{"format": 1, "restarts": 5}',
        "\udcff",
    ],
)
def test_what_was_not_written_by_us_stops_it(directory: Path, content: str) -> None:
    directory.mkdir(mode=0o700)
    (directory / "restarts.json").write_bytes(os.fsencode(content))
    with pytest.raises(HostError, match=r"restarts.json.* Remove it to count from 0"):
        budget(directory)


def test_no_link_is_followed_and_nothing_of_others_is_read(directory: Path) -> None:
    spend_two(directory)
    file = directory / "restarts.json"
    file.rename(directory / "elsewhere")
    file.symlink_to("elsewhere")
    with pytest.raises(HostError, match="cannot be opened: Too many levels"):
        budget(directory)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(HostError, match="is not a file of root's"):
        budget(directory)
    file.unlink()
    (directory / "elsewhere").rename(file)
    os.chown(file, 64001, 0)
    with pytest.raises(HostError, match="is not a file of root's"):
        budget(directory)


def test_a_directory_that_others_reach_is_refused(directory: Path) -> None:
    directory.mkdir()
    directory.chmod(0o755)
    with pytest.raises(HostError, match="chmod 0700"):
        budget(directory)


def test_what_a_killed_run_has_left_is_in_nobodys_way(directory: Path) -> None:
    directory.mkdir(mode=0o700)
    (directory / "restarts.json.new").symlink_to("/etc/passwd")
    before = Path("/etc/passwd").read_bytes()
    spend_two(directory)
    assert Path("/etc/passwd").read_bytes() == before
    assert [each.name for each in directory.iterdir()] == ["restarts.json"]


def test_a_full_disk_stops_the_restart_and_loses_nothing(
    site: Path, mounted: Mount
) -> None:
    directory = mounted(site / "lib", "-t", "tmpfs", "-o", "size=16k,mode=0700", "lib")
    spend_two(directory)
    before = (directory / "restarts.json").read_bytes()
    fill = ["dd", "if=/dev/zero", f"of={directory}/rest", "bs=4096", "count=16"]
    assert subprocess.run(fill, capture_output=True, check=False).returncode
    with pytest.raises(HostError, match=r"No space left.* apache2 was not restarted"):
        budget(directory).spend("apache2", later(900))
    assert (directory / "restarts.json").read_bytes() == before


@pytest.mark.parametrize("most", [0, -1])
def test_a_budget_for_nothing_is_refused(most: int) -> None:
    with pytest.raises(OptionError, match=r"max_per_hour.*set mode to never"):
        checked_max_per_hour({"max_per_hour": most})
