# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A steady load on a payments host, and what became of each request.

The load is open: a request is sent every 20 ms, on a connection of its own, whether
or not those before it have been answered. So a pause of the service shows as what it
is for customers.
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from .host import CommandFailed, PaymentsHost

RATE: Final = 50
#: Seconds. No load lasts longer, whatever becomes of whoever started it.
_LONGEST: Final = 300
#: Requests without an answer. No load has more of them: the next are not sent.
_MOST_OPEN: Final = 1000

# It runs in the host, until its input is closed. Its clock never jumps.
_LOAD: Final = """
import errno, http.client, json, resource, sys, threading, time
rate, longest, most_open = map(int, sys.argv[1:])
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
over, requests, answers = threading.Event(), [], []

def pay(due):
    sent = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", timeout=30)
    try:
        connection.request("POST", "/pay")
        response = connection.getresponse()
        response.read()
        outcome = response.status
    except http.client.HTTPException as error:
        outcome = type(error).__name__
    except OSError as error:
        outcome = errno.errorcode.get(error.errno, type(error).__name__)
    finally:
        connection.close()
    answers.append((due, sent, time.monotonic(), outcome))

def wait():
    sys.stdin.read()
    over.set()

threading.Thread(target=wait, daemon=True).start()
start = time.monotonic()
for number in range(rate * longest):
    due = start + number / rate
    if over.wait(max(0, due - time.monotonic())):
        break
    if number - len(answers) >= most_open:
        answers.append((due, due, due, "not sent"))
        continue
    requests.append(threading.Thread(target=pay, args=(due,)))
    requests[-1].start()
    if number == 0:
        print("started", flush=True)
else:
    sys.exit("the load was to last longer than %d s" % longest)
for request in requests:
    request.join()
json.dump(sorted(answers), sys.stdout)
"""


@dataclass(frozen=True)
class Answer:
    """What a request came to: an HTTP status, or the name of an error.

    ``due`` is when it was to be sent, ``sent`` when it was, ``ended`` when all of its
    answer had come: seconds of CLOCK_MONOTONIC, which systemd counts in, too.
    """

    due: float
    sent: float
    ended: float
    outcome: int | str

    @property
    def failed(self) -> bool:
        """Whether the customer has not paid, as far as they can see."""
        return self.outcome != 200

    @property
    def seconds(self) -> float:
        """How long it took, for a customer who came when it was due."""
        return self.ended - self.due


class Load:
    """Pays all the time while a ``with`` block runs; then ``answers`` has all.

    The block begins when the first request has been sent. CommandFailed where the
    load did not last until its end.
    """

    def __init__(self, host: PaymentsHost) -> None:
        self._argv = ["podman", "exec", "--interactive", host.name]
        self._argv += ["/usr/bin/python3", "-c", _LOAD]
        self._argv += [str(number) for number in (RATE, _LONGEST, _MOST_OPEN)]
        self.answers: list[Answer] = []

    def __enter__(self) -> Load:
        pipe = subprocess.PIPE
        self._payer = subprocess.Popen(self._argv, stdin=pipe, stdout=pipe, text=True)
        assert self._payer.stdout is not None
        self._payer.stdout.readline()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        output, _none = self._payer.communicate()
        if error is not None:
            return
        if self._payer.returncode != 0:
            raise CommandFailed(f"the load: exit status {self._payer.returncode}")
        self.answers = [Answer(*answer) for answer in json.loads(output)]

    @property
    def lost(self) -> list[Answer]:
        """The requests that failed."""
        return [answer for answer in self.answers if answer.failed]

    @property
    def latest(self) -> float:
        """By how many seconds a request was sent late: the host had no time for it."""
        return max(answer.sent - answer.due for answer in self.answers)

    def __str__(self) -> str:
        """How many requests there were, and what became of those that failed."""
        outcomes = Counter(str(answer.outcome) for answer in self.lost)
        failed = ", ".join(f"{number} {what}" for what, number in outcomes.items())
        slowest = max(answer.seconds for answer in self.answers)
        return (
            f"{len(self.lost)} of {len(self.answers)} requests failed"
            f"{failed and f' ({failed})'}; the slowest took {slowest:.2f} s, "
            f"the latest was sent {self.latest:.2f} s after it was due"
        )
