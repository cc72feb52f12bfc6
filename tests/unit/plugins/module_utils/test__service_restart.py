# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to a service, and to those after it, where one does not come back.

A unit test has no systemd: here a control of the test's own stands for it. The
files, the edits, the journal and the budget are real. molecule/outage has the rest.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.logward.permissions.plugins.module_utils import (
    _service_restart,
    _service_umask,
)
from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    HostError,
)
from ansible_collections.logward.permissions.plugins.module_utils._service_restart import (
    RestartFailed,
    parse_restart_options,
    preview_restart,
    restart,
)
from ansible_collections.logward.permissions.plugins.module_utils._service_umask import (
    parse_umask_options,
    set_umask,
)
from ansible_collections.logward.permissions.plugins.module_utils._services._budget import (
    Budget,
)
from ansible_collections.logward.permissions.plugins.module_utils._services._control import (
    Control,
    State,
)
from ansible_collections.logward.permissions.plugins.module_utils._services._service import (
    Running,
    Service,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._services import (
    hosts,
)

Result = dict[str, Any]


class Placed(hosts.Plain):
    """Names its file as it is on this host: a restart knows no root but ``/``."""

    def files(self) -> Iterable[str]:
        if self.name == "lost":
            raise HostError("what lost reads cannot be told")
        return [f"{self.root}{self.path}"]


class Fake(Control):
    """Runs with the umask of its file, unless that is 0077: then it stays down.

    ``stuck`` does not do what it is told, and runs on.
    """

    def __init__(self, service: Service, acts: list[str]) -> None:
        self._service = service
        self._acts = acts
        self._pid = 1000
        self._umask = 0o022

    def state(self) -> State:
        up = self._umask != 0o077
        running = Running(self._pid, self._umask, 0, frozenset([0]))
        word = "active" if up else "failed"
        main = frozenset([self._pid] if up else [])
        return State(word, up, up, not up, main, (running,) if up else ())

    def obstacle(self, state: State, umask: int) -> str | None:
        del state, umask
        return None

    def test(self) -> None:
        if self._service.name == "broken":
            raise HostError("broken refuses its configuration")

    def act(self, action: str) -> None:
        self._acts.append(f"{action} {self._service.name}")
        if self._service.name == "stuck":
            raise HostError("stuck is busy")
        self._pid += 1
        self._umask = self._service.configured().umask

    def last_lines(self) -> tuple[str, ...]:
        return ("cannot start",)


@pytest.fixture
def acts(site: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done with the services ``a``, ``b``, ``c``, and those with a fault."""
    acts: list[str] = []
    (site / "etc").mkdir()
    for name in ("a", "b", "c", "broken", "lost", "stuck"):
        (site / "etc" / name).write_text("0022\n")

    def find(names: Sequence[str]) -> tuple[Service, ...]:
        return tuple(hosts.Plain(each, f"{each}.service", str(site)) for each in names)

    class Controls:
        def __init__(self, _named: frozenset[str], _timeout: float) -> None:
            self._known: dict[str, Fake] = {}

        def of(self, service: Service) -> Control:
            return self._known.setdefault(service.name, Fake(service, acts))

    def placed(names: Sequence[str]) -> tuple[Service, ...]:
        return tuple(Placed(each, f"{each}.service", str(site)) for each in names)

    for module in (_service_restart, _service_umask):
        monkeypatch.setattr(module, "require_debian", lambda: None)
    monkeypatch.setattr(_service_umask, "find_services", find)
    monkeypatch.setattr(_service_restart, "find_services", placed)
    monkeypatch.setattr(_service_restart, "Controls", Controls)
    state = f"{site}/state"
    monkeypatch.setattr(_service_restart, "Budget", lambda most: Budget(most, state))
    return acts


def call(site: Path, function: Any = restart, **changes: Any) -> Result:
    options = {
        "services": ["a", "b", "c"],
        "mode": "always",
        "max_per_hour": 3,
        "timeout": 2,
        "run_id": None,
        "umask": None,
        "journal_dir": f"{site}/journal",
        "lock_timeout": 0,
        **changes,
    }
    result: Result = function(parse_restart_options(options))
    return result


def edit(site: Path, name: str, umask: str) -> None:
    options = {"services": [name], "umask": umask, "run_id": "run-1"}
    journal = {"journal_dir": f"{site}/journal", "lock_timeout": 0}
    keep = {"journal_keep": 100, "journal_keep_days": 90}
    set_umask(parse_umask_options({**options, **journal, **keep}))


def test_preview_touches_nothing(site: Path, acts: list[str]) -> None:
    found = call(site, preview_restart)
    assert [each["action"] for each in found["services"]] == ["reload"] * 3
    assert (acts, (site / "state").exists()) == ([], False)


def test_preview_tells_what_a_planned_umask_makes_due(
    site: Path, acts: list[str]
) -> None:
    options = {"mode": "auto", "umask": "0027", "services": ["a", "b"]}
    (site / "etc/b").write_text("0027\n")
    expected = [("restart", "and 0027 is configured; restart it")] * 2
    found = call(site, preview_restart, **options)["services"]
    assert [(each["action"], each["why"][-34:]) for each in found] == expected
    assert (site / "etc/a").read_text() == "0022\n"
    found = call(site, **options)["services"]
    assert [each["action"] for each in found] == ["none", "restart"]
    assert acts == ["restart b"]


def test_edit_of_one_that_does_not_come_back_is_put_back(
    site: Path, acts: list[str]
) -> None:
    (site / "etc/b").write_text("0027\n")
    edit(site, "b", "0077")
    with pytest.raises(RestartFailed) as failed:
        call(site, run_id="run-1")
    assert acts == ["reload a", "restart b", "start b"]
    assert (site / "etc/b").read_text() == "0027\n"
    assert failed.value.result["put_back"] == [f"{site}/etc/b"]
    assert failed.value.result["last_lines"] == ["cannot start"]
    for part in ("b did not come back", "Not touched after it: c", "runs as it did"):
        assert part in str(failed.value)


@pytest.mark.parametrize("broken", ["journal", "configuration"])
def test_what_cannot_be_put_back_is_started_all_the_same(
    site: Path, acts: list[str], monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    edit(site, "b", "0077")
    if broken == "journal":
        file = site / "journal/run-1/0001.jsonl"
        file.write_text(file.read_text().replace("0077", "0076") + "{}\n")
    else:

        def files(_service: Service) -> Iterable[str]:
            raise HostError("it cannot be read any more")

        monkeypatch.setattr(Placed, "files", files)
    with pytest.raises(RestartFailed, match="b was not put back") as failed:
        call(site, run_id="run-1")
    assert acts == ["reload a", "restart b", "start b"]
    assert "Not touched after it: c" in str(failed.value)


def test_an_error_of_the_system_ends_in_a_start_as_well(
    site: Path, acts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    act = Fake.act

    def fails_once(control: Fake, action: str) -> None:
        act(control, action)
        if action == "restart":
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Fake, "act", fails_once)
    edit(site, "b", "0077")
    with pytest.raises(RestartFailed, match=r"b did not come back: .*Input/output"):
        call(site, run_id="run-1")
    assert acts == ["reload a", "restart b", "start b"]


def test_without_a_run_nothing_is_put_back(site: Path, acts: list[str]) -> None:
    edit(site, "b", "0077")
    with pytest.raises(RestartFailed, match="still does not run"):
        call(site)
    assert acts == ["reload a", "restart b", "start b"]
    assert (site / "etc/b").read_text() == "0077\n"


def test_problem_holds_back_one_alone(site: Path, acts: list[str]) -> None:
    with pytest.raises(RestartFailed, match="broken was not restarted: broken refuses"):
        call(site, services=["broken", "a"])
    call(site, services=["a"])
    acts.clear()
    with pytest.raises(RestartFailed, match="a was not restarted: it was restarted 2"):
        call(site, services=["a", "b"], max_per_hour=2)
    assert acts == ["reload b"]


def test_edit_that_somebody_changed_since_is_left_alone(
    site: Path, acts: list[str]
) -> None:
    edit(site, "b", "0077")
    (site / "etc/b").write_text("077\n")
    with pytest.raises(RestartFailed) as failed:
        call(site, services=["b", "a"], run_id="run-1")
    assert acts == ["restart b", "start b"]
    assert (site / "etc/b").read_text() == "077\n"
    assert failed.value.result["put_back"] == []
    message = str(failed.value)
    assert f"{site}/etc/b was not put back: changed_since. It was started" in message
    assert "It was started again, and still does not run" in message
    assert "was put back (" not in message


@pytest.mark.parametrize("name", ["b", "lost"])
def test_it_is_started_again_where_nothing_can_be_put_back(
    site: Path, acts: list[str], name: str
) -> None:
    """The journal is damaged, or it is not known what the service reads."""
    edit(site, name, "0077")
    if name == "b":
        file = site / "journal/run-1/0001.jsonl"
        file.write_bytes(file.read_bytes().replace(b"edit", b"tide"))
    with pytest.raises(RestartFailed) as failed:
        call(site, services=[name, "a"], run_id="run-1")
    assert acts == [f"restart {name}", f"start {name}"]
    assert f"{name} was not put back: " in str(failed.value)
    assert failed.value.result["last_lines"] == ["cannot start"]


def test_one_that_is_not_restarted_and_runs_on(site: Path, acts: list[str]) -> None:
    with pytest.raises(RestartFailed) as failed:
        call(site, services=["stuck", "a"])
    assert acts == ["reload stuck"]
    message = str(failed.value)
    assert message.startswith("stuck did not come back: stuck is busy. It runs. Not ")
    stuck, _other = failed.value.result["services"]
    assert stuck["before"] == stuck["after"] != []


def test_what_keeps_it_from_being_started_again_is_told(
    site: Path, acts: list[str]
) -> None:
    edit(site, "stuck", "0027")
    with pytest.raises(RestartFailed, match=r"put back .*\. stuck is busy\. It was "):
        call(site, services=["stuck"], run_id="run-1")
    assert acts == ["restart stuck", "restart stuck"]
    assert (site / "etc/stuck").read_text() == "0022\n"


def test_never_says_what_is_due_and_fails_for_nothing(
    site: Path, acts: list[str]
) -> None:
    for name in ("a", "broken"):
        (site / "etc" / name).write_text("0027\n")
    result = call(site, services=["a", "broken", "b"], mode="never")
    assert [each["action"] for each in result["services"]] == ["none"] * 3
    due, broken, fine = (each["why"] for each in result["services"])
    for why in (due, broken):
        assert why.endswith("and 0027 is configured; restart it; mode is never")
    assert fine == "it runs with what is configured"
    assert (result["changed"], acts, (site / "state").exists()) == (False, [], False)


def test_nothing_is_done_that_cannot_be_counted(
    site: Path, acts: list[str], mounted: Callable[..., Path]
) -> None:
    mounted(site / "state", "-t", "tmpfs", "-o", "mode=0700,nr_inodes=1", "none")
    with pytest.raises(RestartFailed, match=r"a was not restarted: .*restarts\.json"):
        call(site, services=["a"])
    assert acts == []
