# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of managers: who may change back what a repair did."""

from __future__ import annotations

from collections.abc import Callable

from .._writers._files import unread
from .._writers._source import Problem
from . import (
    _hardening,
    _logrotate,
    _monolog,
    _supervisor,
    _systemd_units,
    _tmpfiles,
)
from ._conflicts import Answer, Logs, Manager, Managers
from ._host import Host

#: A new manager is one file, and one line here. The imports are static: only so
#: does Ansible send the files to the host.
MANAGERS: tuple[Callable[[Host], Manager], ...] = (
    _logrotate.read,
    _tmpfiles.read,
    _systemd_units.read,
    _monolog.read,
    _supervisor.read,
    _hardening.read,
)


class _Unread(Manager):
    """A manager whose configuration may not be read."""

    def __init__(self, problem: Problem) -> None:
        self.problems = (problem,)

    def answer(self, _logs: Logs) -> Answer:
        return Answer()


def read_managers(root: str = "/") -> Managers:
    """Read what all managers of a host are configured to do."""
    host = Host(root)
    return Managers(tuple(_read(each, host) for each in MANAGERS))


def _read(read: Callable[[Host], Manager], host: Host) -> Manager:
    try:
        return read(host)
    except OSError as error:
        return _Unread(unread(str(error.filename or read.__module__), error))
