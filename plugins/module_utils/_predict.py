# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who can do what: with the files that are there, and with the next ones."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ._access import (
    DIRECTORY,
    REGULAR,
    Inode,
    Place,
    Verdict,
    created_file,
    exchangeable_by_others,
    may_append,
    may_create,
    may_read,
    others_create,
)
from ._findings import KINDS, Finding, described, explain
from ._fs import Known
from ._identity import STRANGER, Identity, group_name, user_name
from ._names import display
from ._policy import BY_GROUP, Policy

_DISTINCT_INODES = 4096


@dataclass(frozen=True)
class Access:
    """What one identity may do with one file: ``read``, ``append``, ``create``."""

    identity: Identity
    operation: str
    verdict: Verdict


@dataclass(frozen=True)
class NextFile:
    """The file that ``creator`` creates next, and what others can do with it.

    ``inode`` is None, and ``access`` empty, where the creator may not create.
    """

    creator: Identity
    verdict: Verdict
    inode: Inode | None
    access: tuple[Access, ...]


class AccessTable:
    """Who may do what in a tree; what is alike is decided once.

    Memory is bounded: a tree has few distinct inodes, however many files.
    """

    def __init__(self, policy: Policy) -> None:
        """Start empty."""
        self.policy = policy
        self._place: Place | None = None
        self._way: tuple[Inode, ...] = ()
        self._ways: dict[tuple[Inode, ...], int] = {}
        self._fine: set[tuple[int, Inode]] = set()
        self._known: dict[int, Known] = {}

    def known(self, place: Place) -> Known:
        """Return the files that need no second look in places like this one."""
        return self._known.setdefault(self._number_of(place), set())

    def findings(self, path: str, place: Place, inode: Inode) -> Sequence[Finding]:
        """Return whom a file, or the next file in a directory, locks out.

        ``place`` is the directory itself, or the one that the file lies in.
        """
        key = self._number_of(place), inode
        if key in self._fine:
            return ()
        found = list(self._find(path, place, inode))
        if not found:
            self._fine.add(key)
        return found

    def _find(self, path: str, place: Place, inode: Inode) -> Iterator[Finding]:
        if inode.kind == REGULAR:
            rows = access_to(self.policy, place, inode)
            yield from _file_findings(self.policy, path, inode, rows)
        elif inode.kind == DIRECTORY:
            files = next_files(self.policy, place)
            yield from _next_file_findings(self.policy, path, files)

    def _number_of(self, place: Place) -> int:
        """Return the same number for places that are reached and are alike."""
        if place is not self._place:
            if len(self._fine) + len(self._ways) >= _DISTINCT_INODES:
                self._fine.clear()
                self._ways.clear()
                self._known.clear()
            self._place = place
            self._way = (*(inode for _path, inode in place.ancestors), place.inode)
        return self._ways.setdefault(self._way, len(self._ways))


def access_to(policy: Policy, place: Place, inode: Inode) -> tuple[Access, ...]:
    """Predict what everybody in the policy may do with a file in ``place``."""
    return tuple(
        Access(identity, operation, decide(identity, place, inode))
        for identity in policy.identities
        for operation, decide in (("read", may_read), ("append", may_append))
    )


def next_files(policy: Policy, place: Place) -> list[NextFile]:
    """Predict the next file of everybody who creates files there."""
    return [_next_file(policy, place, creator) for creator in policy.creators]


def _next_file(policy: Policy, place: Place, creator: Identity) -> NextFile:
    verdict = may_create(creator, place)
    if verdict.allowed is False:
        return NextFile(creator, verdict, None, ())
    inode = created_file(creator, place.inode)
    return NextFile(creator, verdict, inode, access_to(policy, place, inode))


def _lacking(
    policy: Policy, appending: Iterable[Identity], rows: Sequence[Access]
) -> Iterator[tuple[str, Access]]:
    """Yield what is needed and a file denies, as writer or reader."""
    needs = {("append", each.id): "writer" for each in appending}
    needs.update({("read", reader.id): "reader" for reader in policy.readers})
    for row in rows:
        role = needs.get((row.operation, row.identity.id))
        if role is not None and row.verdict.allowed is False:
            yield role, row


def _file_findings(
    policy: Policy, path: str, inode: Inode, rows: Sequence[Access]
) -> Iterator[Finding]:
    """Yield a finding for every writer and reader whom a log file locks out."""
    # A service of the application that its sandbox keeps out is a writer, too. Of
    # the next files it is told once, that it cannot create its own.
    sandboxed = [each for each in policy.running if each.sandbox]
    for role, row in _lacking(policy, (*policy.writers, *sandboxed), rows):
        yield Finding(
            f"{role}_denied",
            path,
            row.identity.name,
            described_inode(inode),
            explain(row.identity.name, row.operation, display(path), row.verdict),
            _remedy(policy, row.identity, row.verdict)
            or _membership_remedy(policy, row.identity, inode),
        )


def _next_file_findings(
    policy: Policy, path: str, files: Sequence[NextFile]
) -> Iterator[Finding]:
    """Yield a finding for everybody whom a next file in ``path`` would lock out."""
    where = f" in {display(path)}" if path else ""
    path = path or policy.path
    for file in files:
        creator = file.creator.name
        if file.inode is None:
            yield Finding(
                "creator_denied",
                path,
                creator,
                file.verdict.reason,
                explain(creator, "create", f"a log file{where}", file.verdict),
                _remedy(policy, file.creator, file.verdict),
            )
            continue
        evidence = described_inode(file.inode)
        what = f"the next file that {creator} creates{where} ({evidence})"
        for role, row in _lacking(policy, policy.writers, file.access):
            yield Finding(
                f"next_file_{role}_denied",
                path,
                f"{row.identity.name} (created by {creator})",
                described_inode(file.inode, creator),
                explain(row.identity.name, row.operation, what, row.verdict),
                _remedy(policy, row.identity, row.verdict)
                or _request_remedy(file.creator)
                or _membership_remedy(policy, row.identity, file.inode)
                or _umask_remedy(policy, file.creator, file.inode),
            )


def _remedy(policy: Policy, identity: Identity, verdict: Verdict) -> str | None:
    """Return what to do about a refusal that no repair of the logs can lift."""
    if verdict.reason == "denied_sandbox" and identity.sandbox:
        return identity.sandbox.remedy
    if verdict.reason == "denied_read_only":
        return "remount the file system read-write"
    if verdict.reason == "denied_immutable":
        return "remove the attribute with chattr -i if it is not wanted"
    if verdict.reason == "denied_sticky":
        return "take the sticky bit off the directory (chmod -t)"
    ancestor = verdict.ancestor
    if ancestor is None or f"{ancestor}/".startswith(f"{policy.path}/"):
        return None
    who = (
        f"g:{group_name(min(identity.groups))}"
        if identity.is_group
        else f"u:{user_name(identity.uid)}"
    )
    return f"let it through: setfacl -m {who}:x {shlex.quote(display(ancestor))}"


def _request_remedy(creator: Identity) -> str | None:
    """Return what to do about a creator whose files get no group permissions."""
    if creator.request_mode & 0o060 == 0o060:
        return None
    return (
        f"have {creator.name} create its logs with mode 0666, not "
        f"{creator.request_mode:04o}, which leaves named writers nothing"
    )


def _membership_remedy(policy: Policy, identity: Identity, log: Inode) -> str | None:
    """Return what to do where access is the group's, for who is not in it."""
    gid = policy.group
    if policy.strategy != BY_GROUP or gid is None or identity.in_group(gid):
        return None
    return f"add {identity.name} to the group {group_name(gid)}{_or_acl(log)}"


def _umask_remedy(policy: Policy, creator: Identity, inode: Inode) -> str | None:
    """Return what to do where the creator's umask decides for the group."""
    denied = creator.umask & 0o060
    if policy.strategy != BY_GROUP or not denied or not inode.acl.is_minimal:
        return None
    first = "" if inode.gid == policy.group else "run the remediate playbook, and "
    return (
        f"{first}set the umask of {creator.name} to 0002 (it is {creator.umask:04o})"
        f"{_or_acl(inode)}"
    )


def _or_acl(log: Inode) -> str:
    if log.mount.acl_supported:
        return ", or set strategy: acl"
    return f", for {log.mount.type} keeps no ACLs"


def finding_of(code: str, path: str, inode: Inode) -> Finding:
    """Return a finding that says no more than its title, of an inode."""
    message = f"{KINDS[code].title}: {display(path)}"
    return Finding(code, path, user_name(inode.uid), described_inode(inode), message)


def missing_directory(policy: Policy) -> Finding:
    """Return the finding for a directory that may be missing, and is."""
    message = f"{KINDS['missing_directory'].title}: {display(policy.path)}"
    shown = display(policy.path)
    return Finding("missing_directory", policy.path, shown, "", message)


def described_inode(inode: Inode, creator: str | None = None) -> str:
    """Return an inode in few words, as evidence."""
    return described(user_name(inode.uid), group_name(inode.gid), inode.mode, creator)


def place_findings(policy: Policy, place: Place) -> Iterator[Finding]:
    """Yield findings about the directory and the way to it."""
    path = exchangeable_by_others(place)
    if path is not None:
        trusted = place.inode.uid in policy.users
        yield Finding(
            "ancestor_exchangeable" if trusted else "ancestor_untrusted",
            path,
            display(policy.path),
            f"on the way to {display(policy.path)}",
            f"Others than root can exchange what is in {display(path)}, on the "
            f"way to {display(policy.path)}",
        )
    yield from _unknown(policy)
    root = next((each for each in policy.writers if each.uid == 0), None)
    if root is not None and others_create(place.inode):
        yield Finding(
            "root_writes_untrusted",
            policy.path,
            root.name,
            described_inode(place.inode),
            f"{root.name} opens files in a directory in which others create "
            "names: they could lead it to any file of the host",
        )


#: Where a security module that has a log of its own tells what it denied.
_DENIALS = {
    "SELinux": "look for what it denied: ausearch -m AVC,USER_AVC -ts today",
    "AppArmor": "look for what it denied: journalctl -k --grep 'apparmor=.DENIED'",
}


def _unknown(policy: Policy) -> Iterator[Finding]:
    """Yield a finding for each security module that has the last word here."""
    confined = sorted(
        {each.confined_by for each in policy.identities} - {None}, key=str
    )
    for module in confined:
        names = [each.name for each in policy.identities if each.confined_by == module]
        yield Finding(
            "access_unknown",
            policy.path,
            str(module),
            ", ".join(names),
            f"{module} may deny {', '.join(names)} what the permissions grant: "
            "whether they can write here, it decides",
            _DENIALS.get(str(module).partition(" ")[0]),
        )


def next_file_losses(policy: Policy, before: Place, after: Place) -> Iterator[Finding]:
    """Yield a finding for each one whom a repaired next file shuts out.

    Where creators' umasks differ the narrowest counts, and with setgid a
    creator's own group is no longer the file's.
    """
    everybody = (*policy.identities, STRANGER)
    for creator in policy.creators if policy.keep_other else ():
        for identity in everybody:
            old = _of_next_file(creator, identity, before)
            new = _of_next_file(creator, identity, after)
            for operation in sorted(old - new):
                inode = created_file(creator, after.inode)
                yield Finding(
                    "next_file_narrowed",
                    policy.path,
                    identity.name,
                    described_inode(inode, creator.name),
                    f"{identity.name} can {operation} what {creator.name} creates "
                    "today, and will not after the repair",
                )


def _of_next_file(creator: Identity, identity: Identity, place: Place) -> set[str]:
    """Return what ``identity`` may do with the next file of ``creator``."""
    if may_create(creator, place).allowed is False:
        return set()
    inode = created_file(creator, place.inode)
    questions = (("read", may_read), ("append to", may_append))
    return {
        operation
        for operation, decide in questions
        if decide(identity, place, inode).allowed is not False
    }
