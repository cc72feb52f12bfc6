# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts for tests: directories with the files that a host would have."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

FIXTURES = Path(__file__).with_name("fixtures")
PROGRAMS = ("/usr/sbin/apache2", "/usr/sbin/php-fpm8.2")


def host(root: Path, files: Mapping[str, str | bytes]) -> str:
    """Write files of a host on which Apache and PHP-FPM are installed."""
    for path, content in {**dict.fromkeys(PROGRAMS, ""), **files}.items():
        place = root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(os.fsencode(content))
    return str(root)


def payments(root: Path) -> str:
    """Write the files of a Debian host with one site of each kind."""
    shutil.copytree(FIXTURES / "payments", root, symlinks=True, dirs_exist_ok=True)
    return host(root, {})


@contextlib.contextmanager
def within(seconds: int) -> Iterator[None]:
    """Fail where something blocks, or takes quadratic time."""

    def fail(*_: object) -> None:
        raise AssertionError(f"has taken more than {seconds} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
