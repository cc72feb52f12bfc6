# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way there and back on each file system that logs are on."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._acl import (
    Acl,
    encode,
)
from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    HostError,
)
from ansible_collections.logward.permissions.plugins.module_utils._fs import _inode
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


RENAME_EXCHANGE = 2
AT_FDCWD = -100


def _exchange(one: str, other: str) -> None:
    names = os.fsencode(one), os.fsencode(other)
    libc = ctypes.CDLL(None, use_errno=True)
    failed = libc.renameat2(
        AT_FDCWD, names[0], AT_FDCWD, names[1], ctypes.c_uint(RENAME_EXCHANGE)
    )
    assert not failed, os.strerror(ctypes.get_errno())


@pytest.mark.parametrize("name", FILE_SYSTEMS)
def test_name_that_is_another_file_for_a_moment(
    site: Path, mounted: Mount, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """What is read of root's secret are its owner and mode, and the ACL of another.

    On xfs nothing shows it afterwards.
    """
    place = FILE_SYSTEMS[name](site, mounted)
    logs = place / "exchanged"
    logs.mkdir()
    os.chown(logs, WEB, WEB)
    for file, uid in (("secret", 0), ("bait", WEB)):
        (logs / file).touch(0o600)
        os.chown(logs / file, uid, uid)
    _setfacl("-m", "u:64009:rw", logs / "bait")
    before = _state(logs)["secret"]
    real = _inode._read_xattr
    exchanges = []

    def read(path: str, attribute: str, follow: bool) -> bytes | None:
        if path != "secret":
            return real(path, attribute, follow)
        exchanges.append(attribute)
        _exchange("secret", "bait")
        try:
            return real(path, attribute, follow)
        finally:
            _exchange("secret", "bait")

    monkeypatch.setattr(_inode, "_read_xattr", read)
    time.sleep(2.1)  # what changed a moment ago is read again anyway
    policies = parse_policies(
        [{"path": str(logs), "writers": ["web", "root"]}],
        [*IDENTITIES, {"name": "root", "user": "0"}],
    )
    repair(policies, RepairOptions("run-1", str(site / "journal"), 0))
    assert exchanges
    assert _state(logs)["secret"] == before


def _largest_acl(path: Path, most: int) -> None:
    """Give a file the longest ACL that its file system takes."""

    def fits(count: int) -> bool:
        acl = Acl(6, 4, 0, 6, tuple((70_000 + number, 6) for number in range(count)))
        try:
            os.setxattr(path, "system.posix_acl_access", encode(acl))
        except OSError:
            return False
        return True

    fitting = 0
    while fitting < most:
        count = (fitting + most + 1) // 2
        fitting, most = (count, most) if fits(count) else (fitting, count - 1)
    assert fits(fitting)
    assert not fits(fitting + 1)


# On btrfs it depends on what lies beside it how long an ACL can be.
@pytest.mark.parametrize("name", sorted(FILE_SYSTEMS.keys() - {"btrfs"}))
def test_acl_that_has_no_room_for_another_entry(
    site: Path, mounted: Mount, name: str
) -> None:
    """Its owner is not to end the repair of all others by that."""
    logs = FILE_SYSTEMS[name](site, mounted) / "full"
    logs.mkdir()
    os.chown(logs, WEB, WEB)
    for file in ("full.log", *map(str, range(100))):
        (logs / file).touch(0o640)
        os.chown(logs / file, WEB, WEB)
    _largest_acl(logs / "full.log", 8200)
    before = _state(logs)
    policies = parse_policies(
        [{"path": str(logs), "writers": ["web", "queue"]}], IDENTITIES
    )
    options = RepairOptions("run-1", str(site / "journal"), 0)
    (directory,) = repair(policies, options)["directories"]
    left = {"path": "full.log", "reason": "unchangeable", "count": 1}
    assert directory["skipped"] == [left]
    assert directory["changed_inodes"] == 101
    # Whom it names is not looked at, and so nobody is said to be denied.
    codes = [each["code"] for each in directory["findings"]]
    assert codes[0] == "unchangeable"
    assert "writer_denied" not in codes
    after = _state(logs)
    assert {path for path in after if after[path] == before[path]} == {"full.log"}
    assert not repair(policies, options)["changed"]
    restore(RestoreOptions("run-1", str(site / "journal"), 0))
    assert _state(logs) == before


def test_attributes_that_leave_no_room_for_an_acl(site: Path, mounted: Mount) -> None:
    logs = FILE_SYSTEMS["ext4"](site, mounted) / "full"
    logs.mkdir()
    os.chown(logs, WEB, WEB)
    for file in ("full.log", "other.log"):
        (logs / file).touch(0o640)
        os.chown(logs / file, WEB, WEB)
    for number in range(100):
        with suppress(OSError):
            os.setxattr(logs / "full.log", f"user.{number}", b"x" * 50)
    (directory,) = _call(repair, logs, site / "journal", "run-1", {})["directories"]
    left = {"path": "full.log", "reason": "unchangeable", "count": 1}
    assert directory["skipped"] == [left]
    assert directory["changed_inodes"] == 2


def test_restore_for_which_there_is_no_room(site: Path, mounted: Mount) -> None:
    """Where attributes share a block, further ones take the room of an ACL."""
    logs = FILE_SYSTEMS["ext4"](site, mounted) / "full"
    logs.mkdir()
    os.chown(logs, WEB, WEB)
    for file in ("full.log", "other.log"):
        (logs / file).touch(0o600)
        os.chown(logs / file, WEB, WEB)
    # The mask keeps all of it out of force, and a repair does not revive it.
    masked = Acl(6, 0, 0, 0, tuple((70_000 + number, 6) for number in range(250)))
    os.setxattr(logs / "full.log", "system.posix_acl_access", encode(masked))
    before = _state(logs)
    journal = site / "journal"
    assert _call(repair, logs, journal, "run-1", {})["changed"]
    for number, size in enumerate((2000, 1000, 500, 200)):
        with suppress(OSError):
            os.setxattr(logs / "full.log", f"user.{number}", b"x" * size)
    repaired = _state(logs)
    done = restore(RestoreOptions("run-1", str(journal), 0))
    left = {"path": f"{logs}/full.log", "reason": "unchangeable", "count": 1}
    assert done["left_alone"] == [left]
    assert done["restored"] == 2
    assert _state(logs) == {**before, "full.log": _state(logs)["full.log"]}
    assert repaired["full.log"][:3] != before["full.log"][:3]
    for number in range(4):
        with suppress(OSError):
            os.removexattr(logs / "full.log", f"user.{number}")
    assert restore(RestoreOptions("run-1", str(journal), 0))["restored"] == 1
    assert _state(logs) == before


def test_read_only_snapshot(site: Path, mounted: Mount) -> None:
    """Anybody may make one of a subvolume of theirs, where they may make files."""
    logs = FILE_SYSTEMS["btrfs"](site, mounted) / "logs"
    logs.mkdir()
    os.chown(logs, WEB, WEB)
    as_web = ["setpriv", "--reuid=64001", "--regid=64001", "--clear-groups"]
    btrfs = [*as_web, "btrfs", "-q", "subvolume"]
    subprocess.run([*btrfs, "create", logs / "archive"], check=True)
    for file in ("archive/old.log", "app.log"):
        (logs / file).touch(0o640)
        os.chown(logs / file, WEB, WEB)
    names = [logs / "archive", logs / "snapshot"]
    subprocess.run([*btrfs, "snapshot", "-r", *names], check=True)
    before = _state(logs)
    result = _call(repair, logs, site / "journal", "run-1", {})
    (directory,) = result["directories"]
    reasons = {each["reason"]: each["path"] for each in directory["skipped"]}
    assert reasons == {"unchangeable": "snapshot"}
    after = _state(logs)
    for path in (".", "app.log", "archive", "archive/old.log"):
        assert after[path] != before[path]
    # Some kernels (6.18) let ACLs be set there, and what was set is recorded.
    assert not restore(RestoreOptions("run-1", str(site / "journal"), 0))["left_alone"]
    assert _state(logs) == before


def test_overlay_that_has_no_room_for_copies(site: Path, mounted: Mount) -> None:
    for layer in ("lower", "upper"):
        (site / layer).mkdir()
    (site / "lower/logs").mkdir()
    os.chown(site / "lower/logs", WEB, WEB)
    log = site / "lower/logs/app.log"
    log.write_bytes(b"x" * (1 << 20))
    os.chown(log, WEB, WEB)
    mounted(site / "upper", "-t", "tmpfs", "-o", "size=64k,mode=0755", "none")
    for layer in ("upper", "work"):
        (site / "upper" / layer).mkdir()
    layers = f"lowerdir={site}/lower,upperdir={site}/upper/upper"
    layers += f",workdir={site}/upper/work"
    logs = mounted(site / "overlay", "-t", "overlay", "-o", layers, "none") / "logs"
    problem = rf"{logs}/app\.log could not be changed: No space left.*running again"
    with pytest.raises(HostError, match=problem):
        _call(repair, logs, site / "journal", "run-1", {})
    subprocess.run(["mount", "-o", "remount,size=8m", site / "upper"], check=True)
    result = _call(repair, logs, site / "journal", "run-1", {})
    assert result["directories"][0]["changed_inodes"] == 1


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
