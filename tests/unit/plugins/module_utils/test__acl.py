# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.logward.permissions.plugins.module_utils._access import (
    REGULAR,
    Inode,
    acl_verdict,
)
from ansible_collections.logward.permissions.plugins.module_utils._acl import (
    Acl,
    AclFormatError,
    decode,
    encode,
    from_mode,
    in_force,
    perm_text,
    to_lines,
    with_mask_of_entries,
)
from ansible_collections.logward.permissions.plugins.module_utils._identity import (
    Identity,
)
from ansible_collections.logward.permissions.tests.unit import strategies

ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
#: The system's own tools are processes: fewer examples, several ACLs in each.
TOOLS = settings(strategies.PROPERTY, max_examples=60)
SEVERAL = 5

U1, U2 = strategies.UIDS[:2]
G1, G2 = strategies.GIDS[:2]
FULL = Acl(6, 4, 0, 6, ((U1, 6), (U2, 4)), ((G1, 4), (G2, 0)))
FULL_LINES = [
    "user::rw-",
    f"user:{U1}:rw-",
    f"user:{U2}:r--",
    "group::r--",
    f"group:{G1}:r--",
    f"group:{G2}:---",
    "mask::rw-",
    "other::---",
]


def entries(*triples: tuple[int, int, int], version: int = 2) -> bytes:
    """The bytes of an attribute, put together without the codec."""
    return struct.pack("<I", version) + b"".join(
        struct.pack("<HHI", *triple) for triple in triples
    )


USER_OBJ, GROUP_OBJ, OTHER = (
    (1, 6, 0xFFFFFFFF),
    (4, 4, 0xFFFFFFFF),
    (0x20, 0, 0xFFFFFFFF),
)
MASK = (0x10, 6, 0xFFFFFFFF)


def test_bytes_are_those_of_the_kernel() -> None:
    value = entries(
        USER_OBJ,
        (2, 6, U1),
        (2, 4, U2),
        GROUP_OBJ,
        (8, 4, G1),
        (8, 0, G2),
        MASK,
        OTHER,
    )
    assert encode(FULL) == value
    assert decode(value) == FULL


def test_lines_are_those_of_getfacl() -> None:
    assert to_lines(FULL) == FULL_LINES


def test_lines_with_names() -> None:
    lines = to_lines(FULL, {U1: "queue", U2: "web"}.__getitem__, lambda gid: f"g{gid}")
    assert lines[1:3] == ["user:queue:rw-", "user:web:r--"]
    assert lines[4] == f"group:g{G1}:r--"


@pytest.mark.parametrize(
    ("perm", "text"), [(0, "---"), (1, "--x"), (2, "-w-"), (4, "r--"), (7, "rwx")]
)
def test_permissions_as_text(perm: int, text: str) -> None:
    assert perm_text(perm) == text


@pytest.mark.parametrize("mode", [0, 0o640, 0o777, 0o751])
def test_mode_is_a_minimal_acl(mode: int) -> None:
    assert from_mode(mode | 0o7000).mode == mode
    assert from_mode(mode).is_minimal


def test_group_bits_of_the_mode_are_the_mask() -> None:
    assert FULL.mode == 0o660
    assert not FULL.is_minimal


@pytest.mark.parametrize("value", [entries(), struct.pack("<I", 2)])
def test_value_without_entries_is_no_acl(value: bytes) -> None:
    assert decode(value) is None


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\2\0\0", id="torn header"),
        pytest.param(encode(FULL)[:-1], id="torn entry"),
        pytest.param(encode(FULL) + b"\0", id="one byte more"),
        pytest.param(entries(USER_OBJ, GROUP_OBJ, OTHER, version=1), id="version"),
        pytest.param(entries(GROUP_OBJ, OTHER), id="no user"),
        pytest.param(entries(USER_OBJ, OTHER), id="no group"),
        pytest.param(entries(USER_OBJ, GROUP_OBJ), id="no other"),
        pytest.param(entries(USER_OBJ, USER_OBJ, GROUP_OBJ, OTHER), id="user twice"),
        pytest.param(entries(USER_OBJ, GROUP_OBJ, GROUP_OBJ, OTHER), id="group twice"),
        pytest.param(entries(USER_OBJ, GROUP_OBJ, OTHER, OTHER), id="other twice"),
        pytest.param(entries(USER_OBJ, GROUP_OBJ, MASK, MASK, OTHER), id="mask twice"),
        pytest.param(
            entries(USER_OBJ, (2, 6, U1), GROUP_OBJ, OTHER), id="no mask, user"
        ),
        pytest.param(
            entries(USER_OBJ, GROUP_OBJ, (8, 6, G1), OTHER), id="no mask, group"
        ),
        pytest.param(entries((1, 8, 0), GROUP_OBJ, OTHER), id="permission 8"),
        pytest.param(entries((0, 6, 0), GROUP_OBJ, OTHER), id="tag 0"),
        pytest.param(entries(USER_OBJ, (3, 6, U1), GROUP_OBJ, OTHER), id="tag 3"),
        pytest.param(entries(OTHER, GROUP_OBJ, USER_OBJ), id="tags out of order"),
        pytest.param(
            entries(USER_OBJ, GROUP_OBJ, (2, 6, U1), MASK, OTHER), id="user after group"
        ),
        pytest.param(
            entries(USER_OBJ, (2, 6, 0xFFFFFFFF), GROUP_OBJ, MASK, OTHER), id="no uid"
        ),
        pytest.param(
            entries(USER_OBJ, GROUP_OBJ, (8, 6, 0xFFFFFFFF), MASK, OTHER), id="no gid"
        ),
    ],
)
def test_malformed_bytes_are_refused(value: bytes, tmp_path: Path) -> None:
    with pytest.raises(AclFormatError):
        decode(value)
    # The kernel takes an empty value as "remove it"; it never returns one.
    if value:
        with pytest.raises(OSError, match=r"Invalid argument|not supported"):
            os.setxattr(tmp_path, ACCESS, value)


@given(strategies.acls())
@settings(strategies.PROPERTY)
def test_decode_undoes_encode(acl: Acl) -> None:
    assert decode(encode(acl)) == acl


@st.composite
def _almost_acls(draw: st.DrawFn) -> bytes:
    """The bytes of an ACL, of which one entry may be what it should not be."""
    value = encode(draw(strategies.acls()))
    triples = list(struct.iter_unpack("<HHI", value[4:]))
    place = draw(st.integers(0, len(triples) - 1))
    tag, perm, entry_id = triples.pop(place)
    triples[place:place] = draw(
        st.sampled_from(
            (
                [(tag, perm, entry_id)],
                [(tag, perm, entry_id)] * 2,
                [],
                [(tag, perm | 8, entry_id)],
                [(tag, perm, 0xFFFFFFFF)],
                [(tag << 1, perm, entry_id)],
                [(tag | 1, perm, entry_id)],
            )
        )
    )
    if draw(st.booleans()):
        triples = draw(st.permutations(triples))
    return entries(*triples)


def test_what_is_refused_is_what_the_kernel_refuses(tmp_path: Path) -> None:
    seen = set()

    @given(_almost_acls())
    @settings(strategies.PROPERTY, max_examples=1000)
    def agrees(value: bytes) -> None:
        try:
            os.setxattr(tmp_path, DEFAULT, value)
            accepted = True
        except OSError:
            accepted = False
        try:
            decode(value)
            decoded = True
        except AclFormatError:
            decoded = False
        assert decoded == accepted
        seen.add(accepted)

    agrees()
    assert seen == {True, False}


def _getfacl(paths: Sequence[Path], *options: str) -> list[list[str]]:
    """The entries that getfacl prints of each path."""
    done = subprocess.run(
        ["getfacl", "-n", "-c", "-p", "-E", *options, *paths],
        check=True,
        capture_output=True,
        text=True,
    )
    return [block.splitlines() for block in done.stdout.strip().split("\n\n")]


def _inodes(directory: Path, kind: str) -> list[Path]:
    """New, empty inodes that belong to nobody who is named in an ACL."""
    paths = [directory / f"{kind}-{number}" for number in range(SEVERAL)]
    for path in paths:
        if not path.exists():
            path.mkdir() if kind == "directory" else path.touch()
    return paths


def _sorted_and_unique(acl: Acl) -> Acl:
    """The ACL as the tools take and print it."""
    users, groups = sorted(dict(acl.users).items()), sorted(dict(acl.groups).items())
    return replace(acl, users=tuple(users), groups=tuple(groups))


_several_acls = st.lists(
    strategies.acls().map(_sorted_and_unique), min_size=SEVERAL, max_size=SEVERAL
)


#: Where the default ACL of a directory is meant, or the ACL of a file.
ATTRIBUTES = [
    pytest.param(ACCESS, "file", [], id="access"),
    pytest.param(DEFAULT, "directory", ["--default"], id="default"),
]


@pytest.mark.parametrize(("attribute", "kind", "options"), ATTRIBUTES)
def test_getfacl_prints_what_to_lines_says(
    tmp_path: Path, attribute: str, kind: str, options: list[str]
) -> None:
    paths = _inodes(tmp_path, kind)

    @given(_several_acls)
    @TOOLS
    def agrees(acls: list[Acl]) -> None:
        for path, acl in zip(paths, acls):
            # getfacl sorts what the kernel takes in any order.
            value = replace(acl, users=acl.users[::-1], groups=acl.groups[::-1])
            os.setxattr(path, attribute, encode(value))
        assert _getfacl(paths, *options) == [to_lines(acl) for acl in acls]

    agrees()


@pytest.mark.parametrize(("attribute", "kind", "options"), ATTRIBUTES)
def test_setfacl_writes_what_encode_says(
    tmp_path: Path, attribute: str, kind: str, options: list[str]
) -> None:
    paths = _inodes(tmp_path, kind)

    @given(_several_acls)
    @TOOLS
    def agrees(acls: list[Acl]) -> None:
        for path, acl in zip(paths, acls):
            text = ",".join(to_lines(acl))
            subprocess.run(["setfacl", *options, "--set", text, path], check=True)
            if attribute == ACCESS and acl.is_minimal:
                # The mode says it all, and keeps it.
                assert ACCESS not in os.listxattr(path)
                assert from_mode(path.stat().st_mode) == acl
            else:
                assert os.getxattr(path, attribute) == encode(acl)
                assert decode(os.getxattr(path, attribute)) == acl

    agrees()


def _allowed(acl: Acl, identity: Identity, owner: int, group: int) -> list[bool | None]:
    """What the owner, group and ACL of an inode allow, for all permissions."""
    inode = Inode(REGULAR, owner, group, 0, acl)
    return [acl_verdict(identity, inode, wanted).allowed for wanted in range(1, 8)]


inodes_and_identities = given(
    acl=strategies.acls(),
    identity=strategies.identities,
    owner=strategies.uids,
    group=strategies.gids,
)


@inodes_and_identities
@settings(strategies.PROPERTY, max_examples=3000)
def test_meaning_grants_the_same(
    acl: Acl, identity: Identity, owner: int, group: int
) -> None:
    same = _allowed(acl.meaning, identity, owner, group)
    assert same == _allowed(acl, identity, owner, group)


@inodes_and_identities
@settings(strategies.PROPERTY, max_examples=3000)
def test_raising_the_mask_revives_nothing_that_is_in_force(
    acl: Acl, identity: Identity, owner: int, group: int
) -> None:
    today = _allowed(acl, identity, owner, group)
    folded = in_force(acl)
    assert _allowed(folded, identity, owner, group) == today
    assert _allowed(with_mask_of_entries(folded), identity, owner, group) == today
    if folded.mask is not None:
        raised = replace(folded, mask=7)
        assert _allowed(raised, identity, owner, group) == today


@given(strategies.acls())
@settings(strategies.PROPERTY)
def test_in_force_is_in_force(acl: Acl) -> None:
    assert in_force(in_force(acl)) == in_force(acl)


@pytest.mark.parametrize(
    ("acl", "mask"),
    [
        (Acl(6, 4, 0, 6), None),
        (Acl(6, 4, 0, 0, ((U1, 2),)), 6),
        (Acl(6, 0, 0, 7, (), ((G1, 4),)), 4),
        # No bit is needed, but a mask of --- would let U1 fall to other.
        (Acl(6, 0, 4, 7, ((U1, 0),)), 7),
        (Acl(6, 0, 4, None, (), ((G1, 0),)), 4),
    ],
)
def test_mask_is_what_the_entries_need(acl: Acl, mask: int | None) -> None:
    assert with_mask_of_entries(acl) == replace(acl, mask=mask)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param(
            Acl(6, 4, 0, 6, ((U1, 6), (U2, 4))),
            Acl(6, 4, 0, 6, ((U2, 4), (U1, 6))),
            True,
            id="order",
        ),
        pytest.param(
            Acl(6, 4, 0, 6, ((U1, 6), (U1, 0))),
            Acl(6, 4, 0, 6, ((U1, 6),)),
            True,
            id="the first of a user's entries counts",
        ),
        pytest.param(
            Acl(6, 4, 0, 6, ((U1, 0), (U1, 6))),
            Acl(6, 4, 0, 6, ((U1, 6),)),
            False,
            id="and only the first",
        ),
        pytest.param(
            Acl(6, 4, 0, 6, (), ((G1, 4), (G1, 6))),
            Acl(6, 4, 0, 6, (), ((G1, 6),)),
            True,
            id="any of a group's entries counts",
        ),
        pytest.param(
            Acl(6, 4, 0, 6, (), ((G1, 4), (G1, 2))),
            Acl(6, 4, 0, 6, (), ((G1, 6),)),
            False,
            id="but they do not add up",
        ),
        pytest.param(
            Acl(6, 4, 0, 6, ((U1, 6),)), Acl(6, 4, 0, 4, ((U1, 6),)), False, id="mask"
        ),
    ],
)
def test_meaning_tells_what_differs(one: Acl, other: Acl, same: bool) -> None:
    assert (one.meaning == other.meaning) == same
