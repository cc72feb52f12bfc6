# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING)
"""The option that names services."""

from __future__ import annotations


class ModuleDocFragment:
    """Which services, and on which hosts."""

    DOCUMENTATION = r"""
options:
  services:
    description:
      - V(apache2); V(php-fpm) for every version that is installed, V(php8.2-fpm) for one;
        V(supervisor) for C(supervisord) itself, V(supervisor:NAME) for one of its programs,
        V(supervisor:GROUP:*) for all of a group; V(systemd:UNIT) for any other service.
    type: list
    elements: str
    required: true
requirements:
  - Debian or what is made from it, systemd, root (C(become=true)), and glibc 2.28 or newer
"""
