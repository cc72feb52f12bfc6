# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare a million random decisions with the kernel's: `make fuzz`.

The decisions come in parts, whose seeds follow each other. So a run is the same
on any number of cores, and a part can be replayed alone.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Callable

from ansible_collections.logward.permissions.tests.unit import kernel
from ansible_collections.logward.permissions.tests.unit.agreement import agree, cases

DECISIONS = 1_000_000
#: What one seed makes, and so what a replay repeats.
PART = 20_000
_BAR = 24
_TERMINAL_SECONDS, _FILE_SECONDS = 0.5, 10.0
#: Long enough for a test that waits to set the sysctl.
_PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class Part:
    """What one process compares at a time."""

    seed: int
    decisions: int


@dataclass(frozen=True)
class Outcome:
    """How many decisions agreed, and the smallest that did not, if one did not."""

    part: Part
    agreed: int
    disagreement: str | None = None


class Progress:
    """How many decisions there are, where processes add to them."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._done = multiprocessing.Value("Q", 0)
        self._start = time.monotonic()
        self._is_terminal = sys.stdout.isatty()
        self._every = _TERMINAL_SECONDS if self._is_terminal else _FILE_SECONDS
        self._shown = self._start

    def counter(self) -> Callable[[int], None]:
        """Return a function that is told how many there are in a part."""
        before = 0

        def told(decisions: int) -> None:
            nonlocal before
            with self._done.get_lock():
                self._done.value += decisions - before
            before = decisions

        return told

    @property
    def done(self) -> int:
        return int(self._done.value)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start

    def show_if_due(self) -> None:
        if time.monotonic() - self._shown >= self._every:
            self._shown = time.monotonic()
            line = progress_line(self.done, self._wanted, self.seconds)
            if self._is_terminal:
                print(f"\r{line}\033[K", end="", flush=True)
            else:
                print(line, flush=True)

    def clear(self) -> None:
        if self._is_terminal:
            print("\r\033[K", end="", flush=True)


def progress_line(done: int, wanted: int, seconds: float) -> str:
    """Return a line of at most 79 columns: a bar, and what it means."""
    filled = min(_BAR, _BAR * done // wanted)
    drawn = "#" * filled + "." * (_BAR - filled)
    rate = done / seconds if seconds else 0
    left = max(wanted - done, 0) / rate if rate else 0
    minutes, rest = divmod(round(left), 60)
    return f"[{drawn}] {done:,} of {wanted:,}, {rate:,.0f}/s, {minutes}:{rest:02} left"


def compare(part: Part, told: Callable[[int], None]) -> Outcome:
    """Compare one part; whatever goes wrong is a disagreement, and told."""
    agreed = 0

    def count(decisions: int) -> None:
        nonlocal agreed
        agreed = decisions
        told(decisions)

    with _site() as site:
        try:
            agree(site, part.decisions, part.seed, cases(), told=count)
        except Exception as error:  # noqa: BLE001 - told by the parent
            # The notes of the exception have hypothesis' smallest example.
            said = "".join(traceback.format_exception_only(type(error), error))
            return Outcome(part, agreed, said.rstrip())
    return Outcome(part, agreed)


@contextmanager
def _site() -> Iterator[Path]:
    """A directory that every user can reach."""
    path = Path(os.path.realpath(tempfile.mkdtemp(prefix="logward-fuzz-")))
    try:
        path.chmod(0o755)
        yield path
    finally:
        shutil.rmtree(path)


def run(seed: int, wanted: int, progress: Progress) -> list[Outcome]:
    """Compare one part on each core at a time, up to the first that disagrees."""
    outcomes: list[Outcome] = []
    while True:
        missing = wanted - sum(each.agreed for each in outcomes)
        if missing <= 0 or any(each.disagreement for each in outcomes):
            return outcomes
        size = min(PART, wanted)
        count = min(len(os.sched_getaffinity(0)), math.ceil(missing / size))
        seeds = range(seed + len(outcomes), seed + len(outcomes) + count)
        # The sysctl is the whole machine's: hold it still only for so long.
        with kernel.protected_regular():
            outcomes += _together([Part(each, size) for each in seeds], progress)
        time.sleep(_PAUSE_SECONDS)


def _together(some: Sequence[Part], progress: Progress) -> list[Outcome]:
    started = []
    for part in some:
        reading, writing = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.get_context("fork").Process(
            target=_answer,
            args=(part, progress.counter(), writing),
            daemon=True,
        )
        process.start()
        writing.close()
        started.append((part, process, reading))
    outcomes = []
    for part, process, reading in started:
        while not reading.poll(_TERMINAL_SECONDS):
            progress.show_if_due()
        try:
            outcomes.append(reading.recv())
        except EOFError:
            outcomes.append(Outcome(part, 0, "the process that compared it died"))
        process.join()
    return outcomes


def _answer(part: Part, told: Callable[[int], None], to: Connection) -> None:
    with suppress(KeyboardInterrupt):  # the parent says so
        to.send(compare(part, told))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 1 where the kernel disagreed."""
    options = _options(arguments)
    if os.geteuid() != 0:
        print("make fuzz asks the kernel as other users. Run it as root")
        return 2
    seed, decisions = options.seed, options.decisions
    print(f"Seed {seed}; `make fuzz SEED={seed}` replays this run.", flush=True)
    progress = Progress(decisions)
    try:
        outcomes = run(seed, decisions, progress)
    except KeyboardInterrupt:
        print(f"\nInterrupted after {progress.done:,} decisions, seed {seed}")
        return 130
    progress.clear()
    disagreeing = [each for each in outcomes if each.disagreement]
    for each in disagreeing[:1]:
        print(f"\nThe kernel disagrees. The smallest example:\n\n{each.disagreement}\n")
        print(f"Replay it:\n\n    {_replay(each)}\n")
    agreed = sum(each.agreed for each in outcomes)
    count = len(disagreeing)
    print(
        f"{agreed + count:,} decisions, {count} disagreement{'s' * (count != 1)}, "
        f"seed {seed}, {progress.seconds:.0f} s"
    )
    return 1 if disagreeing else 0


def _replay(outcome: Outcome) -> str:
    return f"make fuzz SEED={outcome.part.seed} DECISIONS={outcome.part.decisions}"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=_random_seed())
    parser.add_argument("--decisions", type=_at_least_one, default=DECISIONS)
    return parser.parse_args(arguments)


def _random_seed() -> int:
    return random.SystemRandom().getrandbits(32)


def _at_least_one(text: str) -> int:
    number = int(text.replace(",", ""))
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


if __name__ == "__main__":
    sys.exit(main())
