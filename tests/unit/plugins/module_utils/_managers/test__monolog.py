# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Laravel's channels: the mode that Monolog sets at each open."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._managers._conflicts import (
    Answer,
)
from ansible_collections.logward.permissions.plugins.module_utils._managers._host import (
    Host,
)
from ansible_collections.logward.permissions.plugins.module_utils._managers._monolog import (
    read,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._managers.logs import (
    logs_at,
)

LOGGING = """<?php
use Monolog\\Handler\\StreamHandler;
// 'permission' => 0600,
return [
    'default' => env('LOG_CHANNEL', 'stack'),
    'channels' => [
        'stack' => ['driver' => 'stack', 'channels' => explode(',', env('LOG_STACK', 'one'))],
        'one' => [
            'driver' => 'single',
            'path' => storage_path('logs/laravel.log'),
            'level' => env('LOG_LEVEL', 'debug'),
            @
        ],
        'unused' => ['driver' => 'daily', 'path' => storage_path('logs/x.log'),
            'permission' => 0600],
        'papertrail' => ['driver' => 'monolog', 'handler_with' => [
            'url' => 'tls://'.env('PAPERTRAIL_URL').':'.env('PAPERTRAIL_PORT'),
        ]],
    ],
];
"""


@pytest.fixture
def application(site: Path) -> Path:
    (site / "artisan").write_text("")
    (site / "config").mkdir()
    (site / "storage/logs").mkdir(parents=True)
    (site / ".env").write_text("APP_KEY=secret\nLOG_CHANNEL=stack\n")
    return site


def answer(application: Path, line: str, logging: str = LOGGING) -> Answer:
    (application / "config/logging.php").write_text(logging.replace("@", line))
    return read(Host()).answer(logs_at(f"{application}/storage/logs"))


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("", None),
        ("'permission' => null,", None),
        ("'permission' => 0660,", None),
        ("'permission' => 0o664,", None),
        ("'permission' => 0644,", "monolog_locks_out"),
        ('"permission" => 420,', "monolog_locks_out"),
        ("'permission' => 0666,", "monolog_permission"),
        ("'permission' => env('LOG_PERMISSION', 0640),", "monolog_locks_out"),
        ("'permission' => intval(env('X'), 8),", "monolog_permission"),
        # PHP takes a quoted 0660 for decimal 660, which is 1224 in octal
        ("'permission' => '0660',", "monolog_permission"),
    ],
)
def test_what_a_permission_does(application: Path, line: str, code: str | None) -> None:
    found = answer(application, line)
    assert [each.code for each in found.findings] == ([code] if code else [])
    assert not found.problems


def test_a_permission_in_env(application: Path) -> None:
    env = application / ".env"
    line = "'permission' => env('LOG_PERMISSION', 0660),"
    assert not answer(application, line).findings
    env.write_text("APP_KEY=secret\nLOG_PERMISSION=0660\n")
    (finding,) = answer(application, line).findings
    assert "mode 1224 at each open, because PHP takes the text 0660" in finding.message
    assert "(LOG_PERMISSION in .env)" in finding.evidence
    assert "secret" not in str(finding)


@pytest.mark.parametrize(
    ("env", "code"),
    [
        ("LOG_STACK=one,unused\n", "monolog_locks_out"),
        ("LOG_CHANNEL=unused\n", "monolog_locks_out"),
        ("LOG_CHANNEL=one\n", None),
        ("LOG_CHANNEL=papertrail\n", None),
    ],
)
def test_which_channels_are_used(application: Path, env: str, code: str | None) -> None:
    (application / ".env").write_text(env)
    found = answer(application, "").findings
    assert [each.code for each in found] == ([code] if code else [])


def test_a_cached_configuration_is_what_counts(application: Path) -> None:
    assert not answer(application, "'permission' => 0660,").findings
    cache = application / "bootstrap/cache/config.php"
    cache.parent.mkdir(parents=True)
    path = f"{application}/storage/logs/laravel.log"
    cache.write_text(
        "<?php return array (\n 'logging' => array (\n 'default' => 'one',\n"
        " 'channels' => array ('one' => array ('driver' => 'single',\n"
        f"  'path' => '{path}', 'permission' => 416,),),),);\n"
    )
    (finding,) = answer(application, "'permission' => 0660,").findings
    assert str(cache) in finding.evidence


def test_whom_and_when(application: Path) -> None:
    found = answer(application, "'permission' => 0644,")
    (finding,) = found.findings
    assert finding.message == (
        "At each open by web, Monolog makes its log www-data:www-data 0644: games "
        "cannot append to laravel.log: the ACL's mask leaves games r--"
    )
    (file,) = found.files
    assert (file.manager, file.name) == ("monolog", "laravel.log")


@pytest.mark.parametrize("logging", ["<?php return 5;", "<?php return [", "", "["])
def test_what_is_not_understood(application: Path, logging: str) -> None:
    found = answer(application, "", logging)
    assert not found.findings
    assert [each.line for each in found.problems] == [0] * len(found.problems)
    assert found.problems or logging == "<?php return ["


def test_nested_too_deep(application: Path) -> None:
    found = answer(application, "", f"<?php return {'[' * 5000}{']' * 5000};")
    assert "nested too deep" in found.problems[0].message


def test_no_application(site: Path) -> None:
    assert read(Host()).answer(logs_at(str(site))) == Answer()
