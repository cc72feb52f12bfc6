# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running a command of the host: never for ever, and nothing of it stays behind.

It has no terminal and no input, and a session of its own (setsid(2)): what it
leaves running in that is killed when it has ended. Its language is English.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from .._errors import HostError
from .._names import display

#: What a failing service gets to say.
MOST_LINES = 20
MOST_BYTES = 4096
_PART = 65_536
_POLL_SECONDS = 0.05
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "TERM": "dumb",
    "SYSTEMD_COLORS": "0",
    "SYSTEMD_PAGER": "",
}


@dataclass(frozen=True)
class Finished:
    """How a command ended. ``status`` is as waitpid(2) has it, negative for a signal.

    ``lines`` are the last ones of both outputs.
    """

    status: int
    lines: tuple[str, ...]

    @property
    def said(self) -> str:
        """The last lines, as one."""
        return "; ".join(self.lines) or f"it says nothing, with status {self.status}"


def run(
    argv: Sequence[str], timeout: float, environment: Mapping[str, str] = _ENVIRONMENT
) -> Finished:
    """Run a command and return how it ended.

    Raises HostError where there is none, and where it does not end within
    ``timeout`` seconds: it is killed then.
    """
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=dict(environment),
            start_new_session=True,
        )
    except OSError as error:
        raise HostError(
            f"{display(argv[0])} could not be run: {error.strerror}"
        ) from error
    with process:
        try:
            output, has_ended = _watched(process, time.monotonic() + timeout)
        finally:
            # Not waited for yet, it keeps its number, which is its group's, too.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        status = process.wait()
    if not has_ended:
        raise HostError(
            f"{display(' '.join(argv))} did not end within {timeout:g} s, and was "
            "killed"
        )
    return Finished(status, last_lines(output))


def _watched(process: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, bool]:
    """Return the end of the output, and whether the command has ended in time."""
    output = b""
    assert process.stdout is not None  # noqa: S101
    pipe = process.stdout.fileno()
    is_open = True
    while True:
        has_ended = _has_ended(process.pid)
        # What is in the pipe once it has ended is all; a child may hold it open.
        wait = 0 if has_ended else _POLL_SECONDS
        if is_open and select.select([pipe], [], [], wait)[0]:
            part = os.read(pipe, _PART)
            output = (output + part)[-_PART:]
            is_open = bool(part)
        elif has_ended:
            return output, True
        elif not is_open:
            time.sleep(wait)
        if time.monotonic() > deadline:
            return output, has_ended


def _has_ended(pid: int) -> bool:
    options = os.WEXITED | os.WNOHANG | os.WNOWAIT
    return os.waitid(os.P_PID, pid, options) is not None


def last_lines(output: bytes | str) -> tuple[str, ...]:
    """Return the last lines, at most MOST_LINES and MOST_BYTES, as they can be shown.

    Control characters and bytes that are not UTF-8 are escaped.
    """
    text = output if isinstance(output, bytes) else os.fsencode(output)
    # "\r\n" ends a line as well
    shown = [display(os.fsdecode(line.rstrip())) for line in text.split(b"\n")]
    found: list[str] = []
    left = MOST_BYTES
    for line in reversed([each for each in shown if each][-MOST_LINES:]):
        size = len(line.encode())
        if size > left:
            break
        left -= size + 1
        found.insert(0, line)
    return tuple(found) or _end_of(shown)


def _end_of(shown: Sequence[str]) -> tuple[str, ...]:
    """Return the end of a last line that is too long on its own."""
    last = next((line for line in reversed(shown) if line), None)
    if last is None:
        return ()
    return ("..." + last.encode()[3 - MOST_BYTES :].decode("utf-8", "ignore"),)
