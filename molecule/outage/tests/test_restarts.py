# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restarts that nobody regrets: only what is due, and it comes back, or is put back.

One story, on the host of the outage; each test looks at a part of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from tests.hosts.payments.host import WORKER as PROGRAM
from tests.hosts.payments.host import PaymentsHost
from tests.hosts.play import run_module

WORKER = f"supervisor:{PROGRAM}"
BOTH = [WORKER, "apache2"]  # they are restarted in the other order
PICKY = "supervisor:picky"
PICKY_FILE = "/etc/supervisor/conf.d/picky.conf"
# It does not run with another umask, and says so.
REFUSES = 'test $(umask) = 0022 || { echo "umask $(umask) is wrong" >&2; exit 7; }'
PICKY_TEXT = f"""[program:picky]
command=/bin/sh -c '{REFUSES}; exec sleep infinity'
startretries=1
[program:beside]
command=/bin/sleep infinity
"""
UNIT = "picky.service"
UNIT_FILE = f"/etc/systemd/system/{UNIT}"
UNIT_TEXT = f"""[Service]
Restart=on-failure
RestartSec=100ms
ExecStart=/bin/sh -c '{REFUSES}; exec sleep infinity'
"""
ENVVARS = "/etc/apache2/envvars"
# Whatever stops Apache, somebody else takes its port at once.
TAKEN = "taken"
TAKEN_FILES = {
    f"/etc/systemd/system/{TAKEN}.socket": "[Socket]\nListenStream=80\n",
    f"/etc/systemd/system/{TAKEN}.service": "[Service]\nExecStart=/bin/sleep 9999\n",
    f"/etc/systemd/system/apache2.service.d/{TAKEN}.conf": (
        f"[Service]\nExecStopPost=/bin/systemctl start {TAKEN}.socket\n"
    ),
}
IDLE_FILE = "/etc/systemd/system/idle.service"
BUDGET = "/var/lib/logward/restarts.json"
ADM = 4  # on every Debian
NO_LIMIT = 1000

Result = Mapping[str, Any]


@dataclass
class Story:
    """What was seen, in the order in which it happened."""

    nothing: Result
    groups_previewed: Result
    groups_never: Result
    groups: Result
    umask: Result
    always: Result
    program: Result
    program_file: str
    unit: Result
    unit_files: str
    port: Result
    port_before: str
    port_after: str
    port_free: Result
    idle: Result
    silent: Result
    nobody: Result
    masked: Result
    at_once: list[Result]
    budget_mode: str
    spent: Result
    back: Result


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:  # noqa: PLR0915 - one story, in its order
    host = PaymentsHost(os.environ["LOGWARD_HOST_NAME"])
    inventory = os.environ["MOLECULE_INVENTORY_FILE"]

    def restart(services: list[str], *arguments: str, **options: object) -> Result:
        wanted = {"services": services, "max_per_hour": NO_LIMIT, **options}
        return run_module(inventory, "service_restart", wanted, *arguments)

    def set_umask(service: str, run_id: str) -> None:
        options = {"services": [service], "umask": "0002", "run_id": run_id}
        assert run_module(inventory, "service_umask", options)["changed"]

    def take_back(run_id: str) -> None:
        assert "failed" not in run_module(
            inventory, "journal_restore", {"run_id": run_id}
        )

    def supervisor(signal: str) -> None:
        host.run(["systemctl", "kill", "--kill-who=main", f"-s{signal}", "supervisor"])

    seen: dict[str, object] = {}
    try:
        host.run(["rm", "--force", BUDGET])
        write(host, PICKY_FILE, PICKY_TEXT)
        write(host, UNIT_FILE, UNIT_TEXT)
        write(host, IDLE_FILE, "[Service]\nType=oneshot\nExecStart=/bin/true\n")
        host.run(["systemctl", "daemon-reload"])
        host.run(["systemctl", "start", UNIT])
        host.run(["supervisorctl", "update"])
        # Still starting, it comes up by itself.
        host.run(["supervisorctl", "signal", "TERM", PROGRAM])
        seen["nothing"] = restart([*BOTH, PICKY, f"systemd:{UNIT}"])
        host.run(["usermod", "--append", "--groups", "adm", "queue"])
        seen["groups_previewed"] = restart(BOTH, "--check")
        seen["groups_never"] = restart(BOTH, mode="never")
        seen["groups"] = restart(BOTH)
        set_umask("apache2", "restart-apache")
        seen["umask"] = restart(BOTH)
        take_back("restart-apache")
        restart(BOTH)
        seen["always"] = restart(BOTH, mode="always")
        set_umask(PICKY, "restart-program")
        services = [f"systemd:{UNIT}", PICKY]
        seen["program"] = restart(services, run_id="restart-program")
        seen["program_file"] = host.run(["cat", PICKY_FILE])
        set_umask(f"systemd:{UNIT}", "restart-unit")
        seen["unit"] = restart([f"systemd:{UNIT}"], run_id="restart-unit")
        seen["unit_files"] = host.run(["sh", "-c", f"cat {UNIT_FILE}.d/*"], check=False)
        seen["port_before"] = host.run(["cat", ENVVARS])
        set_umask("apache2", "restart-port")
        for path, text in TAKEN_FILES.items():
            write(host, path, text)
        host.run(["systemctl", "daemon-reload"])
        seen["port"] = restart(BOTH, run_id="restart-port")
        seen["port_after"] = host.run(["cat", ENVVARS])
        give_port_back(host)
        seen["port_free"] = restart(BOTH)
        seen["idle"] = restart(["systemd:idle"], mode="always")
        supervisor("STOP")
        try:
            seen["silent"] = restart([*BOTH, PICKY], mode="always", timeout=3)
        finally:
            supervisor("CONT")
        host.run(["mv", "/run/supervisor.sock", "/run/supervisor.away"])
        try:
            seen["nobody"] = restart(BOTH)
        finally:
            host.run(["mv", "/run/supervisor.away", "/run/supervisor.sock"])
        host.run(["systemctl", "mask", "apache2"])
        try:
            seen["masked"] = restart(BOTH, mode="always")
        finally:
            host.run(["systemctl", "unmask", "apache2"])
        with ThreadPoolExecutor() as pool:
            runs = [pool.submit(restart, BOTH, mode="always") for _run in range(2)]
            seen["at_once"] = [each.result() for each in runs]
        seen["budget_mode"] = host.run(["stat", "--format=%a %U", BUDGET]).strip()
        seen["spent"] = restart(BOTH, mode="always", max_per_hour=2)
        seen["back"] = restart(BOTH, "--check")
        yield Story(**seen)  # type: ignore[arg-type]
    finally:
        host.run(["gpasswd", "--delete", "queue", "adm"], check=False)
        host.run(["systemctl", "stop", UNIT], check=False)
        files = [PICKY_FILE, UNIT_FILE, f"{UNIT_FILE}.d", IDLE_FILE, BUDGET]
        host.run(["rm", "-rf", *files])
        give_port_back(host)
        host.run(["systemctl", "daemon-reload"])
        host.run(["supervisorctl", "update"])
        host.run(["supervisorctl", "restart", PROGRAM], check=False)


def write(host: PaymentsHost, path: str, text: str) -> None:
    host.run(["install", "-D", "--mode=0644", "/dev/stdin", path], stdin=text)


def give_port_back(host: PaymentsHost) -> None:
    host.run(["rm", "--force", *TAKEN_FILES])
    units = [f"{TAKEN}.socket", f"{TAKEN}.service"]
    host.run(["systemctl", "stop", *units], check=False)
    host.run(["systemctl", "daemon-reload"])


def of(result: Result, name: str) -> Result:
    (found,) = [each for each in result["services"] if each["name"] == name]
    return dict(found)


def actions(result: Result) -> list[tuple[str, str]]:
    return [(each["name"], each["action"]) for each in result["services"]]


def pids(processes: list[Result]) -> set[int]:
    return {each["pid"] for each in processes}


def untouched(result: Result, name: str) -> bool:
    each = of(result, name)
    return each["action"] == "none" and each["before"] == each["after"] != []


def test_nothing_is_due(story: Story) -> None:
    assert not story.nothing["changed"]
    for each in story.nothing["services"]:
        assert untouched(story.nothing, each["name"])
        assert each["why"] == "it runs with what is configured"


def test_stale_groups_restart_that_program_alone(story: Story) -> None:
    assert actions(story.groups) == [("apache2", "none"), (WORKER, "restart")]
    assert untouched(story.groups, "apache2")
    worker = of(story.groups, WORKER)
    assert " of queue lacks adm; " in worker["why"]
    assert worker["seconds"] >= 2  # its startsecs
    ((before,), (after,)) = worker["before"], worker["after"]
    assert before["pid"] != after["pid"]
    assert ADM in after["groups"]
    assert ADM not in before["groups"]


def test_check_mode_and_never_only_say_so(story: Story) -> None:
    previewed, never = story.groups_previewed, story.groups_never
    assert previewed["changed"]
    assert actions(previewed) == actions(story.groups)
    assert not never["changed"]
    assert untouched(never, WORKER)
    assert of(never, WORKER)["why"].endswith("; mode is never")
    assert of(previewed, WORKER)["before"] == of(story.groups, WORKER)["before"]


def test_stale_umask_restarts_apache_alone(story: Story) -> None:
    assert actions(story.umask) == [("apache2", "restart"), (WORKER, "none")]
    assert untouched(story.umask, WORKER)
    apache = of(story.umask, "apache2")
    assert {each["umask"] for each in apache["before"]} == {"0022"}
    assert {each["umask"] for each in apache["after"]} == {"0002"}
    assert not pids(apache["before"]) & pids(apache["after"])


def test_always_reloads_apache_and_restarts_the_program(story: Story) -> None:
    assert actions(story.always) == [("apache2", "reload"), (WORKER, "restart")]
    apache = of(story.always, "apache2")
    # the parent stays, and not one child
    assert len(pids(apache["before"]) & pids(apache["after"])) == 1
    worker = of(story.always, WORKER)
    assert not pids(worker["before"]) & pids(worker["after"])


def test_program_that_does_not_come_back(story: Story) -> None:
    failed = story.program
    assert failed["failed"]
    assert failed["msg"].startswith(
        f"{PICKY} did not come back: it is FATAL. Its configuration was put back "
        f"({PICKY_FILE}). It was started again, and runs as it did before. "
        f"Not touched after it: systemd:{UNIT}. {PICKY} said last:\numask 0002 is wrong"
    )
    assert failed["last_lines"] == ["umask 0002 is wrong"] * 2
    assert failed["put_back"] == [PICKY_FILE]
    assert story.program_file == PICKY_TEXT
    picky = of(failed, PICKY)
    assert [each["umask"] for each in picky["after"]] == ["0022"]
    assert not pids(picky["before"]) & pids(picky["after"])
    assert actions(failed) == [(PICKY, "restart"), (f"systemd:{UNIT}", "none")]


def test_unit_that_does_not_come_back(story: Story) -> None:
    failed = story.unit
    assert f"systemd:{UNIT} did not come back: it is " in failed["msg"]
    assert "runs as it did before" in failed["msg"]
    assert "umask 0002 is wrong" in failed["last_lines"]
    assert failed["put_back"] == [f"{UNIT_FILE}.d/logward.conf"]
    assert story.unit_files == ""
    assert [each["umask"] for each in of(failed, f"systemd:{UNIT}")["after"]] == [
        "0022"
    ]


def test_apache_whose_port_is_taken_and_the_next_run(story: Story) -> None:
    failed = story.port
    assert "apache2 did not come back: systemctl restart" in failed["msg"]
    assert "It was started again, and still does not run" in failed["msg"]
    assert f"Not touched after it: {WORKER}" in failed["msg"]
    assert "Address already in use" in "\n".join(failed["last_lines"])
    assert failed["put_back"] == [ENVVARS]
    assert story.port_after == story.port_before
    assert actions(failed) == [("apache2", "restart"), (WORKER, "none")]
    assert actions(story.port_free) == [("apache2", "start"), (WORKER, "none")]
    apache = of(story.port_free, "apache2")
    assert apache["before"] == []
    assert {each["umask"] for each in apache["after"]} == {"0022"}


def test_what_need_not_run_is_left_alone(story: Story) -> None:
    assert not story.idle["changed"]
    why = "it does its work once and ends (Type=oneshot), and is not due now"
    assert of(story.idle, "systemd:idle.service")["why"] == why


def test_supervisor_that_does_not_answer(story: Story) -> None:
    message = story.silent["msg"]
    assert message.count("did not answer within 3 s. Look at: systemctl status") == 2
    assert actions(story.silent)[0] == ("apache2", "reload")
    assert [action for _name, action in actions(story.silent)[1:]] == ["none"] * 2


def test_supervisor_without_its_socket(story: Story) -> None:
    message = "supervisor.sock is not there. Run: systemctl start supervisor"
    assert message in story.nobody["msg"]
    assert not story.nobody["changed"]


def test_masked_unit_stops_before_anything_is_touched(story: Story) -> None:
    assert story.masked["msg"].startswith("services: 'apache2' is masked")
    assert "services" not in story.masked


def test_two_runs_at_once_follow_each_other(story: Story) -> None:
    one, other = (of(each, WORKER) for each in story.at_once)
    if one["before"] == other["after"]:
        one, other = other, one
    assert one["after"] == other["before"]
    assert len(pids(one["before"]) | pids(one["after"]) | pids(other["after"])) == 3


def test_spent_budget(story: Story) -> None:
    assert story.budget_mode == "600 root"
    assert story.spent["failed"]
    assert not story.spent["changed"]
    for name in BOTH:
        assert untouched(story.spent, name)
    assert "times within the last hour, and max_per_hour is 2" in story.spent["msg"]


def test_in_the_end_nothing_is_due(story: Story) -> None:
    assert not story.back["changed"]
