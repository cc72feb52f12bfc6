# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Laravel applications: where one is, and where it logs."""

from __future__ import annotations

import os
from collections.abc import Iterator

LOGS = "storage/logs"


def application_of(path: str) -> str | None:
    """Return the directory of the application that a path belongs to, or None."""
    for candidate in _upwards(path):
        is_application = os.path.isfile(os.path.join(candidate, "artisan"))
        if is_application and os.path.isdir(os.path.join(candidate, LOGS)):
            return candidate
    return None


def _upwards(path: str) -> Iterator[str]:
    path = os.path.normpath(path)
    while path != "/":
        yield path
        path = os.path.dirname(path)


def application_of_logs(path: str) -> str | None:
    """Return the application whose log directory ``path`` is, or None."""
    base = path[: -len(LOGS) - 1]
    return base if path == f"{base}/{LOGS}" and application_of(base) == base else None
