# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What unit tests share: real inodes, as root, in mounts of their own."""

from __future__ import annotations

import ctypes
import os
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

_CLONE_NEWNS = 0x00020000

Listing = dict[str, tuple[Any, ...]]


def pytest_sessionstart() -> None:
    if os.geteuid() != 0:
        raise pytest.UsageError(
            "These tests give files to other users and ask the kernel what they "
            "may do. Run them as root: sudo make unit"
        )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Test modules before templates, which import the controller's Ansible.

    Once that is there, modules in the same process read JSON as it does.
    """
    items.sort(key=lambda item: "plugins" not in item.path.parts)


@pytest.fixture(scope="session")
def private_mounts() -> None:
    """Let this process mount what it likes, and have a /run of its own.

    Nothing of it is seen outside, and all of it is gone when the tests end.
    """
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS):
        pytest.fail(
            "These tests mount file systems, and may not here "
            f"({os.strerror(ctypes.get_errno())}). Run them where root has "
            "CAP_SYS_ADMIN: on a virtual machine, or in a privileged container"
        )
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "mode=0755", "run", "/run"], check=True
    )


@pytest.fixture
def site(private_mounts: None) -> Iterator[Path]:  # noqa: ARG001
    """A directory that every user can reach: pytest's own are root's alone."""
    path = Path(os.path.realpath(tempfile.mkdtemp(prefix="logward-")))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def mounted() -> Iterator[Callable[..., Path]]:
    """Return a function that mounts something on a directory until the end."""
    mounts = []

    def mount(path: Path, *arguments: str) -> Path:
        if not path.exists():
            path.mkdir()
        subprocess.run(["mount", *arguments, path], check=True)
        mounts.append(path)
        return path

    yield mount
    for path in reversed(mounts):
        subprocess.run(["umount", path], check=True)


@pytest.fixture
def listing() -> Callable[..., Listing]:
    """Return a function that lists all that a change of an inode would change."""
    return _listing


def _listing(*roots: Path) -> Listing:
    # Where times are as coarse as the kernel's tick, what was made in this
    # tick and is changed in it would look unchanged.
    time.sleep(0.01)
    found: Listing = {}
    for root in roots:
        if not root.exists():
            continue
        found[str(root)] = _state(root)
        for directory, names, files, fd in os.fwalk(root):
            for name in names + files:
                path = Path(f"/proc/self/fd/{fd}") / name
                found[os.path.join(directory, name)] = _state(path)
    return found


def _state(path: Path) -> tuple[Any, ...]:
    status = path.lstat()
    attributes = {
        name: os.getxattr(path, name, follow_symlinks=False)
        for name in os.listxattr(path, follow_symlinks=False)
    }
    return (
        oct(status.st_mode),
        status.st_uid,
        status.st_gid,
        status.st_nlink,
        None if stat.S_ISDIR(status.st_mode) else status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        attributes,
    )
