# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runs in the journal: which there are, and the files of each."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from ._errors import HostError, OptionError
from ._fs import find_private_directory
from ._journal import LATEST, checked_run_id
from ._record import Header, Malformed, parsed, parsed_header

MAX_LINE = 1 << 20
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FILE_NAME = re.compile(r"([0-9]{4,9})\.jsonl")


class Runs:
    """The journal of this host, as far as what it has is called.

    All its methods raise HostError where it is not root's alone.
    """

    def __init__(self, journal_dir: str) -> None:
        """Name the directory."""
        self._directory = journal_dir

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

    def file_names(self, run_id: str) -> list[str]:
        """Return the names of the files of a run, in the order of their numbers.

        Raises HostError where a number is missing.
        """
        with listing(os.path.join(self._directory, run_id)) as entries:
            listed = [each.name for each in entries]
        numbers = sorted(
            int(found[1]) for found in map(_FILE_NAME.fullmatch, listed) if found
        )
        names = [f"{number:04d}.jsonl" for number in numbers]
        missing = set(range(1, len(numbers) + 1)) - set(numbers)
        if missing:
            path = self.path(run_id, f"{min(missing):04d}.jsonl")
            raise HostError(f"{path} is missing")
        return names

    def open_file(self, run_id: str, name: str) -> BinaryIO:
        """Open a file of a run. Raises HostError where it is not root's alone."""
        path = self.path(run_id, name)
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

    def path(self, run_id: str, name: str) -> str:
        """Return the path of a file of a run."""
        return os.path.join(self._directory, run_id, name)

    def _names(self) -> list[str]:
        with listing(self._directory) as entries:
            directories = [
                each.name for each in entries if each.is_dir(follow_symlinks=False)
            ]
        return [name for name in directories if _is_run_id(name)]

    def _last_header(self, run_id: str) -> Header | None:
        """Return who wrote the last file; None where no file has a first line."""
        for name in reversed(self.file_names(run_id)):
            with self.open_file(run_id, name) as file:
                line = file.readline(MAX_LINE + 1)
            if line.endswith(b"\n"):
                try:
                    return parsed_header(parsed(line))
                except Malformed as error:
                    raise HostError(
                        f"line 1 of {self.path(run_id, name)} {error}: it is not as "
                        "it was written. Move that run elsewhere"
                    ) from None
        return None


@contextmanager
def listing(path: str) -> Iterator[Iterator[os.DirEntry[str]]]:
    """Yield the entries of a private directory, none where there is none."""
    fd = find_private_directory(path)
    if fd is None:
        yield iter(())
        return
    try:
        opened = os.open(".", _READ | os.O_DIRECTORY, dir_fd=fd)
    finally:
        os.close(fd)
    try:
        with os.scandir(opened) as entries:
            yield entries
    finally:
        os.close(opened)


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
