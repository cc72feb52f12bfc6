# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""`make demo`: the outage, and its end, told on a real host in two dozen lines."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.hosts.payments.host import WRITERS, CommandFailed, PaymentsHost  # noqa: E402
from tests.hosts.play import AUDIT, REPAIR, RESTARTS, Play, run_playbook  # noqa: E402

HOST = "logward-demo"
WORK = ROOT / ".cache" / "demo"
LOG = WORK / "molecule.log"
POLICY = ROOT / "molecule" / "outage" / "policy.yml"
INVENTORY = WORK / "inventory" / "ansible_inventory.yml"
WIDTH = 80
INDENT = " " * 10


def main() -> None:
    """Tell the story; leave the host running."""
    start_host()
    host = PaymentsHost(HOST)
    say("before", f"POST /pay answers {host.pay()}. Daily log files are on, untested.")
    host.quiet()
    host.next_midnight()
    host.log_as("root")
    name = host.log_file_today().rpartition("/")[2]
    say("midnight", f"root's cron job logs first, and creates {name}.")
    say("outage", f"POST /pay answers {host.pay()}. Who can write, and why not:")
    host.resume()
    show_access(play("audit"))
    say("repair", "ansible-playbook playbooks/remediate.yml --diff")
    first_answer, whole, remediation = remediate(host)
    show_diff(remediation)
    say("after", f"POST /pay answered 200 again {first_answer:.1f} s after the start,")
    print(f"{INDENT}and after {whole:.1f} s all was checked and audited. Restarts:")
    show_restarts(remediation)
    for first in WRITERS:
        tell_midnight(host, first)
    host.resume()
    print_farewell()


def start_host() -> None:
    """Make the payments host anew, as the tests do."""
    WORK.mkdir(parents=True, exist_ok=True)
    os.environ["LOGWARD_HOST_NAME"] = HOST
    os.environ["MOLECULE_EPHEMERAL_DIRECTORY"] = str(WORK)
    print("Starting a Debian host with Apache, PHP, Laravel, supervisor and cron ...")
    with LOG.open("w") as log:
        for step in ("destroy", "create", "prepare"):
            argv = ["molecule", step, "--scenario-name", "outage"]
            done = subprocess.run(argv, cwd=ROOT, stdout=log, stderr=log, check=False)
            if done.returncode:
                lines = LOG.read_text().splitlines()[-20:]
                print(*lines, sep="\n")
                sys.exit(f"The host could not be made. All of it: {LOG}")


def play(name: str) -> Play:
    """Run one of the collection's playbooks with the team's policy."""
    return run_playbook(str(INVENTORY), name, "--extra-vars", f"@{POLICY}")


def remediate(host: PaymentsHost) -> tuple[float, float, Play]:
    """Run the remediation, and return seconds until /pay first answered 200, and all."""
    start = time.monotonic()
    answered: list[float] = []

    def ask() -> None:
        while not answered and time.monotonic() - start < 60:
            with suppress(CommandFailed):  # while Apache restarts
                if host.pay() == 200:
                    answered.append(time.monotonic() - start)

    asking = threading.Thread(target=ask)
    asking.start()
    remediation = play("remediate")
    whole = time.monotonic() - start
    asking.join()
    if remediation.exit_status or not answered:
        failed = [name for name, result in remediation.tasks if result.get("failed")]
        sys.exit(f"The remediation failed: {', '.join(failed) or 'no answer 200'}")
    return answered[0], whole, remediation


def tell_midnight(host: PaymentsHost, first: str) -> None:
    """One more midnight, with ``first`` creating the new file."""
    host.quiet()
    host.next_midnight()
    host.log_as(first)
    others = [writer for writer in WRITERS if writer != first]
    logged = [writer for writer in others if host.log_as(writer)]
    also = " and ".join(logged) or "nobody"
    say(
        "midnight",
        f"POST /pay answers {host.pay()}. {first} logged first, then {also}.",
    )


def show_access(audit: Play) -> None:
    """Who can write the newest file."""
    (logs,) = audit.result(AUDIT)["directories"]
    file = logs["files"][0]
    print(f"{INDENT}{file['path']}  {file['owner']}:{file['group']} {file['mode']}")
    writers = [next_file["creator"] for next_file in logs["next_file"]]
    for row in file["access"]:
        if row["operation"] == "append" and row["identity"] in writers:
            can = "can write" if row["allowed"] else "CANNOT write"
            why = row["explanation"].partition(": ")[2]
            print(f"{INDENT}{row['identity']:9} {can:13} {why}")


def show_diff(remediation: Play) -> None:
    """What each inode has now, and had not, as the diff says it."""
    (diff,) = remediation.result(REPAIR)["diff"]
    # What is too long for a line goes on in the next one, indented.
    for line in diff["after"].replace("\n    ", " ").splitlines():
        name, *fields = re.split(r"  | (?=default: )", line)
        own = [field for field in fields if not field.startswith("default: ")]
        inherited = [field.partition(": ")[2] for field in fields if field not in own]
        show_fields("logs/" if name == "." else name, own)
        show_fields("next files inherit", inherited)


def show_restarts(remediation: Play) -> None:
    """What was done with each service, and why that."""
    for service in remediation.result(RESTARTS)["services"]:
        show_fields(service["name"], [f"{service['action']}: {service['why']}"])


def show_fields(label: str, fields: list[str]) -> None:
    """What an inode gets, or nothing where that is nothing."""
    if fields:
        print(
            textwrap.fill(
                "  ".join([label, *fields]),
                WIDTH,
                initial_indent=INDENT,
                subsequent_indent=INDENT + "    ",
                break_on_hyphens=False,
            )
        )


def say(when: str, text: str) -> None:
    """A step of the story."""
    print(f"{when:{len(INDENT)}}{text}", flush=True)


def print_farewell() -> None:
    """How to look around, and how to clean up."""
    print()
    print(f"The host is still there:  podman exec -it {HOST} bash")
    print("Remove it:                make clean")


if __name__ == "__main__":
    main()
