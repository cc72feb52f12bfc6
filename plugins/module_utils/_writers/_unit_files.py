# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unit files of systemd and their drop-ins, as systemd.unit(5) describes them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from .._identity import DEFAULT_UMASK
from ._files import below, list_names, read_lines, unread
from ._source import Problem

#: Where units are looked for; the first one wins.
DIRECTORIES = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)

_BYTE = re.compile(rb"\\x([0-9a-fA-F]{2})")
_SPECIFIER = re.compile(r"%(.)", re.DOTALL)
#: What is the same for every unit of the system's own manager.
_FIXED = {
    "%": "%",
    "C": "/var/cache",
    "E": "/etc",
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


@dataclass(frozen=True)
class Setting:
    """``key=value`` in a section of a unit file."""

    section: str
    key: str
    value: str
    path: str
    line: int


def parse(lines: Sequence[str], path: str) -> tuple[list[Setting], list[Problem]]:
    """Return what a unit file sets, and the lines that systemd ignores."""
    settings: list[Setting] = []
    problems: list[Problem] = []
    section = ""
    for line, text in _logical_lines(lines):
        if text.startswith("["):
            section = text[1:-1] if text.endswith("]") else ""
            if not section:
                problems.append(Problem(path, line, "a section has no ]"))
            continue
        key, equals, value = text.partition("=")
        if "\0" in text:
            problems.append(Problem(path, line, "contains a NUL byte"))
        elif not equals:
            problems.append(Problem(path, line, "is no setting: it has no ="))
        else:
            settings.append(Setting(section, key.strip(), value.strip(), path, line))
    return settings, problems


def _logical_lines(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield lines that are not comments; those that go on are joined."""
    parts: list[str] = []
    first = 0
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text.startswith(("#", ";")) or not (text or parts):
            continue
        first = first if parts else number
        if text.endswith("\\"):
            parts.append(text[:-1])
            continue
        yield first, " ".join([*parts, text]).strip()
        parts = []
    if parts:
        yield first, " ".join(parts).strip()


def read(root: str, paths: Iterable[str]) -> tuple[list[Setting], list[Problem]]:
    """Return what several files set, in their order."""
    settings: list[Setting] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            found, wrong = parse(read_lines(below(root, path)), path)
        except OSError as error:
            problems.append(unread(path, error))
        else:
            settings += found
            problems += wrong
    return settings, problems


def files_of(root: str, unit: str) -> list[str]:
    """Return the paths of a unit's file, if it has one, and of its drop-ins."""
    stem, kind = os.path.splitext(unit)
    prefix, at, _instance = stem.partition("@")
    names = [unit, f"{prefix}@{kind}"] if at else [unit]
    fragments = (f"{place}/{name}" for name in names for place in DIRECTORIES)
    found = [path for path in fragments if os.path.lexists(below(root, path))][:1]
    drop_ins: dict[str, str] = {}
    for directory in [*(f"{name}.d" for name in names), f"{kind[1:]}.d"]:
        for place in DIRECTORIES:
            for name in list_names(root, f"{place}/{directory}"):
                if name.endswith(".conf"):
                    drop_ins.setdefault(name, f"{place}/{directory}/{name}")
    found += [drop_ins[name] for name in sorted(drop_ins)]
    # A link to /dev/null is how a file is masked.
    return [path for path in found if not _is_masked(below(root, path))]


def places_of(root: str, unit: str) -> tuple[str, ...]:
    """Return a unit's files, and the directories that a drop-in may be gone from."""
    directories = (f"{place}/{unit}.d" for place in DIRECTORIES)
    present = [each for each in directories if os.path.isdir(below(root, each))]
    return (*files_of(root, unit), *present)


def is_masked(root: str, unit: str) -> bool:
    """Tell whether a unit's own file is a link to /dev/null (systemctl(1), mask)."""
    paths = (below(root, f"{place}/{unit}") for place in DIRECTORIES)
    found = next(filter(os.path.lexists, paths), None)
    return found is not None and _is_masked(found)


def _is_masked(path: str) -> bool:
    return os.path.realpath(path) == os.devnull


def configured_umask(root: str, unit: str) -> int:
    """Return the umask that a service's first process is started with."""
    setting = umask_setting(root, unit)
    return DEFAULT_UMASK if setting is None else parse_umask(setting.value, 0)


def umask_setting(root: str, unit: str) -> Setting | None:
    """Return the setting that decides about that; None where it is the default."""
    settings, _problems = read(root, files_of(root, unit))
    found = None
    for setting in settings:
        if (setting.section, setting.key) != ("Service", "UMask"):
            continue
        if parse_umask(setting.value, -1) >= 0:
            found = setting
    return found


def parse_umask(text: str, otherwise: int) -> int:
    """Return a umask; systemd ignores one that it cannot parse."""
    return int(text, 8) & 0o777 if re.fullmatch("[0-7]{1,5}", text) else otherwise


def expand(text: str, unit: str) -> str:
    """Replace the specifiers in a setting of a system unit.

    Raises ValueError for one whose value is not known here.
    """
    values = {**_FIXED, **_names(unit)}

    def replacement(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise ValueError(f"the value of {match[0]} is not known")
        return values[match[1]]

    return _SPECIFIER.sub(replacement, text)


def _names(unit: str) -> dict[str, str]:
    full, _kind = os.path.splitext(unit)
    prefix, _at, instance = full.partition("@")
    final = prefix.rpartition("-")[2]
    host = os.uname().nodename
    return {
        "n": unit,
        "N": full,
        "p": prefix,
        "P": unescape(prefix),
        "i": instance,
        "I": unescape(instance),
        "j": final,
        "J": unescape(final),
        "H": host,
        "l": host.partition(".")[0],
    }


def unescape(text: str) -> str:
    r"""Undo systemd-escape(1): ``-`` is ``/``, ``\x2d`` is ``-``."""
    data = os.fsencode(text.replace("-", "/"))
    return os.fsdecode(
        _BYTE.sub(lambda match: bytes.fromhex(match[1].decode("ascii")), data)
    )
