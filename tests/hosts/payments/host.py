# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Drive a running payments host: move its midnight, have a writer log, look at it.

molecule/outage/prepare.yml puts the application on the host. The tests and the demo
use this class, so that both mean the same by "queue logs first after midnight".
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Collection, Sequence
from typing import Final

LOGS: Final = "/srv/payments/storage/logs"
WRITERS: Final = ("www-data", "queue", "root")

WORKER: Final = "payments-worker"
CRON_JOB: Final = "/etc/cron.d/payments"

# What follows runs in the host, with the host's own Python.

# The clock file holds one line, "+SECONDS". It is exchanged and not rewritten:
# processes read it all the time and must never see half of it.
_MOVE_CLOCK: Final = """
import math, os, time
clock = "/etc/faketimerc"
offset = int(open(clock).read())
now = time.time()
midnight = ((now + offset) // 86400 + 1) * 86400
with open(clock + ".new", "w") as new:
    new.write("+%d\\n" % math.ceil(midnight - now))
os.replace(clock + ".new", clock)
"""

_TODAY: Final = """
import time
offset = int(open("/etc/faketimerc").read())
print(time.strftime("%Y-%m-%d", time.gmtime(time.time() + offset)))
"""

_PAY: Final = """
import http.client
def pay():
    connection = http.client.HTTPConnection("localhost", timeout=30)
    connection.request("POST", "/pay")
    return connection.getresponse().status
"""

# The crontab's variables and command line, run as cron runs them.
_RUN_CRON_JOB: Final = """
import os, subprocess
def run_cron_job(path):
    environment = {"HOME": "/root", "LOGNAME": "root", "SHELL": "/bin/sh",
                   "PATH": "/usr/bin:/bin"}
    for line in open(path).read().splitlines():
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if equals and name.isidentifier():
            environment[name] = value
        else:
            command = line.split(None, 6)[6]
    os.umask(0o022)
    subprocess.run(["/bin/sh", "-c", command], cwd="/root", env=environment)
"""

# Each writer in turn, in a second or two for all of them. A locked out worker is
# not started any more after a while (FATAL).
_LOCKED_OUT: Final = """
import json, subprocess, sys, time
log, job, worker, *writers = sys.argv[1:]

def lines_by(writer):
    try:
        with open(log, errors="replace") as lines:
            return sum('"user":"%s"' % writer in line for line in lines)
    except FileNotFoundError:
        return 0

def given_up():
    argv = ["supervisorctl", "status", worker]
    return "FATAL" in subprocess.run(argv, capture_output=True, text=True).stdout

def logs(writer):
    before = lines_by(writer)
    if writer == "www-data":
        return pay() == 200 and lines_by(writer) > before
    if writer == "root":
        run_cron_job(job)
        return lines_by(writer) > before
    start = time.monotonic()
    while lines_by(writer) == before and time.monotonic() < start + 60:
        time.sleep(0.1)
        if time.monotonic() > start + 2 and given_up():
            break
    return lines_by(writer) > before

print(json.dumps([writer for writer in writers if not logs(writer)]))
"""

_LIST: Final = r"""
import fnmatch, grp, json, os, pwd, stat, struct, sys
TAGS = {1: "user", 2: "user", 4: "group", 8: "group", 0x10: "mask", 0x20: "other"}
roots, exclude = json.load(sys.stdin)

def name(lookup, number):
    try:
        return lookup(number)[0]
    except KeyError:
        return str(number)

def user(uid):
    return name(pwd.getpwuid, uid)

def group(gid):
    return name(grp.getgrgid, gid)

def acl(path, kind):
    try:
        raw = os.getxattr(path, "system.posix_acl_" + kind, follow_symlinks=False)
    except OSError:
        return "-"
    entries = []
    for tag, permissions, number in struct.iter_unpack("<HHI", raw[4:]):
        who = user(number) if tag == 2 else group(number) if tag == 8 else ""
        bits = "".join(c if permissions & b else "-" for c, b in zip("rwx", (4, 2, 1)))
        entries.append("%s:%s:%s" % (TAGS[tag], who, bits))
    return ",".join(entries)

def describe(path, status):
    text = "%s %s:%s" % (
        stat.filemode(status.st_mode), user(status.st_uid), group(status.st_gid))
    if stat.S_ISLNK(status.st_mode):
        return text + " -> " + os.readlink(path)
    return "%s access=%s default=%s" % (
        text, acl(path, "access"), acl(path, "default"))

found = {}
waiting = list(roots)
while waiting:
    path = waiting.pop()
    if any(fnmatch.fnmatchcase(path, pattern) for pattern in exclude):
        continue
    try:
        status = os.lstat(path)
        found[path] = describe(path, status)
        if stat.S_ISDIR(status.st_mode):
            waiting += [os.path.join(path, entry) for entry in os.listdir(path)]
    except FileNotFoundError:
        pass
json.dump(found, sys.stdout)
"""


class CommandFailed(Exception):
    """A command in the host ended with an error; the message has its output."""


class PaymentsHost:
    """A payments host, by the name of its container."""

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, argv: Sequence[str], check: bool = True, stdin: str = "") -> str:
        """Run a command as root in the host and return its standard output."""
        done = subprocess.run(
            ["podman", "exec", "--interactive", self.name, *argv],
            input=stdin,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            check=False,
        )
        if check and done.returncode != 0:
            raise CommandFailed(
                f"{self.name}: {' '.join(argv[:3])}: exit status {done.returncode}\n"
                f"{done.stdout}{done.stderr}"
            )
        return done.stdout

    # The service

    def pay(self) -> int:
        """Pay once, through Apache, and return the HTTP status."""
        return int(self._python(f"{_PAY}print(pay())"))

    def worker_state(self) -> str:
        """Supervisor's word for the queue worker: RUNNING, BACKOFF, FATAL, STOPPED ..."""
        # supervisorctl exits with 3 where a program is not running.
        return self.run(["supervisorctl", "status", WORKER], check=False).split()[1]

    def worker_said(self) -> str:
        """What supervisor says of the worker, and what it wrote last: for a failure."""
        said = self.run(["supervisorctl", "tail", WORKER], check=False)
        return self.run(["supervisorctl", "status", WORKER], check=False) + said[-800:]

    # The clock

    def next_midnight(self) -> None:
        """Make it 00:00 of the next day for every process, with no restart."""
        self._python(_MOVE_CLOCK)

    def log_file_today(self) -> str:
        """The path that a process which logs now will open."""
        return f"{LOGS}/laravel-{self._python(_TODAY).strip()}.log"

    # The writers

    def quiet(self) -> None:
        """Stop the queue worker and cron, so that the next to log can be chosen."""
        self.run(["systemctl", "stop", "cron"])
        self.run(["supervisorctl", "stop", WORKER], check=False)
        # A job that cron had started outlives it.
        if not wait_until(
            lambda: not self.run(["pgrep", "-f", "artisan payments:"], check=False)
        ):
            raise CommandFailed(f"{self.name}: a job of the application does not end")

    def resume(self) -> None:
        """Start both again. In the outage the worker may not stay up: no error here."""
        self.run(["systemctl", "start", "cron"])
        self.run(["supervisorctl", "start", WORKER], check=False)

    def log_as(self, writer: str, by_cron: bool = False) -> bool:
        """Have one writer log, the way it always does, and tell whether it could.

        www-data pays through Apache, queue is supervisor's worker, and root is the cron
        job's own command line; by_cron waits for cron itself, which takes up to a minute.
        A worker or cron that was stopped is stopped again afterwards. A worker that
        supervisor has given up (FATAL) stays so: starting it again is a repair.
        """
        before = self._lines_by(writer)

        def logged() -> bool:
            return len(self._lines_by(writer)) > len(before)

        if writer == "www-data":
            return self.pay() == 200 and logged()
        if writer == "queue":
            return self._log_as_queue(logged)
        if writer == "root" and by_cron:
            return self._log_as_cron(logged)
        if writer == "root":
            self._python(f"{_RUN_CRON_JOB}run_cron_job({CRON_JOB!r})")
            return logged()
        raise ValueError(f"writer {writer!r}: give one of {', '.join(WRITERS)}")

    def locked_out(self, writers: Sequence[str] = WRITERS) -> list[str]:
        """Have each of them log, in that order, and return who could not.

        As log_as() does it, but all in one go, and with a worker that is not stopped.
        """
        script = f"{_PAY}{_RUN_CRON_JOB}{_LOCKED_OUT}"
        log = self.log_file_today()
        out = json.loads(self._python(script, log, CRON_JOB, WORKER, *writers))
        return [writer for writer in writers if writer in out]

    def last_line_by(self, writer: str) -> str:
        """The newest line in today's log by this writer, or an empty string."""
        return (self._lines_by(writer) or [""])[-1]

    # What is on disk

    def listing(
        self, roots: Collection[str], exclude: Collection[str] = ()
    ) -> dict[str, str]:
        """Type, mode, owner, group and ACLs of every inode under roots, by its path.

        exclude: glob patterns on whole paths; what is below a match is left out as well.
        Bytes in a name that are not UTF-8 are surrogate escapes, as in os.fsdecode().
        """
        answer = self._python(_LIST, stdin=json.dumps([list(roots), list(exclude)]))
        found: dict[str, str] = json.loads(answer)
        return found

    # Private

    def _python(self, script: str, *argv: str, stdin: str = "") -> str:
        return self.run(["/usr/bin/python3", "-c", script, *argv], stdin=stdin)

    def _lines_by(self, writer: str) -> list[str]:
        mark = json.dumps({"user": writer}, separators=(",", ":"))
        # grep exits with 1 where there is no line, and with 2 where there is no file.
        return self.run(
            ["grep", "--no-messages", "--fixed-strings", mark, self.log_file_today()],
            check=False,
        ).splitlines()

    def _log_as_queue(self, logged: Callable[[], bool]) -> bool:
        state = self.worker_state()
        if state == "STOPPED":
            self.run(["supervisorctl", "start", WORKER], check=False)
        try:
            wait_until(lambda: logged() or self.worker_state() == "FATAL")
            return logged()
        finally:
            if state == "STOPPED":
                self.run(["supervisorctl", "stop", WORKER])

    def _log_as_cron(self, logged: Callable[[], bool]) -> bool:
        stopped = (
            self.run(["systemctl", "is-active", "cron"], check=False).strip()
            != "active"
        )
        self.run(["systemctl", "start", "cron"])
        try:
            return wait_until(logged, seconds=75)
        finally:
            if stopped:
                self.run(["systemctl", "stop", "cron"])


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> bool:
    """Ask until it is so, or until the time is up; tell which."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.25)
    return True
