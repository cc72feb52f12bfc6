# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import os

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._names import (
    display,
    path_fields,
)

NAMES = {
    "plain": (b"app.log", "app.log"),
    "space": (b"a b", "a b"),
    "quotes": (b"'\"", "'\""),
    "backslash": (b"\\n", "\\n"),
    "UTF-8": ("caf\u00e9 \u65e5\u8a18".encode(), "caf\u00e9 \u65e5\u8a18"),
    "newline": (b"a\nb", "a\\nb"),
    "carriage return": (b"a\rb", "a\\rb"),
    "escape sequence": (b"\x1b[31m", "\\x1b[31m"),
    "delete": (b"\x7f", "\\x7f"),
    "invalid UTF-8": (b"\xffa\xc3", "\\xffa\\xc3"),
    "surrogate in UTF-8": (b"\xed\xa0\x80", "\\xed\\xa0\\x80"),
    "no-break space": ("a\u00a0b".encode(), "a\\xa0b"),
    "right-to-left override": ("a\u202eb".encode(), "a\\u202eb"),
    "private use": ("\U000f0000".encode(), "\\U000f0000"),
}


@pytest.mark.parametrize(("name", "shown"), NAMES.values(), ids=NAMES)
def test_display(name: bytes, shown: str) -> None:
    path = os.fsdecode(name)
    assert display(path) == shown
    assert shown.isprintable()
    fields = path_fields(path)
    assert fields["path"] == shown
    assert base64.b64decode(fields.get("path_b64", "")) == (
        b"" if shown == path else name
    )
