# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking the kernel as somebody else: a child process that becomes an identity."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
from collections.abc import Callable, Sequence
from typing import Any

from ._errors import HostError
from ._identity import Identity

_TIMEOUT_SECONDS = 20
_MOST_DESCRIPTORS = 250  # SCM_MAX_FD in include/net/scm.h is 253


def ask_as(
    identity: Identity, question: Callable[[], tuple[Any, Sequence[int]]]
) -> tuple[Any, list[int]]:
    """Return what ``question`` returns in a child that is ``identity``.

    The answer is a JSON value and open descriptors, which become ours. Raises
    HostError where the child fails or does not answer in time. The child
    holds no capability but those that root has by being root.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        ours.close()
        _answer(identity, question, theirs)
    theirs.close()
    try:
        return _receive(ours, identity)
    finally:
        ours.close()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _answer(
    identity: Identity,
    question: Callable[[], tuple[Any, Sequence[int]]],
    theirs: socket.socket,
) -> None:
    """Never returns: the child ends here, whatever happens."""
    try:
        os.setgroups(sorted(identity.groups))
        os.setresgid(identity.gid, identity.gid, identity.gid)
        os.setresuid(identity.uid, identity.uid, identity.uid)
        os.umask(identity.umask)
        answer, descriptors = question()
        _send(theirs, json.dumps(answer).encode("ascii"), descriptors)
    finally:
        os._exit(0)


def _send(theirs: socket.socket, answer: bytes, descriptors: Sequence[int]) -> None:
    with os.fdopen(_memory_file(answer), "rb") as file:
        socket.send_fds(theirs, [b"1"], [file.fileno(), *descriptors])


def _memory_file(content: bytes) -> int:
    fd = os.memfd_create("answer")
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _receive(ours: socket.socket, identity: Identity) -> tuple[Any, list[int]]:
    if not select.select([ours], [], [], _TIMEOUT_SECONDS)[0]:
        raise HostError(f"the probe as {identity.name} did not end in time")
    _data, descriptors, _flags, _address = socket.recv_fds(
        ours, 1, _MOST_DESCRIPTORS + 1
    )
    if not descriptors:
        raise HostError(
            f"the probe could not become {identity.name} (uid {identity.uid})"
        )
    with os.fdopen(descriptors[0], "rb") as file:
        return json.load(file), list(descriptors[1:])
