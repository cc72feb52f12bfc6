# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Security modules that may deny what owner, mode and ACL grant.

``root`` is where the host's file system is: ``/``, or a test's directory. What
Landlock, seccomp and BPF deny a process no file tells.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress

#: "/usr/sbin/apache2 (enforce)"; SELinux and Smack write no mode behind a label.
_PROFILE = re.compile(r"(.+) \((\w+)\)")
_HARMLESS = ("complain", "unconfined")
_ENFORCES = re.compile(r"(\d+)-CONFIG\S*=\{.*\bmode=enforcing\b")
_USES = re.compile(r"use_profile (\d+)")


def enforced_on_all(root: str = "/") -> str | None:
    """Return the module that decides about every process of the host, or None."""
    if _lines(root, "sys/fs/selinux/enforce") == ["1"]:
        return "SELinux"
    if "smack" in ",".join(_lines(root, "sys/kernel/security/lsm")).split(","):
        return "Smack"
    return "TOMOYO" if _tomoyo_enforces(root) else None


def _tomoyo_enforces(root: str) -> bool:
    """Tell whether a domain has a profile that enforces; Debian's have none."""
    tomoyo = "sys/kernel/security/tomoyo"
    enforcing = set(_matching(_ENFORCES, _lines(root, f"{tomoyo}/profile")))
    used = _matching(_USES, _lines(root, f"{tomoyo}/domain_policy"))
    return not enforcing.isdisjoint(used)


def _matching(pattern: re.Pattern[str], lines: list[str]) -> Iterator[str]:
    return (match[1] for match in map(pattern.match, lines) if match)


def enforced_on(pid: int, root: str = "/") -> str | None:
    """Return the AppArmor profile that confines a process, or None.

    What confines this process alike, as a container's profile does all in it,
    confines the probe, too, so that the kernel answers for it.
    """
    label = _label(root, str(pid))
    match = _PROFILE.fullmatch(label)
    if match is None or match[2] in _HARMLESS or label == _label(root, "self"):
        return None
    return f"AppArmor ({match[1]})"


def _label(root: str, process: str) -> str:
    attributes = f"proc/{process}/attr"
    lines = _lines(root, f"{attributes}/apparmor/current")  # since Linux 5.8
    lines = lines or _lines(root, f"{attributes}/current")
    return lines[0] if lines else ""


def _lines(root: str, path: str) -> list[str]:
    """Return a file's lines; none where the kernel has no such file, or no answer."""
    with (
        suppress(OSError),
        open(
            os.path.join(root, path), encoding="utf-8", errors="backslashreplace"
        ) as file,
    ):
        return file.read().splitlines()
    return []
