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
from ansible_collections.logward.permissions.plugins.module_utils._services._commands import (
    MOST_BYTES,
    MOST_LINES,
    last_lines,
    run,
    said,
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
    answer = run(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert answer == (3, "out\nerr\n")
    assert run(["sh", "-c", "kill -9 $$"]).status == -9


def test_nothing_of_the_environment_and_no_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    answer = run(["sh", "-c", "env; cat; pwd"], {"MORE": "1"})
    assert sorted(answer.output.split()) == sorted(
        [
            "LC_ALL=C.UTF-8",
            "MORE=1",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "PWD=/",
            "/",
        ]
    )


def test_what_is_typed_meanwhile_is_not_read() -> None:
    terminal, typed = os.pipe()
    os.write(typed, b"yes\n")
    os.close(typed)
    before = os.dup(0)
    try:
        os.dup2(terminal, 0)
        assert run(["cat"]).output == ""
    finally:
        os.dup2(before, 0)
        os.close(before)
        os.close(terminal)


def test_there_is_no_terminal() -> None:
    assert "No such device" in run(["sh", "-c", "(: </dev/tty) 2>&1"]).output


def test_it_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"trap '' TERM; sleep 60 & echo $! $$ >{pids}; wait"
    started = time.monotonic()
    with pytest.raises(HostError, match=r"^sh did not answer within 0\.3 s\. Look"):
        run(["sh", "-c", script], timeout=0.3)
    assert time.monotonic() - started < 5
    assert all(has_ended(int(pid)) for pid in pids.read_text().split())


def test_what_it_leaves_behind_is_killed_and_not_waited_for(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    script = f"sleep 60 & echo $! >{pids}; echo done"
    started = time.monotonic()
    assert run(["sh", "-c", script], timeout=30).output == "done\n"
    assert time.monotonic() - started < 5
    assert has_ended(int(pids.read_text()))


def test_who_leaves_its_session_is_not_waited_for_either(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    started = time.monotonic()
    script = f"setsid sh -c 'echo $$ >{pids}; exec sleep 5' & sleep 0.5; echo done"
    assert run(["sh", "-c", script], timeout=30).output == "done\n"
    assert time.monotonic() - started < 4
    os.kill(int(pids.read_text()), 9)


def test_output_without_end_neither_blocks_nor_fills_the_memory() -> None:
    script = "import os\nfor _ in range(9000): os.write(1, b'x' * 999 + b'\\n')"
    finished = run([sys.executable, "-c", script], timeout=30)
    assert finished.status == 0
    assert finished.output.split("\n")[-2:] == ["x" * 999, ""]
    assert len(finished.output) == 65_536


def test_output_that_is_closed_early() -> None:
    assert run(["sh", "-c", "exec >&- 2>&-; sleep 0.3; exit 5"], timeout=10).status == 5


def test_there_is_no_such_command() -> None:
    with pytest.raises(
        HostError, match="no-such-command cannot be run: No such file or dir"
    ):
        run(["no-such-command"], timeout=1)


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


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("", "it says nothing"),
        (" \n\n", "it says nothing"),
        ("one\n  two \n", "one / two"),
        ("1\n2\n3\n4\n5\n6\n", "2 / 3 / 4 / 5 / 6"),
        ("a\x1b[31m\udcff\n", r"a\x1b[31m\xff"),
        ("x" * 10_000, "x" * 600),
    ],
)
def test_said(output: str, expected: str) -> None:
    assert said(output) == expected
