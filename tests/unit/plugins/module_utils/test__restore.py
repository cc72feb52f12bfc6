# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Repairs of real directories, taken back; by then others were there, too."""

from __future__ import annotations

import errno
import os
import re
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.logward.permissions.plugins.module_utils import (
    _carry_out,
    _repair,
    _restore,
    _survey,
)
from ansible_collections.logward.permissions.plugins.module_utils._access import (
    DIRECTORY,
    REGULAR,
    SETGID,
    SETUID,
    STICKY,
    Inode,
    Mount,
)
from ansible_collections.logward.permissions.plugins.module_utils._acl import (
    Acl,
    encode,
    from_mode,
)
from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    HostError,
    OptionError,
)
from ansible_collections.logward.permissions.plugins.module_utils._fs import (
    Observation,
    Paths,
    Stamp,
    _apply,
    observe_fd,
)
from ansible_collections.logward.permissions.plugins.module_utils._journal import (
    BATCH,
    Entry,
    Journal,
)
from ansible_collections.logward.permissions.plugins.module_utils._policy import (
    parse_policies,
)
from ansible_collections.logward.permissions.plugins.module_utils._restore import (
    RestoreOptions,
    judge,
    preview,
    restore,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._source import (
    NOBODY,
)

WEB, QUEUE, SHIPPER, STRANGER = 64001, 64002, 64003, 64009
IDENTITIES = [
    {"name": "web", "user": "64001", "group": "64001"},
    {"name": "queue", "user": "64002", "group": "64002"},
]

Result = dict[str, Any]
Listing = Callable[..., dict[str, tuple[Any, ...]]]
Call = Callable[..., Result]
State = dict[str, tuple[Any, ...]]


def log_file(path: Path, uid: int = WEB, mode: int = 0o640) -> Path:
    """Make a file that a repair would change."""
    path.write_text("one line\n")
    os.chown(path, uid, uid)
    path.chmod(mode)
    return path


@pytest.fixture
def logs(site: Path) -> Path:
    """A log directory of root's with files and directories of web's and queue's."""
    path = site / "logs"
    (path / "archive").mkdir(parents=True)
    os.chown(path / "archive", WEB, QUEUE)
    (path / "archive").chmod(0o2750)
    subprocess.run(["setfacl", "-dm", "u:64009:rwx", path / "archive"], check=True)
    log_file(path / "app.log")
    log_file(path / "archive/old.log", QUEUE, 0o604)
    subprocess.run(
        ["setfacl", "-m", "u:64009:rw,g:64003:rw,m::r", path / "archive/old.log"],
        check=True,
    )
    return path


@pytest.fixture
def repair(site: Path, logs: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Return a function that repairs ``logs`` and changes all that can be changed.

    What else runs on this machine decides nothing, and need not be read.
    """
    monkeypatch.setattr(_repair, "running_writers", lambda *_arguments: NOBODY)
    monkeypatch.setattr(_survey, "root_writes_below", lambda _path: [])

    def run(run_id: str = "run-1", **changes: Any) -> Result:
        declaration = {
            "path": str(logs),
            "writers": ["web", "queue"],
            "owner": "web",
            "group": "64003",
            **changes,
        }
        policies = parse_policies([declaration], IDENTITIES)
        options = _repair.RepairOptions(run_id, str(site / "journal"), lock_timeout=0)
        return _repair.repair(policies, options)

    return run


@pytest.fixture
def take_back(site: Path) -> Call:
    """Return a function that takes a run back."""

    def run(run_id: str = "latest", function: Any = restore) -> Result:
        result: Result = function(RestoreOptions(run_id, str(site / "journal"), 0))
        return result

    return run


@pytest.fixture
def state(listing: Listing) -> Callable[..., State]:
    """Return a function that lists what a journal has of inodes, and their content."""

    def state(*roots: Path) -> State:
        found = listing(*roots)
        # Whatever is put back, ctime tells that it was.
        return {path: (*each[:6], each[7]) for path, each in found.items()}

    return state


def reasons(result: Result) -> dict[str, str]:
    """Return the first path that was skipped for each reason."""
    assert all(each["count"] == 1 for each in result["left_alone"])
    return {each["reason"]: each["path"] for each in result["left_alone"]}


# What is done


def test_everything_is_as_before_to_the_byte(
    repair: Call, take_back: Call, logs: Path, state: Callable[..., State]
) -> None:
    before = state(logs)
    assert repair()["changed"]
    repaired = state(logs)
    assert all(repaired[path] != before[path] for path in before)
    done = take_back()
    assert state(logs) == before
    assert done["changed"] is True
    assert (done["run_id"], done["restored"], done["as_before"]) == ("run-1", 4, 0)
    assert (done["left_alone"], done["ignored_entries"]) == ([], 0)


def test_second_restore_changes_nothing(
    repair: Call, take_back: Call, site: Path, listing: Listing
) -> None:
    repair()
    take_back()
    before = listing(site)
    for function in (preview, restore):
        again = take_back("latest", function)
        assert listing(site) == before
        assert (again["changed"], again["restored"], again["as_before"]) == (
            *(False, 0),
            4,
        )
        assert (again["diff"], again["run_id"]) == ([], "run-1")
        assert "restore_run_id" not in again


def test_restore_can_be_taken_back(
    repair: Call, take_back: Call, logs: Path, state: Callable[..., State]
) -> None:
    before = state(logs)
    repair()
    repaired = state(logs)
    undone = take_back()
    redone = take_back(undone["restore_run_id"])
    assert state(logs) == repaired
    assert redone["restored"] == 4
    take_back(redone["restore_run_id"])
    assert state(logs) == before
    assert take_back()["run_id"] == "run-1"


def test_preview_tells_what_is_then_done(
    repair: Call, take_back: Call, site: Path, listing: Listing
) -> None:
    repair()
    before = listing(site, Path("/run"))
    announced = take_back("latest", preview)
    assert listing(site, Path("/run")) == before
    done = take_back()
    del done["restore_run_id"]
    assert announced == done


def test_calls_of_a_run_are_taken_back_from_the_last(
    repair: Call, take_back: Call, logs: Path, state: Callable[..., State]
) -> None:
    before = state(logs)
    repair(group="64001")
    log_file(logs / "app.log.1").rename(logs / "next.log")
    repair(readers=["64009"])
    announced = take_back("latest", preview)
    done = take_back()
    assert announced["restored"] == done.pop("restored") == announced.pop("restored")
    del done["restore_run_id"], done["diff"], announced["diff"]
    assert announced == done
    after = state(logs)
    assert after.pop(f"{logs}/next.log")[:3] == ("0o100640", WEB, WEB)
    # The directory's own time of change is that of next.log.
    for each in (before, after):
        each[str(logs)] = (*each[str(logs)][:5], each[str(logs)][6:])
    assert after == before


def test_older_run_is_taken_back_by_name(
    repair: Call, take_back: Call, logs: Path, state: Callable[..., State]
) -> None:
    before = state(logs)
    repair("run-1", recurse=False)
    between = state(logs)
    repair("run-2", recurse=False, readers=["64009"])
    assert take_back()["run_id"] == "run-2"
    assert state(logs) == between
    assert take_back("run-1")["restored"] > 0
    assert state(logs) == before


def _noting(real: Callable[..., None], paths: list[str]) -> Callable[..., None]:
    def change(fd: int, *rest: Any) -> None:
        paths.append(os.readlink(f"/proc/self/fd/{fd}"))
        real(fd, *rest)

    return change


def test_order_is_that_of_the_run_from_its_end(
    repair: Call, take_back: Call, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(BATCH):
        log_file(logs / f"{number}.log")
    done: list[str] = []
    undone: list[str] = []
    patched = ((_carry_out, "change_near", done), (_restore, "change", undone))
    for module, name, order in patched:
        monkeypatch.setattr(module, name, _noting(getattr(module, name), order))
    repair()
    take_back()
    assert len(done) == BATCH + 4
    assert undone == done[::-1]


def test_diff_is_the_repairs_turned_round(
    repair: Call, take_back: Call, logs: Path
) -> None:
    (done,) = repair()["diff"]
    (undone,) = take_back()["diff"]
    assert undone["before_header"] == undone["after_header"] == "run-1"

    def told(text: str, sign: str) -> set[str]:
        """Return what a diff says, wherever its lines end, of relative paths."""
        flat = re.sub(r"\n? +", " ", text).replace(f": {sign} ", ": ")
        flat = flat.replace(f"{logs}/", "").replace(f"{logs} ", ". ")
        return set(flat.splitlines())

    assert len(told(undone["after"], "+")) >= 4
    assert told(undone["before"], "-") == told(done["after"], "+")
    assert told(undone["after"], "+") == told(done["before"], "-")


# Names


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a space", "a space"),
        ("-rf", "-rf"),
        ("{{ 7 * 7 }}", "{{ 7 * 7 }}"),
        ("line\nbreak", "line\\nbreak"),
        ("invalid\udcff", "invalid\\xff"),
        ("n" * 250, "n" * 250),
    ],
)
def test_names_of_any_bytes(
    repair: Call,
    take_back: Call,
    logs: Path,
    state: Callable[..., State],
    name: str,
    shown: str,
) -> None:
    (logs / name).mkdir()
    os.chown(logs / name, WEB, WEB)
    log_file(logs / name / f"{name}.log")
    gone = log_file(logs / f"{name}.old")
    before = state(logs)
    repair()
    gone.rename(logs.parent / "moved")
    done = take_back()
    named = f"{logs}/{shown}/{shown}.log"
    assert f"\n{named}" in "\n" + done["diff"][0]["after"]
    (skipped,) = done["left_alone"]
    assert skipped.pop("path") == f"{logs}/{shown}.old"
    assert skipped.pop("reason") == "vanished"
    assert ("path_b64" in skipped) == (shown != name)
    (logs.parent / "moved").rename(gone)
    assert take_back()["restored"] == 1
    # Renaming moved the time of the directory.
    after = state(logs)
    assert {path: each[:4] + each[6:] for path, each in after.items()} == {
        path: each[:4] + each[6:] for path, each in before.items()
    }


def test_path_that_no_system_call_takes(site: Path, take_back: Call) -> None:
    """Below 4,095 bytes of log directory, directories to the greatest depth."""
    parts = ["d" * 200] * 20
    path = f"{site}/{'/'.join(parts)}"
    parts.append("e" * (4095 - len(path) - 1))
    path += "/" + parts[-1]
    below = ["f" * 255] * 100
    fds = [os.open(site, os.O_RDONLY)]
    for part in [*parts, *below]:
        os.mkdir(part, dir_fd=fds[-1])
        fds.append(os.open(part, os.O_RDONLY, dir_fd=fds[-1]))
        os.fchown(fds[-1], WEB, WEB)
    fds.append(os.open("app.log", os.O_CREAT | os.O_WRONLY, 0o640, dir_fd=fds[-1]))
    os.fchown(fds[-1], WEB, WEB)
    ours = fds[len(parts) :]
    before = [observe_fd(fd, {}).inode for fd in ours]
    policies = parse_policies([{"path": path, "writers": ["web", "queue"]}], IDENTITIES)
    options = _repair.RepairOptions("run-1", str(site / "journal"), 0)
    assert _repair.repair(policies, options)["directories"][0]["changed_inodes"] == 102
    assert all(observe_fd(fd, {}).inode != was for fd, was in zip(ours, before))
    assert take_back()["restored"] == 102
    assert [observe_fd(fd, {}).inode for fd in ours] == before
    for fd in fds:
        os.close(fd)


# What others did since


def _chmod(log: Path) -> None:
    log.chmod(0o600)


def _chown(log: Path) -> None:
    os.chown(log, STRANGER, -1)


def _chgrp(log: Path) -> None:
    os.chown(log, -1, STRANGER)


def _set_acl(log: Path) -> None:
    subprocess.run(["setfacl", "-m", "u:64008:r", log], check=True)


def _sticky(log: Path) -> None:
    log.chmod(log.stat().st_mode & 0o7777 | 0o1000)


def _setuid(log: Path) -> None:
    log.chmod(log.stat().st_mode & 0o7777 | 0o4000)


def _move(log: Path) -> None:
    log.rename(log.with_name("moved"))


def _new_file(log: Path) -> None:
    """Another file, exactly like the one of that name."""
    log.rename(log.with_name("moved"))
    subprocess.run(["cp", "--archive", log.with_name("moved"), log], check=True)


def _link(log: Path) -> None:
    log.rename(log.with_name("moved"))
    log.symlink_to("moved")


def _fifo(log: Path) -> None:
    log.rename(log.with_name("moved"))
    os.mkfifo(log)


def _socket(log: Path) -> None:
    log.rename(log.with_name("moved"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(log))


def _directory(log: Path) -> None:
    log.rename(log.with_name("moved"))
    log.mkdir()


def _hard_link(log: Path) -> None:
    os.link(log, log.with_name("hard"))


def _capable(log: Path) -> None:
    # vfs_cap_data of include/uapi/linux/capability.h, version 2: CAP_CHOWN
    os.setxattr(log, "security.capability", struct.pack("<5I", 0x02000001, 1, 0, 0, 0))


def _immutable(log: Path) -> None:
    subprocess.run(["chattr", "+i", log], check=True)


def _append_only(log: Path) -> None:
    subprocess.run(["chattr", "+a", log], check=True)


SINCE = {
    "chmod": (_chmod, "changed_since"),
    "chown": (_chown, "changed_since"),
    "chgrp": (_chgrp, "changed_since"),
    "ACL": (_set_acl, "changed_since"),
    "sticky": (_sticky, "changed_since"),
    "setuid": (_setuid, "changed_since"),
    "deleted": (Path.unlink, "vanished"),
    "moved": (_move, "vanished"),
    "another file": (_new_file, "exchanged"),
    "link": (_link, "exchanged"),
    "FIFO": (_fifo, "exchanged"),
    "socket": (_socket, "exchanged"),
    "directory": (_directory, "exchanged"),
    "hard link": (_hard_link, "hard_link"),
    "capability": (_capable, "privileged_file"),
    "immutable": (_immutable, "immutable"),
    "append-only": (_append_only, "immutable"),
}


@pytest.mark.parametrize(("act", "reason"), SINCE.values(), ids=SINCE)
def test_left_alone(
    repair: Call,
    take_back: Call,
    logs: Path,
    listing: Listing,
    act: Callable[[Path], None],
    reason: str,
) -> None:
    bad = logs / "archive/old.log"
    repair()
    act(bad)
    try:
        before = listing(logs)
        done = take_back()
        after = listing(logs)
    finally:
        subprocess.run(["chattr", "-f", "-i", "-a", bad], check=False)
    changed = {path for path in after if after[path] != before[path]}
    assert changed == {str(logs), f"{logs}/app.log", f"{logs}/archive"}
    assert reasons(done) == {reason: str(bad)}
    assert done["restored"] == 3


@pytest.mark.parametrize("what", ["link", "directory", "file", "nothing"])
@pytest.mark.parametrize("where", ["logs", "logs/archive"])
def test_directory_on_the_way_that_is_another(
    repair: Call, take_back: Call, site: Path, listing: Listing, what: str, where: str
) -> None:
    repair()
    way, moved = site / where, site / "moved"
    way.rename(moved)
    outside = site / "outside"
    outside.mkdir()
    for name in ("app.log", "old.log"):
        log_file(outside / name)
    if what == "link":
        way.symlink_to(moved)
    elif what == "directory":
        outside.rename(way)
    elif what == "file":
        way.write_text("")
    before = listing(moved, way, outside)
    done = take_back()
    after = listing(moved, way, outside)
    changed = {path for path in after if after[path] != before[path]}
    assert not {path for path in changed if not path.startswith(str(site / "logs"))}
    counts = {each["reason"]: each["count"] for each in done["left_alone"]}
    below = 4 if where == "logs" else 2
    if what == "directory" and where == "logs":
        # app.log is another; archive is not there, nor what was in it.
        assert counts == {"exchanged": 2, "vanished": 2}
    else:
        assert counts == {"vanished" if what == "nothing" else "exchanged": below}
    assert done["restored"] == 4 - below


def test_other_mount_over_the_directory(
    repair: Call, take_back: Call, logs: Path, mounted: Callable[..., Path]
) -> None:
    repair()
    mounted(logs / "archive", "-t", "tmpfs", "none")
    log_file(logs / "archive/old.log")
    done = take_back()
    assert {each["reason"]: each["count"] for each in done["left_alone"]} == {
        "exchanged": 2
    }


def test_file_system_that_is_read_only(
    repair: Call,
    take_back: Call,
    logs: Path,
    mounted: Callable[..., Path],
    listing: Listing,
) -> None:
    repair()
    before = listing(logs)
    mounted(logs, "--bind", str(logs))
    subprocess.run(["mount", "-o", "remount,bind,ro", logs], check=True)
    done = take_back()
    assert {each["reason"]: each["count"] for each in done["left_alone"]} == {
        "read_only": 4
    }
    assert not done["changed"]
    assert listing(logs) == before


@pytest.fixture
def before_changing(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that lets others act between the journal and a change."""

    def install(path: Path, act: Callable[[], None]) -> None:
        class WithOthers(Journal):
            def record(self, entries: Any) -> None:
                super().record(entries)
                if any(entry.path == str(path) for entry in entries):
                    act()

        monkeypatch.setattr(_restore, "Journal", WithOthers)

    return install


@pytest.mark.parametrize("act", [_chmod, _set_acl, _hard_link])
def test_change_in_the_last_moment(
    repair: Call,
    take_back: Call,
    logs: Path,
    listing: Listing,
    before_changing: Callable[..., None],
    act: Callable[[Path], None],
) -> None:
    (logs / "app.log").unlink()
    bad = logs / "archive/old.log"
    repair()
    found: State = {}
    once = iter([bad])

    def meddle() -> None:
        for path in once:
            act(path)
            found.update(listing(path))

    before_changing(bad, meddle)
    done = take_back()
    assert listing(bad) == found
    assert reasons(done) == {"changed_since": str(bad)}
    assert done["restored"] == 2


def test_owner_that_takes_a_restore_back_at_once(
    repair: Call, take_back: Call, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repair()
    log, real = logs / "app.log", _apply._read_back

    def read_back(fd: int, *arguments: Any) -> Any:
        if os.path.realpath(f"/proc/self/fd/{fd}") == str(log):
            log.chmod(0o600)
        return real(fd, *arguments)

    monkeypatch.setattr(_apply, "_read_back", read_back)
    result = take_back()
    assert result["restored"] == 3
    assert reasons(result) == {"changed_since": str(log)}


def _exchange_for_link(log: Path, secret: Path) -> None:
    log.rename(log.with_name("moved"))
    log.symlink_to(secret)


def _exchange_for_hard_link(log: Path, secret: Path) -> None:
    log.rename(log.with_name("moved"))
    os.link(secret, log)


def _exchange_for_the_secret(log: Path, secret: Path) -> None:
    log.rename(log.with_name("moved"))
    secret.rename(log)


@pytest.mark.parametrize(
    "exchange", [_exchange_for_link, _exchange_for_hard_link, _exchange_for_the_secret]
)
@pytest.mark.parametrize("when", ["before pinning", "before changing"])
def test_exchange_gains_nothing(
    repair: Call,
    take_back: Call,
    logs: Path,
    state: Callable[..., State],
    before_changing: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    exchange: Callable[[Path, Path], None],
    when: str,
) -> None:
    """The secret has the owner, mode and ACLs that the repair left the log with."""
    log, secret = logs / "app.log", logs.parent / "secret"
    repair()
    subprocess.run(["cp", "--archive", log, secret], check=True)
    (before,) = state(secret).values()
    ino = secret.stat().st_ino
    once = iter([log])

    def act(*_arguments: object) -> None:
        for path in once:
            exchange(path, secret)

    if when == "before changing":
        before_changing(log, act)
    else:
        real = Paths.pin

        def pin(paths: Paths, path: str) -> int:
            if path == str(log):
                act()
            return real(paths, path)

        monkeypatch.setattr(Paths, "pin", pin)
    done = take_back()
    exchanged = secret if secret.exists() else log
    assert exchanged.stat().st_ino == ino
    (after,) = state(exchanged).values()
    # The number of links is the attacker's doing.
    assert after[:3] + after[4:] == before[:3] + before[4:]
    expected = {"exchanged": str(log)} if when == "before pinning" else {}
    assert reasons(done) == expected


# What to do with one inode

BEFORE = Inode(REGULAR, WEB, WEB, 0, from_mode(0o640))
AFTER = Inode(REGULAR, WEB, SHIPPER, 0, Acl(6, 0, 0, 6, ((QUEUE, 6),), ((WEB, 4),)))
STAMP = Stamp(1, 2, 3)


def inode(**changes: Any) -> Inode:
    return replace(AFTER, **changes)


SECRET = Inode(REGULAR, 0, 0, 0, from_mode(0o600))
READABLE = Inode(REGULAR, 0, 0, 0, from_mode(0o644))

UNSORTED = Acl(7, 7, 7, 7, groups=((SHIPPER, 7), (QUEUE, 7)))
SORTED = replace(UNSORTED, groups=UNSORTED.groups[::-1])

JUDGED = {
    "as it was left": (AFTER, STAMP, "restore"),
    "as before": (BEFORE, STAMP, "as_before"),
    "another number": (AFTER, Stamp(1, 9, 3), "exchanged"),
    "another device": (AFTER, Stamp(9, 2, 3), "exchanged"),
    "born later": (AFTER, Stamp(1, 2, 9), "exchanged"),
    "born who knows when": (AFTER, Stamp(1, 2, None), "exchanged"),
    "as before, but another": (BEFORE, Stamp(1, 9, 3), "exchanged"),
    "mode": (inode(acl=from_mode(0o640)), STAMP, "changed_since"),
    "owner": (inode(uid=QUEUE), STAMP, "changed_since"),
    "half of the way": (inode(gid=WEB), STAMP, "restore"),
    "off the way": (inode(gid=QUEUE), STAMP, "changed_since"),
    "links": (inode(links=2), STAMP, "hard_link"),
    "immutable": (inode(immutable=True), STAMP, "immutable"),
    "append-only": (inode(append_only=True), STAMP, "immutable"),
    "read-only": (inode(mount=Mount(read_only=True)), STAMP, "read_only"),
}


@pytest.mark.parametrize(("present", "stamp", "verdict"), JUDGED.values(), ids=JUDGED)
def test_judge(present: Inode, stamp: Stamp, verdict: str) -> None:
    entry = Entry("/srv/log", STAMP, BEFORE, AFTER)
    assert judge(entry, Observation(present, stamp, 1, 0)) == verdict


@pytest.mark.parametrize("attribute", ["acl", "default_acl"])
def test_judge_of_entries_in_another_order(attribute: str) -> None:
    entry = Entry("/x", STAMP, inode(**{attribute: UNSORTED}), AFTER)
    found = Observation(inode(**{attribute: SORTED}), STAMP, 1, 0)
    assert judge(entry, found) == "restore"


@pytest.mark.parametrize("bit", [SETUID, SETGID, SETUID | SETGID])
def test_no_file_gets_setuid_or_setgid(bit: int) -> None:
    before = replace(BEFORE, special=bit)
    found = Observation(AFTER, STAMP, 1, 0)
    assert judge(Entry("/x", STAMP, before, AFTER), found) == "privileged_file"
    directory = Inode(DIRECTORY, WEB, WEB, bit | STICKY, from_mode(0o750))
    after = replace(directory, special=SETGID, gid=QUEUE)
    found = Observation(after, STAMP, 1, 0)
    assert judge(Entry("/x", STAMP, directory, after), found) == "restore"


@pytest.mark.parametrize(
    ("born_ns", "verdict"), [(3, "restore"), (None, "foreign_owner")]
)
def test_secret_of_roots_that_may_be_another_file(
    born_ns: int | None, verdict: str
) -> None:
    stamp = Stamp(1, 2, born_ns)
    entry = Entry("/x", stamp, READABLE, SECRET)
    assert judge(entry, Observation(SECRET, stamp, 1, 0)) == verdict


# Interrupted


def test_entries_of_a_batch_that_was_torn_are_ignored(
    repair: Call, take_back: Call, site: Path, logs: Path, listing: Listing
) -> None:
    log_file(logs / "b.log")
    repair()
    file = site / "journal/run-1/0001.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    # The header and the directory's own batch; of the next, one entry and a half.
    file.write_bytes(b"".join(lines[:4]) + lines[4][:100])
    before = listing(logs)
    done = take_back()
    after = listing(logs)
    assert {path for path in after if after[path] != before[path]} == {str(logs)}
    assert (done["restored"], done["ignored_entries"]) == (1, 2)


class _Killed(BaseException):
    pass


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., bool]:
    """Return a function that ends a call after so many changes of inodes."""

    def run(call: Call, changes: int) -> bool:
        left = iter(range(changes))

        def limited(real: Callable[..., None]) -> Callable[..., None]:
            def change(*arguments: Any) -> None:
                if next(left, None) is None:
                    raise _Killed
                real(*arguments)

            return change

        with monkeypatch.context() as patch:
            for name in ("chmod", "chown", "setxattr"):
                patch.setattr(os, name, limited(getattr(os, name)))
            try:
                call()
            except _Killed:
                return True
        return False

    return run


@pytest.mark.parametrize("done", range(6))
def test_order_of_entries_comes_back(
    repair: Call,
    take_back: Call,
    state: Callable[..., State],
    killed: Callable[..., bool],
    logs: Path,
    done: int,
) -> None:
    """What is in between, before a chown, can mean the same as before."""
    for attribute in ("system.posix_acl_access", "system.posix_acl_default"):
        os.setxattr(logs / "archive", attribute, encode(UNSORTED))
    before = state(logs)
    killed(partial(repair, path=str(logs / "archive"), other="keep"), done)
    if done:
        take_back()
    assert state(logs) == before


def test_wherever_repair_and_restore_are_killed_all_comes_back(
    repair: Call,
    take_back: Call,
    site: Path,
    state: Callable[..., State],
    killed: Callable[..., bool],
    logs: Path,
) -> None:
    before = state(logs)
    calls = list(_system_calls(killed, repair, take_back))
    assert len(calls) > 10
    assert state(logs) == before
    for done in calls:
        subprocess.run(["rm", "-r", site / "journal"], check=True)
        assert killed(repair, done)
        for undone in calls:
            if not killed(take_back, undone):
                break
        assert take_back()["run_id"] == "run-1"
        assert state(logs) == before, done
        assert take_back()["restored"] == 0


def _system_calls(
    killed: Callable[..., bool], repair: Call, take_back: Call
) -> Iterator[int]:
    """Yield after how many changes a repair can be killed."""
    changes = 1
    while killed(repair, changes):
        yield changes
        take_back()
        changes += 1
    take_back()


def test_change_that_the_kernel_refuses(
    repair: Call,
    take_back: Call,
    logs: Path,
    state: Callable[..., State],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = state(logs)
    repair()

    def refuse(*_arguments: Any) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "chown", refuse)
        with pytest.raises(HostError, match=r"could not be restored: Input/output err"):
            take_back()
    assert take_back()["restored"] == 4
    assert state(logs) == before


def test_what_the_kernel_does_not_tell_of_is_left_alone(
    repair: Call, take_back: Call, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repair()
    changed = take_back(function=preview)["restored"]
    mounted = os.stat(logs / "app.log").st_ino

    def refused(fd: int, mounts: Any) -> Any:
        # A stand-in for a FUSE mount of the application's user, which refuses root.
        if os.stat(fd).st_ino == mounted:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return observe_fd(fd, mounts)

    monkeypatch.setattr(_restore, "observe_fd", refused)
    done = take_back()
    left = {"path": f"{logs}/app.log", "reason": "unreadable", "count": 1}
    assert done["left_alone"] == [left]
    assert done["restored"] == changed - 1


def test_full_disk_stops_a_restore_before_what_is_not_recorded(
    repair: Call,
    take_back: Call,
    logs: Path,
    listing: Listing,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    repair()
    before = listing(logs)
    real = os.write

    def full(fd: int, data: bytes) -> int:
        if ".jsonl" in os.readlink(f"/proc/self/fd/{fd}"):
            raise OSError(28, "No space left on device")
        return real(fd, data)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(HostError, match=r"cannot be written \(No space left"):
        take_back()
    assert listing(logs) == before


# Refused


def test_changed_journal_is_refused_as_a_whole(
    repair: Call, take_back: Call, site: Path, listing: Listing
) -> None:
    repair(group="64001")
    repair(readers=["64009"])
    file = site / "journal/run-1/0001.jsonl"
    file.write_bytes(file.read_bytes().replace(b'"uid":0', b'"uid":1', 1))
    before = listing(site)
    for function in (preview, restore):
        with pytest.raises(OptionError, match="has the digest of other bytes"):
            take_back("run-1", function)
        assert listing(site) == before


HOLD_LOCK = """
import sys
from ansible_collections.logward.permissions.plugins.module_utils._lock import host_lock
with host_lock("the-other-run", 0):
    print(flush=True)
    input()
"""


def test_lock_that_another_run_holds(
    repair: Call, take_back: Call, site: Path, listing: Listing
) -> None:
    repair()
    before = listing(site)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_LOCK],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"\n"
        with pytest.raises(HostError, match=r"run the-other-run\) and did not end"):
            take_back()
        assert take_back("latest", preview)["restored"] == 4
        holder.communicate(b"\n")
    assert listing(site) == before
    assert take_back()["restored"] == 4


def test_no_descriptor_is_left_open(
    repair: Call, take_back: Call, logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(BATCH + 10):
        log_file(logs / "archive" / f"{number}.log")
    log_file(logs / "gone.log")
    repair()
    (logs / "gone.log").unlink()
    descriptors = os.listdir("/proc/self/fd")
    take_back("latest", preview)
    with monkeypatch.context() as patch:
        patch.setattr(_restore, "change", lambda *_arguments: sys.exit("stop"))
        with pytest.raises(SystemExit):
            take_back()
    take_back()
    assert os.listdir("/proc/self/fd") == descriptors


def test_pins_follow_no_link(site: Path) -> None:
    (site / "a/b").mkdir(parents=True)
    (site / "a/b/file").write_text("")
    (site / "link").symlink_to("a")
    with closing(Paths()) as paths:
        for path in ("a", "a/b", "a/b/file", "a", "link"):
            fd = paths.pin(str(site / path))
            assert os.readlink(f"/proc/self/fd/{fd}") == str(site / path)
            os.close(fd)
        for path in ("link/b", "link/b/file", "a/b/file/x"):
            with pytest.raises(NotADirectoryError):
                paths.pin(str(site / path))
        with pytest.raises(FileNotFoundError):
            paths.pin(str(site / "a/c/file"))
