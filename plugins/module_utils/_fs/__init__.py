# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only package that touches inodes, and only through descriptors.

What becomes of configuration files is in ``_file`` and ``_exchange``, which modules
that only look at log directories, and repair them, do not ship.
"""

from __future__ import annotations

from ._apply import (
    ChangedMeanwhile,
    change,
    change_near,
    copy_up,
    is_owners_doing,
    left_by,
    same_bytes,
    same_permissions,
)
from ._cwd import own_descriptors, working_directory
from ._inode import (
    Known,
    Observation,
    Stamp,
    has_capability,
    is_unchanged,
    kernel_time_ns,
    observe_fd,
    proc_path,
    seems_without_capability,
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
from ._walk import HALVES, MOST_AT_ONCE, WHOLE, Listing, Share, Visit, Walk, is_gone

__all__ = [
    "HALVES",
    "MOST_AT_ONCE",
    "WHOLE",
    "ChangedMeanwhile",
    "Known",
    "Listing",
    "MissingDirectory",
    "Observation",
    "Paths",
    "Share",
    "Stamp",
    "Tree",
    "Visit",
    "Walk",
    "change",
    "change_near",
    "check_private_directory",
    "copy_up",
    "find_private_directory",
    "has_capability",
    "is_gone",
    "is_owners_doing",
    "is_unchanged",
    "kernel_time_ns",
    "left_by",
    "observe_fd",
    "open_private_directory",
    "own_descriptors",
    "proc_path",
    "read_mounts",
    "same_bytes",
    "same_permissions",
    "seems_without_capability",
    "sync_directory",
    "working_directory",
]
