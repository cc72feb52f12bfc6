# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who writes: one source a file."""
