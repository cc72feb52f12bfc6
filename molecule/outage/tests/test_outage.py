# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The outage, from the last good minute to the midnights after its repair.

One story, played once on a real host; each test looks at a part of it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.hosts.payments.host import LOGS, WRITERS, PaymentsHost, wait_until
from tests.hosts.play import AUDIT, REPAIR, ROLLBACK, Play, run_playbook

POLICY = Path(__file__).parents[1] / "policy.yml"
ROOTS = ("/etc", "/var", "/srv", "/home")

# What the services themselves write while the story goes on.
OTHERS_BUSINESS = (
    "/var/log/journal",  # journald
    "/var/lib/logward",  # the journal of the repair
    "/var/log/supervisor/*",  # the worker's output
    "/var/lib/systemd/*",  # timers' time stamps
    "/var/tmp/systemd-private-*",  # noqa: S108 - apache2's, a new one each start
    "/srv/payments/storage/framework/cache/*",  # the application's cache
    f"{LOGS}/laravel-*.log",  # looked at by test_only_the_logs_have_changed
)

# Check mode cannot run a command: it announces it under another name.
ANNOUNCED = {
    "Announce that the application's cache would be cleared": (
        "Clear the application's cache as the application's user"
    ),
    "Announce the supervisor programs that would be restarted": (
        "Restart the named supervisor programs, and no others"
    ),
}

Listing = Mapping[str, str]


@dataclass
class Story:
    """What was seen, in the order in which it happened."""

    before_midnight: dict[str, bool]
    discovery: Play
    root_logged_first: bool
    pay_after_midnight: int
    worker_in_outage: str
    listing_in_outage: Listing
    logs_in_outage: Listing
    audit_in_outage: Play
    preview: Play
    listing_after_preview: Listing
    repair: Play
    listing_after_repair: Listing
    logs_after_repair: Listing
    after_repair: dict[str, bool]
    again: Play
    ctimes_before_again: str
    ctimes_after_again: str
    rollback: Play
    logs_after_rollback: Listing
    rollback_again: Play
    repair_again: Play
    logs_after_repair_again: Listing
    midnights: dict[str, dict[str, bool]]
    audit_at_the_end: Play
    listing_at_the_end: Listing


@pytest.fixture(scope="module")
def story() -> Story:
    host = PaymentsHost(os.environ["LOGWARD_HOST_NAME"])
    inventory = os.environ["MOLECULE_INVENTORY_FILE"]

    def play(name: str, *arguments: str) -> Play:
        return run_playbook(inventory, name, "--extra-vars", f"@{POLICY}", *arguments)

    def listing() -> Listing:
        return host.listing(ROOTS, OTHERS_BUSINESS)

    def logs() -> Listing:
        return host.listing([LOGS])

    def everybody_logs(by_cron: bool) -> dict[str, bool]:
        return {
            writer: host.log_as(writer, by_cron=by_cron and writer == "root")
            for writer in WRITERS
        }

    seen: dict[str, object] = {"before_midnight": everybody_logs(by_cron=True)}
    seen["discovery"] = run_playbook(inventory, "audit")
    host.quiet()
    host.next_midnight()
    seen["root_logged_first"] = host.log_as("root")
    seen["pay_after_midnight"] = host.pay()
    host.resume()
    wait_until(lambda: host.worker_state() == "FATAL", seconds=60)
    seen["worker_in_outage"] = host.worker_state()
    seen["logs_in_outage"] = logs()
    seen["listing_in_outage"] = listing()
    seen["audit_in_outage"] = play("audit")
    seen["preview"] = play("remediate", "--check")
    seen["listing_after_preview"] = listing()
    seen["repair"] = play("remediate")
    seen["listing_after_repair"] = listing()
    seen["logs_after_repair"] = logs()
    seen["after_repair"] = everybody_logs(by_cron=True)
    seen["ctimes_before_again"] = ctimes(host)
    seen["again"] = play("remediate")
    seen["ctimes_after_again"] = ctimes(host)
    seen["rollback"] = play("rollback")
    seen["logs_after_rollback"] = logs()
    seen["rollback_again"] = play("rollback")
    seen["repair_again"] = play("remediate")
    seen["logs_after_repair_again"] = logs()
    seen["midnights"] = {first: midnight(host, first) for first in WRITERS}
    host.resume()
    seen["audit_at_the_end"] = play("audit")
    seen["listing_at_the_end"] = listing()
    return Story(**seen)  # type: ignore[arg-type]


def midnight(host: PaymentsHost, first: str) -> dict[str, bool]:
    """A new day on which ``first`` creates the log; then everybody logs."""
    host.quiet()
    host.next_midnight()
    others = [writer for writer in WRITERS if writer != first]
    return {writer: host.log_as(writer) for writer in [first, *others]}


def ctimes(host: PaymentsHost) -> str:
    """When owner, mode or ACL of any directory here last changed.

    Of files it tells nothing: whoever logs moves it, too.
    """
    return host.run(["find", LOGS, "-type", "d", "-printf", "%p %C@\\n"])


def plain_names(play: Play) -> list[str]:
    names = [name.partition(" : ")[2] or name for name in play.changed()]
    return [ANNOUNCED.get(name, name) for name in names]


def differing(before: Listing, after: Listing) -> set[str]:
    return {
        path
        for path in before.keys() | after.keys()
        if before.get(path) != after.get(path)
    }


def test_everybody_logs_before_midnight(story: Story) -> None:
    assert story.before_midnight == dict.fromkeys(WRITERS, True)


def test_without_a_policy_the_audit_predicts_the_outage(story: Story) -> None:
    found = story.discovery.result(AUDIT)
    assert found["suggested_policy"] == [
        {"path": LOGS, "writers": ["queue", "root", "www-data"]}
    ]
    assert found["problems"] == []
    assert story.discovery.exit_status == 2
    (logs,) = found["directories"]
    next_file = {each["creator"]: each for each in logs["next_file"]}["root"]
    assert (next_file["owner"], next_file["mode"]) == ("root", "0644")
    (denied,) = (
        row
        for row in next_file["access"]
        if (row["identity"], row["operation"]) == ("www-data", "append")
    )
    assert (denied["allowed"], denied["reason"]) == (False, "denied_group")
    cause = {each["code"]: each["message"] for each in logs["findings"]}["daily_log_on"]
    assert cause == (
        "A new file will appear at 00:00 UTC, because LOG_CHANNEL=daily in "
        "/srv/payments/.env"
    )


def test_after_midnight_the_service_is_down(story: Story) -> None:
    assert story.root_logged_first
    assert story.pay_after_midnight == 500
    assert story.worker_in_outage == "FATAL"


def test_the_audit_names_who_is_locked_out_and_changes_nothing(story: Story) -> None:
    assert story.audit_in_outage.exit_status == 2
    (logs,) = story.audit_in_outage.result(AUDIT)["directories"]
    denied = {
        (finding["subject"], finding["code"])
        for finding in logs["findings"]
        if finding["severity"] == "error"
    }
    assert ("www-data", "writer_denied") in denied
    assert ("queue", "writer_denied") in denied
    assert ("www-data (created by root)", "next_file_writer_denied") in denied
    assert ("root", "writer_denied") not in denied
    assert logs["findings"][0]["evidence"] == "root:www-data 0644"


def test_check_mode_changes_nothing(story: Story) -> None:
    assert story.preview.exit_status == 0
    assert story.listing_after_preview == story.listing_in_outage


def test_check_mode_announces_what_is_then_done(story: Story) -> None:
    assert plain_names(story.preview) == plain_names(story.repair)
    announced, done = story.preview.result(REPAIR), story.repair.result(REPAIR)
    assert announced["diff"] == done["diff"] != []
    assert announced["directories"] == done["directories"]


def test_the_repair_ends_the_outage(story: Story) -> None:
    assert story.repair.exit_status == 0
    assert story.after_repair == dict.fromkeys(WRITERS, True)


def test_the_diff_names_exactly_what_changed(story: Story) -> None:
    (diff,) = story.repair.result(REPAIR)["diff"]
    lines = diff["after"].splitlines()
    named = {line.partition("  ")[0] for line in lines if not line.startswith(" ")}
    changed = {
        os.path.relpath(path, LOGS)
        for path in differing(story.logs_in_outage, story.logs_after_repair)
    }
    assert named == changed != set()


def test_a_second_run_changes_nothing(story: Story) -> None:
    assert story.again.exit_status == 0
    assert story.again.changed() == []
    assert story.ctimes_after_again == story.ctimes_before_again


def test_the_repair_says_how_to_take_it_back(story: Story) -> None:
    run_id = story.repair.result(REPAIR)["run_id"]
    told = story.repair.result("Tell how to take the repair back")["msg"]
    assert f"-e logward_run_id={run_id}" in told
    assert "ansible-playbook logward.permissions.rollback" in told


def test_rollback_takes_the_repair_back_exactly(story: Story) -> None:
    assert story.rollback.exit_status == 0
    assert story.logs_after_rollback == story.logs_in_outage
    done = story.rollback.result(ROLLBACK)
    assert done["run_id"] == story.repair.result(REPAIR)["run_id"]
    assert done["restored"] == sum(
        each["changed_inodes"] for each in story.repair.result(REPAIR)["directories"]
    )
    assert done["left_alone"] == []
    assert story.rollback_again.changed() == []


def test_what_was_taken_back_can_be_repaired_again(story: Story) -> None:
    assert story.repair_again.exit_status == 0
    assert story.logs_after_repair_again == story.logs_after_repair


@pytest.mark.parametrize("first", WRITERS)
def test_the_next_midnights_are_harmless(story: Story, first: str) -> None:
    assert story.midnights[first] == dict.fromkeys(WRITERS, True)


def test_only_the_logs_have_changed(story: Story) -> None:
    changed = differing(story.listing_in_outage, story.listing_after_repair)
    assert changed == {LOGS}
    changed = differing(story.listing_in_outage, story.listing_at_the_end)
    assert changed == {LOGS}


def test_the_audit_is_content_in_the_end(story: Story) -> None:
    assert story.audit_at_the_end.exit_status == 0
    (logs,) = story.audit_at_the_end.result(AUDIT)["directories"]
    assert logs["compliant"]
    assert not logs["changes_needed"]
