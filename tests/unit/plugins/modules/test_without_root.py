# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit by somebody who may not see everything: it tells less, and says so."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.logward.permissions.tests.unit.kernel import in_child

Result = dict[str, Any]
RunModule = Callable[..., Result]
NOBODY = 65534


@pytest.fixture
def wanted(params: Result) -> Result:
    return {key: params[key] for key in ("directories", "identities")}


@pytest.fixture
def as_nobody(run_module: RunModule, wanted: Result) -> Callable[..., Result]:
    """Return a function that runs the audit as nobody."""
    run_module("log_directory_info", wanted)  # nobody could not import it

    def run(params: Result) -> Result:
        def child() -> Result:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            return run_module("log_directory_info", params)

        result: Result = in_child(child)
        return result

    return run


def findings(result: Result) -> dict[str, Result]:
    assert not result.get("failed"), result
    (directory,) = result["directories"]
    return {each["code"]: each for each in directory["findings"]}


def test_what_may_be_read_is_told(
    run_module: RunModule, as_nobody: Callable[..., Result], wanted: Result
) -> None:
    result = as_nobody(wanted)
    found = findings(result)
    assert found["not_root"]["severity"] == "warning"
    assert "nobody" in found["not_root"]["message"]
    assert found["not_root"]["remedy"] == "set become: true"
    by_root = run_module("log_directory_info", wanted)
    assert set(found) - set(findings(by_root)) == {"not_root"}
    (mine,), (roots,) = result["directories"], by_root["directories"]
    for key in ("identities", "next_file", "files", "totals", "default_acl"):
        assert mine[key] == roots[key]


@pytest.mark.parametrize(
    "closed",
    [
        pytest.param(lambda logs: logs.parent.chmod(0o700), id="ancestor"),
        pytest.param(lambda logs: logs.chmod(0o700), id="directory"),
        pytest.param(lambda logs: logs.chmod(0o711), id="no listing"),
        pytest.param(lambda logs: logs.chmod(0o744), id="no search"),
    ],
)
def test_a_directory_that_may_not_be_read_is_an_error(
    as_nobody: Callable[..., Result],
    wanted: Result,
    logs: Path,
    closed: Callable[[Path], None],
) -> None:
    closed(logs)
    result = as_nobody(wanted)
    found = findings(result)
    assert set(found) == {"directory_unreadable", "not_root"}
    assert found["directory_unreadable"]["severity"] == "error"
    assert found["directory_unreadable"]["remedy"] == "set become: true"
    assert str(logs) in found["directory_unreadable"]["message"]
    assert result["compliant"] is False


@pytest.mark.parametrize("mode", [0o700, 0o711, 0o744])
def test_a_part_that_may_not_be_read_is_a_warning(
    as_nobody: Callable[..., Result], wanted: Result, logs: Path, mode: int
) -> None:
    (logs / "archive").chmod(mode)
    result = as_nobody(wanted)
    found = findings(result)
    assert "archive" in found["unreadable"]["message"]
    assert found["unreadable"]["remedy"] == "set become: true"
    assert [each["path"] for each in result["directories"][0]["files"]] == ["app.log"]


def test_one_directory_does_not_hide_another(
    as_nobody: Callable[..., Result], wanted: Result, logs: Path, site: Path
) -> None:
    (site / "closed").mkdir(mode=0o700)
    closed = {**wanted["directories"][0], "path": f"{site}/closed"}
    result = as_nobody({**wanted, "directories": [closed, *wanted["directories"]]})
    codes = [[e["code"] for e in each["findings"]] for each in result["directories"]]
    assert "directory_unreadable" in codes[0]
    assert "directory_unreadable" not in codes[1]
    assert result["directories"][1]["path"] == str(logs)


def test_finding_the_directories(as_nobody: Callable[..., Result]) -> None:
    result = as_nobody({})
    assert not result.get("failed"), result
    told = [each["message"] for each in result["problems"]]
    assert any("set become: true" in each for each in told) or findings(result)


@pytest.mark.parametrize("hidepid", ["0", "2"])
def test_processes_that_nobody_may_see(
    as_nobody: Callable[..., Result],
    run_module: RunModule,
    wanted: Result,
    logs: Path,
    mounted: Callable[..., Path],
    hidepid: str,
) -> None:
    # A /proc of its own: a remount would change that of the whole machine.
    mounted(Path("/proc"), "-t", "proc", "-o", f"hidepid={hidepid}", "proc")
    keep_open = "import sys\nlog = open(sys.argv[1], 'a')\nprint(flush=True)\ninput()"
    with subprocess.Popen(
        [sys.executable, "-c", keep_open, str(logs / "app.log")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        theirs, roots = as_nobody(wanted), run_module("log_directory_info", wanted)
        process.communicate(b"\n")
    assert "not_root" in findings(theirs)
    assert "undeclared_writer" not in findings(theirs)
    assert "undeclared_writer" in findings(roots)


# What goes away while it is read


def test_processes_that_end_while_they_are_read(
    run_module: RunModule, wanted: Result, logs: Path
) -> None:
    """A child starts and ends processes as fast as it can while the audit reads."""
    churn = f"while :; do (exec 9>>{logs}/app.log; /bin/true); done"
    with subprocess.Popen(["sh", "-c", churn]) as process:
        try:
            deadline = time.monotonic() + 2
            while time.monotonic() < deadline:
                assert not run_module("log_directory_info", wanted).get("failed")
        finally:
            process.kill()


@pytest.mark.parametrize("removed", ["archive", "."])
@pytest.mark.parametrize("when", ["before it is listed", "while it is listed"])
def test_a_directory_that_disappears_while_it_is_read(
    run_module: RunModule,
    wanted: Result,
    logs: Path,
    monkeypatch: pytest.MonkeyPatch,
    removed: str,
    when: str,
) -> None:
    gone = logs / removed
    is_removed_in = logs if when == "before it is listed" else gone
    list_directory = os.scandir

    def list_and_remove(fd: int) -> Any:
        entries = list_directory(fd)
        if os.fstat(fd).st_ino == inode:
            subprocess.run(["rm", "-rf", gone], check=True)
        return entries

    inode = is_removed_in.stat().st_ino
    monkeypatch.setattr(os, "scandir", list_and_remove)
    result = run_module("log_directory_info", {**wanted, "conflicts": False})
    assert not gone.exists()
    assert not result.get("failed"), result
    totals = result["directories"][0]["totals"]
    assert totals["files"] == (1 if removed == "archive" else 0)
