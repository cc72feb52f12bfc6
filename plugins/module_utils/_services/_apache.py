# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apache as Debian runs it: ``envvars`` decides, or else its unit."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence

from .._edits import Edit
from .._errors import HostError
from .._writers import _apache
from .._writers._apache_envvars import Environment, evaluate
from .._writers._files import below
from ._commands import run
from ._processes import running_in
from ._service import (
    RELOAD,
    RESTART,
    Configured,
    Rules,
    Running,
    Service,
    not_found,
    refused,
)
from ._text import content_of, replaced_line, resolved
from ._unit import configured_by_unit, refuse_masked, test_unit, unit_edit, unit_files

NAME = "apache2"
_UNIT = "apache2.service"
_DIRECTORY = "/etc/apache2"
_ENVVARS = f"{_DIRECTORY}/envvars"
_CONTROL = "/usr/sbin/apache2ctl"
_UMASK = re.compile(rb"((?:^|[\s;&])umask[ \t]+)([^\s;&|#]+)()")


def of(name: str, root: str = "/") -> tuple[Service, ...] | None:
    """Return Apache; None for another name. OptionError where it is not there."""
    if name != NAME:
        return None
    if not os.path.lexists(below(root, "/usr/sbin/apache2")):
        raise not_found(name, "is not installed", "Install it, or leave it out")
    refuse_masked(name, _UNIT, root)
    return (Apache(NAME, _UNIT, root),)


class Apache(Service):
    """The only instance of Apache that has no name."""

    rules = Rules(
        RESTART,
        "the processes that a reload starts inherit the old one",
        RELOAD,
        "a reload starts processes that have all of them",
    )

    def configured(self) -> Configured:
        """Return what envvars sets, or else what systemd starts it with."""
        environment = self._environment()
        found = configured_by_unit(self.root, self.unit)
        if environment.umask is not None and environment.umask_place is not None:
            found = Configured(environment.umask, *environment.umask_place)
        writers = _apache.discover(self.root).writers
        identities = (each.identity for each in writers if each.service == NAME)
        return Configured(found.umask, found.path, found.line, tuple(identities))

    def running(self) -> tuple[Running, ...]:
        """Return the parent and its children; programs that these start are none."""
        return running_in(self.unit, lambda process: process.name == NAME)

    def umask_edit(self, umask: int) -> Edit:
        """Edit where it is set; where nothing does, envvars."""
        place = self._environment().umask_place
        if place is not None:
            return replaced_line(self.root, *place, _UMASK, umask)
        by_unit = configured_by_unit(self.root, self.unit)
        if by_unit.path or by_unit.umask == umask:
            return unit_edit(self.root, self.unit, umask)
        before = content_of(self.root, _ENVVARS) or b""
        end = b"" if before.endswith(b"\n") or not before else b"\n"
        after = before + end + b"umask %04o\n" % umask
        return Edit(resolved(self.root, _ENVVARS), before or None, after)

    def files(self) -> Iterable[str]:
        """Return envvars, what sets the umask, and the unit's files."""
        place = self._environment().umask_place
        return (
            _ENVVARS,
            *([place[0]] if place else []),
            *unit_files(self.root, self.unit),
        )

    def test(self, copy: str, edits: Sequence[Edit]) -> None:
        """Have apachectl test the configuration, with the edited envvars."""
        test_unit(self.unit, copy, edits)
        answer = run(
            [_CONTROL, "configtest"], {"APACHE_ENVVARS": below(copy, _ENVVARS)}
        )
        if answer.status:
            raise refused(NAME, answer.status, answer.output.replace(copy, ""))

    def at(self, root: str) -> Apache:
        """Return it as it would be."""
        return Apache(self.name, self.unit, root)

    def _environment(self) -> Environment:
        variables = {"APACHE_CONFDIR": _DIRECTORY}
        environment = evaluate(self.root, _ENVVARS, variables)
        if not environment.umask_known and environment.umask_place is not None:
            path, line = environment.umask_place
            raise HostError(
                f"{path}:{line} sets a umask that is not known before Apache starts. "
                "Write it as a number, outside of any condition"
            )
        return environment
