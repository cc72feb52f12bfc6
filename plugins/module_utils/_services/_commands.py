# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running the tools that services bring: never for ever, and nothing stays behind.

A tool has no terminal and no input, and a session of its own (setsid(2)): what it
leaves running in that is killed when it has ended. Its language is English, and it
gets nothing of the user's environment.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from .._errors import HostError
from .._names import display

#: What a failing service gets to say.
MOST_LINES, MOST_BYTES = 20, 4096
_SAID_LINES, _SAID_CHARACTERS = 5, 600
_TIMEOUT_SECONDS: float = 30
_PART = 65_536
_POLL_SECONDS = 0.05
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
}


class Answer(NamedTuple):
    """How a command ended, and the end of what it wrote.

    ``status`` is negative where a signal ended it.
    """

    status: int
    output: str


def run(
    argv: Sequence[str],
    more: Mapping[str, str] | None = None,
    timeout: float = _TIMEOUT_SECONDS,
    most: int = _PART,
) -> Answer:
    """Run a command as services are run: with nothing of the user's environment.

    ``more`` are further variables; ``most`` is how many bytes of its output are
    kept, of the last ones. Raises HostError where it cannot be run, or does not end
    within ``timeout`` seconds.
    """
    output, writer = os.pipe()
    try:
        process = _started(argv, {**_ENVIRONMENT, **(more or {})}, writer)
        os.close(writer)
        try:
            deadline = time.monotonic() + timeout
            written, has_ended = _watched(process, output, deadline, most)
        finally:
            # Not waited for yet, it keeps its number, which is its group's, too.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            status = process.wait()
    finally:
        os.close(output)
    if not has_ended:
        raise HostError(
            f"{argv[0]} did not answer within {timeout:g} s. Look at what it waits "
            "for, then run again"
        )
    return Answer(status, os.fsdecode(bytes(written)))


def _started(
    argv: Sequence[str], environment: Mapping[str, str], writer: int
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=writer,
            cwd="/",
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        os.close(writer)
        raise HostError(f"{argv[0]} cannot be run: {error.strerror}") from error


def _watched(
    process: subprocess.Popen[bytes], pipe: int, deadline: float, most: int
) -> tuple[bytearray, bool]:
    """Return the end of the output, and whether the command has ended in time."""
    output = bytearray()
    is_open = True
    while True:
        has_ended = _has_ended(process.pid)
        # What is in the pipe once it has ended is all; a child may hold it open.
        wait = 0 if has_ended else _POLL_SECONDS
        if is_open and select.select([pipe], [], [], wait)[0]:
            part = os.read(pipe, _PART)
            output += part
            del output[:-most]
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


def said(output: str) -> str:
    """Return the last lines of an output in one, for a message."""
    lines = [display(line.strip()) for line in output.split("\n") if line.strip()]
    text = " / ".join(lines[-_SAID_LINES:]) or "it says nothing"
    return text[-_SAID_CHARACTERS:]
