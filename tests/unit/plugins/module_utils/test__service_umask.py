# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of service_umask, and what is done with services of a test's own.

Apache, supervisor, PHP-FPM and systemd run in molecule/outage, where their own
checks judge the edits.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.logward.permissions.plugins.module_utils import _service_umask
from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    HostError,
    OptionError,
)
from ansible_collections.logward.permissions.plugins.module_utils._service_umask import (
    parse_umask_options,
    preview_umask,
    set_umask,
    umask_info,
)
from ansible_collections.logward.permissions.plugins.module_utils._services._service import (
    Service,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._services import (
    hosts,
)

Result = dict[str, Any]


@pytest.fixture
def root(site: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with the services ``a`` and ``broken``."""
    (site / "etc").mkdir()
    for name in ("a", "broken"):
        (site / "etc" / name).write_text("0022\n")

    def find(names: Sequence[str]) -> tuple[Service, ...]:
        return tuple(hosts.Plain(each, f"{each}.service", str(site)) for each in names)

    monkeypatch.setattr(_service_umask, "find_services", find)
    monkeypatch.setattr(_service_umask, "require_debian", lambda: None)
    return site


def params(root: Path, **changes: Any) -> dict[str, Any]:
    return {
        "services": ["a"],
        "umask": "0002",
        "run_id": "run-1",
        "journal_dir": f"{root}/journal",
        "lock_timeout": 0,
        "journal_keep": 100,
        "journal_keep_days": 90,
        **changes,
    }


def call(root: Path, function: Any = set_umask, **changes: Any) -> Result:
    result: Result = function(parse_umask_options(params(root, **changes)))
    return result


def test_edit_is_made_and_journaled(root: Path) -> None:
    announced = call(root, preview_umask)
    assert (root / "etc/a").read_text() == "0022\n"
    assert not (root / "journal").exists()
    done = call(root)
    assert announced == done
    assert (root / "etc/a").read_text() == "0002\n"
    assert (root / "journal/run-1/0001.jsonl").exists()
    (service,) = done["services"]
    assert service["configured"] == {"umask": "0002", "path": "/etc/a", "line": 1}
    assert service["restart_needed"] == "restart"
    again = call(root)
    assert (again["changed"], again["services"]) == (False, done["services"])


def test_nothing_is_done_where_one_service_refuses(root: Path) -> None:
    for function in (preview_umask, set_umask):
        with pytest.raises(HostError, match="broken refuses"):
            call(root, function, services=["a", "broken"])
    assert (root / "etc/a").read_text() == "0022\n"
    assert not (root / "journal").exists()


def test_info(root: Path) -> None:
    (root / "etc/broken").write_text("0027\n")
    found = umask_info(["a", "broken"])["services"]
    assert [each["name"] for each in found] == ["a", "broken"]
    assert [each["configured"]["umask"] for each in found] == ["0022", "0027"]
    assert [one["pid"] for one in found[0]["running"]] == [1]


@pytest.mark.parametrize("edited", [True, False])
@pytest.mark.parametrize("needs", [True, False])
def test_systemd_reads_its_files_where_it_has_not(
    root: Path, monkeypatch: pytest.MonkeyPatch, edited: bool, needs: bool
) -> None:
    """Also where a run was killed between its edit and that.

    What was edited just now is read in any case: systemd does not notice the first
    drop-in of a unit.
    """
    asked: list[str] = []
    reloads: list[int] = []

    def needs_reload(unit: str) -> bool:
        asked.append(unit)
        return needs

    monkeypatch.setattr(_service_umask, "is_unit_file", lambda _edit: True)
    monkeypatch.setattr(_service_umask, "needs_reload", needs_reload)
    monkeypatch.setattr(_service_umask, "reload_units", lambda: reloads.append(1))
    if not edited:
        (root / "etc/a").write_text("0002\n")
    call(root, preview_umask)
    assert reloads == []
    assert call(root)["changed"] is edited
    assert asked == ([] if edited else ["a.service"])
    assert len(reloads) == (edited or needs)


@pytest.mark.parametrize(
    "umask", ["23", "2", "0o2", "00002", "", "u=rwx", "0082", "-002"]
)
def test_umask_that_is_none(root: Path, umask: str) -> None:
    with pytest.raises(OptionError, match=r"^umask: .*Quote it in YAML and start it"):
        parse_umask_options(params(root, umask=umask))


@pytest.mark.parametrize("umask", ["0777", "0700", "0100", "0200", "0400", "0722"])
def test_umask_that_locks_the_owner_out(root: Path, umask: str) -> None:
    with pytest.raises(OptionError, match=rf"^umask: '{umask}' takes permissions from"):
        parse_umask_options(params(root, umask=umask))
