# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directives put into a stanza of logrotate; comments and order stay as they are."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ._logrotate_conf import Stanza

_INDENT = "    "


def with_directives(text: str, stanza: Stanza, directives: Sequence[str]) -> str:
    """Return a file in which a stanza says something else, each in a line.

    A directive that the stanza has already is replaced where it stands, another one
    becomes its first. ValueError where the stanza is not in the text.
    """
    lines = text.split("\n")
    new = []
    for directive in directives:
        word = directive.split()[0]
        place = stanza.settings.places.get(word)
        if (
            place is None
            or place.path != stanza.place.path
            or place.line < stanza.place.line
        ):
            new.append(directive)
            continue
        line = lines[place.line - 1]
        match = re.search(rf"(?<!\S){word}(?![A-Za-z]).*", line)
        if match is None:
            raise ValueError(f"line {place.line} has no {word}")
        ending = "\r" if line.endswith("\r") else ""
        lines[place.line - 1] = line[: match.start()] + directive + ending
    return "\n".join(_with_first(lines, stanza, new) if new else lines)


def _with_first(lines: list[str], stanza: Stanza, new: Sequence[str]) -> list[str]:
    """Return lines with new ones right behind the brace that opens a stanza."""
    for number in range(stanza.place.line - 1, len(lines)):
        line = lines[number]
        brace = -1 if line.lstrip().startswith("#") else line.find("{")
        if brace < 0:
            continue
        ending = "\r" if line.endswith("\r") else ""
        head, rest = line[: brace + 1], line[brace + 1 :].strip()
        indent = _indent_of(lines[number + 1 :])
        added = [f"{indent}{each}{ending}" for each in new]
        if rest.startswith("#") or not rest:
            return [*lines[: number + 1], *added, *lines[number + 1 :]]
        return [
            *lines[:number],
            head + ending,
            *added,
            f"{indent if rest != '}' else ''}{rest}{ending}",
            *lines[number + 1 :],
        ]
    raise ValueError(f"line {stanza.place.line} begins no stanza")


def _indent_of(lines: Sequence[str]) -> str:
    """Return the blanks before the first directive of a stanza."""
    for line in lines:
        text = line.strip()
        if text.startswith("}"):
            break
        if text and not text.startswith("#"):
            return line[: len(line) - len(line.lstrip())]
    return _INDENT
