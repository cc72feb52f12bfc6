# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import grp
import pwd
from dataclasses import replace

import pytest

from ansible_collections.logward.permissions.plugins.module_utils import _result
from ansible_collections.logward.permissions.plugins.module_utils._access import (
    DIRECTORY,
    REGULAR,
    SETGID,
    Inode,
    Verdict,
)
from ansible_collections.logward.permissions.plugins.module_utils._acl import (
    Acl,
    from_mode,
)
from ansible_collections.logward.permissions.plugins.module_utils._identity import (
    Identity,
)
from ansible_collections.logward.permissions.plugins.module_utils._predict import (
    Access,
    NextFile,
)
from ansible_collections.logward.permissions.plugins.module_utils._result import (
    access_fields,
    acl_text,
    identity_fields,
    inode_fields,
    next_file_fields,
)

ROOT, ROOT_GROUP = pwd.getpwuid(0).pw_name, grp.getgrgid(0).gr_name
EXTENDED = Acl(7, 5, 0, 7, ((64002, 7),), ((0, 5),))
LOGS = Inode(DIRECTORY, 0, 64001, SETGID, EXTENDED, replace(EXTENDED, other=1))
LOG = Inode(REGULAR, 64001, 0, 0, from_mode(0o640))
QUEUE = Identity("queue", "the queue", 64002, 64003, frozenset({9, 1}), 0o027, 0o640)


def test_acl_text() -> None:
    assert acl_text(None) is None
    assert acl_text(from_mode(0o640)) == "user::rw-,group::r--,other::---"
    assert acl_text(EXTENDED) == (
        "user::rwx,user:64002:rwx,group::r-x,"
        f"group:{ROOT_GROUP}:r-x,mask::rwx,other::---"
    )


def test_only_the_first_names_of_a_long_acl_are_looked_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An owner can name 8,000 users, of each of whom a directory server is asked."""
    asked: list[int] = []

    def name(uid: int) -> str:
        asked.append(uid)
        return f"user{uid}"

    monkeypatch.setattr(_result, "user_name", name)
    users = tuple((70_000 + number, 6) for number in range(8000))
    acl = Acl(6, 4, 0, 6, users)
    text = acl_text(acl)
    assert text is not None
    assert text.endswith(",mask::rw-,other::---,... and 7,950 more")
    assert len(asked) == 50


def test_inode_fields() -> None:
    assert inode_fields(LOGS) == {
        "owner": ROOT,
        "group": "64001",
        "mode": "2770",
        "access_acl": acl_text(EXTENDED),
    }
    assert inode_fields(LOG)["mode"] == "0640"


def test_identity_fields() -> None:
    identity = replace(QUEUE, capabilities=frozenset({"cap_fowner", "cap_chown"}))
    assert identity_fields(identity) == {
        "id": "queue",
        "name": "the queue",
        "uid": 64002,
        "gid": 64003,
        "groups": [1, 9],
        "umask": "0027",
        "request_mode": "0640",
        "capabilities": ["cap_chown", "cap_fowner"],
        "source": "declared",
        "pids": [],
    }


def test_access_fields() -> None:
    verdict = Verdict(False, "denied_search", 0, "/srv/\n")
    assert access_fields(Access(QUEUE, "append", verdict), "app.log") == {
        "identity": "queue",
        "operation": "append",
        "allowed": False,
        "reason": "denied_search",
        "ancestor": "/srv/\\n",
        "explanation": (
            "the queue cannot append to app.log: "
            "the queue may not enter /srv/\\n, where it has ---"
        ),
    }


def test_next_file_fields() -> None:
    granted = Verdict(True, "granted_owner", 6)
    rows = (Access(QUEUE, "read", granted),)
    assert next_file_fields(NextFile(QUEUE, granted, LOG, rows)) == {
        "creator": "queue",
        "allowed": True,
        "reason": "granted_owner",
        **inode_fields(LOG),
        "access": [access_fields(rows[0], "the next file of the queue")],
    }
    denied = Verdict(False, "denied_create", 5)
    assert next_file_fields(NextFile(QUEUE, denied, None, ())) == {
        "creator": "queue",
        "allowed": False,
        "reason": "denied_create",
        "owner": None,
        "group": None,
        "mode": None,
        "access_acl": None,
        "access": [],
    }
