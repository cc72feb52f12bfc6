# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""``UMask=`` of units, PHP-FPM's and any other, and edits of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    HostError,
    OptionError,
)
from ansible_collections.logward.permissions.plugins.module_utils._services import (
    _php_fpm,
    _systemd,
)
from ansible_collections.logward.permissions.plugins.module_utils._services._unit import (
    configured_by_unit,
    is_unit_file,
    unit_edit,
    unit_files,
    without_values,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._services import (
    hosts,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._writers import (
    files,
)

UNIT = "/lib/systemd/system/a.service"
ETC = "/etc/systemd/system"
DROP_IN = f"{ETC}/a.service.d/logward.conf"
PLAIN = "[Service]\nExecStart=/bin/true\n"

EDITS = {
    "nothing sets it": ({UNIT: PLAIN}, f"{DROP_IN}: +[Service] +UMask=0027"),
    "the package": (
        {UNIT: f"{PLAIN}UMask=0077\n"},
        f"{DROP_IN}: +[Service] +UMask=0027",
    ),
    "the administrator's unit": (
        {f"{ETC}/a.service": f"{PLAIN}UMask=0077\n"},
        f"{ETC}/a.service: -UMask=0077 +UMask=0027",
    ),
    "another drop-in, which comes later": (
        {
            UNIT: PLAIN,
            DROP_IN: "[Service]\nUMask=1\n",
            f"{ETC}/a.service.d/z.conf": "[Service]\n  UMask=0077  \n",
        },
        f"{ETC}/a.service.d/z.conf: -  UMask=0077   +  UMask=0027  ",
    ),
    "a drop-in of the same name, for something else": (
        {UNIT: PLAIN, DROP_IN: "[Service]\nNice=1\n"},
        f"{DROP_IN}: +UMask=0027",
    ),
}


@pytest.mark.parametrize(("there", "expected"), EDITS.values(), ids=EDITS)
def test_edit(tmp_path: Path, there: dict[str, str], expected: str) -> None:
    (service,) = _systemd.of("systemd:a", files.host(tmp_path, there)) or ()
    assert hosts.set_umask(tmp_path, service, 0o027) == expected


def test_drop_in_of_all_services_is_not_edited_for_one(tmp_path: Path) -> None:
    shared = f"{ETC}/service.d/all.conf"
    there = {UNIT: PLAIN, shared: "[Service]\nUMask=0077\n"}
    (service,) = _systemd.of("systemd:a", files.host(tmp_path, there)) or ()
    assert service.umask_edit(0o027).path == DROP_IN
    hosts.set_umask(tmp_path, service, 0o027)


def test_what_overrides_the_drop_in_is_named(tmp_path: Path) -> None:
    run = "/run/systemd/system/a.service.d/z.conf"
    there = {UNIT: PLAIN, run: "[Service]\nUMask=0077\n"}
    (service,) = _systemd.of("systemd:a", files.host(tmp_path, there)) or ()
    with pytest.raises(HostError) as caught:
        service.check([service.umask_edit(0o027)], 0o027)
    assert str(caught.value) == (
        f"the umask of systemd:a.service would still be 0077: {run}:2 decides. Set it "
        "there by hand. Nothing was changed"
    )


def test_setting_that_goes_on_in_the_next_line(tmp_path: Path) -> None:
    root = files.host(tmp_path, {f"{ETC}/a.service": "[Service]\nUMask=\\\n0077\n"})
    assert configured_by_unit(root, "a.service").umask == 0o077
    with pytest.raises(HostError, match=rf"^{ETC}/a.service:2 sets the umask in a way"):
        unit_edit(root, "a.service", 0o002)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("systemd:b", "is not installed: there is no b.service"),
        ("systemd:a.timer", "is no service of systemd"),
        ("systemd:../a.service", "is no service of systemd"),
        ("systemd:", "is no service of systemd"),
        ("systemd:apache2", "is known better. Name it apache2"),
        ("systemd:php8.2-fpm.service", r"is known better\. Name it php8\.2-fpm"),
        ("systemd:masked", "is masked: nothing can start masked.service"),
    ],
)
def test_not_there(tmp_path: Path, name: str, message: str) -> None:
    root = files.host(tmp_path, {UNIT: PLAIN, f"{ETC}/x": ""})
    (tmp_path / f"{ETC}/masked.service"[1:]).symlink_to("/dev/null")
    assert _systemd.of("a", root) is None
    with pytest.raises(OptionError, match=message):
        _systemd.of(name, root)


def test_what_systemd_reads() -> None:
    assert is_unit_file(DROP_IN)
    assert not is_unit_file("/etc/apache2/envvars")


def test_files(tmp_path: Path) -> None:
    root = files.host(tmp_path, {UNIT: PLAIN, DROP_IN: ""})
    assert list(unit_files(root, "a.service")) == [UNIT, DROP_IN]


# PHP-FPM


def fpm(root: Path, *versions: str) -> str:
    there = {}
    for each in versions:
        there[f"/usr/sbin/php-fpm{each}"] = ""
        there[f"/etc/php/{each}/fpm/php-fpm.conf"] = "[www]\nuser=nobody\n"
        there[f"/lib/systemd/system/php{each}-fpm.service"] = PLAIN
    return files.host(root, there)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("php-fpm", ["php7.4-fpm", "php8.4-fpm"]), ("php8.4-fpm", ["php8.4-fpm"])],
)
def test_versions(tmp_path: Path, name: str, expected: list[str]) -> None:
    root = fpm(tmp_path, "7.4", "8.4")
    assert [each.name for each in _php_fpm.of(name, root) or ()] == expected


def test_edit_of_php_fpm(tmp_path: Path) -> None:
    (service,) = _php_fpm.of("php8.4-fpm", fpm(tmp_path, "7.4", "8.4")) or ()
    done = hosts.set_umask(tmp_path, service, 0o002)
    drop_in = f"{ETC}/php8.4-fpm.service.d/logward.conf"
    assert done == f"{drop_in}: +[Service] +UMask=0002"
    assert "nobody" in {each.name for each in service.configured().identities}


def test_versions_that_are_not_there(tmp_path: Path) -> None:
    assert _php_fpm.of("php", str(tmp_path)) is None
    with pytest.raises(OptionError, match=r"'php-fpm' is not installed\. Install it"):
        _php_fpm.of("php-fpm", str(tmp_path))
    root = fpm(tmp_path, "8.4", "7.4")
    with pytest.raises(OptionError, match=r"; there is php7\.4-fpm, php8\.4-fpm\. "):
        _php_fpm.of("php8.3-fpm", root)


def test_what_systemd_ignores_is_told_without_a_secret() -> None:
    path = "/etc/systemd/system/app.service"
    said = (
        f"{path}:3: Invalid environment assignment, ignoring: hunter2\n"
        f'{path}:4: Invalid syntax, ignoring: "A=1" "hunter2: it\'s\n'
        f"{path}:5: Unknown key name 'X' in section 'Service', ignoring.\n"
    )
    assert without_values(said) == (
        f"{path}:3: Invalid environment assignment, ignoring\n"
        f"{path}:4: Invalid syntax, ignoring\n"
        f"{path}:5: Unknown key name 'X' in section 'Service', ignoring.\n"
    )
