# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal: what was there before a change, on disk before the change.

A run has a directory; every process of a module call that writes adds a
numbered file of JSON lines to it. The first line says whose it is; entries
follow in batches. A batch is synced to disk before its first inode is changed:
one fsync for up to ``BATCH`` inodes, and the guarantee is the same as with one
for each. What the trade costs is that after a crash some entries may describe
changes that were never made; they are told by the present state, which equals
*before*. Each batch ends with a digest of all bytes so far, so that a torn or
edited file can be told from a whole one. ``_runs`` finds it, and
``_recorded`` reads it.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import re
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, Callable, NamedTuple, Protocol

from ._access import Inode
from ._acl import Acl, encode
from ._errors import HostError, OptionError
from ._fs import (
    Stamp,
    check_private_directory,
    open_private_directory,
    sync_directory,
)

FORMAT = 1
# With two for each level of directories, fewer than the 1,024 descriptors that a
# process may have open: all inodes of a batch are.
BATCH = 700
LATEST = "latest"
INODE = "inode"
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Recordable(Protocol):
    """What is about to change, so that the journal must have it before."""

    def line(self) -> str:
        """Return the line that tells what there was, JSON in ASCII."""


class Entry(NamedTuple):
    """One inode that is about to change. ``path`` is absolute."""

    path: str
    stamp: Stamp
    before: Inode
    after: Inode

    def line(self) -> str:
        """Return it as a journal has it."""
        born_ns = "null" if self.stamp.born_ns is None else self.stamp.born_ns
        return (
            f'{{"entry":"{INODE}","path_b64":"{base64_path(self.path)}",'
            f'"device":{self.stamp.device},"ino":{self.stamp.ino},"born_ns":{born_ns},'
            f'"before":{state_json(self.before)},"after":{state_json(self.after)}}}'
        )


def new_run_id() -> str:
    """Return a run id made from the time (UTC) and the host's name."""
    now = time.time()
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now))
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:64]
    return f"{stamp}.{int(now % 1 * 10**6):06d}-{host}"


def checked_run_id(run_id: str) -> str:
    """Return the id of a new run; OptionError if it cannot be one."""
    if run_id == LATEST:
        raise OptionError(
            "run_id",
            run_id,
            "is what the newest run is called when it is taken back",
            "Choose another name",
        )
    if not _RUN_ID.fullmatch(run_id):
        raise OptionError(
            "run_id",
            run_id,
            "is not a run id",
            "Use at most 100 letters, digits, dots, dashes and underscores, "
            "the first a letter or digit",
        )
    return run_id


def check_journal_directory(journal_dir: str) -> None:
    """Raise HostError where a journal would not be root's alone; make nothing."""
    try:
        check_private_directory(journal_dir)
    except HostError as error:
        raise HostError(f"journal_dir: {error}") from error


class Journal:
    """The file that one process of a module call writes, once it does.

    ``restores`` is the run that is being taken back, where one is; ``newest_ns``
    tells when the newest run was made, which this one comes after even if the
    clock was set back since. ``time_ns`` is the time of the run, where there is one.
    """

    def __init__(
        self,
        journal_dir: str,
        run_id: str,
        restores: str | None = None,
        newest_ns: Callable[[], int] = lambda: 0,
        time_ns: int = 0,
    ) -> None:
        """Name the run. Raises nothing: the first batch opens the file."""
        self._newest_ns = newest_ns
        self._time_ns = time_ns
        self._journal_dir = journal_dir
        self._directory = os.path.join(journal_dir, run_id)
        self._run_id = run_id
        self._restores = restores
        self._fd: int | None = None
        self._digest = hashlib.sha256()

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._fd is not None:
            os.close(self._fd)

    def files(self) -> int:
        """Return how many files the run has by now, of this call and of others."""
        with suppress(OSError):
            return len(os.listdir(self._directory))
        return 0

    def of_second_process(self) -> Journal:
        """Return the journal of another process that does a part of the same call.

        It has a file of its own, which says the same time where this one has one.
        """
        return type(self)(
            self._journal_dir,
            self._run_id,
            self._restores,
            self._newest_ns,
            self._time_ns,
        )

    def record(self, entries: Sequence[Recordable]) -> None:
        """Put a batch on disk. HostError if it is not there for certain."""
        try:
            if self._fd is None:
                if not self._time_ns:
                    self._time_ns = max(time.time_ns(), self._newest_ns() + 1000)
                self._fd = self._create()
                self._write(self._fd, [as_json(self._header(self._time_ns))])
            self._write(self._fd, (each.line() for each in entries))
            self._write(self._fd, [as_json({"sha256": self._digest.hexdigest()})])
            _sync(self._fd)
        except OSError as error:
            raise HostError(
                f"the journal in {self._directory} cannot be written "
                f"({error.strerror}), so nothing more was changed. Make room or "
                "repair the disk, then run again"
            ) from error

    def _create(self) -> int:
        directory = open_private_directory(self._directory)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            number = 1
            while True:
                name = f"{number:04d}.jsonl"
                try:
                    fd = os.open(name, flags, 0o600, dir_fd=directory)
                except FileExistsError:
                    number += 1
                    continue
                sync_directory(directory)
                return fd
        finally:
            os.close(directory)

    def _header(self, time_ns: int) -> dict[str, Any]:
        return {
            "logward_journal": FORMAT,
            "run_id": self._run_id,
            "restores": self._restores,
            "machine_id": machine_id(),
            "time": time_text(time_ns),
        }

    def _write(self, fd: int, records: Iterable[str]) -> None:
        lines = "".join(f"{record}\n" for record in records).encode("ascii")
        self._digest.update(lines)
        view = memoryview(lines)
        while view:
            view = view[os.write(fd, view) :]


def _sync(fd: int) -> None:
    os.fsync(fd)
    if not os.fstat(fd).st_nlink:
        raise OSError(errno.ENOENT, "somebody has removed it")


def as_json(record: Mapping[str, Any]) -> str:
    """Return one line, in ASCII."""
    return json.dumps(record, separators=(",", ":"))


@lru_cache(maxsize=4096)
def state_json(inode: Inode) -> str:
    """Return the same text for what is alike, as most of a tree is."""
    acl, default = inode.acl, inode.default_acl
    return as_json(
        {
            "kind": inode.kind,
            "uid": inode.uid,
            "gid": inode.gid,
            "mode": inode.mode,
            "access_acl": None if acl.is_minimal else _acl_b64(acl),
            "default_acl": None if default is None else _acl_b64(default),
        }
    )


def _acl_b64(acl: Acl) -> str:
    return base64_text(encode(acl))


def base64_path(path: str) -> str:
    """Return a path, whose bytes may be any, in ASCII."""
    return base64_text(os.fsencode(path))


def base64_text(value: bytes) -> str:
    """Return bytes in ASCII."""
    return base64.b64encode(value).decode("ascii")


def time_text(time_ns: int) -> str:
    """Return a time (UTC) such that texts sort as times do."""
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time_ns // 10**9))
    return f"{seconds}.{time_ns // 1000 % 10**6:06d}Z"


def machine_id() -> str | None:
    """Return what tells this host from others (machine-id(5)), if it has that."""
    try:
        with open("/etc/machine-id", encoding="ascii") as file:
            return file.read().strip() or None
    except OSError:
        return None
