# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services: one kind a file."""
