# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    OptionError,
)
from ansible_collections.logward.permissions.plugins.module_utils._services._kinds import (
    find_services,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._writers import (
    files,
)


@pytest.fixture
def root(tmp_path: Path) -> str:
    return files.host(
        tmp_path,
        {
            "/etc/apache2/envvars": "",
            "/etc/php/8.2/fpm/php-fpm.conf": "",
            "/etc/supervisor/supervisord.conf": "[supervisord]\n[program:a]\ncommand=/x",
            "/lib/systemd/system/a.service": "",
        },
    )


def test_each_once_in_their_order(root: str) -> None:
    names = ["systemd:a", "php-fpm", "supervisor:a", "apache2", "supervisor"]
    again = ["php8.2-fpm", "systemd:a.service"]
    assert [each.name for each in find_services(names + again, root)] == [
        *("systemd:a.service", "php8.2-fpm", "supervisor:a", "apache2", "supervisor")
    ]


@pytest.mark.parametrize(
    "name", ["nginx", "", "apache2 ", "Apache2", "php8.2", "a\n\x1b"]
)
def test_name_of_no_kind(root: str, name: str) -> None:
    with pytest.raises(
        OptionError, match=r"^services: '.*' is no service .* Use apache"
    ):
        find_services(["apache2", name], root)


def test_none(root: str) -> None:
    with pytest.raises(OptionError, match=r"services: \[\] is empty"):
        find_services([], root)
