# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of _access.py and the kernel of this machine never disagree.

LOGWARD_DECISIONS says how many decisions are compared; LOGWARD_SEED, which a
failing run prints, which ones.
"""

from __future__ import annotations

import fcntl
import os
import random
import signal
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Callable

import pytest
from hypothesis import strategies as st

from ansible_collections.logward.permissions.plugins.module_utils._access import (
    DIRECTORY,
    SETGID,
    STICKY,
)
from ansible_collections.logward.permissions.plugins.module_utils._identity import (
    Identity,
)
from ansible_collections.logward.permissions.tests.unit import (
    agreement,
    kernel,
    strategies,
)
from ansible_collections.logward.permissions.tests.unit.agreement import (
    Case,
    Tally,
    cases,
)

DECISIONS = int(os.environ.get("LOGWARD_DECISIONS", "20000"))
SEED = int(os.environ.get("LOGWARD_SEED") or random.SystemRandom().getrandbits(32))
#: For each special kind of place.
FEW = 2_000


def agree(
    site: Path,
    decisions: int,
    random_cases: st.SearchStrategy[Case],
    around: agreement.Around = agreement.nothing,
) -> Tally:
    print(f"Replay: LOGWARD_SEED={SEED} LOGWARD_DECISIONS={DECISIONS}")
    return agreement.agree(site, decisions, SEED, random_cases, around)


def test_20_000_random_decisions(site: Path) -> None:
    with kernel.protected_regular():
        tally = agree(site, DECISIONS, cases())
    print(tally)
    # A random tree that lets nobody in, or everybody, would show nothing.
    for operation in ("search", "list", "read", "rewrite", "append", "create", "mkdir"):
        for allowed in (True, False):
            assert tally.outcomes[operation, allowed] > tally.decisions / 200
    assert {
        "granted_owner",
        "granted_named_user",
        "granted_group",
        "granted_other",
        "granted_capability",
        "denied_search",
        "denied_create",
        "denied_owner",
        "denied_named_user",
        "denied_group",
        "denied_mask",
        "denied_other",
    } <= set(tally.reasons)


def _status_of(*identities: Identity) -> dict[str, list[str]]:
    """What /proc says of a child that became one identity after the other."""

    def status() -> str:
        for identity in identities:
            kernel.become(identity)
        return Path("/proc/self/status").read_text(encoding="ascii")

    lines = kernel.in_child(status).splitlines()
    return {key: value.split() for key, value in (line.split(":", 1) for line in lines)}


ROOT = Identity("root", "root", 0, 0, frozenset(), capabilities=frozenset())
USER = Identity(
    "user",
    "user",
    strategies.UIDS[0],
    strategies.GIDS[0],
    frozenset(strategies.GIDS[1:3]),
    umask=0o027,
    capabilities=frozenset({"cap_dac_read_search"}),
)


@pytest.mark.parametrize("before", [(), (ROOT,), (USER,)])
@pytest.mark.parametrize("identity", [ROOT, USER])
def test_the_child_is_the_identity(
    identity: Identity, before: tuple[Identity, ...]
) -> None:
    status = _status_of(*before, identity)
    # real, effective, saved and file system uid: the second and last count
    assert status["Uid"][1::2] == [str(identity.uid)] * 2
    assert status["Gid"] == [str(identity.gid)] * 4
    assert status["Groups"] == [str(gid) for gid in sorted(identity.groups)]
    assert status["Umask"] == [f"{identity.umask:04o}"]
    assert int(status["CapEff"][0], 16) == (4 if identity.capabilities else 0)


def test_a_child_that_fails_is_no_answer() -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        kernel.in_child(lambda: 1 // 0)


def _fail_while_it_is(value: int) -> None:
    with kernel.protected_regular(value):
        assert kernel.read_protected_regular() == value
        1 // 0  # noqa: B018


def _die_while_it_is(value: int) -> None:
    with kernel.protected_regular(value):
        os.kill(os.getpid(), signal.SIGKILL)


def test_protected_regular_is_put_back() -> None:
    before = kernel.read_protected_regular()
    for value in (0, 1, 2):
        with pytest.raises(ZeroDivisionError):
            _fail_while_it_is(value)
        with pytest.raises(RuntimeError, match="died"):
            kernel.in_child(partial(_die_while_it_is, value))
        with kernel.protected_regular():  # waits until it is put back
            assert kernel.read_protected_regular() == before


@pytest.mark.parametrize("value", [0, 1, 2])
def test_protected_regular_in_sticky_directories(site: Path, value: int) -> None:
    sticky = strategies.inodes(
        DIRECTORY,
        st.sampled_from((7, 7, 7, 3, 5)),
        st.sampled_from((STICKY, STICKY | SETGID)),
    )
    with kernel.protected_regular(value):
        tally = agree(site, FEW, cases(sticky))
    assert bool(tally.reasons["denied_sticky"]) == bool(value)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param("mode=0755", id="tmpfs"),
        pytest.param("mode=0755,nosuid,nodev,noexec", id="tmpfs-noexec"),
    ],
)
def test_another_file_system(
    site: Path, mounted: Callable[..., Path], options: str
) -> None:
    other = mounted(site / "other", "-t", "tmpfs", "-o", options, "none")
    with kernel.protected_regular():
        agree(other, FEW, cases())


def test_mount_with_grpid(site: Path, mounted: Callable[..., Path]) -> None:
    image = site / "image"
    with image.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    other = mounted(site / "other", "-o", "loop,grpid", image)
    with kernel.protected_regular():
        tally = agree(other, FEW, cases())
    assert tally.outcomes["mkdir", True]


@contextmanager
def _read_only_mount(path: str) -> Iterator[None]:
    subprocess.run(["mount", "--bind", "-o", "ro", path, path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", path], check=True)


def test_read_only_mount(site: Path, private_mounts: None) -> None:  # noqa: ARG001
    with kernel.protected_regular():
        tally = agree(site, FEW, cases(), _read_only_mount)
    assert tally.reasons["denied_read_only"]
    assert not tally.outcomes["create", True]
    assert not tally.outcomes["append", True]
    assert tally.outcomes["read", True]


def test_read_only_file_system(site: Path, mounted: Callable[..., Path]) -> None:
    other = mounted(site / "other", "-t", "tmpfs", "-o", "mode=0755", "none")

    @contextmanager
    def read_only(_path: str) -> Iterator[None]:
        subprocess.run(["mount", "-o", "remount,ro", other], check=True)
        try:
            yield
        finally:
            subprocess.run(["mount", "-o", "remount,rw", other], check=True)

    with kernel.protected_regular():
        tally = agree(other, FEW, cases(), read_only)
    assert tally.reasons["denied_read_only"]
    assert not tally.outcomes["create", True]
    assert not tally.outcomes["append", True]


# include/uapi/linux/fs.h
_FS_IOC_SETFLAGS = 0x40086602
_FLAGS = {"immutable": 0x10, "append_only": 0x20}


def _set_flags(path: str, flags: int) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, _FS_IOC_SETFLAGS, struct.pack("=l", flags))
    finally:
        os.close(fd)


@pytest.mark.parametrize("of", ["directory", "file"])
@pytest.mark.parametrize("flag", _FLAGS)
def test_inode_flags(site: Path, of: str, flag: str) -> None:
    @contextmanager
    def flagged(path: str) -> Iterator[None]:
        inode = path if of == "directory" else f"{path}/file-0"
        _set_flags(inode, _FLAGS[flag])
        try:
            yield
        finally:
            _set_flags(inode, 0)

    with kernel.protected_regular():
        tally = agree(site, FEW, cases(), flagged)
    assert bool(tally.reasons["denied_immutable"]) == (flag == "immutable")
    assert tally.outcomes["append", True]
