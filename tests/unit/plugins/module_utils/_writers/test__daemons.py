# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pwd

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    OptionError,
)
from ansible_collections.logward.permissions.plugins.module_utils._identity import (
    Identity,
    resolve,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._daemons import (
    account,
    is_of_the_system,
    root_itself,
)

GAMES = pwd.getpwnam("games")


@pytest.mark.parametrize("user", ["games", str(GAMES.pw_uid)])
def test_account(user: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getgrouplist", lambda name, gid: [64001, gid, len(name)])
    assert account("x:y", user, "", 0o027, "User") == Identity(
        "x:y",
        "games",
        GAMES.pw_uid,
        GAMES.pw_gid,
        frozenset({64001, GAMES.pw_gid, len("games")}),
        0o027,
        source="configured",
    )
    other = account("x", user, "0", 0o027, "User")
    assert (other.gid, other.groups) == (0, frozenset({64001, 0, len("games")}))
    assert account("x", user, "root", 0o027, "User") == other


def test_numbers_without_an_account() -> None:
    who = account("x", "64001", "64002", 0o022, "User", numbers=True)
    assert (who.name, who.uid, who.gid) == ("64001", 64001, 64002)
    assert who.groups == {64002}
    for group, numbers in (("64002", False), ("", True)):
        with pytest.raises(OptionError, match=r"^User: '64001' is not a user of this"):
            account("x", "64001", group, 0o022, "User", numbers=numbers)


def test_nobody() -> None:
    with pytest.raises(OptionError, match=r"^User: 'no-one' is not a user of this"):
        account("x", "no-one", "", 0o022, "User", numbers=True)
    with pytest.raises(OptionError, match=r"^group: 'none' is not a group of this"):
        account("x", "games", "none", 0o022, "User")


def test_root_itself() -> None:
    capabilities = resolve("root", "user", {}).capabilities
    assert capabilities
    assert root_itself("x:root", 0o077, 0o600) == Identity(
        "x:root",
        "root",
        0,
        0,
        frozenset(),
        0o077,
        0o600,
        capabilities,
        source="configured",
    )
    assert root_itself("x", 0).request_mode == 0o666


SYSTEM = """
    /bin /bin/x /boot/x /dev/x /etc /etc/x /lib/x /proc/x /run /run/x /sbin/x /sys/x
    /usr/bin/php /usr/lib/x /usr/libexec/x /usr/sbin/x /usr/share/x
"""
OTHERS = """
    / /srv/usr/bin /usr /usr/local/bin/x /usr/shared /home/x /opt/x /root /var/lib/x
    /var/www /binary
"""


@pytest.mark.parametrize("path", SYSTEM.split())
def test_what_is_of_the_system(path: str) -> None:
    assert is_of_the_system(path)


@pytest.mark.parametrize("path", OTHERS.split())
def test_what_is_not_of_the_system(path: str) -> None:
    assert not is_of_the_system(path)
