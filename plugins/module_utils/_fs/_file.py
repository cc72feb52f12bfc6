# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding a configuration file that root is to edit, and refusing most of them.

The file's directory is pinned component by component, and no link is followed.
What root's programs read must be root's alone all the way: whoever else could
write there would be root.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass

from .._access import (
    DIRECTORY,
    REGULAR,
    SETGID,
    SETUID,
    STICKY,
    Inode,
    others_create,
    others_write,
)
from .._acl import MAX_ENTRIES
from .._errors import HostError
from .._names import display
from ._inode import (
    ACCESS_XATTR,
    CAPABILITY_XATTR,
    Observation,
    has_capability,
    observe_fd,
    proc_path,
)
from ._mounts import read_mounts
from ._tree import PIN, resolved

#: More is no configuration that somebody wrote.
MAX_BYTES = 1024 * 1024
_PIN_DIRECTORY = PIN | os.O_DIRECTORY
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
# What the kernel, or an ACL, says of the old content or inode.
_NOT_COPIED = (ACCESS_XATTR, CAPABILITY_XATTR, "security.ima", "security.evm")


class Refused(HostError):
    """A file that must not be edited; ``reason`` is the stable word for why."""

    def __init__(self, path: str, reason: str, problem: str) -> None:
        """Say of the file what is wrong, and what to do."""
        super().__init__(f"{display(path)} {problem}")
        self.reason = reason


@dataclass(frozen=True)
class Present:
    """A file as it was seen: which one, what it holds, its other attributes."""

    observed: Observation
    content: bytes
    attributes: tuple[tuple[str, bytes], ...]


class Parent:
    """The directory of a file that is there or is to be made, pinned.

    ``missing`` are the directories that are not there, the outermost first;
    ``directory`` is a descriptor of the last one that is.
    """

    def __init__(self, path: str) -> None:
        """Pin the directory of ``path`` (absolute). Raises Refused."""
        self.path = path
        self.name = os.path.basename(path)
        self.mounts = read_mounts()
        self.missing: tuple[str, ...] = ()
        self._opened = ExitStack()
        try:
            self.directory = self._find_directory()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the directory."""
        self._opened.close()

    def _find_directory(self) -> int:
        """Pin the directory, or the last one that there is on the way to it."""
        at, fd = "/", self._pin(os.open("/", _PIN_DIRECTORY))
        inode = self._observe(fd).inode
        components = self.path.split("/")[1:-1]
        for number, component in enumerate(components):
            below = os.path.join(at, component)
            child = self._enter(fd, component, below)
            if child is None:
                self.missing = tuple(
                    os.path.join(at, *components[number : last + 1])
                    for last in range(number, len(components))
                )
                break
            entered = self._observe(child).inode
            sticky_and_safe = inode.special & STICKY and entered.uid == 0
            if others_create(inode) and not sticky_and_safe:
                raise self._open_to_others(at)
            at, fd, inode = below, child, entered
            if inode.uid != 0:
                raise self._open_to_others(at)
        self._refuse_directory(at, inode)
        return fd

    def _refuse_directory(self, at: str, inode: Inode) -> None:
        if others_create(inode):
            raise self._open_to_others(at)
        if inode.immutable or inode.append_only:
            raise self._refused(
                "immutable", f"cannot be exchanged: {display(at)} is {_flags(inode)}"
            )
        if inode.mount.read_only:
            raise self._refused(
                "read_only",
                "is on a file system that is mounted read-only. Remount it, then "
                "run again",
            )

    def _open_to_others(self, at: str) -> Refused:
        return self._refused(
            "open_to_others",
            f"is not root's alone: others can exchange what is in {display(at)}. "
            f"Run: chown root {display(at)}; chmod go-w {display(at)}",
        )

    def _enter(self, fd: int, component: str, below: str) -> int | None:
        try:
            child = self._pin(os.open(component, PIN, dir_fd=fd))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._refused("unreadable", f"is not found: {error}") from error
        kind = self._observe(child).inode.kind
        if kind == DIRECTORY:
            return child
        if kind == "symlink":
            raise self._link(below)
        raise self._refused("exchanged", f"is not found: {display(below)} is a {kind}")

    def _pin(self, fd: int) -> int:
        self._opened.callback(os.close, fd)
        return fd

    def _observe(self, fd: int) -> Observation:
        return observe_fd(fd, self.mounts)

    def _refused(self, reason: str, problem: str) -> Refused:
        return Refused(self.path, reason, problem)

    def _link(self, at: str) -> Refused:
        problem = f"goes through a symbolic link, {display(at)}"
        return self._refused("exchanged", f"{problem}. Use{resolved(self.path)}")


class ConfigurationFile(Parent):
    """A file that root is to edit; ``present`` is None where there is none yet."""

    def __init__(self, path: str) -> None:
        """Look at ``path`` (absolute). Raises Refused; changes nothing."""
        super().__init__(path)
        try:
            self.present = None if self.missing else self.look()
        except BaseException:
            self.close()
            raise

    def look(self) -> Present | None:
        """Read what has the name now. Raises Refused where that is not edited."""
        try:
            fd = os.open(self.name, PIN, dir_fd=self.directory)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._refused("unreadable", f"is not found: {error}") from error
        try:
            observed = self._observe(fd)
            self._refuse(observed, fd)
            return Present(observed, self._read(fd), _attributes(fd))
        finally:
            os.close(fd)

    def _refuse(self, observed: Observation, fd: int) -> None:
        inode = observed.inode
        if inode.kind == "symlink":
            raise self._link(self.path)
        if inode.kind != REGULAR:
            raise self._refused("exchanged", f"is a {inode.kind}, not a file")
        if inode.links > 1:
            raise self._refused(
                "hard_link",
                f"has {inode.links} names (hard links), and would be exchanged under "
                "one of them only. Remove the others",
            )
        if inode.acl_unread:
            raise self._refused(
                "unchangeable",
                f"has an ACL of more than {MAX_ENTRIES} entries, which an edit does "
                "not keep. Run: setfacl -b",
            )
        if inode.uid != 0 or others_write(inode):
            path = display(self.path)
            raise self._refused(
                "open_to_others",
                "can be written by others than root. "
                f"Run: chown root {path}; chmod go-w {path}",
            )
        if inode.immutable or inode.append_only:
            raise self._refused("immutable", f"is {_flags(inode)}. Run: chattr -i -a")
        if has_capability(fd) or inode.special & (SETUID | SETGID):
            raise self._refused(
                "privileged_file", "is setuid, setgid or has capabilities"
            )
        if observed.mount_id != self._observe(self.directory).mount_id:
            raise self._refused("mount", "is a mount of its own. Edit its source")

    def _read(self, fd: int) -> bytes:
        with open(os.open(proc_path(fd), _READ), "rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise self._refused("too_large", f"has more than {MAX_BYTES:,} bytes")
        return content


def _flags(inode: Inode) -> str:
    return "immutable" if inode.immutable else "append-only"


def _attributes(fd: int) -> tuple[tuple[str, bytes], ...]:
    """Return the extended attributes that a new file is to have, too."""
    path = proc_path(fd)
    names = [name for name in os.listxattr(path) if name not in _NOT_COPIED]
    return tuple((name, os.getxattr(path, name)) for name in sorted(names))
