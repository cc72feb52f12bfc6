# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Patterns of file names, as glob(7) has them."""

from __future__ import annotations

import fnmatch


def matches_glob(path: str, pattern: str) -> bool:
    """Tell whether glob(7) finds a path by a pattern.

    Users write patterns, too: no pattern takes long.
    """
    if path.count("/") != pattern.count("/"):
        return False
    return all(
        fnmatch.fnmatchcase(part, each)
        and (not part.startswith(".") or each.startswith("."))
        for part, each in zip(path.split("/"), pattern.split("/"))
    )
