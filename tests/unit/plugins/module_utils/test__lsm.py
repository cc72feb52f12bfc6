# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Security modules, in files like theirs: no kernel that tests run on enforces one.

What the files look like is from the kernel's documentation (admin-guide/LSM) and
from security/ in its sources.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._lsm import (
    enforced_on,
    enforced_on_all,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers import (
    _live,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._writers.files import (
    host,
)

SELINUX = "/sys/fs/selinux/enforce"
ACTIVE = "/sys/kernel/security/lsm"
PROFILES = "/sys/kernel/security/tomoyo/profile"
DOMAINS = "/sys/kernel/security/tomoyo/domain_policy"
#: As tomoyo-init writes it: every mode is there, whether a domain has it or not.
ALL_MODES = "".join(
    f"{number}-COMMENT=-----{mode.capitalize()} Mode-----\n"
    f"{number}-CONFIG={{ mode={mode} grant_log=no reject_log=yes }}\n"
    for number, mode in enumerate(("disabled", "learning", "permissive", "enforcing"))
)
DOMAIN = "<kernel> /usr/sbin/apache2\nuse_profile {}\nuse_group 0\n\nfile read /etc\n"

HOSTS: dict[str, tuple[dict[str, str], str | None]] = {
    "none": ({}, None),
    "Debian": (
        {
            ACTIVE: "lockdown,capability,landlock,yama,apparmor,tomoyo,bpf",
            PROFILES: "0-CONFIG={ mode=disabled grant_log=no reject_log=yes }\n",
            DOMAINS: "<kernel>\nuse_profile 0\n",
        },
        None,
    ),
    "SELinux": ({SELINUX: "1"}, "SELinux"),
    "SELinux, permissive": ({SELINUX: "0", ACTIVE: "capability,selinux"}, None),
    "Smack": ({ACTIVE: "capability,smack,bpf"}, "Smack"),
    "a name that only contains it": ({ACTIVE: "capability,smack2"}, None),
    "TOMOYO": ({PROFILES: ALL_MODES, DOMAINS: DOMAIN.format(3)}, "TOMOYO"),
    "TOMOYO, of files only": (
        {
            PROFILES: "7-CONFIG::file={ mode=enforcing grant_log=no reject_log=yes }\n",
            DOMAINS: DOMAIN.format(7),
        },
        "TOMOYO",
    ),
    "TOMOYO, learning": ({PROFILES: ALL_MODES, DOMAINS: DOMAIN.format(1)}, None),
    "TOMOYO, in a profile whose number begins alike": (
        {PROFILES: ALL_MODES, DOMAINS: DOMAIN.format(30)},
        None,
    ),
}


@pytest.mark.parametrize(("files", "expected"), HOSTS.values(), ids=HOSTS)
def test_enforced_on_all(
    files: dict[str, str], expected: str | None, tmp_path: Path
) -> None:
    assert enforced_on_all(str(host(tmp_path, files))) == expected


NEW, OLD = "/proc/{}/attr/apparmor/current", "/proc/{}/attr/current"
UNCONFINED = {OLD.format("self"): "unconfined\n"}
CONTAINER = "containers-default-0.50.1 (enforce)\n"

PROCESSES: dict[str, tuple[dict[str, str], str | None]] = {
    "none": ({}, None),
    "enforce": (
        {NEW.format(7): "/usr/sbin/apache2 (enforce)\n", **UNCONFINED},
        "AppArmor (/usr/sbin/apache2)",
    ),
    "before Linux 5.8": (
        {OLD.format(7): "/usr/sbin/apache2 (enforce)\n", **UNCONFINED},
        "AppArmor (/usr/sbin/apache2)",
    ),
    "a part of a profile": (
        {NEW.format(7): "apache2//HANDLER (kill)\n"},
        "AppArmor (apache2//HANDLER)",
    ),
    "two profiles": ({NEW.format(7): "a//&b (mixed)\n"}, "AppArmor (a//&b)"),
    "complain": ({NEW.format(7): "/usr/sbin/apache2 (complain)\n"}, None),
    "unconfined": ({NEW.format(7): "unconfined\n"}, None),
    "unconfined, by a profile": ({NEW.format(7): "podman (unconfined)\n"}, None),
    "SELinux": ({OLD.format(7): "system_u:system_r:httpd_t:s0\0"}, None),
    "in our container": (
        {NEW.format(7): CONTAINER, NEW.format("self"): CONTAINER},
        None,
    ),
    "in a container": (
        {NEW.format(7): CONTAINER, **UNCONFINED},
        "AppArmor (containers-default-0.50.1)",
    ),
}


@pytest.mark.parametrize(("files", "expected"), PROCESSES.values(), ids=PROCESSES)
def test_enforced_on(
    files: dict[str, str], expected: str | None, tmp_path: Path
) -> None:
    assert enforced_on(7, str(host(tmp_path, files))) == expected


def test_this_kernel_answers() -> None:
    assert enforced_on(os.getpid()) is None


def test_processes_that_differ_in_their_profile_alone_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sleeping() -> subprocess.Popen[bytes]:
        return subprocess.Popen(["sleep", "100"], stdout=log)

    with (tmp_path / "a.log").open("a") as log, sleeping() as one, sleeping() as two:
        profiles = {one.pid: "AppArmor (one)"}
        monkeypatch.setattr(_live, "enforced_on", profiles.get)
        writers = _live.running_writers([str(tmp_path)]).writers
        one.kill()
        two.kill()
    confined = [each for each in writers if each.identity.confined_by]
    assert [each.pids for each in confined] == [(one.pid,)]
    assert len(writers) == 3  # the test itself has opened it, too
    assert len({each.identity.id for each in writers}) == len(writers)
