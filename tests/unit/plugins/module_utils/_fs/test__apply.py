# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changes of real inodes, and what is true in between."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._access import (
    DIRECTORY,
    REGULAR,
    SETGID,
    STICKY,
    Inode,
)
from ansible_collections.logward.permissions.plugins.module_utils._acl import (
    Acl,
    encode,
    from_mode,
)
from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    HostError,
)
from ansible_collections.logward.permissions.plugins.module_utils._fs import (
    change,
    is_owners_doing,
    left_by,
    observe_fd,
    same_permissions,
)
from ansible_collections.logward.permissions.plugins.module_utils._fs._mounts import (
    read_mounts,
)
from ansible_collections.logward.permissions.plugins.module_utils._identity import (
    Identity,
)
from ansible_collections.logward.permissions.plugins.module_utils._rights import held

WEB, QUEUE, GROUP = 64001, 64002, 64003
NAMED = Acl(6, 4, 0, 6, ((QUEUE, 6),))
OPEN = Acl(7, 5, 5, 7, ((QUEUE, 7),))


def file(uid: int, gid: int, acl: Acl) -> Inode:
    return Inode(REGULAR, uid, gid, 0, acl)


def directory(
    uid: int, gid: int, acl: Acl, special: int = 0, default: Acl | None = None
) -> Inode:
    return Inode(DIRECTORY, uid, gid, special, acl, default)


CHANGES = {
    "nothing": (
        file(WEB, WEB, from_mode(0o640)),
        file(WEB, WEB, from_mode(0o640)),
    ),
    "mode": (
        file(WEB, WEB, from_mode(0o440)),
        file(WEB, WEB, from_mode(0o664)),
    ),
    "ACL": (file(WEB, WEB, from_mode(0o640)), file(WEB, WEB, NAMED)),
    "ACL to a mode": (file(WEB, WEB, NAMED), file(WEB, WEB, from_mode(0o600))),
    "mask": (file(WEB, WEB, replace(NAMED, mask=0)), file(WEB, WEB, NAMED)),
    "group": (
        file(WEB, WEB, from_mode(0o640)),
        file(WEB, GROUP, Acl(6, 0, 0, 4, (), ((WEB, 4),))),
    ),
    "group that has more": (
        file(WEB, WEB, Acl(6, 4, 0, 6, (), ((GROUP, 6),))),
        file(WEB, GROUP, Acl(6, 6, 0, 6, (), ((WEB, 4),))),
    ),
    "group, and a grant": (
        file(WEB, WEB, from_mode(0o664)),
        file(WEB, GROUP, Acl(6, 4, 4, 6, ((QUEUE, 6),), ((WEB, 6),))),
    ),
    "group, and other loses": (
        file(WEB, WEB, from_mode(0o604)),
        file(WEB, GROUP, from_mode(0o600)),
    ),
    "group, and other gains": (
        file(WEB, WEB, from_mode(0o600)),
        file(WEB, GROUP, from_mode(0o604)),
    ),
    "group, and two entries of another one": (
        file(WEB, WEB, Acl(6, 0, 0, 6, (), ((GROUP, 4), (GROUP, 2)))),
        file(WEB, QUEUE, Acl(6, 0, 0, 6, (), ((GROUP, 2), (GROUP, 4), (WEB, 4)))),
    ),
    "nothing of a directory": (
        directory(WEB, WEB, OPEN, SETGID, OPEN),
        directory(WEB, WEB, OPEN, SETGID, OPEN),
    ),
    "directory": (
        directory(WEB, WEB, from_mode(0o755)),
        directory(WEB, WEB, OPEN, SETGID, OPEN),
    ),
    "owner": (
        directory(0, 0, from_mode(0o755)),
        directory(WEB, 0, Acl(7, 5, 5, 7, ((QUEUE, 7),)), SETGID, OPEN),
    ),
    "owner and group": (
        directory(WEB, WEB, from_mode(0o750)),
        directory(
            QUEUE,
            GROUP,
            Acl(7, 0, 0, 7, ((WEB, 7),), ((WEB, 5),)),
            SETGID,
            OPEN,
        ),
    ),
    "owner of a setgid directory": (
        directory(WEB, GROUP, OPEN, SETGID),
        directory(QUEUE, GROUP, Acl(7, 5, 5, 7, ((WEB, 7),)), SETGID, OPEN),
    ),
    "sticky": (
        directory(WEB, WEB, from_mode(0o1777), STICKY),
        directory(WEB, WEB, OPEN, SETGID | STICKY, OPEN),
    ),
    "default ACL": (
        directory(WEB, WEB, OPEN, SETGID, OPEN),
        directory(WEB, WEB, OPEN, SETGID, replace(OPEN, other=0)),
    ),
    "minimal default ACL": (
        directory(WEB, WEB, from_mode(0o750)),
        directory(WEB, WEB, from_mode(0o750), 0, from_mode(0o750)),
    ),
}

#: Each of them, and the way back.
BOTH_WAYS = {
    **CHANGES,
    **{f"{name}, back": (after, before) for name, (before, after) in CHANGES.items()},
}

#: The owners and groups in the table, and somebody in none of them.
EVERYBODY = [
    Identity(f"{uid}", f"{uid}", uid, 98, frozenset(groups))
    for uid in (0, WEB, QUEUE, 64009)
    for groups in ((), (WEB,), (GROUP,), (WEB, GROUP))
]


@pytest.fixture
def made(site: Path) -> Iterator[Callable[[Inode], int]]:
    """Return a function that makes an inode, and pins it."""
    descriptors = []

    def make(inode: Inode) -> int:
        path = site / "inode"
        path.mkdir() if inode.kind == DIRECTORY else path.touch()
        path.chmod(0o600)
        fd = os.open(path, os.O_PATH)
        descriptors.append(fd)
        change(fd, observe_fd(fd, read_mounts()).inode, inode, read_mounts())
        return fd

    yield make
    for fd in descriptors:
        os.close(fd)


@pytest.mark.parametrize(("before", "after"), BOTH_WAYS.values(), ids=BOTH_WAYS)
def test_change(made: Callable[[Inode], int], before: Inode, after: Inode) -> None:
    fd = made(before)
    mounts = read_mounts()
    present = observe_fd(fd, mounts).inode
    assert same_permissions(present, before)
    changed = os.stat(f"/proc/self/fd/{fd}").st_ctime_ns
    change(fd, present, after, mounts)
    assert same_permissions(observe_fd(fd, mounts).inode, after)
    if before == after:
        assert os.stat(f"/proc/self/fd/{fd}").st_ctime_ns == changed


@pytest.mark.parametrize(("before", "after"), BOTH_WAYS.values(), ids=BOTH_WAYS)
def test_nobody_gains_or_loses_in_between(
    made: Callable[[Inode], int],
    monkeypatch: pytest.MonkeyPatch,
    before: Inode,
    after: Inode,
) -> None:
    fd = made(before)
    mounts = read_mounts()
    between: list[Inode] = []

    def watched(real: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: Any) -> None:
            real(*arguments)
            between.append(observe_fd(fd, mounts).inode)

        return call

    for name in ("chmod", "chown", "setxattr"):
        monkeypatch.setattr(os, name, watched(getattr(os, name)))
    change(fd, observe_fd(fd, mounts).inode, after, mounts)
    assert between or before == after
    for inode in between:
        assert left_by(before, after, inode)
        for identity in EVERYBODY:
            had, will, has = (held(identity, each) for each in (before, after, inode))
            assert not has & ~(had | will), (identity.id, inode)
            assert not (had & will) & ~has, (identity.id, inode)


def test_what_no_change_leaves() -> None:
    before, after = CHANGES["owner and group"]
    assert left_by(before, after, after)
    for each in (
        replace(before, uid=after.uid, gid=after.gid),
        replace(before, gid=after.gid),
        replace(after, special=STICKY),
        replace(after, acl=from_mode(0o755)),
    ):
        assert not left_by(before, after, each)


def test_acls_are_set_to_the_byte(made: Callable[[Inode], int]) -> None:
    unsorted = Acl(7, 5, 0, 7, ((QUEUE, 6), (WEB, 4)), ((GROUP, 4), (WEB, 5)))
    before = directory(0, 0, unsorted)
    after = directory(0, 0, unsorted.meaning, 0, unsorted)
    fd = made(before)
    path = f"/proc/self/fd/{fd}"
    for one, other in ((before, after), (after, before)):
        change(fd, one, other, read_mounts())
        assert os.getxattr(path, "system.posix_acl_access") == encode(other.acl)
    assert os.listxattr(path) == ["system.posix_acl_access"]


def test_what_the_kernel_kept_is_an_error(
    made: Callable[[Inode], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = CHANGES["directory"]
    fd = made(before)
    present = observe_fd(fd, read_mounts()).inode
    monkeypatch.setattr(os, "chmod", lambda *_arguments: None)
    monkeypatch.setattr(os, "setxattr", lambda *_arguments: None)
    with pytest.raises(HostError, match="kept mode 0755 where 2775 was set"):
        change(fd, present, after, read_mounts())


@pytest.mark.parametrize(
    ("error", "is_mounted_read_only", "verdict"),
    [
        (errno.ENOSPC, False, True),
        (errno.EDQUOT, False, True),
        (errno.E2BIG, False, True),
        (errno.EROFS, False, True),
        (errno.EROFS, True, False),
        (errno.EIO, False, False),
        (errno.EPERM, False, False),
    ],
)
def test_what_an_owner_can_do_to_an_inode(
    site: Path,
    mounted: Callable[..., Path],
    error: int,
    is_mounted_read_only: bool,
    verdict: bool,
) -> None:
    options = "ro" if is_mounted_read_only else "rw"
    place = mounted(site / "tmpfs", "-t", "tmpfs", "-o", options, "none")
    fd = os.open(place, os.O_PATH)
    assert is_owners_doing(fd, OSError(error, "")) is verdict
    os.close(fd)


def test_meaning_is_compared_and_not_bytes() -> None:
    twice = Acl(6, 4, 0, 6, ((QUEUE, 6), (QUEUE, 0), (WEB, 4)))
    once = Acl(6, 4, 0, 6, ((WEB, 4), (QUEUE, 6)))
    one, other = file(WEB, WEB, twice), file(WEB, WEB, once)
    assert one != other
    assert same_permissions(one, other)
    # What is no permission does not count.
    assert same_permissions(one, replace(one, links=2))
    for difference in (
        {"uid": QUEUE},
        {"gid": QUEUE},
        {"kind": DIRECTORY},
        {"special": SETGID},
        {"acl": NAMED},
        {"default_acl": NAMED},
    ):
        assert not same_permissions(one, replace(one, **difference))
