# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running the tools that services bring, with a time limit and no terminal."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from .._errors import HostError
from .._names import display

_TIMEOUT_SECONDS: float = 30
_MOST_LINES, _MOST_CHARACTERS = 5, 600
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Answer(NamedTuple):
    """How a command ended, and what it wrote."""

    status: int
    output: str


def run(
    argv: Sequence[str],
    more: Mapping[str, str] | None = None,
    timeout: float = _TIMEOUT_SECONDS,
) -> Answer:
    """Run a command as services are run: with nothing of the user's environment.

    ``more`` are further variables. Raises HostError where it cannot be run, or does
    not end within ``timeout`` seconds.
    """
    try:
        done = subprocess.run(
            argv,
            env={"PATH": _PATH, "LC_ALL": "C", **(more or {})},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise HostError(
            f"{argv[0]} did not answer within {timeout:g} s. Look at what it waits "
            "for, then run again"
        ) from None
    except OSError as error:
        raise HostError(f"{argv[0]} cannot be run: {error.strerror}") from error
    return Answer(done.returncode, os.fsdecode(done.stdout))


def said(output: str) -> str:
    """Return the last lines of an output in one, for a message."""
    lines = [display(line.strip()) for line in output.split("\n") if line.strip()]
    text = " / ".join(lines[-_MOST_LINES:]) or "it says nothing"
    return text[-_MOST_CHARACTERS:]
