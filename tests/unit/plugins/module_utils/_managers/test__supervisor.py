# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The logs that supervisord rotates, and names, itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._access import Inode
from ansible_collections.logward.permissions.plugins.module_utils._managers._host import (
    Host,
)
from ansible_collections.logward.permissions.plugins.module_utils._managers._supervisor import (
    read,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._managers.logs import (
    PLAIN,
    REPAIRED,
    logs_at,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._writers.files import (
    host,
)

LOGS = "/srv/app/logs"
PROGRAM = "[supervisord]\n@\n[program:work]\ncommand=/bin/work\n"
LOG = f"stdout_logfile={LOGS}/work.log\nredirect_stderr=true\n"


def found(root: Path, text: str, after: Inode = REPAIRED) -> list[tuple[str, int]]:
    files = {"/etc/supervisor/supervisord.conf": text.replace("@", "nodaemon=true")}
    answer = read(Host(host(root, files))).answer(logs_at(LOGS, PLAIN, after))
    assert len(answer.files) == len(answer.findings)
    modes = [each.after.mode for each in answer.files]
    return [(each.code, mode) for each, mode in zip(answer.findings, modes)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (PROGRAM + LOG, [("supervisor_rotates", 0o664)]),
        (PROGRAM + LOG + "stdout_logfile_maxbytes=0\n", []),
        (
            PROGRAM + LOG + "stdout_logfile_maxbytes=1MB\n",
            [("supervisor_rotates", 0o664)],
        ),
        (PROGRAM + "stdout_logfile=/elsewhere/x\nstderr_logfile=NONE\n", []),
        (
            PROGRAM.replace("@", f"@\nchildlogdir={LOGS}") + "redirect_stderr=true\n",
            [("supervisor_rotates", 0o600)],
        ),
        ("[supervisord]\n", []),
        ("garbage", []),
    ],
)
def test_what_it_makes(
    tmp_path: Path, text: str, wanted: list[tuple[str, int]]
) -> None:
    assert found(tmp_path, text) == wanted


def test_whom_it_locks_out_where_there_is_no_default_acl(tmp_path: Path) -> None:
    assert found(tmp_path, PROGRAM + LOG, PLAIN) == [("supervisor_locks_out", 0o644)]


def test_a_host_without_supervisor(tmp_path: Path) -> None:
    assert not read(Host(str(tmp_path))).answer(logs_at(LOGS)).findings


def test_the_message_says_when(tmp_path: Path) -> None:
    text = (PROGRAM + LOG).replace("@", "") + "stdout_logfile_maxbytes=1MB\n"
    files = {"/etc/supervisor/supervisord.conf": text}
    (finding,) = read(Host(host(tmp_path, files))).answer(logs_at(LOGS)).findings
    assert finding.message == (
        "When work.log reaches 1,048,576 bytes, supervisord renames it and makes a "
        "new one, root:www-data 0664"
    )
