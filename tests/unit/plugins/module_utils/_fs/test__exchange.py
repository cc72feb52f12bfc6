# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are exchanged as a whole, or not at all."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._access import (
    REGULAR,
    Inode,
)
from ansible_collections.logward.permissions.plugins.module_utils._acl import from_mode
from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    HostError,
)
from ansible_collections.logward.permissions.plugins.module_utils._fs import (
    ChangedMeanwhile,
    _exchange,
)
from ansible_collections.logward.permissions.plugins.module_utils._fs._exchange import (
    exchange,
    remove_empty,
)
from ansible_collections.logward.permissions.plugins.module_utils._fs._file import (
    ConfigurationFile,
)

NEW = Inode(REGULAR, 0, 0, 0, from_mode(0o644))
OLD, CONTENT = b"umask=022\n", b"# 002\numask=002\n"
Listing = Callable[..., dict[str, tuple[Any, ...]]]


@pytest.fixture
def conf(site: Path) -> Path:
    (site / "app").mkdir()
    path = site / "app/app.conf"
    path.write_bytes(OLD)
    return path


def put(path: Path, content: bytes | None) -> None:
    with closing(ConfigurationFile(str(path))) as file:
        exchange(file, content, NEW)


def test_content_is_new_and_all_else_is_kept(conf: Path, listing: Listing) -> None:
    os.chown(conf, 0, 64001)
    conf.chmod(0o640)
    subprocess.run(["setfacl", "-m", "u:64002:r,g:64003:r,m::r", conf], check=True)
    os.setxattr(conf, "user.note", b"kept")
    subprocess.run(["setfacl", "-d", "-m", "u:64009:rwx", conf.parent], check=True)
    before = listing(conf)[str(conf)]
    inode = conf.stat().st_ino
    put(conf, CONTENT)
    after = listing(conf)[str(conf)]
    assert conf.read_bytes() == CONTENT
    assert conf.stat().st_ino != inode
    assert after[:4] + after[7:] == before[:4] + before[7:]
    assert [path.name for path in conf.parent.iterdir()] == ["app.conf"]


def test_new_file_in_new_directories(site: Path) -> None:
    subprocess.run(["setfacl", "-d", "-m", "u:64009:rwx", site], check=True)
    umask = os.umask(0o077)
    try:
        put(site / "x/y.d/new.conf", CONTENT)
    finally:
        os.umask(umask)
    assert (site / "x/y.d/new.conf").read_bytes() == CONTENT
    for path, mode in (("x", 0o755), ("x/y.d", 0o755), ("x/y.d/new.conf", 0o644)):
        assert (site / path).stat().st_mode & 0o7777 == mode
        assert "system.posix_acl_access" not in os.listxattr(site / path)


def test_removal(conf: Path) -> None:
    put(conf, None)
    assert list(conf.parent.iterdir()) == []


def _write(conf: Path) -> None:
    conf.write_bytes(b"somebody's\n")


def _same_content(conf: Path) -> None:
    shutil.copy(conf, conf.with_name("b"))
    conf.with_name("b").rename(conf)


def _chmod(conf: Path) -> None:
    conf.chmod(0o600)


def _remove(conf: Path) -> None:
    conf.unlink()


def _link(conf: Path) -> None:
    conf.rename(conf.with_name("b"))
    conf.symlink_to("b")


def _hard_link(conf: Path) -> None:
    os.link(conf, conf.with_name("b"))


@pytest.mark.parametrize(
    "act", [_write, _same_content, _chmod, _remove, _link, _hard_link]
)
@pytest.mark.parametrize("content", [CONTENT, None])
@pytest.mark.parametrize("when", ["before", "while it is written"])
def test_what_others_did_meanwhile_stays(
    conf: Path,
    monkeypatch: pytest.MonkeyPatch,
    act: Callable[[Path], None],
    content: bytes | None,
    when: str,
) -> None:
    real = os.fsync

    def fsync(fd: int) -> None:
        real(fd)
        if os.readlink(f"/proc/self/fd/{fd}").endswith(".dpkg-new"):
            act(conf)

    with closing(ConfigurationFile(str(conf))) as file:
        if when == "before" or content is None:
            act(conf)
        else:
            monkeypatch.setattr(os, "fsync", fsync)
        with pytest.raises(HostError):
            exchange(file, content, NEW)
    assert not list(conf.parent.glob("logward*"))
    if conf.exists() and act is _write:
        assert conf.read_bytes() == b"somebody's\n"
    elif act is not _remove:
        assert conf.read_bytes() == OLD
    assert conf.exists() == (act is not _remove)


def test_file_that_appeared_meanwhile_stays(conf: Path) -> None:
    new = conf.with_name("new.conf")
    with closing(ConfigurationFile(str(new))) as file:
        new.write_bytes(b"somebody's\n")
        with pytest.raises(ChangedMeanwhile, match=r"left as they made it\. Run ag"):
            exchange(file, CONTENT, NEW)
    assert new.read_bytes() == b"somebody's\n"


def test_exchanged_temporary_file_is_noticed(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.rename

    def rename(source: str, *arguments: Any, **more: Any) -> None:
        (conf.parent / source).unlink()
        (conf.parent / source).write_bytes(b"attack\n")
        real(source, *arguments, **more)

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(HostError, match="is not what was written: others exchanged"):
        put(conf, CONTENT)


@pytest.mark.parametrize("call", ["write", "fsync", "rename", "setxattr", "chown"])
def test_whatever_fails_the_file_is_as_it_was(
    site: Path, conf: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fail(*_arguments: Any, **_more: Any) -> None:
        raise OSError(28, "No space left on device")

    before = conf.stat()
    for path in (conf, site / "x/y.d/new.conf"):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, fail)
            with pytest.raises(HostError, match=r"No space left on device\. It is as"):
                put(path, CONTENT)
    assert conf.stat() == before
    assert os.listdir(conf.parent) == ["app.conf"]
    assert os.listdir(site) == ["app"]


def test_full_disk(site: Path, mounted: Callable[..., Path]) -> None:
    etc = mounted(site / "etc", "-t", "tmpfs", "-o", "mode=0755,size=64k", "none")
    (etc / "app.conf").write_bytes(OLD)
    with (etc / "filler").open("wb", buffering=0) as filler:
        while True:
            try:
                filler.write(b"x" * 4096)
            except OSError:
                break
    before = (etc / "app.conf").stat()
    with pytest.raises(HostError, match=r"could not be written: No space left"):
        put(etc / "app.conf", CONTENT * 1000)
    assert (etc / "app.conf").stat() == before
    assert sorted(os.listdir(etc)) == ["app.conf", "filler"]
    (etc / "filler").unlink()
    put(etc / "app.conf", CONTENT * 1000)
    assert (etc / "app.conf").read_bytes() == CONTENT * 1000


def test_read_only_remount(site: Path, mounted: Callable[..., Path]) -> None:
    etc = mounted(site / "etc", "-t", "tmpfs", "-o", "mode=0755", "none")
    (etc / "app.conf").write_bytes(OLD)
    with closing(ConfigurationFile(str(etc / "app.conf"))) as file:
        subprocess.run(["mount", "-o", "remount,ro", etc], check=True)
        with pytest.raises(HostError, match="could not be written: Read-only file sys"):
            exchange(file, CONTENT, NEW)
    assert (etc / "app.conf").read_bytes() == OLD


def test_file_system_that_fails_while_it_is_written(
    site: Path, mounted: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """ext4 becomes read-only then, whatever is open; and there is a left-over."""
    image = site / "image"
    with image.open("wb") as file:
        file.truncate(8 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    loop = ("-o", "loop,errors=remount-ro", str(image))
    etc = mounted(site / "etc", *loop)
    conf = etc / "app.conf"
    conf.write_bytes(OLD)
    subprocess.run(["sync", "-f", conf], check=True)
    real = _exchange._filled

    def filled(*arguments: Any) -> Any:
        written = real(*arguments)
        subprocess.run(["mount", "-o", "remount,abort", etc], check=True)
        return written

    with monkeypatch.context() as patch:
        patch.setattr(_exchange, "_filled", filled)
        with pytest.raises(HostError, match=r"could not be written: "):
            put(conf, CONTENT)
    assert conf.read_bytes() == OLD
    subprocess.run(["umount", etc], check=True)
    subprocess.run(["mount", *loop, etc], check=True)
    assert conf.read_bytes() == OLD
    assert list(etc.glob("logward-*"))
    put(conf, CONTENT)
    assert conf.read_bytes() == CONTENT
    assert not list(etc.glob("logward-*"))


def test_leftover_of_a_killed_run_is_removed(conf: Path) -> None:
    leftover = conf.parent / _exchange.temporary_name(conf.name)
    leftover.write_bytes(b"half")
    leftover.chmod(0o600)
    put(conf, CONTENT)
    assert os.listdir(conf.parent) == ["app.conf"]


@pytest.mark.parametrize(
    "pattern", ["*.conf", "*.ini", "*.cnf", "*.service", "*.timer", "*.cfg", "*.load"]
)
def test_temporary_name_is_in_no_glob(site: Path, pattern: str) -> None:
    for name in ("app.conf", "x" * 255, "a.service"):
        (site / _exchange.temporary_name(name)).touch()
    assert len(os.listdir(site)) == 3
    assert glob.glob(f"{site}/{pattern}") == []


@pytest.mark.skipif(shutil.which("logrotate") is None, reason="no logrotate here")
def test_logrotate_skips_the_temporary_file(site: Path) -> None:
    (site / "d").mkdir()
    stanza = f"{site}/x.log {{\n weekly\n}}\n"
    (site / "d/app").write_text(stanza)
    (site / "main").write_text(f"include {site}/d\n")
    (site / "d" / _exchange.temporary_name("app")).write_text(stanza)
    run = ["logrotate", "-d", str(site / "main")]
    skipped = subprocess.run(run, capture_output=True, text=True, check=False).stderr
    assert f"Ignoring {_exchange.temporary_name('app')}" in skipped
    assert "duplicate" not in skipped


# Directories that an edit has made


def test_empty_directories_are_removed_from_the_last(site: Path) -> None:
    made = (f"{site}/a", f"{site}/a/b", f"{site}/a/b/c")
    (site / "a/b/c").mkdir(parents=True)
    (site / "a/file").touch()
    remove_empty(made)
    assert os.listdir(site / "a") == ["file"]
    remove_empty(made)
    (site / "a/file").unlink()
    remove_empty(made)
    assert os.listdir(site) == []


def test_directory_that_others_could_have_exchanged_is_left(site: Path) -> None:
    (site / "a/b").mkdir(parents=True)
    os.chown(site / "a", 64001, 64001)
    (site / "c").symlink_to("a")
    remove_empty((f"{site}/a/b",))
    remove_empty((f"{site}/c/b",))
    assert os.listdir(site / "a") == ["b"]
