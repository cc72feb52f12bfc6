# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""PHP files that return an array, as Laravel's configuration is: read, not run.

What is no string, number, array, or call of a known function is UNKNOWN.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Union

# What is not closed goes on to the end of the file: looking for its end again and
# again, from each place where it could begin, would take hours.
_TOKEN = re.compile(
    r"""
      (?P<blank> \s+ | //[^\n]* | \#(?!\[)[^\n]* | /\*.*?(?:\*/|\Z) | <\?php | \?> )
    | (?P<string> '(?:\\.|[^'\\])*(?:'|\\?\Z) | "(?:\\.|[^"\\])*(?:"|\\?\Z) )
    | (?P<number> [0-9][\w.]* )
    | (?P<word> [A-Za-z_\\][\w\\]* )
    | (?P<arrow> => )
    | (?P<sign> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPED = re.compile(r"\\(['\"\\$])")
_OCTAL = re.compile(r"0[oO]?([0-7]{1,20})")
_HEXADECIMAL = re.compile(r"0[xX]([0-9a-fA-F]{1,20})")
_DECIMAL = re.compile(r"[1-9][0-9]{0,19}|0")
_OPENS, _CLOSES = ("[", "("), ("]", ")")
_MAX_TOKENS = 200_000
_MAX_DEPTH = 50


@dataclass(frozen=True)
class Unknown:
    """A value that only PHP could tell."""


@dataclass(frozen=True)
class Call:
    """A call of a function with values that are known, or not."""

    name: str
    arguments: tuple[Value, ...]


UNKNOWN = Unknown()
Value = Union[str, int, bool, None, Unknown, Call, Mapping[Union[str, int], "Value"]]
_WORDS: Mapping[str, Value] = {"true": True, "false": False, "null": None}


def returned_array(text: str) -> Mapping[str | int, Value]:
    """Return the array that a file returns; ValueError if it returns none."""
    tokens = list(itertools.islice(_tokens(text), _MAX_TOKENS + 1))
    if len(tokens) > _MAX_TOKENS:
        raise ValueError("is too long")
    starts = [at for at, token in enumerate(tokens) if token == ("word", "return")]
    if not starts:
        raise ValueError("returns no array")
    value = _Parser(tokens, starts[-1] + 1).value(_MAX_DEPTH)
    if isinstance(value, Mapping):
        return value
    raise ValueError("returns no array")


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    for match in _TOKEN.finditer(text):
        if match.lastgroup != "blank":
            yield str(match.lastgroup), match.group()


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]], at: int) -> None:
        self._tokens = tokens
        self._at = at

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def value(self, depth: int) -> Value:
        """Read an expression up to what ends it."""
        if not depth:
            raise ValueError("is nested too deep")
        value = self._simple(depth)
        if self._peek()[1] in (",", "]", ")", ";", "=>", ""):
            return value
        self._skip()
        return UNKNOWN

    def _simple(self, depth: int) -> Value:
        kind, text = self._peek()
        self._at += 1
        if kind == "string":
            return _ESCAPED.sub(r"\1", text[1:-1])
        if kind == "number":
            return _number(text)
        if text == "[":
            return self._array("]", depth)
        if kind == "word":
            return self._named(text.lstrip("\\"), depth)
        self._at -= 1
        return UNKNOWN

    def _named(self, name: str, depth: int) -> Value:
        if self._peek()[1] != "(":
            return _WORDS.get(name.lower(), UNKNOWN)
        self._at += 1
        if name.lower() == "array":
            return self._array(")", depth)
        return Call(name, tuple(self._array(")", depth).values()))

    def _array(self, end: str, depth: int) -> dict[str | int, Value]:
        """Read the elements of an array, or the arguments of a call."""
        found: dict[str | int, Value] = {}
        while self._peek()[1] not in (end, ""):
            key: Value = len(found)
            value = self.value(depth - 1)
            if self._peek()[1] == "=>":
                self._at += 1
                key, value = value, self.value(depth - 1)
            if isinstance(key, (str, int)):
                found[key] = value
            if self._peek()[1] == ",":
                self._at += 1
            elif self._peek()[1] != end:
                raise ValueError("has an array that cannot be read")
        self._at += 1
        return found

    def _skip(self) -> None:
        """Go to the end of an expression."""
        level = 0
        while self._at < len(self._tokens):
            text = self._peek()[1]
            if level == 0 and text in (",", "]", ")", ";", "=>"):
                return
            level += (text in _OPENS) - (text in _CLOSES)
            self._at += 1


def _number(text: str) -> int | Unknown:
    """Return a whole number that PHP could take; UNKNOWN for any other."""
    for pattern, base in ((_HEXADECIMAL, 16), (_DECIMAL, 10), (_OCTAL, 8)):
        match = pattern.fullmatch(text)
        if match:
            return int(match[match.lastindex or 0], base)
    return UNKNOWN
