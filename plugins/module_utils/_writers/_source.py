# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a source of writers tells: who opens logs, and what it could not read."""

from __future__ import annotations

from dataclasses import dataclass, field

from .._identity import Identity
from ._sandbox import Surroundings

_NO_DAEMONS = ("process", "systemd")


@dataclass(frozen=True)
class Launch:
    """Which running processes are certainly those of a configured writer.

    They are in the control group of systemd's ``unit``, and are called
    ``name``, or their parent is called ``parent``, or their pid is ``pid``.
    ``files`` are what they are configured in. ``new_umask``, ``new_groups`` and
    ``new_logs`` are the smallest commands that give them what they lack.
    """

    unit: str
    new_umask: str
    new_groups: str
    new_logs: str
    name: str | None = None
    parent: str | None = None
    pid: int | None = None
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Writer:
    """An identity that a configuration or a running process shows to log.

    ``service`` names what runs as it: ``apache2``, ``supervisor:NAME``,
    ``php-fpm:POOL``, ``systemd:UNIT``, ``cron:FILE:LINE``, or ``process:NAME``.
    ``logs`` are absolute paths of files that this identity itself opens for
    writing. ``mentions`` are absolute paths in what it is configured to run:
    its working directory, its document root, arguments of its command; a log
    directory of the application that they lie in is its, too. ``origin`` is
    ``FILE:LINE`` or ``pid PID``. ``deleted`` are logs that a process still
    holds open though they have no name any more, ``rotated`` those of its logs
    that have the name of an old one. ``launch`` says how processes
    of a configured writer are known. ``configured`` are the writers that one
    that runs may be; it is ``outdated`` where they changed after it started.
    ``surroundings`` is None for who sees the host's files as this process does.
    """

    identity: Identity
    service: str
    origin: str
    logs: tuple[str, ...] = ()
    mentions: tuple[str, ...] = ()
    pids: tuple[int, ...] = ()
    deleted: tuple[str, ...] = ()
    surroundings: Surroundings | None = None
    rotated: tuple[str, ...] = ()
    launch: Launch | None = field(default=None, compare=False)
    configured: tuple[Writer, ...] = ()
    outdated: bool = False

    @property
    def daemon_unit(self) -> str | None:
        """The unit of systemd in which a daemon runs this; None for other services."""
        kind = self.service.partition(":")[0]
        if kind == "php-fpm":  # its identities are called php8.2-fpm:POOL
            kind = self.identity.id.partition(":")[0]
        if kind == "supervisord":
            kind = "supervisor"
        return None if kind in _NO_DAEMONS else f"{kind}.service"


@dataclass(frozen=True)
class Problem:
    """A configuration that could not be understood; the audit goes on."""

    path: str
    line: int
    message: str


@dataclass(frozen=True)
class Found:
    """All that one source found on the host.

    ``confined_by`` is the security module that decides about every process;
    ``sandboxes`` are what services of systemd see, where that is not all.
    """

    writers: tuple[Writer, ...] = ()
    problems: tuple[Problem, ...] = ()
    confined_by: str | None = None
    sandboxes: tuple[Surroundings, ...] = ()


NOBODY = Found()
