# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    HostError,
)
from ansible_collections.logward.permissions.plugins.module_utils._services._command import (
    MOST_BYTES,
    MOST_LINES,
    last_lines,
    run,
)


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def has_ended(pid: int) -> bool:
    """Tell whether a process that was killed ends, which takes the kernel a moment."""
    deadline = time.monotonic() + 2
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not is_running(pid)


def test_what_a_command_says_and_how_it_ends() -> None:
    finished = run(["sh", "-c", "echo one; echo two >&2; exit 3"], 10)
    assert (finished.status, finished.lines) == (3, ("one", "two"))
    assert finished.said == "one; two"


def test_a_command_that_says_nothing() -> None:
    assert "status 4" in run(["sh", "-c", "exit 4"], 10).said


def test_it_has_no_terminal_no_input_and_speaks_english(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("LD_PRELOAD", "")
    monkeypatch.setenv("SECRET", "of the session")
    script = "cat; tty; (: </dev/tty) 2>&1; echo $LC_ALL ${SECRET-none}; pwd"
    lines = run(["sh", "-c", script], 10).lines
    assert lines[0] == "not a tty"
    assert "No such device" in lines[1]
    assert lines[2:] == ("C.UTF-8 none", "/")


def test_it_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"trap '' TERM; sleep 60 & echo $! $$ >{pids}; wait"
    started = time.monotonic()
    with pytest.raises(HostError, match=r"sh -c .* did not end within 0.3 s"):
        run(["sh", "-c", script], 0.3)
    assert time.monotonic() - started < 5
    assert all(has_ended(int(pid)) for pid in pids.read_text().split())


def test_what_it_leaves_behind_is_killed_and_not_waited_for(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"sleep 60 & echo $! >{pids}; echo done"
    started = time.monotonic()
    assert run(["sh", "-c", script], 30).lines == ("done",)
    assert time.monotonic() - started < 5
    assert has_ended(int(pids.read_text()))


def test_who_leaves_its_session_is_not_waited_for_either(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    started = time.monotonic()
    script = f"setsid sh -c 'echo $$ >{pids}; exec sleep 5' & sleep 0.5; echo done"
    assert run(["sh", "-c", script], 30).lines == ("done",)
    assert time.monotonic() - started < 4
    os.kill(int(pids.read_text()), 9)


def test_output_without_end_neither_blocks_nor_fills_the_memory() -> None:
    script = "import os\nfor _ in range(9000): os.write(1, b'x' * 999 + b'\\n')"
    finished = run([sys.executable, "-c", script], 30)
    assert finished.status == 0
    assert finished.lines == ("x" * 999,) * 4


def test_output_that_is_closed_early() -> None:
    assert run(["sh", "-c", "exec >&- 2>&-; sleep 0.3; exit 5"], 10).status == 5


def test_there_is_no_such_command() -> None:
    with pytest.raises(HostError, match="no-such-command could not be run: No such"):
        run(["no-such-command"], 1)


def test_the_last_lines() -> None:
    text = "".join(f"line {number}\n" for number in range(50))
    assert last_lines(text) == tuple(f"line {number}" for number in range(30, 50))
    assert len(last_lines(text)) == MOST_LINES


def test_what_cannot_be_shown_is_escaped() -> None:
    shown = last_lines(b"red \x1b[31m\r\n\n\xff\x00 \xe2\x80\xae\n")
    assert shown == ("red \\x1b[31m", "\\xff\\x00 \\u202e")


def test_long_lines() -> None:
    assert last_lines(b"short\n" + b"x" * 9000) == ("..." + "x" * (MOST_BYTES - 3),)
    both = last_lines(b"a" * 3000 + b"\n" + b"b" * 3000 + b"\nend\n")
    assert both == ("b" * 3000, "end")
    assert last_lines(b"") == last_lines(b"\n\n") == ()
