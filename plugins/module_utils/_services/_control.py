# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What it takes to restart a service of any kind, and to see it come back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from ._service import Running

#: A service that ends sooner than this after its start has not come back.
SETTLED_SECONDS = 2.0


@dataclass(frozen=True)
class State:
    """How a service is. ``word`` is what its manager calls that.

    ``is_settled`` is true once it has been up for as long as it must be, ``is_down``
    once it will not come up by itself. ``main`` are the pids of the processes that
    its manager started, ``running`` all of its own.
    """

    word: str
    is_up: bool
    is_settled: bool
    is_down: bool
    main: frozenset[int]
    running: tuple[Running, ...]
    idle_because: str | None = None


class Control(ABC):
    """One service, as its manager sees it. Everything raises HostError."""

    @abstractmethod
    def state(self) -> State:
        """Ask how it is."""

    @abstractmethod
    def obstacle(self, state: State, umask: int) -> str | None:
        """Say why a restart would not give it a configured umask; None if it does."""

    @abstractmethod
    def test(self) -> None:
        """Have its own check judge its configuration. Changes nothing."""

    @abstractmethod
    def act(self, action: str) -> None:
        """Reload, restart or start it with what is configured now."""

    @abstractmethod
    def last_lines(self) -> tuple[str, ...]:
        """Return what it said last, as it can be shown; never raises."""
