# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The audit of a compliant tree, beside the tools that people use for ACLs.

Every round runs each contestant once, so that whatever else the machine does
meets all of them; the tree is in the page cache. Needs root and package acl.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
FILES_IN_A_DIRECTORY = 100
AUDIT = """\
import sys
sys.path.insert(0, {root!r})
from ansible_collections.logward.permissions.plugins.module_utils import (
    _audit, _policy, _repair)
policies = _policy.parse_policies([{{
    "path": {logs!r},
    "writers": ["www-data", "daemon", "root"],
    "readers": ["@adm", "nobody"],
}}], [])
"""
MEASURE = 'assert _audit.audit(policies, 100)["compliant"]\n'
PREPARE = '_repair.repair(policies, _repair.RepairOptions("bench", {journal!r}, 0))\n'


def main() -> None:
    """Make the tree, measure, print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with TemporaryDirectory(prefix="logward-bench-", dir="/srv") as place:
        contestants = prepared(Path(place), options.files)
        seconds = measured(contestants, options.rounds)
    print(f"{options.files:,} compliant files, {options.rounds} rounds, interleaved")
    print_table(seconds)


def prepared(place: Path, files: int) -> Mapping[str, Sequence[str]]:
    """Make a compliant tree; return what to run on it."""
    logs = place / "logs"
    for number in range(files):
        directory = logs / f"{number // FILES_IN_A_DIRECTORY:05d}"
        if number % FILES_IN_A_DIRECTORY == 0:
            directory.mkdir(parents=True)
        (directory / f"{number % FILES_IN_A_DIRECTORY:03d}.log").touch()
    place.chmod(0o755)
    subprocess.run(["/bin/chown", "-R", "www-data:www-data", logs], check=True)
    start = AUDIT.format(root=str(ROOT), logs=str(logs))
    prepare = start + PREPARE.format(journal=str(place / "journal"))
    subprocess.run([sys.executable, "-c", prepare], check=True)
    return {
        "logward audit": [sys.executable, "-c", start + MEASURE],
        "setfacl -R, one pass": ["setfacl", "-R", "-m", "u:www-data:rwX", str(logs)],
        "setfacl -R, the usual two": [
            "sh",
            "-c",
            'setfacl -R -m u:www-data:rwX "$0" && setfacl -R -d -m u:www-data:rwx "$0"',
            str(logs),
        ],
        "getfacl -R -n": ["getfacl", "-R", "-n", "-p", str(logs)],
        "find -printf %m": ["find", str(logs), "-printf", "%m\n"],
    }


def measured(
    contestants: Mapping[str, Sequence[str]], rounds: int
) -> dict[str, list[float]]:
    """Return the seconds of each round, after one that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, argv in contestants.items():
            start = time.perf_counter()
            subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)
            if number:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def print_table(seconds: Mapping[str, Sequence[float]]) -> None:
    """Print medians, spreads, and the audit's ratio to each."""
    ours = statistics.median(seconds["logward audit"])
    print(f"on {os.cpu_count()} cores, Linux {os.uname().release}")
    print("| contestant | median s | min to max | audit ÷ it |")
    print("|---|---|---|---|")
    for name, each in seconds.items():
        median = statistics.median(each)
        spread = f"{min(each):.2f} to {max(each):.2f}"
        print(f"| {name} | {median:.2f} | {spread} | {ours / median:.2f} |")


if __name__ == "__main__":
    main()
