# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that change permissions, and what comes of an inode through them.

Only chmod, chown, chgrp, setfacl and install, also by ``find -exec``, ``xargs``
and ``sh -c``. Nothing is run. Of a command only its name and target leave this
module: commands hold passwords.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from .._access import DIRECTORY, SETGID, SETUID, Inode
from .._errors import OptionError
from .._identity import resolve_gid, resolve_uid
from .._rehearsal import chmodded, given
from .._writers._shell import simple_commands
from ._globs import matches_glob

_NAMES = ("chmod", "chown", "chgrp", "setfacl", "install")
#: Programs that run what follows them, perhaps as somebody else.
_RUNNERS = frozenset(
    [
        "sudo",
        "runuser",
        "env",
        "nice",
        "ionice",
        "exec",
        "command",
        "nohup",
        "time",
        "then",
        "do",
    ]
)
_SHELLS = frozenset(["sh", "bash", "dash"])
_OCTAL = re.compile(r"[0-7]{1,5}")
_SYMBOLIC = re.compile(r"([ugoa]*)([-+=])([rwxXst]*)")
_SHIFTS = {"u": 6, "g": 3, "o": 0}
_BITS = {"r": 4, "w": 2, "x": 1}
_MAX_DEPTH = 3
_WITH_VALUES = {
    "install": frozenset("mogtS"),
    "setfacl": frozenset("mxMX"),
    "chmod": frozenset(),
    "chown": frozenset(),
    "chgrp": frozenset(),
}


@dataclass(frozen=True)
class Command:
    """A change of permissions. ``kinds`` limits it: ``f`` files, ``d`` directories.

    ``mode`` is as it is written, None where the command sets none. ``known`` is
    False where the result cannot be told.
    """

    name: str
    target: str
    recursive: bool = False
    kinds: str = ""
    mode: str | None = None
    uid: int | None = None
    gid: int | None = None
    known: bool = True

    def concerns(self, path: str, kind: str) -> bool:
        """Tell whether it changes a path of a kind, which exists."""
        own = "d" if kind == DIRECTORY else "f"
        if self.kinds not in ("", own):
            return False
        if self.recursive and f"{path}/".startswith(f"{self.target.rstrip('/')}/"):
            return True
        return matches_glob(path, os.path.normpath(self.target))

    def applied(self, inode: Inode) -> Inode:
        """Return an inode after the command."""
        if not self.known:
            return inode
        if self.mode is not None:
            inode = _with_mode(inode, self.mode)
        return given(inode, self.uid, self.gid)


def of_script(text: str, directory: str = "/") -> Iterator[Command]:
    """Yield the changes of permissions in a shell script."""
    for words, _targets in simple_commands(text):
        if words[:1] == ["cd"] and len(words) > 1:
            directory = os.path.join(directory, words[1])
        else:
            yield from of_words(words, directory)


def of_words(
    words: Sequence[str], directory: str = "/", depth: int = _MAX_DEPTH
) -> Iterator[Command]:
    """Yield the changes of permissions that a command makes."""
    words = _without_runners(words)
    if not words or not depth:
        return
    name = os.path.basename(words[0])
    if name in _SHELLS:
        for index, word in enumerate(words[:-1]):
            if re.fullmatch(r"-[a-z]*c", word):
                yield from _of_inner(words[index + 1], directory, depth - 1)
    elif name == "find":
        yield from _of_find(words[1:], directory, depth - 1)
    elif name in _NAMES:
        yield from _of_change(name, words[1:], directory)


def _without_runners(words: Sequence[str]) -> Sequence[str]:
    """Return the command that sudo, env and the like run."""
    at = 0
    while at < len(words) and (words[at] in _RUNNERS or re.match(r"\w+=", words[at])):
        at += 1
        while at < len(words) and words[at].startswith("-"):
            at += 2 if words[at] in ("-u", "-g", "-n", "-c") else 1
    return words[at:]


def _of_inner(script: str, directory: str, depth: int) -> Iterator[Command]:
    for words, _targets in simple_commands(script):
        yield from of_words(words, directory, depth)


def _of_find(words: Sequence[str], directory: str, depth: int) -> Iterator[Command]:
    """Yield what ``find PLACE -type f -exec chmod 640 {} +`` changes."""
    places = []
    for word in words:
        if word.startswith(("-", "(", "!")):
            break
        places.append(os.path.join(directory, word))
    kinds = ""
    for option, value in zip(words, words[1:]):
        if option == "-type" and value in ("f", "d"):
            kinds = value
    for index, word in enumerate(words):
        if word in ("-exec", "-execdir", "-ok"):
            inner = [each for each in words[index + 1 :] if each not in ("+", ";")]
            for command in of_words(inner, "/", depth):
                if command.target == "/{}":
                    for place in places:
                        yield replace(
                            command, target=place, recursive=True, kinds=kinds
                        )


def _of_change(name: str, words: Sequence[str], directory: str) -> Iterator[Command]:
    options, rest = _options(words, _WITH_VALUES[name])
    targets = list(rest)
    command = Command(name, "", recursive="R" in options or "--recursive" in options)
    if name == "install":
        if "d" not in options and "--directory" not in options:
            targets = targets[-1:]
        command = replace(command, mode=options.get("m", "0755"))
        command = _owned(command, options.get("o", ""), options.get("g", ""))
    elif name == "setfacl":
        strips = options.keys() & {"b", "k", "--remove-all", "--remove-default"}
        command = replace(command, known=False)
        if not strips and not options.keys() & {"m", "x", "M", "X", "--set"}:
            return
    elif targets and not any(each.startswith("--reference") for each in options):
        value = targets.pop(0)
        if name == "chmod":
            command = replace(command, mode=value, known=_is_mode(value))
        else:
            user, _colon, group = value.replace(".", ":").partition(":")
            user, group = ("", user) if name == "chgrp" else (user, group)
            command = _owned(command, user, group)
    else:
        command = replace(command, known=False)
    for target in targets:
        path = os.path.join(directory, target)
        if path.startswith("/") and "$" not in path and "`" not in path:
            yield replace(command, target=path)


def _options(
    words: Sequence[str], with_values: frozenset[str]
) -> tuple[dict[str, str], list[str]]:
    """Return options with their values, and all other words."""
    options: dict[str, str] = {}
    rest: list[str] = []
    remaining = iter(words)
    for word in remaining:
        if word == "--":
            rest += remaining
        elif word.startswith("--"):
            name, _equals, value = word.partition("=")
            options[name] = value
        elif re.fullmatch(r"-[A-Za-z]+\S*", word) and not re.fullmatch(
            r"-[rwxXst]+", word
        ):
            for index, letter in enumerate(word[1:], 1):
                if letter in with_values:
                    options[letter] = word[index + 1 :] or next(remaining, "")
                    break
                options[letter] = ""
        else:
            rest.append(word)
    return options, rest


def _owned(command: Command, user: str, group: str) -> Command:
    try:
        return replace(
            command,
            uid=resolve_uid(user, "user") if user else None,
            gid=resolve_gid(group, "group") if group else None,
        )
    except OptionError:
        return replace(command, known=False)


def _is_mode(text: str) -> bool:
    return bool(_OCTAL.fullmatch(text)) or all(
        _SYMBOLIC.fullmatch(part) for part in text.split(",")
    )


def _with_mode(inode: Inode, text: str) -> Inode:
    """Return an inode after GNU chmod: octal modes leave a directory's setgid."""
    if _OCTAL.fullmatch(text):
        mode = int(text, 8) & 0o7777
        if inode.kind == DIRECTORY and len(text) < 5:
            mode |= inode.mode & (SETUID | SETGID)
        return chmodded(inode, mode)
    mode = inode.mode
    for part in text.split(","):
        match = _SYMBOLIC.fullmatch(part)
        if match:
            mode = _symbolic(inode, mode, *match.groups())
    return chmodded(inode, mode)


def _symbolic(inode: Inode, mode: int, who: str, sign: str, letters: str) -> int:
    classes = (
        _SHIFTS if not who or "a" in who else {each: _SHIFTS[each] for each in who}
    )
    executable = inode.kind == DIRECTORY or mode & 0o111
    perm = sum(_BITS[each] for each in set(letters) & _BITS.keys())
    perm |= 1 if "X" in letters and executable else 0
    for shift in classes.values():
        bits = perm << shift
        if sign == "=":
            mode = mode & ~(7 << shift) | bits
        else:
            mode = mode | bits if sign == "+" else mode & ~bits
    if "s" in letters and "g" in classes:
        mode = mode & ~SETGID if sign == "-" else mode | SETGID
    return mode
