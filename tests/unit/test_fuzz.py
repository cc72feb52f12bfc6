# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make fuzz` finds a rule that is wrong, and says how to find it again."""

from __future__ import annotations

import re

import pytest

from ansible_collections.logward.permissions.plugins.module_utils import _access
from ansible_collections.logward.permissions.plugins.module_utils._acl import WRITE
from ansible_collections.logward.permissions.plugins.module_utils._identity import (
    Identity,
)
from ansible_collections.logward.permissions.tests import fuzz

RUN = ["--seed", "7", "--decisions", "3000"]


def _owners_may_always_write(monkeypatch: pytest.MonkeyPatch) -> None:
    right = _access.permission

    def wrong(identity: Identity, inode: _access.Inode, wanted: int) -> _access.Verdict:
        if wanted == WRITE and identity.uid == inode.uid:
            return _access.Verdict(True, "granted_owner", 7)
        return right(identity, inode, wanted)

    monkeypatch.setattr(_access, "permission", wrong)


def test_what_agrees_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert fuzz.main(RUN) == 0
    first, *_progress, last = capsys.readouterr().out.splitlines()
    assert first == "Seed 7; `make fuzz SEED=7` replays this run."
    counted = re.fullmatch(r"([\d,]+) decisions, 0 disagreements, seed 7, \d+ s", last)
    assert counted
    assert 3000 <= int(counted[1].replace(",", "")) < 5000


def test_a_wrong_rule_is_found_and_replayed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _owners_may_always_write(monkeypatch)
    assert fuzz.main(RUN) == 1
    found = capsys.readouterr().out
    assert "The kernel disagrees. The smallest example:" in found
    assert re.search(r"predicted Verdict\(allowed=True, .*; the kernel: EACCES", found)
    assert "agrees(\n    case=Case(" in found
    assert re.search(r"\n[\d,]+ decisions, 1 disagreement, seed 7, \d+ s\n$", found)
    replay = re.search(r"make fuzz SEED=(\d+) DECISIONS=(\d+)\n", found)
    assert replay
    assert fuzz.main(["--seed", replay[1], "--decisions", replay[2]]) == 1
    assert _example(capsys.readouterr().out) == _example(found)


def _example(text: str) -> str:
    """The tree and identities of a report; its path is another each time."""
    return text[text.index("agrees(") : text.index("Replay it")]


@pytest.mark.parametrize(
    ("done", "seconds", "line"),
    [
        (0, 0.0, f"[{'.' * 24}] 0 of 1,000,000, 0/s, 0:00 left"),
        (
            500_000,
            250.0,
            f"[{'#' * 12}{'.' * 12}] 500,000 of 1,000,000, 2,000/s, 4:10 left",
        ),
        (1_020_000, 500.0, f"[{'#' * 24}] 1,020,000 of 1,000,000, 2,040/s, 0:00 left"),
    ],
)
def test_progress(done: int, seconds: float, line: str) -> None:
    assert fuzz.progress_line(done, 1_000_000, seconds) == line
    assert len(line) <= 79
