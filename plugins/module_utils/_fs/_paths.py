# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Opening what a journal names, in a tree that others have changed since."""

from __future__ import annotations

import os

from ._tree import PIN

_PIN_DIRECTORY = PIN | os.O_DIRECTORY


class Paths:
    """Pins absolute paths, component by component, and follows no link.

    The directory of the last one stays open: most of the next are in it, too.
    Whoever pins compares the stamp of what was found with the one expected.
    """

    def __init__(self) -> None:
        """Open nothing."""
        self._directory = ""
        self._fd: int | None = None

    def pin(self, path: str) -> int:
        """Return an O_PATH descriptor of a path; OSError where there is none.

        A symbolic link is pinned where it is the last component, and is an
        error (ENOTDIR) before that.
        """
        directory, _slash, name = path.rpartition("/")
        if self._fd is None or directory != self._directory:
            self.close()
            self._fd = _pin_directory(directory)
            self._directory = directory
        return os.open(name, PIN, dir_fd=self._fd)

    def close(self) -> None:
        """Let go of the directory."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _pin_directory(path: str) -> int:
    fd = os.open("/", _PIN_DIRECTORY)
    for component in path.strip("/").split("/"):
        parent = fd
        try:
            fd = os.open(component or ".", _PIN_DIRECTORY, dir_fd=parent)
        finally:
            os.close(parent)
    return fd
