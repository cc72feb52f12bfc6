# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Talking to supervisord, through its unix socket alone.

It speaks XML-RPC over HTTP (http://supervisord.org/api.html). Its TCP port, if it
has one, is never used: whoever reaches that may be anybody. Who listens at the
socket must be root, or supervisord's own user, before anything is told to it.
"""

from __future__ import annotations

import base64
import http.client
import os
import pwd
import socket
import struct
import time
import xmlrpc.client
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Callable, TypeVar
from xml.parsers.expat import ExpatError

from .._errors import HostError
from .._names import display
from .._writers._supervisor_ini import Configuration, Section, Values

# What XML cannot hold, and what programs log all the same.
_NOT_XML = bytes(each for each in range(32) if each not in b"\t\n\r")
_ESCAPED = bytes.maketrans(_NOT_XML, b"?" * len(_NOT_XML))
_MAX_BYTES = 16 * 1024 * 1024
_PART = 65_536
_PEER = struct.Struct("3i")  # struct ucred, unix(7): pid, uid, gid
_START = "systemctl start supervisor"
_Read = TypeVar("_Read")
#: What the answer of somebody else than supervisord can lead to.
_UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class Fault(HostError):
    """What supervisor answers where it does not do something."""

    def __init__(self, code: int, text: str) -> None:
        """Keep the code (supervisor/xmlrpc.py, Faults) and what it says."""
        super().__init__(f"supervisor answers: {display(text)}")
        self.code = code


BAD_NAME, SPAWN_ERROR, ALREADY_STARTED, NOT_RUNNING, CANT_REREAD = 10, 50, 60, 70, 92


# supervisor/states.py
STARTING, RUNNING, BACKOFF, STOPPING, EXITED = 10, 20, 30, 40, 100
ALIVE = (STARTING, RUNNING, BACKOFF)
#: supervisord looks once a second what it has to start again.
_EXITED_SECONDS = 3


@dataclass(frozen=True)
class Endpoint:
    """Where supervisord listens, and what it asks for. ``uids`` are who it may be."""

    path: str
    uids: frozenset[int] = frozenset([0])
    username: str | None = None
    password: str | None = field(default=None, repr=False)


def find_endpoint(configuration: Configuration, path: str) -> Endpoint:
    """Return where the supervisord of a configuration listens.

    ``path`` is its file. Raises HostError where that has no unix socket.
    """
    values = Values(())
    server = configuration.sections.get("unix_http_server")
    socket_path = values.known(server, "file", {}) if server else None
    if server is None or not socket_path:
        raise HostError(
            f"supervisor cannot be asked: {display(path)} has no unix socket that is "
            "known here. Give its section [unix_http_server] a line file=/run/"
            f"supervisor.sock, then run: systemctl restart supervisor"
        )
    place = server.where("file").path
    username, password = _credentials(values, configuration.sections, server)
    return Endpoint(
        os.path.normpath(os.path.join(os.path.dirname(place), socket_path)),
        frozenset([0, *_own_uid(values, configuration.sections)]),
        username,
        password,
    )


def _credentials(
    values: Values, sections: Mapping[str, Section], server: Section
) -> tuple[str | None, str | None]:
    """Return the name and password, of supervisorctl where the server's is a hash."""
    client = sections.get("supervisorctl")
    for section in (server, client):
        if section is not None:
            username = values.known(section, "username", {})
            password = values.known(section, "password", {})
            if username and password and not password.startswith("{SHA}"):
                return username, password
    return None, None


def _own_uid(values: Values, sections: Mapping[str, Section]) -> list[int]:
    section = sections.get("supervisord")
    user = values.known(section, "user", {}) if section else None
    try:
        return [] if not user else [pwd.getpwnam(user).pw_uid]
    except KeyError:
        return []


class NobodyListens(HostError):
    """There is no socket, or nobody behind it: supervisord does not run, as a rule."""


class Supervisor:
    """The supervisord of this host. What is not answered in time is a HostError."""

    def __init__(self, endpoint: Endpoint, timeout: float) -> None:
        """Take where it is, and how long each answer may take, in seconds."""
        self._endpoint = endpoint
        self._timeout = timeout
        self._silent: HostError | None = None

    def ask(
        self, read: Callable[[Any], _Read], method: str, *arguments: object
    ) -> _Read:
        """Return what ``read`` makes of an answer.

        Raises what ``call`` raises, and HostError where it is none of supervisor's:
        supervisord may be the application's user's.
        """
        answer = self.call(method, *arguments)
        try:
            return read(answer)
        except _UNREADABLE as error:
            raise self._failed(f"answers {method} as supervisor does not") from error

    def call(self, method: str, *arguments: object) -> Any:  # noqa: ANN401
        """Return what a method of the API returns.

        Raises Fault where supervisord refuses, HostError where it is not there, is
        somebody else, does not answer, or wants another password.
        """
        if self._silent is not None:  # it would be waited for again and again
            raise self._silent
        # what is passed is what it can hold
        request = xmlrpc.client.dumps(arguments, method).encode()  # type: ignore[arg-type]
        answer = self._post(request)
        try:
            (value,), _method = xmlrpc.client.loads(answer.translate(_ESCAPED))
        except xmlrpc.client.Fault as fault:
            raise Fault(fault.faultCode, str(fault.faultString)) from None
        except (ValueError, TypeError, ExpatError, xmlrpc.client.Error) as error:
            raise self._failed("gave an answer that cannot be read") from error
        return value

    def _post(self, request: bytes) -> bytes:
        headers = {"Content-Type": "text/xml", **self._authorization()}
        connection = _Connection(self._endpoint, self._timeout)
        try:
            connection.request("POST", "/RPC2", request, headers)
            with connection.getresponse() as response:
                if response.status == http.client.UNAUTHORIZED:
                    raise self._failed(_password_problem(self._endpoint))
                if response.status != http.client.OK:
                    raise self._failed(f"answered with HTTP status {response.status}")
                return self._body(response)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            problem = "is not there" if error.errno == 2 else "has nobody behind it"
            failed = self._failed(f"{problem}. Run: {_START}")
            raise NobodyListens(str(failed)) from None
        except (TimeoutError, socket.timeout, BlockingIOError):
            self._silent = self._failed(_silence(self._timeout))
            raise self._silent from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise self._failed(f"broke off: {reason}") from error
        finally:
            connection.close()

    def _body(self, response: http.client.HTTPResponse) -> bytes:
        body = b""
        while part := response.read1(_PART):
            body += part
            if len(body) > _MAX_BYTES:
                raise self._failed(f"gave an answer of more than {_MAX_BYTES:,} bytes")
        return body

    def _authorization(self) -> dict[str, str]:
        if self._endpoint.password is None:
            return {}
        pair = f"{self._endpoint.username}:{self._endpoint.password}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}

    def _failed(self, problem: str) -> HostError:
        return HostError(
            f"supervisor cannot be asked: {display(self._endpoint.path)} {problem}"
        )


def _password_problem(endpoint: Endpoint) -> str:
    if endpoint.password is None:
        return (
            "asks for a password, and there is none that could be used in "
            "[unix_http_server] or [supervisorctl]. Give the latter username= and "
            "password="
        )
    return (
        "refuses the password of its own configuration, which was changed since it "
        "was started. Run: systemctl restart supervisor"
    )


def _silence(timeout: float) -> str:
    return (
        f"did not answer within {timeout:g} s. Look at: systemctl status supervisor; "
        "journalctl -u supervisor"
    )


class _Socket(socket.socket):
    """A socket for one question: all of the answer has to come in time."""

    _deadline = 0.0

    def end_in(self, seconds: float) -> None:
        """Give it so long, from now on."""
        self._deadline = time.monotonic() + seconds
        self.settimeout(seconds)

    def recv_into(self, *arguments: Any) -> int:  # noqa: ANN401 - as it is
        """Read what is there, as long as there is time left."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            # Another class before Python 3.10, and the only one that is expected there.
            raise socket.timeout("timed out")
        self.settimeout(left)
        return super().recv_into(*arguments)


class _Connection(http.client.HTTPConnection):
    """HTTP through a unix socket whose other end may be trusted."""

    def __init__(self, endpoint: Endpoint, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._endpoint = endpoint
        self._seconds = timeout

    def connect(self) -> None:
        """Connect, unless somebody else listens there."""
        self.sock = _Socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.end_in(self._seconds)
        self.sock.connect(self._endpoint.path)
        credentials = self.sock.getsockopt(
            socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size
        )
        _pid, uid, _gid = _PEER.unpack(credentials)
        if uid not in self._endpoint.uids:
            raise HostError(
                f"{display(self._endpoint.path)} is not supervisor's: uid {uid} "
                "listens there. Nothing was said to it. Remove it, put the socket "
                f"where only root can make files, and run: {_START}"
            )


@dataclass(frozen=True)
class Process:
    """A process of a program; ``name`` is supervisor's ``GROUP:NAME``.

    ``word`` is supervisor's for ``state``. ``seconds`` is how long ago it was
    started, ``ended_seconds`` how long ago it ended. ``logs`` are the paths that
    supervisor tails, by what it calls them, that of errors first. ``pid`` is 0 for
    one that does not run.
    """

    name: str
    state: int
    word: str
    pid: int
    seconds: int
    ended_seconds: int
    logs: Mapping[str, str]

    @property
    def is_down(self) -> bool:
        """Tell whether supervisord will not start it by itself."""
        if self.state == EXITED:
            return self.ended_seconds >= _EXITED_SECONDS
        return self.state not in (*ALIVE, STOPPING)


def processes_of(supervisor: Supervisor) -> dict[str, Process]:
    """Return all processes by their names. Raises HostError."""
    processes = supervisor.ask(
        lambda infos: [_process(info) for info in infos],
        "supervisor.getAllProcessInfo",
    )
    return {each.name: each for each in processes}


def _process(info: Mapping[str, Any]) -> Process:
    logs = {"Stderr": info["stderr_logfile"], "Stdout": info["stdout_logfile"]}
    now = int(info["now"])
    return Process(
        _name(info),
        int(info["state"]),
        str(info["statename"]),
        int(info["pid"]),
        now - int(info["start"]),
        now - int(info["stop"]),
        {channel: str(path) for channel, path in logs.items() if path},
    )


def seconds_of(supervisor: Supervisor, option: str) -> dict[str, int]:
    """Return an option of all processes that is a time. Raises HostError."""
    return supervisor.ask(
        lambda infos: {_name(info): int(info[option]) for info in infos},
        "supervisor.getAllConfigInfo",
    )


def _name(info: Mapping[str, Any]) -> str:
    return f"{info['group']}:{info['name']}"
