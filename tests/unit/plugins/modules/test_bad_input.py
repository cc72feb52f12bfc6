# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What cannot be meant is refused, with a remedy, before anything is touched."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._fs import Tree
from ansible_collections.logward.permissions.plugins.module_utils._journal import (
    Entry,
    Journal,
)

Params = dict[str, Any]
RunModule = Callable[..., dict[str, Any]]
Listing = Callable[..., dict[str, tuple[Any, ...]]]
Untouched = Callable[[], AbstractContextManager[None]]

MODULES = ("log_directory", "log_directory_info")
ALL_MODULES = (*MODULES, "log_directory_probe", "logrotate_stanza")
REPAIR_ONLY = ("run_id", "journal_dir", "lock_timeout")
LOCK_DIRECTORY = Path("/run/logward")


def directory(**changes: Any) -> Callable[[Params], None]:
    """Return what changes the only entry of ``directories``."""
    return lambda params: params["directories"][0].update(changes)


def identity(**changes: Any) -> Callable[[Params], None]:
    """Return what changes the first entry of ``identities``."""
    return lambda params: params["identities"][0].update(changes)


def option(name: str, value: Any) -> Callable[[Params], None]:
    """Return what sets an option of the module."""
    return lambda params: params.update({name: value})


def suffix(text: str) -> Callable[[Params], None]:
    """Return what appends to the path of the only entry of ``directories``."""

    def change(params: Params) -> None:
        params["directories"][0]["path"] += text

    return change


def add_directory(path: str, **more: Any) -> Callable[[Params], None]:
    """Return what declares a second directory, relative to the first."""

    def change(params: Params) -> None:
        first = params["directories"][0]
        params["directories"].append({**first, "path": first["path"] + path, **more})

    return change


def _own_home() -> str:
    """Return a home directory that is not refused for another reason."""
    system = ("/bin", "/dev", "/etc", "/nonexistent", "/proc", "/root", "/run", "/usr")
    homes = [account.pw_dir.rstrip("/") for account in pwd.getpwall()]
    return next(
        home for home in homes if home.count("/") > 1 and not home.startswith(system)
    )


HOME = _own_home()
PATH = "directories[0].path: "
QUOTE = "is not a mode of four octal digits. Quote it in YAML and start it with 0"

#: What is wrong: how the parameters are changed, and what the message must say
#: (option and value, then problem and remedy). {logs} is the log directory.
BAD_POLICY: Mapping[str, tuple[Callable[[Params], None], tuple[str, ...]]] = {
    "relative": (
        directory(path="storage/logs"),
        (PATH, "'storage/logs' is a relative path", "Give an absolute path"),
    ),
    "empty": (directory(path=""), (PATH, "'' is a relative path")),
    "up": (
        suffix("/../logs"),
        (PATH, "'{logs}/../logs' has a .. in it", "without going up"),
    ),
    "root": (directory(path="/"), (PATH, "'/' belongs to the system", "below it")),
    "root, slashes": (directory(path="//"), (PATH, "'/' belongs to the system")),
    "etc": (directory(path="/etc"), (PATH, "'/etc' belongs to the system")),
    "in etc": (directory(path="/etc/apache2"), (PATH, "belongs to the system")),
    "in usr": (directory(path="/usr/lib/x"), (PATH, "belongs to the system")),
    "var log": (
        directory(path="/var//log/."),
        (PATH, "'/var/log' belongs to the system", "the application's own"),
    ),
    "root's own": (directory(path="/root/logs"), (PATH, "belongs to the system")),
    "lock directory": (
        directory(path="/run/logward"),
        (PATH, "'/run/logward' belongs to the system"),
    ),
    "package manager's": (
        directory(path="/var/lib/dpkg/info"),
        (PATH, "belongs to the system"),
    ),
    "home": (
        directory(path=HOME),
        (PATH, f"'{HOME}' is the home directory of ", "Name the log directory in it"),
    ),
    "4,096 bytes": (
        directory(path="/" + "/".join(["d" * 200] * 20) + "/" + "d" * 75),
        (PATH, "over 4095 bytes", "Give the path of a directory"),
    ),
    "NUL": (suffix("\0"), (PATH, "or a NUL in it")),
    "long name": (suffix("/" + "n" * 256), ("{logs}/nnn", "File name too long")),
    "missing": (
        suffix("/new/deep"),
        (
            "directories.path: '{logs}/new/deep' does not exist",
            "there is no {logs}/new",
            "Create it, or set missing: skip",
        ),
    ),
    "file": (
        suffix("/app.log"),
        ("directories.path: '{logs}/app.log' is not a directory", "is a file"),
    ),
    "below a file": (
        suffix("/app.log/x"),
        ("directories.path: ", "'{logs}/app.log/x'", "{logs}/app.log is a file"),
    ),
    "symbolic link": (
        suffix("-link"),
        (
            "directories.path: '{logs}-link' goes through a symbolic link",
            "{logs}-link",
            "Use the resolved path {logs}",
        ),
    ),
    "below a symbolic link": (
        suffix("-link/archive"),
        (
            "directories.path: '{logs}-link/archive' goes through a symbolic link",
            "Use the resolved path {logs}/archive",
        ),
    ),
    "no directory": (
        option("directories", []),
        ("directories: [] names no directory", "Declare at least one"),
    ),
    "no writer": (
        directory(writers=[]),
        ("directories[0].writers: [] names nobody", "Name every identity"),
    ),
    "unknown writer": (
        directory(writers=["web", "no-such-user"]),
        (
            "directories[0].writers: 'no-such-user' is not a user of this host",
            "Create the user, give its number, or correct the name",
        ),
    ),
    "unknown group of writers": (
        directory(writers=["@no-such-group"]),
        ("directories[0].writers: 'no-such-group' is not a group of this host",),
    ),
    "group without a name": (
        directory(writers=["@"]),
        ("directories[0].writers: '' is not a group of this host",),
    ),
    "uid (uid_t)-1": (
        directory(writers=["4294967295"]),
        ("directories[0].writers: '4294967295' is not a user",),
    ),
    "uid of no type": (
        directory(writers=["9" * 30]),
        ("directories[0].writers: '999", "is not a user"),
    ),
    "unknown reader": (
        directory(readers=["no-such-user"]),
        ("directories[0].readers: 'no-such-user' is not a user of this host",),
    ),
    "unknown owner": (
        directory(owner="no-such-user"),
        ("directories[0].owner: 'no-such-user' is not a user of this host",),
    ),
    "owner is a group": (
        directory(owner="@64001"),
        ("directories[0].owner: '@64001' is a group", "Name a user, or set group"),
    ),
    "unknown group": (
        directory(group="no-such-group"),
        ("directories[0].group: 'no-such-group' is not a group of this host",),
    ),
    "strategy of no kind": (
        directory(strategy="nfs4"),
        ("value of strategy must be one of: auto, acl, group", "nfs4"),
    ),
    "exact of no kind": (directory(exact="perhaps"), ("exact", "not a valid boolean")),
    "writer outside of the group": (
        directory(strategy="group", group="64001"),
        (
            "directories[0].writers: 'queue' is not in the group 64001",
            "by which strategy: group lets all write",
            "Add queue to the group 64001, or set strategy: acl",
        ),
    ),
    "group of writers other than the group": (
        directory(strategy="group", group="64001", writers=["web", "@64003"]),
        (
            "directories[0].writers: '@64003' is not in the group 64001",
            "or set strategy: acl",
        ),
    ),
    "reader outside of the group, and other has nothing": (
        directory(
            strategy="group",
            group="64001",
            writers=["web", "root"],
            readers=["queue"],
            other="none",
        ),
        (
            "directories[0].readers: 'queue' is not in the group 64001",
            "by which strategy: group lets all read",
            "Add queue to the group 64001, or set strategy: acl",
        ),
    ),
    "identity of an unknown user": (
        identity(user="no-such-user"),
        ("identities[web].user: 'no-such-user' is not a user of this host",),
    ),
    "identity in an unknown group": (
        identity(group="no-such-group"),
        ("identities[web].group: 'no-such-group' is not a group of this host",),
    ),
    "identity in unknown further groups": (
        identity(groups=["64003", "no-such-group"]),
        ("identities[web].groups: 'no-such-group' is not a group of this host",),
    ),
    "identity that nobody grants anything": (
        lambda params: params["identities"].append({"name": "no-such-user"}),
        ("identities[no-such-user].user: 'no-such-user' is not a user",),
    ),
    "identity twice": (
        lambda params: params["identities"].append({"name": "web", "user": "64009"}),
        ("identities: 'web' is declared twice", "Give each its own name"),
    ),
    "identity like a group": (
        lambda params: params["identities"].append({"name": "@web"}),
        ("identities: '@web' cannot be the name of an identity", "with @"),
    ),
    # What YAML makes of an unquoted 0027.
    "umask as a number": (identity(umask=23), ("identities[web].umask: '23' ", QUOTE)),
    "umask without 0": (identity(umask="027"), ("identities[web].umask: '027'", QUOTE)),
    "umask not octal": (identity(umask="0089"), ("umask: '0089'", QUOTE)),
    "umask, a line": (identity(umask="0027\n"), ("umask: '0027\\n'", QUOTE)),
    "request mode as a number": (
        identity(request_mode=416),
        ("identities[web].request_mode: '416' ", QUOTE),
    ),
    "glob from the root": (
        directory(exclude=["*.gz", "/archive/"]),
        (
            "directories[0].exclude: '/archive' matches nothing",
            "Leave out the leading /",
        ),
    ),
    "glob from here": (
        directory(exclude=["./archive"]),
        (
            "directories[0].exclude: './archive' matches nothing",
            "Leave out the leading ./",
        ),
    ),
    "the same path twice": (
        add_directory("/."),
        ("directories[1].path: '{logs}' is declared twice", "Join the two"),
    ),
    "one path inside another": (
        add_directory("/archive"),
        (
            "directories: '{logs}/archive' lies inside {logs}",
            "Add 'archive' to the exclude of {logs}, or remove one of the two",
        ),
    ),
    "one path inside another, excluded by neither": (
        add_directory("/archive", exclude=["archive"]),
        ("directories: '{logs}/archive' lies inside {logs}",),
    ),
}


@pytest.fixture
def untouched(site: Path, listing: Listing) -> Untouched:
    """Return what fails where its block touches anything that a module could."""

    @contextmanager
    def untouched() -> Iterator[None]:
        before = listing(site, LOCK_DIRECTORY)
        yield
        assert listing(site, LOCK_DIRECTORY) == before

    return untouched


def _only_for(module: str, params: Params) -> Params:
    if module == "log_directory":
        return params
    return {key: value for key, value in params.items() if key not in REPAIR_ONLY}


def _refused(result: Mapping[str, Any], parts: tuple[str, ...], logs: Path) -> None:
    assert result.get("failed"), f"not refused: {result}"
    for part in parts:
        assert part.format(logs=logs) in result["msg"]
    assert "Traceback" not in json.dumps(result)


def test_good_input_changes_the_tree_and_makes_journal_and_lock(
    run_module: RunModule, params: Params, site: Path, logs: Path, listing: Listing
) -> None:
    before = listing(logs)
    result = run_module("log_directory", params)
    assert result["directories"][0]["changed_inodes"] == len(before)
    assert {path for path, state in listing(logs).items() if state != before[path]} == (
        set(before)
    )
    assert (site / "journal/run-1/0001.jsonl").is_file()
    assert (LOCK_DIRECTORY / "lock").is_file()


@pytest.mark.parametrize("module", ALL_MODULES)
@pytest.mark.parametrize(("change", "parts"), BAD_POLICY.values(), ids=BAD_POLICY)
def test_bad_policy(
    run_module: RunModule,
    params: Params,
    logs: Path,
    module: str,
    change: Callable[[Params], None],
    parts: tuple[str, ...],
    untouched: Untouched,
) -> None:
    logs.with_name("logs-link").symlink_to("logs")
    change(params)
    with untouched():
        result = run_module(module, _only_for(module, params))
    _refused(result, parts, logs)


def _make_unsafe(site: Path, place: str) -> None:
    """Make places that are no place for a journal."""
    path = site / place
    if place == "link":
        (site / "target").mkdir(0o700)
        path.symlink_to("target")
    elif place == "file":
        path.write_text("")
    elif place == "theirs":
        path.mkdir(0o700)
        os.chown(path, 64001, 0)
    elif place == "open":
        path.mkdir(0o755)
    elif place == "named":
        path.mkdir(0o700)
        subprocess.run(["setfacl", "-m", "u:64001:rwx,m::rwx", path], check=True)
    else:
        path.mkdir()
        path.chmod({"group": 0o775, "sticky": 0o1777, "world": 0o777}[place])
        os.chown(path, 0, 64001)
        if place == "sticky":
            (path / "theirs").mkdir(0o700)
            os.chown(path / "theirs", 64001, 64001)


#: Options of the repair alone. {site} is the parent of the log directory.
BAD_OPTION: Mapping[str, tuple[str, Any, tuple[str, ...]]] = {
    "run id that goes up": (
        "run_id",
        "../run",
        ("run_id: '../run' is not a run id", "letters, digits, dots"),
    ),
    "run id that is hidden": ("run_id", ".run", ("run_id: '.run' is not a run id",)),
    "run id, a line": ("run_id", "run\n", ("run_id: 'run\\n' is not a run id",)),
    "run id, too long": ("run_id", "r" * 101, ("is not a run id", "at most 100")),
    "lock timeout": (
        "lock_timeout",
        -1,
        ("lock_timeout: -1 is below 0", "0 for none"),
    ),
    "relative journal": (
        "journal_dir",
        "journal",
        ("journal_dir: 'journal' is a relative path", "Give an absolute path"),
    ),
    "journal goes up": (
        "journal_dir",
        "{site}/../journal",
        ("journal_dir: '{site}/../journal' has a .. in it",),
    ),
    "journal in the logs": (
        "journal_dir",
        "{site}/logs//archive/journal",
        (
            "journal_dir: '{site}/logs/archive/journal' lies in the log directory",
            "{site}/logs",
            "Name a directory that is root's alone",
        ),
    ),
    "journal is the logs": (
        "journal_dir",
        "{site}/logs",
        ("journal_dir: '{site}/logs' lies in the log directory",),
    ),
    "logs in the journal": (
        "journal_dir",
        "{site}",
        ("directories: '{site}/logs' is Logward's own", "of the application"),
    ),
    "journal through a link": (
        "journal_dir",
        "{site}/link/journal",
        ("journal_dir: {site}/link cannot be", "Not a directory"),
    ),
    "journal is a link": (
        "journal_dir",
        "{site}/link",
        ("journal_dir: {site}/link cannot be", "Not a directory"),
    ),
    "journal is a file": (
        "journal_dir",
        "{site}/file",
        ("journal_dir: {site}/file cannot be", "Not a directory"),
    ),
    "journal of another": (
        "journal_dir",
        "{site}/theirs",
        ("journal_dir: {site}/theirs", "can be exchanged", "root's alone all the way"),
    ),
    "journal in another's": (
        "journal_dir",
        "{site}/theirs/journal",
        ("journal_dir: {site}/theirs/journal: {site}/theirs can be exchanged",),
    ),
    "journal open to be read": (
        "journal_dir",
        "{site}/open",
        ("journal_dir: {site}/open is open to others", "chmod 0700 {site}/open"),
    ),
    "journal open by ACL": (
        "journal_dir",
        "{site}/named",
        ("journal_dir: {site}/named is open to others", "chmod 0700 {site}/named"),
    ),
    "journal in a group's": (
        "journal_dir",
        "{site}/group/journal",
        ("journal_dir: ", "{site}/group/journal can be exchanged"),
    ),
    "journal in everybody's": (
        "journal_dir",
        "{site}/world/run/journal",
        ("journal_dir: ", "{site}/world/run can be exchanged"),
    ),
    "journal made by another in a sticky directory": (
        "journal_dir",
        "{site}/sticky/theirs",
        ("journal_dir: ", "{site}/sticky/theirs can be exchanged"),
    ),
}


@pytest.mark.parametrize("check", [True, False], ids=["check", "run"])
@pytest.mark.parametrize(
    ("name", "value", "parts"), BAD_OPTION.values(), ids=BAD_OPTION
)
def test_bad_option(
    run_module: RunModule,
    params: Params,
    site: Path,
    name: str,
    value: Any,
    parts: tuple[str, ...],
    check: bool,
    untouched: Untouched,
) -> None:
    if isinstance(value, str) and "{site}" in value:
        value = value.format(site=site)
        place = "/".join(Path(value).relative_to(site).parts[:1])
        if place not in ("", "..", "logs"):
            _make_unsafe(site, place)
    params[name] = value
    with untouched():
        result = run_module("log_directory", params, check=check)
    _refused(result, tuple(part.replace("{site}", str(site)) for part in parts), site)


#: What the options that journal_restore shares with the repair must not be.
ABOUT_THE_LOGS = ("journal in the logs", "journal is the logs", "logs in the journal")
BAD_OPTION_OF_RESTORE = {
    name: case for name, case in BAD_OPTION.items() if name not in ABOUT_THE_LOGS
}


@pytest.mark.parametrize("check", [True, False], ids=["check", "run"])
@pytest.mark.parametrize(
    ("name", "value", "parts"),
    BAD_OPTION_OF_RESTORE.values(),
    ids=BAD_OPTION_OF_RESTORE,
)
def test_bad_option_of_restore(
    run_module: RunModule,
    site: Path,
    name: str,
    value: Any,
    parts: tuple[str, ...],
    check: bool,
    untouched: Untouched,
) -> None:
    params = {"journal_dir": f"{site}/journal", name: value}
    if name == "journal_dir" and "{site}" in value:
        params[name] = value.format(site=site)
        place = "/".join(Path(params[name]).relative_to(site).parts[:1])
        if place != "..":
            _make_unsafe(site, place)
    with untouched():
        result = run_module("journal_restore", params, check=check)
    _refused(result, tuple(part.replace("{site}", str(site)) for part in parts), site)


@pytest.mark.parametrize("check", [True, False], ids=["check", "run"])
@pytest.mark.parametrize("run_id", ["latest", "run-2"])
def test_run_that_does_not_exist(
    run_module: RunModule,
    params: Params,
    site: Path,
    check: bool,
    run_id: str,
    untouched: Untouched,
) -> None:
    wanted = {"journal_dir": params["journal_dir"], "run_id": run_id}
    with untouched():
        result = run_module("journal_restore", wanted, check=check)
    missing = f"run_id: '{run_id}' is not in {site}/journal of this host. "
    _refused(result, (missing + "It has no run at all",), site)
    assert result["run_missing"] is True
    assert not run_module("log_directory", params).get("failed")
    if run_id == "run-2":
        with untouched():
            result = run_module("journal_restore", wanted, check=check)
        _refused(result, (missing + "Name one of run-1",), site)
        assert result["run_missing"] is True


def test_name_that_no_run_may_have(
    run_module: RunModule, params: Params, site: Path, untouched: Untouched
) -> None:
    with untouched():
        result = run_module("log_directory", {**params, "run_id": "latest"})
    parts = ("run_id: 'latest' is what the newest run is called", "Choose another name")
    _refused(result, parts, site)


def test_restore_that_is_not_root(
    run_module: RunModule, params: Params, site: Path, untouched: Untouched
) -> None:
    run_module("log_directory", params)
    with untouched():
        result = _as_nobody(
            run_module, "journal_restore", {"journal_dir": params["journal_dir"]}
        )
    _refused(result, ("needs root, and runs as nobody", "Set become: true"), site)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("log_directory_info", "max_listed"),
        ("log_directory_probe", "max_probed"),
        ("log_directory", "journal_keep"),
        ("log_directory", "journal_keep_days"),
        ("logrotate_stanza", "journal_keep"),
        ("logrotate_stanza", "journal_keep_days"),
    ],
)
def test_negative_count(
    run_module: RunModule,
    params: Params,
    logs: Path,
    untouched: Untouched,
    module: str,
    name: str,
) -> None:
    with untouched():
        result = run_module(module, {**_only_for(module, params), name: -1})
    _refused(result, (f"{name}: -1 is below 0", "Give 0 for none, or more"), logs)


@pytest.mark.parametrize("module", MODULES)
def test_missing_directory_may_be_skipped(
    run_module: RunModule, params: Params, logs: Path, module: str, listing: Listing
) -> None:
    params["directories"][0].update(path=f"{logs}/new/deep", missing="skip")
    before = listing(logs.parent)
    result = run_module(module, _only_for(module, params))
    assert listing(logs.parent) == before
    assert not result["changed"]
    entry = result["directories"][0]
    assert [finding["code"] for finding in entry["findings"]] == ["missing_directory"]


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize(
    "outer", [{"recurse": False}, {"exclude": ["arch*"]}], ids=["flat", "excluded"]
)
def test_one_path_inside_another_that_leaves_it_alone(
    run_module: RunModule, params: Params, module: str, outer: Params
) -> None:
    add_directory("/archive")(params)
    params["directories"][0].update(outer)
    result = run_module(module, _only_for(module, params))
    assert not result.get("failed"), result["msg"]
    # In logs: the directory and app.log (and archive, if it is only not entered).
    assert len(result["directories"]) == 2


@pytest.mark.parametrize(
    ("strategy", "parts"),
    [
        (
            "acl",
            (
                "The file system keeps no POSIX ACLs",
                "directories.strategy: 'acl' needs them: {logs}",
                "set strategy: group, mount it with ACLs",
            ),
        ),
        (
            "auto",
            (
                "The file system keeps no POSIX ACLs: {logs}",
                "directories.writers: 'queue' is not in the group 64001",
                "add queue to the group 64001, mount it with ACLs",
            ),
        ),
    ],
)
def test_file_system_without_acls(
    run_module: RunModule,
    params: Params,
    site: Path,
    mounted: Callable[..., Path],
    untouched: Untouched,
    strategy: str,
    parts: tuple[str, ...],
) -> None:
    params["directories"][0]["strategy"] = strategy
    path = mounted(site / "ramfs", "-t", "ramfs", "none") / "logs"
    path.mkdir()
    os.chown(path, 64001, 64001)
    params["directories"][0]["path"] = str(path)
    with untouched():
        result = run_module("log_directory", params)
    _refused(result, parts, path)
    info = run_module("log_directory_info", _only_for("log_directory_info", params))
    findings = info["directories"][0]["findings"]
    assert "acl_unsupported" in [finding["code"] for finding in findings]
    assert not info["compliant"]


#: What only the directory decides, which is web's and has mode 0750.
UNFIT: Mapping[str, tuple[Params, str]] = {
    "writer": ({}, "directories.writers: 'queue' is not in the group 64001"),
    "reader": (
        {"writers": ["web"], "readers": ["queue"]},
        "directories.readers: 'queue' is not in the group 64001",
    ),
    "reader, group": (
        {"writers": ["web"], "readers": ["queue"], "group": "64001"},
        "directories.readers: 'queue' is not in the group 64001",
    ),
}


@pytest.mark.parametrize("check", [True, False], ids=["check", "run"])
@pytest.mark.parametrize(("changes", "problem"), UNFIT.values(), ids=UNFIT)
def test_directory_whose_group_does_not_fit(
    run_module: RunModule,
    params: Params,
    logs: Path,
    untouched: Untouched,
    changes: Params,
    problem: str,
    check: bool,
) -> None:
    logs.chmod(0o750)
    params["directories"][0].update(changes, strategy="group")
    with untouched():
        result = run_module("log_directory", params, check=check)
    remedy = "add queue to the group 64001, or set strategy: acl"
    _refused(result, (problem, "{logs}", remedy), logs)
    info = run_module("log_directory_info", _only_for("log_directory_info", params))
    findings = info["directories"][0]["findings"]
    assert remedy in [
        each["remedy"] for each in findings if each["code"] == "group_unfit"
    ]


@pytest.mark.parametrize("check", [True, False], ids=["check", "run"])
def test_file_system_that_is_read_only(
    run_module: RunModule,
    params: Params,
    site: Path,
    mounted: Callable[..., Path],
    untouched: Untouched,
    check: bool,
) -> None:
    tmpfs = mounted(site / "tmpfs", "-t", "tmpfs", "-o", "mode=0755", "none")
    (tmpfs / "logs").mkdir()
    os.chown(tmpfs / "logs", 64001, 64001)
    subprocess.run(["mount", "-o", "remount,ro", tmpfs], check=True)
    params["directories"][0]["path"] = f"{tmpfs}/logs"
    with untouched():
        result = run_module("log_directory", params, check=check)
    parts = ("is mounted read-only: {logs}", "remount it read-write")
    _refused(result, parts, tmpfs / "logs")


@pytest.mark.parametrize("check", [True, False], ids=["check", "run"])
def test_one_directory_by_two_paths(
    run_module: RunModule,
    params: Params,
    site: Path,
    logs: Path,
    mounted: Callable[..., Path],
    untouched: Untouched,
    check: bool,
) -> None:
    """Two policies for it would undo each other in every run."""
    there = mounted(site / "there", "--bind", str(logs))
    first = params["directories"][0]
    params["directories"].append({**first, "path": str(there), "group": "64003"})
    with untouched():
        result = run_module("log_directory", params, check=check)
    problem = f"directories: '{there}' is the same directory as {logs}. Join the two"
    _refused(result, (problem,), logs)


@pytest.fixture
def before_changing(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that acts once, when a path is recorded and not changed."""

    def install(path: Path, act: Callable[[], object]) -> None:
        real, once = Journal.record, iter([act])

        def record(journal: Journal, entries: Sequence[Entry]) -> None:
            real(journal, entries)
            if any(entry.path == str(path) for entry in entries):
                for each in once:
                    each()

        monkeypatch.setattr(Journal, "record", record)

    return install


def test_journal_directory_that_fills_up(
    run_module: RunModule,
    params: Params,
    logs: Path,
    mounted: Callable[..., Path],
    listing: Listing,
) -> None:
    journal = Path(params["journal_dir"])
    journal.mkdir(0o700)
    mounted(journal, "-t", "tmpfs", "-o", "mode=0700,size=16k", "none")
    for number in range(200):
        (logs / f"{number}.log").touch()
        os.chown(logs / f"{number}.log", 64001, 64001)
    before = listing(logs)
    result = run_module("log_directory", params)
    parts = (
        f"the journal in {journal}/run-1 cannot be written (No space left on device)",
        "so nothing more was changed",
        "Make room or repair the disk, then run again",
    )
    _refused(result, parts, logs)
    changed = {path for path, state in listing(logs).items() if state != before[path]}
    restore = {"journal_dir": str(journal)}
    result = run_module("journal_restore", restore)
    if result.get("failed"):  # nor is there room for the journal of that
        _refused(result, ("cannot be written", "Make room"), logs)
    subprocess.run(["mount", "-o", "remount,size=8m", journal], check=True)
    assert len(changed) < len(before)
    assert not run_module("journal_restore", restore).get("failed")
    restored = listing(logs)
    # All but ctime, which nobody can set.
    assert {path: (*each[:6], each[7]) for path, each in restored.items()} == {
        path: (*each[:6], each[7]) for path, each in before.items()
    }
    assert run_module("log_directory", params)["changed"]


def _in_memory(site: Path, mounted: Callable[..., Path], params: Params) -> Path:
    """Have the logs on a file system of their own, with one file."""
    place = mounted(site / "tmpfs", "-t", "tmpfs", "-o", "mode=0755", "none")
    logs = place / "logs"
    logs.mkdir()
    (logs / "app.log").touch(0o640)
    for path in (logs, logs / "app.log"):
        os.chown(path, 64001, 64001)
    params["directories"][0]["path"] = str(logs)
    return logs


def test_file_system_that_becomes_read_only_meanwhile(
    run_module: RunModule,
    params: Params,
    site: Path,
    mounted: Callable[..., Path],
    before_changing: Callable[..., None],
) -> None:
    logs = _in_memory(site, mounted, params)
    remount = ["mount", "-o", "remount,ro", str(logs.parent)]
    before_changing(logs / "app.log", lambda: subprocess.run(remount, check=True))
    result = run_module("log_directory", params)
    parts = (
        "{logs}/app.log could not be changed: Read-only file system",
        "What was done before stays and is in the journal; running again finishes it",
    )
    _refused(result, parts, logs)
    result = run_module("log_directory", params)
    _refused(result, ("is mounted read-only: {logs}", "remount it read-write"), logs)
    subprocess.run(["mount", "-o", "remount,rw", logs.parent], check=True)
    result = run_module("log_directory", params)
    assert result["directories"][0]["changed_inodes"] == 1


def test_file_system_that_is_mounted_over_the_logs_meanwhile(
    run_module: RunModule,
    params: Params,
    site: Path,
    mounted: Callable[..., Path],
    before_changing: Callable[..., None],
) -> None:
    logs = _in_memory(site, mounted, params)

    def mount() -> None:
        mounted(logs, "-t", "tmpfs", "-o", "mode=0755,uid=64001", "none")

    before_changing(logs / "app.log", mount)
    result = run_module("log_directory", params)
    parts = (
        "{logs}: a file system was mounted or unmounted here meanwhile",
        "Run again for what is here now",
    )
    _refused(result, parts, logs)
    result = run_module("log_directory", params)
    assert result["directories"][0]["changed_inodes"] == 1


DAY = 86_400


@pytest.fixture
def jump(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return a function that sets the clock of this process that many seconds on.

    Not the machine's, which is everybody's. So no file has a time of that clock.
    """
    real, real_ns = time.time, time.time_ns
    offset = [0.0]
    monkeypatch.setattr(time, "time", lambda: real() + offset[0])
    monkeypatch.setattr(time, "time_ns", lambda: real_ns() + int(offset[0] * 10**9))

    def jump(seconds: float) -> None:
        offset[0] += seconds

    return jump


def _changes(run_module: RunModule, params: Params, logs: Path, run_id: str) -> None:
    """Repair a file that appeared, as the run ``run_id``."""
    log = logs / f"{run_id}.log"
    log.touch(0o640)
    os.chown(log, 64001, 64001)
    result = run_module("log_directory", {**params, "run_id": run_id})
    assert result["changed"], result


@pytest.mark.parametrize("seconds", [-400 * DAY, -1, -0.0001, 1, 30 * DAY])
def test_clock_that_jumps_between_runs(
    run_module: RunModule,
    params: Params,
    logs: Path,
    jump: Callable[[float], None],
    seconds: float,
) -> None:
    restore = {"journal_dir": params["journal_dir"]}
    _changes(run_module, params, logs, "run-1")
    for run_id in ("run-2", "run-3"):
        jump(seconds)
        _changes(run_module, params, logs, run_id)
        assert run_module("journal_restore", restore, check=True)["run_id"] == run_id
    jump(-2 * seconds)
    _changes(run_module, params, logs, "run-4")
    assert run_module("journal_restore", restore, check=True)["run_id"] == "run-4"
    # The oldest are those that were made first, not those with the oldest clock.
    _changes(run_module, {**params, "journal_keep": 2}, logs, "run-5")
    left = sorted(os.listdir(params["journal_dir"]))
    assert left == ["run-4", "run-5"]
    result = run_module("journal_restore", restore)
    assert (result["run_id"], result["restored"]) == ("run-5", 1)


def test_clock_that_jumps_beyond_the_age_of_all_runs(
    run_module: RunModule, params: Params, logs: Path, jump: Callable[[float], None]
) -> None:
    journal_dir = params["journal_dir"]
    _changes(run_module, params, logs, "run-1")
    jump(1000 * DAY)
    _changes(run_module, params, logs, "run-2")
    jump(-1000 * DAY)
    _changes(run_module, params, logs, "run-3")
    # By the clock of run-2 all others are too old; it was wrong only for once.
    assert sorted(os.listdir(journal_dir)) == ["run-1", "run-2", "run-3"]
    jump(1000 * DAY)
    _changes(run_module, params, logs, "run-4")
    jump(DAY)
    _changes(run_module, params, logs, "run-5")
    # It was right after all.
    assert "run-1" not in os.listdir(journal_dir)
    restore = {"journal_dir": journal_dir}
    assert run_module("journal_restore", restore)["run_id"] == "run-5"


@pytest.mark.parametrize("seconds", [-1000 * DAY, -1, 1, 1000 * DAY])
@pytest.mark.parametrize("where", ["logs", "app.log"])
def test_clock_that_jumps_during_a_run(
    run_module: RunModule,
    params: Params,
    logs: Path,
    jump: Callable[[float], None],
    before_changing: Callable[..., None],
    seconds: float,
    where: str,
) -> None:
    recorded = logs if where == "logs" else logs / where
    before_changing(recorded, lambda: jump(seconds))
    result = run_module("log_directory", params)
    assert result["directories"][0]["changed_inodes"] == 4
    assert not run_module("log_directory", {**params, "run_id": "run-2"})["changed"]
    restore = {"journal_dir": params["journal_dir"]}
    result = run_module("journal_restore", restore)
    assert (result["run_id"], result["restored"]) == ("run-1", 4)


@pytest.mark.parametrize("check", [True, False], ids=["check", "run"])
def test_lock_directory_of_another(
    run_module: RunModule, params: Params, untouched: Untouched, check: bool
) -> None:
    LOCK_DIRECTORY.mkdir(0o700, exist_ok=True)
    os.chown(LOCK_DIRECTORY, 64001, 64001)
    try:
        with untouched():
            result = run_module("log_directory", params, check=check)
    finally:
        os.chown(LOCK_DIRECTORY, 0, 0)
    _refused(result, ("/run/logward can be exchanged by others",), Path())


@pytest.mark.parametrize("module", ALL_MODULES)
def test_disk_that_fails(
    run_module: RunModule,
    params: Params,
    logs: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
) -> None:
    def observe(_tree: Tree) -> None:
        raise OSError(5, "Input/output error", str(logs))

    monkeypatch.setattr(Tree, "observe", observe)
    result = run_module(module, _only_for(module, params))
    _refused(result, ("Input/output error", "{logs}"), logs)


@contextmanager
def another_process(script: str, *arguments: str) -> Iterator[int]:
    """Run Python in a process of its own until the block ends; yield its pid.

    The script prints a line when it is ready.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", script + "\nprint(flush=True)\ninput()", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        yield process.pid
    finally:
        process.communicate(b"\n")
    assert process.returncode == 0


KEEP_OPEN = "import sys\nlog = open(sys.argv[1], sys.argv[2])"


def test_directory_where_a_daemon_of_root_keeps_its_log(
    run_module: RunModule,
    params: Params,
    logs: Path,
    untouched: Untouched,
) -> None:
    os.chown(logs, 0, 0)
    params["directories"][0]["writers"] = ["web"]
    daemon = another_process(KEEP_OPEN, str(logs / "archive/old.log"), "a")
    with daemon, untouched():
        result = run_module("log_directory", params)
        _refused(
            result,
            (
                "Root's processes keep their logs here",
                "{logs}",
                "give the application a log directory of its own",
            ),
            logs,
        )
        info = run_module("log_directory_info", _only_for("log_directory_info", params))
        findings = info["directories"][0]["findings"]
        assert "root_daemon_directory" in [finding["code"] for finding in findings]


def test_process_of_root_that_only_reads_is_none_of_these(
    run_module: RunModule, params: Params, logs: Path
) -> None:
    os.chown(logs, 0, 0)
    with another_process(KEEP_OPEN, str(logs / "app.log"), "r"):
        result = run_module("log_directory", params)
    assert result["changed"]


HOLD_LOCK = """
import sys
from ansible_collections.logward.permissions.plugins.module_utils._lock import host_lock
lock = host_lock(sys.argv[1], 0)
lock.__enter__()
"""


def test_lock_that_another_run_holds(
    run_module: RunModule, params: Params, logs: Path, listing: Listing
) -> None:
    before = listing(logs)
    with another_process(HOLD_LOCK, "the-other-run") as pid:
        result = run_module("log_directory", params)
    _refused(
        result,
        (
            f"another run holds the lock of this host (pid {pid}, run the-other-run)",
            "did not end within 0 s",
            "raise lock_timeout",
        ),
        logs,
    )
    assert listing(logs) == before
    assert not Path(params["journal_dir"]).exists()
    assert not run_module("log_directory", params).get("failed")


def _as_nobody(run_module: RunModule, module: str, params: Params) -> dict[str, Any]:
    """Run a module in a child that is nobody."""
    receiving, sending = os.pipe()
    pid = os.fork()
    if not pid:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        result = run_module(module, params)
        os.write(sending, json.dumps(result).encode())
        os._exit(0)
    os.close(sending)
    with open(receiving, encoding="utf-8") as stream:
        answer = stream.read()
    os.waitpid(pid, 0)
    result = json.loads(answer)
    assert isinstance(result, dict)
    return result


@pytest.mark.parametrize("module", ["log_directory", "log_directory_probe"])
def test_not_root(
    run_module: RunModule,
    params: Params,
    module: str,
    logs: Path,
    untouched: Untouched,
) -> None:
    wanted = _only_for(module, params)
    assert not run_module(module, wanted, check=True).get("failed")
    with untouched():
        result = _as_nobody(run_module, module, wanted)
    _refused(result, ("needs root, and runs as nobody", "Set become: true"), logs)
