# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let the kernel of this machine decide what an identity may do.

A child of the test becomes the identity and tries; the test never does. What
the kernel looks at is what the child takes on: fsuid, fsgid, supplementary
groups, effective capabilities and umask (credentials(7), capabilities(7)).
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from ansible_collections.logward.permissions.plugins.module_utils._access import (
    DIRECTORY,
    Inode,
    Mount,
    Place,
)
from ansible_collections.logward.permissions.plugins.module_utils._acl import encode
from ansible_collections.logward.permissions.plugins.module_utils._fs import (
    Tree,
    observe_fd,
    same_permissions,
)
from ansible_collections.logward.permissions.plugins.module_utils._identity import (
    Identity,
)

_PROTECTED_REGULAR = Path("/proc/sys/fs/protected_regular")
_CAPABILITIES = {"cap_dac_override": 1, "cap_dac_read_search": 2}
_CAPABILITY_VERSION = 0x20080522
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT


@dataclass(frozen=True)
class Question:
    """May ``identity`` do that? ``mode`` is what it requests for a new inode."""

    identity: Identity
    operation: str
    path: str
    mode: int = 0o666


def _opened(flags: int) -> Callable[[str, int], None]:
    def attempt(path: str, mode: int) -> None:
        os.close(os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, mode))

    return attempt


#: What can be asked. "create" and "append" are one call, the one of loggers.
_ATTEMPTS: dict[str, Callable[[str, int], Any]] = {
    "search": lambda path, _mode: os.stat(path + "/."),
    "list": _opened(os.O_RDONLY | os.O_DIRECTORY),
    "read": _opened(os.O_RDONLY),
    "rewrite": _opened(os.O_RDWR),
    "append": _opened(_APPEND),
    "create": _opened(_APPEND),
    "mkdir": os.mkdir,
}


def ask_kernel(questions: Sequence[Question]) -> list[int]:
    """Return the errno of each attempt, 0 where the kernel allowed it."""
    errnos: list[int] = in_child(lambda: _attempts(questions))
    return errnos


def _attempts(questions: Sequence[Question]) -> list[int]:
    answers = []
    now = None
    for question in questions:
        if question.identity is not now:
            now = question.identity
            become(now)
        answers.append(_attempt(question))
    return answers


def _attempt(question: Question) -> int:
    try:
        _ATTEMPTS[question.operation](question.path, question.mode)
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def in_child(work: Callable[[], Any]) -> Any:
    """Run ``work`` in a forked child and return what it returned, through JSON."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            _report(work, writing)
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    report = json.loads(answer) if answer else {"error": "the child died"}
    if "error" in report:
        raise RuntimeError(f"asking the kernel failed: {report['error']}")
    return report["result"]


def _report(work: Callable[[], Any], writing: int) -> None:
    try:
        report = {"result": work()}
    except BaseException:  # noqa: BLE001 - told to the parent, whatever it is
        report = {"error": traceback.format_exc()}
    with open(writing, "w", encoding="utf-8") as pipe:
        json.dump(report, pipe)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


_LIBC = ctypes.CDLL(None, use_errno=True)


def become(identity: Identity) -> None:
    """Take on an identity. Only ever in a child: the saved uid stays root's.

    With it, and with the permitted capabilities, which the kernel does not
    look at when it decides about files, the child can become the next one.
    """
    os.setresuid(0, 0, 0)
    _set_effective(None)
    os.setgroups(sorted(identity.groups))
    os.setresgid(identity.gid, identity.gid, identity.gid)
    os.setresuid(identity.uid, identity.uid, 0)
    _set_effective(sum(1 << _CAPABILITIES[name] for name in identity.capabilities))
    os.umask(identity.umask)


def _set_effective(capabilities: int | None) -> None:
    """Set the effective capabilities; None: all that are permitted."""
    header = _Header(_CAPABILITY_VERSION, 0)
    sets = (_Sets * 2)()
    _check(_LIBC.capget(ctypes.byref(header), sets))
    for each in sets:
        each.effective = each.permitted if capabilities is None else 0
    if capabilities is not None:
        sets[0].effective = capabilities
    _check(_LIBC.capset(ctypes.byref(header), sets))


def _check(failed: int) -> None:
    if failed:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def put(path: str, inode: Inode) -> None:
    """Make a file or directory that is exactly ``inode``."""
    if inode.kind == DIRECTORY:
        os.mkdir(path, 0o700)
    else:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    os.chown(path, inode.uid, inode.gid)
    os.setxattr(path, "system.posix_acl_access", encode(inode.acl))
    os.chmod(path, inode.mode)
    if inode.default_acl is not None:
        os.setxattr(path, "system.posix_acl_default", encode(inode.default_acl))
    elif inode.kind == DIRECTORY:  # one that it may have inherited
        with suppress(OSError):
            os.removexattr(path, "system.posix_acl_default")
    found = observe(path)
    assert same_permissions(found, inode), f"{path}: {found} is not {inode}"


def observe(path: str, mounts: Mapping[int, Mount] | None = None) -> Inode:
    """Read an inode as the collection does; without ``mounts`` as if on any."""
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    try:
        return observe_fd(fd, mounts or {}).inode
    finally:
        os.close(fd)


def observe_place(
    path: str, files: Iterable[str] = ()
) -> tuple[Place, dict[str, Inode]]:
    """Read a directory, all on the way to it, and files, as the collection does."""
    tree = Tree(path)
    try:
        inode = tree.observe().inode
        place = Place(tree.ancestors, path, inode, read_protected_regular())
        return place, {file: observe(file, tree.mounts) for file in files}
    finally:
        tree.close()


def read_protected_regular() -> int:
    """Return fs.protected_regular as it is now."""
    return int(_PROTECTED_REGULAR.read_text(encoding="ascii"))


@contextmanager
def protected_regular(value: int | None = None) -> Iterator[None]:
    """Hold the machine's fs.protected_regular still, or set it for a while.

    The sysctl is the whole machine's, so tests of other clones, which may run
    at the same time, wait. It is put back even if this process is killed.
    """
    lock = os.open(_PROTECTED_REGULAR.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH if value is None else fcntl.LOCK_EX)
        if value is None:
            yield
            return
        with _put_back(read_protected_regular()):
            _write_protected_regular(value)
            yield
    finally:
        os.close(lock)


def _write_protected_regular(value: int) -> None:
    _PROTECTED_REGULAR.write_text(str(value), encoding="ascii")


@contextmanager
def _put_back(value: int) -> Iterator[None]:
    """Have a child write the value when this context, or this process, ends."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()  # out of reach of an interrupt from the terminal
            os.close(writing)
            os.read(reading, 1)  # nothing comes, but the end
            _write_protected_regular(value)
        finally:
            os._exit(0)
    os.close(reading)
    try:
        yield
    finally:
        os.close(writing)
        os.waitpid(pid, 0)
