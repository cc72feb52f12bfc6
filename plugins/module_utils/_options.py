# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that modules share; plugins/doc_fragments documents them."""

from __future__ import annotations

from typing import Any


def policy_options() -> dict[str, Any]:
    """Return the argument spec of ``directories`` and ``identities``."""
    return {
        "directories": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {
                "path": {"type": "path", "required": True},
                "writers": {"type": "list", "elements": "str", "required": True},
                "readers": {"type": "list", "elements": "str", "default": []},
                "owner": {"type": "str"},
                "group": {"type": "str"},
                "other": {
                    "type": "str",
                    "default": "keep",
                    "choices": ["keep", "none"],
                },
                "recurse": {"type": "bool", "default": True},
                "exclude": {"type": "list", "elements": "str", "default": []},
                "missing": {
                    "type": "str",
                    "default": "fail",
                    "choices": ["fail", "skip"],
                },
            },
        },
        "identities": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "name": {"type": "str", "required": True},
                "user": {"type": "str"},
                "group": {"type": "str"},
                "groups": {"type": "list", "elements": "str"},
                "umask": {"type": "str"},
                "request_mode": {"type": "str"},
            },
        },
    }
