# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import grp
import json
import os
import pwd
import subprocess
import sys
from typing import Any

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    OptionError,
)
from ansible_collections.logward.permissions.plugins.module_utils._identity import (
    STRANGER_ID,
    Identity,
    group_name,
    resolve,
    resolve_gid,
    resolve_uid,
    user_name,
)

#: Has supplementary groups where any user of this host has.
MEMBER = max(
    pwd.getpwall(), key=lambda each: len(os.getgrouplist(each.pw_name, each.pw_gid))
)
FILE_CAPABILITIES = {
    "cap_chown",
    "cap_dac_override",
    "cap_dac_read_search",
    "cap_fowner",
    "cap_fsetid",
}


@pytest.mark.parametrize("name", [MEMBER.pw_name, str(MEMBER.pw_uid)])
def test_user_of_the_host(name: str) -> None:
    identity = resolve(name, "writers", {})
    assert (identity.id, identity.name, identity.source) == (name, name, "name_service")
    assert (identity.uid, identity.gid) == (MEMBER.pw_uid, MEMBER.pw_gid)
    groups = subprocess.run(
        ["id", "-G", MEMBER.pw_name], check=True, capture_output=True
    ).stdout
    assert identity.groups == {int(gid) for gid in groups.split()}
    assert (identity.umask, identity.request_mode) == (0o022, 0o666)
    assert not identity.is_group


def test_root_holds_the_capabilities_of_this_process() -> None:
    # The tests run as root with all of them, or could not mount anything.
    assert resolve("root", "writers", {}).capabilities == FILE_CAPABILITIES
    assert resolve("64001", "writers", {}).capabilities == frozenset()


RESOLVE_ROOT = """
from ansible_collections.logward.permissions.plugins.module_utils import _identity
print(*sorted(_identity.resolve("0", "writers", {}).capabilities))
"""


def test_root_without_a_capability() -> None:
    bounding_set = ["setpriv", "--bounding-set", "-fsetid,-chown"]
    done = subprocess.run(
        [*bounding_set, sys.executable, "-c", RESOLVE_ROOT],
        check=True,
        capture_output=True,
        text=True,
    )
    assert set(done.stdout.split()) == FILE_CAPABILITIES - {"cap_fsetid", "cap_chown"}


def test_number_without_an_account() -> None:
    identity = resolve("64001", "writers", {})
    assert identity.uid == 64001
    # Nobody else's, and not that of another number either.
    assert identity.gid != resolve("64002", "writers", {}).gid
    with pytest.raises(KeyError):
        grp.getgrgid(identity.gid)
    assert (identity.groups, identity.source) == (frozenset(), "number")


@pytest.mark.parametrize("name", [grp.getgrgid(0).gr_name, "0"])
def test_group(name: str) -> None:
    identity = resolve(f"@{name}", "writers", {})
    assert identity.is_group
    assert identity.id == f"@{name}"
    # A stranger who is in the group, and nobody else.
    assert identity.uid == identity.gid != STRANGER_ID
    assert identity.uid != resolve("@1", "writers", {}).uid
    with pytest.raises(KeyError):
        pwd.getpwuid(identity.uid)
    assert identity.groups == {0}
    assert identity.capabilities == frozenset()


def test_declared_identity() -> None:
    declared = {
        "worker": {
            "name": "worker",
            "user": "64001",
            "group": "64002",
            "groups": ["64003", "0"],
            "umask": "0027",
            "request_mode": "0640",
        }
    }
    assert resolve("worker", "writers", declared) == Identity(
        "worker", "worker", 64001, 64002, frozenset({0, 64003}), 0o027, 0o640
    )


def test_declared_identity_wins_over_a_user_and_takes_the_rest_from_it() -> None:
    name = MEMBER.pw_name
    own = resolve(name, "writers", {})
    declared: dict[str, dict[str, Any]] = {name: {"name": name, "umask": "0002"}}
    identity = resolve(name, "writers", declared)
    assert identity.source == "declared"
    assert identity.umask == 0o002
    assert (identity.uid, identity.gid, identity.groups) == (
        own.uid,
        own.gid,
        own.groups,
    )
    declared[name]["groups"] = []
    assert resolve(name, "writers", declared).groups == frozenset()
    declared[name]["user"] = "root"
    assert resolve(name, "writers", declared).uid == 0


def test_declared_group_takes_the_place_of_the_users_own() -> None:
    declared = {"x": {"name": "x", "user": MEMBER.pw_name, "group": "64003"}}
    identity = resolve("x", "writers", declared)
    assert identity.gid == 64003
    # What a service manager does that starts somebody in another group.
    start = (
        f"import os; os.initgroups({MEMBER.pw_name!r}, 64003); print(os.getgroups())"
    )
    done = subprocess.run(
        [sys.executable, "-c", start], check=True, capture_output=True, text=True
    )
    assert sorted(identity.groups) == sorted(json.loads(done.stdout))


def test_in_group() -> None:
    identity = Identity("x", "x", 1, 2, frozenset({3}))
    assert [gid for gid in range(5) if identity.in_group(gid)] == [2, 3]


@pytest.mark.parametrize("text", ["-1", "1.5", "0x10", "", " 0", "nobody-at-all"])
def test_no_number(text: str) -> None:
    with pytest.raises(OptionError, match="is not a user of this host"):
        resolve_uid(text, "owner")
    with pytest.raises(OptionError, match="is not a group of this host"):
        resolve_gid(text, "group")


@pytest.mark.parametrize("number", ["4294967294", "4294967295", "4294967296"])
def test_numbers_that_nobody_has(number: str) -> None:
    with pytest.raises(OptionError):
        resolve_uid(number, "owner")
    with pytest.raises(OptionError):
        resolve_gid(number, "group")
    assert resolve_uid("4294967293", "owner") == 4294967293


def test_names_of_numbers() -> None:
    assert user_name(0) == pwd.getpwuid(0).pw_name
    assert group_name(0) == grp.getgrgid(0).gr_name
    assert user_name(4294967293) == group_name(4294967293) == "4294967293"
