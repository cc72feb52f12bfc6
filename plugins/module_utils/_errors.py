# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors that a person reads: what is wrong, where, and what to do."""

from __future__ import annotations


class LogwardError(Exception):
    """Anything that ends a module's run with a clear message."""


class OptionError(LogwardError):
    """A value that is refused before anything is touched."""

    def __init__(self, option: str, value: object, problem: str, remedy: str) -> None:
        """Name the option, its value, what is wrong with it and what to do."""
        super().__init__(f"{option}: {value!r} {problem}. {remedy}.")
        self.option = option


class HostError(LogwardError):
    """The host is not in a state in which the work can be done safely."""
