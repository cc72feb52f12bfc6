# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING)
"""The options of modules that remove the oldest runs from the journal."""

from __future__ import annotations


class ModuleDocFragment:
    """How many runs stay in the journal, and for how long."""

    DOCUMENTATION = r"""
options:
  journal_keep:
    description:
      - How many runs stay in the journal. When a run has changed something, the oldest ones are
        removed, so that they can no longer be taken back. The run itself always stays.
    type: int
    default: 100
  journal_keep_days:
    description:
      - How many days runs stay in the journal. They are counted back from the newest run but the
        own one, so that a clock that goes wrong removes nothing at once. The run itself always
        stays.
    type: int
    default: 90
"""
