# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The logs that supervisord opens for its programs, and rotates itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from .._identity import Identity
from ._sessions import Sessions
from ._supervisor import (
    AUTOMATIC,
    AUTOMATIC_MODE,
    CONFIGURATIONS,
    Daemon,
    Host,
    Program,
    child_directory,
    daemon_of,
    log_of,
    programs_of,
)
from ._supervisor_ini import Configuration, Section, Values, read

#: What a log is rotated at, unless it says otherwise.
_MAX_BYTES = 50 * 1024 * 1024
_SIZE = re.compile(r"([0-9]{1,12})([kmg]b|)", re.IGNORECASE)
_UNITS = {"": 1, "kb": 1024, "mb": 1024**2, "gb": 1024**3}


@dataclass(frozen=True)
class ChildLog:
    """A log that supervisord opens for a program, set in ``file`` at ``line``.

    It is rotated at ``max_bytes``, never where that is 0. Where supervisord makes
    the name up it is ``automatic``, and ``path`` its directory.
    """

    program: str
    path: str
    file: str
    line: int
    max_bytes: int
    creator: Identity
    automatic: bool = False


def child_logs(root: str) -> tuple[ChildLog, ...]:
    """Return the logs that supervisord opens for programs; none without it."""
    for path in CONFIGURATIONS:
        try:
            configuration = read(root, path)
        except FileNotFoundError:
            continue
        except OSError:  # told by who looks for writers
            return ()
        host = Host(root, path, Values(configuration.problems), Sessions(root))
        own = configuration.sections.get("supervisord")
        return () if own is None else tuple(_child_logs(host, configuration, own))
    return ()


def _child_logs(
    host: Host, configuration: Configuration, own: Section
) -> Iterator[ChildLog]:
    daemon = daemon_of(host, own)
    for program in programs_of(host, configuration.sections.values()):
        is_redirected = host.values.truth(program.section, "redirect_stderr")
        keys = ("stdout_logfile", *([] if is_redirected else ["stderr_logfile"]))
        for key in keys:
            yield from _of_program(host, program, key, own, daemon)


def _of_program(
    host: Host, program: Program, key: str, own: Section, daemon: Daemon
) -> Iterator[ChildLog]:
    section, creator = program.section, daemon.identity
    place = section.where(key)
    for names in program.processes:
        path = log_of(host, section, key, names, daemon)
        automatic = path == AUTOMATIC
        if automatic:
            path = child_directory(host, own, daemon)
            creator = replace(creator, request_mode=AUTOMATIC_MODE)
        if path:
            size = _size(section.values.get(f"{key}_maxbytes"))
            name = program.service.partition(":")[2]
            yield ChildLog(name, path, place.path, place.line, size, creator, automatic)


def _size(text: str | None) -> int:
    """Return bytes of ``50MB``; the default where none, or no size, is set."""
    match = _SIZE.fullmatch(text.strip()) if text is not None else None
    if match is None:
        return _MAX_BYTES
    return int(match[1]) * _UNITS[match[2].lower()]
