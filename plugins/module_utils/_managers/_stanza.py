# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stanza of logrotate sets, as a value (logrotate.conf(5))."""

from __future__ import annotations

import grp
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .._names import display

#: logrotate's words that switch something on or off.
_SWITCHES: Mapping[str, Mapping[str, Any]] = {
    "compress": {"compress": True},
    "nocompress": {"compress": False},
    "delaycompress": {"delaycompress": True},
    "nodelaycompress": {"delaycompress": False},
    "allowhardlink": {"allowhardlink": True},
    "noallowhardlink": {"allowhardlink": False},
    "copytruncate": {"copytruncate": True, "renamecopy": False},
    "nocopytruncate": {"copytruncate": False},
    "renamecopy": {"renamecopy": True, "copytruncate": False},
    "norenamecopy": {"renamecopy": False},
    "copy": {"copy": True},
    "nocopy": {"copy": False},
    "nocreate": {"create": False},
    "noolddir": {"olddir": None},
    "nocreateolddir": {"createolddir": None},
    "missingok": {"missingok": True},
    "nomissingok": {"missingok": False},
    "ignoreduplicates": {"ignoreduplicates": True},
    "hourly": {"interval": "hourly"},
    "daily": {"interval": "daily"},
    "yearly": {"interval": "yearly"},
}
#: Those that decide nothing here.
_OTHER_SWITCHES = (
    *("shred", "noshred", "sharedscripts", "nosharedscripts", "ifempty"),
    *("notifempty", "dateext", "nodateext", "dateyesterday", "nodateyesterday"),
    *("datehourago", "nodatehourago", "mailfirst", "maillast", "errors", "nomail"),
)
SCRIPTS = ("prerotate", "postrotate", "firstaction", "lastaction", "preremove")
_MAX_ID = 0x7FFFFFFF
_OCTAL = re.compile(r"[0-7]{1,6}")


@dataclass(frozen=True)
class Place:
    """Where something is set."""

    path: str
    line: int


@dataclass(frozen=True)
class NewFile:
    """Mode, uid and gid that something is created with; None for the old one's."""

    mode: int | None = None
    uid: int | None = None
    gid: int | None = None


@dataclass(frozen=True)
class Script:
    """Commands of a stanza. They hold secrets, and are neither run nor shown."""

    place: Place
    text: str


@dataclass(frozen=True)
class Settings:
    """What holds for a stanza: its own directives and the global ones before it.

    ``create`` says whether logrotate makes the next file, ``new_file`` as what.
    ``su`` are uid and gid that it changes to. ``places`` has where ``create``
    and ``su`` are set. ``scripts`` are by directive.
    """

    create: bool = False
    new_file: NewFile = NewFile()
    su: tuple[int, int] | None = None
    olddir: str | None = None
    createolddir: NewFile | None = None
    copy: bool = False
    copytruncate: bool = False
    renamecopy: bool = False
    compress: bool = False
    delaycompress: bool = False
    missingok: bool = False
    allowhardlink: bool = False
    ignoreduplicates: bool = False
    interval: str = "size"
    rotate: int = 0
    places: Mapping[str, Place] = field(default_factory=dict, compare=False)
    scripts: Mapping[str, Script] = field(default_factory=dict, compare=False)

    @property
    def replaces(self) -> bool:
        """Whether the log gets another inode, or keeps its own and is copied."""
        return not (self.copy or self.copytruncate)

    def switched(self, word: str) -> Settings | None:
        """Return what a word makes of it; None if it is no such word."""
        if word in _OTHER_SWITCHES:
            return self
        change = _SWITCHES.get(word)
        return None if change is None else replace(self, **change)

    def at(self, word: str, place: Place) -> Settings:
        """Remember where something is set."""
        return replace(self, places={**self.places, word: place})


def words_of(text: str) -> list[str]:
    """Split a line at blanks that are not in quotes, as popt(3) does it.

    Between quotes a backslash is one, unless before the quote; a quote may stay open.
    """
    words: list[str] = []
    word: str | None = None
    quote = ""
    characters = iter(text)
    for character in characters:
        if quote:
            if character == quote:
                quote = ""
                continue
            if character == "\\":
                following = next(characters, "")
                character += following  # noqa: PLW2901
                if following == quote:
                    character = following  # noqa: PLW2901
            word = (word or "") + character
        elif character in " \t\n\v\f\r":
            words += [] if word is None else [word]
            word = None
        elif character in "'\"":
            quote, word = character, word or ""
        else:
            escaped = next(characters, "") if character == "\\" else character
            word = (word or "") + escaped
    return words + ([] if word is None else [word])


def parse_new_file(text: str, before: NewFile) -> NewFile:
    """Return what ``create`` and ``createolddir`` say; ValueError if it is wrong.

    What they leave out stays. Of one name, or a mode and one name, releases of
    logrotate think differently: that is wrong in some of them.
    """
    words = words_of(text)
    mode = before.mode
    if words and _OCTAL.fullmatch(words[0]) and len(words) != 2:
        mode = int(words.pop(0), 8)
    elif len(words) in (1, 2) and not _is_user_and_group(words):
        raise ValueError("needs a mode, or user and group, or all three")
    if not words:
        return replace(before, mode=mode)
    if len(words) != 2:
        raise ValueError("has the wrong number of values")
    return NewFile(mode, parse_user(words[0]), parse_group(words[1]))


def _is_user_and_group(words: list[str]) -> bool:
    return len(words) == 2 and not _OCTAL.fullmatch(words[0])


def parse_su(text: str, before: tuple[int, int] | None = None) -> tuple[int, int]:
    """Return uid and gid of ``su``; ValueError if it is wrong.

    A group that it leaves out stays what it was ``before``, if anything.
    """
    words = words_of(text)
    if len(words) == 1 and before is not None:
        return parse_user(words[0]), before[1]
    if len(words) != 2:
        raise ValueError("needs a user and a group")
    return parse_user(words[0]), parse_group(words[1])


def parse_user(name: str) -> int:
    """Return a uid; ValueError if this host has no such user."""
    try:
        return pwd.getpwnam(name).pw_uid
    except (KeyError, ValueError):
        pass
    try:
        if name.isascii() and name.isdecimal() and int(name) < _MAX_ID:
            return pwd.getpwuid(int(name)).pw_uid
    except KeyError:
        pass
    raise ValueError(f"names a user that this host does not have: {display(name)}")


def parse_group(name: str) -> int:
    """Return a gid; ValueError if this host has no such group."""
    try:
        return grp.getgrnam(name).gr_gid
    except (KeyError, ValueError):
        pass
    try:
        if name.isascii() and name.isdecimal() and int(name) < _MAX_ID:
            return grp.getgrgid(int(name)).gr_gid
    except KeyError:
        pass
    raise ValueError(f"names a group that this host does not have: {display(name)}")
