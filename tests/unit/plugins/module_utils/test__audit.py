# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The audit of a real directory, and whether the kernel agrees."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._audit import audit
from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    HostError,
)
from ansible_collections.logward.permissions.plugins.module_utils._fs import (
    Share,
    _walk,
)
from ansible_collections.logward.permissions.plugins.module_utils._policy import (
    Policy,
    parse_policies,
)
from ansible_collections.logward.permissions.plugins.module_utils._repair import (
    RepairOptions,
    repair,
)
from ansible_collections.logward.permissions.plugins.module_utils._survey import Step
from ansible_collections.logward.permissions.plugins.module_utils._writers._live import (
    running_writers,
)

WEB, QUEUE, SHIPPER = 64001, 64002, 64005
UIDS = {"web": WEB, "queue": QUEUE, "root": 0}

Result = dict[str, Any]


@pytest.fixture
def logs(site: Path) -> Path:
    """The log directory of the outage: www-data's, 0755."""
    path = site / "logs"
    path.mkdir()
    os.chown(path, WEB, WEB)
    return path


@pytest.fixture
def policies(logs: Path) -> list[Policy]:
    return parse_policies(
        [{"path": str(logs), "writers": ["web", "queue", "root"]}],
        [
            {"name": "web", "user": "64001", "group": "64001"},
            {"name": "queue", "user": "64002", "group": "64002", "umask": "0027"},
        ],
    )


def as_user(name: str, act: Callable[[], None]) -> bool:
    """Tell whether the kernel lets a process of that identity act."""
    pid = os.fork()
    if not pid:
        if UIDS[name]:
            os.setgroups([])
            os.setgid(UIDS[name])
            os.setuid(UIDS[name])
        os.umask(0o027 if name == "queue" else 0o022)
        try:
            act()
        except PermissionError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


def append(path: Path) -> Callable[[], None]:
    """Return what a logger does."""

    def act() -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        os.close(os.open(path, flags, 0o666))

    return act


def only(result: Result) -> Result:
    (directory,) = result["directories"]
    assert isinstance(directory, dict)
    return directory


def codes(result: Result) -> list[tuple[str, str]]:
    return [(each["code"], each["subject"]) for each in only(result)["findings"]]


def may_append(rows: list[Mapping[str, Any]]) -> dict[str, bool]:
    """Return what an access table says of writing."""
    return {
        row["identity"]: row["allowed"] for row in rows if row["operation"] == "append"
    }


def test_outage_before_midnight_and_after(logs: Path, policies: list[Policy]) -> None:
    before = audit(policies, 100)
    assert not before["compliant"]
    assert codes(before) == [
        ("creator_denied", "queue"),
        ("next_file_writer_denied", "queue (created by web)"),
        ("next_file_writer_denied", "web (created by root)"),
        ("next_file_writer_denied", "queue (created by root)"),
        ("root_writes_untrusted", "root"),
        # queue's umask is narrower than that of the others, and counts for all.
        ("next_file_narrowed", "other"),
    ]
    assert as_user("root", append(logs / "day-1.log"))
    after = audit(policies, 100)
    assert ("writer_denied", "web") in codes(after)
    assert ("writer_denied", "queue") in codes(after)
    assert not as_user("web", append(logs / "day-1.log"))


def test_what_is_predicted_is_what_happens(
    site: Path, logs: Path, policies: list[Policy]
) -> None:
    options = RepairOptions("run-1", str(site / "journal"), 0)
    for repaired in (False, True):
        if repaired:
            repair(policies, options)
        directory = only(audit(policies, 100))
        assert directory["compliant"] is repaired
        for file in directory["next_file"]:
            creator = file["creator"]
            log = logs / f"{creator}-{repaired}.log"
            assert as_user(creator, append(log)) is file["allowed"]
            for name, allowed in may_append(file["access"]).items():
                assert as_user(name, append(log)) is allowed
                assert allowed or not repaired
        for file in only(audit(policies, 100))["files"]:
            for name, allowed in may_append(file["access"]).items():
                assert as_user(name, append(logs / file["path"])) is allowed


def test_totals_and_listed_files(logs: Path, policies: list[Policy]) -> None:
    for number in range(5):
        log = logs / f"{number}.log"
        log.touch()
        os.chown(log, WEB, WEB)
        os.utime(log, (number, number))
    (logs / "archive").mkdir()
    (logs / "link").symlink_to("0.log")
    os.mkfifo(logs / "fifo")
    directory = only(audit(policies, 2))
    assert directory["totals"] == {
        "files": 5,
        "directories": 2,
        "others": 2,
        "to_change": 7,
        "vanished": 0,
    }
    assert [file["path"] for file in directory["files"]] == ["4.log", "3.log"]
    assert directory["changes_needed"]


def many_alike(logs: Path) -> None:
    """Make directories of files that are alike, but not all, in each."""
    for name, mode in (("open", 0o755), ("closed", 0o700), ("open too", 0o755)):
        directory = logs / name
        directory.mkdir()
        for number in range(600):
            path = directory / f"{number:03d}.log"
            path.touch()
            os.chown(path, WEB, WEB)
            path.chmod(0o600 if number % 290 == 7 else 0o666)
        directory.chmod(mode)


@pytest.mark.parametrize("max_listed", [0, 50, 5000])
def test_files_that_are_alike_are_judged_as_if_each_were_looked_at(
    max_listed: int,
    logs: Path,
    policies: list[Policy],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many_alike(logs)
    result = only(audit(policies, max_listed))
    with monkeypatch.context() as patch:
        patch.setattr(Step, "dismiss", lambda _step: None)
        assert only(audit(policies, max_listed)) == result
    assert result["totals"]["files"] == 1800
    denied = {
        each["subject"]: each["message"]
        for each in result["findings"]
        if each["code"] == "writer_denied"
    }
    assert denied["web"].endswith("(and 599 more alike)")
    # All in the closed directory, and three in each of the others.
    assert denied["queue"].endswith("(and 605 more alike)")


def without_examples(result: Result) -> Result:
    """Leave out which of many is the example, and which of the older are listed."""
    return {
        **result,
        "findings": [
            (each["code"], each["subject"], each["message"].partition("(and ")[2])
            for each in result["findings"]
        ],
        "files": len(result["files"]),
    }


@pytest.mark.parametrize("max_listed", [0, 300])
def test_two_processes_find_what_one_finds(
    max_listed: int,
    logs: Path,
    policies: list[Policy],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many_alike(logs)
    for number in range(200):
        (logs / f"{number}").touch(0o600 + number % 3)
        (logs / f"d{number}").mkdir()
        (logs / f"d{number}/link").symlink_to("x")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1})
    both = only(audit(policies, max_listed))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0})
    monkeypatch.setattr(os, "fork", None)
    alone = only(audit(policies, max_listed))
    assert without_examples(both) == without_examples(alone)
    assert both["files"][:64] == alone["files"][:64]
    assert alone["totals"] == {
        "files": 2000,
        "directories": 204,
        "others": 200,
        "to_change": alone["totals"]["to_change"],
        "vanished": 0,
    }


@pytest.mark.parametrize("share", [0, 1])
def test_what_stops_one_of_two_processes_stops_the_audit(
    share: int,
    logs: Path,
    policies: list[Policy],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in range(200):
        (logs / f"{number}").mkdir()
    in_share = next(
        each.name for each in sorted(logs.iterdir()) if Share(share, 2).has(each.name)
    )
    for number in range(150):
        (logs / in_share / f"{number}").touch()
    monkeypatch.setattr(_walk, "MAX_ENTRIES", 240)
    with pytest.raises(HostError, match="more than 240 entries"):
        audit(policies, 0)


def test_directory_of_nobody_but_root_is_compliant(site: Path) -> None:
    (site / "logs").mkdir()
    policies = parse_policies([{"path": str(site / "logs"), "writers": ["root"]}], [])
    directory = only(audit(policies, 100))
    assert directory["compliant"]
    assert directory["findings"] == []


def test_file_system(site: Path, mounted: Callable[..., Path]) -> None:
    tmpfs = mounted(site / "tmpfs", "-t", "tmpfs", "-o", "mode=0755", "none")
    (tmpfs / "logs").mkdir()
    subprocess.run(["mount", "-o", "remount,ro", tmpfs], check=True)
    policies = parse_policies([{"path": f"{tmpfs}/logs", "writers": ["root"]}], [])
    directory = only(audit(policies, 100))
    assert directory["filesystem"] == {
        "type": "tmpfs",
        "acl_supported": True,
        "read_only": True,
    }
    assert [(each["code"], each["remedy"]) for each in directory["findings"]] == [
        ("creator_denied", "remount the file system read-write"),
        ("read_only", "remount it read-write"),
    ]


@pytest.mark.parametrize("opens", ["a", "r"])
def test_a_process_of_root_that_writes_where_others_create(
    site: Path, opens: str
) -> None:
    """The directory itself is root's alone, the one below it is not."""
    theirs = site / "logs/theirs"
    theirs.mkdir(parents=True)
    os.chown(theirs, WEB, WEB)
    (theirs / "job.log").touch()
    policies = parse_policies([{"path": f"{site}/logs", "writers": ["64001"]}], [])
    with (theirs / "job.log").open(opens):
        found = running_writers([f"{site}/logs"])
        directory = only(audit(policies, 100, found))
    (told,) = found.writers or (None,)
    untrusted = [
        (each["path"], each["evidence"])
        for each in directory["findings"]
        if each["code"] == "root_writes_untrusted"
    ]
    if opens == "a":
        assert told is not None
        assert untrusted == [("theirs", f"pid {os.getpid()} opens {theirs}/job.log")]
    else:
        assert untrusted == []
