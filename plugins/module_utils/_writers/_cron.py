# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs of cron: crontab(5) and cron(8), as Debian's cron 3.0pl1 does it.

One line that it cannot parse, or a last line without a newline, makes it ignore
the whole file; files that others could have written it ignores, too.
"""

from __future__ import annotations

import errno
import itertools
import os
import pwd
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from .._errors import OptionError
from .._names import display
from ._daemons import account
from ._files import below, list_names, read_text, unread
from ._sessions import Sessions
from ._shell import Run, absolute_paths, of_script
from ._source import Found, Problem, Writer
from ._unit_files import configured_umask

_CRONTAB = "/etc/crontab"
_CRON_D = "/etc/cron.d"
_SPOOL = "/var/spool/cron/crontabs"
_SCRIPTS = (
    "/etc/cron.hourly",
    "/etc/cron.daily",
    "/etc/cron.weekly",
    "/etc/cron.monthly",
    "/etc/cron.yearly",
)

#: Other names are skipped by cron and by run-parts(8).
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_SETTING = re.compile(
    r"""(?: '(?P<single>[^'=]*)' | "(?P<double>[^"=]*)" | (?P<bare>(?!['"])[^=\s]*) )
        \s* = \s*
        (?: (?P<value>(?!['"\s]).+) | '(?P<one>[^']*)'\s* | "(?P<two>[^"]*)"\s* )""",
    re.VERBOSE | re.DOTALL,
)
_NICKNAMES = re.compile("reboot|yearly|annually|monthly|weekly|daily|midnight|hourly")
_MONTHS = re.findall("...", "janfebmaraprmayjunjulaugsepoctnovdec")
_DAYS = re.findall("...", "sunmontuewedthufrisat")
#: What the five fields are called, and what they may be.
_FIELDS: tuple[tuple[str, int, int, Mapping[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    ("day of week", 0, 7, {name: number for number, name in enumerate(_DAYS)}),
)
_RANGE = re.compile(r"(?:\*|([0-9A-Za-z]+)(?:-([0-9A-Za-z]*))?)(/[0-9A-Za-z]*)?")
_DIGITS = re.compile(r"[0-9]{1,9}")
_NO_INPUT = re.compile(r"(?:\\.|[^\\%])*\\?", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})", re.ASCII)
_SHELL_SCRIPT = re.compile(r"#!\s*\S*/(?:env\s+)?(?:ba|da|k|z)?sh\b")
#: Where cron stops reading.
_MAX_LENGTH = 998
_MAX_LINES = 10_000


@dataclass(frozen=True)
class Job:
    """A line of a crontab that runs a command."""

    line: int
    user: str
    command: str
    environment: Mapping[str, str] = field(default_factory=dict)


def discover(root: str = "/") -> Found:
    """Return who runs jobs on the host whose file system is below ``root``."""
    host = _Host(root, Sessions(root), configured_umask(root, "cron.service"))
    parts = list(itertools.chain(_crontabs(host), _scripts(host)))
    return Found(
        tuple(writer for part in parts for writer in part.writers),
        tuple(problem for part in parts for problem in part.problems),
    )


@dataclass(frozen=True)
class _Host:
    root: str
    sessions: Sessions
    umask: int


def parse(
    text: str, path: str, user: str | None = None
) -> tuple[list[Job], list[Problem]]:
    """Return the jobs of a crontab, and its lines that cron does not take.

    ``user`` is whose crontab it is; None if it names a user in each line.
    """
    jobs: list[Job] = []
    problems: list[Problem] = []
    environment: Mapping[str, str] = {}
    lines = text.split("\n")
    if len(lines) > _MAX_LINES + 1:
        problems.append(_ignored(path, _MAX_LINES, "has too many lines"))
    for number, line in enumerate(lines[:_MAX_LINES], 1):
        entry = line.lstrip(" \t")
        if not entry or entry.startswith("#"):
            continue
        try:
            setting, command = _parse_line(entry, user, number < len(lines))
        except ValueError as error:
            problems.append(_ignored(path, number, str(error)))
            continue
        if command is None:
            environment = {**environment, **setting}
        else:
            jobs.append(Job(number, *command, environment))
    return jobs, problems


def _parse_line(
    entry: str, user: str | None, is_complete: bool
) -> tuple[Mapping[str, str], tuple[str, str] | None]:
    """Return what a line sets, or user and command; ValueError if it is wrong."""
    if not is_complete:
        raise ValueError("has no newline at its end")
    if "\0" in entry:
        raise ValueError("contains a NUL byte")
    setting = _SETTING.fullmatch(entry[:_MAX_LENGTH])
    if not setting:
        return {}, _entry(entry, user)
    name, value = _setting(setting)
    return {name: value}, None


def _ignored(path: str, line: int, reason: str) -> Problem:
    return Problem(path, line, f"{reason}; cron ignores the whole file")


def _setting(match: re.Match[str]) -> tuple[str, str]:
    names = match.group("single", "double", "bare")
    values = match.group("one", "two")
    name = next(each for each in names if each is not None)
    plain = match["value"]
    if plain is not None:
        return name, plain.rstrip()
    return name, next(each for each in values if each is not None)


def _entry(text: str, user: str | None) -> tuple[str, str]:
    """Return user and command of a line; ValueError says what is wrong."""
    if text.startswith("@"):
        nickname, _blanks, rest = _cut(text[1:])
        if not _NICKNAMES.fullmatch(nickname):
            raise ValueError(f"has no time that cron knows: @{display(nickname)}")
    else:
        rest = text
        for name, low, high, names in _FIELDS:
            value, _blanks, rest = _cut(rest)
            if not _is_time(value, low, high, names):
                raise ValueError(f"has no valid {name}: {display(value) or 'nothing'}")
    if user is None:
        user, blank, command = _cut(rest)
        if not blank:
            raise ValueError("has no user or no command")
    else:
        command = rest
        if rest.startswith("*"):
            raise ValueError("has six times before its command")
    if len(os.fsencode(command)) > _MAX_LENGTH:
        raise ValueError(f"has a command of more than {_MAX_LENGTH} bytes")
    return user, command


def _cut(text: str) -> tuple[str, str, str]:
    """Split a line at its first blanks."""
    first, *rest = re.split(r"([ \t]+)", text, maxsplit=1)
    return (first, rest[0], rest[1]) if rest else (first, "", "")


def _is_time(text: str, low: int, high: int, names: Mapping[str, int]) -> bool:
    """Tell whether cron takes a field: it does not look behind the last range."""
    position = 0
    while True:
        match = _RANGE.match(text, position)
        if not match or not _is_range(match, low, high, names):
            return False
        if not text.startswith(",", match.end()):
            return True
        position = match.end() + 1


def _is_range(
    match: re.Match[str], low: int, high: int, names: Mapping[str, int]
) -> bool:
    first, last, step = match.groups()
    for value in (first, last):
        if value is not None:
            number = _number(str(names.get(value.lower(), value)))
            if number is None or not low <= number <= high:
                return False
    if step is None:
        return True
    return bool(_number(step[1:])) and (first is None or last is not None)


def _number(text: str) -> int | None:
    return int(text) if _DIGITS.fullmatch(text) else None


def _crontabs(host: _Host) -> Iterator[Found]:
    for each in crontabs(host.root):
        if isinstance(each, Problem):
            yield Found(problems=(each,))
        else:
            yield _crontab(host, *each)


def crontabs(root: str) -> Iterator[tuple[str, str | None] | Problem]:
    """Yield each crontab, and whose it is; None where its lines name users."""
    yield _CRONTAB, None
    for directory, is_name in ((_CRON_D, _is_run), (_SPOOL, _is_crontab)):
        try:
            names = list_names(root, directory)
        except OSError as error:
            yield unread(directory, error)
            continue
        for name in filter(is_name, names):
            yield f"{directory}/{name}", name if directory == _SPOOL else None


def _is_run(name: str) -> bool:
    return bool(_NAME.fullmatch(name))


def _is_crontab(name: str) -> bool:
    return not name.startswith((".", "tmp."))


def _crontab(host: _Host, path: str, user: str | None) -> Found:
    try:
        refusal = _refusal(below(host.root, path), user)
        if refusal:
            return Found(problems=(Problem(path, 0, f"is ignored by cron: {refusal}"),))
        jobs, problems = parse(read_text(below(host.root, path)), path, user)
    except FileNotFoundError:
        return Found()
    except OSError as error:
        return Found(problems=(unread(path, error),))
    writers: list[Writer] = []
    for job in jobs:
        for each in _writers(host, job, path):
            if isinstance(each, Writer):
                writers.append(each)
            else:
                problems.append(each)
    return Found(tuple(writers), tuple(problems))


def _refusal(path: str, user: str | None) -> str | None:
    """Return why cron ignores a crontab; raises OSError."""
    if user is None:
        return _system_refusal(os.lstat(path), os.stat(path))
    status = os.lstat(path)
    try:
        owners = (0, pwd.getpwnam(user).pw_uid)
    except (KeyError, ValueError):
        return "no user of this host has its name"
    if not stat.S_ISREG(status.st_mode):
        return "it is not a regular file"
    if status.st_uid not in owners:
        return "it belongs neither to the user nor to root"
    if stat.S_IMODE(status.st_mode) != 0o600:
        return "its mode is not 0600"
    return "it has more than one link" if status.st_nlink != 1 else None


def _system_refusal(link: os.stat_result, status: os.stat_result) -> str | None:
    if link.st_uid != 0 or status.st_uid != 0:
        return "it does not belong to root"
    if not stat.S_ISREG(status.st_mode):
        return "it is not a regular file"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "its group or others may write it"
    return "it has more than one link" if status.st_nlink != 1 else None


def _writers(host: _Host, job: Job, path: str) -> Iterator[Writer | Problem]:
    try:
        home = pwd.getpwnam(job.user).pw_dir
    except (KeyError, ValueError):
        reason = f"names a user that this host does not have: {display(job.user)}"
        yield _ignored(path, job.line, reason)
        return
    environment = {"HOME": home, **job.environment}
    command = _NO_INPUT.match(job.command)
    script = re.sub(r"\\([%\\])", r"\1", command.group() if command else "")
    runs = of_script(_expanded(script, environment), environment["HOME"])
    yield from _running(host, runs or (Run(),), job.user, path, job.line)


def _expanded(command: str, environment: Mapping[str, str]) -> str:
    """Put in the values of the variables that the crontab sets."""
    return _VARIABLE.sub(
        lambda match: environment.get(match[1] or match[2], match[0]), command
    )


def _running(
    host: _Host, runs: Iterable[Run], user: str, path: str, line: int
) -> Iterator[Writer | Problem]:
    """Yield a writer for each identity that something in a job runs as."""
    shown = display(path)
    for run in runs:
        name = run.user or user
        usual = host.sessions.umask("cron", name, host.umask)
        own = host.sessions.umask("cron", user, host.umask)
        umask = host.sessions.umask_of(run, name, own)
        suffix = "" if umask == usual else f":{umask:04o}"
        try:
            identity = account(
                f"cron:{shown}:{display(name)}{suffix}", name, "", umask, "user"
            )
        except OptionError:
            reason = f"runs something as a user that this host does not have: {name}"
            yield Problem(path, line, reason)
            continue
        yield Writer(
            identity, f"cron:{shown}:{line}", f"{path}:{line}", run.writes, run.mentions
        )


def _scripts(host: _Host) -> Iterator[Found]:
    for each in scripts(host.root):
        if isinstance(each, Problem):
            yield Found(problems=(each,))
        else:
            yield _script(host, each)


def scripts(root: str) -> Iterator[str | Problem]:
    """Yield what may be a script that run-parts(8) runs for cron."""
    for directory in _SCRIPTS:
        try:
            names = list_names(root, directory)
        except OSError as error:
            yield unread(directory, error)
            continue
        yield from (f"{directory}/{name}" for name in filter(_is_run, names))


def _script(host: _Host, path: str) -> Found:
    """Return root as it runs a script, if run-parts(8) would run it."""
    place = below(host.root, path)
    try:
        mode = os.stat(place).st_mode
        if not stat.S_ISREG(mode) or not mode & 0o111:
            return Found()
        text = read_text(place)
    except OSError as error:
        if error.errno == errno.EFBIG:  # a program, not a script
            text = ""
        else:
            return Found(problems=(unread(path, error),))
    if _SHELL_SCRIPT.match(text):
        runs = of_script(text)
    else:
        code = re.sub(r"^\s*#.*", "", text, flags=re.MULTILINE)
        runs = (Run(mentions=absolute_paths(code)),)
    found = list(_running(host, runs or (Run(),), "root", path, 1))
    return Found(
        tuple(each for each in found if isinstance(each, Writer)),
        tuple(each for each in found if isinstance(each, Problem)),
    )
