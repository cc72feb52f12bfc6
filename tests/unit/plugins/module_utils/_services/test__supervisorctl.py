# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What supervisorctl answers. The program is a script: molecule asks the real one."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    HostError,
)
from ansible_collections.logward.permissions.plugins.module_utils._services import (
    _supervisorctl,
)
from ansible_collections.logward.permissions.plugins.module_utils._services._supervisorctl import (
    Control,
    State,
)

STATUS = """\
g:worker-00                      RUNNING   pid 398, uptime 0:03:31
g:worker-01                      STOPPED   Nov 28 05:08 AM
mail                             FATAL     Exited too quickly (process log may have details)
new                              STARTING
stubborn                         STOPPING  pid 12, uptime 1 day, 0:00:00
"""
STATES = {
    "g:worker-00": State("RUNNING", 398),
    "g:worker-01": State("STOPPED", None),
    "mail": State("FATAL", None),
    "new": State("STARTING", None),
    "stubborn": State("STOPPING", 12),
}

Answering = Callable[[str, int], Control]


@pytest.fixture
def answering(tmp_path: Path) -> Answering:
    """Return a function that makes a supervisorctl which answers so."""

    def answering(output: str, status: int) -> Control:
        (tmp_path / "answer").write_text(output)
        program = tmp_path / "supervisorctl"
        script = f'echo "$@" >{tmp_path}/asked; cat {tmp_path}/answer; exit {status}'
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return Control("/etc/s.conf", "/run/s.sock", str(program))

    return answering


@pytest.mark.parametrize("status", [0, 3])
def test_states(answering: Answering, tmp_path: Path, status: int) -> None:
    assert answering(STATUS, status).states() == STATES
    asked = (tmp_path / "asked").read_text()
    assert asked == "-c /etc/s.conf -s unix:///run/s.sock status\n"


def test_no_programs(answering: Answering) -> None:
    assert answering("", 0).states() == {}


@pytest.mark.parametrize("says", ["no such file", "refused connection"])
def test_nobody_listens(answering: Answering, says: str) -> None:
    assert answering(f"unix:///run/s.sock {says}\n", 4).states() is None


def test_password_is_wrong(answering: Answering) -> None:
    control = answering("Server requires authentication\nerror: <class 'x'>\n", 2)
    with pytest.raises(
        HostError, match=r"status failed: Server requires auth.*s\.sock"
    ):
        control.states()


def test_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "supervisorctl"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(_supervisorctl, "_TIMEOUT_SECONDS", 0.2)
    control = Control("/etc/s.conf", "/run/s.sock", str(program))
    with pytest.raises(HostError, match=r"supervisorctl did not answer within 0\.2 s"):
        control.states()
