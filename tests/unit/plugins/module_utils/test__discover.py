# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A policy for what is found: who logs where, and whom it cannot concern."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._discover import (
    merged,
    suggest_policy,
)
from ansible_collections.logward.permissions.plugins.module_utils._identity import (
    Identity,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._sandbox import (
    Sandbox,
    Surroundings,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._source import (
    Found,
    Problem,
    Writer,
)


def identity(uid: int) -> Identity:
    return Identity(str(uid), str(uid), uid, uid, frozenset())


def writer(uid: int, *logs: object, mentions: tuple[object, ...] = ()) -> Writer:
    return Writer(
        identity(uid),
        f"process:{uid}",
        "pid 1",
        tuple(str(log) for log in logs),
        tuple(str(mention) for mention in mentions),
    )


@pytest.fixture
def site() -> Iterator[Path]:
    """A directory outside of those of the system."""
    with TemporaryDirectory(prefix="logward-", dir="/srv") as path:
        yield Path(path).resolve()


def suggested(*writers: Writer) -> dict[str, list[str]]:
    return {each["path"]: each["writers"] for each in suggest_policy(Found(writers))}


def test_a_directory_of_several_users(site: Path) -> None:
    logs = site / "logs"
    logs.mkdir()
    one, two = writer(64001, logs / "a.log"), writer(64002, logs / "b.txt")
    assert suggested(one, two) == {str(logs): ["64001", "64002"]}
    assert suggested(one) == {}
    assert suggested(one, writer(0, logs / "c.log")) == {str(logs): ["64001", "root"]}
    assert suggested(writer(0, logs / "c.log")) == {}


def test_a_directory_of_roots_daemon(site: Path) -> None:
    """Apache's workers have the logs open that root opened for them."""
    logs = site / "logs"
    logs.mkdir(mode=0o755)
    daemon, worker = writer(0, logs / "access.log"), writer(64001, logs / "access.log")
    daemon = replace(daemon, identity=replace(daemon.identity, source="running"))
    assert suggested(daemon, worker) == {}
    for mode, owner in ((0o775, 0), (0o757, 0), (0o755, 64001)):
        os.chown(logs, owner, 0)
        logs.chmod(mode)
        assert suggested(daemon, worker) == {str(logs): ["64001", "root"]}
    elsewhere = replace(daemon, logs=(f"{site}/other/access.log",))
    os.chown(logs, 0, 0)
    others = (worker, writer(64002, logs / "b.log"))
    assert suggested(elsewhere, *others) == {str(logs): ["64001", "64002"]}
    logs.rmdir()
    assert suggested(daemon, worker) == {}


def test_an_application_of_whose_log_directory_nobody_tells(site: Path) -> None:
    logs = site / "storage/logs"
    logs.mkdir(parents=True)
    (site / "public").mkdir()
    (site / "artisan").touch()
    web = writer(64001, mentions=(site / "public",))
    cron = writer(0, mentions=(site, "/usr/bin/php"))
    other = writer(64002, mentions=("/opt",))
    assert suggested(web) == {str(logs): ["64001"]}
    assert suggested(web, cron, other) == {str(logs): ["64001", "root"]}
    assert suggested(cron) == {}


@pytest.mark.parametrize(
    "log",
    ["/var/lib/app/db.log", "/dev/log", "/memfd:a.log", "/run/app/a.log", "/etc/a.log"],
)
def test_what_is_no_log_directory(log: str) -> None:
    assert suggested(writer(64001, log), writer(64002, log)) == {}


def test_what_is_open_but_no_log(site: Path) -> None:
    assert suggested(writer(64001, site / "db"), writer(64002, site / "db")) == {}


def test_merged() -> None:
    problem = Problem("/etc/x", 1, "wrong")
    parts = [Found((writer(1),)), Found((), (problem,)), Found((writer(2),))]
    whole = merged(parts)
    assert [each.identity.uid for each in whole.writers] == [1, 2]
    assert whole.problems == (problem,)


UNITS = {
    "apache2": ("apache2:www-data", "apache2.service"),
    "apache2@intern": ("apache2@intern:www-data", "apache2@intern.service"),
    "php-fpm:payments": ("php8.2-fpm:payments", "php8.2-fpm.service"),
    "php-fpm": ("php7.4-fpm", "php7.4-fpm.service"),
    "supervisor:worker": ("supervisor:worker", "supervisor.service"),
    "supervisord": ("supervisord:auto", "supervisor.service"),
    "cron:crontab:7": ("cron:crontab:daemon", "cron.service"),
    "process:apache2": ("process:apache2:daemon", None),
    "systemd:apache2.service": ("systemd:apache2.service", None),
}


@pytest.mark.parametrize("service", UNITS)
def test_what_a_daemon_starts_is_in_the_sandbox_of_its_unit(service: str) -> None:
    identifier, unit = UNITS[service]
    started = Writer(replace(identity(64001), id=identifier), service, "-")
    names = {unit for _identifier, unit in UNITS.values() if unit}
    names |= {"process.service", "systemd.service"}
    sandboxes = tuple(Surroundings(each, Sandbox("strict")) for each in sorted(names))
    found = merged([Found((started,)), Found(sandboxes=sandboxes)])
    around = found.writers[0].surroundings
    assert (around and around.unit) == unit
    assert merged([Found((started,))]).writers == (started,)


def test_a_service_of_systemd_keeps_the_sandbox_that_it_has() -> None:
    own = Surroundings("cron.service", Sandbox("full"))
    others = Surroundings("cron.service", Sandbox("strict"))
    writer = Writer(identity(64001), "cron:crontab:7", "-", surroundings=own)
    assert merged([Found((writer,), sandboxes=(others,))]).writers == (writer,)
