# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What follows a repair: nothing, as a rule; all that can fail; and the next run.

One story, on the host of the outage; each test looks at a part of it.
test_restarts.py has what service_restart does with each kind of service.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.hosts.payments.host import LOGS, PaymentsHost
from tests.hosts.play import REPAIR, Play, run_playbook

POLICY = Path(__file__).parents[1] / "policy.yml"
ACCESS_LOG = "/var/log/apache2/payments-access.log"
SITE = "/etc/apache2/sites-enabled/broken.conf"
STUBBORN = ["sh", "-c", "trap '' TERM; while sleep 0.98765; do :; done"]
RESTART = "Restart what needs it, one service after another"
WORKER = "supervisor:payments-worker"
NO_LIMIT = 1000


@dataclass
class Story:
    """What was seen, in the order in which it happened."""

    refused: list[Play]
    acl_after_refusal: str
    before_repair: tuple[str, str]
    repaired: Play
    after_repair: tuple[str, str]
    failing: Play
    acl_after_failing: str
    cache_clearers_left: str
    after_failing: tuple[str, str]
    worker_after_failing: str
    requests_of_failing: int
    taken_back: Play
    acl_after_taking_back: str
    preview: Play
    states_after_preview: tuple[str, str]
    next_run: Play
    states_after_next_run: tuple[str, str]


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    host = PaymentsHost(os.environ["LOGWARD_HOST_NAME"])

    def default_acl() -> str:
        return host.run(["getfacl", "--default", "--omit-header", LOGS])

    def break_permissions() -> None:
        host.run(["setfacl", "--remove-default", LOGS])

    def apache(field: str) -> str:
        argv = ["systemctl", "show", "--value", f"--property={field}", "apache2"]
        return host.run(argv).strip()

    def states() -> tuple[str, str]:
        return apache("ActiveState"), host.worker_state()

    def pids() -> tuple[str, str]:
        worker = host.run(["supervisorctl", "pid", "payments-worker"]).strip()
        return apache("MainPID"), worker

    def requests() -> int:
        argv = ["grep", "--count", "ansible-httpget", ACCESS_LOG]
        return int(host.run(argv, check=False))

    def stop_both() -> None:
        host.run(["supervisorctl", "stop", "payments-worker"])
        host.run(["systemctl", "stop", "apache2"])
        # In a container systemd may not hear of the end of the last process.
        host.run(["systemctl", "reset-failed", "apache2"], check=False)

    seen: dict[str, object] = {}
    try:
        host.run(["supervisorctl", "start", "payments-worker"], check=False)
        break_permissions()
        seen["refused"] = [
            remediate(logward_services="apache2"),
            remediate(logward_services=["apache2", "supervisor:no"]),
            remediate(logward_umask="0777"),
        ]
        seen["acl_after_refusal"] = default_acl()
        seen["before_repair"] = pids()
        seen["repaired"] = remediate()
        seen["after_repair"] = pids()
        break_permissions()
        host.run(["sh", "-c", f"echo Nonsense >{SITE}"])
        host.run(["supervisorctl", "stop", "payments-worker"])
        requests_before = requests()
        seen["failing"] = remediate(
            logward_cache_clear_argv=STUBBORN,
            logward_cache_clear_timeout=1,
            logward_restart="always",
            logward_health_status=418,
        )
        seen["acl_after_failing"] = default_acl()
        seen["cache_clearers_left"] = host.run(["pgrep", "-f", "0.98765"], check=False)
        seen["after_failing"] = pids()
        seen["worker_after_failing"] = host.worker_state()
        seen["requests_of_failing"] = requests() - requests_before
        host.run(["rm", SITE])
        break_permissions()
        seen["taken_back"] = remediate(
            logward_health_status=418, logward_rollback_on_failure="all"
        )
        seen["acl_after_taking_back"] = default_acl()
        assert remediate().exit_status == 0
        stop_both()
        seen["preview"] = remediate("--check")
        seen["states_after_preview"] = states()
        # what --extra-vars NAME=VALUE gives is a string
        seen["next_run"] = remediate(logward_health_status="200")
        seen["states_after_next_run"] = states()
        yield Story(**seen)  # type: ignore[arg-type]
    finally:
        host.run(["rm", "--force", SITE])
        host.run(["systemctl", "start", "apache2"])
        host.run(["supervisorctl", "start", "payments-worker"], check=False)


def remediate(*arguments: str, **variables: object) -> Play:
    """Run the playbook with the team's policy and with variables beside it."""
    inventory = os.environ["MOLECULE_INVENTORY_FILE"]
    more = {"logward_probe": False, "logward_restart_max_per_hour": NO_LIMIT}
    extra = json.dumps({**more, **variables})
    return run_playbook(
        inventory, "remediate", "-e", f"@{POLICY}", "-e", extra, *arguments
    )


def failures(play: Play) -> str:
    """What the play failed with in the end."""
    return str(play.result("Decide by what worked")["msg"])


def actions(play: Play) -> dict[str, str]:
    """What was done with each service."""
    return {each["name"]: each["action"] for each in play.result(RESTART)["services"]}


def test_wrong_variables_stop_before_the_repair(story: Story) -> None:
    for play in story.refused:
        assert play.exit_status == 2
        assert play.changed() == []
    assert story.acl_after_refusal.strip() == ""
    (message,) = [
        result["msg"]
        for name, result in story.refused[1].tasks
        if name.endswith("Refuse services that the host does not have")
    ]
    assert message.startswith("services: 'supervisor:no' is no program of supervisor")


def test_a_repair_with_acls_restarts_nothing(story: Story) -> None:
    assert story.repaired.exit_status == 0
    assert story.repaired.result(REPAIR)["changed"]
    assert not story.repaired.result(RESTART)["changed"]
    assert actions(story.repaired) == {"apache2": "none", WORKER: "none"}
    assert story.after_repair == story.before_repair


def test_the_repair_stays_whatever_fails_after_it(story: Story) -> None:
    assert story.failing.exit_status == 2
    assert story.failing.result(REPAIR)["changed"]
    assert "user:queue:rwx" in story.acl_after_failing
    assert failures(story.failing).endswith("The repaired permissions stay.")


def test_a_cache_clear_that_does_not_end_is_ended(story: Story) -> None:
    assert "The cache was not cleared" in failures(story.failing)
    assert story.cache_clearers_left == ""


def test_a_wrong_configuration_keeps_apache_as_it_is(story: Story) -> None:
    message = "apache2 was not restarted: apache2 refuses its configuration"
    assert message in failures(story.failing)
    assert story.after_failing[0] == story.before_repair[0] != "0"


def test_what_cannot_be_restarted_does_not_keep_the_others(story: Story) -> None:
    assert actions(story.failing) == {"apache2": "none", WORKER: "start"}
    assert story.worker_after_failing == "RUNNING"
    assert story.after_failing[1] != story.before_repair[1]


def test_the_application_is_asked_three_times(story: Story) -> None:
    assert story.requests_of_failing == 3
    assert "answered 200, not 418" in failures(story.failing)


def test_the_whole_run_is_taken_back_where_that_is_wanted(story: Story) -> None:
    assert story.taken_back.exit_status == 2
    assert story.taken_back.result(REPAIR)["changed"]
    assert story.acl_after_taking_back.strip() == ""
    assert "The run was taken back" in failures(story.taken_back)
    assert not any("Tell how to take" in name for name, _result in told(story))


def told(story: Story) -> list[tuple[str, object]]:
    """The tasks of the run that was taken back which were not skipped."""
    tasks = story.taken_back.tasks
    return [(name, result) for name, result in tasks if not result.get("skipped")]


def test_the_preview_announces_what_would_be_started(story: Story) -> None:
    assert story.preview.exit_status == 0
    assert story.preview.result(RESTART)["changed"]
    assert actions(story.preview) == {"apache2": "start", WORKER: "start"}
    assert story.states_after_preview == ("inactive", "STOPPED")


def test_the_next_run_starts_what_is_down_without_a_repair(story: Story) -> None:
    assert story.next_run.exit_status == 0
    assert not story.next_run.result(REPAIR)["changed"]
    assert actions(story.next_run) == {"apache2": "start", WORKER: "start"}
    assert story.states_after_next_run == ("active", "RUNNING")
