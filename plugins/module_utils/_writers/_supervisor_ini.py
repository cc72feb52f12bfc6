# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""supervisord.conf and what it includes, read as supervisor 4 reads them.

supervisor uses Python's own configparser; so does this, and keeps the lines.
"""

from __future__ import annotations

import configparser
import glob
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._names import display
from ._files import below, matching, read_lines, unread
from ._source import Problem

_HEADER = re.compile(r"\[[^\]#;]+\]")
_EXPRESSION = re.compile(
    r"%(?:(%)|([sra])|\(([^()]*)\)([-+ #0]{0,5}\d{0,2}(?:\.\d{0,2})?[diouxXeEfFgGcrsa]))"
)
#: supervisor does it twice in some, so that %% is no way to write a %.
_EXPANSIONS = {"stdout_logfile": 2, "stderr_logfile": 2}
_NUMBER = re.compile(r"[0-9]{1,9}")
_TRUE = ("yes", "true", "on", "1")
_FALSE = ("no", "false", "off", "0")
#: Stands for a value that is not known here. No file has it in its name.
UNKNOWN = "\0"


@dataclass(frozen=True)
class Place:
    """Where something is set."""

    path: str
    line: int


@dataclass(frozen=True)
class Section:
    """A section, all files together; later settings replace earlier ones."""

    name: str
    place: Place
    values: Mapping[str, str]
    places: Mapping[str, Place]

    def where(self, key: str) -> Place:
        """Return where a key is set, or the section itself."""
        return self.places.get(key, self.place)


@dataclass(frozen=True)
class Configuration:
    """What the files say, and what is wrong with them."""

    sections: Mapping[str, Section]
    problems: tuple[Problem, ...]


def read(root: str, path: str) -> Configuration:
    """Read supervisord.conf and what it includes; OSError if it cannot be read."""
    reader = _Reader()
    reader.read(path, read_lines(below(root, path)))
    for included in _included(reader, root, path):
        try:
            reader.read(included, read_lines(below(root, included)))
        except OSError as error:
            reader.problems.append(unread(included, error))
    return Configuration(reader.sections(), tuple(reader.problems))


class _Reader:
    """Python's parser, which remembers where each setting is."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._place: Place | None = None
        self._parser = configparser.RawConfigParser(
            dict_type=_recorded(self), inline_comment_prefixes=(";", "#"), strict=False
        )

    @property
    def place(self) -> Place | None:
        """Where the parser is, while it reads."""
        return self._place

    def read(self, path: str, raw: Sequence[str]) -> None:
        lines = [line for each in raw for line in each.removesuffix("\r").split("\r")]
        self._check_encoding(path, lines)
        try:
            self._parse(path, lines)
        except configparser.MissingSectionHeaderError as error:
            reason = "is in no section"
            self.problems.append(_refused(Place(path, error.lineno), reason))
            self._parse(path, _from_first_header(lines, error.lineno))

    def sections(self) -> dict[str, Section]:
        """Return all that was read."""
        # no public name tells what is kept, and supervisor looks there, too
        places = vars(self._parser)["_sections"].places
        return {name: self._section(name, places[name]) for name in places}

    def _section(self, name: str, place: Place) -> Section:
        stored = vars(self._parser)
        places = {**stored["_defaults"].places, **stored["_sections"][name].places}
        return Section(name, place, dict(self._parser.items(name)), places)

    def _check_encoding(self, path: str, lines: Iterable[str]) -> None:
        for number, line in enumerate(lines, 1):
            if not line.isascii() and "\\udc" in ascii(line):
                self.problems.append(_refused(Place(path, number), "is not UTF-8"))
                return

    def _parse(self, path: str, lines: Iterable[str]) -> None:
        try:
            self._parser.read_file(self._numbered(path, lines), path)
        except configparser.MissingSectionHeaderError:
            raise
        except configparser.ParsingError as error:
            reason = "is neither a section nor a setting"
            self.problems += [
                _refused(Place(path, line), reason) for line, _text in error.errors
            ]
        finally:
            self._place = None

    def _numbered(self, path: str, lines: Iterable[str]) -> Iterator[str]:
        for number, line in enumerate(lines, 1):
            self._place = Place(path, number)
            yield f"{line}\n"
        self._place = None  # what the parser stores from now on is not new


def _recorded(reader: _Reader) -> type[dict[str, Any]]:
    class Recorded(dict[str, Any]):
        """What the parser keeps sections and settings in."""

        def __init__(self) -> None:
            super().__init__()
            self.places: dict[str, Place] = {}

        def __setitem__(self, key: str, value: object) -> None:
            super().__setitem__(key, value)
            if reader.place is not None:
                self.places[key] = reader.place

    return Recorded


def _from_first_header(lines: Sequence[str], start: int) -> list[str]:
    """Return as many lines, empty ones up to the first that is a header."""
    for number in range(start, len(lines)):
        if _HEADER.match(lines[number].lstrip()):
            return [""] * number + list(lines[number:])
    return []


def _included(reader: _Reader, root: str, path: str) -> list[str]:
    """Return the files that supervisord.conf includes; they include none."""
    section = reader.sections().get("include")
    if section is None:
        return []
    place = section.where("files")
    if "files" not in section.values:
        reader.problems.append(_refused(place, "has no files"))
        return []
    names = {"here": os.path.dirname(path), "host_node_name": os.uname().nodename}
    try:
        patterns = expand(section.values["files"], names).split()
    except ValueError as error:
        reader.problems.append(_refused(place, str(error)))
        return []
    found: dict[str, None] = {}
    for pattern in patterns:
        absolute = os.path.normpath(os.path.join(os.path.dirname(path), pattern))
        files = matching(root, absolute)
        found.update(dict.fromkeys(files))
        if not files and not glob.has_magic(absolute):
            reason = f"includes a file that does not exist: {display(absolute)}"
            reader.problems.append(Problem(place.path, place.line, reason))
    return list(found)


def expand(text: str, values: Mapping[str, Any]) -> str:
    """Replace ``%(name)s`` as Python does; ValueError says what is wrong.

    ``%(ENV_X)s`` becomes UNKNOWN: the environment is supervisord's secret. So does
    ``%s``, for which Python puts in all names and their values.
    """

    def replacement(match: re.Match[str]) -> str:
        percent, everything, name, conversion = match.groups()
        if percent:
            return "%"
        if everything or name.startswith("ENV_"):
            return UNKNOWN
        if name not in values:
            raise ValueError(f"supervisor knows no %({display(name)})s here")
        try:
            return str(f"%{conversion}" % values[name])
        except (TypeError, ValueError, OverflowError):
            shown = f"%({display(name)}){conversion}"
            raise ValueError(f"{shown} does not fit its value") from None

    if "%" in _EXPRESSION.sub("", text):
        raise ValueError("has a % that is neither %% nor %(name)s")
    return _EXPRESSION.sub(replacement, text)


def _refused(place: Place, reason: str) -> Problem:
    """Say why supervisord does not start, or does not read the files again."""
    return Problem(place.path, place.line, f"{reason}; supervisor refuses that")


class Values:
    """Values of settings, as supervisor takes them; collects what it does not."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self._problems = dict.fromkeys(problems)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Return each problem once, in the order in which they were found."""
        return tuple(self._problems)

    def refuse(self, section: Section, key: str, reason: str) -> None:
        """Remember what supervisor refuses."""
        self._problems[_refused(section.where(key), reason)] = None

    def warn(self, section: Section, key: str, reason: str) -> None:
        """Remember what supervisor takes, but is not what was meant."""
        place = section.where(key)
        self._problems[Problem(place.path, place.line, reason)] = None

    def text(self, section: Section, key: str, names: Mapping[str, Any]) -> str | None:
        """Return a setting with its expressions replaced, UNKNOWN ones marked."""
        value = section.values.get(key)
        if value is None:
            return None
        here = os.path.dirname(section.where(key).path)
        common = {"here": here, "host_node_name": os.uname().nodename}
        try:
            for _pass in range(_EXPANSIONS.get(key, 1)):
                value = expand(value, {**common, **names})
            return value
        except ValueError as error:
            self.refuse(section, key, str(error))
            return None

    def known(self, section: Section, key: str, names: Mapping[str, Any]) -> str | None:
        """Return a setting if all of it is known."""
        value = self.text(section, key, names)
        if value is not None and UNKNOWN in value:
            self.warn(section, key, "depends on the environment of supervisord")
            return None
        return value

    def umask(
        self, section: Section, names: Mapping[str, Any], default: int
    ) -> int | None:
        """Return the umask, the default where none is set; None if it is none."""
        if "umask" not in section.values:
            return default
        value = self.known(section, "umask", names)
        if value is None:
            return None
        try:
            return int(value, 8) & 0o777
        except ValueError:
            self.refuse(section, "umask", f"is not a umask: {display(value)}")
            return None

    def number(self, section: Section, key: str, default: int) -> int:
        """Return a number, the default if it is none."""
        value = self.known(section, key, {}) if key in section.values else None
        if value is None:
            return default
        if _NUMBER.fullmatch(value):
            return int(value)
        self.refuse(section, key, f"is not a number: {display(value)}")
        return default

    def truth(self, section: Section, key: str) -> bool:
        """Return whether something is switched on."""
        value = self.known(section, key, {})
        if value is None or value.lower() in _FALSE:
            return False
        if value.lower() not in _TRUE:
            self.refuse(section, key, f"is neither true nor false: {display(value)}")
        return value.lower() in _TRUE
