# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any service of systemd: ``UMask=`` of its unit decides."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from .._edits import Edit
from .._errors import HostError
from .._writers._systemd import Unit, read_unit, writers_of
from .._writers._unit_files import files_of
from ._processes import running_as
from ._service import RESTART, Configured, Rules, Running, Service, not_found
from ._unit import configured_by_unit, refuse_masked, test_unit, unit_edit, unit_files

PREFIX = "systemd:"
#: Units whose own configuration may decide, and what these are called then.
_BETTER = re.compile(r"(apache2|supervisor|php[0-9.]+-fpm)\.service")
_NAME = re.compile(r"[A-Za-z0-9:_.\\@-]{1,247}\.service")


def of(name: str, root: str = "/") -> tuple[Service, ...] | None:
    """Return a unit; None for a name of another kind. OptionError where it is not there."""
    if not name.startswith(PREFIX):
        return None
    unit = name[len(PREFIX) :]
    unit = unit if "." in unit else f"{unit}.service"
    if not _NAME.fullmatch(unit):
        raise not_found(
            name, "is no service of systemd", "Name it systemd:NAME.service"
        )
    better = _BETTER.fullmatch(unit)
    if better is not None:
        raise not_found(name, "is known better", f"Name it {better[1]}")
    refuse_masked(name, unit, root)
    if not files_of(root, unit):
        raise not_found(
            name,
            f"is not installed: there is no {unit}",
            "Install it, or leave it out",
        )
    return (Systemd(f"{PREFIX}{unit}", unit, root),)


class Systemd(Service):
    """A unit; of its processes only the main one is known to be as it is told."""

    rules = Rules(
        RESTART,
        "systemd gives it a new one when it is started again",
        RESTART,
        "systemd gives it all of them when it is started again",
    )

    def configured(self) -> Configured:
        """Return what systemd starts it with."""
        found = configured_by_unit(self.root, self.unit)
        unit = self._unit() if self.root == "/" else None
        writers = writers_of([unit], self.root).writers if unit else ()
        identities = (each.identity for each in writers if each.service == self.name)
        return Configured(found.umask, found.path, found.line, tuple(identities))

    def running(self) -> tuple[Running, ...]:
        """Return its main process."""
        unit = self._unit()
        return running_as([unit.main_pid] if unit and unit.main_pid else [])

    def umask_edit(self, umask: int) -> Edit:
        """Edit the administrator's unit files, or make a drop-in."""
        return unit_edit(self.root, self.unit, umask)

    def files(self) -> Iterable[str]:
        """Return its unit files."""
        return unit_files(self.root, self.unit)

    def test(self, copy: str, edits: Sequence[Edit]) -> None:
        """Have systemd judge them."""
        test_unit(self.unit, copy, edits)

    def at(self, root: str) -> Systemd:
        """Return it as it would be."""
        return Systemd(self.name, self.unit, root)

    def _unit(self) -> Unit | None:
        try:
            return read_unit(self.unit)
        except OSError as error:
            raise HostError(f"{self.unit}: {error.strerror or error}") from error
