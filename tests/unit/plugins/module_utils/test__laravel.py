# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an application logs."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._laravel import (
    application_of,
    application_of_logs,
)


@pytest.fixture
def application(tmp_path: Path) -> Path:
    base = tmp_path / "payments"
    (base / "storage/logs").mkdir(parents=True)
    (base / "public").mkdir()
    (base / "artisan").touch()
    return base


def test_application_of(application: Path) -> None:
    base = str(application)
    assert application_of(base) == base
    assert application_of(f"{base}/public") == base
    assert application_of(f"{base}/public/../public/index.php") == base
    assert application_of(str(application.parent)) is None
    assert application_of("/") is None


def test_application_of_logs(application: Path) -> None:
    base = str(application)
    assert application_of_logs(f"{base}/storage/logs") == base
    assert application_of_logs(f"{base}/storage") is None
    (application / "artisan").unlink()
    assert application_of_logs(f"{base}/storage/logs") is None
