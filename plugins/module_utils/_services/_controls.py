# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who restarts a service: supervisord its programs, systemd everything else."""

from __future__ import annotations

from ._control import Control
from ._program_control import ProgramControl
from ._service import Service
from ._supervisor import SupervisorProgram
from ._supervisor_rpc import Supervisor, find_endpoint
from ._unit_control import UnitControl

#: supervisord answers at once, or something is wrong with it.
_ANSWER_SECONDS = 10.0


class Controls:
    """The controls of the services that are named, which may be restarted."""

    def __init__(self, named: frozenset[str], timeout: float) -> None:
        """Take their names, and how long a restart may take, in seconds."""
        self._named = named
        self._timeout = timeout
        self._supervisors: dict[str, Supervisor] = {}

    def of(self, service: Service) -> Control:
        """Return the control of a service. Raises HostError."""
        if isinstance(service, SupervisorProgram):
            supervisor = self._supervisor(service)
            return ProgramControl(service, supervisor, self._timeout, self._named)
        return UnitControl(service, self._timeout)

    def _supervisor(self, program: SupervisorProgram) -> Supervisor:
        """Return one for all programs: what does not answer is asked once."""
        facts = program.facts()
        if facts.path not in self._supervisors:
            self._supervisors[facts.path] = Supervisor(
                find_endpoint(facts.configuration, facts.path),
                min(_ANSWER_SECONDS, self._timeout),
            )
        return self._supervisors[facts.path]
