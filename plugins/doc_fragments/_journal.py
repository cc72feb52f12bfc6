# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING)
"""The options and attributes of modules that write to the journal."""

from __future__ import annotations


class ModuleDocFragment:
    """Where the journal is, and how long another run is waited for."""

    DOCUMENTATION = r"""
options:
  journal_dir:
    description:
      - Where journals are kept. Must be root's alone all the way, and outside of the log
        directories.
    type: path
    default: /var/lib/logward/journal
  lock_timeout:
    description:
      - How long to wait, in seconds, for another run on the same host to end.
    type: int
    default: 60
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
  safe_file_operations:
    support: full
requirements:
  - Linux, root (C(become=true)), and glibc 2.28 or newer
"""
