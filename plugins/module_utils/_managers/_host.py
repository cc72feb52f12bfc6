# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What several managers are read from: the host's files, and systemd's services."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from .._writers._files import list_names
from .._writers._source import Problem
from .._writers._unit_files import DIRECTORIES, Setting, files_of, read

_NAME = re.compile(r"[A-Za-z0-9:_.\\@-]+\.service")
_MAX_UNITS = 5000


@dataclass(frozen=True)
class Service:
    """A unit of systemd, and what stands in its section [Service]."""

    name: str
    settings: Sequence[Setting]

    def last(self, key: str, default: str = "") -> str:
        """Return the value that counts of a setting that is set once."""
        values = [each.value for each in self.settings if each.key == key]
        return values[-1] if values else default

    def listed(self, key: str) -> Iterator[Setting]:
        """Yield the settings that add up to a list; an empty one begins it anew."""
        found: list[Setting] = []
        for each in self.settings:
            if each.key == key:
                found = [*found, each] if each.value else []
        yield from found


@dataclass(frozen=True)
class Host:
    """The host whose file system is below ``root``."""

    root: str = "/"

    @cached_property
    def services(self) -> tuple[Service, ...]:
        """All services that have a unit file, whether or not they run."""
        return tuple(service for service, _problems in self._services)

    @cached_property
    def problems(self) -> tuple[Problem, ...]:
        """What of unit files systemd ignores."""
        return tuple(each for _service, problems in self._services for each in problems)

    @cached_property
    def _services(self) -> tuple[tuple[Service, tuple[Problem, ...]], ...]:
        names = {
            name
            for directory in DIRECTORIES
            for name in self._names(directory)
            if _NAME.fullmatch(name)
        }
        return tuple(self._service(name) for name in sorted(names)[:_MAX_UNITS])

    def _names(self, directory: str) -> list[str]:
        try:
            return list_names(self.root, directory)
        except OSError:
            return []

    def _service(self, name: str) -> tuple[Service, tuple[Problem, ...]]:
        settings, problems = read(self.root, files_of(self.root, name))
        mine = tuple(each for each in settings if each.section == "Service")
        return Service(name, mine), tuple(problems)
