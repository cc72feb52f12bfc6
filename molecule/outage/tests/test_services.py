# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What follows a repair, when nearly all of it fails, and what the next run does.

One story, on the host of the outage; each test looks at a part of it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.hosts.payments.host import LOGS, PaymentsHost
from tests.hosts.play import REPAIR, Play, run_playbook

POLICY = Path(__file__).parents[1] / "policy.yml"
ACCESS_LOG = "/var/log/apache2/payments-access.log"
SITE = "/etc/apache2/sites-enabled/broken.conf"
STUBBORN = ["sh", "-c", "trap '' TERM; while sleep 0.98765; do :; done"]
RESTART_APACHE = "Restart Apache"
RESTART_PROGRAMS = "Restart the named supervisor programs, and no others"


@dataclass
class Story:
    """What was seen, in the order in which it happened."""

    refused: Play
    acl_after_refusal: str
    failing: Play
    acl_after_failing: str
    cache_clearers_left: str
    apache_before: str
    apache_after_failing: str
    worker_after_failing: str
    requests_of_failing: int
    preview: Play
    states_after_preview: tuple[str, str]
    next_run: Play
    states_after_next_run: tuple[str, str]


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    host = PaymentsHost(os.environ["LOGWARD_HOST_NAME"])

    def default_acl() -> str:
        return host.run(["getfacl", "--default", "--omit-header", LOGS])

    def apache(field: str) -> str:
        argv = ["systemctl", "show", "--value", f"--property={field}", "apache2"]
        return host.run(argv).strip()

    def states() -> tuple[str, str]:
        return apache("ActiveState"), host.worker_state()

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
        host.run(["setfacl", "--remove-default", LOGS])
        host.run(["sh", "-c", f"echo Nonsense >{SITE}"])
        host.run(["supervisorctl", "stop", "payments-worker"], check=False)
        seen["refused"] = remediate(logward_services="apache2")
        seen["acl_after_refusal"] = default_acl()
        seen["apache_before"] = apache("MainPID")
        requests_before = requests()
        seen["failing"] = remediate(
            logward_cache_clear_argv=STUBBORN,
            logward_cache_clear_timeout=1,
            logward_services=["supervisor:no", "apache2", "supervisor:payments-worker"],
            logward_health_status=418,
        )
        seen["acl_after_failing"] = default_acl()
        seen["cache_clearers_left"] = host.run(["pgrep", "-f", "0.98765"], check=False)
        seen["apache_after_failing"] = apache("MainPID")
        seen["worker_after_failing"] = host.worker_state()
        seen["requests_of_failing"] = requests() - requests_before
        host.run(["rm", SITE])
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
    more = json.dumps({"logward_probe": False, **variables})
    return run_playbook(
        inventory, "remediate", "-e", f"@{POLICY}", "-e", more, *arguments
    )


def failures(play: Play) -> str:
    """What the play failed with in the end."""
    return str(play.result("Decide by what worked")["msg"])


def programs(play: Play) -> Mapping[str, bool]:
    """The supervisor programs that were to be restarted, and whether that failed."""
    results = play.result(RESTART_PROGRAMS)["results"]
    return {each["item"]: bool(each.get("failed")) for each in results}


def changed(play: Play) -> list[str]:
    return [name.rpartition(" : ")[2] for name in play.changed()]


def test_wrong_variables_stop_before_the_repair(story: Story) -> None:
    assert story.refused.exit_status == 2
    assert story.refused.changed() == []
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
    assert story.apache_after_failing == story.apache_before != "0"


def test_a_failing_program_does_not_keep_the_others(story: Story) -> None:
    assert programs(story.failing) == {"no": True, "payments-worker": False}
    assert "supervisor does not run no." in failures(story.failing)
    assert story.worker_after_failing == "RUNNING"


def test_the_application_is_asked_three_times(story: Story) -> None:
    assert story.requests_of_failing == 3
    assert "answered 200, not 418" in failures(story.failing)


def test_the_preview_announces_what_would_be_started(story: Story) -> None:
    assert story.preview.exit_status == 0
    assert RESTART_APACHE in changed(story.preview)
    announced = "Announce the supervisor programs that would be restarted"
    assert announced in changed(story.preview)
    assert story.states_after_preview == ("inactive", "STOPPED")


def test_the_next_run_starts_what_is_down_without_a_repair(story: Story) -> None:
    assert story.next_run.exit_status == 0
    assert not story.next_run.result(REPAIR)["changed"]
    assert RESTART_APACHE in changed(story.next_run)
    assert programs(story.next_run) == {"payments-worker": False}
    assert story.states_after_next_run == ("active", "RUNNING")
