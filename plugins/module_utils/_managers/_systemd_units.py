# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd: LogsDirectory= and its like set mode and owner back at each start.

Rules: systemd.exec(5), and ``setup_exec_directory`` of systemd's
``exec-invoke.c``: chmod(2) to the mode, then chown(2) of all, if the directory
itself is not its user's.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Iterator
from dataclasses import dataclass

from .._access import Inode
from .._errors import OptionError
from .._findings import Finding
from .._identity import resolve_gid, resolve_uid
from .._names import display
from .._rehearsal import chmodded, given
from .._writers._source import Problem
from .._writers._unit_files import Setting, expand
from ._conflicts import (
    Answer,
    Logs,
    Manager,
    evidence_of,
    rehearsed_directory,
    shown_origin,
)
from ._host import Host, Service

_PLACES = {
    "LogsDirectory": "/var/log",
    "StateDirectory": "/var/lib",
    "RuntimeDirectory": "/run",
    "CacheDirectory": "/var/cache",
}
_MODE = 0o755
_OCTAL = re.compile(r"[0-7]{1,5}")


@dataclass(frozen=True)
class Owned:
    """A directory that systemd makes a service's own."""

    path: str
    setting: Setting
    service: str
    mode: int
    uid: int | None
    gid: int | None


def read(host: Host) -> Manager:
    """Read which directories systemd makes services' own."""
    owned: list[Owned] = []
    problems: list[Problem] = []
    for service in host.services:
        for key, place in _PLACES.items():
            for setting in service.listed(key):
                try:
                    owned += _owned(service, setting, key, place)
                except (ValueError, OptionError) as error:
                    problems.append(
                        Problem(setting.path, setting.line, f"{key}: {error}")
                    )
    return SystemdUnits(tuple(owned), (*host.problems, *problems))


def _owned(service: Service, setting: Setting, key: str, place: str) -> Iterator[Owned]:
    if "@." in service.name:  # an instance says more than its template
        return
    text = service.last(f"{key}Mode")
    if text and not _OCTAL.fullmatch(text):
        raise ValueError(f"has a mode that is none: {display(text)}")
    mode = int(text, 8) & 0o7777 if text else _MODE
    dynamic = service.last("DynamicUser").lower() in ("yes", "true", "on", "1")
    user, group = service.last("User"), service.last("Group")
    uid = gid = None
    if not dynamic:
        uid = resolve_uid(expand(user, service.name), "User") if user else 0
        gid = _gid(group or "", user, service.name)
    for word in expand(setting.value, service.name).split():
        name = word.partition(":")[0].strip("\"'")
        path = os.path.normpath(f"{place}/{'private/' if dynamic else ''}{name}")
        yield Owned(path, setting, service.name, mode, uid, gid)


def _gid(group: str, user: str, unit: str) -> int:
    if group:
        return resolve_gid(expand(group, unit), "Group")
    if not user:
        return 0

    try:
        return pwd.getpwuid(resolve_uid(expand(user, unit), "User")).pw_gid
    except KeyError:
        return 0


@dataclass(frozen=True)
class SystemdUnits(Manager):
    """systemd, as services' directories are configured."""

    owned: tuple[Owned, ...]
    problems: tuple[Problem, ...] = ()

    def answer(self, logs: Logs) -> Answer:
        """Return what it will do with a log directory."""
        found = (self._finding(logs, each) for each in self.owned)
        return Answer(tuple(each for each in found if each))

    def _finding(self, logs: Logs, owned: Owned) -> Finding | None:
        if owned.path != logs.path:
            return None
        after = started(owned, logs.after.inode)
        if after == logs.after.inode:
            return None
        rehearsed = rehearsed_directory(logs, started(owned, logs.before.inode), after)
        key, origin = (
            owned.setting.key,
            shown_origin(owned.setting.path, owned.setting.line),
        )
        shown = display(logs.path)
        makes = f"{key}= makes {shown} {evidence_of(after)}"
        code = (
            "logs_directory_locks_out"
            if rehearsed.locks_out
            else ("logs_directory_resets")
        )
        end = (
            rehearsed.sentence(f"create logs in {shown}")
            if rehearsed.locks_out
            else "what a repair set is set back"
        )
        return Finding(
            code,
            logs.path,
            owned.service,
            f"{origin}: {key}={owned.setting.value}",
            f"At each start of {owned.service}, {makes}: {end}",
            f"take it out of {key}= of {owned.service} (a drop-in with an empty "
            f"{key}= first), and name it in ReadWritePaths= if it is sandboxed",
        )


def started(owned: Owned, inode: Inode) -> Inode:
    """Return a directory after systemd started the service."""
    return given(chmodded(inode, owned.mode), owned.uid, owned.gid)
