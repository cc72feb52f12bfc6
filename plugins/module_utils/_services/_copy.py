# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy of configuration as it would be, for a check before anything is written."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

from .._edits import Edit
from .._errors import HostError
from .._names import display
from .._writers._files import below, read_text

#: In memory, root's alone, and gone when the host restarts.
_PLACE = "/run"


@contextmanager
def copied(root: str, files: Iterable[str], edits: Sequence[Edit]) -> Iterator[str]:
    """Yield a directory that has files below it as they are after the edits.

    It is root's alone, and gone afterwards. A file that cannot be read is not in it:
    whoever reads the copy finds out. Raises HostError for a path that would lead out
    of it.
    """
    copy = tempfile.mkdtemp(prefix="logward-", dir=_PLACE)
    try:
        for path in dict.fromkeys(files):
            with suppress(OSError):
                _write(copy, path, os.fsencode(read_text(below(root, path))))
        for edit in edits:
            for path in _names(root, edit.path, files):
                _put(copy, path, edit.after)
        yield copy
    finally:
        shutil.rmtree(copy)


def _names(root: str, path: str, files: Iterable[str]) -> Iterator[str]:
    """Yield all names under which an edited file is read: links lead to some."""
    yield path
    for each in files:
        if each != path and os.path.realpath(below(root, each)) == below(root, path):
            yield each


def _put(copy: str, path: str, content: bytes | None) -> None:
    if content is None:
        with suppress(FileNotFoundError):
            os.unlink(below(copy, path))
    else:
        _write(copy, path, content)


def _write(copy: str, path: str, content: bytes) -> None:
    if ".." in path.split("/"):
        raise HostError(
            f"{display(path)} is named with .. in it, which leads out of a copy that is "
            "tried. Write its path without that where it is included"
        )
    target = below(copy, path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "wb") as file:
        file.write(content)
