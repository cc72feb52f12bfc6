# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""No customer notices a repair of a service that serves.

What Apache itself loses, with nothing of Logward around, is measured first: nothing
where it is reloaded gracefully, and where it is restarted, what is sent or not yet
answered between the moment at which systemd begins to stop it and the one at which it
has started it. So a repair may lose nothing, unless Apache needs a restart, and then
nothing outside of that time. Each test prints how many requests there were and how
many of them failed.

LOGWARD_LOADS is how often each repair is made under load (1).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts.payments.host import LOGS, PaymentsHost
from tests.hosts.payments.load import RATE, Answer, Load
from tests.hosts.play import REPAIR, RESTARTS, run_playbook

POLICY = Path(__file__).parents[1] / "policy.yml"
INVENTORY = os.environ["MOLECULE_INVENTORY_FILE"]
LOADS = range(int(os.environ.get("LOGWARD_LOADS", "1")))
#: What a client sees of a server that is stopped; an answer, as 500 is one, is none.
STOPPED = {"ECONNREFUSED", "ECONNRESET", "RemoteDisconnected", "IncompleteRead"}


@pytest.fixture
def host() -> PaymentsHost:
    """The host, in need of a repair and serving: tomorrow it would not."""
    host = PaymentsHost(os.environ["LOGWARD_HOST_NAME"])
    host.run(["setfacl", "--remove-default", LOGS])
    assert host.log_as("www-data")
    return host


@pytest.fixture(params=LOADS)
def again() -> None:
    """Runs a test as often as is asked for."""


@pytest.fixture
def umasks(host: PaymentsHost) -> Iterator[None]:
    """Takes back what the test has edited."""
    yield
    assert run_playbook(INVENTORY, "rollback").exit_status == 0
    host.run(["supervisorctl", "update", "payments-worker"])
    host.run(["systemctl", "restart", "apache2"])


def remediated_under_load(host: PaymentsHost, **variables: str) -> tuple[Load, str]:
    """Pay all the time while the playbook runs; return what it did with Apache, too."""
    more = json.dumps(variables)
    with Load(host) as load:
        play = run_playbook(INVENTORY, "remediate", "-e", f"@{POLICY}", "-e", more)
    print(f"{variables}: {load}")
    assert load.latest < 1, f"this machine is too busy to tell: {load}"
    assert play.exit_status == 0
    assert play.result(REPAIR)["changed"]
    apache, _worker = play.result(RESTARTS)["services"]
    return load, apache["action"]


def last_restart(host: PaymentsHost) -> tuple[float, float]:
    """When systemd began to stop Apache, and when it had started it again.

    In seconds of CLOCK_MONOTONIC. See systemd's dbus interface, org.freedesktop.systemd1.
    """
    names = ("ActiveExitTimestampMonotonic", "ActiveEnterTimestampMonotonic")
    began, ended = (
        int(host.run(["systemctl", "show", "--value", f"--property={name}", "apache2"]))
        for name in names
    )
    return began / 1e6, ended / 1e6


def lost_outside(load: Load, began: float, ended: float) -> list[Answer]:
    """The requests that failed and were not open at any moment of that time."""
    return [each for each in load.lost if each.ended < began or each.sent > ended]


def test_load_is_steady(host: PaymentsHost) -> None:
    start = time.monotonic()
    with Load(host) as load:
        began = time.monotonic()
        time.sleep(2)
        ended = time.monotonic()
    stopped = time.monotonic()
    assert load.latest < 1, f"this machine is too busy to tell: {load}"
    assert RATE * (ended - began) - 1 <= len(load.answers)
    assert len(load.answers) <= RATE * (stopped - start) + 1
    sent = sum(began <= answer.sent <= ended for answer in load.answers)
    assert abs(sent - RATE * (ended - began)) <= RATE * load.latest + 2


def test_load_counts_what_the_application_fails(host: PaymentsHost) -> None:
    log = host.log_file_today()
    mode = host.run(["stat", "--format=%a", log]).strip()
    with Load(host) as load:
        time.sleep(0.5)
        breaking = time.monotonic()
        host.run(["chmod", "0", log])
        broken = time.monotonic()
        try:
            time.sleep(1)
        finally:
            mending = time.monotonic()
            host.run(["chmod", mode, log])
            mended = time.monotonic()
        time.sleep(0.5)
    print(load)
    answers = load.answers
    while_broken = [each for each in answers if each.sent > broken]
    assert {each.outcome for each in while_broken if each.ended < mending} == {500}
    healthy = [each for each in answers if each.ended < breaking or each.sent > mended]
    assert {each.outcome for each in healthy} == {200}


def test_apache_itself_loses_nothing_when_it_is_reloaded(host: PaymentsHost) -> None:
    with Load(host) as load:
        for _each in range(3):
            host.run(["apachectl", "graceful"])
            time.sleep(1)
    print(f"apachectl graceful, three times: {load}")
    assert not load.lost, load


def test_apache_itself_loses_what_comes_while_it_is_restarted(
    host: PaymentsHost,
) -> None:
    with Load(host) as load:
        time.sleep(0.5)
        host.run(["systemctl", "restart", "apache2"])
        time.sleep(1)
    began, ended = last_restart(host)
    print(f"systemctl restart apache2, in {ended - began:.2f} s: {load}")
    assert load.lost
    assert {each.outcome for each in load.lost} <= STOPPED
    assert lost_outside(load, began, ended) == []


@pytest.mark.usefixtures("again")
def test_repair_that_needs_no_restart_loses_no_request(host: PaymentsHost) -> None:
    before = last_restart(host)
    load, action = remediated_under_load(host, logward_restart="auto")
    assert not load.lost, load
    assert (action, last_restart(host)) == ("none", before)


@pytest.mark.usefixtures("again")
def test_runbook_loses_no_request_that_a_graceful_reload_serves(
    host: PaymentsHost,
) -> None:
    before = last_restart(host)
    load, action = remediated_under_load(host, logward_restart="always")
    assert not load.lost, load
    assert (action, last_restart(host)) == ("reload", before), "a reload is enough"


@pytest.mark.usefixtures("umasks", "again")
def test_restart_that_is_needed_loses_what_comes_meanwhile(host: PaymentsHost) -> None:
    """Apache's parent keeps the umask that it was started with: no reload helps."""
    load, action = remediated_under_load(host, logward_umask="0002")
    assert action == "restart"
    # No answer of the application's own is among them, a 500 least of all.
    assert {each.outcome for each in load.lost} <= STOPPED, load
    assert lost_outside(load, *last_restart(host)) == []
