# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two processes for one tree: what only reads can be done in parts.

Threads would be slower than one of them, because each system call is short.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any


class Child:
    """A process of its own for some work, and its end. ``work`` returns JSON."""

    def __init__(self, work: Callable[[], dict[str, Any]]) -> None:
        """Start it."""
        self._work = work
        answer, theirs = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(answer)
            self._run(theirs)
        os.close(theirs)
        self._answer = os.fdopen(answer, "rb")

    def __enter__(self) -> Child:
        """Return itself."""
        return self

    def __exit__(self, *_error: object) -> None:
        """End it, if it has not ended yet."""
        self._answer.close()
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)

    def _run(self, theirs: int) -> None:
        """Never returns: the child ends here, whatever happens."""
        status = 1
        try:
            answer = json.dumps(self._work()).encode("ascii")
            with os.fdopen(theirs, "wb") as file:
                file.write(answer)
            status = 0
        finally:
            os._exit(status)

    def result(self) -> dict[str, Any]:
        """Return what the work returned; where the child failed, do it here.

        So whatever the work raises is raised here.
        """
        answer = self._answer.read()
        with suppress(ValueError):
            return dict(json.loads(answer))
        return self._work()
