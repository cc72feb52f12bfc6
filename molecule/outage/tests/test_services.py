# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What follows a repair, when nearly all of it fails, and what the next run does.

What the module service_restart does is in test_restarts.py; here is the playbook.
One story, on the host of the outage; each test looks at a part of it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.hosts.payments.host import LOGS, PaymentsHost
from tests.hosts.play import REPAIR, RESTARTS, Play, run_playbook

POLICY = Path(__file__).parents[1] / "policy.yml"
ACCESS_LOG = "/var/log/apache2/payments-access.log"
SITE = "/etc/apache2/sites-enabled/broken.conf"
STUBBORN = ["sh", "-c", "trap '' TERM; while sleep 0.98765; do :; done"]
APACHE, WORKER = "apache2", "supervisor:payments-worker"
ENVVARS = "/etc/apache2/envvars"
CHECK = "/etc/systemd/system/apache2.service.d/check.conf"
#: Apache's own test takes any umask, and this one stops what runs with another.
CHECK_TEXT = """\
[Service]
ExecStartPost=/bin/sh -c 'grep "^Umask:.0022" /proc/$MAINPID/status || \
    { echo no umask of mine; exit 7; }'
"""
FRAGILE = "/etc/supervisor/conf.d/fragile.conf"
#: It runs with no umask but this, and says so where it has another.
FRAGILE_PROGRAM = """\
[program:fragile]
command=/bin/sh -c 'test "$(umask)" = 0022 && exec sleep 9999; echo no umask of mine'
umask=022
startsecs=1
startretries=1
redirect_stderr=true
"""

Pids = Mapping[str, str]


@dataclass
class Story:
    """What was seen, in the order in which it happened."""

    refused: Play
    unknown: Play
    acl_after_refusal: str
    failing: Play
    acl_after_failing: str
    cache_clearers_left: str
    pids_before: Pids
    pids_after_failing: Pids
    worker_after_failing: str
    requests_of_failing: int
    preview: Play
    states_after_preview: tuple[str, str]
    next_run: Play
    states_after_next_run: tuple[str, str]
    umask_preview: Play
    envvars_after_umask_preview: str
    pids_after_umask_preview: Pids
    pids_before_repair: Pids
    repair: Play
    pids_after_repair: Pids
    apache: Play
    envvars_before: str
    envvars_after: str
    apache_state: str
    acl_after_apache: str
    fragile: Play
    fragile_before: str
    fragile_after: str
    fragile_state: str
    acl_after_fragile: str
    taken_back: Play
    acl_after_taken_back: str


class Services:
    """What runs on the host of the outage."""

    def __init__(self, host: PaymentsHost) -> None:
        self.host = host

    def apache(self, field: str) -> str:
        argv = ["systemctl", "show", "--value", f"--property={field}", "apache2"]
        return self.host.run(argv).strip()

    def pids(self) -> Pids:
        argv = ["supervisorctl", "pid", "payments-worker"]
        worker = self.host.run(argv, check=False)  # 0 where it does not run
        return {APACHE: self.apache("MainPID"), WORKER: worker.strip()}

    def states(self) -> tuple[str, str]:
        return self.apache("ActiveState"), self.host.worker_state()

    def stop_both(self) -> None:
        self.host.run(["supervisorctl", "stop", "payments-worker"])
        self.host.run(["systemctl", "stop", "apache2"])
        # In a container systemd may not hear of the end of the last process.
        self.host.run(["systemctl", "reset-failed", "apache2"], check=False)

    def requests(self) -> int:
        argv = ["grep", "--count", "ansible-httpget", ACCESS_LOG]
        return int(self.host.run(argv, check=False))

    def default_acl(self) -> str:
        return self.host.run(["getfacl", "--default", "--omit-header", LOGS])

    def break_repair(self) -> None:
        self.host.run(["setfacl", "--remove-default", LOGS])


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    host = PaymentsHost(os.environ["LOGWARD_HOST_NAME"])
    services = Services(host)
    try:
        seen = {**first_part(host, services), **second_part(host, services)}
        yield Story(**seen)
    finally:
        host.run(["rm", "--force", SITE, CHECK, FRAGILE])
        host.run(["systemctl", "daemon-reload"])
        host.run(["systemctl", "start", "apache2"])
        host.run(["supervisorctl", "update"])
        host.run(["supervisorctl", "start", "payments-worker"], check=False)


def first_part(host: PaymentsHost, services: Services) -> dict[str, Any]:
    """Everything fails that can; then what is down is started."""
    seen: dict[str, Any] = {}
    services.break_repair()
    host.run(["sh", "-c", f"echo Nonsense >{SITE}"])
    host.run(["supervisorctl", "stop", "payments-worker"], check=False)
    seen["refused"] = remediate(logward_services="apache2")
    seen["unknown"] = remediate(logward_services=["apache2", "supervisor:no"])
    seen["acl_after_refusal"] = services.default_acl()
    seen["pids_before"] = services.pids()
    before = services.requests()
    seen["failing"] = remediate(
        logward_cache_clear_argv=STUBBORN,
        logward_cache_clear_timeout=1,
        logward_restart="always",
        logward_health_status=418,
    )
    seen["acl_after_failing"] = services.default_acl()
    seen["cache_clearers_left"] = host.run(["pgrep", "-f", "0.98765"], check=False)
    seen["pids_after_failing"] = services.pids()
    seen["worker_after_failing"] = host.worker_state()
    seen["requests_of_failing"] = services.requests() - before
    host.run(["rm", SITE])
    services.stop_both()
    seen["preview"] = remediate("--check")
    seen["states_after_preview"] = services.states()
    # what --extra-vars NAME=VALUE gives is a string
    seen["next_run"] = remediate(logward_health_status="200")
    seen["states_after_next_run"] = services.states()
    return seen


def second_part(host: PaymentsHost, services: Services) -> dict[str, Any]:
    """Only what is due is restarted; what does not come back is put back."""
    seen: dict[str, Any] = {"pids_before_repair": services.pids()}
    seen["envvars_before"] = host.run(["cat", ENVVARS])
    seen["umask_preview"] = remediate("--check", logward_umask="0002")
    seen["envvars_after_umask_preview"] = host.run(["cat", ENVVARS])
    seen["pids_after_umask_preview"] = services.pids()
    services.break_repair()
    seen["repair"] = remediate()
    seen["pids_after_repair"] = services.pids()
    host.run(["tee", CHECK], stdin=CHECK_TEXT)
    services.break_repair()
    seen["apache"] = remediate(logward_services=[APACHE], logward_umask="0002")
    seen["envvars_after"] = host.run(["cat", ENVVARS])
    seen["apache_state"] = services.apache("ActiveState")
    seen["acl_after_apache"] = services.default_acl()
    host.run(["rm", CHECK])
    host.run(["tee", FRAGILE], stdin=FRAGILE_PROGRAM)
    host.run(["supervisorctl", "update", "fragile"])
    services.break_repair()
    seen["fragile_before"] = host.run(["cat", FRAGILE])
    program = {"logward_services": ["supervisor:fragile"], "logward_umask": "0002"}
    seen["fragile"] = remediate(**program)
    seen["fragile_after"] = host.run(["cat", FRAGILE])
    seen["fragile_state"] = host.run(["supervisorctl", "status", "fragile"])
    seen["acl_after_fragile"] = services.default_acl()
    services.break_repair()
    seen["taken_back"] = remediate(logward_rollback_on_failure="all", **program)
    seen["acl_after_taken_back"] = services.default_acl()
    return seen


def remediate(*arguments: str, **variables: object) -> Play:
    """Run the playbook with the team's policy and with variables beside it."""
    inventory = os.environ["MOLECULE_INVENTORY_FILE"]
    # So many restarts in a few minutes are the story's, and nobody's budget.
    usual = {"logward_probe": False, "logward_restart_max_per_hour": 1000}
    more = json.dumps({**usual, **variables})
    return run_playbook(
        inventory, "remediate", "-e", f"@{POLICY}", "-e", more, *arguments
    )


def failures(play: Play) -> str:
    """What the play failed with in the end."""
    return str(play.result("Decide by what worked")["msg"])


def actions(play: Play) -> Mapping[str, str]:
    """What was done with each service, or would be."""
    services = play.result(RESTARTS)["services"]
    return {each["name"]: each["action"] for each in services}


def test_wrong_variables_stop_before_the_repair(story: Story) -> None:
    for play in (story.refused, story.unknown):
        assert play.exit_status == 2
        assert play.changed() == []
    assert story.acl_after_refusal.strip() == ""


def test_the_repair_stays_whatever_fails_after_it(story: Story) -> None:
    assert story.failing.exit_status == 2
    assert story.failing.result(REPAIR)["changed"]
    assert "user:queue:rwx" in story.acl_after_failing
    assert "The repaired permissions stay." in failures(story.failing)


def test_a_cache_clear_that_does_not_end_is_ended(story: Story) -> None:
    assert "The cache was not cleared" in failures(story.failing)
    assert story.cache_clearers_left == ""


def test_a_wrong_configuration_keeps_apache_as_it_is(story: Story) -> None:
    assert "apache2 was not restarted" in failures(story.failing)
    assert "Nonsense" in failures(story.failing)
    assert story.pids_after_failing[APACHE] == story.pids_before[APACHE] != "0"


def test_a_failing_service_does_not_keep_the_others(story: Story) -> None:
    assert actions(story.failing) == {APACHE: "none", WORKER: "start"}
    assert story.worker_after_failing == "RUNNING"


def test_the_application_is_asked_three_times(story: Story) -> None:
    assert story.requests_of_failing == 3
    assert "answered 200, not 418" in failures(story.failing)


def test_the_preview_announces_what_would_be_started(story: Story) -> None:
    assert story.preview.exit_status == 0
    assert actions(story.preview) == {APACHE: "start", WORKER: "start"}
    assert story.states_after_preview == ("inactive", "STOPPED")


def test_the_next_run_starts_what_is_down_without_a_repair(story: Story) -> None:
    assert story.next_run.exit_status == 0
    assert not story.next_run.result(REPAIR)["changed"]
    assert actions(story.next_run) == {APACHE: "start", WORKER: "start"}
    assert story.states_after_next_run == ("active", "RUNNING")


def test_a_repair_with_acls_restarts_nothing(story: Story) -> None:
    assert story.repair.exit_status == 0
    assert story.repair.result(REPAIR)["changed"]
    assert actions(story.repair) == {APACHE: "none", WORKER: "none"}
    assert story.pids_after_repair == story.pids_before_repair


def test_the_preview_announces_what_a_new_umask_makes_due(story: Story) -> None:
    assert story.umask_preview.exit_status == 0
    assert actions(story.umask_preview) == {APACHE: "restart", WORKER: "restart"}
    for each in story.umask_preview.result(RESTARTS)["services"]:
        assert "0022, and 0002 is configured; " in each["why"]
    assert story.envvars_after_umask_preview == story.envvars_before
    assert story.pids_after_umask_preview == story.pids_before_repair


def test_apache_that_does_not_come_back_serves_as_before(story: Story) -> None:
    assert story.apache.exit_status == 2
    assert story.envvars_after == story.envvars_before
    assert story.apache_state == "active"
    assert story.apache.result("Ask the application")["status"] == 200
    told = failures(story.apache)
    assert "apache2 did not come back: systemctl restart" in told
    assert f"Its configuration was put back ({ENVVARS})" in told
    assert "It was started again, and runs as it did before" in told
    assert "no umask of mine" in told.partition("apache2 said last:\n")[2]
    (apache,) = story.apache.result(RESTARTS)["services"]
    assert {each["umask"] for each in apache["after"]} == {"0022"}
    assert "user:queue:rwx" in story.acl_after_apache
    assert told.endswith("The repaired permissions stay.")


def test_what_does_not_come_back_is_put_back_and_started(story: Story) -> None:
    assert story.fragile.exit_status == 2
    assert story.fragile_after == story.fragile_before
    assert "RUNNING" in story.fragile_state
    told = failures(story.fragile)
    assert "fragile did not come back" in told
    assert f"Its configuration was put back ({FRAGILE})" in told
    assert "no umask of mine" in told
    assert "user:queue:rwx" in story.acl_after_fragile


def test_all_is_taken_back_where_that_is_wanted(story: Story) -> None:
    assert story.taken_back.exit_status == 2
    assert "The run was taken back" in failures(story.taken_back)
    assert story.acl_after_taken_back.strip() == ""
