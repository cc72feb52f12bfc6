# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One file of logrotate's configuration, read character by character as it does.

Where exactly logrotate goes on after a mistake decides what it does with the rest.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from dataclasses import dataclass, field, replace
from typing import Protocol

from .._names import display
from ._stanza import (
    SCRIPTS,
    Place,
    Script,
    Settings,
    parse_new_file,
    parse_su,
    words_of,
)

_MAX_GLOB = 2048
#: More, which Python does not read, are the largest number, and cut to an int.
_MAX_DIGITS = 1000
_WORD = re.compile(r"[ \t]*([A-Za-z]*)")
_BEFORE_VALUE = re.compile(r"[ \t]*(?:=[ \t]*)?")
_NUMBER = re.compile(r"[ \t]*[-+]?(?:0[xX][0-9A-Fa-f]+|[0-9]+)")
_DAY = re.compile(r"0*[0-9]{1,2}")
_SIZE = re.compile(r"[0-9]+[kKMG]?")
#: Directives that take a number, and the least that logrotate takes.
_COUNTS = {"rotate": -1, "start": 0, "minage": 0, "maxage": 0, "shredcycles": 0}
_SIZES = ("size", "minsize", "maxsize")
_DAYS = {"weekly": 7, "monthly": 31}
#: Directives that take the path of something, without blanks.
_PATHS = ("olddir", "mail", "compresscmd", "uncompresscmd", "compressext")
_VALUES = ("dateformat", "extension", "addextension")
_SPACES = " \t\n\v\f\r"


class _Wrong(Exception):
    """A directive is wrong: its stanza is skipped; a global one ends the file."""


class _Broken(Exception):
    """logrotate does not read the rest of the file."""


@dataclass
class Scope:
    """What a directive changes: the global settings, or those of a stanza."""

    settings: Settings = field(default_factory=Settings)
    place: Place | None = None
    patterns: tuple[str, ...] = ()
    files: list[str] = field(default_factory=list)

    @property
    def is_stanza(self) -> bool:
        return self.place is not None


class Reader(Protocol):
    """Who reads all files, and keeps what is in them."""

    root: str
    taboo: tuple[str, ...]
    scopes: list[Scope]

    def problem(self, place: Place, reason: str) -> None:
        """Remember what is wrong."""

    def include(self, path: str, scope: Scope, origin: Place) -> None:
        """Read what is included."""

    def add_files(self, scope: Scope, pattern: str, place: Place) -> bool:
        """Add what a pattern matches; False for a duplicate."""

    def drop(self, scope: Scope) -> None:
        """Forget a stanza."""

    def device(self, path: str) -> int | None:
        """Return the device that a path is on; None if it does not exist."""


class File:
    """One file. ``at`` is the character that logrotate looks at."""

    def __init__(self, reader: Reader, path: str, text: str, scope: Scope) -> None:
        self._reader = reader
        self._path = path
        self._text = text.partition("\0")[0]
        self._defaults = self._scope = scope
        self._at = 0
        self._ends = [match.start() for match in re.finditer("\n", self._text)]
        self._fine = "\0" not in text
        if not self._fine:
            reader.problem(Place(path, 0), "contains a NUL byte, and is read up to it")

    def read(self) -> bool:
        """Read all; return whether nothing was wrong."""
        try:
            while self._at < len(self._text):
                self._read_or_skip()
                self._at += 1
        except _Broken as error:
            self._refuse(f"{error}; logrotate does not read on here")
            if self._scope is not self._defaults:
                self._reader.drop(self._scope)
        return self._fine

    def _read_or_skip(self) -> None:
        try:
            self._read_next(self._text[self._at])
        except _Wrong as error:
            if self._scope is self._defaults:
                raise _Broken(str(error)) from None
            self._refuse(f"{error}; logrotate skips the stanza")
            self._skip_stanza()

    def _refuse(self, reason: str) -> None:
        self._fine = False
        self._reader.problem(self._place(), reason)

    def _place(self) -> Place:
        return Place(self._path, bisect_right(self._ends, self._at - 1) + 1)

    def _read_next(self, character: str) -> None:
        if character in " \t\n":
            return
        if character == "#":
            self._at = self._end_of_line()
        elif character.isascii() and character.isalpha():
            self._directive()
        elif character in "/\"'~":
            self._start_stanza()
        elif character == "}":
            self._end_stanza()
        else:
            raise _Wrong("is neither a directive nor a file name")

    def _end_of_line(self) -> int:
        end = self._text.find("\n", self._at)
        return len(self._text) if end < 0 else end

    def _word(self) -> str:
        match = _WORD.match(self._text, self._at)
        self._at = match.end() if match else self._at
        return match[1] if match else ""

    def _rest(self) -> str:
        """Return the rest of the line, and go to its last character."""
        start, self._at = self._at, self._end_of_line() - 1
        return self._text[start : self._at + 1].rstrip()

    def _value(self, word: str) -> str:
        """Return the value of a directive, and go to its last character."""
        value = self._value_if_any()
        if value is None:
            raise _Wrong(f"{word} has no value")
        return value

    def _value_if_any(self) -> str | None:
        match = _BEFORE_VALUE.match(self._text, self._at)
        start = match.end() if match else self._at
        if self._text.startswith("\n", start):
            return None
        self._at = start
        return self._rest()

    def _directive(self) -> None:
        place = self._place()
        word = self._word()
        following = self._text[self._at : self._at + 1]
        if following and following not in _SPACES + "=":
            raise _Wrong(f"{word} is followed by {display(following)}")
        settings = self._scope.settings.switched(word)
        if settings is not None:
            self._scope.settings = settings
        elif word in SCRIPTS:
            self._script(word, place)
        elif word in ("create", "createolddir", "su"):
            self._identity(word, place)
        elif word in ("tabooext", "taboopat"):
            self._tabooed(word)
        elif word == "include":
            self._include()
        elif not self._checked_value(word):
            reason = f"has a directive that is not known, {word}: it is ignored"
            self._reader.problem(place, reason)
            self._at = max(self._at, self._end_of_line() - 1)

    def _identity(self, word: str, place: Place) -> None:
        settings, text = self._scope.settings, self._rest()
        try:
            if word == "su":
                settings = replace(settings, su=parse_su(text, settings.su))
            elif word == "create":
                new_file = parse_new_file(text, settings.new_file)
                settings = replace(settings, create=True, new_file=new_file)
            else:
                olddir = parse_new_file(text, settings.createolddir or _NEW_DIRECTORY)
                settings = replace(settings, createolddir=olddir)
        except ValueError as error:
            raise _Wrong(f"{word} {error}") from None
        self._scope.settings = settings.at(word, place)

    def _checked_value(self, word: str) -> bool:
        """Read a directive with a value; False if it is none."""
        if word in _COUNTS:
            count = self._count(word)
            if word == "rotate":
                self._set(rotate=count)
        elif word in _SIZES:
            self._size(word)
        elif word in _DAYS:
            self._day(word)
        elif word in _PATHS:
            self._path_value(word)
        elif word == "compressoptions":
            self._rest()
        elif word in _VALUES:
            self._value(word)
        else:
            return False
        return True

    def _set(self, **values: object) -> None:
        self._scope.settings = replace(self._scope.settings, **values)  # type: ignore[arg-type]

    def _day(self, word: str) -> None:
        day = self._rest().strip()
        if day and not (_DAY.fullmatch(day) and int(day[-2:]) <= _DAYS[word]):
            raise _Broken(f"{word} has a day that is none: {display(day)}")
        self._set(interval=word)

    def _path_value(self, word: str) -> None:
        value = self._value(word)
        if not value.isprintable() or " " in value:
            raise _Wrong(f"{word} has a value with blanks in it")
        if word == "olddir":
            home = value.startswith("~/")
            self._set(olddir=os.path.expanduser(value) if home else value)

    def _count(self, word: str) -> int:
        value = self._value(word)
        number = _number(value)
        if number is None or number < _COUNTS[word]:
            raise _Wrong(f"{word} is not followed by a number: {display(value)}")
        return number

    def _size(self, word: str) -> None:
        value = self._value_if_any()
        if value is None:
            self._reader.problem(self._place(), f"{word} has no value: it is ignored")
            return
        if not _SIZE.fullmatch(value):
            raise _Wrong(f"{word} is not followed by a size: {display(value)}")
        if word == "size":
            self._set(interval="size")

    def _tabooed(self, word: str) -> None:
        if self._scope.is_stanza:
            raise _Wrong(f"{word} may not be in a stanza")
        value = self._value_if_any()
        if value is None:
            self._reader.problem(self._place(), f"{word} has no value: it is ignored")
            return
        adds = value.startswith("+")
        star = "*" if word == "tabooext" else ""
        named = re.split(r"[\s,]+", value.lstrip("+"))
        patterns = tuple(star + each for each in named if each)
        self._reader.taboo = (*(self._reader.taboo if adds else ()), *patterns)

    def _include(self) -> None:
        place, path = self._place(), self._value("include")
        path = os.path.expanduser(path) if path.startswith("~/") else path
        if self._scope.is_stanza:
            reason = "has an include in a stanza: what it includes is not looked at"
            self._reader.problem(place, reason)
            return
        if not path.startswith("/"):
            self._reader.problem(place, "includes a path that is not absolute")
            return
        self._reader.include(path, self._scope, place)

    def _script(self, word: str, place: Place) -> None:
        start = self._at
        end = self._skip_script()
        if end is None:
            raise _Broken(f"{word} has no endscript")
        settings = self._scope.settings
        script = Script(place, self._text[start:end])
        self._scope.settings = replace(
            settings, scripts={**settings.scripts, word: script}
        )

    def _skip_script(self) -> int | None:
        """Go behind the endscript; return where its line begins, None for none."""
        self._at += 1
        while self._at < len(self._text):
            start = self._at
            if self._word() == "endscript":
                return start
            self._at = self._end_of_line() + 1
        return None

    def _start_stanza(self) -> None:
        if self._scope is not self._defaults:
            raise _Wrong("has a file name in a stanza: a } is missing before it")
        place = self._place()
        scope = Scope(self._defaults.settings, place)
        self._scope = scope
        self._reader.scopes.append(scope)
        scope.patterns = tuple(words_of(self._names().rstrip()))
        for pattern in scope.patterns:
            if len(pattern) > _MAX_GLOB:
                self._refuse("has a pattern that is too long: it is ignored")
            elif not self._reader.add_files(scope, pattern, place):
                self._fine = False

    def _names(self) -> str:
        """Return the text before the brace, without lines that are comments."""
        lines: list[str] = []
        while self._at < len(self._text):
            line = self._text[self._at : self._end_of_line()]
            if not line.lstrip().startswith("#"):
                brace = re.search("[{}]", line)
                if brace:
                    self._at += brace.start()
                    if brace[0] == "}":
                        raise _Broken("has a } without a { before it")
                    return "\n".join([*lines, line[: brace.start()]])
                lines.append(line)
            self._at = self._end_of_line() + 1
        self._at = len(self._text)
        raise _Broken("has no { after a file name")

    def _end_stanza(self) -> None:
        if self._scope is self._defaults:
            raise _Broken("has a } without a { before it")
        self._check_olddir(self._scope)
        self._scope = self._defaults
        rest = self._text[self._at + 1 : self._end_of_line()]
        if rest.strip(" \t"):
            self._reader.problem(self._place(), "has text after a }: it is ignored")
        self._at = self._end_of_line()

    def _check_olddir(self, scope: Scope) -> None:
        """Refuse a stanza whose olddir is not there, or on another file system."""
        settings = scope.settings
        for path in scope.files if settings.olddir else ():
            directory = os.path.dirname(path)
            olddir = os.path.join(directory, settings.olddir or "")
            device = self._reader.device
            here, there = device(directory), device(olddir)
            if here is None:
                if not settings.missingok:
                    raise _Broken(f"has no directory {display(directory)}")
            elif there is None:
                if settings.createolddir is None:
                    raise _Broken(f"has no olddir {display(olddir)}")
            elif here != there and settings.replaces and not settings.renamecopy:
                raise _Broken(f"has its olddir elsewhere: {display(olddir)}")

    def _skip_stanza(self) -> None:
        """Go behind the brace of a stanza that is wrong, as far as logrotate sees it."""
        self._at += 2
        while self._at < len(self._text):
            if self._text[self._at] == "}":
                self._reader.drop(self._scope)
                self._scope = self._defaults
                return
            if self._word() in SCRIPTS:
                self._skip_script()
                self._at += 1
            else:
                self._at = self._end_of_line() + 1


_NEW_DIRECTORY = parse_new_file("0755", parse_new_file("", Settings().new_file))


def _number(text: str) -> int | None:
    """Return what strtol(3) with base 0 makes of a text; None if not all is read."""
    if not text:
        return 0
    if not _NUMBER.fullmatch(text):
        return None
    digits = text.strip().lstrip("+-")
    negative = text.strip().startswith("-")
    if len(digits) > _MAX_DIGITS:
        return -1
    if digits.startswith("0") and digits.isdecimal():
        if not re.fullmatch("[0-7]+", digits):
            return None
        number = int(digits, 8)
    else:
        number = int(digits, 0)
    return -number if negative else number
