# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host on which Debian's packages are unpacked, seen by this process alone."""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path

import pytest

from ansible_collections.logward.permissions.tests.debian.packages import (
    fetched,
    unpack,
)

_CLONE_NEWNS = 0x00020000
#: Who the packages' scripts make, with their group, and what they may be called.
USERS = ("redis", "mysql", "postgres", "fail2ban", "Debian-exim", "syslog")
#: Directories that the packages' scripts make: owner, group and mode.
DIRECTORIES = {
    "apache2": ("root", "adm", 0o750),
    "exim4": ("Debian-exim", "adm", 0o2750),
    "mysql": ("mysql", "adm", 0o2750),
    "nginx": ("root", "adm", 0o755),
    "postgresql": ("root", "postgres", 0o1775),
    "redis": ("redis", "adm", 0o2750),
    "supervisor": ("root", "root", 0o755),
}


def _bind(source: Path, target: str) -> None:
    subprocess.run(["mount", "--bind", source, target], check=True)


def _with_users(path: Path, target: str, line: str) -> None:
    """Show this process users that the packages' scripts would have made."""
    text = Path(target).read_text(encoding="utf-8")
    known = {each.split(":")[0] for each in text.split("\n")}
    for number, name in enumerate(USERS):
        if name not in known:
            text += line.format(name=name, id=62000 + number) + "\n"
    path.write_text(text, encoding="utf-8")
    _bind(path, target)


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked packages. What logrotate reads is where it looks for it, too.

    All in mounts of this process, which are gone when the tests end.
    """
    place = tmp_path_factory.mktemp("debian")
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS):
        pytest.fail(f"may not mount here: {os.strerror(ctypes.get_errno())}")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    packages = fetched()
    _with_users(place / "passwd", "/etc/passwd", "{name}:x:{id}:{id}::/:/bin/false")
    _with_users(place / "group", "/etc/group", "{name}:x:{id}:")
    root = place / "root"
    unpack(root, packages)
    logs = root / "var/log"
    logs.mkdir(parents=True, exist_ok=True)
    for name, (owner, group, mode) in DIRECTORIES.items():
        (logs / name).mkdir(exist_ok=True)
        subprocess.run(["chown", f"{owner}:{group}", logs / name], check=True)
        (logs / name).chmod(mode)
    for path in ("/etc/logrotate.d", "/etc/logrotate.conf", "/var/log"):
        _bind(root / path.lstrip("/"), path)
    return root
