# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Laravel and Monolog: ``permission`` of a channel is set at each open.

Monolog's ``StreamHandler`` calls chmod(2) after it has opened the log, and hides
the error: it succeeds for the file's owner alone. It cuts the mask of an ACL.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from .._access import Inode, created_file, may_create
from .._acl import WRITE
from .._findings import Finding
from .._identity import Identity
from .._laravel import application_of_logs
from .._laravel_logging import Channel, file_channels
from .._names import display
from .._rehearsal import chmodded
from .._writers._source import Problem
from ._conflicts import (
    Answer,
    Logs,
    ManagedFile,
    Manager,
    Rehearsed,
    evidence_of,
    rehearsed_file,
)
from ._host import Host


def read(_host: Host) -> Manager:
    """Return who looks at an application when its log directory is asked about."""
    return Monolog()


@dataclass(frozen=True)
class Monolog(Manager):
    """Monolog, as Laravel applications configure it."""

    def answer(self, logs: Logs) -> Answer:
        """Return what it will do with a log directory."""
        application = application_of_logs(logs.path)
        if application is None:
            return Answer()
        try:
            channels = file_channels(application)
        except FileNotFoundError:
            return Answer()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            path = (
                getattr(error, "filename", None) or f"{application}/config/logging.php"
            )
            return Answer(
                problems=(Problem(str(path), 0, f"{reason}: not understood"),)
            )
        found = [each for channel in channels for each in _answers(logs, channel)]
        return Answer(
            tuple(finding for finding, _file in found),
            tuple(file for _finding, file in found if file),
        )


def _answers(
    logs: Logs, channel: Channel
) -> Iterator[tuple[Finding, ManagedFile | None]]:
    if os.path.dirname(channel.path) != logs.path:
        return
    if channel.unclear:
        yield _unclear(logs, channel), None
    if channel.permission is None:
        return
    if channel.quoted.startswith("0"):
        yield _decimal(logs, channel), None
    for creator in logs.policy.creators:
        if creator.is_group or not may_create(creator, logs.after).allowed:
            continue
        file = _file(logs, channel, creator, channel.permission)
        rehearsed = rehearsed_file(logs, file.before, file.after)
        if rehearsed.locks_out:
            yield _finding(logs, channel, creator, file, rehearsed), file
            return
        if _opens(file.after):
            yield _opened(logs, channel, creator, file), file
            return


def _file(
    logs: Logs, channel: Channel, creator: Identity, permission: int
) -> ManagedFile:
    before, after = (
        chmodded(created_file(creator, each), permission)
        for each in (logs.before.inode, logs.after.inode)
    )
    name = os.path.basename(channel.path)
    return ManagedFile("monolog", channel.source, name, creator, before, after)


def _opens(inode: Inode) -> bool:
    return bool(inode.acl.other & WRITE)


def _where(channel: Channel) -> str:
    by = f" ({channel.key} in .env)" if channel.key else ""
    return f"permission of channel {channel.name} in {display(channel.source)}{by}"


def _finding(
    logs: Logs,
    channel: Channel,
    creator: Identity,
    file: ManagedFile,
    rehearsed: Rehearsed,
) -> Finding:
    evidence = evidence_of(file.after)
    return Finding(
        "monolog_locks_out",
        logs.path,
        channel.name,
        f"{_where(channel)}: {channel.permission:04o}",
        f"At each open by {creator.name}, Monolog makes its log {evidence}: "
        + rehearsed.sentence(f"append to {display(file.name)}"),
        f"remove the {_where(channel)}, or write it 0660 and as a number: a quoted "
        "0660 is decimal",
    )


def _opened(
    logs: Logs, channel: Channel, creator: Identity, file: ManagedFile
) -> Finding:
    return Finding(
        "monolog_permission",
        logs.path,
        channel.name,
        f"{_where(channel)}: {channel.permission:04o}",
        f"At each open by {creator.name}, Monolog makes its log "
        f"{evidence_of(file.after)}: everybody on the host can write it",
        f"remove the {_where(channel)}",
    )


def _decimal(logs: Logs, channel: Channel) -> Finding:
    return Finding(
        "monolog_permission",
        logs.path,
        channel.name,
        f"{_where(channel)}: '{channel.quoted}'",
        f"Monolog sets mode {channel.permission:04o} at each open, because PHP takes "
        f"the text {channel.quoted} to be decimal: the {_where(channel)}",
        f"remove the {_where(channel)}, or make it a number (octdec)",
    )


def _unclear(logs: Logs, channel: Channel) -> Finding:
    return Finding(
        "monolog_permission",
        logs.path,
        channel.name,
        f"{_where(channel)}: not a number that can be told",
        f"Monolog sets a mode at each open, and it cannot be told which: the "
        f"{_where(channel)}",
        f"remove the {_where(channel)}",
    )
