# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils import (
    _repair,
    _survey,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._source import (
    NOBODY,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils import (
    journals,
)


@pytest.fixture
def quiet_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """What else runs on this machine decides nothing, and need not be read."""
    monkeypatch.setattr(_repair, "running_writers", lambda *_arguments: NOBODY)
    monkeypatch.setattr(_survey, "root_writes_below", lambda _path: [])


@pytest.fixture
def run_file(site: Path) -> Path:
    """The only file of run-1, the only run of the journal."""
    return journals.write(site, "run-1")
