# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.logward.permissions.plugins.module_utils import (
    _repair,
    _survey,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._source import (
    NOBODY,
)


@pytest.fixture
def quiet_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """What else runs on this machine decides nothing, and need not be read."""
    monkeypatch.setattr(_repair, "running_writers", lambda *_arguments: NOBODY)
    monkeypatch.setattr(_survey, "root_writes_below", lambda _path: [])
