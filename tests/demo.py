# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""`make demo`: the outage, and its end, told on a real host in two dozen lines."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.hosts.payments.host import WRITERS, PaymentsHost  # noqa: E402
from tests.hosts.play import AUDIT, REPAIR, Play, run_playbook  # noqa: E402

HOST = "logward-demo"
WORK = ROOT / ".cache" / "demo"
LOG = WORK / "molecule.log"
POLICY = ROOT / "molecule" / "outage" / "policy.yml"
INVENTORY = WORK / "inventory" / "ansible_inventory.yml"
WIDTH = 80


def main() -> None:
    """Tell the story; leave the host running."""
    start_host()
    host = PaymentsHost(HOST)
    say("22:50", f"POST /pay answers {host.pay()}. Daily log files are on, untested.")
    host.quiet()
    host.next_midnight()
    host.log_as("root")
    name = host.log_file_today().rpartition("/")[2]
    say("00:00", f"root's cron job is the first to log, and creates {name}.")
    say("00:05", f"POST /pay answers {host.pay()}. Who can write, and why not:")
    host.resume()
    show_access(play("audit"))
    say("00:06", "ansible-playbook playbooks/remediate.yml --diff")
    seconds, remediation = remediate(host)
    show_diff(remediation)
    say("00:07", f"POST /pay answered 200 again {seconds:.1f} s after its start.")
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
    return run_playbook(str(INVENTORY), name, "--extra-vars", f"@{POLICY}")


def remediate(host: PaymentsHost) -> tuple[float, Play]:
    """Run the remediation; return the seconds until /pay first answered 200."""
    start = time.monotonic()
    answered: list[float] = []

    def ask() -> None:
        while not answered and time.monotonic() - start < 60:
            if host.pay() == 200:
                answered.append(time.monotonic() - start)

    asking = threading.Thread(target=ask)
    asking.start()
    remediation = play("remediate")
    asking.join()
    if remediation.exit_status or not answered:
        failed = [name for name, result in remediation.tasks if result.get("failed")]
        sys.exit(f"The remediation failed: {', '.join(failed) or 'no answer 200'}")
    return answered[0], remediation


def tell_midnight(host: PaymentsHost, first: str) -> None:
    host.quiet()
    host.next_midnight()
    host.log_as(first)
    others = [writer for writer in WRITERS if writer != first]
    logged = [writer for writer in others if host.log_as(writer)]
    also = " and ".join(logged) if logged else "nobody"
    say("00:00", f"/pay: {host.pay()}. {first} logged first; {also} could as well.")


def show_access(audit: Play) -> None:
    (logs,) = audit.result(AUDIT)["directories"]
    file = logs["files"][0]
    print(f"       {file['path']}  {file['owner']}:{file['group']} {file['mode']}")
    for row in file["access"]:
        if row["operation"] == "append":
            can = "can write" if row["allowed"] else "CANNOT write"
            why = row["explanation"].partition(": ")[2]
            print(f"       {row['identity']:9} {can:13} {why}")


def show_diff(remediation: Play) -> None:
    """What changed, each inode's lines joined."""
    (diff,) = remediation.result(REPAIR)["diff"]
    before, after = blocks(diff["before"]), blocks(diff["after"])
    for name, lines in after.items():
        show_lines("+", name, [line for line in lines if line not in before[name]])


def show_lines(sign: str, name: str, lines: list[str]) -> None:
    text = " ".join("-".join(line.split()) for line in lines)
    label = "logs/" if name == "." else name
    print(
        textwrap.fill(
            f"{label} {sign} {text}",
            WIDTH,
            initial_indent=" " * 7,
            subsequent_indent=" " * 11,
            break_on_hyphens=False,
        )
    )


def blocks(text: str) -> Mapping[str, list[str]]:
    found: dict[str, Any] = {}
    for line in text.splitlines():
        if line.startswith(" "):
            found[name].append(line.strip())
        else:
            name = line
            found[name] = []
    return found


def say(clock: str, text: str) -> None:
    print(f"{clock}  {text}", flush=True)


def print_farewell() -> None:
    print()
    print(f"The host is still there:  podman exec -it {HOST} bash")
    print("Remove it:                make clean")


if __name__ == "__main__":
    main()
