# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""File names as people and JSON can take them: any bytes but ``/`` and NUL."""

from __future__ import annotations

import base64
import os


def display(path: str) -> str:
    """Return a path with control characters and invalid UTF-8 escaped.

    The result is printable, has no newline, and can be encoded as UTF-8.
    """
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(
        character
        if character.isprintable()
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def path_fields(path: str) -> dict[str, str]:
    """Return ``path``, and ``path_b64`` where the display is not the name."""
    shown = display(path)
    if shown == path:
        return {"path": path}
    return {
        "path": shown,
        "path_b64": base64.b64encode(os.fsencode(path)).decode("ascii"),
    }
