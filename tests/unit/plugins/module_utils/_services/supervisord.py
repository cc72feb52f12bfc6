# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real supervisord for tests, with a directory of its own."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from ansible_collections.logward.permissions.plugins.module_utils._services._supervisor_rpc import (
    Endpoint,
    Fault,
    Supervisor,
    find_endpoint,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._supervisor_ini import (
    read,
)

CONFIGURATION = """
[unix_http_server]
file = %(here)s/supervisor.sock
{server}
[supervisord]
nodaemon = true
directory = %(here)s
logfile = %(here)s/supervisord.log
pidfile = %(here)s/supervisord.pid
childlogdir = %(here)s
{own}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[include]
files = %(here)s/*.ini
{more}
"""


def installed(site: Path) -> str:
    """Return a supervisord as a package installs it, for the Python of the tests."""
    python, program = site / "python", site / "supervisord"
    package = find_spec("supervisor")
    assert package is not None
    assert package.origin is not None
    variable = f"PYTHONPATH={Path(package.origin).parents[1]}"
    python.write_text(f'#!/bin/sh\n{variable} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    program.write_text(f"#!{python}\n")
    return str(program)


class Host:
    """The files of a supervisord, and the daemon once it is started."""

    def __init__(
        self, root: Path, server: str = "", own: str = "", more: str = ""
    ) -> None:
        self.root = root
        self.path = root / "supervisord.conf"
        self.path.write_text(
            CONFIGURATION.format(server=server, own=own, more=more), encoding="utf-8"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def program(self, name: str, *lines: str) -> None:
        """Write the file of a program that logs to the directory."""
        text = "\n".join([f"[program:{name}]", *lines, ""])
        (self.root / f"{name}.ini").write_text(text, encoding="utf-8")

    def endpoint(self) -> Endpoint:
        return find_endpoint(read("/", str(self.path)), str(self.path))

    def supervisor(self, timeout: float = 5) -> Supervisor:
        return Supervisor(self.endpoint(), timeout)

    def start(self) -> Host:
        script = "from supervisor.supervisord import main; main()"
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", script, "-c", str(self.path)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            umask=0o022,
        )
        deadline = time.monotonic() + 20
        while not self._listens():
            assert self._process.poll() is None, "supervisord does not start"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return self

    def _listens(self) -> bool:
        """Tell whether the socket is there, and somebody behind it."""
        with socket.socket(socket.AF_UNIX) as connection:
            return connection.connect_ex(str(self.root / "supervisor.sock")) == 0

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> None:
        """End it with its programs."""
        if self._process is None:
            return
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            self._process.wait(15)
        finally:
            self._process.kill()
            self._process.wait()

    def state(self, name: str) -> str:
        return str(
            self.supervisor().call("supervisor.getProcessInfo", name)["statename"]
        )

    def pid(self, name: str) -> int:
        return int(self.supervisor().call("supervisor.getProcessInfo", name)["pid"])

    def wait_for(self, name: str, state: str) -> None:
        """Wait until a program is in a state."""
        deadline = time.monotonic() + 15
        while self._state_or_nothing(name) != state:
            assert time.monotonic() < deadline, self._state_or_nothing(name)
            time.sleep(0.05)

    def _state_or_nothing(self, name: str) -> str | None:
        try:
            return self.state(name)
        except Fault:
            return None
