# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._writers import (
    _files,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._source import (
    Problem,
)

TEXTS = {
    "empty": (b"", []),
    "one line": (b"a\n", ["a"]),
    "no newline at the end": (b"a\nb", ["a", "b"]),
    "empty lines": (b"\n\na\n", ["", "", "a"]),
    "only newlines end lines": (
        "a\x0bb\x0cc\x1cd\u2028e\x85f\rg\n".encode(),
        ["a\x0bb\x0cc\x1cd\u2028e\x85f\rg"],
    ),
    "carriage returns stay": (b"a\r\nb\r\n", ["a\r", "b\r"]),
    "invalid UTF-8": (b"/srv/caf\xe9\n", ["/srv/caf\udce9"]),
    "NUL": (b"a\0b\n", ["a\0b"]),
}


@pytest.mark.parametrize(("data", "lines"), TEXTS.values(), ids=TEXTS)
def test_lines(data: bytes, lines: list[str], tmp_path: Path) -> None:
    path = tmp_path / "x.conf"
    path.write_bytes(data)
    assert _files.read_lines(str(path)) == lines


def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "available").write_text("a\n")
    (tmp_path / "enabled").symlink_to("available")
    assert _files.read_lines(str(tmp_path / "enabled")) == ["a"]


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _link_to_fifo(path: Path) -> None:
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to("pipe")


def _socket(path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.close()


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _large(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(_files.MAX_BYTES + 1)


BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (lambda _path: None, "No such file or directory"),
    "dangling link": (
        lambda path: path.symlink_to("nowhere"),
        "No such file or directory",
    ),
    "FIFO": (_fifo, "Not a regular file"),
    "link to a FIFO": (_link_to_fifo, "Not a regular file"),
    "socket": (_socket, "Not a regular file"),
    "device": (_endless, "Not a regular file"),
    "directory": (Path.mkdir, "Is a directory"),
    "loop of links": (_loop, "Too many levels of symbolic links"),
    "too large": (_large, "Larger than 1048576 bytes"),
}


@pytest.mark.parametrize(("make", "reason"), BAD.values(), ids=BAD)
def test_what_is_no_configuration(
    make: Callable[[Path], None], reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.conf"
    make(path)
    with pytest.raises(OSError, match=reason) as caught:
        _files.read_lines(str(path))
    assert _files.unread("/etc/x.conf", caught.value) == Problem(
        "/etc/x.conf", 0, f"cannot be read: {reason}"
    )


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    _fifo(tmp_path / "fifo")
    (tmp_path / "file").write_text("a\n")
    before = os.listdir("/proc/self/fd")
    with pytest.raises(OSError, match="Not a regular file"):
        _files.read_lines(str(tmp_path / "fifo"))
    _files.read_lines(str(tmp_path / "file"))
    assert os.listdir("/proc/self/fd") == before


def test_the_largest_file_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.conf"
    path.write_bytes(b"x" * _files.MAX_BYTES)
    assert _files.read_lines(str(path)) == ["x" * _files.MAX_BYTES]


def test_a_file_that_does_not_know_its_size() -> None:
    assert _files.read_lines("/proc/self/status")[0].startswith("Name:")


def test_a_name_that_cannot_be_one() -> None:
    with pytest.raises(OSError, match="Invalid file name"):
        _files.read_lines("/etc/a\0b")


@pytest.mark.parametrize("root", ["/srv/[host]", "/srv/[host]/"])
def test_below(root: str) -> None:
    assert _files.below(root, "/etc/x.conf") == "/srv/[host]/etc/x.conf"
    assert _files.below("/", "//etc/x.conf") == "/etc/x.conf"


def test_names_are_sorted(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    for name in ("b", "a", ".c"):
        (tmp_path / "etc" / name).touch()
    assert _files.list_names(str(tmp_path), "/etc") == [".c", "a", "b"]
    assert _files.list_names(str(tmp_path), "/nowhere") == []
    assert _files.list_names(str(tmp_path), "/etc/a") == []


def test_globs(tmp_path: Path) -> None:
    root = tmp_path / "[host]*"
    (root / "etc/d").mkdir(parents=True)
    for name in ("b.conf", "a.conf", ".c.conf", "d.ini"):
        (root / "etc/d" / name).touch()
    for top in (str(root), f"{root}/"):
        assert _files.matching(top, "/etc/*/?.conf") == [
            "/etc/d/a.conf",
            "/etc/d/b.conf",
        ]
    assert _files.matching(str(root), "/etc/d/d.ini") == ["/etc/d/d.ini"]
    assert _files.matching(str(root), "/etc/none/*") == []
    assert _files.matching(str(root), "/etc/d\0/*") == []


def test_globs_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        (tmp_path / name).touch()
    monkeypatch.setattr(_files, "MAX_FILES", 2)
    assert len(_files.matching(str(tmp_path), "/*")) == 2
