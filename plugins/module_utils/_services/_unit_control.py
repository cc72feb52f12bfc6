# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services that systemd itself runs: Apache, PHP-FPM, supervisord, any other unit."""

from __future__ import annotations

import time
from collections.abc import Mapping

from .._edits import Edit
from .._errors import HostError
from .._names import display
from ._commands import last_lines, run, said
from ._control import SETTLED_SECONDS, Control, State
from ._copy import copied
from ._service import RELOAD, Service
from ._text import content_of, resolved
from ._unit import reload_units

_PROPERTIES = (
    "LoadState",
    "ActiveState",
    "SubState",
    "MainPID",
    "Type",
    "RemainAfterExit",
    "TriggeredBy",
    "ActiveEnterTimestampMonotonic",
)


class UnitControl(Control):
    """A unit. ``timeout``, in seconds, is how long systemd may take to restart it."""

    def __init__(self, service: Service, timeout: float) -> None:
        """Take a service whose unit is its own."""
        self._service = service
        self._unit = service.unit
        self._timeout = timeout

    def state(self) -> State:
        """Ask systemd, and /proc."""
        shown = self._show()
        if shown["LoadState"] != "loaded":
            raise HostError(
                f"{self._unit} cannot be started: systemd calls it "
                f"{display(shown['LoadState'])}. Look at: systemctl status {self._unit}"
            )
        active, sub = shown["ActiveState"], shown["SubState"]
        is_up = active == "active" and (
            sub != "exited" or shown["RemainAfterExit"] == "yes"
        )
        main = int(shown["MainPID"])
        return State(
            active if active == sub else f"{active} ({sub})",
            is_up,
            is_up and _up_seconds(shown) >= SETTLED_SECONDS,
            active in ("failed", "inactive"),
            frozenset([main] if main else []),
            self._service.running(),
            _idle_because(shown),
        )

    def obstacle(self, state: State, umask: int) -> str | None:
        """Return None: systemd starts it with what its files say."""
        del state, umask
        return None

    def test(self) -> None:
        """Have its own check judge its files as they are."""
        service = self._service
        files = list(service.files())
        as_they_are = [_unchanged(service.root, path) for path in files]
        with copied(service.root, files, as_they_are) as copy:
            service.test(copy, as_they_are)

    def act(self, action: str) -> None:
        """Have systemd do it, and wait until it says that it has."""
        if action != RELOAD:
            # Not only where NeedDaemonReload= says so: of a unit's first drop-in it
            # does not know yet.
            reload_units()
        # What has failed too often would not be started.
        run(["systemctl", "reset-failed", "--", self._unit])
        argv = ["systemctl", action, "--", self._unit]
        answer = run(argv, timeout=self._timeout)
        if answer.status:
            raise HostError(f"{' '.join(argv)} failed: {said(answer.output)}")

    def last_lines(self) -> tuple[str, ...]:
        """Return what the journal has of the unit."""
        argv = ["journalctl", "--unit", self._unit, "--lines=20", "--output=cat"]
        try:
            return last_lines(run([*argv, "--no-pager", "--quiet"]).output)
        except HostError as error:
            return last_lines(str(error))

    def _show(self) -> Mapping[str, str]:
        argv = ["systemctl", "show", f"--property={','.join(_PROPERTIES)}"]
        answer = run([*argv, "--", self._unit])
        shown = dict(line.partition("=")[::2] for line in answer.output.split("\n"))
        if answer.status or not shown.get("ActiveState"):
            raise HostError(f"systemctl show {self._unit}: {said(answer.output)}")
        return {key: shown.get(key, "") for key in _PROPERTIES}


def _up_seconds(shown: Mapping[str, str]) -> float:
    since = int(shown["ActiveEnterTimestampMonotonic"] or 0) / 10**6
    return time.clock_gettime(time.CLOCK_MONOTONIC) - since


def _idle_because(shown: Mapping[str, str]) -> str | None:
    if shown["TriggeredBy"]:
        return f"it is started by {display(shown['TriggeredBy'])}"
    if shown["Type"] == "oneshot" and shown["RemainAfterExit"] != "yes":
        return "it does its work once and ends (Type=oneshot)"
    return None


def _unchanged(root: str, path: str) -> Edit:
    content = content_of(root, path)
    return Edit(resolved(root, path), content, content)
