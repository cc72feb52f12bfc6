# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of edits share: a directory of configuration, and runs that edit it."""

from __future__ import annotations

import itertools
import os
import signal
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

from ansible_collections.logward.permissions.plugins.module_utils._apply_edits import (
    apply_edits,
)
from ansible_collections.logward.permissions.plugins.module_utils._edits import Edit
from ansible_collections.logward.permissions.plugins.module_utils._restore import (
    RestoreOptions,
    restore,
)
from ansible_collections.logward.permissions.plugins.module_utils._run import (
    RunOptions,
)

SECRET = b"password=hunter2\n"
OLD = b"# umask\n" + SECRET + b"umask=022\n" + SECRET
NEW = b"# umask\n" + SECRET + b"umask=002\n" + SECRET
_CALLS = (
    *("open", "write", "fsync", "mkdir", "chown", "chmod", "setxattr"),
    *("rename", "unlink", "rmdir"),
)


def no_check(_edits: Sequence[Edit]) -> None:
    """Be content with any edit."""


class Host:
    """Configuration below ``site``/etc, and its journal beside that."""

    def __init__(self, site: Path) -> None:
        self.etc = site / "etc"
        self.journal = site / "journal"
        (self.etc / "gone").mkdir(parents=True)
        for name in ("app.conf", "gone/old.conf"):
            path = self.etc / name
            path.write_bytes(OLD)
            os.chown(path, 0, 64001)
            path.chmod(0o640)
        os.setxattr(self.etc / "app.conf", "trusted.note", b"kept")
        os.setxattr(
            self.etc / "gone/old.conf",
            "system.posix_acl_access",
            bytes.fromhex(
                "02000000 01000600ffffffff 0200040001fa0000 04000400ffffffff"
                "10000400ffffffff 20000000ffffffff"
            ),
        )

    def plan(self) -> list[Edit]:
        """Change a file, make one in new directories, and remove one."""
        return [
            self.edit("app.conf", NEW),
            self.edit("unit.d/a/logward.conf", b"[Service]\nUMask=0002\n"),
            self.edit("gone/old.conf", None),
        ]

    def edit(self, name: str, after: bytes | None) -> Edit:
        path = self.etc / name
        before = path.read_bytes() if path.exists() else None
        return Edit(str(path), before, after)

    def options(self, run_id: str = "run-1") -> RunOptions:
        return RunOptions(run_id, str(self.journal), lock_timeout=0)

    def apply(self, run_id: str = "run-1") -> dict[str, Any]:
        return apply_edits(self.plan, self.options(run_id), no_check)

    def restore(
        self, run_id: str = "latest", function: Any = restore
    ) -> dict[str, Any]:
        result: dict[str, Any] = function(
            RestoreOptions(run_id, str(self.journal), lock_timeout=0)
        )
        return result

    def state(self) -> dict[str, tuple[Any, ...]]:
        """Return content, owner, mode and attributes of all there is."""
        return {str(path): _state(path) for path in sorted(self.etc.rglob("*"))}


def _state(path: Path) -> tuple[Any, ...]:
    status = path.lstat()
    attributes = {name: os.getxattr(path, name) for name in os.listxattr(path)}
    content = path.read_bytes() if path.is_file() else None
    return content, status.st_mode, status.st_uid, status.st_gid, attributes


def killed_at(call: Callable[[], object], number: int) -> bool:
    """Run ``call`` in a process that is killed before such a system call.

    Tells whether it came to that; if not, all was done. What an exception would
    still tidy up, a kill does not.
    """
    child = os.fork()
    if child == 0:
        try:
            _kill_at(number)
            call()
        except BaseException:  # noqa: BLE001 - the test's process goes on elsewhere
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _pid, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def _kill_at(number: int) -> None:
    count = itertools.count()

    def lethal(real: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **more: Any) -> Any:
            changes = real.__name__ != "open" or os.O_CREAT & arguments[1]
            if changes and next(count) == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **more)

        return called

    for name in _CALLS:
        setattr(os, name, lethal(getattr(os, name)))
