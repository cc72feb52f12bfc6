# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running processes, as /proc shows them; never command lines or environments.

proc(5) says what the files are. A process that ends, or that may not be looked
into, while it is read is left out.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .._identity import FILE_CAPABILITIES, Identity, user_name
from ._namespace import Namespace, other_namespace

_DELETED = " (deleted)"
#: include/uapi/linux/capability.h
_CAP_SYS_PTRACE = 19


@dataclass(frozen=True)
class OpenFile:
    """A regular file that a process holds open for writing."""

    pid: int
    path: str
    deleted: bool


@dataclass(frozen=True)
class Process:
    """What /proc/PID/status says that matters to the kernel's decisions."""

    pid: int
    name: str
    identity: Identity
    parent: int = 0


def process_ids() -> list[int]:
    """Return the processes that /proc lists: with hidepid=, only one's own."""
    return [int(entry) for entry in os.listdir("/proc") if entry.isdecimal()]


def open_for_writing(below: Iterable[str]) -> Iterator[OpenFile]:
    """Yield the files below any of the directories that processes write."""
    prefixes = tuple(directory.rstrip("/") + "/" for directory in below)
    for pid in process_ids() if prefixes else ():
        yield from _open_in(pid, prefixes)


def _open_in(pid: int, prefixes: tuple[str, ...]) -> Iterator[OpenFile]:
    try:
        numbers = os.listdir(f"/proc/{pid}/fd")
        namespace = other_namespace(pid) if numbers else None
    except OSError:
        return
    for number in numbers:
        try:
            target = os.readlink(f"/proc/{pid}/fd/{number}")
            if target.startswith(prefixes) and _is_writable(pid, number):
                deleted = target.endswith(_DELETED)
                path = target[: -len(_DELETED)] if deleted else target
                if namespace is None or _is_of_host(namespace, pid, number, path):
                    yield OpenFile(pid, path, deleted)
        except OSError:
            continue


def may_look_into_others() -> bool:
    """Tell whether this process may see what those of other users have open."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> _CAP_SYS_PTRACE & 1)
    return False


def _is_writable(pid: int, number: str) -> bool:
    flags = int(_of_descriptor(pid, number, "flags"), 8)
    return flags & os.O_ACCMODE != os.O_RDONLY


def _is_of_host(namespace: Namespace, pid: int, number: str, path: str) -> bool:
    """Tell whether a file is the host's, and not a container's of the same name."""
    return namespace.is_of_host(path, int(_of_descriptor(pid, number, "mnt_id")))


def _of_descriptor(pid: int, number: str, key: str) -> str:
    """Return what /proc/PID/fdinfo says; OSError where the process has ended."""
    with open(f"/proc/{pid}/fdinfo/{number}", encoding="ascii") as lines:
        for line in lines:
            if line.startswith(f"{key}:"):
                return line.split()[1]
    raise OSError(errno.ESRCH, os.strerror(errno.ESRCH))


def parse_status(pid: int, lines: Iterable[str]) -> Process | None:
    """Return a process; None where the kernel leaves a field out (a zombie)."""
    fields = dict(line.rstrip("\n").partition(":\t")[::2] for line in lines)
    try:
        # real, effective, saved, file system: the last one opens files
        uid, gid = (int(fields[key].split()[3]) for key in ("Uid", "Gid"))
        groups = frozenset(int(each) for each in fields["Groups"].split())
        umask, effective = int(fields["Umask"], 8), int(fields["CapEff"], 16)
        parent = int(fields["PPid"])
    except (KeyError, ValueError, IndexError):
        return None
    name = fields.get("Name", "")
    label = f"{name}:{user_name(uid)}"
    identity = Identity(
        f"process:{label}",
        label,
        uid,
        gid,
        groups,
        umask,
        capabilities=frozenset(
            capability
            for capability, bit in FILE_CAPABILITIES.items()
            if effective >> bit & 1
        ),
        source="running",
    )
    return Process(pid, name, identity, parent)


def read_process(pid: int) -> Process | None:
    """Return a running process, or None where it has ended."""
    try:
        with open(
            f"/proc/{pid}/status", encoding="utf-8", errors="backslashreplace"
        ) as lines:
            return parse_status(pid, lines)
    except OSError:
        return None


def root_writes_below(directory: str) -> list[int]:
    """Return the pids of root's processes that write files below a directory."""
    pids = {file.pid for file in open_for_writing([directory])}
    processes = (read_process(pid) for pid in sorted(pids))
    return [each.pid for each in processes if each and each.identity.uid == 0]
