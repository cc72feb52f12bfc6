# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which directories services log to, and who writes there: a policy to start with."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from ._errors import OptionError
from ._identity import user_name
from ._laravel import LOGS, application_of
from ._names import display
from ._policy import parse_policies
from ._writers._files import unread
from ._writers._source import Found, Writer

#: Files below these are open for writing and are nobody's logs.
_NO_LOGS = ("/dev/", "/memfd:", "/proc/", "/run/", "/sys/", "/var/lib/", "/var/cache/")


def suggest_policy(found: Found) -> list[dict[str, Any]]:
    """Return the ``directories`` that several identities write to.

    A directory in which only root, or only a single user, logs needs no policy,
    unless it is an application's own: the next user may come with the next job.
    Those of root's daemons are for root alone: others there were given their logs.
    """
    writers: dict[str, set[int]] = {}
    applications = {f"{base}/{LOGS}" for base in _applications(found.writers)}
    for directory in applications:
        writers[directory] = set()
    for writer in found.writers:
        for directory in _directories(writer, applications):
            writers.setdefault(directory, set()).add(writer.identity.uid)
    suggested = [
        {"path": path, "writers": sorted(user_name(uid) for uid in uids)}
        for path, uids in sorted(writers.items())
        if path in applications or (len(uids) > 1 and not _is_roots(path, found))
        if uids - {0}
    ]
    return [each for each in suggested if _is_acceptable(each)]


def _is_roots(directory: str, found: Found) -> bool:
    """Tell whether root keeps logs open where nobody else creates any.

    Apache's workers have those logs open, too, which root opened for them.
    """
    opened = (
        log
        for writer in found.writers
        if writer.identity.uid == 0 and writer.identity.source == "running"
        for log in writer.logs
    )
    return directory in map(os.path.dirname, opened) and _only_root_creates(directory)


def _only_root_creates(directory: str) -> bool:
    try:
        status = os.stat(directory)
    except OSError:
        return False
    # With an ACL the bits of the group are its mask: the most that it lets others.
    return status.st_uid == 0 and not status.st_mode & 0o022


def _applications(writers: Iterable[Writer]) -> set[str]:
    mentions = {mention for writer in writers for mention in writer.mentions}
    found = (application_of(mention) for mention in mentions)
    return {os.path.realpath(base) for base in found if base is not None}


def _directories(writer: Writer, applications: set[str]) -> Iterator[str]:
    """Yield the log directories that a writer's configuration or files show."""
    for log in writer.logs:
        if _is_log(log):
            yield os.path.dirname(log)
    for mention in writer.mentions:
        path = os.path.realpath(mention)
        for directory in applications:
            base = directory[: -len(LOGS) - 1]
            if f"{path}/".startswith(f"{base}/"):
                yield directory


def _is_log(path: str) -> bool:
    if path.startswith(_NO_LOGS) or display(path) != path:
        return False
    directories = path.split("/")[:-1]
    return path.endswith(".log") or bool({"log", "logs"} & set(directories))


def _is_acceptable(declaration: dict[str, Any]) -> bool:
    """Tell whether the policy could be pasted: the system's directories cannot."""
    try:
        parse_policies([declaration], [])
    except OptionError:
        return False
    return os.path.isdir(declaration["path"])


def ask(sources: Iterable[Callable[[], Found]]) -> Found:
    """Return what all sources found; where one may not look is a problem."""
    return merged([_asked(source) for source in sources])


def _asked(source: Callable[[], Found]) -> Found:
    try:
        return source()
    except OSError as error:
        return Found(problems=(unread(str(error.filename or source), error),))


def merged(parts: Sequence[Found]) -> Found:
    """Return what several sources found, as if one had found it all.

    What a daemon starts, as its own source tells, is in the sandbox of its unit.
    """
    sandboxes = tuple(sandbox for part in parts for sandbox in part.sandboxes)
    by_unit = {sandbox.unit: sandbox for sandbox in sandboxes}
    return Found(
        tuple(
            replace(
                writer,
                surroundings=writer.surroundings
                or by_unit.get(writer.daemon_unit or ""),
            )
            for part in parts
            for writer in part.writers
        ),
        tuple(problem for part in parts for problem in part.problems),
        next(filter(None, (part.confined_by for part in parts)), None),
        sandboxes,
    )
