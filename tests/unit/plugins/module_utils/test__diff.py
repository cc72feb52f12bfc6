# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import grp
import json
import pwd
from dataclasses import replace

import pytest

from ansible_collections.logward.permissions.plugins.module_utils import _diff
from ansible_collections.logward.permissions.plugins.module_utils._access import (
    DIRECTORY,
    REGULAR,
    SETGID,
    Inode,
)
from ansible_collections.logward.permissions.plugins.module_utils._acl import (
    Acl,
    from_mode,
)
from ansible_collections.logward.permissions.plugins.module_utils._diff import Diff

ROOT, ROOT_GROUP = pwd.getpwuid(0).pw_name, grp.getgrgid(0).gr_name
QUEUE, OLD = 64002, 64003
LOG = Inode(REGULAR, 64001, 0, 0, from_mode(0o644))
FOR_QUEUE = Acl(6, 4, 4, 6, ((QUEUE, 6),))
DEFAULT = Acl(7, 5, 5, 7, ((64001, 7), (QUEUE, 7)), ((64009, 5),))
LOGS = Inode(DIRECTORY, 64001, 64001, 0, from_mode(0o755))


def lines(before: Inode, after: Inode, path: str = "app.log") -> tuple[str, str]:
    """Return what a diff says was, and is."""
    diff = Diff("/srv/logs")
    diff.add(path, before, after)
    result = diff.result()
    assert result is not None
    return result["before"], result["after"]


@pytest.mark.parametrize(
    ("before", "after", "was", "is_now"),
    [
        (
            LOG,
            replace(LOG, acl=FOR_QUEUE),
            "mode: 0644",
            "mode: 0664  acl: + user:64002:rw-",
        ),
        (
            LOG,
            replace(LOG, uid=0, gid=64001),
            f"owner: 64001  group: {ROOT_GROUP}",
            f"owner: {ROOT}  group: 64001",
        ),
        # The mode tells of the mask, where it changes, and of all of this.
        (LOG, replace(LOG, acl=from_mode(0o600)), "mode: 0644", "mode: 0600"),
        (
            replace(LOG, acl=Acl(6, 0, 4, 4)),
            replace(LOG, acl=from_mode(0o644)),
            "acl: - group::--- mask::r--",
            "acl: + group::r--",
        ),
        (
            replace(LOG, acl=Acl(6, 4, 4, 6, ((QUEUE, 2), (OLD, 6)), ((9999, 4),))),
            replace(LOG, acl=FOR_QUEUE),
            "acl: - user:64002:-w- user:64003:rw- group:9999:r--",
            "acl: + user:64002:rw-",
        ),
        # Restored to the byte, although both mean the same.
        (
            replace(LOG, acl=Acl(6, 4, 4, 6, ((OLD, 6), (QUEUE, 4)))),
            replace(LOG, acl=Acl(6, 4, 4, 6, ((QUEUE, 4), (OLD, 6)))),
            "acl: - user:64003:rw- user:64002:r--",
            "acl: + user:64002:r-- user:64003:rw-",
        ),
        (
            replace(LOG, acl=Acl(6, 6, 4, 4, ((QUEUE, 6),))),
            replace(LOG, acl=Acl(6, 4, 4, 6, ((QUEUE, 6),))),
            "mode: 0644  acl: - group::rw-",
            "mode: 0664  acl: + group::r--",
        ),
        (
            replace(LOGS, default_acl=DEFAULT),
            replace(LOGS, default_acl=replace(DEFAULT, other=0)),
            "default: - other::r-x",
            "default: + other::---",
        ),
    ],
)
def test_line_tells_what_differs(
    before: Inode, after: Inode, was: str, is_now: str
) -> None:
    assert lines(before, after) == (f"app.log  {was}\n", f"app.log  {is_now}\n")
    # And the way back tells the same.
    assert lines(after, before) == (
        f"app.log  {is_now}\n".replace(": + ", ": - "),
        f"app.log  {was}\n".replace(": - ", ": + "),
    )


def test_only_entries_that_are_added() -> None:
    before = replace(LOG, acl=Acl(6, 4, 4, 6, ((OLD, 6),)))
    after = replace(LOG, acl=Acl(6, 4, 4, 6, ((QUEUE, 6), (OLD, 6))))
    assert lines(before, after) == (
        "app.log\n",
        "app.log  acl: + user:64002:rw-\n",
    )


def test_what_is_too_long_goes_on_below() -> None:
    after = replace(
        LOGS, special=SETGID, acl=Acl(7, 5, 5, 7, ((QUEUE, 7),)), default_acl=DEFAULT
    )
    assert lines(LOGS, after, "") == (
        ".  mode: 0755\n",
        """\
.  mode: 2775  acl: + user:64002:rwx  default: + user::rwx user:64001:rwx
    user:64002:rwx group::r-x group:64009:r-x mask::rwx other::r-x
""",
    )
    name = "n" * 250
    assert lines(LOG, replace(LOG, acl=FOR_QUEUE), name) == (
        f"{name}\n    mode: 0644\n",
        f"{name}\n    mode: 0664  acl: + user:64002:rw-\n",
    )


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a space", "a space"),
        ("line\nbreak", "line\\nbreak"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("invalid\udcff", "invalid\\xff"),
        # Neither a second field nor the rest of the line above.
        ("a  mode: 0777", "a\\x20\\x20mode:\\x200777"),
        ("    mode: 0777", "\\x20" * 4 + "mode:\\x200777"),
        ("a ", "a\\x20"),
    ],
)
def test_name_of_any_bytes(name: str, shown: str) -> None:
    was, is_now = lines(LOG, replace(LOG, acl=FOR_QUEUE), name)
    assert was == f"{shown}  mode: 0644\n"
    assert is_now == f"{shown}  mode: 0664  acl: + user:64002:rw-\n"


def added(numbers: range, most: int) -> Diff:
    diff = Diff("/srv/\n", most)
    for number in numbers:
        diff.add(f"{number}.log", LOG, replace(LOG, acl=FOR_QUEUE))
    return diff


def test_first_are_shown_and_the_rest_is_counted() -> None:
    assert Diff("/srv").result() is None
    result = added(range(1002), 2).result()
    assert result == {
        "before_header": "/srv/\\n",
        "after_header": "/srv/\\n",
        "before": "0.log  mode: 0644\n1.log  mode: 0644\n",
        "after": """\
0.log  mode: 0664  acl: + user:64002:rw-
1.log  mode: 0664  acl: + user:64002:rw-
... and 1,000 more
""",
    }


@pytest.mark.parametrize("ours", range(6))
@pytest.mark.parametrize("most", range(7))
def test_diffs_of_two_processes_are_one(ours: int, most: int) -> None:
    diff = added(range(ours), most)
    other = added(range(ours, 5), most)
    diff.add_json(json.loads(json.dumps(other.as_json())))
    assert diff.result() == added(range(max(ours, 5)), most).result()


@pytest.mark.parametrize("change", ["one more", "all"])
def test_of_a_long_acl_only_what_is_shown_is_looked_up(
    monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """An owner can name 8,000 users, of each of whom a directory server is asked."""
    asked: list[int] = []

    def name(uid: int) -> str:
        asked.append(uid)
        return f"user{uid}"

    monkeypatch.setattr(_diff, "user_name", name)
    users = tuple((70_000 + number, 6) for number in range(8000))
    longer = Acl(6, 4, 4, 6, (*users, (QUEUE, 6)))
    before = LOG if change == "all" else replace(LOG, acl=Acl(6, 4, 4, 6, users))
    _was, is_now = lines(before, replace(LOG, acl=longer))
    if change == "one more":
        assert is_now == "app.log  acl: + user:user64002:rw-\n"
        assert asked == [QUEUE]
        return
    assert len(asked) == 50
    assert " ".join(is_now.split()).endswith(" ... and 7,951 more")
