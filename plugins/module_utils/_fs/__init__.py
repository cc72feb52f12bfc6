# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only package that touches inodes, and only through descriptors."""

from __future__ import annotations

from ._apply import change, same_permissions
from ._inode import Known, Observation, Stamp, has_capability, observe_fd, proc_path
from ._private import (
    check_private_directory,
    open_private_directory,
    sync_directory,
)
from ._tree import MissingDirectory, Tree
from ._walk import Visit, Walk, is_gone

__all__ = [
    "Known",
    "MissingDirectory",
    "Observation",
    "Stamp",
    "Tree",
    "Visit",
    "Walk",
    "change",
    "check_private_directory",
    "has_capability",
    "is_gone",
    "observe_fd",
    "open_private_directory",
    "proc_path",
    "same_permissions",
    "sync_directory",
]
