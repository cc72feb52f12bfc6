# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each rule of the kernel once, as data; test_kernel.py asks the kernel itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._access import (
    DIRECTORY,
    REGULAR,
    SETGID,
    SETUID,
    STICKY,
    Inode,
    Mount,
    Place,
    Verdict,
    created_directory,
    created_file,
    exchangeable_by_others,
    may_append,
    may_create,
    may_read,
    others_create,
    permission,
)
from ansible_collections.logward.permissions.plugins.module_utils._acl import (
    EXECUTE,
    READ,
    WRITE,
    Acl,
    from_mode,
    to_lines,
)
from ansible_collections.logward.permissions.plugins.module_utils._identity import (
    Identity,
    Sandboxed,
)

ROOT, OWNER, QUEUE, WEB = 0, 1, 2, 3
STAFF, ADM, LOGS = 11, 12, 13
IDS = {
    "root": ROOT,
    "owner": OWNER,
    "queue": QUEUE,
    "web": WEB,
    "staff": STAFF,
    "adm": ADM,
    "logs": LOGS,
}
BITS = {"r": READ, "w": WRITE, "x": EXECUTE, "-": 0}


def acl(text: str) -> Acl:
    """Read ``u::rw- u:queue:r-- g::r-- m::r-- o::---``."""
    single: dict[str, int] = {}
    named: dict[str, list[tuple[int, int]]] = {"u": [], "g": []}
    for entry in text.split():
        tag, who, letters = entry.split(":")
        perm = sum(BITS[letter] for letter in letters)
        if who:
            named[tag].append((IDS[who], perm))
        else:
            single[tag] = perm
    users, groups = tuple(named["u"]), tuple(named["g"])
    return Acl(single["u"], single["g"], single["o"], single.get("m"), users, groups)


def identity(uid: int, *gids: int, umask: int = 0o022, asks: int = 0o666) -> Identity:
    """The first group is its own, the others are supplementary."""
    own, *others = gids or (99,)
    return Identity(
        str(uid), str(uid), uid, own, frozenset(others), umask, request_mode=asks
    )


def capable(who: Identity, *capabilities: str) -> Identity:
    return replace(who, capabilities=frozenset(capabilities))


def inode(kind: str, permissions: int | str, uid: int, gid: int) -> Inode:
    if isinstance(permissions, str):
        return Inode(kind, uid, gid, 0, acl(permissions))
    return Inode(kind, uid, gid, permissions & 0o7000, from_mode(permissions))


def file(permissions: int | str, uid: int = OWNER, gid: int = STAFF) -> Inode:
    return inode(REGULAR, permissions, uid, gid)


def directory(permissions: int | str, uid: int = ROOT, gid: int = ROOT) -> Inode:
    return inode(DIRECTORY, permissions, uid, gid)


OPEN = directory(0o777)
READ_ONLY = Mount(read_only=True)


def place(log: Inode, *above: Inode, protected_regular: int = 0) -> Place:
    names = ["/", "/srv", "/srv/app"]
    ancestors = list(zip(names, (directory(0o755), *above)))
    return Place(ancestors, "/srv/app/logs", log, protected_regular)


PRIVATE, ANYWHERE = file(0o600), place(OPEN)


@dataclass(frozen=True)
class Case:
    """What ``who`` asks for: to read or append to ``of``, or to create."""

    name: str
    who: Identity
    operation: str
    reason: str
    of: Inode = PRIVATE
    at: Place = ANYWHERE
    held: int | None = None
    ancestor: str | None = None

    def decide(self) -> Verdict:
        if self.operation == "read":
            return may_read(self.who, self.at, self.of)
        if self.operation == "append":
            return may_append(self.who, self.at, self.of)
        return may_create(self.who, self.at)


owner, queue, web, root = (identity(uid) for uid in (OWNER, QUEUE, WEB, ROOT))
of_staff, of_adm = identity(QUEUE, STAFF), identity(QUEUE, 99, ADM)
all_powerful = capable(root, "cap_dac_override", "cap_dac_read_search")
sees_all = capable(queue, "cap_dac_read_search")

#: A named user who may write, where the mask is ---.
MASKED_OUT = "u::rw- u:queue:rw- g::r-- g:adm:rw- m::--- o::"

CASES = [
    # The owner's bits decide for the owner, whatever else the ACL says.
    Case("owner", owner, "append", "granted_owner", file(0o600), held=6),
    Case("owner below other", owner, "read", "denied_owner", file(0o066), held=0),
    Case(
        "owner who is named",
        owner,
        "append",
        "denied_owner",
        file("u::r-- u:owner:rw- g::rw- m::rw- o::rw-"),
        held=4,
    ),
    # Then the named user, within the mask, and no further.
    Case(
        "named user",
        queue,
        "append",
        "granted_named_user",
        file("u::rw- u:queue:rw- g::--- m::rw- o::---"),
        held=6,
    ),
    Case(
        "named user with less than the own group and other",
        of_staff,
        "append",
        "denied_named_user",
        file("u::rw- u:queue:r-- g::rw- m::rw- o::rw-"),
        held=4,
    ),
    Case(
        "named user who is masked",
        queue,
        "append",
        "denied_mask",
        file("u::rw- u:queue:rw- g::rw- m::r-- o::rw-"),
        held=4,
    ),
    Case(
        "named user twice: the first entry counts",
        queue,
        "append",
        "denied_named_user",
        file("u::rw- u:queue:r-- u:queue:rw- g::--- m::rw- o::---"),
        held=4,
    ),
    # Then groups: any one entry that holds it all, within the mask.
    Case("own group", of_staff, "read", "granted_group", file(0o640), held=4),
    Case(
        "supplementary group",
        of_adm,
        "read",
        "granted_group",
        file(0o640, gid=ADM),
        held=4,
    ),
    Case("group below other", of_staff, "read", "denied_group", file(0o606), held=0),
    Case("own group, append", of_staff, "append", "denied_group", file(0o646), held=4),
    Case(
        "named group",
        of_adm,
        "append",
        "granted_group",
        file("u::rw- g::--- g:adm:rw- m::rw- o::---"),
        held=6,
    ),
    Case(
        "own group has less than a named one",
        identity(QUEUE, STAFF, ADM),
        "append",
        "granted_group",
        file("u::rw- g::r-- g:adm:rw- m::rw- o::---"),
        held=6,
    ),
    Case(
        "named group that is masked",
        of_adm,
        "append",
        "denied_mask",
        file("u::rw- g::--- g:adm:rw- m::r-- o::rw-"),
        held=4,
    ),
    Case(
        "group that has too little never falls to other",
        of_adm,
        "append",
        "denied_group",
        file("u::rw- g::rw- g:adm:r-- m::rw- o::rw-"),
        held=4,
    ),
    # Then other.
    Case("other", queue, "read", "granted_other", file(0o604), held=4),
    Case("other, append", queue, "append", "denied_other", file(0o664), held=4),
    Case(
        "other is not masked",
        queue,
        "append",
        "granted_other",
        file("u::rw- u:web:r-- g::r-- m::r-- o::rw-"),
        held=6,
    ),
    # With a mask of --- Linux does not look at the ACL at all.
    Case(
        "mask --- lets a named user fall to other",
        queue,
        "read",
        "granted_other",
        file(MASKED_OUT + "r--"),
        held=4,
    ),
    Case(
        "mask --- lets a named group fall to other",
        identity(WEB, ADM),
        "read",
        "granted_other",
        file(MASKED_OUT + "r--"),
        held=4,
    ),
    Case(
        "mask --- and nothing for other",
        queue,
        "append",
        "denied_mask",
        file(MASKED_OUT + "r--"),
        held=0,
    ),
    Case(
        "mask --- and nothing for other, named group",
        identity(WEB, ADM),
        "append",
        "denied_mask",
        file(MASKED_OUT + "r--"),
        held=0,
    ),
    Case(
        "mask --- and a user whom nothing names",
        web,
        "append",
        "denied_other",
        file(MASKED_OUT + "r--"),
        held=4,
    ),
    Case(
        "mask --- leaves the owning group with nothing",
        of_staff,
        "read",
        "denied_group",
        file(MASKED_OUT + "r--"),
        held=0,
    ),
    # Capabilities.
    Case("override", all_powerful, "append", "granted_capability", file(0)),
    Case("no capabilities", root, "read", "denied_other", file(0o640), held=0),
    Case("read all", sees_all, "read", "granted_capability", file(0)),
    Case("read all, append", sees_all, "append", "denied_other", file(0), held=0),
    Case(
        "a capability that is not needed",
        capable(owner, "cap_dac_override"),
        "append",
        "granted_owner",
        file(0o600),
        held=6,
    ),
    Case(
        "cap_fowner opens nothing",
        capable(queue, "cap_fowner"),
        "read",
        "denied_other",
        held=0,
    ),
    # Search of the directory, and of every one on the way.
    Case(
        "directory",
        queue,
        "read",
        "denied_search",
        file(0o666),
        place(directory(0o770), OPEN, OPEN),
        held=0,
        ancestor="/srv/app/logs",
    ),
    Case(
        "first ancestor that denies",
        queue,
        "append",
        "denied_search",
        file(0o666),
        place(OPEN, directory(0o754), directory(0o700)),
        held=4,
        ancestor="/srv",
    ),
    Case(
        "second ancestor",
        queue,
        "create",
        "denied_search",
        at=place(OPEN, OPEN, directory("u::rwx u:queue:rw- g::r-x m::rwx o::r-x")),
        held=6,
        ancestor="/srv/app",
    ),
    Case(
        "searching needs no read",
        queue,
        "read",
        "granted_other",
        file(0o604),
        place(directory(0o711), directory(0o711), directory(0o711)),
        held=4,
    ),
    Case(
        "read all includes searching",
        sees_all,
        "read",
        "granted_other",
        file(0o604),
        place(directory(0o700), directory(0), directory(0)),
        held=4,
    ),
    Case(
        "before what the file is",
        queue,
        "read",
        "denied_search",
        replace(file(0o666), kind="fifo"),
        place(directory(0o700)),
        held=0,
        ancestor="/srv/app/logs",
    ),
    # Creating needs w and x in one entry.
    Case("create", queue, "create", "granted_other", held=7),
    Case(
        "create with w alone",
        owner,
        "create",
        "denied_search",
        at=place(directory(0o200, OWNER)),
        held=2,
        ancestor="/srv/app/logs",
    ),
    Case(
        "create with x alone",
        owner,
        "create",
        "denied_create",
        at=place(directory(0o577, OWNER)),
        held=5,
    ),
    Case(
        "create with w and x of two groups",
        identity(QUEUE, STAFF, ADM),
        "create",
        "denied_create",
        at=place(directory("u::rwx g::--x g:staff:-w- g:adm:--x m::rwx o::---")),
        held=2,
    ),
    Case(
        "create masked",
        queue,
        "create",
        "denied_create",
        at=place(directory("u::rwx u:queue:rwx g::r-x m::r-x o::r-x")),
        held=5,
    ),
    Case(
        "create with override",
        all_powerful,
        "create",
        "granted_capability",
        at=place(directory(0o0, OWNER)),
    ),
    Case(
        "read all does not create",
        sees_all,
        "create",
        "denied_create",
        at=place(directory(0o755)),
        held=5,
    ),
    # What no capability overrides: read-only mounts, flags, sticky.
    Case(
        "read-only, append",
        all_powerful,
        "append",
        "denied_read_only",
        replace(file(0o666), mount=READ_ONLY),
    ),
    Case(
        "read-only, create",
        all_powerful,
        "create",
        "denied_read_only",
        at=place(replace(OPEN, mount=READ_ONLY)),
    ),
    Case(
        "read-only, read",
        owner,
        "read",
        "granted_owner",
        replace(file(0o600), mount=READ_ONLY),
        place(replace(OPEN, mount=READ_ONLY)),
        held=6,
    ),
    Case(
        "immutable, append",
        all_powerful,
        "append",
        "denied_immutable",
        replace(file(0o666), immutable=True),
    ),
    Case(
        "immutable, read",
        owner,
        "read",
        "granted_owner",
        replace(file(0o600), immutable=True),
        held=6,
    ),
    Case(
        "immutable directory, create",
        all_powerful,
        "create",
        "denied_immutable",
        at=place(replace(OPEN, immutable=True)),
    ),
    Case(
        "immutable directory, append",
        owner,
        "append",
        "granted_owner",
        at=place(replace(OPEN, immutable=True)),
        held=6,
    ),
    Case(
        "append-only, append",
        owner,
        "append",
        "granted_owner",
        replace(file(0o600), append_only=True),
        held=6,
    ),
    Case(
        "append-only directory, create",
        queue,
        "create",
        "granted_other",
        at=place(replace(OPEN, append_only=True)),
        held=7,
    ),
    Case(
        "not a regular file, read",
        all_powerful,
        "read",
        "denied_not_regular",
        replace(file(0o666), kind="fifo"),
    ),
    Case(
        "not a regular file, append",
        all_powerful,
        "append",
        "denied_not_regular",
        directory(0o777),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_may(case: Case) -> None:
    assert case.decide() == Verdict(
        case.reason.startswith("granted_"), case.reason, case.held, case.ancestor
    )


@pytest.mark.parametrize(
    ("visible", "operations"),
    [(True, {"append", "create"}), (False, {"append", "create", "read"})],
    ids=["read-only", "hidden"],
)
def test_a_sandbox_denies_whatever_the_permissions_are(
    operations: set[str], *, visible: bool
) -> None:
    who = replace(all_powerful, sandbox=Sandboxed(visible, "does it", "let it"))
    cases = [Case("", who, each, "-") for each in ("append", "create", "read")]
    verdicts = {case.operation: case.decide() for case in cases}
    assert {each for each in verdicts if not verdicts[each].allowed} == operations
    for each in operations:
        denied = Verdict(False, "denied_sandbox", effect="does it")
        assert verdicts[each] == denied


CONFINED = {
    "read": (owner, "read", PRIVATE, ANYWHERE, True),
    "append": (all_powerful, "append", PRIVATE, ANYWHERE, True),
    "create": (queue, "create", PRIVATE, ANYWHERE, True),
    "denied, read": (queue, "read", PRIVATE, ANYWHERE, False),
    "denied, append": (queue, "append", PRIVATE, ANYWHERE, False),
    "denied, create": (queue, "create", PRIVATE, place(directory(0o755)), False),
    "denied, search": (owner, "read", PRIVATE, place(directory(0o600)), False),
}


@pytest.mark.parametrize(
    ("who", "operation", "of", "at", "unknown"), CONFINED.values(), ids=CONFINED
)
def test_a_security_module_leaves_what_is_granted_open_and_what_is_denied_denied(
    who: Identity, operation: str, of: Inode, at: Place, *, unknown: bool
) -> None:
    plain = Case("", who, operation, "-", of, at)
    confined = replace(plain, who=replace(who, confined_by="SELinux"))
    expected = plain.decide()
    assert expected.allowed is unknown
    if unknown:
        expected = Verdict(None, "unknown_lsm", expected.held, effect="SELinux")
    assert confined.decide() == expected


UNREAD = replace(file(0o666), acl_unread=True)
UNREAD_PLACE = place(replace(OPEN, acl_unread=True))


@pytest.mark.parametrize(
    ("who", "operation", "of", "at", "allowed"),
    [
        (queue, "read", UNREAD, ANYWHERE, None),
        (queue, "append", UNREAD, ANYWHERE, None),
        (queue, "append", file(0o666), UNREAD_PLACE, None),
        (queue, "create", PRIVATE, UNREAD_PLACE, None),
        (queue, "append", PRIVATE, place(OPEN, replace(OPEN, acl_unread=True)), None),
        (queue, "append", UNREAD, place(directory(0o700)), False),
        # The mask is what the mode shows of the group.
        (queue, "append", replace(file(0o640), acl_unread=True), ANYWHERE, False),
        (queue, "append", replace(file(0o602), acl_unread=True), ANYWHERE, True),
        (owner, "append", UNREAD, ANYWHERE, True),
        (all_powerful, "append", UNREAD, UNREAD_PLACE, True),
    ],
)
def test_an_acl_that_was_not_read_decides_nothing(
    who: Identity, operation: str, of: Inode, at: Place, *, allowed: bool | None
) -> None:
    verdict = Case("", who, operation, "-", of, at).decide()
    assert verdict.allowed is allowed
    assert (verdict.reason == "unknown_acl") is (allowed is None)


WORLD, GROUP = STICKY | 0o777, STICKY | 0o775
GROUP_BY_MASK = "u::rwx u:queue:r-x g::r-x m::rwx o::r-x"


@pytest.mark.parametrize("operation", ["read", "append", "create"])
@pytest.mark.parametrize(
    ("log", "of", "who", "refused_from"),
    [
        pytest.param(directory(WORLD), file(0o666), queue, 1, id="world"),
        pytest.param(directory(WORLD), file(0o666), all_powerful, 1, id="even root"),
        pytest.param(directory(GROUP), file(0o666), queue, 2, id="group"),
        pytest.param(
            replace(directory(GROUP_BY_MASK), special=STICKY),
            file(0o666),
            web,
            2,
            id="mask without an entry that writes",
        ),
        pytest.param(directory(WORLD), file(0o666), owner, None, id="own file"),
        pytest.param(
            directory(WORLD, OWNER), file(0o666), queue, None, id="file of the owner"
        ),
        pytest.param(
            directory(WORLD, OWNER), file(0o666, WEB), owner, 1, id="own directory"
        ),
        pytest.param(directory(STICKY | 0o755), file(0o666), queue, None, id="closed"),
        pytest.param(directory(0o777), file(0o666), queue, None, id="not sticky"),
    ],
)
def test_sticky_refuses_o_creat_of_what_is_somebody_elses(
    log: Inode, of: Inode, who: Identity, refused_from: int | None, operation: str
) -> None:
    for value in (0, 1, 2):
        at = place(log, protected_regular=value)
        refused = refused_from is not None and value >= refused_from
        verdict = Case("", who, operation, "", of, at).decide()
        sticky = refused and operation == "append"
        assert (verdict.reason == "denied_sticky") == sticky


@pytest.mark.parametrize(
    ("who", "of", "wanted", "allowed"),
    [
        # Both bits at once: entries of two groups do not add up.
        (
            identity(QUEUE, STAFF, ADM),
            file("u::rw- g::r-- g:adm:-w- m::rw- o::---"),
            READ | WRITE,
            False,
        ),
        (
            identity(QUEUE, STAFF, ADM),
            file("u::rw- g::r-- g:adm:rw- m::rw- o::---"),
            READ | WRITE,
            True,
        ),
        (sees_all, file(0), READ | WRITE, False),
        (sees_all, file(0o111), EXECUTE, True),
        (capable(web, "cap_dac_read_search"), file(0), EXECUTE, False),
        (all_powerful, file(0), READ | WRITE, True),
        (all_powerful, file(0o666), EXECUTE, False),
        (all_powerful, file(0o676), EXECUTE, True),
        (sees_all, directory(0), READ | EXECUTE, True),
        (sees_all, directory(0), WRITE, False),
        (all_powerful, directory(0), READ | WRITE | EXECUTE, True),
    ],
)
def test_permission(who: Identity, of: Inode, wanted: int, allowed: bool) -> None:
    assert permission(who, of, wanted).allowed == allowed


def with_default(log: Inode, default: str) -> Inode:
    return replace(log, default_acl=acl(default))


def described(made: Inode) -> str:
    return f"{made.uid}:{made.gid} {made.mode:04o} {' '.join(to_lines(made.acl))}"


GRPID = Mount(group_from_directory=True)
DEFAULT = "u::rwx u:web:rwx g::r-x m::rwx o::r-x"
LOGGER = identity(QUEUE, STAFF, umask=0o022)
CLOSED_LOGGER = identity(QUEUE, STAFF, umask=0o077)
SECRETIVE = identity(QUEUE, STAFF, asks=0o600)

CREATED = [
    # No default ACL: the umask, and the creator's group.
    (directory(0o777), LOGGER, "2:11 0644 user::rw- group::r-- other::r--"),
    (directory(0o777), CLOSED_LOGGER, "2:11 0600 user::rw- group::--- other::---"),
    (directory(0o777), SECRETIVE, "2:11 0600 user::rw- group::--- other::---"),
    (
        directory(0o777),
        identity(QUEUE, STAFF, asks=0o777, umask=0o002),
        "2:11 0775 user::rwx group::rwx other::r-x",
    ),
    # setgid gives the directory's group, and no permission.
    (
        directory(SETGID | 0o777, ROOT, LOGS),
        LOGGER,
        "2:13 0644 user::rw- group::r-- other::r--",
    ),
    (
        replace(directory(0o777, ROOT, LOGS), mount=GRPID),
        LOGGER,
        "2:13 0644 user::rw- group::r-- other::r--",
    ),
    # A default ACL: no umask, and what is requested cuts the mask ...
    (
        with_default(directory(0o777), DEFAULT),
        CLOSED_LOGGER,
        "2:11 0664 user::rw- user:3:rwx group::r-x mask::rw- other::r--",
    ),
    (
        with_default(directory(0o777), DEFAULT),
        SECRETIVE,
        "2:11 0600 user::rw- user:3:rwx group::r-x mask::--- other::---",
    ),
    # ... or, where there is none, the group.
    (
        with_default(directory(0o777), "u::rwx g::rwx o::---"),
        CLOSED_LOGGER,
        "2:11 0660 user::rw- group::rw- other::---",
    ),
    (
        with_default(directory(0o777), "u::r-- g::--- o::-w-"),
        identity(QUEUE, STAFF, asks=0o777),
        "2:11 0402 user::r-- group::--- other::-w-",
    ),
]


@pytest.mark.parametrize(("log", "creator", "made"), CREATED)
def test_created_file(log: Inode, creator: Identity, made: str) -> None:
    inode = created_file(creator, log)
    assert described(inode) == made
    assert inode.kind == REGULAR
    assert inode.default_acl is None
    assert inode.mount == log.mount


@pytest.mark.parametrize(
    ("log", "request_mode", "made"),
    [
        (directory(0o777), 0o777, "2:11 0755 user::rwx group::r-x other::r-x"),
        (directory(0o777), 0o1750, "2:11 1750 user::rwx group::r-x other::---"),
        # What else is requested is not given.
        (directory(0o777), 0o6777, "2:11 0755 user::rwx group::r-x other::r-x"),
        (
            directory(SETGID | 0o777, ROOT, LOGS),
            0o777,
            "2:13 2755 user::rwx group::r-x other::r-x",
        ),
        (
            directory(STICKY | SETUID | 0o777),
            0o777,
            "2:11 0755 user::rwx group::r-x other::r-x",
        ),
        # Under grpid a directory hands on its group, but not setgid.
        (
            replace(directory(SETGID | 0o777, ROOT, LOGS), mount=GRPID),
            0o777,
            "2:13 0755 user::rwx group::r-x other::r-x",
        ),
        (
            with_default(directory(0o777), DEFAULT),
            0o750,
            "2:11 0750 user::rwx user:3:rwx group::r-x mask::r-x other::---",
        ),
    ],
)
def test_created_directory(log: Inode, request_mode: int, made: str) -> None:
    inode = created_directory(LOGGER, log, request_mode)
    assert described(inode) == made
    assert inode.kind == DIRECTORY
    assert inode.default_acl == log.default_acl
    assert inode.mount == log.mount


@pytest.mark.parametrize(
    ("log", "create"),
    [
        (directory(0o755), False),
        (directory(0o775), False),
        (directory(0o777), True),
        (directory(0o772), False),
        (directory(0o775, gid=STAFF), True),
        (directory(0o755, OWNER), True),
        (directory(0o555, OWNER), False),
        (directory("u::rwx u:queue:rwx g::r-x m::rwx o::r-x"), True),
        (directory("u::rwx u:queue:rwx g::r-x m::r-x o::r-x"), False),
        (directory("u::rwx u:root:rwx g::r-x m::rwx o::r-x"), False),
        (directory("u::rwx g::r-x g:adm:-wx m::rwx o::r-x"), True),
        (directory("u::rwx g::r-x g:adm:-w- m::rwx o::r-x"), False),
    ],
)
def test_others_create(log: Inode, create: bool) -> None:
    assert others_create(log) == create


@pytest.mark.parametrize(
    ("above", "log", "path"),
    [
        ((directory(0o755), directory(0o755)), directory(0o777), None),
        ((directory(0o755), directory(0o755, OWNER)), directory(0o755), "/srv/app"),
        ((directory(0o777), directory(0o755, OWNER)), directory(0o755), "/srv"),
        ((directory(0o755), directory(0o555, OWNER)), directory(0o755), "/srv/app"),
        # Sticky: nobody moves what is root's.
        ((directory(WORLD), directory(0o755)), directory(0o755), None),
        ((directory(0o755), directory(WORLD)), directory(0o755, OWNER), "/srv/app"),
        ((directory(0o755), directory(WORLD, OWNER)), directory(0o755), "/srv/app"),
    ],
)
def test_exchangeable_by_others(
    above: tuple[Inode, ...], log: Inode, path: str | None
) -> None:
    assert exchangeable_by_others(place(log, *above)) == path


def test_every_reason_has_a_case() -> None:
    reasons = {case.reason for case in CASES} | {
        "denied_sticky",
        "denied_sandbox",
        "unknown_acl",
        "unknown_lsm",
    }
    assert reasons == {
        "granted_owner",
        "granted_named_user",
        "granted_group",
        "granted_other",
        "granted_capability",
        "denied_search",
        "denied_create",
        "denied_owner",
        "denied_named_user",
        "denied_group",
        "denied_mask",
        "denied_other",
        "denied_sticky",
        "denied_read_only",
        "denied_immutable",
        "denied_not_regular",
        "denied_sandbox",
        "unknown_acl",
        "unknown_lsm",
    }
