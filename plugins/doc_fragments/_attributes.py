# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module promises about check mode, diff mode and platforms."""

from __future__ import annotations


class ModuleDocFragment:
    """Attributes that are the same, or described the same, in all modules."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return what would be done without doing it.
  diff_mode:
    description: Returns details on what has changed (or would change), with C(diff_mode).
  idempotent:
    description: A second run with the same options changes nothing.
  platform:
    description: The target systems that are supported.
    support: full
    platforms: linux
  safe_file_operations:
    description:
      - Uses strict file operations to ensure proper permissions and to be safe against others who
        change the same directory meanwhile.
"""

    INFO_MODULE = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - This module does not modify state.
  diff_mode:
    support: N/A
    details:
      - This module does not modify state.
  idempotent:
    support: full
    details:
      - This module does not modify state.
"""
