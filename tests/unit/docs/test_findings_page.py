# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page of findings says what the table of codes says."""

from __future__ import annotations

from docs import findings


def test_the_page_is_what_the_table_makes_of_it() -> None:
    written = findings.PAGE.read_text(encoding="utf-8")
    assert written == findings.page(), "run: .venv/bin/python docs/findings.py"
