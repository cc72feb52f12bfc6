# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A steady load on a payments host, and what became of each request.

The load is open: a request is sent every 20 ms, whether or not those before it
have been answered. So a pause of the service shows as what it is for customers.
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from .host import PaymentsHost

RATE: Final = 50
#: Seconds. No load lasts longer, whatever becomes of whoever started it.
_LONGEST: Final = 300

# It runs in the host, until its input is closed.
_LOAD: Final = """
import http.client, json, sys, threading, time
rate, longest = map(int, sys.argv[1:])
over, requests, answers = threading.Event(), [], []

def pay(at):
    connection = http.client.HTTPConnection("127.0.0.1", timeout=30)
    try:
        connection.request("POST", "/pay")
        outcome = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        outcome = type(error).__name__
    finally:
        connection.close()
    answers.append((at, time.time() - at, outcome))

def wait():
    sys.stdin.read()
    over.set()

threading.Thread(target=wait, daemon=True).start()
start = time.time()
for number in range(rate * longest):
    due = start + number / rate
    if over.wait(max(0, due - time.time())):
        break
    requests.append(threading.Thread(target=pay, args=(due,)))
    requests[-1].start()
for request in requests:
    request.join()
json.dump(answers, sys.stdout)
"""


@dataclass(frozen=True)
class Answer:
    """What a request came to: an HTTP status, or the name of an error.

    ``due`` is when it was to be sent, in seconds since the epoch of the host's own
    clock; ``seconds`` is how long its answer took from then on.
    """

    due: float
    seconds: float
    outcome: int | str

    @property
    def failed(self) -> bool:
        return self.outcome != 200


class Load:
    """Pays all the time while a ``with`` block runs; then ``answers`` has all."""

    def __init__(self, host: PaymentsHost) -> None:
        self._argv = ["podman", "exec", "--interactive", host.name]
        self._argv += ["/usr/bin/python3", "-c", _LOAD, str(RATE), str(_LONGEST)]
        self.answers: list[Answer] = []

    def __enter__(self) -> Load:
        pipe = subprocess.PIPE
        self._payer = subprocess.Popen(self._argv, stdin=pipe, stdout=pipe, text=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        output, _none = self._payer.communicate()
        if error is None:
            self.answers = [Answer(*answer) for answer in json.loads(output)]

    @property
    def lost(self) -> list[Answer]:
        """The requests that failed."""
        return [answer for answer in self.answers if answer.failed]

    def __str__(self) -> str:
        """How many requests there were, and what became of those that failed."""
        slowest = max(answer.seconds for answer in self.answers)
        outcomes = Counter(answer.outcome for answer in self.lost)
        return (
            f"{len(self.lost)} of {len(self.answers)} requests failed "
            f"{dict(outcomes)}, the slowest answer took {slowest:.2f} s"
        )
