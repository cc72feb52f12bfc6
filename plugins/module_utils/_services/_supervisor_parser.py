# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""supervisor's own parser, on a copy of its files; no supervisord is asked."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from .._errors import HostError
from .._names import display
from ._commands import Answer, run

_PROGRAMS = ("/usr/bin/supervisord", "/usr/local/bin/supervisord")
#: Runs in supervisor's own Python, and reads the copy where it would read the file.
#: What supervisord has in its environment is its secret: 0 stands for all of it.
_PARSE = """
import builtins, os, re, sys
copy, main, *paths = sys.argv[1:]
real = builtins.open
def mapped(file, *rest, **more):
    if isinstance(file, str) and os.path.normpath(file) in paths:
        file = copy + os.path.normpath(file)
    return real(file, *rest, **more)
builtins.open = mapped
for path in paths:
    with mapped(path, encoding="utf-8", errors="replace") as file:
        for name in re.findall(r"%\\(ENV_([^)=]+)\\)", file.read()):
            os.environ.setdefault(name, "0")
from supervisor.options import ServerOptions
ServerOptions().realize(["-n", "-c", main], doc="supervisord")
"""


#: Where supervisor, and configparser, show a whole value or line, which may be a
#: password; what else they show has none in it.
_SHOWN = (
    re.compile(r"(?<=Format string ).*(?= for ['\"])", re.DOTALL),
    re.compile(r"(?<=in value )'.*'(?= in section )", re.DOTALL),
    re.compile(r"(?<=in value )'.*'", re.DOTALL),
    re.compile(r"(?<=\]: )(['\"]).*\1(?=\n|$)"),
    re.compile(r"^(['\"]).*\1$", re.MULTILINE),
)


def without_values(text: str) -> str:
    """Return what supervisor says of a configuration, without what may be a secret."""
    for pattern in _SHOWN:
        text = pattern.sub("(not shown)", text)
    return text


def parse(copy: str, main: str, paths: Iterable[str]) -> Answer:
    """Have it read ``main`` and what that includes, ``paths``, below a copy.

    Raises HostError where there is no parser.
    """
    return run([*_interpreter(), "-c", _PARSE, copy, main, *paths])


def _interpreter() -> list[str]:
    """Return the Python that supervisor is installed for."""
    for path in _PROGRAMS:
        try:
            with open(path, "rb") as file:
                line = os.fsdecode(file.readline(200))
        except OSError:
            continue
        if line.startswith("#!"):
            return line[2:].split()
        raise HostError(
            f"{display(path)} is no script of Python's, so that supervisor's "
            "own parser cannot be asked"
        )
    raise HostError(f"supervisor is not installed: there is no {_PROGRAMS[0]}")
