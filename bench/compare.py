# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measuring side by side: in every round each contestant runs once.

So whatever else the machine does meets all of them, and a ratio is taken of two
runs that were neighbours. (hyperfine and pyperf run all of one, then the next.)
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Callable

#: Runs once, and returns the seconds that it took.
Run = Callable[[], float]


def arguments(description: str | None, **numbers: int) -> argparse.Namespace:
    """Return the numbers that the command line gives, or these."""
    parser = argparse.ArgumentParser(description=description)
    for name, number in numbers.items():
        parser.add_argument(f"--{name}", type=int, default=number)
    return parser.parse_args()


def wall(*argv: str) -> Run:
    """Return the run of a command, from its start to its end."""

    def run() -> float:
        start = time.perf_counter()
        subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)
        return time.perf_counter() - start

    return run


def told(*argv: str) -> Run:
    """Return the run of a command that prints how many seconds it took."""

    def run() -> float:
        return float(subprocess.check_output(argv))

    return run


def interleaved(runs: Mapping[str, Run], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of every round but the first, which only warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            took = run()
            if number:
                seconds[name].append(took)
    return seconds


def print_table(title: str, seconds: Mapping[str, Sequence[float]], ours: str) -> None:
    """Print medians and spreads, and the ratios of ``ours`` to each other one."""
    rounds = len(seconds[ours])
    print(f"{title}; {rounds} rounds, interleaved")
    print(f"on {machine()}\n")
    print(f"| what | median s | min to max | {ours} ÷ it | min to max |")
    print("|---|---|---|---|---|")
    for name, each in seconds.items():
        ratios = [mine / its for mine, its in zip(seconds[ours], each)]
        print(f"| {name} | {_spread(each)} | {_spread(ratios)} |")
    print()


def _spread(values: Sequence[float]) -> str:
    median = statistics.median(values)
    return f"{median:.2f} | {min(values):.2f} to {max(values):.2f}"


def machine() -> str:
    """Return what the figures depend on, in a line."""
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores, Linux {platform.release()}, "
        f"Python {platform.python_version()}, load {load:.1f}"
    )
