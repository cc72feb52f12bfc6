# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a large tree costs in system calls and in memory: counted, not timed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Callable

import pytest

from ansible_collections.logward.permissions.plugins.module_utils import _policy

WEB = 64001
ROOT = Path(_policy.__file__).parents[5]
SETTINGS = """\
import json, resource, sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.logward.permissions.plugins.module_utils import (
    _audit, _policy, _repair)
policies = _policy.parse_policies([{
    "path": sys.argv[2], "writers": ["web", "daemon", "root"],
    "readers": ["@adm", "nobody"]}], [{"name": "web", "user": "64001"}])
options = _repair.RepairOptions("costs", sys.argv[2] + "-journal", 0)
"""
AUDIT = "result = _audit.audit(policies, 100)\n"
PREVIEW = "result = _repair.preview(policies, options)\n"
REPAIR = "result = _repair.repair(policies, options)\n"
TOTALS = 'print(json.dumps(result["directories"][0]["totals"]))\n'
CHANGED = 'print(result["directories"][0]["changed_inodes"])\n'
#: In KiB: of this process (its rusage would include who started it), of its child.
PEAKS = """\
with open("/proc/self/status") as lines:
    print(next(line.split()[1] for line in lines if line.startswith("VmHWM:")))
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
CHANGES = {
    *("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "fchownat"),
    *("lchown", "setxattr", "lsetxattr", "fsetxattr", "removexattr"),
    *("lremovexattr", "fremovexattr", "utimensat", "rename", "renameat2"),
    *("unlink", "unlinkat", "link", "linkat", "symlinkat", "mkdir", "mkdirat"),
}


@pytest.fixture
def logs(site: Path) -> Path:
    """A log directory that is as its policy wants it, and what comes into it."""
    path = site / "logs"
    path.mkdir()
    os.chown(path, WEB, WEB)
    run(SETTINGS + REPAIR, path)
    return path


def run(code: str, logs: Path, *before: str) -> str:
    argv = [*before, sys.executable, "-I", "-c", code, str(ROOT), str(logs)]
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout


def fill(directory: Path, names: range) -> None:
    directory.mkdir(exist_ok=True)
    for name in names:
        os.close(os.open(directory / f"{name}.log", os.O_WRONLY | os.O_CREAT, 0o666))


def calls(code: str, logs: Path) -> Counter[str]:
    """Return how often each system call is made, in all processes.

    It sees no other process: how many there are is none of a tree's costs.
    """
    table = logs.with_name("calls")
    alone = ("unshare", "--pid", "--fork", "--mount-proc")
    counted = ("strace", "-f", "-c", "-U", "calls,name", "-o", str(table))
    run(code, logs, *alone, *counted)
    rows = (line.split() for line in table.read_text().splitlines())
    return Counter({row[1]: int(row[0]) for row in rows if row[0].isdecimal()})


@pytest.mark.parametrize("code", [AUDIT, PREVIEW, REPAIR])
def test_system_calls_of_a_compliant_tree(logs: Path, code: str) -> None:
    empty = calls(SETTINGS + code, logs)
    for number in range(100):
        fill(logs / f"{number}", range(100))
    before = [path.lstat().st_ctime_ns for path in logs.rglob("*")]
    full = calls(SETTINGS + code, logs)
    del full["total"], empty["total"]
    assert (sum(full.values()) - sum(empty.values())) / 10_100 <= 2.3
    assert [path.lstat().st_ctime_ns for path in logs.rglob("*")] == before
    changes = full.keys() & CHANGES
    # A run that may write takes the lock, and makes its directory.
    assert changes <= ({"mkdirat"} if code == REPAIR else set())


def test_system_calls_of_a_repair(site: Path) -> None:
    counted = []
    for name, files in (("few", 1), ("many", 100)):
        logs = site / name / "logs"
        logs.mkdir(parents=True)
        for number in range(100):
            fill(logs / f"{number}", range(files))
        subprocess.run(["chown", "-R", f"{WEB}:{WEB}", logs], check=True)
        time.sleep(1.1)
        found = calls(SETTINGS + REPAIR, logs)
        # Those of the journal, one or two for hundreds of inodes.
        for journal in ("write", "fsync", "total"):
            del found[journal]
        counted.append(sum(found.values()))
    few, many = counted
    # Eight for each of them, and some for hundreds of them.
    assert (many - few) / 9_900 <= 8.05


def test_memory_of_a_large_repair(site: Path, mounted: Callable[..., Path]) -> None:
    size = ("-t", "tmpfs", "-o", "nr_inodes=0,size=90%,mode=0755", "none")
    place = mounted(site / "large", *size)
    peaks = []
    for name, directories in (("few", 100), ("many", 1000)):
        logs = place / name / "logs"
        logs.mkdir(parents=True)
        for number in range(directories):
            fill(logs / f"{number}", range(100))
        subprocess.run(["chown", "-R", f"{WEB}:{WEB}", logs], check=True)
        changed, *measured = run(SETTINGS + REPAIR + CHANGED + PEAKS, logs).split("\n")
        assert int(changed) == directories * 101 + 1
        peaks.append([int(each) for each in measured if each])
    few, many = peaks
    assert max(many) <= 45 * 1024
    for before, after in zip(few, many):
        assert after <= 1.25 * before


def test_memory_of_a_large_directory(
    logs: Path, site: Path, mounted: Callable[..., Path]
) -> None:
    # Not on the disk of whoever runs this: a million files would stay cached.
    size = ("-t", "tmpfs", "-o", "nr_inodes=0,size=90%,mode=0755", "none")
    logs = mounted(site / "large", *size) / "logs"
    logs.mkdir()
    os.chown(logs, WEB, WEB)
    run(SETTINGS + REPAIR, logs)
    peaks = []
    for names in (range(10_000), range(10_000, 300_000)):
        fill(logs, names)
        totals, *measured = run(SETTINGS + AUDIT + TOTALS + PEAKS, logs).split("\n")
        assert f'"files": {names.stop}' in totals
        peaks.append([int(each) for each in measured if each])
    few, many = peaks
    assert max(many) <= 45 * 1024
    for before, after in zip(few, many):
        assert after <= 1.25 * before
