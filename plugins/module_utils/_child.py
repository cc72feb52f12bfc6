# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two processes for one tree, each of which takes a part of it.

Threads would be slower than one of them, because each system call is short.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_PR_SET_PDEATHSIG = 1
_PRCTL = ctypes.CDLL(None).prctl
_PRCTL.argtypes = [ctypes.c_int, ctypes.c_ulong]


class Child:
    """A process of its own for some work, and its end. ``work`` returns JSON."""

    def __init__(self, work: Callable[[], dict[str, Any]]) -> None:
        """Start it."""
        self._work = work
        answer, theirs = os.pipe()
        parent = os.getpid()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(answer)
            self._run(theirs, parent)
        os.close(theirs)
        self._answer = os.fdopen(answer, "rb")
        self._read = b""

    def __enter__(self) -> Child:
        """Return itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """End it, if it has not ended yet."""
        self._answer.close()
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)

    def _run(self, theirs: int, parent: int) -> None:
        """Never returns: the child ends here, whatever happens."""
        status = 1
        try:
            _end_with(parent)
            answer = json.dumps(self._work()).encode("ascii")
            with os.fdopen(theirs, "wb") as file:
                file.write(answer)
            status = 0
        finally:
            os._exit(status)

    def has_ended(self) -> bool:
        """True once the answer, or what there is of it, need not be waited for."""
        poll = select.poll()
        poll.register(self._answer, select.POLLIN)
        return bool(poll.poll(0))

    def answer(self) -> dict[str, Any] | None:
        """Wait for what the work returned; None where the child failed."""
        self._read += self._answer.read()
        with suppress(ValueError):
            return dict(json.loads(self._read))
        return None

    def result(self) -> dict[str, Any]:
        """Return what the work returned; where the child failed, do it here.

        So whatever the work raises is raised here.
        """
        answer = self.answer()
        return self._work() if answer is None else answer


def _end_with(parent: int) -> None:
    """Have the kernel kill this process as soon as its parent ends."""
    if _PRCTL(_PR_SET_PDEATHSIG, signal.SIGKILL) or os.getppid() != parent:
        os._exit(1)
