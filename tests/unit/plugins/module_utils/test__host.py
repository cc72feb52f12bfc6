# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    HostError,
)
from ansible_collections.logward.permissions.plugins.module_utils._host import (
    read_kernel_settings,
    require_root,
)


def test_kernel_settings_are_those_of_the_kernel() -> None:
    settings = read_kernel_settings()
    for name in ("protected_regular", "protected_hardlinks"):
        text = Path(f"/proc/sys/fs/{name}").read_text()
        assert int(getattr(settings, name)) == int(text)


def test_require_root(monkeypatch: pytest.MonkeyPatch) -> None:
    require_root()
    monkeypatch.setattr(os, "geteuid", lambda: 64001)
    with pytest.raises(HostError, match=r"needs root, and runs as 64001\. Set become"):
        require_root()
