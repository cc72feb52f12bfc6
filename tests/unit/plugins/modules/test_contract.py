# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module promises: its return values, check mode, a second run."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Callable

import pytest
import yaml

from ansible_collections.logward.permissions.plugins.module_utils import _probe
from ansible_collections.logward.permissions.plugins.module_utils._acl import (
    Acl,
    decode,
    from_mode,
    to_lines,
)
from ansible_collections.logward.permissions.plugins.module_utils._fs import _inode
from ansible_collections.logward.permissions.plugins.module_utils._managers._conflicts import (
    Managers,
)
from ansible_collections.logward.permissions.plugins.module_utils._managers._logrotate import (
    Logrotate,
)
from ansible_collections.logward.permissions.plugins.module_utils._managers._logrotate_conf import (
    read as read_logrotate,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers import (
    _daemons,
)
from ansible_collections.logward.permissions.plugins.modules import log_directory_info

Params = dict[str, Any]
RunModule = Callable[..., dict[str, Any]]
Listing = Callable[..., dict[str, tuple[Any, ...]]]

#: What Ansible documents for all modules ("Common return values").
COMMON = {"changed", "diff", "invocation"}
EXISTS = "when the directory exists and may be read"
ALWAYS = frozenset(["success"])
TYPES: dict[str, type[Any]] = {
    "str": str,
    "int": int,
    "bool": bool,
    "list": list,
    "dict": dict,
}
WEIRD = b"line\nbreak \xff.log"


def documented(module: str) -> dict[str, Any]:
    """Return a module's RETURN section."""
    collection = "ansible_collections.logward.permissions.plugins.modules"
    loaded = yaml.safe_load(import_module(f"{collection}.{module}").RETURN)
    assert isinstance(loaded, dict)
    return loaded


def violations(
    specs: Mapping[str, Any],
    values: Mapping[str, Any],
    required: frozenset[str],
    where: str = "",
) -> Iterator[str]:
    """Yield how values differ from their documentation.

    ``required`` are the conditions (``returned:``) that are known to hold.
    """
    for key in values.keys() - specs.keys():
        yield f"{where}{key} is not documented"
    for key, spec in specs.items():
        if key in values:
            yield from _violations_of(spec, values[key], required, f"{where}{key}")
        elif spec["returned"] in required:
            yield f"{where}{key} is missing"


def _violations_of(
    spec: Mapping[str, Any], value: Any, required: frozenset[str], where: str
) -> Iterator[str]:
    if value is None:
        if "V(null)" not in str(spec["description"]):
            yield f"{where} is null, and is documented never to be"
        return
    if value.__class__ is not TYPES[spec["type"]]:
        yield f"{where} is {value!r}, not of type {spec['type']}"
        return
    items = value if spec["type"] == "list" else [value]
    element = spec["elements"] if spec["type"] == "list" else spec["type"]
    for item in items:
        if item.__class__ is not TYPES[element]:
            yield f"{where} has {item!r}, not of type {element}"
        elif element == "dict":
            yield from violations(spec["contains"], item, required, f"{where}.")


@pytest.mark.parametrize(
    ("spec", "value", "problem"),
    [
        ({"type": "str", "returned": "success"}, "x", None),
        ({"type": "str", "returned": "success"}, 1, "k is 1, not of type str"),
        ({"type": "int", "returned": "success"}, True, "k is True, not of type int"),
        ({"type": "str", "returned": "success"}, None, "k is null"),
        ({"type": "str", "returned": "success", "description": "V(null)"}, None, None),
        (
            {"type": "list", "elements": "int", "returned": "success"},
            [1, "2"],
            "k has '2', not of type int",
        ),
        (
            {
                "type": "list",
                "elements": "dict",
                "returned": "success",
                "contains": {"a": {"type": "int", "returned": "success"}},
            },
            [{"a": 1}, {"b": 1}],
            "k.b is not documented; k.a is missing",
        ),
        (
            {"type": "dict", "returned": "success", "contains": {}},
            {"a": 1},
            "k.a is not documented",
        ),
    ],
)
def test_violations(spec: Params, value: Any, problem: str | None) -> None:
    found = list(violations({"k": {"description": "", **spec}}, {"k": value}, ALWAYS))
    assert "; ".join(found).startswith(problem) if problem else found == []


@contextmanager
def writing(log: Path, umask: int) -> Iterator[int]:
    """Have a process of queue's hold a log open for writing; yield its pid."""
    queue = ["--reuid", "64002", "--regid", "64002", "--clear-groups"]
    with log.open("a") as file:
        process = subprocess.Popen(
            ["setpriv", *queue, "sleep", "600"], stdout=file, umask=umask
        )
    with process:
        # setpriv has done its part when it is another program.
        while Path(f"/proc/{process.pid}/comm").read_text() != "sleep\n":
            assert process.poll() is None
            time.sleep(0.01)
        yield process.pid
        process.kill()


@pytest.fixture
def rich(params: Params, logs: Path, site: Path) -> Iterator[Params]:
    """The parameters of a module call that has something of everything to say."""
    (logs / "link").symlink_to("app.log")
    os.mkfifo(logs / "fifo")
    os.link(logs / "app.log", logs / "hard")
    for name, uid in ((b"foreign.log", 64009), (WEIRD, 64001), (b"work.log", 64002)):
        path = os.path.join(os.fsencode(logs), name)
        Path(os.fsdecode(path)).write_text("")
        os.chown(path, uid, uid)
    subprocess.run(
        ["setfacl", "-m", "u:64009:rw,g:64003:rw,m::r", logs / "work.log"], check=True
    )
    weird = Path(os.fsdecode(os.path.join(os.fsencode(site), WEIRD)))
    weird.mkdir()
    os.chown(weird, 64001, 64001)
    params["directories"][0].update(readers=["@64003", "auditor"], group="64003")
    params["directories"] += [
        {"path": str(weird), "writers": ["web", "64002"], "other": "none"},
        {"path": f"{site}/new", "writers": ["web"], "missing": "skip"},
    ]
    params["identities"] += [
        {"name": "auditor", "user": "64005", "groups": ["64003", "64004"]},
        # Cannot create a file whose group may do anything.
        {"name": "worker", "user": "64006", "umask": "0077", "request_mode": "0600"},
    ]
    # One that runs as declared, and one that does not.
    with writing(logs / "app.log", 0o022), writing(logs / "work.log", 0o077):
        yield params


@pytest.fixture
def aliased(params: Params) -> Params:
    """A policy that names uids and groups which declared identities have, too."""
    params["directories"][0].update(writers=["web", "64002"], readers=["@64003"])
    params["identities"].append(
        {"name": "shipper", "user": "64005", "groups": ["64003"]}
    )
    return params


def test_identity_that_shares_a_uid_or_group_with_a_named_one(
    run_module: RunModule, aliased: Params
) -> None:
    result = run_module("log_directory", aliased)
    assert result["directories"][0]["changed_inodes"] == 4
    assert result["directories"][0]["skipped"] == []


def _info(params: Params) -> Params:
    return {key: params[key] for key in ("directories", "identities")}


def test_return_values_of_log_directory(run_module: RunModule, rich: Params) -> None:
    specs = documented("log_directory")
    for check in (True, False, True, False):
        result = run_module("log_directory", rich, check=check)
        values = {key: result[key] for key in result.keys() - COMMON}
        assert list(violations(specs, values, ALWAYS)) == []
        first, weird, missing = result["directories"]
        assert {each["reason"] for each in first["skipped"]} == {
            "foreign_owner",
            "hard_link",
            "special_file",
            "symbolic_link",
        }
        assert weird["path"].endswith("/line\\nbreak \\xff.log")
        assert os.fsencode(rich["directories"][1]["path"]) == base64.b64decode(
            weird["path_b64"]
        )
        assert [each["reason"] for each in missing["skipped"]] == ["missing_directory"]
        assert isinstance(result["changed"], bool)


def test_return_values_of_log_directory_info(
    run_module: RunModule, rich: Params
) -> None:
    specs = documented("log_directory_info")
    result = run_module("log_directory_info", _info(rich))
    *existing, missing = result["directories"]
    assert not {"default_acl", "files", "next_file", "totals"} & missing.keys()
    values = {key: result[key] for key in result.keys() - COMMON}
    assert list(violations(specs, values, ALWAYS)) == []
    values["directories"] = existing
    assert list(violations(specs, values, ALWAYS | {EXISTS})) == []
    # What nothing is said of is not checked above.
    for entry in existing:
        assert entry["findings"]
        assert entry["next_file"]
        assert entry["identities"]
    files = {each["path"]: each for each in existing[0]["files"]}
    assert files["line\\nbreak \\xff.log"]["path_b64"] == (
        base64.b64encode(WEIRD).decode()
    )
    assert files["archive/old.log"]["access"]
    pids = {each["id"]: each["pids"] for each in existing[0]["identities"]}
    assert len(pids["queue"]) == 1
    assert [each for each in pids if pids[each]] == [
        "queue",
        "process:sleep:64002:0077:64002",
    ]
    assert result["findings_total"] == sum(
        len(each["findings"]) for each in result["directories"]
    )


@pytest.mark.parametrize("su", ["", "su root adm", "su games games"])
def test_return_values_where_logrotate_makes_the_next_file(
    run_module: RunModule, rich: Params, tmp_path: Path, su: str, monkeypatch: Any
) -> None:
    logs = rich["directories"][0]["path"]
    stanza = f"{logs}/app.log {{\n create 0640 root adm\n {su}\n}}\n"
    configuration = tmp_path / "logrotate.conf"
    configuration.write_text(stanza)
    configuration.chmod(0o644)
    logrotate = Logrotate(read_logrotate("/", str(configuration)), "at midnight")
    monkeypatch.setattr(
        log_directory_info, "read_managers", lambda: Managers((logrotate,))
    )
    result = run_module("log_directory_info", _info(rich))
    values = {key: result[key] for key in result.keys() - COMMON}
    specs = documented("log_directory_info")
    assert list(violations(specs, values, ALWAYS)) == []
    *_writers, row = result["directories"][0]["next_file"]
    required = ALWAYS | {"for a manager"}
    fields = specs["directories"]["contains"]["next_file"]["contains"]
    assert list(violations(fields, row, required)) == []
    assert row["creator"] == "manager:logrotate"
    assert row["origin"] == f"{configuration}:1"
    assert (row["mode"] is None) == (su == "su games games")
    codes = {each["code"] for each in result["directories"][0]["findings"]}
    assert ("logrotate_locks_out" in codes) == (su != "su games games")
    assert ("logrotate_su_denied" in codes) == (su == "su games games")
    without = run_module("log_directory_info", {**_info(rich), "conflicts": False})
    assert "logrotate" not in str(without["directories"][0])


def test_return_values_of_logrotate_stanza(
    run_module: RunModule, params: Params, logs: Path, tmp_path: Path
) -> None:
    configuration = tmp_path / "logrotate.conf"
    configuration.write_text(f"{logs}/app.log {{\n create 0600 root adm\n}}\n")
    configuration.chmod(0o644)
    params["directories"][0]["writers"] = ["www-data", "root"]
    wanted = {
        **_info(params),
        "configuration": str(configuration),
        "run_id": "stanza",
        "journal_dir": params["journal_dir"],
        "lock_timeout": 0,
    }
    specs = documented("logrotate_stanza")
    for check, changed in ((True, True), (False, True), (True, False), (False, False)):
        result = run_module("logrotate_stanza", wanted, check=check)
        assert result["changed"] is changed
        values = {key: result[key] for key in result.keys() - COMMON}
        assert list(violations(specs, values, ALWAYS)) == []
        assert result["directories"][0]["stanzas"]
        assert bool(result["files"]) is bool(result["diff"]) is changed


def test_return_values_where_a_security_module_decides(
    run_module: RunModule, rich: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A stand-in: no kernel that tests run on enforces a policy on them.
    monkeypatch.setattr(log_directory_info, "enforced_on_all", lambda: "SELinux")
    monkeypatch.setattr(_probe, "enforced_on_all", lambda: "SELinux")
    for module in ("log_directory_info", "log_directory_probe"):
        result = run_module(module, _info(rich))
        values = {key: result[key] for key in result.keys() - COMMON}
        assert list(violations(documented(module), values, ALWAYS)) == []
        if module == "log_directory_info":
            first = result["directories"][0]
            rows = [row for file in first["files"] for row in file["access"]]
            rows += first["next_file"]
            assert {(None, "unknown_lsm")} == {
                (row["allowed"], row["reason"])
                for row in rows
                if row["allowed"] is not False
            }
            codes = [each["code"] for each in first["findings"]]
            assert codes.count("access_unknown") == 1
        else:
            assert {each["predicted"] for each in result["probes"]} == {None, False}


def test_return_values_of_log_directory_probe(
    run_module: RunModule, rich: Params
) -> None:
    specs = documented("log_directory_probe")
    skipped = run_module("log_directory_probe", _info(rich), check=True)
    assert {key: skipped[key] for key in skipped.keys() - COMMON} == {"skipped": True}
    result = run_module("log_directory_probe", _info(rich))
    values = {key: result[key] for key in result.keys() - COMMON}
    required = ALWAYS | {"when not in check mode"}
    assert list(violations(specs, values, required)) == []
    weird = {
        "path": "line\\nbreak \\xff.log",
        "path_b64": base64.b64encode(WEIRD).decode(),
    }
    assert any(weird.items() <= each.items() for each in result["probes"])
    assert {each["allowed"] for each in result["probes"]} == {True, False}
    created = [each for each in result["probes"] if "access_acl" in each]
    assert {each["operation"] for each in created} == {"create"}
    assert result["disagreements"] == []


def test_return_values_of_journal_restore(
    run_module: RunModule, rich: Params, logs: Path
) -> None:
    specs = documented("journal_restore")
    wanted = {"journal_dir": rich["journal_dir"], "lock_timeout": 0}
    weird = Path(os.fsdecode(os.path.join(os.fsencode(logs), WEIRD)))
    run_module("log_directory", rich)
    (logs / "archive/old.log").chmod(0o600)
    weird.rename(logs / "elsewhere")
    for check in (True, False, True, False):
        result = run_module("journal_restore", wanted, check=check)
        values = {key: result[key] for key in result.keys() - COMMON}
        restored = not check and result["changed"]
        conditions = {"when something was restored"} if restored else set()
        assert list(violations(specs, values, ALWAYS | conditions)) == []
        assert ("restore_run_id" in values) is restored
        assert {each["reason"]: each["path"] for each in result["left_alone"]} == {
            "changed_since": f"{logs}/archive/old.log",
            "vanished": f"{logs}/line\\nbreak \\xff.log",
        }
        json.dumps(result, ensure_ascii=False).encode("utf-8")
    assert not run_module("journal_restore", wanted)["changed"]
    missing = run_module("journal_restore", {**wanted, "run_id": "run-2"})
    assert missing["failed"]
    values = {key: missing[key] for key in missing.keys() - COMMON - {"msg", "failed"}}
    assert list(violations(specs, values, frozenset())) == []


def test_every_source_of_an_identity_is_documented(
    run_module: RunModule, rich: Params
) -> None:
    result = run_module("log_directory_info", _info(rich))
    seen = {
        each["source"]
        for entry in result["directories"][:2]
        for each in entry["identities"]
    }
    described = str(
        documented("log_directory_info")["directories"]["contains"]["identities"][
            "contains"
        ]["source"]["description"]
    )
    told = set(re.findall(r"V\((\w+)\)", described))
    assert seen == {"declared", "name_service", "number", "running"}
    # Apache and the like are not on every machine that runs tests.
    assert told == seen | {_daemons.SOURCE}


def test_journal_keeps_so_many_runs(
    run_module: RunModule, params: Params, logs: Path, site: Path
) -> None:
    for number in range(4):
        (logs / "app.log").chmod(0o600)
        params.update(run_id=f"run-{number}", journal_keep=2)
        assert run_module("log_directory", params)["changed"]
    assert sorted(os.listdir(site / "journal")) == ["run-2", "run-3"]
    params.update(run_id="run-4", journal_keep=0)
    assert not run_module("log_directory", params)["changed"]
    assert sorted(os.listdir(site / "journal")) == ["run-2", "run-3"]


def test_max_listed_bounds_what_is_listed_and_nothing_else(
    run_module: RunModule, rich: Params
) -> None:
    everything = run_module("log_directory_info", _info(rich))
    few = run_module("log_directory_info", {**_info(rich), "max_listed": 2})
    for one, other in zip(everything["directories"], few["directories"]):
        assert one.pop("files", [])[:2] == other.pop("files", [])
    for result in (everything, few):
        result.pop("invocation")
    assert everything == few


def test_check_mode_tells_what_is_then_done(
    run_module: RunModule, rich: Params, site: Path, listing: Listing
) -> None:
    before = listing(site)
    announced = run_module("log_directory", rich, check=True)
    assert listing(site) == before
    done = run_module("log_directory", rich)
    for result in (announced, done):
        result.pop("invocation")
    assert announced == done
    after = listing(site)
    logs, weird, _missing = (each["path"] for each in rich["directories"])
    for entry, path in zip(done["directories"], (logs, weird)):
        below = [each for each in before if each == path or each.startswith(f"{path}/")]
        changed = [each for each in below if after[each] != before[each]]
        assert entry["changed_inodes"] == len(changed) > 0


def test_second_run_changes_nothing(
    run_module: RunModule, rich: Params, site: Path, listing: Listing
) -> None:
    assert run_module("log_directory", rich)["changed"] is True
    before = listing(site)
    for check in (True, False):
        again = run_module("log_directory", rich, check=check)
        assert again["changed"] is False
        assert again["diff"] == []
        assert {each["changed_inodes"] for each in again["directories"]} == {0}
        assert listing(site) == before


def test_info_changes_nothing(
    run_module: RunModule, rich: Params, site: Path, listing: Listing
) -> None:
    before = listing(site, Path("/run"))
    for check in (True, False):
        assert run_module("log_directory_info", _info(rich), check=check)[
            "changed"
        ] is (False)
    assert listing(site, Path("/run")) == before


def test_info_and_repair_agree(run_module: RunModule, rich: Params) -> None:
    # What this machine is configured to do in /tmp, no repair can know.
    audit = {**_info(rich), "conflicts": False}
    before = run_module("log_directory_info", audit)
    assert not before["compliant"]
    done = run_module("log_directory", rich)
    after = run_module("log_directory_info", audit)
    for info, repaired, again in zip(
        before["directories"], done["directories"], after["directories"]
    ):
        totals = info.get("totals", {"to_change": 0})
        assert totals["to_change"] == repaired["changed_inodes"]
        assert info["changes_needed"] is (totals["to_change"] > 0)
        assert again["changes_needed"] is False
        # What the repair narrows is told before it, and is no longer so after.
        remaining = [
            finding
            for finding in repaired["findings"]
            if finding["code"] != "next_file_narrowed"
        ]
        assert again["findings"] == remaining


def _fail(*_arguments: Any) -> None:
    raise OSError(5, "Input/output error")


def test_names_of_any_bytes_are_text_in_every_result(
    run_module: RunModule,
    params: Params,
    site: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weird = Path(os.fsdecode(os.path.join(os.fsencode(site), WEIRD)))
    (weird / "logs").mkdir(parents=True)
    for path in (weird, weird / "logs"):
        os.chown(path, 64001, 64001)
    (weird / "link").symlink_to("logs")
    first = params["directories"][0]
    shown = f"{site}/line\\nbreak \\xff.log"
    params["directories"] = [
        {**first, "path": f"{weird}/logs", "writers": ["web", "root"]},
        {**first, "path": f"{weird}/new", "missing": "skip"},
    ]
    results = [
        run_module("log_directory_info", _info(params)),
        run_module("log_directory", params),
    ]
    for result in results:
        findings = [
            each for entry in result["directories"] for each in entry["findings"]
        ]
        assert {each["code"] for each in findings} >= {
            "ancestor_exchangeable",
            "root_writes_untrusted",
            "missing_directory",
        }
        assert shown in {each["path"] for each in findings}
    unreadable = {**first, "path": f"{weird}/logs", "recurse": False}
    with monkeypatch.context() as patch:
        patch.setattr(_inode, "glance", _fail)
        (weird / "logs/app.log").touch()
        results.append(
            run_module("log_directory", {**params, "directories": [unreadable]})
        )
    (skipped,) = results[-1]["directories"][0]["skipped"]
    assert skipped["reason"] == "unreadable"
    for name in ("new", "link"):
        directory = {**first, "path": f"{weird}/{name}"}
        results.append(
            run_module("log_directory", {**params, "directories": [directory]})
        )
        assert results[-1]["failed"]
    for result in results:
        result.pop("invocation")
        # Raises where a byte that is no UTF-8 is smuggled through as a surrogate.
        json.dumps(result, ensure_ascii=False).encode("utf-8")


def test_what_git_keeps_is_left_alone_unless_asked_for(
    run_module: RunModule, params: Params, logs: Path
) -> None:
    for name in (".gitignore", "archive/.gitkeep"):
        (logs / name).touch()
        os.chown(logs / name, 64001, 64001)
    assert run_module("log_directory", params)["directories"][0]["changed_inodes"] == 4
    params["directories"][0]["exclude"] = []
    assert run_module("log_directory", params)["directories"][0]["changed_inodes"] == 2


# The diff


def fields(text: str) -> dict[str, dict[str, str]]:
    """Return what a diff says of each inode, by the labels of its line."""
    found = {}
    for line in re.sub(r"\n {4}", "  ", text).splitlines():
        name, *labelled = line.split("  ")
        joined = " ".join(labelled)
        parts = re.split(r"(?:^| )(owner|group|mode|acl|default): ", joined)
        found[name] = dict(zip(parts[1::2], parts[2::2]))
    return found


def on_disk(path: Path) -> dict[str, Any]:
    """Return an inode as a diff would say it."""
    status = path.lstat()
    default = _acl(path, "default")
    return {
        "owner": f"{status.st_uid}",
        "group": f"{status.st_gid}",
        "mode": f"{status.st_mode & 0o7777:04o}",
        "acl": to_lines(_acl(path, "access") or from_mode(status.st_mode)),
        "default": to_lines(default) if default else [],
    }


def _acl(path: Path, kind: str) -> Acl | None:
    name = f"system.posix_acl_{kind}"
    return decode(os.getxattr(path, name)) if name in os.listxattr(path) else None


def test_diff_is_what_was_and_what_is(
    run_module: RunModule, rich: Params, logs: Path
) -> None:
    names = [".", "app.log", "archive", "archive/old.log", "work.log"]
    (logs / "hard").unlink()
    before = {name: on_disk(logs / name) for name in names}
    diff = run_module("log_directory", rich)["diff"]
    after = {name: on_disk(logs / name) for name in names}
    assert [set(each) for each in diff] == 2 * [
        {"after", "after_header", "before", "before_header"}
    ]
    assert all(isinstance(text, str) for each in diff for text in each.values())
    assert diff[0]["before_header"] == diff[0]["after_header"] == str(logs)
    old, new = fields(diff[0]["before"]), fields(diff[0]["after"])
    assert list(old) == list(new)
    assert old.keys() == {*names, "line\\nbreak \\xff.log"}
    for name in names:
        was, is_now = before[name], after[name]
        differ = {label for label in was if was[label] != is_now[label]}
        assert new[name].keys() <= differ != set()
        for label in ("owner", "group", "mode"):
            if label in differ:
                assert (old[name][label], new[name][label]) == (
                    (was[label], is_now[label])
                )
        for label in ("acl", "default"):
            gone = [entry for entry in was[label] if entry not in is_now[label]]
            come = [entry for entry in is_now[label] if entry not in was[label]]
            assert _entries(old[name], label, "-") <= set(gone)
            assert _entries(new[name], label, "+") <= set(come)
            # The mode says the rest.
            unsaid = {*gone, *come} - _entries(old[name], label, "-")
            unsaid -= _entries(new[name], label, "+")
            assert not unsaid or "mode" in differ
            assert all(
                label == "acl" and entry.startswith(("user::", "mask::", "other::"))
                for entry in unsaid
            )


def _entries(inode: dict[str, str], label: str, sign: str) -> set[str]:
    """Return the entries that a line names behind its sign."""
    first, *entries = inode.get(label, sign).split()
    assert first == sign
    return set(entries)


def test_diff_of_many_inodes_is_cut(
    run_module: RunModule, params: Params, logs: Path
) -> None:
    for number in range(120):
        (logs / f"{number}.log").touch()
        os.chown(logs / f"{number}.log", 64001, 64001)
    result = run_module("log_directory", params, check=True)
    assert result["directories"][0]["changed_inodes"] == 124
    (diff,) = result["diff"]
    assert len(fields(diff["before"])) == 100
    assert diff["after"].endswith("\n... and 24 more\n")


# As Ansible runs them


@pytest.mark.parametrize(
    "module",
    ["log_directory", "log_directory_info", "log_directory_probe", "journal_restore"],
)
def test_module_ships_with_all_that_it_imports(
    run_module: RunModule, params: Params, site: Path, module: str
) -> None:
    check = module in ("log_directory", "journal_restore")
    if module == "journal_restore":
        run_module("log_directory", params)
    collections = next(
        path
        for path in Path(__file__).parents
        if (path / "ansible_collections").is_dir()
    )
    wanted = {
        "log_directory": params,
        "journal_restore": {"journal_dir": params["journal_dir"]},
    }.get(module, _info(params))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "ansible", "adhoc", "localhost"),
            *("--inventory", "localhost,", "--connection", "local"),
            *(["--check"] if check else []),
            *("--extra-vars", f"ansible_python_interpreter={sys.executable}"),
            *("--module-name", f"logward.permissions.{module}"),
            *("--args", json.dumps(wanted)),
        ],
        cwd=site,
        env={
            "ANSIBLE_COLLECTIONS_PATH": str(collections),
            "ANSIBLE_HOME": str(site / "ansible"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_NOCOLOR": "true",
            "LANG": "C.UTF-8",
            "PATH": os.environ["PATH"],
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    answer = re.fullmatch(
        r"localhost \| (SUCCESS|CHANGED) => (\{.*\})\s*", done.stdout, re.DOTALL
    )
    assert answer, done.stdout
    result = json.loads(answer[2])
    expected = run_module(module, wanted, check=check)
    # What Ansible takes out before it prints a result.
    expected.pop("invocation")
    expected.pop("diff", None)
    assert result == expected
