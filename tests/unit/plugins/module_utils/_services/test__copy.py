# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._edits import Edit
from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    HostError,
)
from ansible_collections.logward.permissions.plugins.module_utils._services._copy import (
    copied,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc/d").mkdir(parents=True)
    (tmp_path / "etc/a.conf").write_bytes(b"a\xff\n")
    (tmp_path / "etc/d/b.conf").write_bytes(b"b\n")
    (tmp_path / "etc/d/link.conf").symlink_to("../a.conf")
    return tmp_path


FILES = ["/etc/a.conf", "/etc/d/b.conf", "/etc/d/link.conf", "/etc/missing"]


def content(copy: str) -> dict[str, bytes]:
    top = Path(copy)
    found = (path for path in top.rglob("*") if path.is_file())
    return {f"/{path.relative_to(top)}": path.read_bytes() for path in found}


def test_files_are_as_they_would_be(root: Path) -> None:
    edits = [
        Edit("/etc/a.conf", b"a\xff\n", b"A\n"),
        Edit("/etc/new/c.conf", None, b"c\n"),
        Edit("/etc/d/b.conf", b"b\n", None),
    ]
    with copied(str(root), FILES, edits) as copy:
        assert content(copy) == {
            "/etc/a.conf": b"A\n",
            "/etc/d/link.conf": b"A\n",
            "/etc/new/c.conf": b"c\n",
        }
    assert (root / "etc/a.conf").read_bytes() == b"a\xff\n"
    assert not (root / "etc/new").exists()


def test_a_path_that_leads_out_of_the_copy(root: Path) -> None:
    """In check mode, too, the file itself got what the copy was to have."""
    real = root / "etc/d/b.conf"
    path = f"{'/..' * 9}{real}"
    edits = [Edit(str(real), b"b\n", b"B\n")]
    with pytest.raises(HostError, match=r"\.\. in it"), copied("/", [path], edits):
        pass
    assert real.read_bytes() == b"b\n"


def test_only_root_reads_it_and_it_is_gone_afterwards(root: Path) -> None:
    umask = os.umask(0)
    try:
        with suppress(KeyError), copied(str(root), FILES, []) as copy:
            assert os.stat(copy).st_mode & 0o7777 == 0o700
            assert os.path.dirname(copy) == "/run"
            raise KeyError
    finally:
        os.umask(umask)
    assert not os.path.exists(copy)
