# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Callable

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    HostError,
)
from ansible_collections.logward.permissions.plugins.module_utils._services import (
    _program_control,
    _supervisor,
)
from ansible_collections.logward.permissions.plugins.module_utils._services._supervisor import (
    SupervisorProgram,
)

from .supervisord import Host

SLEEP = "command = /bin/sleep 600"
GROUP = "[group:pair]\nprograms = one,two"


@pytest.fixture
def host(
    supervised: Callable[..., Host], site: Path, monkeypatch: pytest.MonkeyPatch
) -> Host:
    """A supervisord whose configuration is the only one that is found."""
    configurations = (f"{site}/supervisord.conf",)
    monkeypatch.setattr(_supervisor, "CONFIGURATIONS", configurations)
    host = supervised(more=GROUP)
    for name in ("one", "two", "alone", "beside"):
        host.program(name, SLEEP)
    return host.start()


def control(
    host: Host, name: str, named: Iterable[str] = ()
) -> _program_control.ProgramControl:
    service = SupervisorProgram(f"supervisor:{name}", "supervisor.service")
    names = frozenset(f"supervisor:{each}" for each in (name, *named))
    return _program_control.ProgramControl(service, host.supervisor(), 5, names)


def wait_for(control: _program_control.ProgramControl) -> None:
    deadline = time.monotonic() + 10
    while not control.state().is_settled:
        assert time.monotonic() < deadline, control.state()
        time.sleep(0.1)


def pids(host: Host) -> dict[str, int]:
    infos = host.supervisor().call("supervisor.getAllProcessInfo")
    return {f"{each['group']}:{each['name']}": each["pid"] for each in infos}


def changed(before: dict[str, int], after: dict[str, int]) -> set[str]:
    return {name for name in {*before, *after} if before.get(name) != after.get(name)}


def test_restart_of_a_program_alone(host: Host) -> None:
    alone = control(host, "alone")
    wait_for(alone)
    before = pids(host)
    alone.act("restart")
    wait_for(alone)
    assert changed(before, pids(host)) == {"alone:alone"}
    assert alone.state().main == {pids(host)["alone:alone"]}


def test_new_configuration_of_it_and_of_no_other(host: Host) -> None:
    alone = control(host, "alone")
    wait_for(alone)
    before = pids(host)
    host.program("alone", SLEEP, "umask = 0002")
    host.program("beside", SLEEP, "umask = 0002")
    assert alone.obstacle(alone.state(), 0o002) is None
    alone.act("restart")
    wait_for(alone)
    assert changed(before, pids(host)) == {"alone:alone"}
    assert [each.umask for each in alone.state().running] == [0o002]


def test_group_of_which_all_are_named(host: Host) -> None:
    one = control(host, "one", ["two"])
    wait_for(one)
    before = pids(host)
    host.program("one", SLEEP, "umask = 0002")
    assert one.obstacle(one.state(), 0o002) is None
    one.act("restart")
    wait_for(one)
    assert changed(before, pids(host)) == {"pair:one", "pair:two"}
    assert [each.umask for each in one.state().running] == [0o002]


def test_group_of_which_others_are_not_named(host: Host) -> None:
    one = control(host, "one")
    wait_for(one)
    before = pids(host)
    host.program("one", SLEEP, "umask = 0002")
    obstacle = one.obstacle(one.state(), 0o002)
    assert obstacle is not None
    assert "supervisor:two, too. Name supervisor:pair:* instead" in obstacle
    one.act("restart")  # for another reason, such as its groups
    wait_for(one)
    assert changed(before, pids(host)) == {"pair:one"}


def test_what_a_killed_run_has_left_out_is_added_again(host: Host) -> None:
    alone = control(host, "alone")
    wait_for(alone)
    supervisor = host.supervisor()
    supervisor.call("supervisor.stopProcess", "alone")
    supervisor.call("supervisor.removeProcessGroup", "alone")
    state = alone.state()
    assert (state.is_up, state.is_down) == (False, True)
    assert state.word.startswith("unknown to supervisord")
    alone.act("start")
    wait_for(alone)


def test_program_that_gives_up_and_what_it_said(host: Host) -> None:
    script = "printf 'no \\033[31mway\\n' >&2; exit 7"
    host.program("alone", f'command = sh -c "{script}"', "startretries = 0")
    alone = control(host, "alone")
    alone.act("restart")
    host.wait_for("alone", "FATAL")
    state = alone.state()
    assert (state.word, state.is_up, state.is_down) == ("FATAL", False, True)
    assert set(alone.last_lines()) == {"no ?[31mway"}


def test_configuration_that_supervisor_refuses(host: Host) -> None:
    alone = control(host, "alone")
    wait_for(alone)
    before = pids(host)
    host.program("beside", SLEEP, "umask = nonsense")
    with pytest.raises(HostError, match=r"refuses its configuration: .*nonsense"):
        alone.act("restart")
    assert pids(host) == before


def test_what_supervisor_refuses_is_told_without_a_secret(host: Host) -> None:
    alone = control(host, "alone")
    wait_for(alone)
    host.program("beside", SLEEP, "environment = PASSWORD=hunter2,A")
    with pytest.raises(HostError, match="refuses its configuration: ") as refused:
        alone.act("restart")
    assert "program:beside" in str(refused.value)
    assert "hunter2" not in str(refused.value)
