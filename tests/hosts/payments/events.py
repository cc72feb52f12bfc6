# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What happens to a host in a week, and can take a repair back."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable, Mapping
from typing import Final

from .host import WRITERS, PaymentsHost, wait_until

Event = Callable[[PaymentsHost, random.Random], object]


def _midnight(host: PaymentsHost, chance: random.Random) -> None:
    """A new day, and anybody is the first to log."""
    host.quiet()
    host.next_midnight()
    first = chance.choice(WRITERS)
    assert host.log_as(first), f"{first} cannot log first on a new day"
    host.resume()


def _rotate(host: PaymentsHost, _chance: random.Random) -> None:
    """What logrotate's timer does once a week, to all logs of the host."""
    inode = ["stat", "--format=%i", host.log_file_today()]
    before = host.run(inode)
    host.run(["logrotate", "--force", "/etc/logrotate.conf"])
    assert host.run(inode) != before, "logrotate has not rotated the log of today"


def _reboot(host: PaymentsHost, _chance: random.Random) -> None:
    """What is on disk stays, and everything starts as it is configured."""
    started = ["systemctl", "show", "--property=UserspaceTimestampMonotonic"]
    before = host.run(started)
    subprocess.run(
        ["podman", "restart", "--time", "30", host.name],
        capture_output=True,
        check=True,
    )
    # Before systemd listens, it fails; "degraded" is a unit that failed.
    asked = ["systemctl", "is-system-running", "--wait"]
    booted = wait_until(
        lambda: host.run(asked, check=False).strip() == "running", seconds=90
    )
    failed = "" if booted else host.run(["systemctl", "--failed"], check=False)
    assert booted, f"{host.name} does not come up again: {failed}"
    assert host.run(started) != before, f"{host.name} has not been down"


def _command(*argv: str) -> Event:
    def run(host: PaymentsHost, _chance: random.Random) -> None:
        host.run(argv)

    return run


#: By name, so that a failure tells what had happened before it.
EVENTS: Final[Mapping[str, Event]] = {
    "logrotate -f": _rotate,
    "midnight": _midnight,
    "systemd-tmpfiles --create": _command("systemd-tmpfiles", "--create"),
    "reboot": _reboot,
    "supervisorctl restart all": _command("supervisorctl", "restart", "all"),
    "Apache restarts": _command("systemctl", "restart", "apache2"),
}
