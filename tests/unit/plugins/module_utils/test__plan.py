# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._access import (
    DIRECTORY,
    REGULAR,
    SETGID,
    SETUID,
    STICKY,
    Inode,
)
from ansible_collections.logward.permissions.plugins.module_utils._acl import (
    EXECUTE,
    READ,
    WRITE,
    Acl,
    from_mode,
)
from ansible_collections.logward.permissions.plugins.module_utils._identity import (
    Identity,
)
from ansible_collections.logward.permissions.plugins.module_utils._plan import (
    breaks_promise,
    change_refusal,
    planned_directory,
    planned_file,
    refusal,
)
from ansible_collections.logward.permissions.plugins.module_utils._policy import Policy
from ansible_collections.logward.permissions.plugins.module_utils._rights import held

# Users and groups of the same number; @3 is a group, @4 and @8 are further ones.
WEB = Identity("web", "web", 1, 1, frozenset())
QUEUE = Identity("queue", "queue", 2, 2, frozenset())
MEMBER = Identity("member", "member", 5, 5, frozenset({3}))
GROUP = Identity("@3", "@3", 98, 98, frozenset({3}), is_group=True)
ROOT = Identity(
    "root", "root", 0, 0, frozenset(), capabilities=frozenset({"cap_dac_override"})
)
POWERLESS_ROOT = replace(ROOT, capabilities=frozenset())


def acl(text: str) -> Acl:
    """Read ``u::rw- u:2:rw- g::r-- m::rw- o::---``, or three octal digits."""
    if text.isdecimal():
        return from_mode(int(text, 8))
    single: dict[str, int] = {}
    named: dict[str, list[tuple[int, int]]] = {"u": [], "g": []}
    for entry in text.split():
        tag, name, letters = entry.split(":")
        perm = int("".join("0" if each == "-" else "1" for each in letters), 2)
        if name:
            named[tag].append((int(name), perm))
        else:
            single[tag] = perm
    users, groups = tuple(named["u"]), tuple(named["g"])
    mask = single.get("m")
    return Acl(single["u"], single["g"], single["o"], mask, users, groups)


def inode(kind: str, text: str) -> Inode:
    """Read ``uid:gid`` and an ACL; of a directory the default ACL after a bar."""
    owners, _space, rest = text.partition(" ")
    uid, gid = (int(each) for each in owners.split(":"))
    access, _bar, default = (part.strip() for part in rest.partition("|"))
    special = 0
    if access.startswith("setgid"):
        access, special = access.removeprefix("setgid").strip(), SETGID
    default_acl = acl(default) if default else None
    return Inode(kind, uid, gid, special, acl(access), default_acl)


def policy(*writers: Identity, **changes: Any) -> Policy:
    return Policy("/logs", writers, **changes)


UNCHANGED = "unchanged"

FILES: dict[str, tuple[Policy, str, str]] = {
    # Nothing is changed where nothing is lacking.
    "owner": (policy(WEB), "1:1 600", UNCHANGED),
    "named": (policy(WEB, QUEUE), "1:1 u::rw- u:2:rw- g::r-- m::rw- o::---", UNCHANGED),
    "group": (policy(WEB, MEMBER), "1:3 660", UNCHANGED),
    "other": (policy(WEB, QUEUE), "1:1 646", UNCHANGED),
    "masked rights of others": (
        policy(WEB, QUEUE),
        "1:1 u::rw- u:2:rw- u:9:rwx g::rwx m::rw- o::---",
        UNCHANGED,
    ),
    "duplicate entries": (
        policy(WEB, QUEUE),
        "1:1 u::rw- u:2:rw- u:2:--- g::r-- m::rw- o::---",
        UNCHANGED,
    ),
    # The fewest entries.
    "owner without write": (policy(WEB), "1:1 440", "1:1 640"),
    "writer without an entry": (
        policy(WEB, QUEUE),
        "1:1 640",
        "1:1 u::rw- u:2:rw- g::r-- m::rw- o::---",
    ),
    "two writers without an entry": (
        policy(QUEUE, MEMBER),
        "1:1 640",
        "1:1 u::rw- u:2:rw- u:5:rw- g::r-- m::rw- o::---",
    ),
    "writer in a group that reads": (
        policy(MEMBER),
        "1:3 640",
        "1:3 u::rw- u:5:rw- g::r-- m::rw- o::---",
    ),
    "reader": (
        policy(WEB, readers=(QUEUE,)),
        "1:1 600",
        "1:1 u::rw- u:2:r-- g::--- m::r-- o::---",
    ),
    "reader who writes already": (
        policy(WEB, readers=(QUEUE,)),
        "1:1 u::rw- u:2:rw- g::--- m::rw- o::---",
        UNCHANGED,
    ),
    "execute is kept and never given": (
        policy(WEB, QUEUE),
        "1:1 u::rwx u:2:r-x g::--- m::r-x o::---",
        "1:1 u::rwx u:2:rwx g::--- m::rwx o::---",
    ),
    "what other has is kept in the entry": (
        policy(WEB, readers=(QUEUE,)),
        "1:1 603",
        "1:1 u::rw- u:2:rwx g::--- m::rwx o::-wx",
    ),
    # Groups.
    "@group": (
        policy(WEB, GROUP),
        "1:1 640",
        "1:1 u::rw- g::r-- g:3:rw- m::rw- o::---",
    ),
    "@group owns it": (policy(WEB, GROUP), "1:3 640", "1:3 660"),
    "@group owns it behind a mask": (
        policy(WEB, GROUP),
        "1:3 u::rw- u:9:r-- g::rw- m::r-- o::---",
        "1:3 u::rw- u:9:r-- g::rw- m::rw- o::---",
    ),
    # Root.
    "root needs no entry": (policy(ROOT, WEB), "1:1 600", UNCHANGED),
    "root without capabilities does": (
        policy(POWERLESS_ROOT),
        "1:1 600",
        "1:1 u::rw- u:0:rw- g::--- m::rw- o::---",
    ),
    "root's own file": (
        policy(ROOT, WEB),
        "0:0 644",
        "0:0 u::rw- u:1:rw- g::r-- m::rw- o::r--",
    ),
    # The mask.
    "entry behind the mask": (
        policy(WEB, QUEUE),
        "1:1 u::rw- u:2:rw- g::r-- m::r-- o::---",
        "1:1 u::rw- u:2:rw- g::r-- m::rw- o::---",
    ),
    "raising the mask revives nothing": (
        policy(WEB, QUEUE),
        "1:1 u::rw- u:2:rw- u:9:rwx g::rwx g:8:rw- m::r-- o::---",
        "1:1 u::rw- u:2:rw- u:9:r-- g::r-- g:8:r-- m::rw- o::---",
    ),
    "raising the mask revives no second entry": (
        policy(WEB, QUEUE),
        "1:1 u::rw- u:9:r-- u:9:rw- g::--- m::r-- o::---",
        "1:1 u::rw- u:2:rw- u:9:r-- g::--- m::rw- o::---",
    ),
    # With a mask of --- the kernel does not look at the ACL: 9 and the members
    # of 8 are other, those of 1 have nothing.
    "mask of nothing": (
        policy(WEB, QUEUE),
        "1:1 u::rw- u:2:rw- u:9:rw- g::rw- g:8:rw- m::--- o::r--",
        "1:1 u::rw- u:2:rw- g::--- m::rw- o::r--",
    ),
    "mask of nothing, and nothing lacking": (
        policy(WEB),
        "1:1 u::rw- u:9:rw- g::rw- m::--- o::r--",
        UNCHANGED,
    ),
    # Another group.
    "group: the old one keeps what it had": (
        policy(WEB, group=3),
        "1:1 640",
        "1:3 u::rw- g::--- g:1:r-- m::r-- o::---",
    ),
    "group: no entry where other says the same": (
        policy(WEB, group=3),
        "1:1 644",
        "1:3 644",
    ),
    "group: an entry that keeps others from adding up": (
        policy(WEB, group=3),
        "1:1 u::rw- g::r-- g:8:--- m::r-- o::r--",
        "1:3 u::rw- g::r-- g:1:r-- g:8:--- m::r-- o::r--",
    ),
    "group: the new one keeps what it had": (
        policy(WEB, group=3),
        "1:1 u::rw- g::r-- g:3:rw- m::rw- o::---",
        "1:3 u::rw- g::rw- g:1:r-- m::rw- o::---",
    ),
    "group: what was masked stays so": (
        policy(WEB, group=3),
        "1:1 u::rw- g::rw- g:3:rw- m::r-- o::---",
        "1:3 u::rw- g::r-- g:1:r-- m::r-- o::---",
    ),
    "group: with a writer": (
        policy(WEB, QUEUE, group=3),
        "1:1 640",
        "1:3 u::rw- u:2:rw- g::--- g:1:r-- m::rw- o::---",
    ),
    "group: it has it": (policy(WEB, group=1), "1:1 640", UNCHANGED),
    # Owners of files stay.
    "owner of directories": (policy(WEB, owner=QUEUE), "1:1 640", UNCHANGED),
    # Other.
    "other: none": (
        policy(WEB, QUEUE, keep_other=False),
        "1:1 644",
        "1:1 u::rw- u:2:rw- g::r-- m::rw- o::---",
    ),
    "other: none, a reader who read as other": (
        policy(WEB, readers=(QUEUE,), keep_other=False),
        "1:1 604",
        "1:1 u::rw- u:2:r-- g::--- m::r-- o::---",
    ),
    "other: none, mask of nothing": (
        policy(WEB, keep_other=False),
        "1:1 u::rw- u:9:rw- g::rw- m::--- o::r--",
        "1:1 600",
    ),
    "other: none, it is": (policy(WEB, keep_other=False), "1:1 640", UNCHANGED),
}


@pytest.mark.parametrize(("wanted", "before", "after"), FILES.values(), ids=FILES)
def test_planned_file(wanted: Policy, before: str, after: str) -> None:
    present = inode(REGULAR, before)
    plan = planned_file(wanted, present)
    assert plan == (present if after == UNCHANGED else inode(REGULAR, after))
    assert planned_file(wanted, plan) == plan
    assert not breaks_promise(wanted, present, plan)


UMASK_0027 = replace(WEB, umask=0o027)
UMASK_0077 = replace(QUEUE, umask=0o077)

DIRECTORIES: dict[str, tuple[Policy, str, str]] = {
    "fresh": (
        policy(WEB, QUEUE),
        "1:1 755",
        (
            "1:1 setgid u::rwx u:2:rwx g::r-x m::rwx o::r-x"
            " | u::rwx u:1:rwx u:2:rwx g::r-x m::rwx o::r-x"
        ),
    ),
    "as it should be": (
        policy(WEB, QUEUE),
        (
            "1:1 setgid u::rwx u:2:rwx g::r-x m::rwx o::r-x"
            " | u::rwx u:1:rwx u:2:rwx g::r-x m::rwx o::r-x"
        ),
        UNCHANGED,
    ),
    "more than it should be": (
        policy(WEB),
        (
            "1:1 setgid u::rwx u:9:rwx g::r-x m::rwx o::r-x"
            " | u::rwx u:1:rwx u:9:rwx g::r-x m::rwx o::r-x"
        ),
        UNCHANGED,
    ),
    "setgid lost": (
        policy(WEB),
        "1:1 755 | u::rwx u:1:rwx g::r-x m::rwx o::r-x",
        "1:1 setgid 755 | u::rwx u:1:rwx g::r-x m::rwx o::r-x",
    ),
    "chmod 0755 took the mask": (
        policy(WEB, QUEUE),
        (
            "1:1 setgid u::rwx u:2:rwx g::r-x m::r-x o::r-x"
            " | u::rwx u:1:rwx u:2:rwx g::r-x m::rwx o::r-x"
        ),
        (
            "1:1 setgid u::rwx u:2:rwx g::r-x m::rwx o::r-x"
            " | u::rwx u:1:rwx u:2:rwx g::r-x m::rwx o::r-x"
        ),
    ),
    "reader": (
        policy(WEB, readers=(QUEUE,)),
        "1:1 700",
        (
            "1:1 setgid u::rwx u:2:r-x g::--- m::r-x o::---"
            " | u::rwx u:1:rwx u:2:r-x g::r-x m::rwx o::r-x"
        ),
    ),
    # A default ACL switches the umask off: other gets the least that any
    # creator gives today, by its own umask.
    "umask of one creator": (
        policy(UMASK_0027, QUEUE),
        "1:1 755",
        (
            "1:1 setgid u::rwx u:2:rwx g::r-x m::rwx o::r-x"
            " | u::rwx u:1:rwx u:2:rwx g::r-x m::rwx o::---"
        ),
    ),
    "umask of another creator, and its group": (
        policy(WEB, UMASK_0077),
        "1:1 755",
        (
            "1:1 setgid u::rwx u:2:rwx g::r-x m::rwx o::r-x"
            " | u::rwx u:1:rwx u:2:rwx g::--- m::rwx o::---"
        ),
    ),
    "directory's own other counts for nothing": (
        policy(WEB),
        "1:1 700",
        "1:1 setgid 700 | u::rwx u:1:rwx g::r-x m::rwx o::r-x",
    ),
    "default ACL that is there": (
        policy(WEB, QUEUE),
        "1:1 755 | u::rwx g::rwx o::--x",
        (
            "1:1 setgid u::rwx u:2:rwx g::r-x m::rwx o::r-x"
            " | u::rwx u:1:rwx u:2:rwx g::--x m::rwx o::--x"
        ),
    ),
    "default ACL that is there, in a setgid directory": (
        policy(WEB, QUEUE),
        "1:1 setgid 755 | u::rwx g::rwx o::--x",
        (
            "1:1 setgid u::rwx u:2:rwx g::r-x m::rwx o::r-x"
            " | u::rwx u:1:rwx u:2:rwx g::rwx m::rwx o::--x"
        ),
    ),
    "default ACL with masked rights": (
        policy(WEB),
        "1:1 setgid 755 | u::rwx u:9:rwx g::rwx m::r-x o::---",
        "1:1 setgid 755 | u::rwx u:1:rwx u:9:r-x g::r-x m::rwx o::---",
    ),
    "@group": (
        policy(WEB, GROUP),
        "1:1 755",
        (
            "1:1 setgid u::rwx g::r-x g:3:rwx m::rwx o::r-x"
            " | u::rwx u:1:rwx g::r-x g:3:rwx m::rwx o::r-x"
        ),
    ),
    "@group owns it": (
        policy(WEB, GROUP),
        "1:3 755",
        "1:3 setgid 775 | u::rwx u:1:rwx g::rwx m::rwx o::r-x",
    ),
    "root needs no entry": (
        policy(ROOT, WEB),
        "1:1 700",
        "1:1 setgid 700 | u::rwx u:1:rwx g::r-x m::rwx o::r-x",
    ),
    "root without capabilities does": (
        policy(POWERLESS_ROOT),
        "0:0 755",
        "0:0 setgid 755 | u::rwx u:0:rwx g::r-x m::rwx o::r-x",
    ),
    "group": (
        policy(WEB, group=3),
        "1:1 750",
        (
            "1:3 setgid u::rwx g::--- g:1:r-x m::r-x o::---"
            " | u::rwx u:1:rwx g::r-x m::rwx o::r-x"
        ),
    ),
    # The named entry of a group is its owner's now.
    "group that the default ACL names": (
        policy(WEB, group=3),
        "1:1 setgid 755 | u::rwx g::r-x g:3:rwx m::rwx o::r-x",
        "1:3 setgid 755 | u::rwx u:1:rwx g::rwx m::rwx o::r-x",
    ),
    "owner: the old one keeps what it had": (
        policy(WEB, QUEUE, owner=QUEUE),
        "1:1 750",
        (
            "2:1 setgid u::rwx u:1:rwx g::r-x m::rwx o::---"
            " | u::rwx u:1:rwx u:2:rwx g::r-x m::rwx o::r-x"
        ),
    ),
    "owner: the old one, who is nobody's, keeps what it had": (
        policy(WEB, owner=WEB),
        "9:1 750",
        (
            "1:1 setgid u::rwx u:9:rwx g::r-x m::rwx o::---"
            " | u::rwx u:1:rwx g::r-x m::rwx o::r-x"
        ),
    ),
    "owner: the new one gains nothing by it": (
        policy(WEB, owner=MEMBER),
        "1:3 750",
        (
            "5:3 setgid u::r-x u:1:rwx g::r-x m::rwx o::---"
            " | u::rwx u:1:rwx g::r-x m::rwx o::r-x"
        ),
    ),
    "owner: the new one has no entry any more": (
        policy(WEB, owner=QUEUE),
        "1:1 u::rwx u:2:r-x g::--- m::r-x o::---",
        (
            "2:1 setgid u::r-x u:1:rwx g::--- m::rwx o::---"
            " | u::rwx u:1:rwx g::r-x m::rwx o::r-x"
        ),
    ),
    "owner: root needs no entry": (
        policy(WEB, owner=WEB),
        "0:0 755",
        "1:0 setgid 755 | u::rwx u:1:rwx g::r-x m::rwx o::r-x",
    ),
    "other: none": (
        policy(WEB, keep_other=False),
        "1:1 755",
        "1:1 setgid 750 | u::rwx u:1:rwx g::r-x m::rwx o::---",
    ),
}


def test_write_and_search_by_two_entries_create_nothing() -> None:
    present = inode(DIRECTORY, "1:3 setgid u::rwx g::-w- g:5:r-x m::rwx o::---")
    wanted = planned_directory(policy(WEB, MEMBER), present)
    assert held(MEMBER, present) == READ | EXECUTE
    assert held(MEMBER, wanted) == READ | WRITE | EXECUTE


@pytest.mark.parametrize(
    ("wanted", "before", "after"), DIRECTORIES.values(), ids=DIRECTORIES
)
def test_planned_directory(wanted: Policy, before: str, after: str) -> None:
    present = inode(DIRECTORY, before)
    plan = planned_directory(wanted, present)
    assert plan == (present if after == UNCHANGED else inode(DIRECTORY, after))
    assert planned_directory(wanted, plan) == plan
    assert not breaks_promise(wanted, present, plan)


def test_sticky_bit_is_kept() -> None:
    present = replace(inode(DIRECTORY, "1:1 755"), special=STICKY)
    assert planned_directory(policy(WEB), present).special == STICKY | SETGID


@pytest.mark.parametrize(
    ("identity", "text", "perm"),
    [
        (WEB, "1:1 750", 7),
        (QUEUE, "1:1 754", 4),
        (MEMBER, "1:3 750", 5),
        # No single entry holds both, but each of them is held.
        (
            replace(MEMBER, groups=frozenset({3, 4})),
            "1:1 u::--- g::--- g:3:r-- g:4:-w- m::rwx o::--x",
            6,
        ),
        # Capabilities are not what the inode gives.
        (ROOT, "1:1 700", 0),
    ],
)
def test_held(identity: Identity, text: str, perm: int) -> None:
    assert held(identity, inode(REGULAR, text)) == perm


SHIPPER = Identity("shipper", "shipper", 6, 6, frozenset({3, 4}))

PROMISES: dict[str, tuple[Policy, str, str, str, bool]] = {
    "a stranger loses": (policy(WEB), REGULAR, "1:1 644", "1:1 640", True),
    "a stranger loses, as the policy says": (
        policy(WEB, keep_other=False),
        REGULAR,
        "1:1 644",
        "1:1 640",
        False,
    ),
    "a stranger gains": (policy(WEB), REGULAR, "1:1 640", "1:1 644", True),
    "a declared identity loses": (
        policy(WEB, others=(QUEUE,)),
        REGULAR,
        "1:2 640",
        "1:1 640",
        True,
    ),
    "a declared identity gains": (
        policy(WEB, others=(QUEUE,)),
        REGULAR,
        "1:1 640",
        "1:2 640",
        True,
    ),
    "a writer gains": (policy(WEB, QUEUE), REGULAR, "1:2 640", "1:2 660", False),
    "a writer gains execute": (policy(WEB, QUEUE), REGULAR, "1:2 640", "1:2 670", True),
    "a writer gains execute of a directory": (
        policy(WEB, QUEUE),
        DIRECTORY,
        "1:2 740",
        "1:2 770",
        False,
    ),
    "a reader gains write": (
        policy(WEB, readers=(QUEUE,)),
        REGULAR,
        "1:2 640",
        "1:2 660",
        True,
    ),
    "somebody in a granted group gains": (
        policy(WEB, GROUP, others=(SHIPPER,)),
        REGULAR,
        "1:3 640",
        "1:3 660",
        False,
    ),
    "somebody of a granted uid gains": (
        policy(WEB, QUEUE, others=(replace(QUEUE, id="alias"),)),
        REGULAR,
        "1:2 640",
        "1:2 660",
        False,
    ),
}


@pytest.mark.parametrize(
    ("wanted", "kind", "before", "after", "broken"), PROMISES.values(), ids=PROMISES
)
def test_breaks_promise(
    wanted: Policy, kind: str, before: str, after: str, broken: bool
) -> None:
    assert breaks_promise(wanted, inode(kind, before), inode(kind, after)) is broken


def test_plan_that_cannot_keep_the_promise() -> None:
    # Other may write, group 4 may not. Who is in 4 and 3 would gain when 3
    # gets what other has.
    wanted = policy(WEB, group=3, others=(SHIPPER,))
    present = inode(REGULAR, "1:4 646")
    assert breaks_promise(wanted, present, planned_file(wanted, present))


ROOT_WRITES = policy(ROOT, WEB, others=(QUEUE,), owner=MEMBER)

REFUSALS: dict[str, tuple[Policy, Inode, str | None]] = {
    "file of a writer": (ROOT_WRITES, inode(REGULAR, "1:1 640"), None),
    "file of a reader": (
        policy(WEB, readers=(QUEUE,)),
        inode(REGULAR, "2:2 640"),
        "foreign_owner",
    ),
    "file of a stranger": (ROOT_WRITES, inode(REGULAR, "9:9 640"), "foreign_owner"),
    "file of root, who writes": (ROOT_WRITES, inode(REGULAR, "0:0 640"), None),
    "file of root, who only reads": (
        policy(WEB, readers=(ROOT,)),
        inode(REGULAR, "0:0 640"),
        "foreign_owner",
    ),
    "directory of a stranger": (
        ROOT_WRITES,
        inode(DIRECTORY, "9:9 750"),
        "foreign_owner",
    ),
    "directory of the owner": (ROOT_WRITES, inode(DIRECTORY, "5:5 750"), None),
    "directory of the owner, root": (
        policy(WEB, owner=ROOT),
        inode(DIRECTORY, "0:0 750"),
        None,
    ),
    "symbolic link": (ROOT_WRITES, inode("symlink", "1:1 777"), "symbolic_link"),
    "FIFO": (ROOT_WRITES, inode("fifo", "1:1 640"), "special_file"),
    "socket": (ROOT_WRITES, inode("socket", "1:1 640"), "special_file"),
    "device": (ROOT_WRITES, inode("device", "1:1 640"), "special_file"),
    "hard link": (
        ROOT_WRITES,
        replace(inode(REGULAR, "1:1 640"), links=2),
        "hard_link",
    ),
    "links of a directory": (
        ROOT_WRITES,
        replace(inode(DIRECTORY, "1:1 750"), links=9),
        None,
    ),
    "setuid": (
        ROOT_WRITES,
        replace(inode(REGULAR, "1:1 640"), special=SETUID),
        "privileged_file",
    ),
    "setgid": (
        ROOT_WRITES,
        replace(inode(REGULAR, "1:1 640"), special=SETGID),
        "privileged_file",
    ),
}


@pytest.mark.parametrize(("wanted", "present", "code"), REFUSALS.values(), ids=REFUSALS)
def test_refusal(wanted: Policy, present: Inode, code: str | None) -> None:
    assert refusal(wanted, present, protected_hardlinks=True) == code


def test_refusal_where_anybody_may_link_to_files_of_root() -> None:
    refused = refusal(ROOT_WRITES, inode(REGULAR, "0:0 640"), protected_hardlinks=False)
    assert refused == "foreign_owner"


@pytest.mark.parametrize(
    ("kind", "before", "after", "flags", "code"),
    [
        (REGULAR, "1:1 640", "1:1 660", {}, None),
        (REGULAR, "1:1 640", "1:1 660", {"immutable": True}, "immutable"),
        (REGULAR, "1:1 640", "1:1 660", {"append_only": True}, "immutable"),
        (REGULAR, "0:0 600", "0:0 640", {}, "foreign_owner"),
        (REGULAR, "0:0 600", "0:0 604", {}, "foreign_owner"),
        (REGULAR, "0:0 600", "0:0 620", {}, None),
        (REGULAR, "0:0 640", "0:0 660", {}, None),
        (REGULAR, "0:0 604", "0:0 644", {}, None),
        # Its ACL names readers, and the mask has none: nobody reads it.
        (
            REGULAR,
            "0:0 u::rw- u:1:r-- g::r-- m::--- o::---",
            "0:0 u::rw- u:1:r-- g::--- m::r-- o::---",
            {},
            "foreign_owner",
        ),
        (REGULAR, "1:1 600", "1:1 640", {}, None),
        (DIRECTORY, "0:0 700", "0:0 750", {}, None),
    ],
)
def test_change_refusal(
    kind: str, before: str, after: str, flags: dict[str, Any], code: str | None
) -> None:
    present = replace(inode(kind, before), **flags)
    assert change_refusal(present, inode(kind, after)) == code
