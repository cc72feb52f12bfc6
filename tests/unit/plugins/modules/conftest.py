# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules, called with the arguments and the output that Ansible has for them."""

from __future__ import annotations

import io
import json
import os
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any, Callable

import pytest
from ansible.module_utils.testing import patch_module_args

Result = dict[str, Any]
RunModule = Callable[..., Result]

WEB = 64001
_MODULES = "ansible_collections.logward.permissions.plugins.modules"


@pytest.fixture
def run_module() -> RunModule:
    """Return a function that runs a module, and returns what it printed."""

    def run(name: str, params: dict[str, Any], *, check: bool = False) -> Result:
        module = import_module(f"{_MODULES}.{name}")
        args = {**params, "_ansible_check_mode": check, "_ansible_diff": True}
        output = io.StringIO()
        capture = redirect_stdout(output)
        with patch_module_args(args), capture, pytest.raises(SystemExit):
            module.main()
        result: Result = json.loads(output.getvalue())
        return result

    return run


@pytest.fixture
def logs(site: Path) -> Path:
    """A log directory in which the next file, and one that is there, are wrong."""
    path = site / "logs"
    (path / "archive").mkdir(parents=True)
    (path / "app.log").write_text("one line\n")
    (path / "archive" / "old.log").write_text("an old line\n")
    for inode in (path, path / "archive", path / "app.log", path / "archive/old.log"):
        os.chown(inode, WEB, WEB)
    return path


@pytest.fixture
def params(site: Path, logs: Path) -> dict[str, Any]:
    """The parameters of a repair of ``logs`` that changes all that is in it."""
    return {
        "directories": [{"path": str(logs), "writers": ["web", "queue"]}],
        "identities": [
            {"name": "web", "user": "64001", "group": "64001"},
            {"name": "queue", "user": "64002", "group": "64002"},
        ],
        "run_id": "run-1",
        "journal_dir": str(site / "journal"),
        "lock_timeout": 0,
    }
