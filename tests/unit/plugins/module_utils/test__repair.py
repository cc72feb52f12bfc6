# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Repairs of real directories whose owner is hostile, or whose disk is full."""

from __future__ import annotations

import base64
import ctypes
import json
import os
import resource
import shutil
import socket
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.logward.permissions.plugins.module_utils import (
    _carry_out,
    _host,
    _repair,
    _run,
    _survey,
)
from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    HostError,
)
from ansible_collections.logward.permissions.plugins.module_utils._fs import (
    Visit,
    _apply,
    _walk,
    is_gone,
    seems_without_capability,
)
from ansible_collections.logward.permissions.plugins.module_utils._fs._walk import (
    MAX_DEPTH,
)
from ansible_collections.logward.permissions.plugins.module_utils._journal import (
    BATCH,
    Journal,
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

WEB, QUEUE, STRANGER = 64001, 64002, 64009
IDENTITIES = [
    {"name": "web", "user": "64001", "group": "64001"},
    {"name": "queue", "user": "64002", "group": "64002"},
]
ACCESS = "system.posix_acl_access"
DEFAULT = "system.posix_acl_default"

Result = dict[str, Any]
Listing = Callable[..., dict[str, tuple[Any, ...]]]
Repair = Callable[..., Result]


@pytest.fixture
def logs(site: Path) -> Path:
    """A log directory of web, with one file that queue cannot write."""
    path = site / "logs"
    path.mkdir()
    os.chown(path, WEB, WEB)
    log_file(path / "app.log")
    return path


def log_file(path: Path, uid: int = WEB, mode: int = 0o640) -> Path:
    """Make a file that a repair would change."""
    path.write_text("one line\n")
    os.chown(path, uid, uid)
    path.chmod(mode)
    return path


@pytest.fixture
def run(site: Path, logs: Path) -> Repair:
    """Return a function that repairs ``logs`` for web and queue."""

    def run(function: Callable[..., Result] = repair, **changes: Any) -> Result:
        declaration = {"path": str(logs), "writers": ["web", "queue"], **changes}
        identities = declaration.pop("identities", IDENTITIES)
        policies = parse_policies([declaration], identities)
        options = RepairOptions("run-1", str(site / "journal"), lock_timeout=0)
        return function(policies, options)

    return run


def only(result: Result) -> Result:
    """Return the result's only directory."""
    (directory,) = result["directories"]
    assert isinstance(directory, dict)
    return directory


def reasons(result: Result) -> dict[str, str]:
    """Return the first path that was skipped for each reason."""
    return {each["reason"]: each["path"] for each in only(result)["skipped"]}


def journal_lines(site: Path, number: int = 1) -> list[dict[str, Any]]:
    text = (site / f"journal/run-1/{number:04d}.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def entries(site: Path, number: int = 1) -> list[dict[str, Any]]:
    """Return what the journal says of inodes."""
    return [line for line in journal_lines(site, number) if "ino" in line]


def entry_path(entry: Mapping[str, Any]) -> str:
    return os.fsdecode(base64.b64decode(entry["path_b64"]))


def state(path: Path) -> dict[str, Any]:
    """Return an inode as the journal writes it."""
    status = path.lstat()
    kind = "directory" if stat.S_ISDIR(status.st_mode) else "file"
    return {
        "kind": kind,
        "uid": status.st_uid,
        "gid": status.st_gid,
        "mode": stat.S_IMODE(status.st_mode),
        "access_acl": _attribute(path, ACCESS),
        "default_acl": _attribute(path, DEFAULT) if kind == "directory" else None,
    }


def _attribute(path: Path, name: str) -> str | None:
    if name not in os.listxattr(path):
        return None
    return base64.b64encode(os.getxattr(path, name)).decode("ascii")


# What is left alone


def _link_to_a_file(bad: Path, outside: Path) -> None:
    bad.symlink_to(log_file(outside / "target"))


def _link_to_a_directory(bad: Path, outside: Path) -> None:
    log_file(outside / "target")
    os.chown(outside, WEB, WEB)
    bad.symlink_to(outside)


def _hard_link(bad: Path, outside: Path) -> None:
    os.link(log_file(outside / "target"), bad)


def _fifo(bad: Path, _outside: Path) -> None:
    os.mkfifo(bad)
    os.chown(bad, WEB, WEB)


def _socket(bad: Path, _outside: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(bad))
    os.chown(bad, WEB, WEB)


def _device(bad: Path, _outside: Path) -> None:
    os.mknod(bad, stat.S_IFCHR | 0o640, os.makedev(1, 7))
    os.chown(bad, WEB, WEB)


def _stranger(bad: Path, _outside: Path) -> None:
    log_file(bad, STRANGER)


def _directory_of_a_stranger(bad: Path, _outside: Path) -> None:
    bad.mkdir()
    os.chown(bad, STRANGER, STRANGER)
    log_file(bad / "app.log")


def _root(bad: Path, _outside: Path) -> None:
    log_file(bad, 0)


def _setuid(bad: Path, _outside: Path) -> None:
    log_file(bad).chmod(0o4640)


def _setgid(bad: Path, _outside: Path) -> None:
    log_file(bad).chmod(0o2640)


def _capable(bad: Path, _outside: Path) -> None:
    log_file(bad)
    # vfs_cap_data of include/uapi/linux/capability.h, version 2: CAP_CHOWN
    os.setxattr(bad, "security.capability", struct.pack("<5I", 0x02000001, 1, 0, 0, 0))


def _immutable(bad: Path, _outside: Path) -> None:
    subprocess.run(["chattr", "+i", log_file(bad)], check=True)


def _append_only(bad: Path, _outside: Path) -> None:
    subprocess.run(["chattr", "+a", log_file(bad)], check=True)


LEFT_ALONE = {
    "link to a file": (_link_to_a_file, "symbolic_link"),
    "link to a directory": (_link_to_a_directory, "symbolic_link"),
    "hard link": (_hard_link, "hard_link"),
    "FIFO": (_fifo, "special_file"),
    "socket": (_socket, "special_file"),
    "device": (_device, "special_file"),
    "file of a stranger": (_stranger, "foreign_owner"),
    "directory of a stranger": (_directory_of_a_stranger, "foreign_owner"),
    "file of root": (_root, "foreign_owner"),
    "setuid": (_setuid, "privileged_file"),
    "setgid": (_setgid, "privileged_file"),
    "capability": (_capable, "privileged_file"),
    "immutable": (_immutable, "immutable"),
    "append-only": (_append_only, "immutable"),
}


@pytest.mark.parametrize(("make", "reason"), LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_left_alone(
    run: Repair,
    logs: Path,
    listing: Listing,
    make: Callable[[Path, Path], None],
    reason: str,
) -> None:
    outside = logs.with_name("outside")
    outside.mkdir()
    bad = logs / "bad"
    make(bad, outside)
    try:
        before = {**listing(logs), **listing(outside)}
        result = run()
        after = {**listing(logs), **listing(outside)}
    finally:
        subprocess.run(["chattr", "-f", "-i", "-a", bad], check=False)
    changed = {path for path in after if after[path] != before[path]}
    assert changed == {str(logs), str(logs / "app.log")}
    assert reasons(result) == {reason: "bad"}
    assert reason in [finding["code"] for finding in only(result)["findings"]]


@pytest.mark.parametrize("kind", ["tmpfs", "bind", "bound file"])
def test_other_mounts_are_not_entered(
    run: Repair,
    logs: Path,
    listing: Listing,
    mounted: Callable[..., Path],
    kind: str,
) -> None:
    other, mount_point = logs.with_name("other"), logs / "mounted"
    other.mkdir()
    if kind == "tmpfs":
        mounted(mount_point, "-t", "tmpfs", "-o", "mode=0755", "none")
    elif kind == "bind":
        mounted(mount_point, "--bind", str(other))
    else:
        mount_point.touch()
        mounted(mount_point, "--bind", str(log_file(other / "file")))
    if kind != "bound file":
        log_file(mount_point / "app.log")
        os.chown(mount_point, WEB, WEB)
    before = listing(logs, other)
    result = run()
    after = listing(logs, other)
    changed = {path for path in after if after[path] != before[path]}
    assert changed == {str(logs), str(logs / "app.log")}
    assert reasons(result) == {"other_file_system": "mounted"}


def test_directory_of_a_declared_identity_on_the_same_mount_is_entered(
    run: Repair, logs: Path
) -> None:
    (logs / "archive").mkdir()
    os.chown(logs / "archive", WEB, WEB)
    log_file(logs / "archive/old.log")
    assert only(run())["changed_inodes"] == 4


# Files of root

ROOT = {"name": "root", "user": "0"}


@pytest.mark.parametrize(
    ("mode", "changes", "changed"),
    [
        (0o640, {"writers": ["root", "web"]}, True),
        # Neither group nor other can read it: it may be a secret of root's
        # that the application renamed from one of its directories into another.
        (0o600, {"writers": ["root", "web"]}, False),
        (0o620, {"writers": ["root", "web"]}, False),
        (0o640, {"readers": ["root"]}, False),
        (0o640, {"identities": [*IDENTITIES, ROOT]}, False),
        (0o640, {"owner": "root"}, False),
        (0o640, {}, False),
    ],
)
def test_file_of_root(
    run: Repair,
    logs: Path,
    listing: Listing,
    mode: int,
    changes: Mapping[str, Any],
    changed: bool,
) -> None:
    of_root = log_file(logs / "root.log", 0, mode)
    before = listing(of_root)
    result = run(**changes)
    assert (listing(of_root) != before) is changed
    assert reasons(result) == ({} if changed else {"foreign_owner": "root.log"})


def test_file_of_root_where_anybody_may_link_to_it(
    run: Repair, logs: Path, listing: Listing, monkeypatch: pytest.MonkeyPatch
) -> None:
    unprotected = _host.KernelSettings(2, protected_hardlinks=False)
    monkeypatch.setattr(_repair, "read_kernel_settings", lambda: unprotected)
    of_root = log_file(logs / "root.log", 0)
    before = listing(of_root)
    result = run(writers=["root", "web"])
    assert listing(of_root) == before
    assert reasons(result) == {"foreign_owner": "root.log"}


# Nothing is opened


@contextmanager
def opened_files(*directories: Path) -> Iterator[list[str]]:
    """Collect the names in ``directories`` that are opened during the block."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    in_open, is_directory = 0x20, 0x40000000
    for directory in directories:
        assert libc.inotify_add_watch(fd, os.fsencode(directory), in_open) >= 0
    names: list[str] = []
    try:
        yield names
        try:
            events = os.read(fd, 1 << 20)
        except BlockingIOError:
            return
        while events:
            _watch, mask, _cookie, length = struct.unpack_from("=iIII", events)
            name = events[16 : 16 + length].rstrip(b"\0").decode()
            events = events[16 + length :]
            if not mask & is_directory:
                names.append(name)
    finally:
        os.close(fd)


def test_no_file_is_opened(run: Repair, logs: Path) -> None:
    for name in ("a.log", "b.log"):
        log_file(logs / name)
    _fifo(logs / "fifo", logs)
    _link_to_a_file(logs / "link", logs.parent)
    with opened_files(logs, logs.parent) as names:
        result = run()
    assert names == []
    assert only(result)["changed_inodes"] == 4
    with opened_files(logs) as names, (logs / "a.log").open():
        pass
    assert names == ["a.log"]


def test_process_that_waits_for_a_reader_of_a_fifo_goes_on_waiting(
    run: Repair, logs: Path
) -> None:
    _fifo(logs / "fifo", logs)
    with subprocess.Popen(["/bin/sh", "-c", ": > fifo"], cwd=logs) as writer:
        result = run()
        with pytest.raises(subprocess.TimeoutExpired):
            writer.wait(0.2)
        os.close(os.open(logs / "fifo", os.O_RDONLY))
        assert writer.wait(10) == 0
    assert reasons(result) == {"special_file": "fifo"}


HOLD_LEASE = """
import fcntl, os, signal, sys
signal.signal(signal.SIGIO, lambda *_: os.write(2, b"the lease was broken"))
fd = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print(flush=True)
for _line in sys.stdin: pass
"""


def test_write_lease_of_another_does_not_block(run: Repair, logs: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD_LEASE, logs / "app.log"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "\n"
    result = run()
    # Opening it would break the lease, as the first who does sees.
    with pytest.raises(BlockingIOError):
        os.open(logs / "app.log", os.O_RDONLY | os.O_NONBLOCK)
    _output, errors = holder.communicate("")
    assert errors == "the lease was broken"
    assert only(result)["changed_inodes"] == 2


# Others act meanwhile


@pytest.fixture
def before_pinning(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[str, Callable[[], None]], None]:
    """Return a function that lets others act between a look and a pin."""

    def install(name: str, act: Callable[[], None]) -> None:
        real = Visit.pin

        def pin(visit: Visit) -> int:
            if visit.name == name:
                act()
            return real(visit)

        monkeypatch.setattr(Visit, "pin", pin)

    return install


@pytest.fixture
def before_changing(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[str, Callable[[], None]], None]:
    """Return a function that lets others act between the journal and a change."""

    def install(path: str, act: Callable[[], None]) -> None:
        class WithOthers(Journal):
            def record(self, entries: Any) -> None:
                super().record(entries)
                if any(entry.path == path for entry in entries):
                    act()

        monkeypatch.setattr(_run, "Journal", WithOthers)

    return install


def _exchange_for_link(log: Path, secret: Path) -> None:
    log.rename(log.with_name("moved"))
    log.symlink_to(secret)


def _exchange_for_hard_link(log: Path, secret: Path) -> None:
    log.rename(log.with_name("moved"))
    os.link(secret, log)


def _exchange_for_the_secret(log: Path, secret: Path) -> None:
    log.rename(log.with_name("moved"))
    secret.rename(log)


def _exchange_for_fifo(log: Path, _secret: Path) -> None:
    log.rename(log.with_name("moved"))
    _fifo(log, log)


#: What a file is exchanged for, and whose the secret is: one of a declared
#: identity would be repaired, were it in the tree.
EXCHANGES = [
    (_exchange_for_link, 0),
    (_exchange_for_link, QUEUE),
    (_exchange_for_hard_link, 0),
    (_exchange_for_hard_link, QUEUE),
    (_exchange_for_the_secret, 0),
    (_exchange_for_fifo, 0),
]


@pytest.mark.parametrize(("exchange", "owner"), EXCHANGES)
@pytest.mark.parametrize("when", ["before_pinning", "before_changing"])
def test_exchange_of_a_file_gains_nothing(
    run: Repair,
    site: Path,
    logs: Path,
    request: pytest.FixtureRequest,
    exchange: Callable[[Path, Path], None],
    owner: int,
    when: str,
) -> None:
    log, secret = logs / "app.log", log_file(site / "secret", owner, 0o600)
    ino, before = secret.lstat().st_ino, state(secret)
    name = log.name if when == "before_pinning" else str(log)
    request.getfixturevalue(when)(name, lambda: exchange(log, secret))
    run()
    exchanged = secret if secret.exists() else log
    assert exchanged.lstat().st_ino == ino
    assert state(exchanged) == before


def test_capabilities_are_those_of_what_was_opened(
    run: Repair, logs: Path, listing: Listing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its name a file without any is looked at, once the one with them is open."""
    _capable(logs / "bad", logs)
    log_file(logs / "plain")
    time.sleep(0.02)
    found = {}
    real = seems_without_capability

    def seems(name: str) -> bool:
        if name != "bad":
            return real(name)
        (logs / "bad").rename(logs / "moved")
        (logs / "plain").rename(logs / "bad")
        seemed = real(name)
        (logs / "bad").rename(logs / "plain")
        (logs / "moved").rename(logs / "bad")
        found.update(listing(logs / "bad"))
        assert seemed
        return seemed

    monkeypatch.setattr(_survey, "seems_without_capability", seems)
    result = run()
    assert listing(logs / "bad") == found != {}
    assert reasons(result) == {"privileged_file": "bad"}


def test_exchange_of_a_directory_for_a_link_gains_nothing(
    run: Repair, site: Path, logs: Path, listing: Listing
) -> None:
    archive, outside = logs / "archive", site / "outside"
    for directory in (archive, outside):
        directory.mkdir()
        os.chown(directory, WEB, WEB)
        log_file(directory / "old.log")
    before = listing(outside)

    def exchange() -> None:
        archive.rename(logs / "moved")
        archive.symlink_to(outside)

    real = _survey.Survey.others

    def others(*arguments: Any) -> Iterator[list[_survey.Step]]:
        for group in real(*arguments):
            yield group
            if "archive" in (step.path for step in group):
                exchange()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_survey.Survey, "others", others)
        result = run()
    assert archive.is_symlink()
    assert listing(outside) == before
    assert reasons(result) == {"vanished": ""}


def test_exchange_of_a_directory_for_another_is_not_entered(
    run: Repair, logs: Path, listing: Listing
) -> None:
    archive, foreign = logs / "archive", logs / "foreign"
    for directory, uid in ((archive, WEB), (foreign, STRANGER)):
        directory.mkdir()
        os.chown(directory, uid, uid)
        log_file(directory / "old.log")
    before = listing(foreign)
    real = _survey.Survey.others

    def others(*arguments: Any) -> Iterator[list[_survey.Step]]:
        for group in real(*arguments):
            yield group
            if "archive" in (step.path for step in group):
                archive.rename(logs / "moved")
                foreign.rename(archive)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_survey.Survey, "others", others)
        run()
    assert (
        listing(archive)[str(archive / "old.log")] == before[str(foreign / "old.log")]
    )


def test_directory_that_goes_away_and_comes_back(
    run: Repair, logs: Path, before_pinning: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = logs / "archive"
    archive.mkdir()
    os.chown(archive, WEB, WEB)
    log_file(archive / "old.log")
    before_pinning("archive", lambda: archive.rename(logs.with_name("moved")))

    def come_back(error: OSError) -> bool:
        logs.with_name("moved").rename(archive)
        return is_gone(error)

    monkeypatch.setattr(_survey, "is_gone", come_back)
    result = run()
    assert archive.is_dir()
    assert reasons(result) == {"vanished": ""}


def test_file_that_vanishes_is_counted(
    run: Repair, logs: Path, before_pinning: Any
) -> None:
    log_file(logs / "old.log")
    before_pinning("old.log", (logs / "old.log").unlink)
    result = only(run())
    assert result["skipped"] == [{"path": "", "reason": "vanished", "count": 1}]
    assert result["changed_inodes"] == 2


def test_what_changed_meanwhile_is_recorded_again_and_repaired(
    run: Repair, site: Path, logs: Path, before_changing: Any
) -> None:
    log = logs / "app.log"
    chmods = iter([0o600])

    def chmod() -> None:
        for mode in chmods:
            log.chmod(mode)

    before_changing(str(log), chmod)
    result = only(run())
    recorded = [each for each in entries(site) if entry_path(each) == str(log)]
    assert [each["before"]["mode"] for each in recorded] == [0o640, 0o600]
    assert recorded[-1]["after"] == state(log)
    assert result["changed_inodes"] == 2
    assert result["skipped"] == []


def test_what_changes_all_the_time_is_given_up(
    run: Repair, logs: Path, before_changing: Any
) -> None:
    log = logs / "app.log"
    before_changing(str(log), lambda: log.chmod(log.stat().st_mode ^ 0o100))
    result = only(run())
    assert result["changed_inodes"] == 1
    assert result["skipped"] == [
        {"path": "app.log", "reason": "changes_all_the_time", "count": 1}
    ]


@pytest.mark.parametrize(("times", "changed"), [(1, 2), (2, 2), (99, 1)])
@pytest.mark.parametrize("name", ["app.log", ""])
def test_owner_that_takes_a_change_back_at_once(
    run: Repair,
    logs: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    times: int,
    changed: int,
) -> None:
    path, real, left = logs / name, _apply._read_back, iter(range(times))
    mode = 0o700 if path.is_dir() else 0o600

    def read_back(fd: int, *arguments: Any) -> Any:
        hit = os.path.realpath(f"/proc/self/fd/{fd}") == str(path)
        if hit and next(left, None) is not None:
            path.chmod(mode)
        return real(fd, *arguments)

    monkeypatch.setattr(_apply, "_read_back", read_back)
    result = only(run())
    assert result["changed_inodes"] == changed
    skipped = [{"path": name, "reason": "changes_all_the_time", "count": 1}]
    assert result["skipped"] == (skipped if times == 99 else [])
    monkeypatch.undo()
    assert only(run())["changed_inodes"] == 2 - changed


def test_what_became_another_meanwhile_is_left_alone(
    run: Repair, logs: Path, before_changing: Any, listing: Listing
) -> None:
    log = logs / "app.log"
    found = {}

    def link() -> None:
        os.link(log, logs / "link")
        found.update(listing(log))

    before_changing(str(log), link)
    result = only(run())
    assert listing(log) == found
    assert result["changed_inodes"] == 1
    # Both names: the others are listed when the newest are done.
    assert result["skipped"] == [{"path": "app.log", "reason": "hard_link", "count": 2}]


def test_log_directory_of_root_in_which_a_directory_appears_meanwhile(
    run: Repair, logs: Path, before_changing: Any
) -> None:
    os.chown(logs, 0, 0)
    before_changing(str(logs), lambda: (logs / "new").mkdir(exist_ok=True))
    result = only(run())
    assert DEFAULT in os.listxattr(logs)
    assert result["changed_inodes"] == 2


# The journal


def test_journal_is_on_disk_before_anything_changes(
    run: Repair, site: Path, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state(logs)

    def refuse(*_arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "setxattr", refuse)
    with pytest.raises(HostError, match=f"{logs} could not be changed: No space left"):
        run()
    assert state(logs) == before
    assert [entry["before"] for entry in entries(site)] == [before]


@pytest.fixture
def unsynced(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], tuple[set[str], set[str]]]:
    """Watch what is on disk for certain whenever an inode is changed.

    Returns what tells the inodes that were changed, and those of them whose
    entry, or the name of whose journal, was not on disk then.
    """
    journal = site / "journal/run-1/0001.jsonl"
    named_in = {str(site), str(site / "journal"), str(site / "journal/run-1")}
    on_disk: set[str] = set()
    changed: set[str] = set()
    early: set[str] = set()
    sync = os.fsync

    def fsync(fd: int) -> None:
        sync(fd)
        path = os.path.realpath(f"/proc/self/fd/{fd}")
        on_disk.add(path)
        if path == str(journal):
            on_disk.update(entry_path(entry) for entry in entries(site))

    def watched(real: Callable[..., None]) -> Callable[..., None]:
        def call(target: str, *arguments: Any, **more: Any) -> None:
            path = os.path.realpath(target)
            changed.add(path)
            if not {path, str(journal), *named_in} <= on_disk:
                early.add(path)
            real(target, *arguments, **more)

        return call

    monkeypatch.setattr(os, "fsync", fsync)
    for name in ("setxattr", "chown", "chmod"):
        monkeypatch.setattr(os, name, watched(getattr(os, name)))
    return lambda: (changed, early)


def test_journal_is_synced_before_each_batch(
    run: Repair, logs: Path, unsynced: Callable[[], tuple[set[str], set[str]]]
) -> None:
    files = [log_file(logs / f"{number}.log") for number in range(BATCH + 10)]
    run(group="64002")
    changed, early = unsynced()
    # log_file() changes them, too: the test sees what is too early.
    assert early == {str(path) for path in files}
    assert changed == {str(path) for path in (logs, logs / "app.log", *files)}


def test_journal_says_what_was_and_what_is(run: Repair, site: Path, logs: Path) -> None:
    (logs / "archive").mkdir()
    os.chown(logs / "archive", WEB, WEB)
    log = log_file(logs / 'archive/\udcff "\n.log')
    subprocess.run(["setfacl", "-m", "u:64009:rw,m::r", log], check=True)
    paths = [logs, logs / "app.log", logs / "archive", log]
    before = {str(path): state(path) for path in paths}
    run()
    after = {str(path): state(path) for path in paths}
    recorded = entries(site)
    assert {entry_path(each): each["before"] for each in recorded} == before
    assert {entry_path(each): each["after"] for each in recorded} == after
    assert all(before[path] != after[path] for path in before)
    stamps = {entry_path(each): (each["device"], each["ino"]) for each in recorded}
    assert stamps == {
        str(path): (path.stat().st_dev, path.stat().st_ino) for path in paths
    }


def test_full_disk_stops_the_repair_before_what_is_not_recorded(
    run: Repair,
    site: Path,
    logs: Path,
    listing: Listing,
    mounted: Callable[..., Path],
) -> None:
    (site / "journal").mkdir(0o700)
    size = "mode=0700,size=16k"
    mounted(site / "journal", "-t", "tmpfs", "-o", size, "none")
    for number in range(BATCH):
        log_file(logs / f"{number}.log")
    before = listing(logs)
    with pytest.raises(HostError) as error:
        run()
    assert f"the journal in {site}/journal/run-1 cannot be written" in str(error.value)
    assert "No space left on device" in str(error.value)
    assert "nothing more was changed. Make room" in str(error.value)
    after = listing(logs)
    # It comes first, in a batch of its own, which there was room for.
    assert {path for path in after if after[path] != before[path]} == {str(logs)}


def _restored(site: Path, run_id: str) -> Result:
    result: Result = restore(RestoreOptions(run_id, str(site / "journal"), 0))
    assert result["left_alone"] == []
    return result


def _states(logs: Path) -> dict[str, Any]:
    return {str(path): state(path) for path in (logs, *logs.rglob("*"))}


def test_full_disk_loses_nothing_and_a_run_with_room_finishes(
    run: Repair, site: Path, logs: Path, mounted: Callable[..., Path]
) -> None:
    (site / "journal").mkdir(0o700)
    size = "mode=0700,size=16k"
    mounted(site / "journal", "-t", "tmpfs", "-o", size, "none")
    for number in range(BATCH):
        log_file(logs / f"{number}.log")
    before = _states(logs)
    with pytest.raises(HostError, match="No space left"):
        run()
    cut = _states(logs)
    remount = ["mount", "-o", "remount,size=1m", f"{site}/journal"]
    subprocess.run(remount, check=True)
    result = run()  # of the same name, as when a play is run again
    assert only(result)["changed_inodes"] == BATCH + 1
    assert not run()["changed"]
    assert before != cut != _states(logs)
    assert _restored(site, "run-1")["restored"] == BATCH + 2
    assert _states(logs) == before


def test_logs_that_become_read_only_meanwhile(
    site: Path, mounted: Callable[..., Path], before_changing: Any
) -> None:
    place = mounted(site / "tmpfs", "-t", "tmpfs", "-o", "mode=0755", "none")
    logs = place / "logs"
    logs.mkdir()
    os.chown(logs, WEB, WEB)
    log = log_file(logs / "app.log")
    before = _states(logs)
    policies = parse_policies(
        [{"path": str(logs), "writers": ["web", "queue"]}], IDENTITIES
    )
    options = RepairOptions("run-1", str(site / "journal"), 0)

    def remount(option: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{option}", place], check=True)

    before_changing(str(log), lambda: remount("ro"))
    problem = f"{log} could not be changed: Read-only file system. What was done"
    with pytest.raises(HostError, match=problem):
        repair(policies, options)
    with pytest.raises(HostError, match=r"read-only.*Nothing was changed"):
        repair(policies, options)
    before_changing(str(log), lambda: None)
    remount("rw")
    assert only(repair(policies, options))["changed_inodes"] == 1
    assert not repair(policies, options)["changed"]
    _restored(site, "run-1")
    assert _states(logs) == before


@pytest.mark.parametrize("function", [preview, repair])
@pytest.mark.parametrize("what", ["mounted on it", "mounted above it", "unmounted"])
def test_logs_that_another_file_system_covers_meanwhile(
    site: Path, mounted: Callable[..., Path], what: str, function: Any
) -> None:
    place = site / "place"
    logs = place / "logs"
    logs.mkdir(parents=True)
    over = {"mounted on it": logs, "mounted above it": place}.get(what)
    if over is None:
        tmpfs = ["mount", "-t", "tmpfs", "-o", "mode=0755", "none"]
        subprocess.run([*tmpfs, place], check=True)
        logs.mkdir()
    os.chown(logs, WEB, WEB)
    log_file(logs / "app.log")
    hidden = os.open(logs, os.O_PATH)
    real = _survey.Survey.others

    def others(*arguments: Any) -> Iterator[list[_survey.Step]]:
        yield from real(*arguments)
        if over is None:
            subprocess.run(["umount", "--lazy", place], check=True)
            return
        mounted(over, "-t", "tmpfs", "-o", "mode=0755", "none")
        logs.mkdir(exist_ok=True)

    policies = parse_policies(
        [{"path": str(logs), "writers": ["web", "queue"]}], IDENTITIES
    )
    options = RepairOptions("run-1", str(site / "journal"), 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_survey.Survey, "others", others)
        problem = f"{logs}: a file system was mounted or unmounted here meanwhile.*Run"
        with pytest.raises(HostError, match=problem):
            function(policies, options)
    done = DEFAULT in os.listxattr(f"/proc/self/fd/{hidden}")
    assert done is (function is repair)
    os.close(hidden)


def test_log_directory_that_is_renamed_meanwhile(run: Repair, logs: Path) -> None:
    real = _survey.Survey.others

    def others(*arguments: Any) -> Iterator[list[_survey.Step]]:
        yield from real(*arguments)
        logs.rename(logs.with_name("moved"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_survey.Survey, "others", others)
        assert only(run())["changed_inodes"] == 2


def test_journal_that_is_removed_meanwhile_stops_the_repair(
    run: Repair, site: Path, logs: Path, before_changing: Any
) -> None:
    log = logs / "app.log"
    before = state(log)
    before_changing(str(logs), lambda: shutil.rmtree(site / "journal"))
    with pytest.raises(HostError, match=r"somebody has removed it.*run again"):
        run()
    assert state(log) == before
    before_changing(str(logs), lambda: None)
    assert only(run())["changed_inodes"] == 1
    assert not run()["changed"]


def test_nothing_is_written_in_check_mode(
    run: Repair, site: Path, listing: Listing
) -> None:
    before = listing(site, Path("/run"))
    result = run(preview)
    assert only(result)["changed_inodes"] == 2
    assert listing(site, Path("/run")) == before


def test_second_run_changes_nothing_and_writes_no_journal(
    run: Repair, site: Path, listing: Listing
) -> None:
    assert run()["changed"]
    before = listing(site)
    again = run()
    assert not again["changed"]
    assert again["diff"] == []
    assert listing(site) == before


def test_calls_of_one_run_have_a_journal_each(
    run: Repair, site: Path, logs: Path
) -> None:
    run()
    log_file(logs / "next.log").unlink()
    moved = log_file(site / "moved.log")
    moved.rename(logs / "next.log")
    run()
    assert [entry_path(entry) for entry in entries(site, 2)] == [str(logs / "next.log")]


# What is done


def test_order_directory_first_then_the_newest_then_the_rest(
    run: Repair, logs: Path, site: Path
) -> None:
    count = 100
    for number in range(count):
        log = log_file(logs / f"{number}.log")
        os.utime(log, (number, number))
    run()
    names = [Path(entry_path(entry)).name for entry in entries(site)]
    newest = [f"{number}.log" for number in reversed(range(count))]
    assert names[:65] == ["logs", "app.log", *newest[:63]]
    assert sorted(names[65:]) == sorted(newest[63:])
    # The newest are done before the rest is recorded.
    batches = [0]
    for line in journal_lines(site)[1:]:
        if "sha256" in line:
            batches.append(0)
        else:
            batches[-1] += 1
    assert batches == [1, 64, 37, 0]


def test_change_that_the_kernel_refuses_leaves_a_tree_that_is_finished_later(
    run: Repair, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.log", "b.log", "c.log"):
        log_file(logs / name)
    calls = iter(range(4))
    real = os.setxattr

    def setxattr(path: str, name: str, value: bytes) -> None:
        if next(calls) == 3:
            raise OSError(5, "Input/output error")
        real(path, name, value)

    with monkeypatch.context() as patch:
        patch.setattr(os, "setxattr", setxattr)
        with pytest.raises(HostError, match=r"log could not be changed: Input/output"):
            run()
    result = only(run())
    assert 0 < result["changed_inodes"] < 5
    assert not run()["changed"]


def test_too_many_entries_are_an_error_when_those_before_are_done(
    run: Repair, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.log", "b.log", "c.log"):
        log_file(logs / name)
    monkeypatch.setattr(_walk, "MAX_ENTRIES", 2)
    with pytest.raises(HostError, match="more than 2 entries"):
        run()
    monkeypatch.undo()
    assert only(run())["changed_inodes"] == 0


WITHOUT_FSETID = ["setpriv", "--bounding-set", "-fsetid", "--inh-caps", "-fsetid"]
CHANGE = """
import sys
from ansible_collections.logward.permissions.plugins.module_utils import _repair
from ansible_collections.logward.permissions.plugins.module_utils._policy import (
    parse_policies,
)
policy = {"path": sys.argv[1], "writers": ["64001"]}
options = _repair.RepairOptions("run-1", sys.argv[2], 0)
try:
    _repair.repair(parse_policies([policy], []), options)
except _repair.HostError as error:
    print(error)
"""


def test_bit_that_the_kernel_drops_is_an_error(site: Path, logs: Path) -> None:
    # Without CAP_FSETID the setgid bit of another group's directory is dropped.
    done = subprocess.run(
        [*WITHOUT_FSETID, sys.executable, "-c", CHANGE, logs, site / "journal"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    problem = "the kernel kept mode 0755 where 2755 was set"
    assert f"{logs} could not be changed: {problem}" in done.stdout


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a space", "a space"),
        ("quo'te\"", "quo'te\""),
        ("-rf", "-rf"),
        ("caf\u00e9", "caf\u00e9"),
        ("back\\nslash", "back\\nslash"),
        ("line\nbreak", "line\\nbreak"),
        ("bell\a", "bell\\x07"),
        ("invalid\udcff", "invalid\\xff"),
        ("override\u202e", "override\\u202e"),
    ],
)
def test_names_of_any_bytes(run: Repair, logs: Path, name: str, shown: str) -> None:
    log_file(logs / f"{name}.log")
    (logs / f"{name}.link").symlink_to("nowhere")
    before = run(preview)
    result = run()
    assert result["diff"] == before["diff"]
    assert f"\n{shown}.log  mode: 0660  acl: + " in result["diff"][0]["after"]
    assert only(result)["changed_inodes"] == 3
    expected = {"path": f"{shown}.link", "reason": "symbolic_link", "count": 1}
    if shown != name:
        bytes_of_name = os.fsencode(f"{name}.link")
        expected["path_b64"] = base64.b64encode(bytes_of_name).decode()
    assert only(result)["skipped"] == [expected]
    assert json.loads(json.dumps(result, ensure_ascii=False).encode()) == result


def test_last_path_that_the_kernel_takes(site: Path) -> None:
    """4,095 bytes, which no system call takes with a further name behind it."""
    parts = ["d" * 200] * 20
    path = f"{site}/{'/'.join(parts)}"
    path += "/" + "e" * (4095 - len(path) - 1)
    parts.append(path.rpartition("/")[2])
    fd = os.open(site, os.O_RDONLY)
    for part in parts:
        os.mkdir(part, dir_fd=fd)
        below = os.open(part, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.fchown(fd, WEB, WEB)
    log = os.open("app.log", os.O_CREAT | os.O_WRONLY, 0o640, dir_fd=fd)
    os.fchown(log, WEB, WEB)
    policies = parse_policies([{"path": path, "writers": ["web", "queue"]}], IDENTITIES)
    options = RepairOptions("run-1", str(site / "journal"), 0)
    assert only(repair(policies, options))["changed_inodes"] == 2
    assert b"u:64002" not in os.getxattr(log, ACCESS)
    assert stat.S_IMODE(os.fstat(log).st_mode) == 0o660
    os.close(log)
    os.close(fd)


@pytest.mark.parametrize(("levels", "works"), [(100, True), (128, False)])
def test_levels_of_directories(
    run: Repair, logs: Path, levels: int, works: bool
) -> None:
    deep = logs
    for _level in range(levels):
        deep /= "d"
        deep.mkdir()
        os.chown(deep, WEB, WEB)
    log_file(deep / "app.log")
    if works:
        assert only(run())["changed_inodes"] == levels + 3
        assert not run()["changed"]
        return
    done = only(run())
    assert done["changed_inodes"] == 127 + 2
    assert [(each["reason"], each["count"]) for each in done["skipped"]] == [
        ("too_deep", 1)
    ]
    assert not run()["changed"]
    assert only(run(exclude=["d"]))["skipped"] == []


def test_descriptors_last_for_the_deepest_tree(
    run: Repair, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each level keeps two open, if it has more names than are read at once."""
    for module in (_walk, _carry_out):
        monkeypatch.setattr(module, "MOST_AT_ONCE", 1)
    deep = logs
    for level in range(MAX_DEPTH - 2):
        for number in range(20):
            (deep / f"{number}.link").symlink_to("nowhere")
        deep /= f"d{level}"
        deep.mkdir()
        os.chown(deep, WEB, WEB)
    for number in range(2 * BATCH):
        log_file(deep / f"{number}.log")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, limits[1]))
    try:
        result = only(run())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert result["changed_inodes"] == MAX_DEPTH + 2 * BATCH
    assert [each["reason"] for each in result["skipped"]] == ["symbolic_link"]


def test_no_descriptor_is_left_open(
    run: Repair, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (logs / "archive").mkdir()
    os.chown(logs / "archive", WEB, WEB)
    for number in range(BATCH + 10):
        log_file(logs / "archive" / f"{number}.log")
    (logs / "link").symlink_to("app.log")
    _capable(logs / "capable", logs)
    descriptors = os.listdir("/proc/self/fd")
    run(preview)
    with monkeypatch.context() as patch:
        patch.setattr(_carry_out, "change_near", _fail)
        with pytest.raises(HostError):
            run()
    run()
    assert os.listdir("/proc/self/fd") == descriptors


def _fail(*_arguments: Any) -> None:
    raise OSError(5, "Input/output error")
