# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    HostError,
)
from ansible_collections.logward.permissions.plugins.module_utils._services._commands import (
    run,
    said,
)


def test_answer() -> None:
    answer = run(["sh", "-c", "echo out; echo err >&2; exit 3"])
    assert answer == (3, "out\nerr\n")


def test_nothing_of_the_environment_and_no_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    answer = run(["sh", "-c", "env; cat; pwd"], {"MORE": "1"})
    assert sorted(answer.output.split()) == sorted(
        [
            "LC_ALL=C",
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


def test_time_limit() -> None:
    start = time.monotonic()
    with pytest.raises(HostError, match=r"^sleep did not answer within 0\.2 s\. Look"):
        run(["sleep", "60"], timeout=0.2)
    assert time.monotonic() - start < 10


def test_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="nowhere cannot be run: No such file or dir"):
        run([f"{tmp_path}/nowhere"])


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
