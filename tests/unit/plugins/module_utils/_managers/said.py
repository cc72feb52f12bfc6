# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the real logrotate says to a configuration, for tests to compare with."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

_CONSIDERED = re.compile(r"^considering log (.*)$", re.MULTILINE)
_CREATED = re.compile(
    r"^creating new (/.*) mode = 0?([0-7]+) uid = (-?\d+) gid = (-?\d+)", re.MULTILINE
)
_INSECURE = re.compile(r'^error: skipping "(.*?)" because parent', re.MULTILINE)
_ERROR = re.compile(r"^error: (.*)$", re.MULTILINE)
_DUPLICATE = re.compile(r"(?<!ignore )duplicate log entry for (.*)$", re.MULTILINE)

_VERSION = subprocess.run(
    ["logrotate", "--version"], capture_output=True, text=True, check=True
)
#: Before 3.21 logrotate goes on after mistakes that end a stanza now.
OLD = tuple(
    map(int, re.findall(r"[0-9]+", (_VERSION.stdout + _VERSION.stderr).split("\n")[0]))
) < (3, 21)


@dataclass(frozen=True)
class Said:
    """What logrotate would do: it looks at files, refuses some, creates others.

    ``errors`` are those that it found while it read its configuration.
    """

    considered: tuple[str, ...]
    created: dict[str, tuple[int, int, int]]
    insecure: frozenset[str]
    duplicates: tuple[str, ...]
    errors: tuple[str, ...]


def dry_run(configuration: Path | str, state: Path) -> Said:
    """Return what ``logrotate -d -f`` says."""
    run = subprocess.run(
        ["logrotate", "-d", "-f", "-s", state, configuration],
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=60,
        check=False,
        env={"LC_ALL": "C.UTF-8", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )
    text = run.stderr
    return Said(
        tuple(_CONSIDERED.findall(text)),
        {
            path: (int(mode, 8), int(uid), int(gid))
            for path, mode, uid, gid in _CREATED.findall(text)
        },
        frozenset(_INSECURE.findall(text)),
        tuple(_DUPLICATE.findall(text)),
        tuple(_ERROR.findall(text.partition("\nHandling ")[0])),
    )
