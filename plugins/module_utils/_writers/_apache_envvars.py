# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""``/etc/apache2/envvars``: what apachectl's shell exports, and its umask.

Nothing is run. Assignments, ``export``, ``unset``, ``umask`` and ``if [ … ]``
are understood; of what depends on anything else the value is not known, and a
variable whose value is not known is not there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from .._names import display
from ._files import below, read_lines, unread
from ._source import Problem

_TOKEN = re.compile(
    r"""
      (?P<blank> [ \t\r]+ | \\\n )
    | (?P<comment> (?<![^\s;&|()]) \# [^\n]* )
    | (?P<function> \( [ \t]* \) )
    | (?P<end> \n | ; | && | \|\| | [&|()<>] )
    | (?P<word> (?: \\. | '[^']*' | "(?:\\.|[^"\\])*" | `[^`]*`
                | \$\( (?: [^()] | \([^()]*\) )* \)
                | \$\{[^}]{0,500}\} | [^\s\\'"`;&|()<>] )+ )
    """,
    re.VERBOSE | re.DOTALL,
)
_PART = re.compile(
    r"""
      \\(?P<escaped>.)
    | '(?P<single>[^']*)'
    | "(?P<double>(?:\\.|[^"\\])*)"
    | \$\{(?P<braced>[^}]{0,500})\}
    | \$(?P<variable>[A-Za-z_]\w*)
    | (?P<text>[^\\'"$`]+)
    | (?P<unknown>[$`].*)
    """,
    re.VERBOSE | re.DOTALL,
)
_PART_IN_QUOTES = re.compile(
    r"""
      \\(?P<escaped>[$`"\\\n])
    | \$\{(?P<braced>[^}]{0,500})\}
    | \$(?P<variable>[A-Za-z_]\w*)
    | (?P<unknown>`.*|\$[({\d@*#?$!-].*)
    | (?P<text>[^\\$`]+|[\\$])
    """,
    re.VERBOSE | re.DOTALL,
)
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_EXPANSION = re.compile(r"([A-Za-z_]\w*)(?:(:?[-+]|##?|%%?)(.*))?", re.DOTALL)
_IS_PATTERN = re.compile(r"[*?\[\\$`]")
_LOOPS = {"for", "while", "until", "case", "select"}
_MAX_DEPTH = 4
_MAX_BRANCHES = 100


@dataclass
class Environment:
    """What Apache finds when it starts; ``umask`` is None where none is set.

    ``umask_place`` are the file and the line of what decides about it, whether or
    not ``umask_known``.
    """

    variables: dict[str, str] = field(default_factory=dict)
    umask: int | None = None
    umask_place: tuple[str, int] | None = None
    umask_known: bool = True
    problems: list[Problem] = field(default_factory=list)


def evaluate(root: str, path: str, before: Mapping[str, str]) -> Environment:
    """Return what a shell exports that reads a file.

    ``before`` are the variables that it has already, and does not export.
    """
    shell = _Shell(root, before)
    shell.source(path, 0)
    return Environment(
        shell.exports(),
        shell.umask,
        shell.umask_place,
        shell.umask_known,
        shell.problems,
    )


@dataclass(frozen=True)
class Command:
    """A simple command; ``certain`` unless it follows ``&&``, ``||`` or ``|``."""

    line: int
    words: tuple[str, ...]
    certain: bool


def commands(text: str) -> Iterator[Command]:
    """Yield the simple commands of a script, but none of subshells.

    Raises ValueError, with the line as its second argument. What follows a
    function is not known: it may be called anywhere.
    """
    words: list[str] = []
    line, position, depth, certain = 1, 0, 0, True
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise ValueError("has a quotation mark or bracket that is not closed", line)
        word = token.group()
        if token.lastgroup == "word" and not depth:
            words.append(word)
        elif token.lastgroup == "function":
            raise ValueError("has a function, which is not looked into", line)
        elif token.lastgroup == "end":
            if words:
                yield Command(line, tuple(words), certain)
            words = []
            certain = word in {"\n", ";", "&"}
            depth = max(0, depth + (word == "(") - (word == ")"))
        line += word.count("\n")
        position = token.end()
    if words:
        yield Command(line, tuple(words), certain)
    if depth:
        raise ValueError("has a bracket that is not closed", line)


@dataclass
class _Branch:
    """An ``if`` or a loop; None is perhaps.

    ``now`` is whether its present branch is run, ``taken`` whether one was.
    ``asking`` is true until ``then``.
    """

    now: bool | None
    taken: bool | None
    asking: bool = False


class _Shell:
    """Runs what it understands; other commands change nothing here."""

    def __init__(self, root: str, variables: Mapping[str, str]) -> None:
        #: None is a value that is not known.
        self._variables: dict[str, str | None] = {**variables}
        self._exported: set[str] = set()
        self._branches: list[_Branch] = []
        self._root = root
        self._path = ""
        self._depth = 0
        self.umask: int | None = None
        self.umask_place: tuple[str, int] | None = None
        self.umask_known = True
        self.problems: list[Problem] = []

    def exports(self) -> dict[str, str]:
        """Return the variables that programs see, where their value is known."""
        known = ((name, self._variables.get(name)) for name in self._exported)
        return {name: value for name, value in known if value is not None}

    def source(self, path: str, line: int) -> None:
        """Run the commands of a file."""
        if self._depth == _MAX_DEPTH:
            self._report(line, f"reads {display(path)}, too deeply")
            return
        before, self._path = self._path, path
        self._depth += 1
        try:
            for command in commands(self._text(path)):
                self._run(command)
        except OSError as error:
            self.problems.append(unread(path, error))
        except ValueError as error:
            message, at = error.args
            self._report(at, message)
        self._depth -= 1
        self._path = before

    def _text(self, path: str) -> str:
        lines = read_lines(below(self._root, path))
        for number, line in enumerate(lines, 1):
            if "\0" in line:
                self._report(number, "contains a NUL byte")
        return "\n".join(lines).replace("\0", "")  # as the shell does

    def _report(self, line: int, message: str) -> None:
        self.problems.append(Problem(self._path, line, message))

    def _run(self, command: Command) -> None:
        words = list(command.words)
        while words and words[0] in {"then", "else", "do", "{"}:
            self._enter(words.pop(0))
        if not words:
            return
        if len(self._branches) == _MAX_BRANCHES:
            raise ValueError("has an if in too many others", command.line)
        keyword, *rest = words
        branch = self._branches[-1] if self._branches else None
        if keyword == "if":
            self._branches.append(self._asked(rest))
        elif keyword in _LOOPS:
            self._branches.append(_Branch(None, None))
        elif keyword in {"fi", "done", "esac"}:
            self._branches = self._branches[:-1]
        elif branch is not None and keyword == "elif":
            self._branches[-1] = self._otherwise(branch, rest)
        elif branch is not None and branch.asking:
            # if one && another
            branch.now = branch.taken = None
        elif all(each.now is not False for each in self._branches):
            maybe = not command.certain or any(
                each.now is None for each in self._branches
            )
            self._do(keyword, rest, command.line, maybe=maybe)

    def _enter(self, keyword: str) -> None:
        """Begin a branch whose first command may stand on the same line."""
        branch = self._branches[-1] if self._branches else _Branch(None, None)
        if keyword == "then":
            branch.asking = False
        elif keyword == "else":
            branch.now = None if branch.taken is None else not branch.taken

    def _asked(self, words: Sequence[str]) -> _Branch:
        answer = self._test(words)
        return _Branch(answer, answer, asking=True)

    def _otherwise(self, branch: _Branch, words: Sequence[str]) -> _Branch:
        if branch.taken is None:
            return _Branch(None, None)
        return _Branch(False, True) if branch.taken else self._asked(words)

    def _do(self, name: str, words: list[str], line: int, *, maybe: bool) -> None:
        if all(_ASSIGNMENT.fullmatch(word) for word in (name, *words)):
            for word in (name, *words):
                self._assign(word, maybe=maybe)
        elif name == "export":
            for word in words:
                self._assign(word, maybe=maybe)
                self._exported.add(word.partition("=")[0])
        elif name == "unset":
            for word in words:
                self._set(word, "", maybe=maybe)
                self._exported.discard(word)
                if not maybe:
                    del self._variables[word]
        elif name == "umask" and words:
            self._set_umask(words[0], line, maybe=maybe)
        elif name == "." and words:
            self._source(words[0], line, maybe=maybe)

    def _source(self, word: str, line: int, *, maybe: bool) -> None:
        path = self._word(word)
        if path is None or not path.startswith("/") or maybe:
            self._report(line, f"reads {display(word)}, which is not looked into")
        else:
            self.source(path, line)

    def _assign(self, word: str, *, maybe: bool) -> None:
        assignment = _ASSIGNMENT.fullmatch(word)
        if assignment:
            self._set(assignment[1], self._word(assignment[2]), maybe=maybe)

    def _set(self, name: str, value: str | None, *, maybe: bool) -> None:
        if maybe and self._variables.get(name) != value:
            value = None
        self._variables[name] = value

    def _set_umask(self, word: str, line: int, *, maybe: bool) -> None:
        text = self._word(word) or ""
        self.umask_place = self._path, line
        self.umask_known = not maybe and bool(re.fullmatch("[0-7]{1,4}", text))
        if not self.umask_known:
            self._report(line, "sets a umask that is not known here: write it as 0022")
        else:
            self.umask = int(text, 8) & 0o777

    def _test(self, words: Sequence[str]) -> bool | None:
        """Return what ``[ … ]`` says; None if that is not known."""
        if words[:1] == ["!"]:
            answer = self._test(words[1:])
            return None if answer is None else not answer
        if words[:1] == ["["] and words[-1:] == ["]"]:
            words = words[:-1]
        elif words[:1] != ["test"]:
            return None
        values = [self._word(word) for word in words[1:]]
        known = [value for value in values if value is not None]
        return _compare(self._root, known) if len(known) == len(values) else None

    def _word(self, word: str) -> str | None:
        """Return a word as a command sees it; None if that is not known."""
        return self._join(_PART.finditer(word))

    def _join(self, parts: Iterable[re.Match[str]]) -> str | None:
        found = [self._part(part) for part in parts]
        known = [text for text in found if text is not None]
        return "".join(known) if len(known) == len(found) else None

    def _part(self, part: re.Match[str]) -> str | None:
        kind = str(part.lastgroup)
        text = part[kind]
        if kind == "double":
            return self._join(_PART_IN_QUOTES.finditer(text))
        if kind == "unknown":
            return None
        if kind == "variable":
            return self._variables.get(text, "")
        if kind == "braced":
            return self._expansion(text)
        return "" if (kind, text) == ("escaped", "\n") else text

    def _expansion(self, text: str) -> str | None:
        """Return what a variable in braces stands for."""
        match = _EXPANSION.fullmatch(text)
        if match is None:
            return None
        name, operator, word = match.groups()
        value = self._variables.get(name, "")
        if value is None or not operator:
            return value
        if operator[0] in "#%" and _IS_PATTERN.search(word):
            return None
        if operator[0] in "#%":
            cut = value.removeprefix if operator[0] == "#" else value.removesuffix
            return cut(word)
        is_set = bool(value) or (len(operator) == 1 and name in self._variables)
        if operator.endswith("-"):
            return value if is_set else self._word(word)
        return self._word(word) if is_set else ""


def _compare(root: str, words: Sequence[str]) -> bool | None:
    """Return the answer of test(1)."""
    if len(words) == 3 and words[1] in {"=", "!="}:
        return (words[0] == words[2]) == (words[1] != "!=")
    if len(words) == 2 and words[0] in {"-n", "-z"}:
        return bool(words[1]) == (words[0] == "-n")
    if len(words) == 2 and words[0] in _FILE_TESTS:
        return _FILE_TESTS[words[0]](below(root, words[1]))
    return None


_FILE_TESTS = {
    "-d": os.path.isdir,
    "-e": os.path.exists,
    "-f": os.path.isfile,
    "-r": os.path.exists,  # root reads all
}
