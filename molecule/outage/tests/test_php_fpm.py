# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""PHP-FPM gets another umask, and its old one back, and is restarted for it.

It is installed, and gone afterwards. One story; each test looks at a part of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.hosts.payments.host import PaymentsHost
from tests.hosts.play import run_module

PACKAGES = "/usr/local/share/php-fpm"
RUN = "php-fpm-run"
BROKEN = "broken.conf"
ADM = 4  # on every Debian
NO_LIMIT = 1000

Result = Mapping[str, Any]


@dataclass
class Story:
    """What was seen, in the order in which it happened."""

    name: str
    missing: Result
    first: Result
    preview: Result
    edited: Result
    previewed: Result
    restarted: Result
    groups: Result
    always: Result
    broken_umask: Result
    broken: Result
    masked: Result
    taken_back: Result
    last: Result


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    host = PaymentsHost(os.environ["LOGWARD_HOST_NAME"])
    inventory = os.environ["MOLECULE_INVENTORY_FILE"]

    def call(name: str, *arguments: str, **options: object) -> Result:
        wanted = {"services": ["php-fpm"], **options}
        return run_module(inventory, name, wanted, *arguments)

    def set_umask(*arguments: str) -> Result:
        return call("service_umask", *arguments, umask="0002", run_id=RUN)

    def restart(*arguments: str, **options: object) -> Result:
        wanted = {"max_per_hour": NO_LIMIT, **options}
        return call("service_restart", *arguments, **wanted)

    seen: dict[str, Any] = {}
    try:
        seen["missing"] = call("service_umask_info")
        host.run(["sh", "-ec", f"dpkg --install {PACKAGES}/*.deb"])
        seen["first"] = call("service_umask_info")
        seen["name"] = seen["first"]["services"][0]["name"]
        seen["preview"] = set_umask("--check")
        seen["previewed"] = restart("--check", umask="0002")
        seen["edited"] = set_umask()
        seen["restarted"] = restart()
        host.run(["usermod", "--append", "--groups", "adm", "www-data"])
        seen["groups"] = restart()
        seen["always"] = restart(mode="always")
        version = seen["name"][len("php") : -len("-fpm")]
        broken = f"/etc/php/{version}/fpm/pool.d/{BROKEN}"
        host.run(["tee", broken], stdin="[broken]\nnonsense = 1\n")
        seen["broken_umask"] = call("service_umask", umask="0007")
        seen["broken"] = restart(mode="always")
        host.run(["rm", broken])
        host.run(["systemctl", "mask", seen["name"]])
        seen["masked"] = restart(mode="always")
        host.run(["systemctl", "unmask", seen["name"]])
        run = {"run_id": RUN}
        seen["taken_back"] = run_module(inventory, "journal_restore", run)
        seen["last"] = restart()
        yield Story(**seen)
    finally:
        host.run(["gpasswd", "--delete", "www-data", "adm"], check=False)
        # what only a story that broke off leaves behind
        left = "/etc/systemd/system/php*-fpm.service*"
        names = "dpkg-deb --show --showformat='${Package}\\n' $each"
        every = f"for each in {PACKAGES}/*.deb; do {names}; done"
        host.run(["sh", "-c", f"rm -rf {left}; dpkg --purge $({every})"], check=False)


def only(result: Result) -> Result:
    (found,) = result["services"]
    return dict(found)


def umasks(processes: list[Result]) -> set[str]:
    return {each["umask"] for each in processes}


def pids(processes: list[Result]) -> set[int]:
    return {each["pid"] for each in processes}


def test_it_is_named_while_it_is_not_installed(story: Story) -> None:
    assert story.missing["msg"].startswith("services: 'php-fpm' is not installed")


def test_master_and_children_are_shown(story: Story) -> None:
    found = only(story.first)
    assert found["configured"] == {"umask": "0022", "path": None, "line": None}
    assert len(found["running"]) >= 3
    assert umasks(found["running"]) == {"0022"}
    assert found["restart_needed"] == "none"


def test_edit_is_a_drop_in_of_its_unit(story: Story) -> None:
    path = f"/etc/systemd/system/{story.name}.service.d/logward.conf"
    for result in (story.preview, story.edited):
        assert result["files"] == [{"path": path}]
        (diff,) = result["diff"]
        assert (diff["before"], diff["after"]) == ("", "[Service]\nUMask=0002\n")
        assert only(result)["restart_needed"] == "restart"


def test_stale_umask_restarts_it(story: Story) -> None:
    assert only(story.previewed)["action"] == "restart"
    done = only(story.restarted)
    assert done["action"] == "restart"
    assert umasks(done["before"]) == {"0022"}
    assert umasks(done["after"]) == {"0002"}
    assert not pids(done["before"]) & pids(done["after"])


def test_stale_groups_reload_it(story: Story) -> None:
    done = only(story.groups)
    assert done["action"] == "reload"
    assert " of www-data lacks adm; " in done["why"]
    # the master stays
    (master,) = pids(done["before"]) & pids(done["after"])
    children = [each for each in done["after"] if each["pid"] != master]
    assert children != []
    assert all(ADM in each["groups"] for each in children)


def test_always_is_a_reload(story: Story) -> None:
    done = only(story.always)
    assert done["action"] == "reload"
    assert len(pids(done["before"]) & pids(done["after"])) == 1


def test_broken_pool_keeps_it_as_it_is(story: Story) -> None:
    problem = f"{story.name} refuses its configuration"
    for result in (story.broken_umask, story.broken):
        assert problem in result["msg"]
        assert BROKEN in result["msg"]
        assert not result.get("changed")
    found = only(story.broken)
    assert found["action"] == "none"
    assert pids(found["after"]) == pids(only(story.always)["after"])


def test_masked_it_is_refused(story: Story) -> None:
    assert story.masked["msg"].startswith("services: 'php-fpm' is masked")


def test_edit_is_taken_back_and_restarts_it(story: Story) -> None:
    assert len(story.taken_back["files"]) == 1
    done = only(story.last)
    assert done["action"] == "restart"
    assert umasks(done["after"]) == {"0022"}
