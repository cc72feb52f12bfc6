# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._child import Child


def pid() -> dict[str, Any]:
    return {"pid": os.getpid()}


def test_work_is_done_by_another_process_that_ends_with_it() -> None:
    with Child(pid) as child:
        worker = child.result()["pid"]
    assert worker != os.getpid()
    with pytest.raises(ChildProcessError):
        os.waitpid(worker, 0)


def test_both_work_at_the_same_time() -> None:
    ours, theirs = os.pipe()

    def work() -> dict[str, Any]:
        return {"heard": os.read(ours, 1).decode()}

    with Child(work) as child:
        # Before the result is waited for, or it would never come.
        os.write(theirs, b"x")
        assert child.result() == {"heard": "x"}
    for fd in (ours, theirs):
        os.close(fd)


@pytest.mark.parametrize("size", [0, 10_000_000])
def test_answers_of_any_size(size: int) -> None:
    answer = {"text": "\udcff" * (size // 6), "number": size}
    with Child(lambda: answer) as child:
        assert child.result() == answer


def test_what_a_killed_child_leaves_is_done_here() -> None:
    us = os.getpid()

    def work() -> dict[str, Any]:
        if os.getpid() != us:
            os.kill(os.getpid(), signal.SIGKILL)
        return pid()

    with Child(work) as child:
        assert child.result() == {"pid": us}


def test_what_the_work_raises_is_raised_here(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> dict[str, Any]:
        raise KeyError("x")

    with pytest.raises(KeyError, match="x"), Child(work) as child:
        child.result()
    # Only once, and not in the middle of a module's JSON.
    assert capfd.readouterr() == ("", "")


def test_a_child_ends_when_its_result_is_not_wanted_any_more() -> None:
    children: list[int] = []
    real = os.fork

    def fork() -> int:
        children.append(real())
        return children[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fork", fork)
        started = time.monotonic()
        with pytest.raises(KeyError), Child(_sleep):
            raise KeyError
    assert time.monotonic() - started < 30
    with pytest.raises(ProcessLookupError):
        os.kill(children[0], 0)


def _sleep() -> dict[str, Any]:
    time.sleep(60)
    return {}


def test_a_child_ends_with_its_parent() -> None:
    told, theirs = os.pipe()
    parent = os.fork()
    if parent == 0:
        # It would go on for a minute.
        with Child(lambda: _tell_pid(theirs)) as child:
            child.result()
        os._exit(1)
    grandchild = int(os.read(told, 20))
    os.kill(grandchild, 0)
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    deadline = time.monotonic() + 10
    while _runs(grandchild) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _runs(grandchild)
    for fd in (told, theirs):
        os.close(fd)


def _tell_pid(fd: int) -> dict[str, Any]:
    os.write(fd, f"{os.getpid()}".encode())
    return _sleep()


def _runs(pid: int) -> bool:
    """Tell whether a process has not ended; nobody may have waited for it yet."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_whether_an_answer_has_to_be_waited_for() -> None:
    ours, theirs = os.pipe()
    with Child(lambda: {"heard": os.read(ours, 1).decode()}) as child:
        assert not child.has_ended()
        os.write(theirs, b"x")
        deadline = time.monotonic() + 10
        while not child.has_ended() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert child.has_ended()
        # As often as it is asked for.
        assert child.answer() == child.answer() == {"heard": "x"}
    for fd in (ours, theirs):
        os.close(fd)


def test_no_descriptor_is_left_open() -> None:
    before = os.listdir("/proc/self/fd")
    with Child(pid) as child:
        child.result()
    with pytest.raises(KeyError), Child(_sleep):
        raise KeyError
    assert os.listdir("/proc/self/fd") == before
