# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of sources: who is configured to write on this host."""

from __future__ import annotations

from collections.abc import Callable

from . import _apache, _cron, _php_fpm, _supervisor, _systemd
from ._source import Found

#: A new source is one file, and one line here. The imports are static: only so
#: does Ansible send the files to the host.
SOURCES: tuple[Callable[[], Found], ...] = (
    _apache.discover,
    _cron.discover,
    _php_fpm.discover,
    _supervisor.discover,
    _systemd.discover,
)
