# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._writers._sessions import (
    Sessions,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._shell import (
    Run,
)

# What Debian ships that matters: pam_umask is in common-session since 13.
DEBIAN_13 = {
    "etc/os-release": 'ID=debian\nVERSION_ID="13"\n',
    "etc/pam.d/cron": (
        "@include common-auth\n"
        "session    required   pam_env.so\n"
        "@include common-session-noninteractive \n"
    ),
    "etc/pam.d/common-auth": "auth [success=1 default=ignore] pam_unix.so nullok\n",
    "etc/pam.d/common-session-noninteractive": (
        "# pam_umask.so is not in comments\n"
        "session [default=1] pam_permit.so\n"
        "session optional pam_umask.so\n"
    ),
    "etc/pam.d/common-session": "session optional pam_umask.so\n",
    "etc/pam.d/su": "auth sufficient pam_rootok.so\n@include common-session\n",
    "etc/pam.d/su-l": "session include su\n",
    "etc/pam.d/sudo": "@include common-session-noninteractive\n",
    "etc/pam.d/runuser": "session required pam_unix.so\n",
}
DEBIAN_12 = {**DEBIAN_13, "etc/os-release": 'VERSION_ID="12"\n'}
LINE = "etc/pam.d/common-session-noninteractive"


def host(root: Path, files: dict[str, str]) -> Sessions:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Sessions(str(root))


def module(arguments: str, **files: str) -> dict[str, str]:
    return {**DEBIAN_13, LINE: f"session optional pam_umask.so {arguments}\n", **files}


UMASKS: dict[str, tuple[dict[str, str], str, str, int, int]] = {
    "none": ({}, "cron", "www-data", 0o022, 0o022),
    "13": (DEBIAN_13, "cron", "www-data", 0o022, 0o002),
    "13, closed before": (DEBIAN_13, "cron", "www-data", 0o077, 0o007),
    "13, root": (DEBIAN_13, "cron", "root", 0o022, 0o022),
    "13, a group of another name": (DEBIAN_13, "cron", "nobody", 0o022, 0o022),
    "13, no account": (DEBIAN_13, "cron", "nouser", 0o022, 0o022),
    "13, su": (DEBIAN_13, "su", "www-data", 0o022, 0o002),
    "13, su -": (DEBIAN_13, "su-l", "www-data", 0o022, 0o002),
    "13, runuser": (DEBIAN_13, "runuser", "www-data", 0o022, 0o022),
    "12 with the module": (DEBIAN_12, "cron", "www-data", 0o022, 0o022),
    "no release": (
        module("", **{"etc/os-release": ""}),
        "cron",
        "www-data",
        0o022,
        0o002,
    ),
    "usergroups": (
        {**module("usergroups"), "etc/os-release": "VERSION_ID=12\n"},
        "cron",
        "www-data",
        0o022,
        0o002,
    ),
    "nousergroups": (module("nousergroups"), "cron", "www-data", 0o022, 0o022),
    "umask=": (module("umask=0027 nousergroups"), "cron", "www-data", 0o022, 0o027),
    "umask= and usergroups": (module("UMASK=077"), "cron", "www-data", 0o022, 0o007),
    "umask= that is none": (module("umask=x"), "cron", "root", 0o022, 0o022),
    "login.defs": (
        module(
            "",
            **{"etc/login.defs": "# UMASK 077\nX 7\nUMASK\t\t027 # x\nUMASK 0\n"},
        ),
        "cron",
        "root",
        0o022,
        0o027,
    ),
    "umask= before login.defs": (
        module("umask=007", **{"etc/login.defs": "UMASK 027\n"}),
        "cron",
        "root",
        0o022,
        0o007,
    ),
    "default/login": (
        module("", **{"etc/default/login": "UMASK=026\n"}),
        "cron",
        "root",
        0o022,
        0o026,
    ),
    "a service of no file": (
        {"etc/pam.d/other": "session optional pam_umask.so umask=027\n"},
        "cron",
        "root",
        0o022,
        0o027,
    ),
    "no other for a missing include": (
        {
            "etc/pam.d/cron": "@include nowhere\n",
            "etc/pam.d/other": "session optional pam_umask.so umask=027\n",
        },
        "cron",
        "root",
        0o022,
        0o022,
    ),
    "the distribution's": (
        {
            "usr/lib/pam.d/cron": "-session optional /lib/security/pam_umask.so umask=027\n"
        },
        "cron",
        "root",
        0o022,
        0o027,
    ),
    "not for sessions": (
        {"etc/pam.d/cron": "auth optional pam_umask.so umask=027\n"},
        "cron",
        "root",
        0o022,
        0o022,
    ),
    "other kinds' includes": (
        {
            "etc/pam.d/cron": "auth include x\nsession substack y\n",
            "etc/pam.d/x": "session optional pam_umask.so umask=027\n",
            "etc/pam.d/y": "session optional pam_umask.so umask=007\n",
        },
        "cron",
        "root",
        0o022,
        0o007,
    ),
    "circles": (
        {
            "etc/pam.d/cron": "@include cron\n@include x\n" * 50,
            "etc/pam.d/x": "@include cron\nsession\nsession optional pam_umask.so umask=7\n",
        },
        "cron",
        "root",
        0o022,
        0o007,
    ),
    "odd lines": (
        {"etc/pam.d/cron": "session\n[\n@include\nsession [a\nsession include\n\0\n"},
        "cron",
        "root",
        0o022,
        0o022,
    ),
}


@pytest.mark.parametrize(
    ("files", "service", "user", "before", "umask"), UMASKS.values(), ids=UMASKS
)
def test_umask(
    files: dict[str, str],
    service: str,
    user: str,
    before: int,
    umask: int,
    tmp_path: Path,
) -> None:
    assert host(tmp_path, files).umask(service, user, before) == umask


@pytest.mark.parametrize(
    ("gecos", "umask"),
    [
        ("Queue,umask=0007,,", 0o007),
        ("UMASK=27", 0o027),
        ("Queue umask=0007", 0o002),
        ("umask=x", 0o002),
    ],
)
def test_umask_of_an_account(
    gecos: str, umask: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = list(pwd.getpwnam("www-data"))
    values[4] = gecos
    account = pwd.struct_passwd(values)
    monkeypatch.setattr(pwd, "getpwnam", lambda _name: account)
    assert host(tmp_path, DEBIAN_13).umask("cron", "www-data", 0o022) == umask


RUNS: dict[str, tuple[Run, str, int, int]] = {
    "as it is": (Run(), "www-data", 0o027, 0o027),
    "umask in the command": (Run(umask=0o007), "www-data", 0o022, 0o007),
    "su": (Run(user="www-data", through="su"), "www-data", 0o022, 0o002),
    "su, then umask": (
        Run(user="www-data", through="su", umask=0o077),
        "www-data",
        0o022,
        0o077,
    ),
    "umask, then su": (
        Run(user="www-data", through="su", umask_before=0o077),
        "www-data",
        0o022,
        0o007,
    ),
    "umask, then runuser": (
        Run(user="a", through="runuser", umask_before=0o002),
        "www-data",
        0o022,
        0o002,
    ),
    "umask, then sudo": (
        Run(user="a", through="sudo", umask_before=0o002),
        "nobody",
        0o077,
        0o022,
    ),
    "umask, then sudo -i": (
        Run(user="a", through="sudo-i", umask_before=0o050),
        "root",
        0o022,
        0o072,
    ),
}


@pytest.mark.parametrize(("run", "user", "before", "umask"), RUNS.values(), ids=RUNS)
def test_umask_of_what_runs(
    run: Run, user: str, before: int, umask: int, tmp_path: Path
) -> None:
    assert host(tmp_path, DEBIAN_13).umask_of(run, user, before) == umask


def test_nothing_blocks(tmp_path: Path) -> None:
    (tmp_path / "etc/pam.d").mkdir(parents=True)
    os.mkfifo(tmp_path / "etc/pam.d/cron")
    os.mkfifo(tmp_path / "etc/login.defs")
    (tmp_path / "etc/pam.d/other").write_bytes(
        b"session\xff optional\npam_umask.so\0\n"
    )
    assert Sessions(str(tmp_path)).umask("cron", "root", 0o022) == 0o022


def test_each_service_is_read_once(tmp_path: Path) -> None:
    sessions = host(tmp_path, module("umask=027"))
    assert sessions.umask("cron", "root", 0o022) == 0o027
    host(tmp_path, module("umask=007"))
    assert sessions.umask("cron", "root", 0o022) == 0o027
