# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The repair, journal included, beside what people use to put a tree right.

Three trees: all wrong, one file of a hundred wrong, compliant. Before each run
the tree is made as it has to be, which is not measured. Afterwards it has to be
what the policy wants, whoever did it. Needs root and the package acl.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Callable

from audit import PYTHON, SECONDS, made, settings
from compare import Run, arguments, interleaved, print_table, told, wall

USER = "www-data"
#: What the policy of settings() comes to, as people would write it.
NAMED = "u:www-data:rwX,u:daemon:rwX,u:nobody:rX,g:adm:rX"
REPAIR = """\
import uuid
options = _repair.RepairOptions(uuid.uuid4().hex, {journal!r}, 0)
start = time.perf_counter()
_repair.repair(policies, options)
"""
LEFT = """\
options = _repair.RepairOptions("check", {journal!r}, 0)
print(_repair.preview(policies, options)["directories"][0]["changed_inodes"])
"""
CHAIN = f"""\
chown -R {USER}:{USER} "$0" && chmod -R u=rwX,g=rwX,o=rX "$0" &&
find "$0" -type d -exec chmod g+s {{}} + &&
setfacl -R -m {NAMED} "$0" && setfacl -R -d -m {NAMED} "$0"
"""
#: Its ACLs know no X (before systemd 254): files are executable afterwards.
_NAMED_X = NAMED.replace("X", "x")
TMPFILES = f"""\
Z {{logs}} ~2775 {USER} {USER} - -
A+ {{logs}} - - - - {_NAMED_X},default:{_NAMED_X.replace(",", ",default:")}
"""
ALL_WRONG = f"""\
setfacl -R -b "$0" && chown -R {USER}:{USER} "$0" &&
find "$0" -type d -exec chmod 0755 {{}} + && find "$0" -type f -exec chmod 0644 {{}} +
"""
SOME_WRONG = """\
find "$0" -name 000.log -exec setfacl -b {} + -exec chmod 0600 {} +
"""


def main() -> None:
    """Make the trees, measure, print a table for each."""
    options = arguments(__doc__, files=100_000, rounds=5)
    with TemporaryDirectory(prefix="logward-bench-", dir="/srv") as place:
        logs = made(Path(place), options.files)
        for title, wrong in trees(logs).items():
            runs = dict(contestants(logs, Path(place), wrong))
            seconds = interleaved(runs, options.rounds)
            print_table(f"{options.files:,} files, {title}", seconds, "repair")


def trees(logs: Path) -> Mapping[str, tuple[str, ...]]:
    """Return how each kind of tree is made of one that is compliant."""
    return {
        "all wrong": ("sh", "-c", ALL_WRONG, str(logs)),
        "1 % wrong": ("sh", "-c", SOME_WRONG, str(logs)),
        "compliant": ("true",),
    }


def contestants(
    logs: Path, place: Path, wrong: tuple[str, ...]
) -> Iterator[tuple[str, Run]]:
    """Yield what to run on a tree that is made wrong before, and checked after."""
    journal = str(place / "journal")
    ours = settings(logs) + REPAIR.format(journal=journal)
    ended = Left(logs, place)
    lines = place / "tmpfiles.conf"
    lines.write_text(TMPFILES.format(logs=logs))
    runs = {
        "repair": told(PYTHON, "-c", ours + SECONDS),
        "shell chain": wall("sh", "-c", CHAIN, str(logs)),
        "systemd-tmpfiles": wall("systemd-tmpfiles", "--create", str(lines)),
    }
    for name, run in runs.items():
        yield name, between(wrong, run, ended.nothing)


class Left:
    """Counts what is not as the policy wants it, when somebody is done."""

    def __init__(self, logs: Path, place: Path) -> None:
        self._argv = (
            PYTHON,
            "-c",
            settings(logs) + LEFT.format(journal=str(place / "journal")),
        )

    def nothing(self) -> None:
        """Fail where anything is left."""
        left = self.count()
        if left:
            raise SystemExit(f"{left} inodes are not as the policy wants them")

    def count(self) -> int:
        """Return how many inodes are left to change."""
        return int(subprocess.check_output(self._argv))


def between(before: tuple[str, ...], run: Run, after: Callable[[], object]) -> Run:
    """Return a run, with what comes before and after it not measured."""

    def timed() -> float:
        subprocess.run(before, check=True)
        # What is written out belongs to whoever wrote it.
        os.sync()
        seconds = run()
        after()
        return seconds

    return timed


if __name__ == "__main__":
    main()
