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
    require_debian,
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


@pytest.mark.parametrize(
    "text",
    [
        "ID=debian\n",
        'NAME="x"\nID="debian"\n',
        "ID=ubuntu\nID_LIKE=debian\n",
        "ID=mint\nID_LIKE='ubuntu debian'\n",
    ],
)
def test_debian(tmp_path: Path, text: str) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text(text)
    require_debian(str(tmp_path))


@pytest.mark.parametrize(
    "text",
    [
        "ID=fedora\n",
        'ID="rhel"\nID_LIKE="fedora"\n',
        "NAME=debian\n",
        "ID=debianish\n",
        "",
        None,
    ],
)
def test_another_family(tmp_path: Path, text: str | None) -> None:
    (tmp_path / "etc").mkdir()
    if text is not None:
        (tmp_path / "etc/os-release").write_text(text)
    with pytest.raises(HostError, match=r"know Debian .* Set the umask by hand here"):
        require_debian(str(tmp_path))
