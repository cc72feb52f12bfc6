# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's packages, fetched and unpacked when tests run; nothing is installed."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

CACHE = Path(".cache/debian").resolve()
#: Whose configuration the parsers have to read.
PACKAGES = (
    *("apache2", "apache2-bin", "supervisor", "php-fpm", "php-common", "rsyslog"),
    *("mariadb-server", "nginx-common", "exim4-base", "fail2ban", "redis-server"),
    *("postgresql-common", "logrotate", "cron-daemon-common", "systemd"),
)
_DEPENDS = re.compile(r"Depends: (php[0-9.]+-(?:fpm|common))$", re.MULTILINE)


def _output(*argv: str, cwd: Path | None = None) -> str:
    done = subprocess.run(
        argv, capture_output=True, text=True, timeout=300, check=False, cwd=cwd
    )
    if done.returncode:
        raise AssertionError(f"{' '.join(argv)}: {done.stderr[-800:]}")
    return done.stdout


def names() -> list[str]:
    """Return the packages by name: php-fpm stands for that of this release."""
    php = _DEPENDS.findall(_output("apt-cache", "depends", "php-fpm"))
    found = dict.fromkeys([*PACKAGES, *php])
    found.pop("php-fpm")
    return [*found, *(each.replace("-fpm", "-common") for each in php)]


def fetched() -> list[Path]:
    """Return the packages' files: from the cache, or from Debian's archive."""
    CACHE.mkdir(parents=True, exist_ok=True)
    wanted = dict.fromkeys(names())
    missing = [each for each in wanted if not list(CACHE.glob(f"{each}_*.deb"))]
    if missing:
        download = ("apt-get", "--quiet", "download", *missing)
        try:
            _output(*download, cwd=CACHE)
        except AssertionError:  # the lists of packages may be old
            _output("apt-get", "--quiet", "update")
            _output(*download, cwd=CACHE)
    # The newest of each, if it was fetched more than once.
    return [max(CACHE.glob(f"{each}_*.deb"), key=os.path.getmtime) for each in wanted]


def unpack(root: Path, packages: Iterable[Path]) -> None:
    """Unpack packages below a directory, as dpkg would, without their scripts."""
    root.mkdir()
    for package in packages:
        _output("dpkg-deb", "--extract", str(package), str(root))
    enable_apache(root / "etc/apache2")


def enable_apache(apache: Path) -> None:
    """Enable all of Apache's configuration, as a2enmod and a2ensite would."""
    for kind in ("mods", "conf", "sites"):
        enabled = apache / f"{kind}-enabled"
        enabled.mkdir(exist_ok=True)
        for each in sorted((apache / f"{kind}-available").iterdir()):
            link = enabled / each.name
            if not link.is_symlink():
                link.symlink_to(f"../{kind}-available/{each.name}")
