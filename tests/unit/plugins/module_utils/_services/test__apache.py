# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where Apache's umask is, and the smallest edit that changes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    HostError,
    OptionError,
)
from ansible_collections.logward.permissions.plugins.module_utils._services._apache import (
    of,
)
from ansible_collections.logward.permissions.plugins.module_utils._services._copy import (
    copied,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._services import (
    hosts,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._writers import (
    files,
)

ENVVARS = "/etc/apache2/envvars"
DROP_IN = "/etc/systemd/system/apache2.service.d"
UNIT = "/lib/systemd/system/apache2.service"
PLAIN = "export APACHE_RUN_USER=www-data\n"

EDITS = {
    "nothing sets it": ({ENVVARS: PLAIN}, f"{ENVVARS}: +umask 0027"),
    "no end of the last line": ({ENVVARS: PLAIN[:-1]}, f"{ENVVARS}: +umask 0027"),
    "no envvars": ({}, f"{ENVVARS}: +umask 0027"),
    "envvars": (
        {ENVVARS: f"umask 002  # ours\n{PLAIN}"},
        f"{ENVVARS}: -umask 002  # ours +umask 0027  # ours",
    ),
    "the last one of them": (
        {ENVVARS: "umask 002\numask 022\n"},
        f"{ENVVARS}: -umask 022 +umask 0027",
    ),
    "on a line with others": (
        {ENVVARS: "A=umask; umask 022; B=1\n"},
        f"{ENVVARS}: -A=umask; umask 022; B=1 +A=umask; umask 0027; B=1",
    ),
    "in a branch that is taken": (
        {ENVVARS: "if [ -d / ]; then\n  umask 022\nfi\n"},
        f"{ENVVARS}: -  umask 022 +  umask 0027",
    ),
    "in quotes": (
        {ENVVARS: 'umask "022"\n'},
        f'{ENVVARS}: -umask "022" +umask 0027',
    ),
    "in a file that envvars reads": (
        {ENVVARS: ". /etc/apache2/more\n", "/etc/apache2/more": "umask 022\n"},
        "/etc/apache2/more: -umask 022 +umask 0027",
    ),
    "a drop-in": (
        {
            ENVVARS: PLAIN,
            f"{DROP_IN}/a.conf": "[Service]\n# why\nUMask = 0002\nNice=1\n",
        },
        f"{DROP_IN}/a.conf: -UMask = 0002 +UMask = 0027",
    ),
    "envvars before a drop-in": (
        {ENVVARS: "umask 022\n", f"{DROP_IN}/a.conf": "[Service]\nUMask=0002\n"},
        f"{ENVVARS}: -umask 022 +umask 0027",
    ),
    "the unit as it is packaged": (
        {ENVVARS: PLAIN, UNIT: "[Service]\nUMask=0002\n"},
        f"{DROP_IN}/logward.conf: +[Service] +UMask=0027",
    ),
}


@pytest.mark.parametrize(("there", "expected"), EDITS.values(), ids=EDITS)
def test_edit(tmp_path: Path, there: dict[str, str], expected: str) -> None:
    (service,) = of("apache2", files.host(tmp_path, there)) or ()
    assert hosts.set_umask(tmp_path, service, 0o027) == expected


def test_what_is_so_already_is_not_edited(tmp_path: Path) -> None:
    (service,) = of("apache2", files.host(tmp_path, {ENVVARS: PLAIN})) or ()
    edit = service.umask_edit(0o022)
    assert edit.before == edit.after
    found = service.configured()
    assert (found.umask, found.path, found.line) == (0o022, "", 0)


def test_configured(tmp_path: Path) -> None:
    (service,) = of("apache2", files.payments(tmp_path)) or ()
    found = service.configured()
    assert (found.umask, found.path) == (0o027, f"{DROP_IN}/umask.conf")
    assert {each.name for each in found.identities} >= {"root", "www-data"}


@pytest.mark.parametrize(
    "text",
    [
        'umask "$(id -u)"\n',
        "if some-program; then\n umask 002\nfi\n",
        "true || umask 002",
    ],
)
def test_umask_that_is_not_known(tmp_path: Path, text: str) -> None:
    (service,) = of("apache2", files.host(tmp_path, {ENVVARS: text})) or ()
    for call in (service.configured, lambda: service.umask_edit(0o002)):
        with pytest.raises(HostError, match=rf"^{ENVVARS}:\d sets a umask that is not"):
            call()


def test_umask_that_would_not_be_reached(tmp_path: Path) -> None:
    """What is appended is not run where the file ends before: the copy tells."""
    text = "if [ -e /nowhere ]; then\n"
    (service,) = of("apache2", files.host(tmp_path, {ENVVARS: text})) or ()
    with pytest.raises(HostError, match="umask of apache2 would still be 0022"):
        service.check([service.umask_edit(0o002)], 0o002)


def test_copy_has_all_that_decides(tmp_path: Path) -> None:
    there = {ENVVARS: ". /etc/apache2/more\n", "/etc/apache2/more": "umask 027\n"}
    (service,) = of("apache2", files.host(tmp_path, there)) or ()
    with copied(service.root, service.files(), []) as copy:
        assert service.at(copy).configured().umask == 0o027


def test_link_is_edited_where_it_leads(tmp_path: Path) -> None:
    root = files.host(tmp_path, {"/srv/envvars": "umask 022\n", "/etc/apache2/x": ""})
    (tmp_path / ENVVARS[1:]).symlink_to("../../srv/envvars")
    (service,) = of("apache2", root) or ()
    assert service.umask_edit(0o002).path == "/srv/envvars"
    assert hosts.set_umask(tmp_path, service, 0o002).startswith("/srv/envvars: ")


def test_not_there(tmp_path: Path) -> None:
    assert of("apache", str(tmp_path)) is None
    with pytest.raises(OptionError, match=r"'apache2' is not installed\. Install it"):
        of("apache2", str(tmp_path))
    root = files.host(tmp_path, {"/etc/systemd/system/x": ""})
    (tmp_path / "etc/systemd/system/apache2.service").symlink_to("/dev/null")
    with pytest.raises(OptionError, match=r"is masked: .*Run systemctl unmask apache2"):
        of("apache2", root)
