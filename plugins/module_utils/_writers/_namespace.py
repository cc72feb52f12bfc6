# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mount namespaces of running processes, as /proc/PID/mountinfo shows them (proc(5))."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class MountPoint:
    """One mount: ``root`` is the directory of the file system that is at ``path``."""

    number: int
    parent: int
    device: str
    root: str
    path: str
    read_only: bool


@dataclass(frozen=True)
class Namespace:
    """The mounts that a process sees, beside those of the host (of this process)."""

    mounts: tuple[MountPoint, ...]
    of_host: tuple[MountPoint, ...]

    def visible(self, path: str) -> bool:
        """Tell whether the host's directory is there, and nothing in its place."""
        there, host = _place(self.mounts, path), _place(self.of_host, path)
        return there is None or host is None or there[0] == host[0]

    def writable(self, path: str) -> bool:
        """Tell whether the host's directory is there, and not made read-only."""
        there, host = _place(self.mounts, path), _place(self.of_host, path)
        if there is None or host is None:
            return True
        return there[0] == host[0] and there[1].read_only <= host[1].read_only

    def is_of_host(self, path: str, mount_number: int) -> bool:
        """Tell whether a file that was opened through that mount is the host's.

        One through a mount that the process does not have was inherited: systemd
        opens the output of services.
        """
        mount = next(
            (each for each in self.mounts if each.number == mount_number), None
        )
        host = _place(self.of_host, path)
        return mount is None or host is None or _through(mount, path) == host[0]


def other_namespace(pid: int) -> Namespace | None:
    """Return what a process sees; None where it is what this process sees.

    Raises OSError where the process has ended.
    """
    if os.readlink(f"/proc/{pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt"):
        return None
    return Namespace(_read(str(pid)), _read("self"))


def _read(process: str) -> tuple[MountPoint, ...]:
    with open(
        f"/proc/{process}/mountinfo", encoding="utf-8", errors="surrogateescape"
    ) as lines:
        return parse_mount_points(lines)


def parse_mount_points(lines: Iterable[str]) -> tuple[MountPoint, ...]:
    """Return the mounts that mountinfo lists."""
    return tuple(_mount_point(line) for line in lines)


def _mount_point(line: str) -> MountPoint:
    before, _separator, after = line.partition(" - ")
    number, parent, device, root, path, options = before.split(" ")[:6]
    of_file_system = after.split(" ")[-1].rstrip("\n")
    return MountPoint(
        int(number),
        int(parent),
        device,
        _unescaped(root),
        _unescaped(path),
        "ro" in (*options.split(","), *of_file_system.split(",")),
    )


def _unescaped(path: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), path)


def _place(
    mounts: Sequence[MountPoint], path: str
) -> tuple[tuple[str, str], MountPoint] | None:
    """Return the file system and the path in it, and the mount that leads there.

    None where the process's root is no mount, so that mountinfo does not say.
    """
    known = {each.number for each in mounts}
    top = [each for each in mounts if each.path == "/"]
    here = next(
        (each for each in top if each.parent not in known - {each.number}), None
    )
    if here is None:
        return None
    covering = [each for each in mounts if _holds(each.path, path)]
    # As a walk from the root does: the first mount on the way, then the first on it.
    while on_it := [each for each in covering if each.parent == here.number]:
        here = min(on_it, key=lambda each: len(each.path))
    return _through(here, path), here


def _through(mount: MountPoint, path: str) -> tuple[str, str]:
    """Return the file system and the path in it."""
    below = path[len(mount.path.rstrip("/")) :]
    return mount.device, mount.root.rstrip("/") + below


def _holds(directory: str, path: str) -> bool:
    """Tell whether a path is at or below a directory that is not the root."""
    return f"{path}/".startswith(f"{directory}/")
