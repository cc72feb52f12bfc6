# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apache's configuration files: from lines to the directives that are in force.

Variables, ``Define``, ``Include``, sections and conditions are as
server/config.c and server/core.c of Apache 2.4 have them. A mistake, which
would keep Apache from starting, is a problem here; what follows is still read.
"""

from __future__ import annotations

import os
import re
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Callable

from .._names import display
from ._files import below, list_names, matching, read_lines, unread
from ._source import Problem

_VARIABLE = re.compile(r"\$\{([^}]{0,200})\}")
_ESCAPED = {quote: re.compile(rf"\\([\\{quote}])") for quote in "\"'"}
_WORD = re.compile(
    r"""\s*(?: "(?P<double>(?:\\["\\]|[^"])*)(?:"|\Z)
             | '(?P<single>(?:\\['\\]|[^'])*)(?:'|\Z)
             | (?P<plain>\S+) )""",
    re.VERBOSE,
)
#: Included files are no deeper than in Apache; all lines together are bounded.
_MAX_DEPTH = 128
_MAX_LINES = 200_000
#: What Debian's apache2 has built in.
_BUILT_IN = (
    *("core", "so", "watchdog", "http", "log_config", "logio", "version", "unixd"),
)


@dataclass(frozen=True)
class Directive:
    """A directive in force; ``host`` counts virtual hosts, 0 is the main server."""

    name: str
    arguments: tuple[str, ...]
    host: int
    path: str
    line: int


@dataclass
class Configuration:
    """All that a server's configuration says, in its order."""

    server_root: str
    directives: list[Directive] = field(default_factory=list)
    #: As keys, each once: a file may be included many times.
    problems: dict[Problem, None] = field(default_factory=dict)


def logical_lines(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield directives with their lines' numbers; comments go on, too."""
    parts: list[str] = []
    for number, line in enumerate(lines, 1):
        text = line.removesuffix("\r")
        parts.append(text.removesuffix("\\"))
        if not text.endswith("\\") or number == len(lines):
            joined = "".join(parts).strip()
            if joined and not joined.startswith("#"):
                yield number - len(parts) + 1, joined
            parts = []


def words(text: str) -> list[str]:
    """Split a directive as ap_getword_conf() does."""
    found: list[str] = []
    for match in _WORD.finditer(text):
        if match["double"] is not None:
            found.append(_ESCAPED['"'].sub(r"\1", match["double"]))
        elif match["single"] is not None:
            found.append(_ESCAPED["'"].sub(r"\1", match["single"]))
        else:
            found.append(match["plain"].replace("\\\\", "\\"))
    return found


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace variables; those that are not defined stay, as in Apache."""
    return _VARIABLE.sub(lambda match: variables.get(match[1], match[0]), text)


def undefined(text: str) -> str | None:
    """Return the first variable that expand() left; not ``${map:key}``."""
    for match in _VARIABLE.finditer(text):
        if ":" not in match[1]:
            return match[0]
    return None


def short(text: str) -> str:
    """Return what a message shows of a text."""
    return display(text[:100])


def read(
    root: str,
    server_root: str,
    environment: Mapping[str, str],
    defined: Sequence[str] = (),
) -> Configuration:
    """Read apache2.conf and what it includes.

    ``environment`` is Apache's, ``defined`` what ``-D`` defines.
    """
    reader = _Reader(root, Configuration(server_root), environment, defined)
    reader.file(os.path.join(server_root, "apache2.conf"), _Place(0, ()))
    return reader.configuration


@dataclass(frozen=True)
class _Place:
    """Where a file is included: in which host, and below which files."""

    host: int
    above: tuple[str, ...]


@dataclass(frozen=True)
class _Section:
    """An open section; ``host`` is the one that its directives are of."""

    name: str
    line: int
    host: int
    is_read: bool


class _Reader:
    """Goes through files as Apache does, and collects directives."""

    def __init__(
        self,
        root: str,
        configuration: Configuration,
        environment: Mapping[str, str],
        defined: Sequence[str],
    ) -> None:
        self.configuration = configuration
        self._root = root
        self._variables = ChainMap({}, dict(environment))
        self._defined = set(defined)
        self._modules = {f"{name}_module" for name in _BUILT_IN}
        self._sources = {f"mod_{name}.c" for name in _BUILT_IN}
        self._sources |= {"core.c", "http_core.c"}
        self._hosts = 0
        self._left = _MAX_LINES

    def file(self, path: str, place: _Place) -> None:
        """Read a file; its sections begin and end in it."""
        try:
            lines = read_lines(below(self._root, path))
        except OSError as error:
            self.configuration.problems[unread(path, error)] = None
            return
        inside = replace(place, above=(*place.above, path))
        sections = [_Section("", 0, place.host, is_read=True)]
        self._left -= 1  # an empty file counts, too
        for line, text in logical_lines(lines):
            self._left -= 1
            if self._left < 0:
                message = f"is not read on: there are more than {_MAX_LINES} lines"
                self._report(path, line, message)
                return
            self._line(path, line, text, sections, inside)
        for section in sections[1:]:
            self._report(path, section.line, f"<{short(section.name)}> is never closed")

    def _report(self, path: str, line: int, message: str) -> None:
        self.configuration.problems[Problem(path, line, message)] = None

    def _line(
        self,
        path: str,
        line: int,
        text: str,
        sections: list[_Section],
        place: _Place,
    ) -> None:
        if "\0" in text:
            self._report(path, line, "contains a NUL byte")
        elif text.startswith("</"):
            self._close(path, line, text, sections)
        elif text.startswith("<"):
            self._open(path, line, text, sections)
        elif sections[-1].is_read:
            known = expand(text, self._variables)
            name, *arguments = words(known) or [""]
            directive = Directive(
                name.lower(), tuple(arguments), sections[-1].host, path, line
            )
            self._directive(directive, place)

    def _open(self, path: str, line: int, text: str, sections: list[_Section]) -> None:
        outer = sections[-1]
        inner, bracket, _rest = text[1:].partition(">")
        if not bracket:
            self._report(path, line, f"{short(text)} has no >")
        name, argument = [*inner.split(None, 1), "", ""][:2]
        name = name.lower()
        host = outer.host
        if name == "virtualhost" and outer.is_read:
            self._hosts += 1
            host = self._hosts
        is_read = outer.is_read and self._holds(name, argument)
        sections.append(_Section(name, line, host, is_read))

    def _close(self, path: str, line: int, text: str, sections: list[_Section]) -> None:
        name = text[2:].partition(">")[0].strip().lower()
        if ">" not in text:
            self._report(path, line, f"{short(text)} has no >")
        open_names = [section.name for section in sections[1:]]
        if name not in open_names:
            self._report(path, line, f"</{short(name)}> closes what is not open")
            return
        while sections[-1].name != name:
            forgotten = sections.pop()
            message = f"<{short(forgotten.name)}> is never closed"
            self._report(path, forgotten.line, message)
        sections.pop()

    def _holds(self, name: str, argument: str) -> bool:
        """Tell whether what is in a section is in force."""
        if name == "macro":
            return False
        if name not in {"ifmodule", "ifdefine", "iffile"}:
            return True
        wanted = not argument.startswith("!")
        word = (words(argument.lstrip("!")) or [""])[0]
        word = expand(word, self._variables)
        if name == "ifmodule":
            found = word in self._modules or word in self._sources
        elif name == "ifdefine":
            found = word in self._defined
        else:
            path = os.path.join(self.configuration.server_root, word)
            found = os.path.lexists(below(self._root, path))
        return found is wanted

    def _directive(self, directive: Directive, place: _Place) -> None:
        handler = _IMMEDIATE.get(directive.name)
        if handler is None:
            self.configuration.directives.append(directive)
        elif not directive.arguments:
            self._report(directive.path, directive.line, "says nothing")
        else:
            handler(self, directive, place)

    def define(self, directive: Directive, _place: _Place) -> None:
        name, *value = directive.arguments
        self._defined.add(name)
        if value:
            self._variables[name] = value[0]

    def undefine(self, directive: Directive, _place: _Place) -> None:
        self._defined.discard(directive.arguments[0])
        self._variables.maps[0].pop(directive.arguments[0], None)

    def server_root(self, directive: Directive, _place: _Place) -> None:
        self.configuration.server_root = directive.arguments[0]

    def load_module(self, directive: Directive, _place: _Place) -> None:
        name, *files = directive.arguments
        stem = name.removesuffix("_module")
        library = os.path.splitext(os.path.basename((files or [stem])[0]))[0]
        self._modules.add(name)
        self._sources |= {f"mod_{stem}.c", f"{library}.c"}
        if stem.startswith("mpm_"):
            self._sources |= {f"{stem}.c", f"{stem.removeprefix('mpm_')}.c"}

    def use(self, directive: Directive, _place: _Place) -> None:
        macro = short(directive.arguments[0])
        message = f"uses the macro {macro}: what that configures is not known here"
        self._report(directive.path, directive.line, message)

    def include(self, directive: Directive, place: _Place) -> None:
        inside = replace(place, host=directive.host)
        pattern = directive.arguments[0]
        unknown = undefined(pattern)
        if unknown:
            message = f"{short(unknown)} is defined neither in envvars nor with Define"
            self._report(directive.path, directive.line, message)
            return
        path = os.path.join(self.configuration.server_root, pattern)
        found = matching(self._root, path)
        if not found and directive.name == "include":
            message = f"includes {short(pattern)}, which does not exist"
            self._report(directive.path, directive.line, message)
        for name in found:
            self._include_file(directive, name, inside)

    def _include_file(self, directive: Directive, path: str, place: _Place) -> None:
        if path in place.above or len(place.above) >= _MAX_DEPTH:
            message = f"includes {short(path)} in itself, or too deeply"
            self._report(directive.path, directive.line, message)
        elif os.path.isdir(below(self._root, path)):
            inside = replace(place, above=(*place.above, path))
            for name in list_names(self._root, path):
                self._include_file(directive, os.path.join(path, name), inside)
        else:
            self.file(path, place)


#: Directives that Apache obeys while it reads.
_IMMEDIATE: dict[str, Callable[[_Reader, Directive, _Place], None]] = {
    "define": _Reader.define,
    "undefine": _Reader.undefine,
    "include": _Reader.include,
    "includeoptional": _Reader.include,
    "serverroot": _Reader.server_root,
    "loadmodule": _Reader.load_module,
    "use": _Reader.use,
}
