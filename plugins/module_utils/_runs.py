# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runs in the journal, read: which there are, and what each has recorded.

A file is read twice and never held: first all of it is checked, then its
batches are read again from the last to the first.
"""

from __future__ import annotations

import base64
import calendar
import hashlib
import json
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, BinaryIO, NoReturn

from ._access import DIRECTORY, REGULAR, Inode
from ._acl import Acl, decode, from_mode
from ._edits import EDIT, EditEntry, Span
from ._errors import HostError, OptionError
from ._fs import Stamp, find_private_directory
from ._journal import (
    FORMAT,
    INODE,
    LATEST,
    Entry,
    checked_run_id,
    machine_id,
    time_text,
)

# Some 1,500 bytes for each of the 10,000,000 entries that a walk has at most.
MAX_BYTES = 15 * 10**9
_MAX_LINE = 1 << 20
_MAX_DIGITS = 20
_NO_ID = 0xFFFFFFFF
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DAY_NS = 86_400 * 10**9
_REMOVED = ".removed-"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FILE_NAME = re.compile(r"([0-9]{4,9})\.jsonl")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")

_NONE = type(None)
_Types = Mapping[str, tuple[type, ...]]
_HEADER: _Types = {
    "logward_journal": (int,),
    "run_id": (str,),
    "restores": (str, _NONE),
    "machine_id": (str, _NONE),
    "time": (str,),
}
_ENTRY: _Types = {
    "entry": (str,),
    "path_b64": (str,),
    "device": (int,),
    "ino": (int,),
    "born_ns": (int, _NONE),
    "before": (dict,),
    "after": (dict,),
}
_STATE: _Types = {
    "kind": (str,),
    "uid": (int,),
    "gid": (int,),
    "mode": (int,),
    "access_acl": (str, _NONE),
    "default_acl": (str, _NONE),
}
_EDIT: _Types = {
    "entry": (str,),
    "path_b64": (str,),
    "holder": (int,),
    "stamp": (list, _NONE),
    "inode": (dict,),
    "before": (str, _NONE),
    "after": (str, _NONE),
    "spans": (list,),
    "made": (list,),
}
_STAMP = ((int,), (int,), (int, _NONE))
_SPAN = ((int,), (str,), (str,))
_DIGEST: _Types = {"sha256": (str,)}


class _Malformed(ValueError):
    """A line that no journal has; the text says what is wrong with it."""


@dataclass(frozen=True)
class Header:
    """The first line of a file: whose it is."""

    run_id: str
    restores: str | None
    machine_id: str | None
    time: str


class RunFile:
    """One file of a run, all of it checked.

    ``header`` is None where its writer died before there was one. ``ignored``
    counts what was written after the last batch: it never led to a change.
    """

    def __init__(self, file: BinaryIO, path: str) -> None:
        """Check the file. Raises HostError where it is not as it was written."""
        self._file = file
        self._path = path
        self._batches: list[tuple[int, int]] = []
        self.header: Header | None = None
        self.ignored = 0
        self._check()

    def batches(self) -> Iterator[list[Entry | EditEntry]]:
        """Yield what each batch recorded, the last batch and entry first."""
        for offset, size in reversed(self._batches):
            self._file.seek(offset)
            lines = self._file.read(size).splitlines()
            yield [_entry(_parsed(line)) for line in reversed(lines)]

    def _check(self) -> None:
        if os.fstat(self._file.fileno()).st_size > MAX_BYTES:
            raise HostError(f"{self._path} has more than {MAX_BYTES:,} bytes")
        digest = hashlib.sha256()
        start = offset = 0
        for number, line in enumerate(_lines(self._file), 1):
            if not line.endswith(b"\n") and len(line) <= _MAX_LINE:
                self.ignored += 1
                return
            try:
                is_digest = self._take(line, digest.hexdigest())
            except _Malformed as error:
                raise HostError(
                    f"line {number:,} of {self._path} {error}: it is not as it was "
                    "written"
                ) from None
            if is_digest:
                self._batches.append((start, offset - start))
                self.ignored = 0
            digest.update(line)
            offset += len(line)
            if is_digest or number == 1:
                start = offset

    def _take(self, line: bytes, digest: str) -> bool:
        """Check a line; tell whether it is the digest that ends a batch."""
        if len(line) > _MAX_LINE:
            raise _Malformed("is too long")
        record = _parsed(line)
        if self.header is None:
            self.header = _header(record)
            return False
        if record.keys() == _DIGEST.keys():
            if record["sha256"] != digest:
                raise _Malformed("has the digest of other bytes")
            return True
        _entry(record)
        self.ignored += 1
        return False


def _lines(file: BinaryIO) -> Iterator[bytes]:
    return iter(lambda: file.readline(_MAX_LINE + 1), b"")


class Run:
    """One run of the journal: its files, in the order in which they were written."""

    def __init__(self, run_id: str, files: list[RunFile]) -> None:
        """Take files that are checked: of each call of a module one or more.

        Those of one call say the same time, and are about different inodes.
        """
        self.run_id = run_id
        self.calls = len({file.header and file.header.time for file in files})
        self.ignored = sum(file.ignored for file in files)
        self._files = files

    def batches(self) -> Iterator[list[Entry | EditEntry]]:
        """Yield the batches of entries of the run, what was done last first."""
        for file in reversed(self._files):
            yield from file.batches()


class Runs:
    """The journal of this host, open until the stack is left."""

    def __init__(self, journal_dir: str, stack: ExitStack) -> None:
        """Name the directory. Raises HostError where it is not root's alone."""
        self._directory = journal_dir
        self._stack = stack

    def find(self, run_id: str) -> str:
        """Return the id of a run that there is; ``latest`` is the newest repair.

        Raises OptionError, which names those that there are.
        """
        runs = self.newest_first()
        if run_id == LATEST:
            repairs = [name for name, header in runs if header.restores is None]
            if repairs:
                return repairs[0]
        elif run_id in (name for name, _header in runs):
            return run_id
        raise NoSuchRun(run_id, self._directory, [name for name, _header in runs])

    def newest_first(self) -> list[tuple[str, Header]]:
        """Return the runs and the header of the last file of each."""
        found = [(name, self._last_header(name)) for name in self._names()]
        runs = [(name, header) for name, header in found if header is not None]
        return sorted(runs, key=lambda run: (run[1].time, run[0]), reverse=True)

    def open(self, run_id: str) -> Run:
        """Check all files of a run. Raises OptionError; nothing is touched then."""
        try:
            files = [self._checked(run_id, name) for name in self._file_names(run_id)]
        except HostError as error:
            raise OptionError(
                "run_id",
                run_id,
                f"cannot be taken back: {error}. Nothing was changed",
                "Name another run, or run remediate with the policy that you want",
            ) from error
        return Run(run_id, files)

    def _checked(self, run_id: str, name: str) -> RunFile:
        file = self._stack.enter_context(self._open(run_id, name))
        checked = RunFile(file, self._path(run_id, name))
        _check_header(checked.header, run_id)
        return checked

    def _names(self) -> list[str]:
        with _listing(self._directory) as entries:
            directories = [
                each.name for each in entries if each.is_dir(follow_symlinks=False)
            ]
        return [name for name in directories if _is_run_id(name)]

    def _last_header(self, run_id: str) -> Header | None:
        """Return who wrote the last file; None where no file has a first line."""
        for name in reversed(self._file_names(run_id)):
            with self._open(run_id, name) as file:
                line = file.readline(_MAX_LINE + 1)
            if line.endswith(b"\n"):
                try:
                    return _header(_parsed(line))
                except _Malformed as error:
                    raise HostError(
                        f"line 1 of {self._path(run_id, name)} {error}: it is not as "
                        "it was written. Move that run elsewhere"
                    ) from None
        return None

    def _file_names(self, run_id: str) -> list[str]:
        with _listing(os.path.join(self._directory, run_id)) as entries:
            listed = [each.name for each in entries]
        numbers = sorted(
            int(found[1]) for found in map(_FILE_NAME.fullmatch, listed) if found
        )
        names = [f"{number:04d}.jsonl" for number in numbers]
        missing = set(range(1, len(numbers) + 1)) - set(numbers)
        if missing:
            path = self._path(run_id, f"{min(missing):04d}.jsonl")
            raise HostError(f"{path} is missing")
        return names

    def _path(self, run_id: str, name: str) -> str:
        return os.path.join(self._directory, run_id, name)

    def _open(self, run_id: str, name: str) -> BinaryIO:
        path = self._path(run_id, name)
        directory = find_private_directory(os.path.dirname(path))
        if directory is None:
            raise HostError(f"{path} is missing")
        try:
            file = os.fdopen(os.open(name, _READ, dir_fd=directory), "rb")
        except OSError as error:
            raise HostError(f"{path}: {error.strerror}") from error
        finally:
            os.close(directory)
        status = os.fstat(file.fileno())
        if stat.S_ISREG(status.st_mode) and not (
            status.st_uid or status.st_mode & 0o022
        ):
            return file
        file.close()
        raise HostError(f"{path} is not a file that only root can write")


@contextmanager
def _listing(path: str) -> Iterator[Iterator[os.DirEntry[str]]]:
    """Yield the entries of a private directory, none where there is none."""
    fd = find_private_directory(path)
    if fd is None:
        yield iter(())
        return
    try:
        listing = os.open(".", _READ | os.O_DIRECTORY, dir_fd=fd)
    finally:
        os.close(fd)
    try:
        with os.scandir(listing) as entries:
            yield entries
    finally:
        os.close(listing)


def newest_ns(journal_dir: str) -> int:
    """Return when the newest run was made; 0 where there is none that tells."""
    with suppress(HostError, OSError, ValueError), ExitStack() as stack:
        for _run_id, header in Runs(journal_dir, stack).newest_first()[:1]:
            return _time_ns(header.time)
    return 0


def _time_ns(text: str) -> int:
    """Return what ``time_text`` made a text of."""
    seconds = calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))
    return seconds * 10**9 + int(text[20:26]) * 1000


@dataclass(frozen=True)
class Keep:
    """How many runs stay in a journal, and for how many days."""

    runs: int = 100
    days: int = 90


KEEP = Keep()


def prune(journal_dir: str, own_id: str, keep: Keep) -> None:
    """Remove what is too old, or too much: never the run that asks for it.

    Where a run cannot be told from others none is removed: whoever takes one
    back is told of it.
    """
    with suppress(HostError, OSError, ValueError), ExitStack() as stack:
        runs = Runs(journal_dir, stack).newest_first()
        directory = find_private_directory(journal_dir)
        if directory is None:
            return
        stack.callback(os.close, directory)
        others = [run for run in runs if run[0] != own_id]
        for run_id in superfluous(
            others, Keep(keep.runs - 1, keep.days), time.time_ns()
        ):
            # From then on it is no run, whenever this ends.
            os.rename(
                run_id, _REMOVED + run_id, src_dir_fd=directory, dst_dir_fd=directory
            )
        with _listing(journal_dir) as entries:
            removed = [each.name for each in entries if each.name.startswith(_REMOVED)]
        for name in removed:
            _remove(directory, name)


def superfluous(
    runs: Sequence[tuple[str, Header]], keep: Keep, now_ns: int
) -> list[str]:
    """Return which runs, of these from the newest to the oldest, need not stay.

    Days are counted back from the newest of them. By a clock that is months ahead
    all would be too old.
    """
    newest_ns = min([now_ns, *(_time_ns(header.time) for _name, header in runs[:1])])
    oldest = time_text(max(0, newest_ns - keep.days * _DAY_NS))
    return [
        run_id
        for number, (run_id, header) in enumerate(runs)
        if number >= keep.runs or header.time < oldest
    ]


def _remove(parent: int, name: str) -> None:
    directory = os.open(name, _READ | os.O_DIRECTORY, dir_fd=parent)
    try:
        for each in os.listdir(directory):
            os.unlink(each, dir_fd=directory)
    finally:
        os.close(directory)
    os.rmdir(name, dir_fd=parent)


class NoSuchRun(OptionError):
    """The run is not in the journal of this host."""

    def __init__(self, run_id: str, journal_dir: str, names: list[str]) -> None:
        """Name the runs that there are, the newest first."""
        there = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        super().__init__(
            "run_id",
            run_id,
            f"is not in {journal_dir} of this host",
            f"Name one of {there}" if names else "It has no run at all",
        )


def _is_run_id(name: str) -> bool:
    try:
        checked_run_id(name)
    except OptionError:
        return False
    return True


def _check_header(header: Header | None, run_id: str) -> None:
    if header is None:
        return
    if header.machine_id != machine_id():
        raise HostError(
            f"it was recorded on another host (machine id {header.machine_id}, "
            f"and this is {machine_id()})"
        )
    if header.run_id != run_id:
        raise HostError(f"its files say that they are of the run {header.run_id}")


# What a line must be. Whoever wrote it was root; what became of it since is
# not known before its digest has been read.


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(
            line.decode("ascii"),
            object_pairs_hook=_unique,
            parse_int=_integer,
            parse_float=_refuse,
            parse_constant=_refuse,
        )
    except _Malformed:
        raise
    except (ValueError, RecursionError):
        raise _Malformed("is not JSON in ASCII") from None
    if not isinstance(record, dict):
        raise _Malformed("is not an object")
    return record


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        raise _Malformed("has a key twice")
    return record


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise _Malformed("has a number that is too long")
    return int(digits)


def _refuse(text: str) -> NoReturn:
    raise _Malformed(f"has {text[:20]} in it")


def _fields(record: Mapping[str, Any], types: _Types) -> Mapping[str, Any]:
    if record.keys() != types.keys():
        raise _Malformed("has other keys than a journal")
    for key, value in record.items():
        if type(value) not in types[key]:
            raise _Malformed(f"has a {key} of a wrong type")
    return record


def _header(record: Mapping[str, Any]) -> Header:
    if record.get("logward_journal", FORMAT) != FORMAT:
        raise _Malformed(
            f"is of format {record['logward_journal']!r:.20}, not {FORMAT}"
        )
    fields = _fields(record, _HEADER)
    if not _TIME.fullmatch(fields["time"]):
        raise _Malformed("has no time")
    return Header(
        fields["run_id"], fields["restores"], fields["machine_id"], fields["time"]
    )


def _entry(record: Mapping[str, Any]) -> Entry | EditEntry:
    if record.get("entry") == EDIT:
        return _edit_entry(_fields(record, _EDIT))
    if record.get("entry") != INODE:
        raise _Malformed(f"has no entry of the kind {INODE} or {EDIT}")
    fields = _fields(record, _ENTRY)
    stamp = Stamp(fields["device"], fields["ino"], fields["born_ns"])
    before, after = _state(fields["before"]), _state(fields["after"])
    if before.kind != after.kind:
        raise _Malformed("changes the kind of an inode")
    return Entry(_path(fields["path_b64"]), stamp, before, after)


def _edit_entry(fields: Mapping[str, Any]) -> EditEntry:
    before, after = _sha256(fields["before"]), _sha256(fields["after"])
    if before == after:
        raise _Malformed("has an edit that changes nothing")
    inode = _state(fields["inode"])
    if inode.kind != REGULAR or not 0 <= fields["holder"] < _NO_ID:
        raise _Malformed("edits something else than a file, or one of nobody's")
    return EditEntry(
        _path(fields["path_b64"]),
        fields["holder"],
        None if fields["stamp"] is None else Stamp(*_items(fields["stamp"], _STAMP)),
        inode,
        before,
        after,
        tuple(_span(span) for span in fields["spans"]),
        tuple(_path(*_items([path], ((str,),))) for path in fields["made"]),
    )


def _span(span: object) -> Span:
    offset, removed, inserted = _items(span, _SPAN)
    if offset < 0:
        raise _Malformed("has an offset below 0")
    return Span(offset, _bytes(removed), _bytes(inserted))


def _items(value: object, types: Sequence[tuple[type, ...]]) -> list[Any]:
    if not isinstance(value, list) or len(value) != len(types):
        raise _Malformed("has a list of a wrong length")
    if any(type(item) not in allowed for item, allowed in zip(value, types)):
        raise _Malformed("has a list with a wrong type in it")
    return value


def _sha256(text: str | None) -> str | None:
    if text is not None and not _SHA256.fullmatch(text):
        raise _Malformed("has a digest that is none")
    return text


def _path(path_b64: str) -> str:
    path = _bytes(path_b64)
    components = path.split(b"/")
    if (
        not path.startswith(b"/")
        or b"\0" in path
        or {b"", b".", b".."} & set(components[1:])
    ):
        raise _Malformed("has no absolute path")
    return os.fsdecode(path)


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise _Malformed("has something that is not Base64") from None


def _state(record: Mapping[str, Any]) -> Inode:
    return _inode(*(_fields(record, _STATE)[key] for key in _STATE))


@lru_cache(maxsize=4096)
def _inode(
    kind: str,
    uid: int,
    gid: int,
    mode: int,
    access_acl: str | None,
    default_acl: str | None,
) -> Inode:
    """Return the same value for states that are alike, as most are."""
    if kind not in (REGULAR, DIRECTORY):
        raise _Malformed(f"has an inode of the kind {kind[:20]!r}")
    if not (0 <= uid < _NO_ID and 0 <= gid < _NO_ID and 0 <= mode <= 0o7777):
        raise _Malformed("has an owner, group or mode out of range")
    acl = from_mode(mode) if access_acl is None else _acl(access_acl)
    if acl.mode != mode & 0o777:
        raise _Malformed("has a mode that is not that of its ACL")
    if default_acl is not None and kind != DIRECTORY:
        raise _Malformed("has a default ACL on a file")
    default = None if default_acl is None else _acl(default_acl)
    return Inode(kind, uid, gid, mode & 0o7000, acl, default)


def _acl(text: str) -> Acl:
    try:
        acl = decode(_bytes(text))
    except _Malformed:
        raise
    except ValueError as error:
        raise _Malformed(f"has an ACL that cannot be: {error}") from None
    if acl is None:
        raise _Malformed("has an ACL without entries")
    return acl
