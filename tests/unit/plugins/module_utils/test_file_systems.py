# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way there and back on each file system that logs are on."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    HostError,
)
from ansible_collections.logward.permissions.plugins.module_utils._policy import (
    parse_policies,
)
from ansible_collections.logward.permissions.plugins.module_utils._repair import (
    RepairOptions,
    preview,
    repair,
)
from ansible_collections.logward.permissions.plugins.module_utils._restore import (
    RestoreOptions,
    restore,
)
from ansible_collections.logward.permissions.tests.unit import kernel

WEB, QUEUE, STRANGER = 64001, 64002, 64009
IDENTITIES = [
    {"name": "web", "user": "64001", "group": "64001", "groups": ["64003"]},
    {"name": "queue", "user": "64002", "group": "64002", "groups": ["64003"]},
]
#: How many files there are, and their modes, one after the other.
NUMBER = 300
MODES = 0o640, 0o604, 0o600, 0o660
#: Of a sparse file: the least that a recent mkfs.xfs takes, and more.
SIZE = 512 << 20

pytestmark = pytest.mark.usefixtures("quiet_host")

Mount = Callable[..., Path]
Params = dict[str, Any]
State = dict[str, tuple[Any, ...]]


def _state(logs: Path) -> State:
    found = {}
    for path in (logs, *sorted(logs.rglob("*"))):
        status = path.lstat()
        attributes = {
            name: os.getxattr(path, name)
            for name in os.listxattr(path)
            if name.startswith("system.posix_acl_")  # xfs lists its own names, too
        }
        content = path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(logs))] = (
            *(status.st_mode, status.st_uid, status.st_gid),
            *(attributes, content),
        )
    return found


def _setfacl(option: str, acl: str, path: Path) -> None:
    with suppress(subprocess.CalledProcessError):  # ramfs has no ACLs
        subprocess.run(["setfacl", option, acl, path], check=True)


def _fill(logs: Path) -> Path:
    """Make what needs all that a repair does: owners, groups, modes, ACLs."""
    (logs / "archive").mkdir(parents=True)
    for number in range(NUMBER):
        log = logs / ("archive" if number % 3 else ".") / f"{number}.log"
        log.write_text(f"{number}\n")
        os.chown(log, WEB if number % 2 else QUEUE, WEB)
        # Which are the newest matters: not all file systems tell it so well.
        os.utime(log, (number, number))
        log.chmod(MODES[number % 4])
    acl = "u:64009:rw,g:64003:rw,m::r"
    for name in ("archive/1.log", "6.log"):
        _setfacl("-m", acl, logs / name)
    os.chown(logs / "archive", QUEUE, WEB)
    os.chown(logs, WEB, WEB)
    _setfacl("-dm", "u:64009:rwx", logs / "archive")
    return logs


def _call(
    function: Any, logs: Path, journal: Path, run_id: str, way: Params
) -> dict[str, Any]:
    declaration = {
        "path": str(logs),
        "writers": ["web", "queue"],
        "owner": "web",
        "group": "64003",
        **way,
    }
    policies = parse_policies([declaration], IDENTITIES)
    result: dict[str, Any] = function(policies, RepairOptions(run_id, str(journal), 0))
    return result


# Where


def _tmpfs(site: Path, mounted: Mount) -> Path:
    return mounted(site / "tmpfs", "-t", "tmpfs", "-o", "mode=0755", "none")


def _loop(kind: str, *options: str) -> Callable[[Path, Mount], Path]:
    """Return a function that mounts a new file system of a kind."""

    def mount(site: Path, mounted: Mount) -> Path:
        _need(kind)
        with (site / "image").open("wb") as file:
            file.truncate(SIZE)
        subprocess.run([f"mkfs.{kind}", "-q", *options, site / "image"], check=True)
        return mounted(site / kind, "-t", kind, "-o", "loop", str(site / "image"))

    return mount


def _need(kind: str) -> None:
    """Skip where this kernel has no such file system, and say so."""
    if shutil.which("modprobe"):
        subprocess.run(["modprobe", "-q", kind], check=False)
    if kind not in Path("/proc/filesystems").read_text().split():
        release = os.uname().release
        pytest.skip(f"NOT TESTED: the kernel {release} here cannot mount {kind}")


def _overlay(site: Path, mounted: Mount, below: Path) -> Path:
    """Mount an overlay on a file system: what is in ``lower`` is copied up."""
    layers = {name: below / name for name in ("lowerdir", "upperdir", "workdir")}
    for path in layers.values():
        path.mkdir()
    _fill(layers["lowerdir"] / "logs")
    options = ",".join(f"{name}={path}" for name, path in layers.items())
    return mounted(site / "overlay", "-t", "overlay", "-o", options, "none")


def _overlay_of_one(site: Path, mounted: Mount) -> Path:
    return _overlay(site, mounted, _loop("ext4")(site, mounted))


def _overlay_of_two(site: Path, mounted: Mount) -> Path:
    """Mount one whose layers are on two file systems, as a container's may be."""
    upper = _tmpfs(site, mounted)
    lower = site / "lower"
    lower.mkdir()
    _fill(lower / "logs")
    for name in ("upper", "work"):
        (upper / name).mkdir()
    options = f"lowerdir={lower},upperdir={upper}/upper,workdir={upper}/work"
    return mounted(site / "overlay", "-t", "overlay", "-o", options, "none")


FILE_SYSTEMS: dict[str, Callable[[Path, Mount], Path]] = {
    "ext4": _loop("ext4"),
    "ext4 of inodes without times of birth": _loop("ext4", "-I", "128"),
    "tmpfs": _tmpfs,
    "xfs": _loop("xfs"),
    "btrfs": _loop("btrfs"),
    "overlay": _overlay_of_one,
    "overlay of two": _overlay_of_two,
}


WAYS: dict[str, Params] = {
    "acl": {},
    "exact": {"exact": True},
    "group": {"strategy": "group", "exact": True},
}
NAMED: dict[str, set[int]] = {
    "acl": {WEB, QUEUE, STRANGER},
    "exact": {WEB, QUEUE},
    "group": set(),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", FILE_SYSTEMS)
def test_there_and_back(site: Path, mounted: Mount, name: str, way: str) -> None:
    logs = FILE_SYSTEMS[name](site, mounted) / "logs"
    if not logs.exists():
        _fill(logs)
    journal = site / "journal"
    before = _state(logs)

    result = _call(repair, logs, journal, "run-1", WAYS[way])
    (directory,) = result["directories"]
    repaired = _state(logs)
    # By group: those whose group has less than other, and would have that.
    numbers = {path: int(Path(path).stem) for path in before if path.endswith(".log")}
    less = {path for path, number in numbers.items() if MODES[number % 4] == 0o604}
    alone = less if way == "group" else set()
    assert {path for path in before if repaired[path] == before[path]} == alone
    skipped = [(each["reason"], each["count"]) for each in directory["skipped"]]
    assert skipped == ([("rights_conflict", len(alone))] if alone else [])
    changed = len(before) - len(alone)
    assert directory["changed_inodes"] == changed
    (site / "plain").mkdir()
    plain = _fill(site / "plain/logs")
    assert _state(plain) == before
    _call(repair, plain, site / "journal-of-plain", "run-1", WAYS[way])
    assert repaired == _state(plain)
    assert _named(logs / path for path in before if path not in alone) == NAMED[way]

    times = _changed_at(logs)
    assert not _call(repair, logs, journal, "run-2", WAYS[way])["changed"]
    assert _state(logs) == repaired
    assert _changed_at(logs) == times

    taken_back = restore(RestoreOptions("run-1", str(journal), 0))
    assert taken_back["left_alone"] == []
    assert _state(logs) == before
    assert not restore(RestoreOptions("run-1", str(journal), 0))["changed"]
    again = restore(RestoreOptions(taken_back["restore_run_id"], str(journal), 0))
    assert again["restored"] == changed
    assert _state(logs) == repaired


def _changed_at(logs: Path) -> dict[Path, int]:
    return {path: path.lstat().st_ctime_ns for path in (logs, *logs.rglob("*"))}


def _named(paths: Iterable[Path]) -> set[int]:
    """Return the users of all named entries there are."""
    inodes = [kernel.observe(str(path)) for path in paths]
    acls = [each.acl for each in inodes]
    acls += [each.default_acl for each in inodes if each.default_acl]
    return {uid for acl in acls for uid, _perm in acl.users}


def test_directories_of_an_overlay_are_entered_when_they_are_copies(
    site: Path, mounted: Mount
) -> None:
    levels = 100  # more than the first batch
    for layer in ("lower", "upper", "work"):
        (site / layer).mkdir()
    deep = site / "lower/logs"
    deep.mkdir()
    os.chown(deep, WEB, WEB)
    for _level in range(levels):
        deep /= "d"
        deep.mkdir()
        os.chown(deep, WEB, WEB)
    layers = f"lowerdir={site}/lower,upperdir={site}/upper,workdir={site}/work"
    overlay = mounted(site / "overlay", "-t", "overlay", "-o", layers, "none")
    result = _call(repair, overlay / "logs", site / "journal", "run-1", {})
    (directory,) = result["directories"]
    assert directory["skipped"] == []
    assert directory["changed_inodes"] == levels + 1


@pytest.mark.parametrize("function", [preview, repair])
def test_file_system_without_acls_is_refused(
    site: Path, mounted: Mount, function: Any
) -> None:
    place = mounted(site / "ramfs", "-t", "ramfs", "none")
    place.chmod(0o755)
    logs = _fill(place / "logs")
    before = _state(logs)
    with pytest.raises(HostError, match=r"no POSIX ACLs.*ramfs.*Nothing was changed"):
        _call(function, logs, site / "journal", "run-1", {"strategy": "acl"})
    assert _state(logs) == before
    assert not (site / "journal").exists()
