# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes findings.md from the table of codes: `python docs/findings.py`."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = Path(__file__).with_suffix(".md")
sys.path.insert(0, str(ROOT))

from ansible_collections.logward.permissions.plugins.module_utils._findings import (  # noqa: E402
    KINDS,
)

HEAD = """\
<!--
Copyright: Logward contributors
SPDX-License-Identifier: GPL-3.0-or-later
Written by docs/findings.py from plugins/module_utils/_findings.py.
-->
# Findings

What the audit can find wrong. Codes never change their meaning. An **error**
means that a writer is or will be locked out, or that a repair is refused; a
**warning**, that something is fragile or too open; an **info** is good to know.
Where a finding knows better what to do than this table, it says so.

| code | severity | what is wrong | what to do |
|---|---|---|---|
"""


def page() -> str:
    """Return the page, as it belongs into findings.md."""
    rows = (
        f"| `{code}` | {kind.severity} | {kind.title} | {kind.remedy} |\n"
        for code, kind in KINDS.items()
    )
    return HEAD + "".join(rows)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
