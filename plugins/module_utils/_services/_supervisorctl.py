# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What supervisord says of its processes, through its unix socket alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from .._errors import HostError
from ._commands import Answer, run, said

_PROGRAM = "/usr/bin/supervisorctl"
_TIMEOUT_SECONDS: float = 20
_LINE = re.compile(r"(\S+)\s+([A-Z]+)(?:\s+pid ([0-9]+),)?(?:\s.*)?")
#: How supervisorctl says that nobody listens.
_NOBODY = ("no such file", "refused connection")


@dataclass(frozen=True)
class State:
    """A process: supervisor's word for its state, and its pid while it has one."""

    state: str
    pid: int | None


@dataclass(frozen=True)
class Control:
    """How supervisord is reached: its configuration, and its socket's path.

    ``program`` is supervisorctl. A socket that asks for a password gets the one in
    the configuration.
    """

    configuration: str
    socket: str
    program: str = _PROGRAM

    def ask(self, arguments: Sequence[str]) -> Answer:
        """Have supervisorctl do something. HostError where supervisord is silent."""
        server = ["-c", self.configuration, "-s", f"unix://{self.socket}"]
        return run([self.program, *server, *arguments], timeout=_TIMEOUT_SECONDS)

    def states(self) -> dict[str, State] | None:
        """Return every process by its name; None where nobody listens."""
        answer = self.ask(["status"])
        lines = answer.output.split("\n")
        if any(line.endswith(_NOBODY) for line in lines):
            return None
        if answer.status not in (0, 3):  # 3 where one of them does not run
            raise HostError(
                f"supervisorctl status failed: {said(answer.output)}. Look at "
                f"{self.socket} and at [unix_http_server] in {self.configuration}"
            )
        found = [match for match in map(_LINE.fullmatch, lines) if match]
        return {
            match[1]: State(match[2], int(match[3]) if match[3] else None)
            for match in found
        }
