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


PLACES = {
    "/usr/bin/php": True,
    "/usr/share/php": True,
    "/etc": True,
    "/run": True,
    "/usr/local/bin/x": False,
    "/usr/shared": False,
    "/srv/usr/bin": False,
    "/var/www": False,
    "/": False,
}


@pytest.mark.parametrize(("path", "expected"), PLACES.items(), ids=PLACES)
def test_is_of_the_system(path: str, *, expected: bool) -> None:
    assert is_of_the_system(path) is expected
