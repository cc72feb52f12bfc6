# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runs before one's own: when the newest was made, how long each stays."""

from __future__ import annotations

import calendar
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cached_property

from ._errors import HostError
from ._fs import find_private_directory
from ._journal import time_text
from ._record import Header
from ._runs import Runs, listing

_DAY_NS = 86_400 * 10**9
_REMOVED = ".removed-"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


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


class History:
    """The runs that are in the journal before one's own call records, read once.

    Where one cannot be read none counts, and none is removed: whoever takes one back
    is told of it.
    """

    def __init__(self, journal_dir: str) -> None:
        """Name the journal. Whoever records, or prunes, holds the host's lock."""
        self._journal_dir = journal_dir

    @cached_property
    def _runs(self) -> Sequence[tuple[str, Header]]:
        with suppress(HostError, OSError, ValueError):
            return Runs(self._journal_dir).newest_first()
        return ()

    def newest_ns(self) -> int:
        """Return when the newest run was made; 0 where there is none that tells."""
        with suppress(ValueError):
            if self._runs:
                _run_id, header = self._runs[0]
                return _time_ns(header.time)
        return 0

    def prune(self, own_id: str, keep: Keep) -> None:
        """Remove what is too old, or too much: never the run that asks for it."""
        others = [run for run in self._runs if run[0] != own_id]
        with suppress(HostError, OSError, ValueError), ExitStack() as stack:
            directory = find_private_directory(self._journal_dir)
            if directory is None:
                return
            stack.callback(os.close, directory)
            # One of the same name would be in the way.
            self._remove_leftovers(directory)
            left = Keep(keep.runs - 1, keep.days)
            for run_id in superfluous(others, left, time.time_ns()):
                _take_out(directory, run_id)

    def _remove_leftovers(self, directory: int) -> None:
        with listing(self._journal_dir) as entries:
            names = [each.name for each in entries]
        for name in names:
            if name.startswith(_REMOVED):
                with suppress(OSError):
                    _remove(directory, name)


def superfluous(
    runs: Sequence[tuple[str, Header]], keep: Keep, now_ns: int
) -> list[str]:
    """Return which runs, of these from the newest to the oldest, need not stay.

    Days are counted back from the newest of them. By a clock that is months ahead
    all would be too old.
    """
    newest = min([now_ns, *(_time_ns(header.time) for _name, header in runs[:1])])
    oldest = time_text(max(0, newest - keep.days * _DAY_NS))
    return [
        run_id
        for number, (run_id, header) in enumerate(runs)
        if number >= keep.runs or header.time < oldest
    ]


def _take_out(journal: int, run_id: str) -> None:
    """Remove a run, unless somebody has removed it since it was read."""
    removed = _REMOVED + run_id
    with suppress(OSError):
        # From then on it is no run, whenever this ends.
        os.rename(run_id, removed, src_dir_fd=journal, dst_dir_fd=journal)
        _remove(journal, removed)


def _remove(parent: int, name: str) -> None:
    directory = os.open(name, _DIRECTORY, dir_fd=parent)
    try:
        for each in os.listdir(directory):
            os.unlink(each, dir_fd=directory)
    finally:
        os.close(directory)
    os.rmdir(name, dir_fd=parent)
