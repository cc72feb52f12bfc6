# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Services get another umask, and their old one back, on the host of the outage.

One story; each test looks at a part of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.hosts.payments.host import WORKER, PaymentsHost, wait_until
from tests.hosts.play import ROLLBACK, Play, run_module, run_playbook

PROGRAM = f"supervisor:{WORKER}"
SERVICES = ["apache2", "supervisor", PROGRAM, "systemd:cron.service"]
RUN = "umask-run"
ENVVARS = "/etc/apache2/envvars"
WORKER_FILE = f"/etc/supervisor/conf.d/{WORKER}.conf"
DROP_INS = [
    f"/etc/systemd/system/{unit}.service.d/logward.conf"
    for unit in ("supervisor", "cron")
]
PLACES = ["/etc/apache2", "/etc/supervisor", "/etc/systemd/system"]
NONSENSE = "/etc/apache2/conf-enabled/nonsense.conf"
BROKEN_PROGRAM = "/etc/supervisor/conf.d/broken.conf"
OVERRIDE = "/run/systemd/system/cron.service.d/zz.conf"
#: A file that breaks a service, what it holds, and the service.
BROKEN = {
    NONSENSE: ("Nonsense\n", "apache2"),
    BROKEN_PROGRAM: ("[program:broken]\ncommand=/bin/true\nnumprocs=x\n", PROGRAM),
    OVERRIDE: ("[Service]\nUMask=0077\n", "systemd:cron.service"),
}

Result = Mapping[str, Any]


@dataclass
class Story:
    """What was seen, in the order in which it happened."""

    before: str
    first: Result
    refused: dict[str, Result]
    after_refusals: str
    preview: Result
    after_preview: str
    edited: Result
    diff: str
    next_run: Result
    reloaded: Result
    restarted: Result
    groups: Result
    groups_reloaded: Result
    rollback: Play
    after_rollback: str
    units_after_rollback: str
    rollback_again: Play
    last: Result


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    host = PaymentsHost(os.environ["LOGWARD_HOST_NAME"])
    inventory = os.environ["MOLECULE_INVENTORY_FILE"]

    def call(name: str, *arguments: str, **options: object) -> Result:
        return run_module(inventory, name, options, *arguments)

    def info() -> Result:
        return call("service_umask_info", services=SERVICES)

    def set_umask(*arguments: str, **options: object) -> Result:
        wanted = {"services": SERVICES, "umask": "0002", "run_id": RUN, **options}
        return call("service_umask", *arguments, **wanted)

    seen: dict[str, object] = {}
    try:
        seen["before"] = files(host)
        seen["first"] = info()
        seen["refused"] = {
            path: refused(host, path, lambda name: set_umask(services=[name]))
            for path in BROKEN
        }
        seen["after_refusals"] = files(host)
        seen["preview"] = set_umask("--check")
        seen["after_preview"] = files(host)
        host.run(["cp", "-a", "/etc", "/root/etc"])
        seen["edited"] = set_umask()
        diff = ["diff", "--recursive", "--new-file", "/root/etc", "/etc"]
        seen["diff"] = host.run(diff, check=False)
        seen["next_run"] = set_umask()
        host.run(["systemctl", "reload", "apache2"])
        seen["reloaded"] = info()
        restart(host)
        seen["restarted"] = info()
        host.run(["usermod", "--append", "--groups", "adm", "www-data"])
        seen["groups"] = info()
        host.run(["systemctl", "reload", "apache2"])
        wait_until(lambda: info()["services"][0]["restart_needed"] == "none")
        seen["groups_reloaded"] = info()
        run = ["-e", f"logward_run_id={RUN}"]
        seen["rollback"] = run_playbook(inventory, "rollback", *run)
        seen["after_rollback"] = files(host)
        show = ["systemctl", "show", "--property=UMask,NeedDaemonReload"]
        seen["units_after_rollback"] = host.run([*show, "cron", "supervisor"])
        seen["rollback_again"] = run_playbook(inventory, "rollback", *run)
        seen["last"] = info()
        yield Story(**seen)  # type: ignore[arg-type]
    finally:
        host.run(["gpasswd", "--delete", "www-data", "adm"], check=False)
        host.run(["rm", "-rf", "/root/etc", *BROKEN])
        run_playbook(inventory, "rollback", "-e", f"logward_run_id={RUN}")
        restart(host)


def files(host: PaymentsHost) -> str:
    """Return what there is: names, owners, modes, and digests of the content."""
    found = "find {} -printf '%p %U:%G %m %l\n' | sort; find {} -type f | sort"
    text = found.format(*[" ".join(PLACES)] * 2)
    return host.run(["sh", "-c", f"{text} | xargs sha256sum"])


def refused(host: PaymentsHost, path: str, call: Any) -> Result:
    """Break a service, ask for another umask, and mend it."""
    content, service = BROKEN[path]
    host.run(["mkdir", "--parents", os.path.dirname(path)])
    host.run(["sh", "-c", f"cat >{path}"], stdin=content)
    try:
        result: Result = call(service)
        return result
    finally:
        host.run(["rm", path])


def restart(host: PaymentsHost) -> None:
    """Do what is due, by the plainest commands."""
    host.run(["systemctl", "daemon-reload"])
    host.run(["systemctl", "restart", "apache2", "cron"])
    # supervisord leaves its programs running where KillMode=process.
    host.run(["supervisorctl", "stop", "all"], check=False)
    host.run(["systemctl", "restart", "supervisor"])
    assert wait_until(lambda: "RUNNING" in host.run(["supervisorctl", "status"], False))


def by_name(result: Result) -> dict[str, Result]:
    return {each["name"]: each for each in result["services"]}


def umasks(result: Result) -> dict[str, tuple[str, set[str]]]:
    """Return what each service is configured with, and what its processes run with."""
    return {
        name: (each["configured"]["umask"], {one["umask"] for one in each["running"]})
        for name, each in by_name(result).items()
    }


def needed(result: Result) -> list[str]:
    return [each["restart_needed"] for each in result["services"]]


def test_configured_and_running_side_by_side(story: Story) -> None:
    assert umasks(story.first) == dict.fromkeys(SERVICES, ("0022", {"0022"}))
    assert needed(story.first) == ["none"] * 4
    assert len(by_name(story.first)["apache2"]["running"]) > 2
    assert len(by_name(story.first)[PROGRAM]["running"]) == 1


def test_broken_configuration_is_refused_and_never_made_worse(story: Story) -> None:
    said = {path: str(result["msg"]) for path, result in story.refused.items()}
    assert "apache2 refuses its configuration" in said[NONSENSE]
    assert "Nonsense" in said[NONSENSE]
    assert "supervisor refuses its configuration" in said[BROKEN_PROGRAM]
    assert f"0077: {OVERRIDE}:2 decides" in said[OVERRIDE]
    assert story.after_refusals == story.before


def test_preview_tells_what_is_then_done(story: Story) -> None:
    assert story.after_preview == story.before
    ignored = ("invocation", "warnings", "deprecations")
    told, done = (
        {key: value for key, value in result.items() if key not in ignored}
        for result in (story.preview, story.edited)
    )
    assert told == done


def test_edits_are_as_small_as_they_can_be(story: Story) -> None:
    paths = [ENVVARS, DROP_INS[0], WORKER_FILE, DROP_INS[1]]
    assert [each["path"] for each in story.edited["files"]] == paths
    changes = [line for line in story.diff.splitlines() if line[:2] in ("> ", "< ")]
    assert sorted(changes) == sorted(
        ["> umask 0002", "> umask=0002", *["> [Service]", "> UMask=0002"] * 2]
    )
    assert [each["after"] for each in story.edited["diff"]] == [
        "umask 0002\n",
        "[Service]\nUMask=0002\n",
        "umask=0002\n",
        "[Service]\nUMask=0002\n",
    ]


def test_second_run_changes_nothing(story: Story) -> None:
    assert story.edited["changed"] is True
    assert story.next_run["changed"] is False
    assert needed(story.next_run) == ["restart"] * 4


def test_reload_of_apache_keeps_the_umask(story: Story) -> None:
    before, after = (
        by_name(each)["apache2"] for each in (story.edited, story.reloaded)
    )
    # All children are new ones, of the same parent.
    pids = [{one["pid"] for one in each["running"]} for each in (before, after)]
    assert len(pids[0] & pids[1]) == 1
    assert after["restart_needed"] == "restart"
    assert "0022, and 0002 is configured" in after["why"]


def test_restart_is_all_that_is_needed(story: Story) -> None:
    assert umasks(story.restarted) == dict.fromkeys(SERVICES, ("0002", {"0002"}))
    assert needed(story.restarted) == ["none"] * 4


def test_groups_need_a_reload_of_apache(story: Story) -> None:
    apache = by_name(story.groups)["apache2"]
    assert apache["restart_needed"] == "reload"
    assert "of www-data lacks adm; " in apache["why"]
    assert needed(story.groups_reloaded) == ["none"] * 4


def test_rollback_takes_the_edits_back(story: Story) -> None:
    assert story.rollback.exit_status == 0
    done = story.rollback.result(ROLLBACK)
    assert len(done["files"]) == 4
    assert done["left_alone"] == []
    assert story.after_rollback == story.before
    (told,) = (
        result["msg"]
        for name, result in story.rollback.tasks
        if name == "Show what was put back"
    )
    assert f"FILE {ENVVARS}" in told
    assert story.rollback_again.changed() == []
    # They run with it until they are restarted.
    assert needed(story.last) == ["restart"] * 4
    shown = set(story.units_after_rollback.split())
    assert shown == {"UMask=0022", "NeedDaemonReload=no"}
