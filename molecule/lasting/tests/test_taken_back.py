# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One rollback takes all of a run back: permissions, umasks, logrotate's stanza."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hosts.payments.host import LOGS, PaymentsHost
from tests.hosts.play import run_playbook

SCENARIO = Path(__file__).parents[1]
STANZA = "/etc/logrotate.d/payments"
#: One whose umask stands in a file of its own, a drop-in.
UNIT = "cron"
EDITED = {
    STANZA,
    "/etc/apache2/envvars",
    "/etc/supervisor/conf.d/payments-worker.conf",
    f"/etc/systemd/system/{UNIT}.service.d/logward.conf",
}
#: Everything that a run may edit, with owner, group and mode.
CONFIGURATION = ["find", "/etc", "-type", "f", "-printf", "%p %u:%g %m ", "-exec"]
CONFIGURATION += ["sha256sum", "{}", ";"]


@pytest.fixture
def host() -> Iterator[PaymentsHost]:
    """The host as it was prepared."""
    host = PaymentsHost(os.environ["LOGWARD_HOST_NAME"])
    stanza = (SCENARIO / "logrotate-payments").read_text()
    host.run(["tee", STANZA], stdin=stanza)
    host.run(["setfacl", "--remove-default", LOGS])
    yield host
    host.run(["systemctl", "restart", "apache2", "supervisor", UNIT])


def configuration(host: PaymentsHost) -> dict[str, str]:
    """What each file of the host's configuration is, by its path."""
    lines = host.run(CONFIGURATION).splitlines()
    return {line.split()[0]: line for line in lines}


def play(name: str, **variables: object) -> int:
    inventory = os.environ["MOLECULE_INVENTORY_FILE"]
    policy = f"@{SCENARIO / 'policy.yml'}"
    more = json.dumps(variables)
    return run_playbook(inventory, name, "-e", policy, "-e", more).exit_status


def test_rollback_takes_back_all_that_a_run_has_changed(host: PaymentsHost) -> None:
    files, logs = configuration(host), host.listing([LOGS])
    services = ["apache2", "supervisor:payments-worker", f"systemd:{UNIT}"]
    assert play("remediate", logward_umask="0007", logward_services=services) == 0
    assert dict(configuration(host).items() ^ files.items()).keys() == EDITED
    assert host.listing([LOGS])[LOGS] != logs[LOGS]
    assert play("rollback") == 0
    assert configuration(host) == files
    assert host.listing([LOGS]) == logs
    assert host.pay() == 200
