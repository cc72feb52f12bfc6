# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest

from .supervisord import Host


@pytest.fixture
def supervised(site: Path) -> Iterator[Callable[..., Host]]:
    """Return a function that writes the files of a supervisord in ``site``."""
    hosts: list[Host] = []

    def write(**parts: str) -> Host:
        hosts.append(Host(site, **parts))
        return hosts[-1]

    yield write
    for each in hosts:
        each.stop()
