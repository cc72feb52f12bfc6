# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One line of a journal, strictly read, and the first line of a file.

Whoever wrote it was root; what became of it since is not known before its digest
has been read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from ._journal import FORMAT

_MAX_DIGITS = 20
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")

_NONE = type(None)
Types = Mapping[str, tuple[type, ...]]
_HEADER: Types = {
    "logward_journal": (int,),
    "run_id": (str,),
    "restores": (str, _NONE),
    "machine_id": (str, _NONE),
    "time": (str,),
}


class Malformed(ValueError):
    """A line that no journal has; the text says what is wrong with it."""


@dataclass(frozen=True)
class Header:
    """The first line of a file: whose it is."""

    run_id: str
    restores: str | None
    machine_id: str | None
    time: str


def parsed(line: bytes) -> dict[str, Any]:
    """Return the object of a line. Raises Malformed."""
    try:
        record = json.loads(
            line.decode("ascii"),
            object_pairs_hook=_unique,
            parse_int=_integer,
            parse_float=_refuse,
            parse_constant=_refuse,
        )
    except Malformed:
        raise
    except (ValueError, RecursionError):
        raise Malformed("is not JSON in ASCII") from None
    if not isinstance(record, dict):
        raise Malformed("is not an object")
    return record


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        raise Malformed("has a key twice")
    return record


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise Malformed("has a number that is too long")
    return int(digits)


def _refuse(text: str) -> NoReturn:
    raise Malformed(f"has {text[:20]} in it")


def checked_fields(record: Mapping[str, Any], types: Types) -> Mapping[str, Any]:
    """Return an object that has these keys, of these types. Raises Malformed."""
    if record.keys() != types.keys():
        raise Malformed("has other keys than a journal")
    for key, value in record.items():
        if type(value) not in types[key]:
            raise Malformed(f"has a {key} of a wrong type")
    return record


def parsed_header(record: Mapping[str, Any]) -> Header:
    """Return what the first line of a file says. Raises Malformed."""
    if record.get("logward_journal", FORMAT) != FORMAT:
        raise Malformed(f"is of format {record['logward_journal']!r:.20}, not {FORMAT}")
    fields = checked_fields(record, _HEADER)
    if not _TIME.fullmatch(fields["time"]):
        raise Malformed("has no time")
    return Header(
        fields["run_id"], fields["restores"], fields["machine_id"], fields["time"]
    )
