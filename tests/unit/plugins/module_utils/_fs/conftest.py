# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def logs(site: Path) -> Path:
    """A log directory with files on three levels."""
    path = site / "logs"
    (path / "a/b").mkdir(parents=True)
    (path / "c").mkdir()
    for name in ("0.log", "a/1.log", "a/b/2.log", "c/3.log"):
        (path / name).touch()
    return path
