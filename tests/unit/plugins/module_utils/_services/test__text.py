# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._edits import Edit
from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    HostError,
)
from ansible_collections.logward.permissions.plugins.module_utils._services._text import (
    content_of,
    replaced_line,
    resolved,
)

PATTERN = re.compile(rb"(u=)([0-7]+)()")
TEXT = b"# \xff\r\nu=022 # why\nu=1 u=2\n"


@pytest.fixture
def root(tmp_path: Path) -> str:
    (tmp_path / "conf").write_bytes(TEXT)
    (tmp_path / "link").symlink_to("conf")
    (tmp_path / "dir").mkdir()
    return str(tmp_path)


def test_line_is_replaced(root: str) -> None:
    after = TEXT.replace(b"022", b"0007")
    for path in ("/conf", "/link"):
        assert replaced_line(root, path, 2, PATTERN, 0o007) == Edit(
            "/conf", TEXT, after
        )


def test_what_is_so_already_is_left_as_it_is_written(root: str) -> None:
    assert replaced_line(root, "/conf", 2, PATTERN, 0o022) == Edit("/conf", TEXT, TEXT)


@pytest.mark.parametrize(
    ("path", "line"),
    [("/conf", 1), ("/conf", 3), ("/conf", 0), ("/conf", 9), ("/nowhere", 1)],
)
def test_line_that_is_not_understood(root: str, path: str, line: int) -> None:
    with pytest.raises(
        HostError, match=rf"^{path}:{line} sets the umask in a way that"
    ):
        replaced_line(root, path, line, PATTERN, 0o007)


def test_content(root: str) -> None:
    assert content_of(root, "/conf") == TEXT
    assert content_of(root, "/nowhere") is None
    with pytest.raises(HostError, match=r"^/dir cannot be read: Is a directory"):
        content_of(root, "/dir")


def test_resolved(root: str) -> None:
    assert resolved(root, "/link") == "/conf"
    assert resolved(root, "/nowhere/x") == "/nowhere/x"
    assert resolved("/", "/proc/self/fd/../status") == os.path.realpath(
        "/proc/self/status"
    )
