# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Repairs by group, without ACLs, and exact ones, through the modules."""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._identity import (
    Identity,
)
from ansible_collections.logward.permissions.tests.unit import kernel

Params = dict[str, Any]
RunModule = Callable[..., dict[str, Any]]
Listing = Callable[..., dict[str, tuple[Any, ...]]]

WEB, QUEUE, APP = 64001, 64002, 64010


@pytest.fixture
def by_group(params: Params) -> Params:
    """The policy of two writers who are in one group, and have umask 0002."""
    for identity in params["identities"]:
        identity.update(groups=[str(APP)], umask="0002")
    params["directories"][0].update(strategy="group", group=str(APP))
    return params


def own(logs: Path) -> list[Path]:
    return [logs, logs / "app.log", logs / "archive", logs / "archive/old.log"]


def modes(logs: Path) -> list[tuple[int, int, str]]:
    """Return owner, group and mode of what is there."""
    found = [path.stat() for path in own(logs)]
    return [
        (each.st_uid, each.st_gid, f"{each.st_mode & 0o7777:04o}") for each in found
    ]


def attributes(logs: Path) -> dict[str, dict[str, bytes]]:
    """Return the ACLs as the kernel has them; no file system need have any."""
    return {
        str(path): {
            name: os.getxattr(path, name)
            for name in _names(path)
            if name.startswith("system.posix_acl")
        }
        for path in own(logs)
    }


def _names(path: Path) -> list[str]:
    try:
        return os.listxattr(path)
    except OSError:
        return []


def findings(result: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [
        (each["code"], each["subject"], each["remedy"])
        for each in result["directories"][0]["findings"]
    ]


def info(run_module: RunModule, params: Params) -> dict[str, Any]:
    wanted = {key: params[key] for key in ("directories", "identities")}
    return run_module("log_directory_info", {**wanted, "processes": False})


REPAIRED = [
    (WEB, APP, "2775"),
    (WEB, APP, "0664"),
    (WEB, APP, "2775"),
    (WEB, APP, "0664"),
]


@pytest.fixture(params=["tmpfs", "ramfs"])
def place(
    request: pytest.FixtureRequest,
    logs: Path,
    by_group: Params,
    mounted: Callable[..., Path],
) -> Path:
    """The log directory on a file system with ACLs, and on one without."""
    mount = mounted(logs.parent / "mount", "-t", request.param, "none")
    mount.chmod(0o755)
    subprocess.run(["cp", "-a", logs, mount], check=True)
    by_group["directories"][0]["path"] = str(mount / "logs")
    if request.param == "ramfs":
        by_group["directories"][0]["strategy"] = "auto"
    return mount / "logs"


def test_group_lets_all_write_by_mode_alone(
    run_module: RunModule, by_group: Params, place: Path
) -> None:
    announced = run_module("log_directory", by_group, check=True)
    assert modes(place) != REPAIRED
    result = run_module("log_directory", by_group)
    assert modes(place) == REPAIRED
    assert not any(attributes(place).values())
    assert findings(result) == []
    assert (result["diff"], result["changed"]) == (announced["diff"], True)
    times = [path.stat().st_ctime_ns for path in own(place)]
    assert not run_module("log_directory", by_group)["changed"]
    assert [path.stat().st_ctime_ns for path in own(place)] == times
    audit = info(run_module, by_group)
    assert audit["compliant"]
    assert not audit["directories"][0]["changes_needed"]
    assert run_module("log_directory_probe", _probed(by_group))["disagreements"] == []


def _probed(params: Params) -> Params:
    return {key: params[key] for key in ("directories", "identities")}


def test_group_is_taken_back(
    run_module: RunModule, by_group: Params, place: Path
) -> None:
    before = modes(place), attributes(place)
    run_module("log_directory", by_group)
    assert (modes(place), attributes(place)) != before
    back = {key: by_group[key] for key in ("run_id", "journal_dir", "lock_timeout")}
    result = run_module("journal_restore", back)
    assert (modes(place), attributes(place)) == before
    assert result["left_alone"] == []


def test_group_of_the_directory_where_none_is_named(
    run_module: RunModule, by_group: Params, place: Path
) -> None:
    del by_group["directories"][0]["group"]
    os.chown(place, WEB, APP)
    run_module("log_directory", by_group)
    assert modes(place) == REPAIRED


def instead(params: Params) -> str:
    """What a remedy says of entries: where there are none, strategy is auto."""
    if params["directories"][0]["strategy"] == "group":
        return ", or set strategy: acl"
    return ", for ramfs keeps no ACLs"


@pytest.mark.usefixtures("place")
def test_umask_of_a_writer_still_locks_the_others_out(
    run_module: RunModule, by_group: Params
) -> None:
    by_group["identities"][0]["umask"] = "0022"
    (remedy,) = {
        each[2]
        for each in findings(info(run_module, by_group))
        if each[1] == "queue (created by web)"
    }
    assert remedy.startswith("run the remediate playbook, and set the umask of web to")
    result = run_module("log_directory", by_group)
    remedy = f"set the umask of web to 0002 (it is 0022){instead(by_group)}"
    denied = ("next_file_writer_denied", "queue (created by web)", remedy)
    # In the directory and in the one below, which are alike.
    assert findings(result) == [denied]
    assert denied in findings(info(run_module, by_group))
    assert run_module("log_directory_probe", _probed(by_group))["disagreements"] == []


def test_reader_whom_the_group_does_not_let_in(
    run_module: RunModule, by_group: Params, place: Path
) -> None:
    (place / "app.log").chmod(0o640)
    by_group["directories"][0]["readers"] = ["64005"]
    remedy = f"add 64005 to the group {APP}{instead(by_group)}"
    assert findings(run_module("log_directory", by_group)) == [
        ("reader_denied", "64005", remedy)
    ]


def test_default_acl_that_is_there_is_widened_for_the_group(
    run_module: RunModule, by_group: Params, logs: Path
) -> None:
    by_group["identities"][0]["umask"] = "0077"
    subprocess.run(["setfacl", "-dm", "u:64009:r", logs, logs / "archive"], check=True)
    assert findings(run_module("log_directory", by_group)) == []
    (queue, web) = (kernel_identity(QUEUE), kernel_identity(WEB))
    new = str(logs / "new.log")
    answers = kernel.ask_kernel(
        [
            kernel.Question(web, "create", new),
            kernel.Question(queue, "append", new),
            kernel.Question(kernel_identity(64009), "read", new),
            kernel.Question(kernel_identity(64009), "append", new),
        ]
    )
    assert [errno == 0 for errno in answers] == [True, True, True, False]
    assert not run_module("log_directory", by_group)["changed"]


def kernel_identity(uid: int) -> Identity:
    groups = frozenset({APP} if uid in (WEB, QUEUE) else ())
    return Identity(str(uid), str(uid), uid, uid, groups, umask=0o077)


def test_exact_removes_the_entries_that_nobody_named(
    run_module: RunModule, params: Params, logs: Path
) -> None:
    subprocess.run(
        ["setfacl", "-m", "u:64009:rw,g:64008:rw,u:64002:rw", logs / "app.log"],
        check=True,
    )
    subprocess.run(
        ["setfacl", "-m", "u:64009:rwx,d:u:64009:rwx,d:g:64008:rx", logs], check=True
    )
    before = modes(logs), attributes(logs)
    params["directories"][0]["exact"] = True
    (diff,) = run_module("log_directory", params)["diff"]
    shown = diff["before"]
    directory, log = shown.split("app.log")
    access, default = directory.split("default: -")
    assert "user:64009:rwx" in access
    assert "user:64009:rwx" in default
    assert "group:64008:r-x" in default
    assert "user:64009:rw-" in log
    assert "group:64008:rw-" in log
    text = subprocess.run(
        ["getfacl", "-nR", logs], check=True, capture_output=True, text=True
    ).stdout
    assert "64009" not in text
    assert "64008" not in text
    assert "user:64002:rw-" in text
    assert not run_module("log_directory", {**params, "run_id": "run-2"})["changed"]
    back = {key: params[key] for key in ("run_id", "journal_dir", "lock_timeout")}
    run_module("journal_restore", back)
    assert (modes(logs), attributes(logs)) == before


def test_exact_leaves_what_denies(
    run_module: RunModule, params: Params, logs: Path
) -> None:
    subprocess.run(
        ["setfacl", "-m", "u:64009:-,g:64008:w", logs / "app.log"], check=True
    )
    params["directories"][0]["exact"] = True
    run_module("log_directory", params)
    text = subprocess.run(
        ["getfacl", "-n", logs / "app.log"], check=True, capture_output=True, text=True
    ).stdout
    assert "user:64009:---" in text
    assert "group:64008:---" in text
    assert not run_module("log_directory", params)["changed"]


@pytest.mark.parametrize("changes", [{"strategy": "group"}, {"exact": True}])
def test_known_member_of_the_former_group_loses_nothing(
    run_module: RunModule, by_group: Params, logs: Path, changes: Params
) -> None:
    by_group["directories"][0].update({"strategy": "acl", **changes})
    daemon = pwd.getpwnam("daemon")
    (logs / "app.log").chmod(0o640)
    os.chown(logs / "app.log", WEB, daemon.pw_gid)
    result = run_module("log_directory", by_group)
    assert [each["reason"] for each in result["directories"][0]["skipped"]] == [
        "rights_conflict"
    ]
    assert modes(logs)[1] == (WEB, daemon.pw_gid, "0640")
    (remedy,) = {each[2] for each in findings(result) if each[0] == "rights_conflict"}
    assert "name who would lose in the policy" in remedy
    by_group["directories"][0]["readers"] = ["daemon"]
    by_group["identities"].append({"name": "daemon", "groups": [str(APP)]})
    assert findings(run_module("log_directory", by_group)) == []
    assert modes(logs)[1][1] == APP
