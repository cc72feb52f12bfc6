# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""No customer notices a repair of a service that serves.

LOGWARD_LOADS is how often each repair is made under load (1).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts.payments.host import LOGS, PaymentsHost
from tests.hosts.payments.load import RATE, Load
from tests.hosts.play import REPAIR, run_playbook

POLICY = Path(__file__).parents[1] / "policy.yml"
LOADS = range(int(os.environ.get("LOGWARD_LOADS", "1")))
ENVVARS = "/etc/apache2/envvars"
#: What a client sees while nobody listens, or where its server is stopped.
NOBODY_LISTENS = {"ConnectionRefusedError", "ConnectionResetError"}
CUT_OFF = {"RemoteDisconnected", "IncompleteRead"}


@pytest.fixture(params=LOADS)
def host() -> Iterator[PaymentsHost]:
    """The host, in need of a repair and serving: tomorrow it would not."""
    host = PaymentsHost(os.environ["LOGWARD_HOST_NAME"])
    assert host.pay() == 200
    host.run(["setfacl", "--remove-default", LOGS])
    host.run(["cp", "--preserve", ENVVARS, f"{ENVVARS}.before"])
    yield host
    host.run(["mv", f"{ENVVARS}.before", ENVVARS])
    host.run(["systemctl", "restart", "apache2"])


def remediated_under_load(host: PaymentsHost, **variables: str) -> Load:
    """Pay all the time while the playbook runs."""
    # The load itself, many times an hour, is nobody's budget.
    more = json.dumps({"logward_restart_max_per_hour": 1000, **variables})
    inventory = os.environ["MOLECULE_INVENTORY_FILE"]
    with Load(host) as load:
        play = run_playbook(inventory, "remediate", "-e", f"@{POLICY}", "-e", more)
    assert play.exit_status == 0
    assert play.result(REPAIR)["changed"]
    print(f"{variables}: {load}")
    return load


def main_pid(host: PaymentsHost) -> str:
    return host.run(["systemctl", "show", "--value", "--property=MainPID", "apache2"])


def test_load_is_steady_and_sees_what_fails(host: PaymentsHost) -> None:
    with Load(host) as load:
        host.run(["sleep", "1"])
        host.run(["systemctl", "restart", "apache2"])
        host.run(["sleep", "1"])
    assert {answer.outcome for answer in load.lost} & (NOBODY_LISTENS | CUT_OFF)
    due = sorted(answer.due for answer in load.answers)
    assert len(due) > 2 * RATE
    assert (len(due) - 1) / (due[-1] - due[0]) == pytest.approx(RATE)


def test_repair_that_needs_no_restart_loses_no_request(host: PaymentsHost) -> None:
    before = main_pid(host)
    assert remediated_under_load(host, logward_restart="auto").lost == []
    assert main_pid(host) == before


def test_runbook_loses_no_request_that_a_graceful_reload_serves(
    host: PaymentsHost,
) -> None:
    before = main_pid(host)
    assert remediated_under_load(host, logward_restart="always").lost == []
    assert main_pid(host) == before, "a reload was enough"


def test_restart_that_is_needed_loses_what_comes_while_nobody_listens(
    host: PaymentsHost,
) -> None:
    """Apache's parent keeps the umask that it was started with: no reload helps."""
    before = main_pid(host)
    lost = remediated_under_load(host, logward_umask="0002").lost
    assert main_pid(host) != before
    # No answer of the application's own is among them, a 500 least of all.
    assert {answer.outcome for answer in lost} <= NOBODY_LISTENS | CUT_OFF
    # One gap, and everything before and after it is served.
    assert max(each.due for each in lost) - min(each.due for each in lost) < 10
