# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restarts of programs that a real supervisord runs; molecule/outage has units."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.logward.permissions.plugins.module_utils import (
    _service_restart,
)
from ansible_collections.logward.permissions.plugins.module_utils._service_restart import (
    RestartFailed,
    parse_restart_options,
    preview_restart,
    restart,
)
from ansible_collections.logward.permissions.plugins.module_utils._services import (
    _supervisor,
    _supervisor_parser,
)
from ansible_collections.logward.permissions.plugins.module_utils._services._budget import (
    Budget,
)

from .supervisord import Host, installed

Result = dict[str, Any]
SLEEP = "command = /bin/sleep 600"
CRASHES = "command = sh -c 'echo no way; exit 7'"
#: It never counts as running, and is tried more often than a test takes.
FOR_EVER = ("startsecs = 600", "startretries = 1000")
FINE = "it runs with what is configured"


@pytest.fixture
def host(
    supervised: Callable[..., Host], site: Path, monkeypatch: pytest.MonkeyPatch
) -> Host:
    """A supervisord, not started yet, whose configuration is the only one."""
    configurations = (f"{site}/supervisord.conf",)
    monkeypatch.setattr(_supervisor, "CONFIGURATIONS", configurations)
    monkeypatch.setattr(_service_restart, "require_debian", lambda: None)
    state = f"{site}/state"
    monkeypatch.setattr(_service_restart, "Budget", lambda most: Budget(most, state))
    monkeypatch.setattr(_supervisor_parser, "_PROGRAMS", [installed(site)])
    return supervised()


def call(host: Host, *programs: str, function: Any = restart, **more: Any) -> Result:
    options = {
        "services": [f"supervisor:{each}" for each in programs],
        "mode": "auto",
        "max_per_hour": 3,
        "timeout": 10,
        "run_id": None,
        "umask": None,
        "journal_dir": f"{host.root}/journal",
        "lock_timeout": 0,
        **more,
    }
    result: Result = function(parse_restart_options(options))
    return result


def failed(host: Host, *programs: str, **more: Any) -> tuple[str, Result]:
    """Return the message and the result of restarts that fail."""
    with pytest.raises(RestartFailed) as error:
        call(host, *programs, **more)
    return str(error.value), dict(error.value.result)


def done(result: Result) -> list[tuple[str, str]]:
    return [(each["action"], each["why"]) for each in result["services"]]


def test_program_that_comes_up_by_itself_is_waited_for(host: Host) -> None:
    host.program("slow", SLEEP, "startsecs = 4")
    host.start().wait_for("slow", "STARTING")
    pid = host.pid("slow")
    result = call(host, "slow")
    assert (host.state("slow"), host.pid("slow")) == ("RUNNING", pid)
    assert done(result) == [("none", FINE)]
    assert not result["changed"]


@pytest.mark.parametrize("function", [restart, preview_restart])
def test_never_does_not_even_wait(host: Host, function: Any) -> None:
    host.program("slow", SLEEP, "startsecs = 600")
    host.start().wait_for("slow", "STARTING")
    started = time.monotonic()
    result = call(host, "slow", function=function, mode="never", timeout=60)
    assert time.monotonic() - started < 30
    why = "it does not run as it should: it is STARTING; mode is never"
    assert done(result) == [("none", why)]


def test_program_that_starts_again_and_again(host: Host) -> None:
    """It is not waited for longer than asked, is started once, and told of."""
    host.program("loop", CRASHES, *FOR_EVER, "redirect_stderr = true")
    host.program("alone", SLEEP)
    host.start().wait_for("alone", "RUNNING")
    host.wait_for("loop", "BACKOFF")
    message, result = failed(host, "loop", "alone", timeout=2)
    ((action, why), (_none, other)) = done(result)
    assert action == "start"
    assert why.startswith("it does not run as it should: it is ")
    assert other == "not touched, because supervisor:loop did not come back"
    assert "supervisor:loop did not come back: it is " in message
    assert "It was started again, and still does not run" in message
    assert "Not touched after it: supervisor:alone" in message
    assert message.endswith("said last:\n" + "\n".join(result["last_lines"]))
    assert set(result["last_lines"]) == {"no way"}


def test_program_that_needs_longer_than_it_may(host: Host) -> None:
    host.program("alone", SLEEP, "startsecs = 600")
    host.start().wait_for("alone", "STARTING")
    before = host.pid("alone")
    started = time.monotonic()
    message, result = failed(host, "alone", mode="always", timeout=1)
    assert time.monotonic() - started < 30
    assert "supervisor:alone did not come back: it is STARTING" in message
    assert host.pid("alone") != before
    assert result["changed"]


def test_obstacle_holds_back_one_alone(host: Host, site: Path) -> None:
    for name in ("one", "two", "alone"):
        host.program(name, SLEEP)
    (site / "pair.ini").write_text("[group:pair]\nprograms = one,two\n")
    host.start()
    for name in ("pair:one", "pair:two", "alone"):
        host.wait_for(name, "RUNNING")
    before = host.pid("pair:one"), host.pid("pair:two")
    for name in ("one", "alone"):
        host.program(name, SLEEP, "umask = 0002")
    message, result = failed(host, "one", "alone")
    assert message.startswith(
        "supervisor:one was not restarted: its new umask takes effect only with its "
        "whole group, in which are supervisor:two, too"
    )
    ((action, why), (other, _why)) = done(result)
    assert (action, other) == ("none", "restart")
    assert "and 0002 is configured; " in why
    assert "; not done, because its new umask takes effect only with " in why
    assert (host.pid("pair:one"), host.pid("pair:two")) == before
    ((one_before, one_after), _alone) = (
        (each["before"], each["after"]) for each in result["services"]
    )
    assert one_before == one_after
    assert call(host, "one", mode="never")["changed"] is False


def test_preview_knows_what_a_planned_umask_is_held_back_by(
    host: Host, site: Path
) -> None:
    """As it will be: a program without a umask of its own is given one."""
    for name in ("one", "two", "alone"):
        host.program(name, SLEEP)
    (site / "pair.ini").write_text("[group:pair]\nprograms = one,two\n")
    host.start()
    for name in ("pair:one", "pair:two", "alone"):
        host.wait_for(name, "RUNNING")
    preview = {"function": preview_restart, "umask": "0002"}
    message, result = failed(host, "one", "alone", **preview)
    assert [action for action, _why in done(result)] == ["none", "restart"]
    assert message.startswith("supervisor:one was not restarted: its new umask takes ")
    result = call(host, "one", "two", **preview)
    assert [action for action, _why in done(result)] == ["restart", "restart"]
    assert not call(host, "alone", **{**preview, "umask": "0022"})["changed"]


def test_never_tells_of_a_problem_and_fails_for_none(host: Host) -> None:
    host.program("alone", SLEEP)
    host.start().wait_for("alone", "RUNNING")
    host.signal(signal.SIGSTOP)
    result = call(host, "alone", mode="never", timeout=1)
    ((action, why),) = done(result)
    assert action == "none"
    assert "did not answer within 1 s" in why
    message, _result = failed(host, "alone", timeout=1)
    assert message.startswith("supervisor:alone was not restarted: supervisor cannot")
