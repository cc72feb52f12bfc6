# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules for services: what they promise, and what they refuse.

molecule/outage has real services; here is one of a test's own, and none at all.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
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
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._services import (
    hosts,
)
from ansible_collections.logward.permissions.tests.unit.plugins.modules.test_contract import (
    ALWAYS,
    COMMON,
    documented,
    violations,
)

Result = dict[str, Any]
RunModule = Callable[..., Result]
Listing = Callable[..., dict[str, tuple[Any, ...]]]


@pytest.fixture
def wanted(site: Path) -> Result:
    return {
        "services": ["plain"],
        "umask": "0002",
        "run_id": "run-1",
        "journal_dir": f"{site}/journal",
        "lock_timeout": 0,
    }


@pytest.fixture
def plain(site: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the only service that there is."""
    (site / "etc").mkdir()
    (site / "etc/plain").write_text("0022\n")

    def find(names: Sequence[str]) -> tuple[hosts.Plain, ...]:
        return tuple(hosts.Plain(each, f"{each}.service", str(site)) for each in names)

    monkeypatch.setattr(_service_umask, "find_services", find)
    return site / "etc/plain"


def info(wanted: Result) -> Result:
    return {"services": wanted["services"]}


def undocumented(module: str, result: Result) -> list[str]:
    own = {key: value for key, value in result.items() if key not in COMMON}
    return list(violations(documented(module), own, ALWAYS))


def test_what_is_returned_is_what_is_documented(
    run_module: RunModule, wanted: Result, plain: Path
) -> None:
    announced = run_module("service_umask", wanted, check=True)
    assert plain.read_text() == "0022\n"
    done = run_module("service_umask", wanted)
    assert plain.read_text() == "0002\n"
    for result in (announced, done):
        assert undocumented("service_umask", result) == []
        del result["invocation"]
    assert announced == done
    assert done["diff"] == [
        {
            "before_header": str(plain),
            "after_header": str(plain),
            "before": "0022\n",
            "after": "0002\n",
        }
    ]
    again = run_module("service_umask", wanted)
    assert (again["changed"], again["diff"]) == (False, [])
    found = run_module("service_umask_info", info(wanted))
    assert undocumented("service_umask_info", found) == []
    assert found["changed"] is False
    assert found["services"] == done["services"]


def test_edit_is_taken_back(run_module: RunModule, wanted: Result, plain: Path) -> None:
    run_module("service_umask", wanted)
    options = {key: wanted[key] for key in ("run_id", "journal_dir", "lock_timeout")}
    done = run_module("journal_restore", options)
    assert plain.read_text() == "0022\n"
    assert done["files"] == [{"path": str(plain)}]
    assert undocumented("journal_restore", done) == []


BAD = {
    "no services": ({"services": []}, "services: [] is empty. Name at least one"),
    "no kind": ({"services": ["nginx"]}, "services: 'nginx' is no service that is"),
    "no unit": (
        {"services": ["systemd:no-such.service"]},
        "services: 'systemd:no-such.service' is not installed: there is no no-such",
    ),
    "no version": (
        {"services": ["php9.9-fpm"]},
        "services: 'php9.9-fpm' is not installed",
    ),
    "no supervisor": (
        {"services": ["supervisor:x"]},
        "services: 'supervisor:x' is no",
    ),
    "one of two": (
        {"services": ["systemd:no-such.service", "nginx"]},
        "services: 'systemd:no-such.service' is not installed",
    ),
}
BAD_UMASK = {
    "unquoted": ({"umask": 23}, "umask: '23' is not a mode of four octal digits. Quo"),
    "locks out": ({"umask": "0777"}, "umask: '0777' takes permissions from the owner"),
    "run": ({"run_id": "../x"}, "run_id: '../x' is not a run id"),
    "latest": ({"run_id": "latest"}, "run_id: 'latest' is what the newest run is"),
    "journal": ({"journal_dir": "x/../y"}, "journal_dir: "),
    "timeout": ({"lock_timeout": -1}, "lock_timeout: -1 is below 0"),
}
ALL_BAD = {**BAD, **BAD_UMASK}


@pytest.mark.parametrize("check", [True, False], ids=["check", "run"])
@pytest.mark.parametrize(("changes", "message"), ALL_BAD.values(), ids=ALL_BAD)
def test_bad_input_of_umask(
    run_module: RunModule,
    wanted: Result,
    site: Path,
    listing: Listing,
    changes: Result,
    message: str,
    check: bool,
) -> None:
    before = listing(site, Path("/run"))
    result = run_module("service_umask", {**wanted, **changes}, check=check)
    assert result["failed"] is True
    assert result["msg"].startswith(message)
    assert listing(site, Path("/run")) == before


@pytest.mark.parametrize(("changes", "message"), BAD.values(), ids=BAD)
def test_bad_input_of_info(
    run_module: RunModule, wanted: Result, changes: Result, message: str
) -> None:
    result = run_module("service_umask_info", info({**wanted, **changes}))
    assert result["msg"].startswith(message)


@pytest.mark.parametrize("module", ["service_umask", "service_umask_info"])
def test_not_root_and_not_debian(
    run_module: RunModule,
    wanted: Result,
    plain: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
) -> None:
    options = info(wanted) if module.endswith("info") else wanted
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: 64001)
        result = run_module(module, options)
    assert result["msg"].endswith("Set become: true")

    def refuse() -> None:
        raise HostError("another family")

    monkeypatch.setattr(_service_umask, "require_debian", refuse)
    assert run_module(module, options)["msg"] == "another family"
    assert plain.read_text() == "0022\n"


def test_file_that_others_can_write(
    run_module: RunModule, wanted: Result, plain: Path
) -> None:
    plain.chmod(0o666)
    for check in (True, False):
        result = run_module("service_umask", wanted, check=check)
        assert "can be written by others than root. Run: chown root" in result["msg"]
    assert plain.read_text() == "0022\n"


@pytest.fixture
def restart_options(site: Path) -> Result:
    """Options that name a service which there is on no host of a test."""
    return {
        "services": ["systemd:no-such.service"],
        "journal_dir": f"{site}/journal",
        "lock_timeout": 0,
    }


BAD_RESTART = {
    **BAD,
    "mode": ({"mode": "sometimes"}, "value of mode must be one of: auto, always, ne"),
    "budget": ({"max_per_hour": 0}, "max_per_hour: 0 allows no restart. Give 1 or mo"),
    "timeout": ({"timeout": 0}, "timeout: 0 is no time. Give the seconds, 1 or more"),
    "run": ({"run_id": "../x"}, "run_id: '../x' is not a run id"),
    "latest": ({"run_id": "latest"}, "run_id: 'latest' is what the newest run is"),
    "umask": ({"umask": "0777"}, "umask: '0777' takes permissions from the owner of"),
    "no umask": ({"umask": ""}, "umask: '' is not a mode of four octal digits. Quote"),
    "journal": ({"journal_dir": "x/../y"}, "journal_dir: "),
    "lock": ({"lock_timeout": -1}, "lock_timeout: -1 is below 0"),
}


@pytest.mark.parametrize("check", [True, False], ids=["check", "run"])
@pytest.mark.parametrize(
    ("changes", "message"), BAD_RESTART.values(), ids=list(BAD_RESTART)
)
def test_bad_input_of_restart(
    run_module: RunModule,
    restart_options: Result,
    site: Path,
    listing: Listing,
    changes: Result,
    message: str,
    check: bool,
) -> None:
    before = listing(site, Path("/run"))
    options = {**restart_options, **changes}
    result = run_module("service_restart", options, check=check)
    assert result["failed"] is True
    assert result["msg"].startswith(message)
    assert listing(site, Path("/run")) == before


def test_restart_needs_root_and_debian(
    run_module: RunModule, restart_options: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: 64001)
        result = run_module("service_restart", restart_options)
    assert result["msg"].endswith("Set become: true")

    def refuse() -> None:
        raise HostError("another family")

    monkeypatch.setattr(_service_restart, "require_debian", refuse)
    assert run_module("service_restart", restart_options)["msg"] == "another family"
