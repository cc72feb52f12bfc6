# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""supervisord: it rotates the logs of its programs itself, and names some itself.

Its ``RotatingFileHandler`` renames a log that has reached ``maxbytes`` and opens
a new one; logs called AUTO are made with mkstemp(3), 0600, and removed when it
starts again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from .._access import created_file
from .._findings import Finding
from .._names import display
from .._writers._child_logs import ChildLog, child_logs
from ._conflicts import (
    Answer,
    Logs,
    ManagedFile,
    Manager,
    evidence_of,
    rehearsed_file,
)
from ._host import Host

NAME = "supervisord"


def read(host: Host) -> Manager:
    """Read which logs supervisord rotates."""
    return SupervisorLogs(child_logs(host.root))


@dataclass(frozen=True)
class SupervisorLogs(Manager):
    """supervisord, as its programs' logs are configured."""

    logs: tuple[ChildLog, ...]

    def answer(self, logs: Logs) -> Answer:
        """Return what it will do with a log directory."""
        found = [each for log in self.logs for each in _answers(logs, log)]
        return Answer(
            tuple(finding for finding, _file in found),
            tuple(file for _finding, file in found),
        )


def _answers(logs: Logs, log: ChildLog) -> Iterator[tuple[Finding, ManagedFile]]:
    directory = log.path if log.automatic else os.path.dirname(log.path)
    if directory != logs.path or not (log.automatic or log.max_bytes):
        return
    name = f"{log.program}---supervisor.log" if log.automatic else log.path
    before, after = (
        created_file(log.creator, each)
        for each in (logs.before.inode, logs.after.inode)
    )
    origin = f"{display(log.file)}:{log.line}"
    file = ManagedFile(NAME, origin, os.path.basename(name), log.creator, before, after)
    evidence = evidence_of(after)
    if log.automatic:
        message = (
            f"supervisord makes logs of {log.program} here that only it can use "
            f"({evidence}), and removes them when it starts again"
        )
        remedy = "set stdout_logfile and stderr_logfile, or childlogdir, to elsewhere"
        yield _finding("supervisor_rotates", logs, log, message, remedy), file
        return
    rehearsed = rehearsed_file(logs, before, after)
    shown = display(os.path.basename(log.path))
    rotates = (
        f"When {shown} reaches {log.max_bytes:,} bytes, supervisord renames it and "
        f"makes a new one, {evidence}"
    )
    if rehearsed.out_after:
        message = f"{rotates}: {rehearsed.sentence(f'append to {shown}')}"
        yield _finding("supervisor_locks_out", logs, log, message, None), file
    else:
        yield _finding("supervisor_rotates", logs, log, rotates, None), file


def _finding(
    code: str, logs: Logs, log: ChildLog, message: str, remedy: str | None
) -> Finding:
    origin = f"{display(log.file)}:{log.line}"
    return Finding(code, logs.path, log.program, origin, message, remedy)
