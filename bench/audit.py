# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The audit of a compliant tree, beside the tools that people use for ACLs.

The tree is in the page cache, 100 files to a directory. *engine* is the audit
alone, as a module does it; *process* is that with the start of Python. Needs
root and the package acl.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from compare import Run, arguments, interleaved, print_table, told, wall

ROOT = Path(__file__).resolve().parents[1]
#: What Debian's hosts have, not what this clone runs its tests with.
PYTHON = "/usr/bin/python3"
FILES_IN_A_DIRECTORY = 100
SETTINGS = """\
import sys, time
sys.path.insert(0, {root!r})
from ansible_collections.logward.permissions.plugins.module_utils import (
    _audit, _policy, _repair)
policies = _policy.parse_policies([{{
    "path": {logs!r},
    "writers": ["www-data", "daemon", "root"],
    "readers": ["@adm", "nobody"],
}}], [])
"""
REPAIR = '_repair.repair(policies, _repair.RepairOptions("bench", {journal!r}, 0))\n'
AUDIT = """\
start = time.perf_counter()
result = _audit.audit(policies, 100)
assert result["compliant"], result
"""
SECONDS = "print(time.perf_counter() - start)\n"
MEMORY = """\
with open("/proc/self/status") as lines:
    print(next(line.split()[1] for line in lines if line.startswith("VmHWM:")))
"""


def main() -> None:
    """Make the tree, measure, print a table."""
    options = arguments(__doc__, files=100_000, rounds=11)
    with TemporaryDirectory(prefix="logward-bench-", dir="/srv") as place:
        logs = made(Path(place), options.files)
        seconds = interleaved(contestants(logs), options.rounds)
        memory = subprocess.check_output(
            [PYTHON, "-c", settings(logs) + AUDIT + MEMORY], text=True
        )
    print_table(f"Audit of {options.files:,} compliant files", seconds, "engine")
    print(f"Peak memory of the audit: {int(memory) / 1024:.0f} MiB\n")


def settings(logs: Path) -> str:
    """Return the code that all of ours start with."""
    return SETTINGS.format(root=str(ROOT), logs=str(logs))


def made(place: Path, files: int) -> Path:
    """Return a directory, brought to its policy, with files in it that inherit."""
    logs = place / "logs"
    logs.mkdir()
    place.chmod(0o755)
    subprocess.run(["/bin/chown", "www-data:www-data", logs], check=True)
    repair = settings(logs) + REPAIR.format(journal=str(place / "journal"))
    subprocess.run([PYTHON, "-c", repair], check=True)
    os.umask(0o022)
    for number in range(files):
        directory = logs / f"{number // FILES_IN_A_DIRECTORY:05d}"
        if number % FILES_IN_A_DIRECTORY == 0:
            directory.mkdir()
        (directory / f"{number % FILES_IN_A_DIRECTORY:03d}.log").touch()
    return logs


def contestants(logs: Path) -> Mapping[str, Run]:
    """Return what to run on a tree."""
    audit = settings(logs) + AUDIT
    both = 'setfacl -R -m u:www-data:rwX "$0" && setfacl -R -d -m u:www-data:rwx "$0"'
    return {
        "engine": told(PYTHON, "-c", audit + SECONDS),
        "process": wall(PYTHON, "-c", audit),
        "setfacl -R, one pass": wall(
            "setfacl", "-R", "-m", "u:www-data:rwX", str(logs)
        ),
        "setfacl -R, the usual two": wall("sh", "-c", both, str(logs)),
        "getfacl -R -n": wall("getfacl", "-R", "-n", "-p", str(logs)),
        "find -printf %m": wall("find", str(logs), "-printf", "%m\n"),
    }


if __name__ == "__main__":
    main()
