# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The umask of services: configured and running side by side, and another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ._apply_edits import apply_edits, preview_edits
from ._edits import Edit, merged
from ._host import require_debian, require_root
from ._result import octal
from ._run import RunOptions, parse_run_options
from ._services._kinds import find_services
from ._services._service import Configured, Running, Service, checked_umask, need
from ._services._unit import is_unit_file, needs_reload, reload_units


@dataclass(frozen=True)
class UmaskOptions:
    """Which services get which umask."""

    services: tuple[str, ...]
    umask: int
    run: RunOptions


def parse_umask_options(params: Mapping[str, Any]) -> UmaskOptions:
    """Check the options. Raises OptionError."""
    return UmaskOptions(
        tuple(params["services"]),
        checked_umask(params["umask"]),
        parse_run_options(params),
    )


def umask_info(names: Sequence[str]) -> dict[str, Any]:
    """Return what services are configured and run with; changes nothing."""
    require_root()
    require_debian()
    services = find_services(names)
    return {"services": [_fields(each, each.configured()) for each in services]}


def preview_umask(options: UmaskOptions) -> dict[str, Any]:
    """Return what ``set_umask`` would do; changes nothing (check mode)."""
    change = _Change(options)
    result = preview_edits(change.plan, options.run, change.check)
    return {**result, "services": change.results()}


def set_umask(options: UmaskOptions) -> dict[str, Any]:
    """Give services a umask, which they run with once they are restarted.

    Raises OptionError and HostError; an edit that a service refuses is not made.
    """
    change = _Change(options)
    result = apply_edits(change.plan, options.run, change.check)
    change.have_systemd_read()
    return {**result, "services": change.results()}


class _Change:
    """Plans and checks one umask for several services."""

    def __init__(self, options: UmaskOptions) -> None:
        require_root()
        require_debian()
        self._options = options
        self.services = find_services(options.services)
        self._edits: list[Edit] = []
        self._configured: dict[str, Configured] = {}

    def plan(self) -> list[Edit]:
        """Return one edit for each file."""
        umask = self._options.umask
        self._edits = merged([each.umask_edit(umask) for each in self.services])
        return self._edits

    def check(self, edits: Sequence[Edit]) -> None:
        """Have each service judge all edits, on a copy."""
        for service in self.services:
            self._configured[service.name] = service.check(edits, self._options.umask)

    def results(self) -> list[dict[str, Any]]:
        """Return each service as it is with the edits, made or not."""
        return [
            _fields(service, self._configured.get(service.name) or service.configured())
            for service in self.services
        ]

    def have_systemd_read(self) -> None:
        """Have systemd read unit files again, also if a run was killed before that."""
        edits = [each for each in self._edits if is_unit_file(each.path)]
        # systemd itself does not notice the first drop-in of a unit.
        if any(each.before != each.after for each in edits) or any(
            needs_reload(each.unit) for each in self.services if edits
        ):
            reload_units()


def _fields(service: Service, configured: Configured) -> dict[str, Any]:
    running = service.running()
    needed = need(configured, running, service.rules)
    return {
        "name": service.name,
        "configured": _configured_fields(configured),
        "running": [_running_fields(each) for each in running],
        "restart_needed": needed.action,
        "why": needed.why,
    }


def _configured_fields(configured: Configured) -> dict[str, Any]:
    return {
        "umask": octal(configured.umask),
        "path": configured.path or None,
        "line": configured.line or None,
    }


def _running_fields(running: Running) -> dict[str, Any]:
    return {
        "pid": running.pid,
        "umask": octal(running.umask),
        "groups": sorted(running.groups),
    }
