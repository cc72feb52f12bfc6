# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""PHP-FPM, each version that is installed: its unit decides for all its pools."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence

from .._edits import Edit
from .._writers import _php_fpm
from .._writers._files import below, list_names
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
from ._unit import configured_by_unit, refuse_masked, test_unit, unit_edit, unit_files

_NAME = re.compile(r"php([0-9]{1,2}\.[0-9]{1,2})?-fpm")


def of(name: str, root: str = "/") -> tuple[Service, ...] | None:
    """Return every version, or the one that is named; None for another kind's name.

    Raises OptionError where there is none.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    there = _versions(root)
    versions = [each for each in there if match[1] in (None, each)]
    if not versions:
        others = f"; there is php{'-fpm, php'.join(there)}-fpm" if there else ""
        raise not_found(
            name, f"is not installed{others}", "Install it, or leave it out"
        )
    services = [f"php{each}-fpm" for each in versions]
    for service in services:
        refuse_masked(name, f"{service}.service", root)
    return tuple(PhpFpm(each, f"{each}.service", root) for each in services)


def _versions(root: str) -> list[str]:
    """Return what is installed; a package that was removed leaves configuration."""
    return [
        version
        for version in list_names(root, "/etc/php")
        if os.path.lexists(below(root, f"/usr/sbin/php-fpm{version}"))
        and os.path.lexists(below(root, f"/etc/php/{version}/fpm/php-fpm.conf"))
    ]


class PhpFpm(Service):
    """One version: a master, and the processes of its pools."""

    rules = Rules(
        RESTART,
        "the master that a reload starts inherits the old one",
        RELOAD,
        "a reload starts processes that have all of them",
    )

    def configured(self) -> Configured:
        """Return what systemd starts it with."""
        found = configured_by_unit(self.root, self.unit)
        writers = _php_fpm.discover(self.root).writers
        identities = (
            each.identity
            for each in writers
            if each.launch is not None and each.launch.unit == self.unit
        )
        return Configured(found.umask, found.path, found.line, tuple(identities))

    def running(self) -> tuple[Running, ...]:
        """Return the master and its children; programs that these start are none."""
        program = f"php-fpm{self._version()}"
        return running_in(self.unit, lambda process: process.name == program)

    def umask_edit(self, umask: int) -> Edit:
        """Edit the administrator's unit files, or make a drop-in."""
        return unit_edit(self.root, self.unit, umask)

    def files(self) -> Iterable[str]:
        """Return its unit files."""
        return unit_files(self.root, self.unit)

    def test(self, copy: str, edits: Sequence[Edit]) -> None:
        """Have systemd judge the drop-in, and php-fpm what it would be started with."""
        test_unit(self.unit, copy, edits)
        version = self._version()
        main = f"/etc/php/{version}/fpm/php-fpm.conf"
        argv = [f"/usr/sbin/php-fpm{version}", "--test", "--fpm-config", main]
        answer = run(argv)
        if answer.status:
            raise refused(self.name, answer.status, answer.output)

    def at(self, root: str) -> PhpFpm:
        """Return it as it would be."""
        return PhpFpm(self.name, self.unit, root)

    def _version(self) -> str:
        return self.name[len("php") : -len("-fpm")]
