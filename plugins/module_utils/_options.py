# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options that modules share; plugins/doc_fragments documents them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._errors import OptionError


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
                "strategy": {
                    "type": "str",
                    "default": "auto",
                    "choices": ["auto", "acl", "group"],
                },
                "recurse": {"type": "bool", "default": True},
                "exact": {"type": "bool", "default": False},
                "exclude": {
                    "type": "list",
                    "elements": "str",
                    "default": ["*.gitignore", "*.gitkeep"],
                },
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


def journal_options() -> dict[str, Any]:
    """Return the argument spec of what all have in common that write the journal."""
    return {
        "journal_dir": {"type": "path", "default": "/var/lib/logward/journal"},
        "lock_timeout": {"type": "int", "default": 60},
    }


def keep_options() -> dict[str, Any]:
    """Return the argument spec of what modules have that add runs to the journal."""
    return {
        "journal_keep": {"type": "int", "default": 100},
        "journal_keep_days": {"type": "int", "default": 90},
    }


def service_options() -> dict[str, Any]:
    """Return the argument spec of ``services``."""
    return {"services": {"type": "list", "elements": "str", "required": True}}


def checked_count(params: Mapping[str, Any], option: str) -> int:
    """Return a number of inodes. OptionError if it is below 0."""
    count: int = params[option]
    if count < 0:
        raise OptionError(option, count, "is below 0", "Give 0 for none, or more")
    return count


def discoverable_policy_options() -> dict[str, Any]:
    """Return the same, with ``directories`` left out where they are discovered."""
    options = policy_options()
    return {**options, "directories": {**options["directories"], "required": False}}
