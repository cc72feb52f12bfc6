# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Identities: what the kernel checks when a process opens a file."""

from __future__ import annotations

import grp
import os
import pwd
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from ._errors import OptionError

#: A uid and gid that no account has: the last one before (uid_t)-1.
STRANGER_ID = 0xFFFFFFFE
_FIRST_STRANGER, _STRANGERS = 0xF0000000, 0x0FFFFFF0
DEFAULT_UMASK = 0o022
DEFAULT_REQUEST_MODE = 0o666

_OCTAL = re.compile(r"0[0-7]{3}")
#: The capabilities that change the answers of this collection, with their
#: numbers in include/uapi/linux/capability.h.
FILE_CAPABILITIES = {
    "cap_chown": 0,
    "cap_dac_override": 1,
    "cap_dac_read_search": 2,
    "cap_fowner": 3,
    "cap_fsetid": 4,
}


@dataclass(frozen=True)
class Sandboxed:
    """That a service's own mount namespace keeps it from writing a log directory.

    ``effect`` ends a sentence that begins with the sandbox. What is not even
    ``visible`` cannot be read, either.
    """

    visible: bool
    effect: str
    remedy: str


@dataclass(frozen=True)
class Identity:
    """Who opens and creates files.

    ``id`` is unique within a policy and the same on every run. ``umask`` and
    ``request_mode`` are what files are created with. ``source`` says where
    the numbers come from: ``name_service``, ``declared``, ``number`` or
    ``running``. ``pids`` are the processes that run so. ``sandbox`` is None for
    who reaches the log directory that is asked about as this process does.
    ``confined_by`` is the security module that may deny what permissions grant.
    """

    id: str
    name: str
    uid: int
    gid: int
    groups: frozenset[int]
    umask: int = DEFAULT_UMASK
    request_mode: int = DEFAULT_REQUEST_MODE
    capabilities: frozenset[str] = frozenset()
    source: str = "declared"
    is_group: bool = False
    sandbox: Sandboxed | None = None
    confined_by: str | None = None
    pids: tuple[int, ...] = field(default=(), compare=False)

    def in_group(self, gid: int) -> bool:
        """Tell whether the kernel's in_group_p() would say yes."""
        return gid == self.gid or gid in self.groups


STRANGER = Identity("other", "other", STRANGER_ID, STRANGER_ID, frozenset())


def resolve(
    name: str, option: str, declared: Mapping[str, Mapping[str, Any]]
) -> Identity:
    """Turn a name of a policy into an identity.

    ``name`` is a user, ``@group``, a uid, ``@gid`` or a name in ``declared``,
    which wins. Raises OptionError, naming ``option``, for anything else.
    """
    if name in declared:
        return _from_declaration(declared[name])
    if name.startswith("@"):
        return _members(name, resolve_gid(name[1:], option))
    account = _account(name)
    if account is not None:
        groups = frozenset(os.getgrouplist(account.pw_name, account.pw_gid))
        return _user(name, account.pw_uid, account.pw_gid, groups, "name_service")
    uid = resolve_uid(name, option)
    return _user(name, uid, _stranger(uid), frozenset(), "number")


def members(gid: int) -> Identity:
    """Return whoever is in a group, and in no other."""
    return _members(f"@{group_name(gid)}", gid)


def _members(name: str, gid: int) -> Identity:
    nobody = _stranger(gid)
    return Identity(
        name,
        name,
        nobody,
        nobody,
        frozenset({gid}),
        source="name_service",
        is_group=True,
    )


@lru_cache(maxsize=1024)
def known_members(gid: int) -> tuple[Identity, ...]:
    """Return whom the name service counts among a group's members, root left out.

    Those of a group without a name are nobody's.
    """
    try:
        names = {*grp.getgrgid(gid).gr_mem}
    except (KeyError, OverflowError):
        names = set()
    uids = {account.pw_uid for account in pwd.getpwall() if account.pw_gid == gid}
    uids |= {account.pw_uid for account in map(_account, names) if account}
    return tuple(identity_of(uid) for uid in sorted(uids - {0}))


@lru_cache(maxsize=1024)
def identity_of(uid: int) -> Identity:
    """Return a uid with the groups that the name service gives it, if any."""
    return resolve(str(uid), "", {})


def _stranger(number: int) -> int:
    """Return an id that no account has, another one for each number.

    Two who share an id would own, or share the group of, each other's files.
    """
    return _FIRST_STRANGER + number % _STRANGERS


def _user(
    name: str, uid: int, gid: int, groups: frozenset[int], source: str
) -> Identity:
    return Identity(
        name, name, uid, gid, groups, capabilities=_capabilities(uid), source=source
    )


def _from_declaration(declaration: Mapping[str, Any]) -> Identity:
    name = declaration["name"]
    option = f"identities[{name}]"
    user = declaration.get("user") or name
    account = _account(user)
    uid = account.pw_uid if account else resolve_uid(user, f"{option}.user")
    if declaration.get("group") is not None:
        gid = resolve_gid(declaration["group"], f"{option}.group")
    else:
        gid = account.pw_gid if account else _stranger(uid)
    if declaration.get("groups") is not None:
        wanted = declaration["groups"]
        groups = frozenset(resolve_gid(group, f"{option}.groups") for group in wanted)
    elif account is not None:
        groups = frozenset(os.getgrouplist(account.pw_name, gid))
    else:
        groups = frozenset()
    return Identity(
        name,
        name,
        uid,
        gid,
        groups,
        _octal(declaration.get("umask"), f"{option}.umask", DEFAULT_UMASK),
        _octal(
            declaration.get("request_mode"),
            f"{option}.request_mode",
            DEFAULT_REQUEST_MODE,
        ),
        _capabilities(uid),
    )


def _octal(text: str | None, option: str, default: int) -> int:
    return default if text is None else checked_octal(text, option)


def checked_octal(text: str, option: str) -> int:
    """Return a umask or mode of four octal digits; OptionError if it is none."""
    if not _OCTAL.fullmatch(text):
        raise OptionError(
            option,
            text,
            "is not a mode of four octal digits",
            "Quote it in YAML and start it with 0, for example '0027'",
        )
    return int(text, 8)


def _account(user: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except (KeyError, OverflowError, ValueError):
        return None


def resolve_uid(user: str, option: str) -> int:
    """Return the uid of a user name or number; OptionError if there is none."""
    account = _account(user)
    if account is not None:
        return account.pw_uid
    return _number(user, option, "user")


def resolve_gid(group: str, option: str) -> int:
    """Return the gid of a group name or number; OptionError if there is none."""
    try:
        return grp.getgrnam(group).gr_gid
    except (KeyError, ValueError):
        return _number(group, option, "group")


def _number(text: str, option: str, what: str) -> int:
    if text.isascii() and text.isdecimal() and int(text) < STRANGER_ID:
        return int(text)
    raise OptionError(
        option,
        text,
        f"is not a {what} of this host",
        f"Create the {what}, give its number, or correct the name",
    )


@lru_cache(maxsize=1024)
def user_name(uid: int) -> str:
    """Return a user's name, or the number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return str(uid)


@lru_cache(maxsize=1024)
def group_name(gid: int) -> str:
    """Return a group's name, or the number where it has none."""
    try:
        return grp.getgrgid(gid).gr_name
    except (KeyError, OverflowError):
        return str(gid)


def _capabilities(uid: int) -> frozenset[str]:
    """Return what a process of ``uid`` holds unless it dropped something.

    execve() gives root the bounding set (capabilities(7)) and others nothing.
    """
    return _bounding_set() if uid == 0 else frozenset()


def _bounding_set() -> frozenset[str]:
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        for line in status:
            if line.startswith("CapBnd:"):
                bits = int(line.split()[1], 16)
                return frozenset(
                    name for name, bit in FILE_CAPABILITIES.items() if bits >> bit & 1
                )
    return frozenset()


def declared_by_name(
    declarations: Sequence[Mapping[str, Any]],
) -> dict[str, Mapping[str, Any]]:
    """Index the ``identities`` option; OptionError for a name given twice."""
    by_name: dict[str, Mapping[str, Any]] = {}
    for declaration in declarations:
        name = declaration["name"]
        if name in by_name:
            raise OptionError(
                "identities", name, "is declared twice", "Give each its own name"
            )
        if not name or name.startswith("@"):
            raise OptionError(
                "identities",
                name,
                "cannot be the name of an identity",
                "Use a word that does not start with @",
            )
        by_name[name] = declaration
    return by_name
