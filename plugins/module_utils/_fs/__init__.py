# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only package that touches inodes, and only through descriptors."""

from __future__ import annotations

from ._apply import ChangedMeanwhile, change, copy_up, left_by, same_permissions
from ._exchange import discard_leftover, exchange, remove_empty
from ._file import MAX_BYTES, ConfigurationFile, Present, Refused
from ._inode import (
    Known,
    Observation,
    Stamp,
    has_capability,
    observe_again,
    observe_fd,
    proc_path,
)
from ._mounts import read_mounts
from ._paths import Paths
from ._private import (
    check_private_directory,
    find_private_directory,
    open_private_directory,
    sync_directory,
)
from ._tree import MissingDirectory, Tree
from ._walk import WHOLE, Share, Visit, Walk, is_gone

__all__ = [
    "MAX_BYTES",
    "WHOLE",
    "ChangedMeanwhile",
    "ConfigurationFile",
    "Known",
    "MissingDirectory",
    "Observation",
    "Paths",
    "Present",
    "Refused",
    "Share",
    "Stamp",
    "Tree",
    "Visit",
    "Walk",
    "change",
    "check_private_directory",
    "copy_up",
    "discard_leftover",
    "exchange",
    "find_private_directory",
    "has_capability",
    "is_gone",
    "left_by",
    "observe_again",
    "observe_fd",
    "open_private_directory",
    "proc_path",
    "read_mounts",
    "remove_empty",
    "same_permissions",
    "sync_directory",
]
