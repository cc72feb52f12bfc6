# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs as a journal has them, written by itself."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible_collections.logward.permissions.plugins.module_utils._access import (
    DIRECTORY,
    REGULAR,
    SETGID,
    Inode,
)
from ansible_collections.logward.permissions.plugins.module_utils._acl import (
    Acl,
    from_mode,
)
from ansible_collections.logward.permissions.plugins.module_utils._edits import (
    EditEntry,
    Span,
)
from ansible_collections.logward.permissions.plugins.module_utils._fs import Stamp
from ansible_collections.logward.permissions.plugins.module_utils._journal import (
    Entry,
    Journal,
)

EXTENDED = Acl(7, 5, 0, 7, ((64002, 7), (64001, 6)), ((64003, 4),))
MINIMAL = Acl(7, 5, 0)
LOGS = Entry(
    "/srv/logs",
    Stamp(10, 11, 12),
    Inode(DIRECTORY, 1, 2, 0, from_mode(0o755)),
    Inode(DIRECTORY, 1, 3, SETGID, EXTENDED, EXTENDED),
)
LOG = Entry(
    "/srv/logs/\udcff\n.log",
    Stamp(10, 2**64 - 1, None),
    Inode(REGULAR, 1, 2, 0, EXTENDED),
    Inode(REGULAR, 1, 2**32 - 2, 0, from_mode(0o640)),
)
DEEP = LOG._replace(
    path="/" + "d" * 4094 + "/\udcfe" * 200, after=replace(LOG.after, uid=0)
)
DEFAULT = LOGS._replace(before=replace(LOGS.before, default_acl=MINIMAL))
EDITED = EditEntry(
    "/etc/app.conf",
    Stamp(10, 11, None),
    replace(LOG.before, gid=3),
    "0" * 64,
    "f" * 64,
    (Span(0, b"a\xff\n", b"b\n"), Span(20, b"", b"c")),
)
MADE = EditEntry(
    "/etc/a/b/\udcff",
    None,
    LOG.after,
    None,
    "f" * 64,
    (Span(0, b"", b"b\n"),),
    ("/etc/a", "/etc/a/b"),
)
WRITTEN: list[list[Entry | EditEntry]] = [
    [LOGS],
    [LOG, DEEP],
    [DEFAULT],
    [EDITED],
    [MADE],
]


def write(site: Path, run_id: str, **more: Any) -> Path:
    """Have a call of a module write a file of a run; return the file."""
    with closing(Journal(str(site / "journal"), run_id, **more)) as journal:
        for batch in WRITTEN:
            journal.record(batch)
    return max((site / "journal" / run_id).iterdir())
