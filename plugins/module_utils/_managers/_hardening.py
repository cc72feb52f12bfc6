# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs that set permissions: cron, commands of services, scripts of logrotate."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from .._access import DIRECTORY, Inode
from .._findings import Finding
from .._names import display
from .._writers._cron import crontabs, parse, scripts
from .._writers._files import below, read_text
from .._writers._source import Problem
from ._commands import Command, of_script, of_words
from ._conflicts import (
    Answer,
    Logs,
    Manager,
    Rehearsed,
    evidence_of,
    rehearsed_directory,
    rehearsed_file,
    shown_origin,
)
from ._host import Host
from ._logrotate_conf import read as read_logrotate
from ._schedule import of_cron_directory, of_cron_line, of_logrotate, of_timer
from ._stanza import words_of

_EXEC = re.compile(r"Exec(?:Start|StartPre|StartPost|Condition|Reload|Stop|StopPost)")
#: Of one file: everybody has a crontab, and could fill a report with it.
_MAX_JOBS = 100
_NO_INPUT = re.compile(r"(?:\\.|[^\\%])*", re.DOTALL)


@dataclass(frozen=True)
class Job:
    """A change of permissions that is made again and again.

    ``origin`` is where it stands, ``when`` it runs, in words.
    """

    command: Command
    path: str
    line: int
    when: str


def read(host: Host) -> Manager:
    """Read which jobs change permissions."""
    jobs: list[Job] = []
    counted: Counter[str] = Counter()
    for of in (_of_cron, _of_scripts, _of_services, _of_logrotate):
        for job in of(host):
            counted[job.path] += 1
            if counted[job.path] <= _MAX_JOBS:
                jobs.append(job)
    too_many = (path for path, count in counted.items() if count > _MAX_JOBS)
    return Hardening(tuple(jobs), tuple(map(_too_many, too_many)))


def _too_many(path: str) -> Problem:
    return Problem(
        path,
        0,
        f"changes permissions in more than {_MAX_JOBS} commands, and only the first "
        "of them are looked at",
    )


def _of_cron(host: Host) -> Iterator[Job]:
    for each in crontabs(host.root):
        if isinstance(each, Problem):  # told by who looks for writers
            continue
        path, user = each
        try:
            text = read_text(below(host.root, path))
        except OSError:
            continue
        jobs, _problems = parse(text, path, user)
        lines = text.split("\n")
        for job in jobs:
            command = _NO_INPUT.match(job.command)
            when = of_cron_line(lines[job.line - 1])
            for change in of_script(command.group() if command else ""):
                yield Job(change, path, job.line, when)


def _of_scripts(host: Host) -> Iterator[Job]:
    for path in scripts(host.root):
        if isinstance(path, Problem):
            continue
        place = below(host.root, path)
        try:
            mode = os.stat(place).st_mode
            runs = stat.S_ISREG(mode) and mode & 0o111
            text = read_text(place) if runs else ""
        except OSError as error:
            if error.errno != errno.EFBIG:
                continue
            text = ""
        when = of_cron_directory(host.root, os.path.dirname(path))
        yield from _of_text(text, path, 1, when)


def _of_text(text: str, path: str, first: int, when: str) -> Iterator[Job]:
    """Yield the jobs of a script, which begins in the ``first`` line of a file."""
    for number, line in enumerate(text.replace("\\\n", " \0").split("\n")):
        for change in of_script(line.replace("\0", " ")):
            yield Job(change, path, first + number, when)


def _of_services(host: Host) -> Iterator[Job]:
    for service in host.services:
        timer = of_timer(host.root, service.name.replace(".service", ".timer"))
        when = timer or f"at each start of {service.name}"
        for setting in service.settings:
            if _EXEC.fullmatch(setting.key) and setting.value:
                words = words_of(setting.value.lstrip("@-:+!|"))
                for change in of_words(words):
                    yield Job(change, setting.path, setting.line, when)


def _of_logrotate(host: Host) -> Iterator[Job]:
    when = of_logrotate(host.root)
    seen = set()
    for stanza in read_logrotate(host.root).stanzas:
        for script in stanza.settings.scripts.values():
            if script.place not in seen:
                seen.add(script.place)
                place = script.place
                yield from _of_text(script.text, place.path, place.line, when)


@dataclass(frozen=True)
class Hardening(Manager):
    """All jobs that set permissions."""

    jobs: tuple[Job, ...]
    problems: tuple[Problem, ...] = ()

    def answer(self, logs: Logs) -> Answer:
        """Return what they will do with a log directory."""
        return Answer(tuple(each for job in self.jobs for each in _findings(logs, job)))


def _findings(logs: Logs, job: Job) -> Iterator[Finding]:
    directory = logs.after.inode
    if job.command.concerns(logs.path, DIRECTORY):
        after = job.command.applied(directory)
        before = job.command.applied(logs.before.inode)
        if after != directory or not job.command.known:
            rehearsed = rehearsed_directory(logs, before, after)
            what = f"create logs in {display(logs.path)}"
            yield _finding(logs, job, rehearsed, after, what, logs.path)
            return
    for file in logs.files:
        path = f"{logs.path}/{file.name}"
        if job.command.concerns(path, file.after.kind):
            after, before = (
                job.command.applied(file.after),
                job.command.applied(file.before),
            )
            if after != file.after or not job.command.known:
                rehearsed = rehearsed_file(logs, before, after)
                what = f"append to {display(file.name)}"
                yield _finding(logs, job, rehearsed, after, what, path)
                return


def _finding(
    logs: Logs, job: Job, rehearsed: Rehearsed, after: Inode, what: str, path: str
) -> Finding:
    origin, name = shown_origin(job.path, job.line), job.command.name
    when = f"{job.when[0].upper()}{job.when[1:]}"
    locks_out = job.command.known and rehearsed.locks_out
    if locks_out:
        end = f"makes {display(path)} {evidence_of(after)}: {rehearsed.sentence(what)}"
    elif job.command.known:
        end = f"makes {display(path)} {evidence_of(after)}, not as a repair leaves it"
    else:
        end = f"changes {display(path)}, and it cannot be told how"
    return Finding(
        "hardening_locks_out" if locks_out else "hardening_job",
        logs.path,
        f"{display(job.path)}:{job.line}",
        f"{origin}: {name} {display(job.command.target)}",
        f"{when}, {name} ({origin}) {end}",
        f"leave {display(logs.path)} out of it in {origin}",
    )
