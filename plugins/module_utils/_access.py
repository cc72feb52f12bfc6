# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's rules: may an identity open an inode, and what does it create?

Pure functions over values. The rules are those of ``fs/namei.c`` and
``fs/posix_acl.c``; the tests let the kernel decide the same questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property

from ._acl import EXECUTE, READ, WRITE, Acl, from_mode, in_force
from ._identity import Identity, Sandboxed

SETUID, SETGID, STICKY = 0o4000, 0o2000, 0o1000
DIRECTORY, REGULAR = "directory", "file"


@dataclass(frozen=True)
class Mount:
    """The mount that an inode was reached through."""

    type: str = "unknown"
    read_only: bool = False
    acl_supported: bool = True
    group_from_directory: bool = False

    @cached_property
    def _hash(self) -> int:
        return hash(tuple(getattr(self, each.name) for each in fields(self)))

    def __hash__(self) -> int:
        """Compute the hash once, as of inodes."""
        return self._hash


@dataclass(frozen=True)
class Inode:
    """What the kernel looks at when it decides.

    ``kind`` is ``file``, ``directory``, ``symlink``, ``fifo``, ``socket`` or
    ``device``. ``special`` are the setuid, setgid and sticky bits; the nine
    permission bits are those of ``acl``, the access ACL. Where an ACL is too long
    to be looked at, ``acl_unread`` is true, and only the mode is known.
    """

    kind: str
    uid: int
    gid: int
    special: int
    acl: Acl
    default_acl: Acl | None = None
    links: int = 1
    immutable: bool = False
    append_only: bool = False
    acl_unread: bool = False
    mount: Mount = Mount()

    @property
    def mode(self) -> int:
        """The twelve mode bits."""
        return self.special | self.acl.mode

    @cached_property
    def _hash(self) -> int:
        return hash(tuple(getattr(self, each.name) for each in fields(self)))

    def __hash__(self) -> int:
        """Compute the hash once: decisions about inodes are looked up by them."""
        return self._hash


@dataclass(frozen=True)
class Verdict:
    """An answer: allowed or not, the stable word for why, and the evidence.

    ``allowed`` is None where the permissions grant it, and a security module
    may deny it, and where an ACL was not read.
    ``held`` are the permissions of the entry that decided, where one did;
    ``ancestor`` is the directory whose search was denied; ``effect`` is what
    the sandbox of a service does, or which security module decides.
    """

    allowed: bool | None
    reason: str
    held: int | None = None
    ancestor: str | None = None
    effect: str | None = None


@dataclass(frozen=True)
class Place:
    """The directory of a log: every directory on the way to it, and itself.

    ``protected_regular`` is the sysctl fs.protected_regular (0, 1 or 2).
    """

    ancestors: Sequence[tuple[str, Inode]]
    path: str
    inode: Inode
    protected_regular: int = 0


def acl_verdict(identity: Identity, inode: Inode, wanted: int) -> Verdict:
    """Decide by owner, ACL and mode alone, as acl_permission_check() does."""
    acl = inode.acl
    if identity.uid == inode.uid:
        return _entry_verdict("owner", acl.user_obj, wanted)
    if not acl.is_minimal and acl.group_class:
        return _extended_verdict(identity, inode, wanted)
    if identity.in_group(inode.gid):
        return _entry_verdict("group", acl.group_class, wanted)
    verdict = _entry_verdict("other", acl.other, wanted)
    if not verdict.allowed and _named(identity, acl, wanted):
        return Verdict(False, "denied_mask", 0)
    return verdict


def _entry_verdict(entry: str, held: int, wanted: int) -> Verdict:
    allowed = held & wanted == wanted
    return Verdict(allowed, f"{'granted' if allowed else 'denied'}_{entry}", held)


def _named(identity: Identity, acl: Acl, wanted: int) -> bool:
    """Tell whether a named entry, were it in force, would grant ``wanted``."""
    for uid, perm in acl.users:
        if uid == identity.uid:
            return perm & wanted == wanted
    return any(
        identity.in_group(gid) and perm & wanted == wanted for gid, perm in acl.groups
    )


def _extended_verdict(identity: Identity, inode: Inode, wanted: int) -> Verdict:
    acl = inode.acl
    mask = 7 if acl.mask is None else acl.mask
    for uid, perm in acl.users:
        if uid == identity.uid:
            return _masked_verdict("named_user", perm, mask, wanted)
    entries = [(inode.gid, acl.group_obj), *acl.groups]
    matched = [perm for gid, perm in entries if identity.in_group(gid)]
    for perm in matched:
        if perm & wanted == wanted:
            return _masked_verdict("group", perm, mask, wanted)
    if matched:
        return Verdict(False, "denied_group", max(matched))
    return _entry_verdict("other", acl.other, wanted)


def _masked_verdict(entry: str, perm: int, mask: int, wanted: int) -> Verdict:
    if perm & wanted == wanted and perm & mask & wanted != wanted:
        return Verdict(False, "denied_mask", perm & mask)
    return _entry_verdict(entry, perm & mask, wanted)


def permission(identity: Identity, inode: Inode, wanted: int) -> Verdict:
    """Decide as generic_permission() does: the ACL, then capabilities."""
    verdict = acl_verdict(identity, inode, wanted)
    if inode.acl_unread and _acl_may_decide(identity, inode, wanted):
        verdict = Verdict(None, "unknown_acl")
    if verdict.allowed:
        return verdict
    reading = not wanted & WRITE if inode.kind == DIRECTORY else wanted == READ
    may_execute = inode.kind == DIRECTORY or not wanted & EXECUTE or inode.mode & 0o111
    if reading and "cap_dac_read_search" in identity.capabilities:
        return Verdict(True, "granted_capability")
    if may_execute and "cap_dac_override" in identity.capabilities:
        return Verdict(True, "granted_capability")
    return verdict


def _acl_may_decide(identity: Identity, inode: Inode, wanted: int) -> bool:
    """Tell whether an ACL that was not read may grant it; the mode is its bound.

    The owner's entry, and no ACL at all where its mask is 0, is what the mode says
    (acl_permission_check() of ``fs/namei.c``).
    """
    mode = inode.acl
    if identity.uid == inode.uid or not mode.group_class:
        return False
    return wanted in (mode.group_class & wanted, mode.other & wanted)


def _search(identity: Identity, place: Place) -> Verdict | None:
    """Return the verdict of the first directory that may deny the search."""
    for path, inode in (*place.ancestors, (place.path, place.inode)):
        verdict = permission(identity, inode, EXECUTE)
        if verdict.allowed is None:
            return verdict
        if not verdict.allowed:
            return Verdict(False, "denied_search", verdict.held, path)
    return None


def may_read(identity: Identity, place: Place, inode: Inode) -> Verdict:
    """Decide open(O_RDONLY) of an existing inode in ``place``."""
    if identity.sandbox and not identity.sandbox.visible:
        return _denied_by(identity.sandbox)
    refused = _no_log_within_reach(identity, place, inode)
    return refused or _unless_confined(identity, permission(identity, inode, READ))


def may_append(identity: Identity, place: Place, inode: Inode) -> Verdict:
    """Decide open(O_WRONLY | O_APPEND | O_CREAT) of an existing inode."""
    if identity.sandbox:
        return _denied_by(identity.sandbox)
    refused = _no_log_within_reach(identity, place, inode)
    if refused:
        return refused
    if _sticky_refuses(identity, place, inode):
        return Verdict(False, "denied_sticky")
    if inode.mount.read_only:
        return Verdict(False, "denied_read_only")
    if inode.immutable:
        return Verdict(False, "denied_immutable")
    return _unless_confined(identity, permission(identity, inode, WRITE))


def _denied_by(sandbox: Sandboxed) -> Verdict:
    return Verdict(False, "denied_sandbox", effect=sandbox.effect)


def _unless_confined(identity: Identity, verdict: Verdict) -> Verdict:
    """Return a verdict, unknown where a security module may turn it down."""
    if identity.confined_by is None or not verdict.allowed:
        return verdict
    return Verdict(None, "unknown_lsm", verdict.held, effect=identity.confined_by)


def _no_log_within_reach(
    identity: Identity, place: Place, inode: Inode
) -> Verdict | None:
    refused = _search(identity, place)
    if refused is None and inode.kind != REGULAR:
        return Verdict(False, "denied_not_regular")
    return refused


def _sticky_refuses(identity: Identity, place: Place, inode: Inode) -> bool:
    """Tell whether may_create_in_sticky() refuses O_CREAT of what exists."""
    directory = place.inode
    if not directory.special & STICKY or not place.protected_regular:
        return False
    if inode.uid in (identity.uid, directory.uid):
        return False
    group_writable = place.protected_regular >= 2 and directory.mode & 0o020
    return bool(directory.mode & 0o002 or group_writable)


def may_create(identity: Identity, place: Place) -> Verdict:
    """Decide open(O_CREAT) of a name that does not exist yet."""
    if identity.sandbox:
        return _denied_by(identity.sandbox)
    refused = _search(identity, place)
    if refused:
        return refused
    if place.inode.mount.read_only:
        return Verdict(False, "denied_read_only")
    if place.inode.immutable:
        return Verdict(False, "denied_immutable")
    verdict = permission(identity, place.inode, WRITE | EXECUTE)
    if verdict.allowed is False:
        return Verdict(False, "denied_create", verdict.held)
    return _unless_confined(identity, verdict)


def created_file(identity: Identity, directory: Inode) -> Inode:
    """Predict the regular file that ``identity`` creates in ``directory``."""
    acl = _inherited(directory, identity.request_mode, identity.umask)
    return Inode(
        REGULAR,
        identity.uid,
        _new_gid(identity, directory),
        0,
        acl,
        mount=directory.mount,
    )


def created_directory(
    identity: Identity, directory: Inode, request_mode: int = 0o777
) -> Inode:
    """Predict the directory that ``identity`` makes in ``directory``."""
    acl = _inherited(directory, request_mode, identity.umask)
    inherits_setgid = not directory.mount.group_from_directory
    special = directory.special & SETGID if inherits_setgid else 0
    return Inode(
        DIRECTORY,
        identity.uid,
        _new_gid(identity, directory),
        special | request_mode & STICKY,
        acl,
        directory.default_acl,
        mount=directory.mount,
    )


def _new_gid(identity: Identity, directory: Inode) -> int:
    if directory.special & SETGID or directory.mount.group_from_directory:
        return directory.gid
    return identity.gid


def _inherited(directory: Inode, request_mode: int, umask: int) -> Acl:
    """Apply posix_acl_create(): a default ACL switches the umask off."""
    default = directory.default_acl
    if default is None:
        return from_mode(request_mode & ~umask)
    group_request = request_mode >> 3 & 7
    masked = default.mask is not None
    return Acl(
        default.user_obj & request_mode >> 6,
        default.group_obj if masked else default.group_obj & group_request,
        default.other & request_mode,
        default.mask & group_request if default.mask is not None else None,
        default.users,
        default.groups,
    )


def others_create(inode: Inode) -> bool:
    """Tell whether any identity but root may create names in a directory."""
    return _others_hold(inode, WRITE | EXECUTE)


def others_write(inode: Inode) -> bool:
    """Tell whether any identity but root may write to a file."""
    return _others_hold(inode, WRITE)


def _others_hold(inode: Inode, wanted: int) -> bool:
    if inode.acl_unread:
        return True
    acl = in_force(inode.acl)
    held = [acl.other]
    held += [perm for uid, perm in acl.users if uid != 0]
    held += [perm for _gid, perm in acl.groups]
    held += [acl.user_obj] if inode.uid != 0 else []
    held += [acl.group_obj] if inode.gid != 0 else []
    return any(perm & wanted == wanted for perm in held)


def exchangeable_by_others(place: Place) -> str | None:
    """Return the first directory whose content a non-root identity exchanges.

    That is one which root does not own, or in which others may write, unless
    it is sticky and the next component is root's.
    """
    below = [inode for _path, inode in place.ancestors[1:]] + [place.inode]
    for (path, inode), child in zip(place.ancestors, below):
        sticky_and_safe = inode.special & STICKY and child.uid == 0
        if inode.uid != 0 or (others_create(inode) and not sticky_and_safe):
            return path
    return None
