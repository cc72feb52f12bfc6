# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Being in a directory for a while: a path in it is one component to look up."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_PIN = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


@contextmanager
def working_directory(fd: int) -> Iterator[None]:
    """Make an open directory the working one; the module's own comes back."""
    before = os.open(".", _PIN)
    try:
        os.fchdir(fd)
        yield
    finally:
        os.fchdir(before)
        os.close(before)


@contextmanager
def own_descriptors() -> Iterator[None]:
    """Be where the number of a descriptor is a path that reaches exactly its inode.

    It is the directory of this very process: a child has to open its own.
    """
    fd = os.open("/proc/self/fd", _PIN)
    try:
        with working_directory(fd):
            yield
    finally:
        os.close(fd)
