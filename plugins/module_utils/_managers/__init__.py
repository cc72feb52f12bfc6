# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who will change back what a repair did: one manager a file."""
