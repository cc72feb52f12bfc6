# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command names: the files it writes, as whom, and other paths.

This is no shell. It knows redirections, ``tee``, ``cd``, ``umask``, ``sh -c``,
``sudo``, ``su`` and ``runuser``; of a name that the shell makes up as it runs
(``app-$(date +%F).log``) it tells the directory. Only paths leave this module,
never a command: commands hold passwords.
"""

from __future__ import annotations

import getopt
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

_TOKEN = re.compile(
    r"""
      (?P<blank> [ \t]+ | \\\n )
    | (?P<comment> (?<![^\s;&|()]) \# [^\n]* )
    | (?P<redirect> [0-9]* (?: >> | >\| | >& | <<< | <<-? | <& | <> | [<>] ) | &>>? )
    | (?P<operator> [\n;&|()] )
    | (?P<word>
        (?: \\. | '[^']*' | "(?:\\.|[^"\\])*" | `[^`]*` | [^\s\\'"`<>;&|()] )+ )
    | .
    """,
    re.VERBOSE | re.DOTALL,
)
_QUOTED = re.compile(r"\\(.)|'([^']*)'|\"((?:\\.|[^\"\\])*)\"", re.DOTALL)
_ESCAPED = re.compile(r"\\([$`\"\\\n])")
_PATH = re.compile(
    r"""(?: ^ | (?<=[\s'"`=,;|&<>()@!{\[]) )
        ( / (?![/*^\#%$\\-]) [^\s'"`;|&<>(),:\]}]* )""",
    re.VERBOSE,
)
_MADE_BY_SHELL = re.compile(r"[$`*?\[{\\]")
_USER = re.compile(r"#?[A-Za-z0-9_][A-Za-z0-9_.-]*\$?")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_OCTAL = re.compile(r"[0-7]{1,4}")

_BEFORE_COMMANDS = frozenset(
    [
        "if",
        "then",
        "else",
        "elif",
        "while",
        "until",
        "do",
        "{",
        "!",
        "exec",
        "nohup",
        "command",
        "time",
        "env",
        "eval",
    ]
)
_SHELLS = frozenset(["sh", "bash", "dash", "zsh", "ksh", "ash", "flock"])
_TAKES_SCRIPT = re.compile(r"-[A-Za-z]*c")
_NO_FILES = ("/dev/", "/proc/", "/sys/")
_MAX_DEPTH = 4
_MAX_PATH = 4096


@dataclass(frozen=True)
class Run:
    """What is run as one user: the files it writes, and paths it mentions.

    ``user`` is None for whoever runs the command, ``umask`` None where none is
    set. ``through`` is the PAM service that changed the user, if one did, and
    ``umask_before`` what was set before that.
    """

    user: str | None = None
    umask: int | None = None
    through: str | None = None
    umask_before: int | None = None
    writes: tuple[str, ...] = ()
    mentions: tuple[str, ...] = ()

    @property
    def who(self) -> Run:
        """The same without paths."""
        return replace(self, writes=(), mentions=())


def of_script(text: str, directory: str = "/") -> tuple[Run, ...]:
    """Tell what a shell script names that starts in a directory."""
    names = _Names()
    _read_script(text, _State(directory), names, _MAX_DEPTH)
    return names.runs()


def of_arguments(words: Sequence[str], directory: str = "/") -> tuple[Run, ...]:
    """Tell what a command names that is run without a shell."""
    names = _Names()
    _read_command(words, _State(directory), names, _MAX_DEPTH)
    return names.runs()


def merged(runs: Iterable[Run]) -> tuple[Run, ...]:
    """Return one run for each identity, with all that it names."""
    names = _Names()
    for run in runs:
        names.writes.setdefault(run.who, {}).update(dict.fromkeys(run.writes))
        names.mentions.setdefault(run.who, {}).update(dict.fromkeys(run.mentions))
    return names.runs()


def absolute_paths(text: str) -> tuple[str, ...]:
    """Return the absolute paths in any text, each once."""
    found = (_static(match.group(1)) for match in _PATH.finditer(text))
    return tuple(dict.fromkeys(path for path in found if path))


def _static(path: str) -> str | None:
    """Return a path, or the directory that is known of it; None for no file."""
    made = _MADE_BY_SHELL.search(path)
    if made:
        path = os.path.dirname(path[: made.start()])
    path = os.path.normpath(path)
    if path == "/" or len(path) > _MAX_PATH or "\0" in path:
        return None
    return None if f"{path}/".startswith(_NO_FILES) else path


@dataclass(frozen=True)
class _State:
    """What a shell remembers from one command to the next."""

    directory: str | None
    user: str | None = None
    umask: int | None = None
    through: str | None = None
    umask_before: int | None = None


@dataclass
class _Names:
    """Collects what is named, under the identity that it is named by."""

    writes: dict[Run, dict[str, None]] = field(default_factory=dict)
    mentions: dict[Run, dict[str, None]] = field(default_factory=dict)

    def write(self, state: _State, name: str) -> None:
        path = _beneath(state.directory, name)
        known = path and _static(path)
        if path and known:
            complete = known == os.path.normpath(path)
            self._add(self.writes if complete else self.mentions, state, known)

    def mention(self, state: _State, path: str | None) -> None:
        known = path and _static(path)
        if known:
            self._add(self.mentions, state, known)

    def runs(self) -> tuple[Run, ...]:
        return tuple(
            replace(
                run,
                writes=tuple(self.writes.get(run, ())),
                mentions=tuple(self.mentions.get(run, ())),
            )
            for run in dict.fromkeys([*self.writes, *self.mentions])
        )

    @staticmethod
    def _add(to: dict[Run, dict[str, None]], state: _State, path: str) -> None:
        run = Run(state.user, state.umask, state.through, state.umask_before)
        to.setdefault(run, {})[path] = None


def _beneath(directory: str | None, name: str) -> str | None:
    """Return where a name leads; None if that is not known."""
    if name.startswith("/"):
        return name
    if directory is None or name.startswith(("~", "$")):
        return None
    path = os.path.join(directory, name)
    return path if len(path) <= _MAX_PATH else None


def _read_script(text: str, state: _State, names: _Names, depth: int) -> None:
    if depth:
        for words, targets in simple_commands(text):
            for target in targets:
                names.write(state, target)
            state = _read_command(words, state, names, depth)


def simple_commands(text: str) -> Iterator[tuple[list[str], list[str]]]:
    """Yield the words and the redirections' targets of each simple command."""
    words: list[str] = []
    targets: list[str] = []
    redirect = ""
    for token in _TOKEN.finditer(text):
        if token.lastgroup == "operator":
            yield words, targets
            words, targets, redirect = [], [], ""
        elif token.lastgroup == "redirect":
            redirect = token.group()
        elif token.lastgroup == "word":
            word = _QUOTED.sub(_unquoted, token.group())
            duplicates = redirect.endswith("&") and (word.isdecimal() or word == "-")
            if ">" in redirect and not duplicates:
                targets.append(word)
            elif not duplicates:
                words.append(word)
            redirect = ""
    yield words, targets


def _unquoted(match: re.Match[str]) -> str:
    escaped, single, double = match.groups()
    if double is not None:
        return _ESCAPED.sub(r"\1", double)
    return str(single if escaped is None else escaped)


def _read_command(
    words: Sequence[str], state: _State, names: _Names, depth: int
) -> _State:
    """Collect what a simple command names; return the state after it."""
    everything, words = words, list(itertools.dropwhile(_is_before_command, words))
    for word in everything[: len(everything) - len(words)]:
        _mention_all(word, state, names)
    if words[:1] == ["cd"]:
        return _changed_directory(words[1:], state, names)
    if words[:1] == ["umask"]:
        return replace(state, umask=_octal(words[1:], state.umask))
    if words and os.path.basename(words[0]) == "tee":
        for name in words[1:]:
            if not name.startswith("-"):
                names.write(state, name)
        return state
    for word in _without_inner(words, state, names, depth):
        _mention_all(word, state, names)
    return state


def _mention_all(word: str, state: _State, names: _Names) -> None:
    for path in absolute_paths(word):
        names.mention(state, path)


def _is_before_command(word: str) -> bool:
    return word in _BEFORE_COMMANDS or bool(_ASSIGNMENT.match(word))


def _changed_directory(words: list[str], state: _State, names: _Names) -> _State:
    name = next((word for word in words if not word.startswith("-")), "~")
    directory = _beneath(state.directory, name)
    names.mention(state, directory)
    return replace(state, directory=directory)


def _octal(words: list[str], otherwise: int | None) -> int | None:
    if words and _OCTAL.fullmatch(words[0]):
        return int(words[0], 8) & 0o777
    return otherwise


def _without_inner(
    words: list[str], state: _State, names: _Names, depth: int
) -> list[str]:
    """Read the command that this one runs; return the words that remain."""
    for index, word in enumerate(words):
        name = os.path.basename(word)
        if name in _SHELLS:
            script = _script(words, index)
            if script is not None:
                _read_script(words[script], state, names, depth - 1)
                return [*words[:script], *words[script + 1 :]]
        elif name in _SWITCHES:
            switch = _switch(name, words[index + 1 :])
            if switch is not None:
                _read_switch(switch, state, names, depth - 1)
                return words[:index]
    return words


def _script(words: list[str], shell: int) -> int | None:
    for index in range(shell + 1, len(words) - 1):
        if _TAKES_SCRIPT.fullmatch(words[index]):
            return index + 1
    return None


@dataclass(frozen=True)
class _Switch:
    """A command that runs another one as somebody else."""

    service: str
    user: str
    command: tuple[str, ...]
    script: str = ""


#: The options of each: short ones, and long ones that take a value or do not.
_SWITCHES = {
    "sudo": (
        "AbEHhKklnPSsViC:D:g:p:R:r:t:T:U:u:v",
        "user= group= chdir= login shell set-home non-interactive preserve-env",
    ),
    "su": (
        "lmpfPc:s:g:G:w:",
        (
            "command= session-command= shell= group= supp-group= "
            "whitelist-environment= login preserve-environment fast pty"
        ),
    ),
}
_SWITCHES["runuser"] = (_SWITCHES["su"][0] + "u:", _SWITCHES["su"][1] + " user=")


def _switch(name: str, words: list[str]) -> _Switch | None:
    """Understand the arguments of sudo, su or runuser; None if they are odd."""
    short, long = _SWITCHES[name]
    try:
        options, rest = getopt.getopt(words, short, long.split())
        given = dict(options)
        user = given.get("-u", given.get("--user", ""))
        if name != "sudo" and not user:
            options, rest = getopt.gnu_getopt(words, short, long.split())
            given = dict(options)
            login = rest[:1] == ["-"]
            user, *rest = rest[login:] or ["root"]
            given.update({"-l": ""} if login else {})
    except getopt.GetoptError:
        return None
    user = user or "root"
    if not _USER.fullmatch(user):
        return None
    is_login = given.keys() & {"-l", "--login", "-i"}
    suffix = ("-i" if name == "sudo" else "-l") if is_login else ""
    script = given.get("-c", given.get("--command", ""))
    return _Switch(name + suffix, user.lstrip("#"), tuple(rest), script)


def _read_switch(switch: _Switch, state: _State, names: _Names, depth: int) -> None:
    is_login = switch.service.endswith(("-i", "-l"))
    inner = _State(
        None if is_login else state.directory,
        switch.user,
        through=switch.service,
        umask_before=state.umask,
    )
    if depth:
        _read_command(switch.command, inner, names, depth)
        _read_script(switch.script, inner, names, depth)
