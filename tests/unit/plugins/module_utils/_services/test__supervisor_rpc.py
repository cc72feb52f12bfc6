# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pwd
import signal
import socket
import threading
import time
import traceback
import xmlrpc.client
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    HostError,
)
from ansible_collections.logward.permissions.plugins.module_utils._services._supervisor_rpc import (
    BAD_NAME,
    Endpoint,
    Fault,
    Supervisor,
    processes_of,
    seconds_of,
)

from .supervisord import Host

Supervised = Callable[..., Host]
SECRET = "s3cret of the socket"  # noqa: S105
VERSION = "supervisor.getSupervisorVersion"
PASSWORD = f"username = admin\npassword = {SECRET}"
HASHED = "username = admin\npassword = {SHA}82ab876d1387bfafe46cc1c8a2ef074eae50cb1d"


@contextmanager
def listening(path: Path, answer: bytes = b"", uid: int = 0) -> Iterator[list[bytes]]:
    """Answer whoever connects with the same bytes; yield what was heard.

    Not supervisord: it shows what somebody else at its socket could do.
    """
    heard: list[bytes] = []
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(str(path))
    before = os.geteuid()
    os.seteuid(uid)  # listen(2) keeps who it was
    server.listen()
    os.seteuid(before)

    def serve() -> None:
        while True:
            try:
                client, _address = server.accept()
            except OSError:
                return
            with client, suppress(OSError):  # who does not listen any more
                heard.append(client.recv(65_536))
                while heard[-1] and not heard[-1].endswith(b"</methodCall>\n"):
                    heard.append(client.recv(65_536))
                client.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield heard
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join(5)


def refused(supervisor: Supervisor) -> str:
    with pytest.raises(HostError) as error:
        supervisor.call(VERSION)
    shown = "".join(traceback.format_exception(error.type, error.value, error.tb))
    assert SECRET not in shown
    return str(error.value)


def test_it_answers_and_says_why_it_does_not(supervised: Supervised) -> None:
    supervisor = supervised().start().supervisor()
    assert supervisor.call(VERSION).startswith("4.")
    with pytest.raises(Fault, match="no-such") as fault:
        supervisor.call("supervisor.getProcessInfo", "no-such")
    assert fault.value.code == BAD_NAME


def test_there_is_no_socket(supervised: Supervised, site: Path) -> None:
    message = refused(supervised().supervisor())
    assert f"{site}/supervisor.sock is not there. Run: systemctl start" in message


def test_nobody_is_behind_the_socket(supervised: Supervised, site: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(site / "supervisor.sock"))
    assert "has nobody behind it. Run: systemctl" in refused(supervised().supervisor())


def test_it_does_not_answer(supervised: Supervised) -> None:
    host = supervised().start()
    host.signal(signal.SIGSTOP)
    started = time.monotonic()
    assert "did not answer within 0.5 s" in refused(host.supervisor(0.5))
    assert time.monotonic() - started < 2
    host.signal(signal.SIGCONT)
    assert host.supervisor().call(VERSION)


def test_the_queue_of_its_socket_is_full(site: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as one:
        server.bind(str(site / "socket"))
        server.listen(0)
        one.connect(str(site / "socket"))
        supervisor = Supervisor(Endpoint(str(site / "socket")), 0.3)
        assert "did not answer within 0.3 s" in refused(supervisor)


@pytest.mark.parametrize(
    "header", [b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n", b""]
)
def test_it_answers_a_byte_at_a_time_without_end(site: Path, header: bytes) -> None:
    socket_path = site / "socket"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(socket_path))
    server.listen()

    def drip() -> None:
        client, _address = server.accept()
        try:
            client.sendall(header)
            while True:
                client.sendall(b"<")
                time.sleep(0.05)
        except OSError:
            client.close()

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    started = time.monotonic()
    assert "did not answer" in refused(Supervisor(Endpoint(str(socket_path)), 0.4))
    assert time.monotonic() - started < 2
    server.close()
    thread.join(5)


def test_it_asks_for_the_password_of_its_configuration(supervised: Supervised) -> None:
    host = supervised(server=PASSWORD).start()
    assert host.supervisor().call(VERSION)
    assert SECRET not in repr(host.endpoint())


def test_a_password_of_which_the_server_has_only_a_hash(supervised: Supervised) -> None:
    client = "[supervisorctl]\nusername = admin\npassword = thepassword"
    assert supervised(server=HASHED, more=client).start().supervisor().call(VERSION)


def test_there_is_no_password_to_use(supervised: Supervised) -> None:
    message = refused(supervised(server=HASHED).start().supervisor())
    assert "asks for a password, and there is none" in message
    assert "SHA" not in message


def test_the_password_was_changed_since(supervised: Supervised) -> None:
    supervised(server="username = admin\npassword = old").start()
    message = refused(supervised(server=PASSWORD).supervisor())
    assert "refuses the password of its own configuration" in message


def test_somebody_else_listens_and_hears_nothing(
    supervised: Supervised, site: Path
) -> None:
    supervisor = supervised(server=PASSWORD).supervisor()
    with listening(site / "supervisor.sock", uid=64001) as heard:
        assert "uid 64001 listens there" in refused(supervisor)
        time.sleep(0.1)
    assert b"".join(heard) == b""


def test_its_own_user_may_listen(supervised: Supervised) -> None:
    host = supervised(own="user = nobody")
    nobody = pwd.getpwnam("nobody").pw_uid
    assert host.endpoint().uids == {0, nobody}


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", "with HTTP status 500"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "cannot be read"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "IncompleteRead|cannot"),
        (b"what?\r\n\r\n", "broke off: BadStatusLine"),
        (b"", "broke off: RemoteDisconnected"),
        (
            b"HTTP/1.1 200 OK\r\n\r\n<?xml version='1.0'?><methodResponse/>",
            "cannot be read",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 17 * 2**20, "more than 16,777,216 bytes"),
    ],
)
def test_answers_that_are_none(site: Path, answer: bytes, problem: str) -> None:
    path = site / "socket"
    with listening(path, answer):
        message = refused(Supervisor(Endpoint(str(path)), 5))
    assert any(each in message for each in problem.split("|")), message


PROCESS = {
    "group": "queue",
    "name": "queue",
    "state": 20,
    "statename": "RUNNING",
    "pid": 812,
    "now": 100,
    "start": 10,
    "stop": 0,
    "stderr_logfile": "/var/log/queue.err",
    "stdout_logfile": "",
}


def spoken(value: Any) -> bytes:
    """Return a whole answer of HTTP that has a value."""
    body = xmlrpc.client.dumps((value,), methodresponse=True, allow_none=True)
    return b"HTTP/1.1 200 OK\r\n\r\n" + body.encode()


@pytest.mark.parametrize(
    "value",
    [
        "RUNNING",
        7,
        None,
        [PROCESS["name"]],
        [{**PROCESS, "pid": "../../etc"}],
        [{**PROCESS, "pid": None}],
        [{**PROCESS, "start": float("inf")}],
        [{**PROCESS, "state": [20]}],
        [{key: PROCESS[key] for key in PROCESS if key != "now"}],
    ],
)
def test_answers_of_another_shape(site: Path, value: Any) -> None:
    path = site / "socket"
    with listening(path, spoken([PROCESS])):
        (process,) = processes_of(Supervisor(Endpoint(str(path)), 5)).values()
    assert (process.name, process.pid, process.seconds) == ("queue:queue", 812, 90)
    path.unlink()
    with listening(path, spoken(value)):
        supervisor = Supervisor(Endpoint(str(path)), 5)
        with pytest.raises(HostError, match="AllProcessInfo as supervisor does not"):
            processes_of(supervisor)
        with pytest.raises(HostError, match="AllConfigInfo as supervisor does not"):
            seconds_of(supervisor, "startsecs")


def test_logs_with_bytes_that_are_no_xml(supervised: Supervised) -> None:
    host = supervised()
    script = r"printf 'red \033[31m\n\001end\n' >&2; exec sleep 60"
    host.program("queue", f'command = sh -c "{script}"', "startsecs = 0")
    host.start().wait_for("queue", "RUNNING")
    deadline = time.monotonic() + 5
    text = ""
    while "end" not in text and time.monotonic() < deadline:
        tail = "supervisor.tailProcessStderrLog"
        text = host.supervisor().call(tail, "queue", 0, 4096)[0]
    assert text == "red ?[31m\n?end\n"


@pytest.mark.parametrize("file", ["file = %(ENV_HOME)s/sock", "chmod = 0700"])
def test_a_configuration_without_a_known_socket(site: Path, file: str) -> None:
    host = Host(site)
    text = host.path.read_text().replace("file = %(here)s/supervisor.sock", file)
    host.path.write_text(text)
    with pytest.raises(HostError, match=r"supervisord.conf has no unix socket"):
        host.endpoint()


def test_a_socket_beside_the_configuration(site: Path) -> None:
    host = Host(site)
    text = host.path.read_text().replace("%(here)s/supervisor.sock", "../run/sock")
    host.path.write_text(text)
    assert host.endpoint().path == f"{site.parent}/run/sock"
