# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run has recorded, read back.

A file is read twice and never held: first all of it is checked, then its
batches are read again from the last to the first.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import BinaryIO

from ._edits import EditEntry
from ._entry import parsed_entry
from ._errors import HostError, OptionError
from ._journal import Entry, machine_id
from ._record import Header, Malformed, parsed, parsed_header
from ._runs import MAX_LINE, Runs

# Some 1,500 bytes for each of the 10,000,000 entries that a walk has at most.
MAX_BYTES = 15 * 10**9
_DIGEST_KEYS = {"sha256"}


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
            yield [parsed_entry(parsed(line)) for line in reversed(lines)]

    def _check(self) -> None:
        if os.fstat(self._file.fileno()).st_size > MAX_BYTES:
            raise HostError(f"{self._path} has more than {MAX_BYTES:,} bytes")
        digest = hashlib.sha256()
        start = offset = 0
        for number, line in enumerate(_lines(self._file), 1):
            if not line.endswith(b"\n") and len(line) <= MAX_LINE:
                self.ignored += 1
                return
            try:
                is_digest = self._take(line, digest.hexdigest())
            except Malformed as error:
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
        if len(line) > MAX_LINE:
            raise Malformed("is too long")
        record = parsed(line)
        if self.header is None:
            self.header = parsed_header(record)
            return False
        if record.keys() == _DIGEST_KEYS:
            if record["sha256"] != digest:
                raise Malformed("has the digest of other bytes")
            return True
        parsed_entry(record)
        self.ignored += 1
        return False


def _lines(file: BinaryIO) -> Iterator[bytes]:
    return iter(lambda: file.readline(MAX_LINE + 1), b"")


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


def open_run(runs: Runs, run_id: str, stack: ExitStack) -> Run:
    """Check all files of a run, which are open until the stack is left.

    Raises OptionError where one is not as it was written; nothing is touched then.
    """
    try:
        files = [
            _checked(runs, run_id, name, stack) for name in runs.file_names(run_id)
        ]
    except HostError as error:
        raise OptionError(
            "run_id",
            run_id,
            f"cannot be taken back: {error}. Nothing was changed",
            "Name another run, or run remediate with the policy that you want",
        ) from error
    return Run(run_id, files)


def _checked(runs: Runs, run_id: str, name: str, stack: ExitStack) -> RunFile:
    file = stack.enter_context(runs.open_file(run_id, name))
    checked = RunFile(file, runs.path(run_id, name))
    _check_header(checked.header, run_id)
    return checked


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
