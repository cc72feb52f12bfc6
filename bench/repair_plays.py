# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A play that repairs a tree, beside the plays that people write today.

``file`` and ``posix.acl`` do less than the others: ansible.posix.acl stops at
the first file that is right, directories get no setgid, and nothing is
journaled. So what they leave undone is counted, and printed below each table;
the others must leave nothing. On this machine, with a local connection. Needs
root and acl.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from audit import PYTHON, ROOT, made
from compare import Run, arguments, interleaved, print_table, wall
from repair import CHAIN, USER, Left, between, trees

#: The play that does less than the others.
LESS = "file and posix.acl"
ENTRIES = (
    ("user", "www-data", "rwX"),
    ("user", "daemon", "rwX"),
    ("user", "nobody", "rX"),
    ("group", "adm", "rX"),
)


def main() -> None:
    """Make the trees, measure, print a table for each."""
    options = arguments(__doc__, files=10_000, rounds=5)
    os.environ["ANSIBLE_CONFIG"] = str(ROOT / "ansible.cfg")
    with TemporaryDirectory(prefix="logward-bench-", dir="/srv") as place:
        logs = made(Path(place), options.files)
        ended = Left(logs, Path(place))
        for title, wrong in trees(logs).items():
            left: dict[str, int] = {}
            seconds = interleaved(
                dict(contestants(logs, Path(place), wrong, ended, left)),
                options.rounds,
            )
            print_table(
                f"Plays, {options.files:,} files, {title}", seconds, "log_directory"
            )
            print(f"Left undone by {LESS}: {left[LESS]:,} inodes\n")


def contestants(
    logs: Path, place: Path, wrong: tuple[str, ...], ended: Left, left: dict[str, int]
) -> Iterator[tuple[str, Run]]:
    """Yield the plays; ``left`` gets what the one that does less leaves undone."""
    for name, run in plays(logs, place).items():

        def counted() -> None:
            left[LESS] = ended.count()

        yield name, between(wrong, run, counted if name == LESS else ended.nothing)


def plays(logs: Path, place: Path) -> Mapping[str, Run]:
    """Return the plays, by what does the work in them."""
    declared = {
        "path": str(logs),
        "writers": ["www-data", "daemon", "root"],
        "readers": ["@adm", "nobody"],
    }
    repair = {"directories": [declared], "journal_dir": str(place / "journal")}
    ours = {"name": "Repair", "logward.permissions.log_directory": repair}
    return {
        "log_directory": _play(place / "ours.yml", [ours]),
        "shell: the chain": _play(place / "chain.yml", _chain(logs)),
        LESS: _play(place / "acl.yml", _file_and_acl(logs)),
    }


def _play(path: Path, tasks: list[dict[str, object]]) -> Run:
    play = {"hosts": "all", "become": True, "gather_facts": False, "tasks": tasks}
    path.write_text(json.dumps([play]))
    return wall(
        *("ansible-playbook", "-i", "localhost,", "-c", "local"),
        *("-e", f"ansible_python_interpreter={PYTHON}", str(path)),
    )


def _chain(logs: Path) -> list[dict[str, object]]:
    command = CHAIN.replace('"$0"', str(logs))
    return [{"name": "Repair", "ansible.builtin.shell": command}]


def _file_and_acl(logs: Path) -> list[dict[str, object]]:
    file = {
        "path": str(logs),
        "state": "directory",
        "recurse": True,
        "owner": USER,
        "group": USER,
        "mode": "u=rwX,g=rwX,o=rX",
    }
    tasks: list[dict[str, object]] = [
        {"name": "Owner, group and mode", "ansible.builtin.file": file}
    ]
    for default in (False, True):
        for etype, entity, permissions in ENTRIES:
            acl = {
                "path": str(logs),
                "recursive": True,
                "default": default,
                "etype": etype,
                "entity": entity,
                "permissions": permissions,
                "state": "present",
            }
            tasks.append({"name": f"ACL of {entity}", "ansible.posix.acl": acl})
    return tasks


if __name__ == "__main__":
    main()
