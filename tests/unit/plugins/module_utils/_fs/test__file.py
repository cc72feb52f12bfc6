# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files root edits, and which it refuses: real ones, of real owners."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Callable

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._fs._file import (
    MAX_BYTES,
    ConfigurationFile,
    Refused,
)

Shell = Callable[[str], None]


@pytest.fixture
def shell(site: Path) -> Iterator[Shell]:
    """Return a function that runs commands below ``site``/etc, which has a file."""
    (site / "etc/app").mkdir(parents=True)
    (site / "etc/app/app.conf").write_bytes(b"umask=022\n")

    def run(commands: str) -> None:
        subprocess.run(["sh", "-ec", commands], cwd=site / "etc", check=True)

    yield run
    run("chattr -Rf -i -a . || true")


def look(path: Path) -> bytes | None:
    with closing(ConfigurationFile(str(path))) as file:
        return file.present.content if file.present else None


@pytest.mark.parametrize(
    "commands",
    [
        "true",
        "chmod 0600 app/app.conf; chmod 0700 app",
        "chgrp 64001 app/app.conf; chmod 0640 app/app.conf",
        "setfacl -m u:64001:r app/app.conf",
        "chgrp 64001 app; chmod 2750 app",
    ],
)
def test_file_of_roots_alone_is_taken(site: Path, shell: Shell, commands: str) -> None:
    shell(commands)
    assert look(site / "etc/app/app.conf") == b"umask=022\n"


def test_file_that_is_not_there_yet(site: Path, shell: Shell) -> None:
    shell("true")
    with closing(ConfigurationFile(f"{site}/etc/app/new.conf")) as file:
        assert (file.present, file.missing) == (None, ())
    with closing(ConfigurationFile(f"{site}/etc/x/y.d/new.conf")) as file:
        assert file.present is None
        assert file.missing == (f"{site}/etc/x", f"{site}/etc/x/y.d")


REFUSED = {
    "link": ("mv app/app.conf app/a; ln -s a app/app.conf", "exchanged"),
    "link on the way": ("mv app b; ln -s b app", "exchanged"),
    "hard link": ("ln app/app.conf app/b", "hard_link"),
    "fifo": ("rm app/app.conf; mkfifo app/app.conf", "exchanged"),
    "socket": (
        """rm app/app.conf; python3 -c '
import socket
socket.socket(socket.AF_UNIX).bind("app/app.conf")'""",
        "exchanged",
    ),
    "device": ("rm app/app.conf; mknod app/app.conf c 1 3", "exchanged"),
    "directory": ("rm app/app.conf; mkdir app/app.conf", "exchanged"),
    "file on the way": ("rm -r app; touch app", "exchanged"),
    "owner": ("chown 64001 app/app.conf", "open_to_others"),
    "owner who may write again": (
        "chown 64001 app/app.conf; chmod 0444 app/app.conf",
        "open_to_others",
    ),
    "other": ("chmod 0646 app/app.conf", "open_to_others"),
    "group": ("chgrp 64001 app/app.conf; chmod 0660 app/app.conf", "open_to_others"),
    "named user": ("setfacl -m u:64001:rw app/app.conf", "open_to_others"),
    "named group": ("setfacl -m g:64001:w app/app.conf", "open_to_others"),
    "directory's owner": ("chown 64001 app", "open_to_others"),
    "directory's owner who may write again": (
        "chown 64001 app; chmod 0555 app",
        "open_to_others",
    ),
    "directory's group": ("chgrp 64001 app; chmod 0775 app", "open_to_others"),
    "directory's other": ("chmod 0757 app", "open_to_others"),
    "directory's ACL": ("setfacl -m u:64001:wx app", "open_to_others"),
    "sticky directory": ("chmod 1777 app", "open_to_others"),
    "owner on the way": ("chown 64001 .", "open_to_others"),
    "other on the way": ("chmod 0777 .", "open_to_others"),
    "setuid": ("chmod 4755 app/app.conf", "privileged_file"),
    "setgid": ("chmod 2755 app/app.conf", "privileged_file"),
    "capability": (
        """python3 -c '
import os, struct
value = struct.pack("<5I", 0x02000001, 1, 0, 0, 0)
os.setxattr("app/app.conf", "security.capability", value)'""",
        "privileged_file",
    ),
    "too large": (f"truncate -s {MAX_BYTES + 1} app/app.conf", "too_large"),
}


@pytest.mark.parametrize(("commands", "reason"), REFUSED.values(), ids=REFUSED)
def test_refused(site: Path, shell: Shell, commands: str, reason: str) -> None:
    shell(commands)
    descriptors = os.listdir("/proc/self/fd")
    with pytest.raises(Refused, match=f"^{site}/etc/app/app.conf ") as caught:
        look(site / "etc/app/app.conf")
    assert caught.value.reason == reason
    assert os.listdir("/proc/self/fd") == descriptors


@pytest.mark.parametrize(
    "path", ["etc/app/app.conf", "etc/app/new.conf", "etc/app/x/y"]
)
@pytest.mark.parametrize("commands", ["chmod 0777 app", "chown 64001 app"])
def test_directory_is_refused_whatever_is_in_it(
    site: Path, shell: Shell, path: str, commands: str
) -> None:
    shell(commands)
    with pytest.raises(Refused, match=rf"exchange what is in {site}/etc/app\. Run: ch"):
        look(site / path)


@pytest.mark.parametrize("flag", ["i", "a"])
@pytest.mark.parametrize("name", ["app/app.conf", "app"])
def test_flags(
    site: Path, shell: Shell, mounted: Callable[..., Path], flag: str, name: str
) -> None:
    _on_ext4(site, mounted)
    (site / "etc/app").mkdir()
    (site / "etc/app/app.conf").write_text("")
    shell(f"chattr +{flag} {name}")
    with pytest.raises(Refused, match=r" is (immutable|append-only)") as caught:
        look(site / "etc/app/app.conf")
    assert caught.value.reason == "immutable"
    shell(f"chattr -{flag} {name}")


def _on_ext4(site: Path, mounted: Callable[..., Path]) -> None:
    with (site / "image").open("wb") as file:
        file.truncate(1 << 20)
    subprocess.run(
        ["mkfs.ext4", "-q", "-O", "^has_journal", site / "image"], check=True
    )
    mounted(site / "etc", "-o", "loop", str(site / "image"))


def test_read_only(site: Path, shell: Shell, mounted: Callable[..., Path]) -> None:
    shell("true")
    mounted(site / "etc", "--bind", str(site / "etc"))
    subprocess.run(["mount", "-o", "remount,ro,bind", site / "etc"], check=True)
    with pytest.raises(Refused, match=r"mounted read-only\. Remount it") as caught:
        look(site / "etc/app/app.conf")
    assert caught.value.reason == "read_only"


def test_file_that_is_a_mount(
    site: Path, shell: Shell, mounted: Callable[..., Path]
) -> None:
    shell("touch other")
    mounted(site / "etc/app/app.conf", "--bind", str(site / "etc/other"))
    with pytest.raises(Refused, match="is a mount of its own") as caught:
        look(site / "etc/app/app.conf")
    assert caught.value.reason == "mount"


def test_link_is_answered_with_the_path_to_use(site: Path, shell: Shell) -> None:
    shell("mv app b; ln -s b app")
    with pytest.raises(Refused) as caught:
        look(site / "etc/app/app.conf")
    assert str(caught.value) == (
        f"{site}/etc/app/app.conf goes through a symbolic link, {site}/etc/app. "
        f"Use {site}/etc/b/app.conf"
    )
