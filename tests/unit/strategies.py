# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random ACLs, inodes and identities, for hypothesis.

The ids are of a range that Debian leaves unused (policy manual, 9.2.2) and
that fits into a container's 65,536. There are few of them, so that entries,
owners and identities meet.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import Phase, configuration, settings
from hypothesis import strategies as st

from ansible_collections.logward.permissions.plugins.module_utils._access import (
    DIRECTORY,
    REGULAR,
    SETGID,
    STICKY,
    Inode,
)
from ansible_collections.logward.permissions.plugins.module_utils._acl import (
    Acl,
    NamedEntries,
)
from ansible_collections.logward.permissions.plugins.module_utils._identity import (
    Identity,
)

# Hypothesis keeps what it learns about the code; not in the clone's root.
_CLONE = Path(__file__).resolve().parents[2]
configuration.set_hypothesis_home_dir(_CLONE / ".cache" / "hypothesis")

#: No deadline: a child of the test waits for a disk. No database: a run is
#: replayed by its seed, which is printed.
PROPERTY = settings(
    database=None,
    deadline=None,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    print_blob=True,
)

UIDS = (65101, 65102, 65103, 65104)
GIDS = (65111, 65112, 65113, 65114)

perms = st.integers(0, 7)
uids = st.sampled_from((*UIDS, 0))
gids = st.sampled_from((*GIDS, 0))
#: Often what hosts have, now and then anything.
umasks = st.sampled_from((0o022, 0o002, 0o027, 0o077, 0)) | st.integers(0, 0o777)


def named(
    ids: tuple[int, ...], perm: st.SearchStrategy[int]
) -> st.SearchStrategy[NamedEntries]:
    """Named entries as the kernel takes them: unsorted, and some ids twice."""
    entry = st.tuples(st.sampled_from(ids), perm)
    return st.lists(entry, max_size=3).map(tuple)


def acls(perm: st.SearchStrategy[int] = perms) -> st.SearchStrategy[Acl]:
    """An ACL that the kernel accepts; ``perm`` draws each of its permissions."""
    minimal = st.builds(Acl, perm, perm, perm)
    masks = st.sampled_from((7, 0)) | perm
    return minimal | st.builds(
        Acl, perm, perm, perm, masks, named(UIDS, perm), named(GIDS, perm)
    )


def inodes(
    kind: str,
    perm: st.SearchStrategy[int] = perms,
    special: st.SearchStrategy[int] = st.just(0),  # noqa: B008
    owner: st.SearchStrategy[int] = uids,
) -> st.SearchStrategy[Inode]:
    """An inode of that kind, a directory's default ACL included."""
    return st.builds(
        Inode,
        kind=st.just(kind),
        uid=owner,
        gid=gids,
        special=special,
        acl=acls(perm),
        default_acl=st.none() | acls() if kind == DIRECTORY else st.none(),
    )


#: Most let most people in, or nothing below them would ever be decided.
ancestors = inodes(DIRECTORY, st.sampled_from((7, 7, 5, 5, 1, 1, 1, 1, 3, 0)))
directories = inodes(
    DIRECTORY,
    st.sampled_from((7, 7, 7, 5, 5, 3, 1)) | perms,
    st.sampled_from((0, SETGID, STICKY, SETGID | STICKY)),
)
files = inodes(REGULAR)


def _identity(uid: int, capability: str | None, **others: Any) -> Identity:
    name = f"uid {uid}"
    capabilities = frozenset({capability} if capability else ())
    return Identity(name, name, uid, capabilities=capabilities, **others)


#: Anybody: root without capabilities, users with them, any umask.
identities = st.builds(
    _identity,
    uid=uids,
    capability=st.sampled_from(
        (None, None, None, "cap_dac_override", "cap_dac_read_search")
    ),
    gid=gids,
    groups=st.frozensets(st.sampled_from(GIDS), max_size=3),
    umask=umasks,
    request_mode=st.sampled_from((0o666, 0o666, 0o660, 0o600, 0o640, 0o777)),
)
