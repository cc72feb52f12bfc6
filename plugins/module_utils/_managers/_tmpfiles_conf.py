# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""tmpfiles.d: the lines that systemd-tmpfiles carries out (tmpfiles.d(5))."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass

from .._errors import OptionError
from .._identity import resolve_gid, resolve_uid
from .._names import display
from .._writers._files import below, list_names, read_lines, unread
from .._writers._source import Problem

#: The first that has a file of a name wins.
DIRECTORIES = (
    "/etc/tmpfiles.d",
    "/run/tmpfiles.d",
    "/usr/local/lib/tmpfiles.d",
    "/usr/lib/tmpfiles.d",
    "/lib/tmpfiles.d",
)
_TYPES = frozenset("fFwdDevqQpLcbCxXrRzZmtThHaA")
_LINE = re.compile(r"([A-Za-z])([-+!=~^$]*)")
_WORD = re.compile(
    r"""\s*((?: "(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*' | \\. | [^\s"'\\] )+)""",
    re.VERBOSE,
)
_PIECE = re.compile(
    r"""\\x([0-9a-fA-F]{2}) | \\(.) | "((?:[^"\\]|\\.)*)" | '((?:[^'\\]|\\.)*)' """,
    re.VERBOSE,
)
_SPECIFIER = re.compile(r"%(.)", re.DOTALL)
_VALUES = {
    "%": "%",
    "C": "/var/cache",
    "g": "root",
    "G": "0",
    "h": "/root",
    "L": "/var/log",
    "S": "/var/lib",
    "t": "/run",
    "T": "/tmp",  # noqa: S108
    "u": "root",
    "U": "0",
    "V": "/var/tmp",  # noqa: S108
}
#: Where the machine's and the boot's identifiers stand.
_IDS = {"m": "/etc/machine-id", "b": "/proc/sys/kernel/random/boot_id"}
_OCTAL = re.compile(r"[0-7]{1,5}")


@dataclass(frozen=True)
class Line:
    """One line. ``mode``, ``uid`` and ``gid`` are None where it sets none.

    ``masked`` modes give no bit that no class has; what is ``new_only`` counts
    only for what does not exist. ``age`` is "" where nothing is cleaned up.
    """

    kind: str
    path: str
    mode: int | None
    uid: int | None
    gid: int | None
    age: str
    argument: str
    file: str
    line: int
    modifiers: str = ""
    masked: bool = False
    new_only: frozenset[str] = frozenset()


def files(root: str) -> list[str]:
    """Return the files that count, as ``systemd-tmpfiles --cat-config`` lists them."""
    found: dict[str, str] = {}
    for directory in DIRECTORIES:
        for name in list_names(root, directory):
            if name.endswith(".conf"):
                found.setdefault(name, f"{directory}/{name}")
    paths = (found[name] for name in sorted(found))
    return [path for path in paths if not _is_masked(below(root, path))]


def _is_masked(path: str) -> bool:
    return os.path.realpath(path) == os.devnull


def read(root: str) -> tuple[list[Line], list[Problem]]:
    """Return all lines, and what systemd-tmpfiles does not understand."""
    lines: list[Line] = []
    problems: list[Problem] = []
    try:
        paths = files(root)
    except OSError as error:
        return [], [unread(str(error.filename), error)]
    for path in paths:
        try:
            texts = read_lines(below(root, path))
        except OSError as error:
            problems.append(unread(path, error))
            continue
        for number, text in enumerate(texts, 1):
            try:
                line = parse(text.strip(), path, number)
            except ValueError as error:
                problems.append(Problem(path, number, str(error)))
                continue
            lines += [line] if line else []
    return lines, problems


def parse(text: str, file: str, number: int) -> Line | None:
    """Return a line; None for none. ValueError says what is wrong with it."""
    if not text or text.startswith("#"):
        return None
    words, argument = _fields(text)
    match = _LINE.fullmatch(words[0])
    if match is None or match[1] not in _TYPES:
        raise ValueError(f"has a type that is not known: {display(words[0])}")
    if len(words) < 2:
        raise ValueError("has no path")
    path = _expanded(words[1])
    if not path.startswith("/"):
        raise ValueError("has a path that is not absolute")
    mode, user, group, age = (words[2:] + ["-"] * 4)[:4]
    masked = "~" in mode
    new_only = {
        name
        for name, value in (("mode", mode), ("uid", user), ("gid", group))
        if ":" in value
    }
    return Line(
        match[1],
        os.path.normpath(path),
        _mode(mode.lstrip("~:")),
        _number(user.lstrip(":"), "user"),
        _number(group.lstrip(":"), "group"),
        "" if age == "-" else age,
        argument,
        file,
        number,
        match[2],
        masked,
        frozenset(new_only),
    )


def _fields(text: str) -> tuple[list[str], str]:
    """Return the first six fields, and what follows them."""
    words: list[str] = []
    position = 0
    while len(words) < 6:
        match = _WORD.match(text, position)
        if match is None:
            break
        words.append(_PIECE.sub(_unquoted, match[1]))
        position = match.end()
    rest = text[position:].strip()
    if len(words) < 6 and rest:
        raise ValueError("has a quote that is not closed")
    return words, rest


def _unquoted(match: re.Match[str]) -> str:
    code, escaped, double, single = match.groups()
    if code:
        return chr(int(code, 16))
    if escaped:
        return escaped
    return _PIECE.sub(_unquoted, (double or "") + (single or ""))


def _expanded(text: str) -> str:
    host, values = os.uname(), dict(_VALUES)
    values.update(H=host.nodename, l=host.nodename.partition(".")[0], v=host.release)

    def value(match: re.Match[str]) -> str:
        if match[1] in _IDS:
            values[match[1]] = _read_id(_IDS[match[1]])
        if match[1] not in values:
            raise ValueError(f"uses {match[0]}, whose value is not known")
        return values[match[1]]

    return _SPECIFIER.sub(value, text)


def _read_id(path: str) -> str:
    try:
        return read_lines(path)[0].strip().replace("-", "")
    except (OSError, IndexError):
        return "unknown"  # no path of a log has it in its name


def _mode(text: str) -> int | None:
    if text in ("", "-"):
        return None
    if not _OCTAL.fullmatch(text):
        raise ValueError(f"has a mode that is none: {display(text)}")
    return int(text, 8) & 0o7777


def _number(text: str, what: str) -> int | None:
    text = _expanded(text)
    if text in ("", "-"):
        return None
    try:
        return (resolve_uid if what == "user" else resolve_gid)(text, what)
    except OptionError:
        raise ValueError(
            f"names a {what} that this host does not have: {display(text)}"
        ) from None


def of_types(lines: list[Line], kinds: str) -> Iterator[Line]:
    """Yield the lines of some types."""
    return (each for each in lines if each.kind in kinds)
