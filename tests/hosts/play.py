# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a playbook of the collection as a user does, and read what it did."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

AUDIT = "Ask the host who can write today's and the next log files"
REPAIR = "Let every writer write today's and all next log files"
RESTARTS = "Restart what needs it, one service after another"
ROLLBACK = "Put back what the run has changed"

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Play:
    """The results of one host's tasks, in the order in which they ran."""

    exit_status: int
    tasks: list[tuple[str, Mapping[str, Any]]]

    def changed(self) -> list[str]:
        """The names of the tasks that changed something, or would in check mode."""
        return [name for name, result in self.tasks if result.get("changed")]

    def result(self, name: str) -> Mapping[str, Any]:
        """The result of the only task of that name."""
        (found,) = [
            result
            for task, result in self.tasks
            if (task.partition(" : ")[2] or task) == name
        ]
        return found


def run_playbook(inventory: str, name: str, *arguments: str) -> Play:
    """Run playbooks/NAME.yml with --diff against a single host."""
    playbook = str(ROOT / "playbooks" / f"{name}.yml")
    return _run("ansible-playbook", inventory, playbook, *arguments)


def run_module(
    inventory: str, name: str, options: Mapping[str, Any], *arguments: str
) -> Mapping[str, Any]:
    """Run a module of the collection with --diff as root on a single host."""
    module = ["--become", "--module-name", f"logward.permissions.{name}"]
    module += ["--args", json.dumps(options)]
    play = _run("ansible", inventory, "all", *module, *arguments)
    ((_name, result),) = play.tasks
    return result


def _run(program: str, inventory: str, *arguments: str) -> Play:
    done = subprocess.run(
        [program, "--inventory", inventory, "--diff", *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
            "ANSIBLE_LOAD_CALLBACK_PLUGINS": "1",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        output = json.loads(done.stdout[done.stdout.index("{") :])
    except ValueError:
        called = " ".join(arguments)
        raise RuntimeError(f"{called}: {done.stdout}{done.stderr}") from None
    return Play(
        done.returncode,
        [
            (task["task"]["name"], result)
            for play in output["plays"]
            for task in play["tasks"]
            for result in task["hosts"].values()
        ],
    )
