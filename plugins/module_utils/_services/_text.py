# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changing one line of a file, and leaving its comments and order as they are."""

from __future__ import annotations

import os
import re

from .._edits import Edit
from .._errors import HostError
from .._names import display
from .._writers._files import below, read_text


def content_of(root: str, path: str) -> bytes | None:
    """Return what a file holds; None where there is none. Raises HostError."""
    try:
        return os.fsencode(read_text(below(root, path)))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HostError(f"{display(path)} cannot be read: {error.strerror}") from error


def resolved(root: str, path: str) -> str:
    """Return the path of the file itself, where a name is a link to it."""
    top = os.path.realpath(root)
    found = os.path.realpath(below(root, path))
    return found if top == "/" else found[len(top) :]


def replaced_line(
    root: str, path: str, line: int, pattern: re.Pattern[bytes], umask: int
) -> Edit:
    """Return an edit that sets another umask in a line.

    ``pattern`` has three groups and matches once in it: what comes before the
    umask, the umask, and what comes after. Raises HostError where it does not.
    """
    before = content_of(root, path)
    lines = [] if before is None else before.split(b"\n")
    found = list(pattern.finditer(lines[line - 1])) if 0 < line <= len(lines) else []
    if before is None or len(found) != 1:
        raise HostError(
            f"{display(path)}:{line} sets the umask in a way that is not understood. "
            "Set it there by hand"
        )
    match = found[0]
    if re.fullmatch(rb"[0-7]{1,5}", match[2]) and int(match[2], 8) & 0o777 == umask:
        return Edit(resolved(root, path), before, before)
    start, end = match.span(2)
    text = lines[line - 1]
    lines[line - 1] = text[:start] + b"%04o" % umask + text[end:]
    return Edit(resolved(root, path), before, b"\n".join(lines))
