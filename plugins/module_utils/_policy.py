# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user declares for a log directory, checked before anything else."""

from __future__ import annotations

import fnmatch
import os
import pwd
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Callable

from ._acl import EXECUTE, READ, WRITE
from ._errors import OptionError
from ._identity import (
    Identity,
    declared_by_name,
    group_name,
    resolve,
    resolve_gid,
)

#: Directories that belong to the system as a whole. A policy for one of them
#: is a slip of the pen; a log directory is somewhere below.
_SYSTEM_DIRECTORIES = frozenset(
    [
        "/",
        "/bin",
        "/home",
        "/lib",
        "/lib64",
        "/media",
        "/mnt",
        "/opt",
        "/run",
        "/sbin",
        "/srv",
        "/srv/www",
        "/tmp",  # noqa: S108 - refused, not used
        "/var",
        "/var/cache",
        "/var/lib",
        "/var/log",
        "/var/spool",
        "/var/tmp",  # noqa: S108 - refused, not used
        "/var/www",
        "/var/www/html",
    ]
)
_ONLY_AN_END = re.compile(r"\*[^*?[]+")
_SYSTEM_TREES = (
    "/boot",
    "/dev",
    "/etc",
    "/proc",
    "/root",
    "/run/logward",
    "/sys",
    "/usr",
    "/var/lib/apt",
    "/var/lib/dpkg",
    "/var/lib/logward",
    "/var/lib/systemd",
    "/var/spool/cron",
)
_PATH_MAX = 4095
#: How everybody is let write: by entries for each, by one group for all, or by
#: the first one that the file system has.
BY_ACL, BY_GROUP, AUTO = "acl", "group", "auto"


@dataclass(frozen=True)
class Grant:
    """Permissions (0 to 7) that the policy names for an identity."""

    identity: Identity
    perm: int


@dataclass(frozen=True)
class Policy:
    """The wanted state of one log directory, with every name resolved.

    ``others`` are declared identities that are granted nothing: their access
    is reported, and must not change; so are ``running`` ones, which differ
    from all that are declared. ``owner`` and ``group`` are None where
    the present ones are kept. ``exact`` takes away entries that name others.
    """

    path: str
    writers: tuple[Identity, ...]
    readers: tuple[Identity, ...] = ()
    others: tuple[Identity, ...] = ()
    running: tuple[Identity, ...] = ()
    owner: Identity | None = None
    group: int | None = None
    keep_other: bool = True
    strategy: str = AUTO
    exact: bool = False
    recurse: bool = True
    exclude: tuple[str, ...] = ()
    skip_missing: bool = False

    @property
    def identities(self) -> tuple[Identity, ...]:
        """Everybody whom the policy names, each once."""
        everybody = self.writers + self.readers + self.others + self.running
        return tuple({identity.id: identity for identity in everybody}.values())

    @property
    def creators(self) -> tuple[Identity, ...]:
        """Everybody who is known to create files in the directory."""
        return self.writers + self.running

    @property
    def users(self) -> frozenset[int]:
        """The uids, root's left out, that the policy names in any role."""
        declared = self.writers + self.readers + self.others
        uids = {identity.uid for identity in declared if not identity.is_group}
        if self.owner is not None:
            uids.add(self.owner.uid)
        return frozenset(uids - {0})

    @property
    def file_owners(self) -> frozenset[int]:
        """The uids, root's left out, whose files are logs: those of writers.

        A reader's file may be a secret that the application moved here.
        """
        uids = {writer.uid for writer in self.writers if not writer.is_group}
        return frozenset(uids - {0})

    @property
    def named_uids(self) -> frozenset[int]:
        """The uids whose entries are the policy's."""
        named = {each.uid for each in self.writers + self.readers if not each.is_group}
        return frozenset(named | ({self.owner.uid} if self.owner else set()))

    @property
    def named_gids(self) -> frozenset[int]:
        """The gids whose entries are the policy's."""
        groups = [each.groups for each in self.writers + self.readers if each.is_group]
        own = set() if self.group is None else {self.group}
        return frozenset(own.union(*groups))

    @property
    def root_writes(self) -> bool:
        """Whether root is declared to write here, so that its files are logs."""
        return any(writer.uid == 0 for writer in self.writers)

    @property
    def directory_grants(self) -> tuple[Grant, ...]:
        """What writers and readers need on a directory."""
        return self._grants(READ | WRITE | EXECUTE, READ | EXECUTE)

    @property
    def file_grants(self) -> tuple[Grant, ...]:
        """What writers and readers need on a log file: never execute."""
        return self._grants(READ | WRITE, READ)

    def _grants(self, writing: int, reading: int) -> tuple[Grant, ...]:
        return tuple(
            [Grant(writer, writing) for writer in self.writers]
            + [Grant(reader, reading) for reader in self.readers]
        )

    @property
    def excluded(self) -> Callable[[str], bool]:
        """Tells whether a path, relative to the directory, is left alone."""
        return _matching_any(self.exclude)


def confined(policy: Policy, module: str | None) -> Policy:
    """Return the policy on a host whose security module decides about everybody."""
    if module is None:
        return policy
    writers, readers, others = (
        tuple(replace(each, confined_by=module) for each in identities)
        for identities in (policy.writers, policy.readers, policy.others)
    )
    return replace(policy, writers=writers, readers=readers, others=others)


@lru_cache(maxsize=64)
def _matching_any(globs: tuple[str, ...]) -> Callable[[str], bool]:
    """Return the test for any of the globs: it is asked of every name there is."""
    ends = tuple(glob[1:] for glob in globs if _ONLY_AN_END.fullmatch(glob))
    others = [glob for glob in globs if not _ONLY_AN_END.fullmatch(glob)]
    if not others:
        return lambda path: path.endswith(ends)
    match = re.compile("|".join(map(fnmatch.translate, others))).match
    return lambda path: path.endswith(ends) or match(path) is not None


def parse_policies(
    directories: Sequence[Mapping[str, Any]],
    identities: Sequence[Mapping[str, Any]],
) -> list[Policy]:
    """Check the options ``directories`` and ``identities`` and resolve names.

    Raises OptionError for the first value that cannot be meant.
    """
    if not directories:
        raise OptionError(
            "directories", [], "names no directory", "Declare at least one"
        )
    declared = declared_by_name(identities)
    policies = [
        _parse(declaration, f"directories[{index}]", declared)
        for index, declaration in enumerate(directories)
    ]
    _refuse_overlap(policies)
    return policies


def _parse(
    declaration: Mapping[str, Any],
    option: str,
    declared: Mapping[str, Mapping[str, Any]],
) -> Policy:
    path = checked_path(declaration["path"], f"{option}.path")
    trees = tuple(f"{tree}/" for tree in _SYSTEM_TREES)
    if path in _SYSTEM_DIRECTORIES or f"{path}/".startswith(trees):
        raise OptionError(
            f"{option}.path",
            path,
            "belongs to the system",
            "Name the application's own log directory below it",
        )
    _refuse_home(path, f"{option}.path")
    if not declaration["writers"]:
        raise OptionError(
            f"{option}.writers",
            [],
            "names nobody",
            "Name every identity that must append to logs there",
        )
    owner, group = declaration.get("owner"), declaration.get("group")
    writers = _resolve_all(declaration, "writers", option, declared)
    readers = _resolve_all(declaration, "readers", option, declared)
    named = {identity.id for identity in writers + readers}
    others = [
        resolve(name, "identities", declared) for name in declared if name not in named
    ]
    policy = Policy(
        path=path,
        writers=writers,
        readers=readers,
        others=tuple(others),
        owner=None if owner is None else _owner(owner, f"{option}.owner", declared),
        group=None if group is None else resolve_gid(group, f"{option}.group"),
        keep_other=declaration.get("other", "keep") == "keep",
        strategy=declaration.get("strategy", AUTO),
        exact=declaration.get("exact", False),
        recurse=declaration.get("recurse", True),
        exclude=_excluded_globs(declaration, f"{option}.exclude"),
        skip_missing=declaration.get("missing") == "skip",
    )
    _refuse_misfit(policy, option)
    return policy


@dataclass(frozen=True)
class Misfit:
    """Whom a group does not give what the policy names, under which option."""

    key: str
    identity: Identity
    problem: str
    group: str

    @property
    def described(self) -> str:
        """Option, value and problem, where it is known only in the directory."""
        return f"directories.{self.key}: {self.identity.name!r} {self.problem}"

    @property
    def remedy(self) -> str:
        """The part of the remedy that does not depend on the directory."""
        return f"add {self.identity.name} to the group {self.group}"


def group_misfit(
    policy: Policy, gid: int, reads: Callable[[Identity], bool]
) -> Misfit | None:
    """Return whom the group alone could not let write or read, or None.

    ``reads`` tells who can read although not in the group.
    """
    group = group_name(gid)
    problem = f"is not in the group {group}, by which strategy: group lets all"
    for writer in policy.writers:
        if not writer.in_group(gid) and "cap_dac_override" not in writer.capabilities:
            return Misfit("writers", writer, f"{problem} write", group)
    for reader in policy.readers:
        if not reader.in_group(gid) and not reads(reader):
            return Misfit("readers", reader, f"{problem} read", group)
    return None


def _refuse_misfit(policy: Policy, option: str) -> None:
    """Refuse what can be no directory's; the directory decides the rest."""
    if policy.strategy != BY_GROUP or policy.group is None:
        return
    misfit = group_misfit(policy, policy.group, lambda _reader: policy.keep_other)
    if misfit is not None:
        remedy = misfit.remedy
        raise OptionError(
            f"{option}.{misfit.key}",
            misfit.identity.name,
            misfit.problem,
            f"{remedy[0].upper()}{remedy[1:]}, or set strategy: acl",
        )


def _resolve_all(
    declaration: Mapping[str, Any],
    key: str,
    option: str,
    declared: Mapping[str, Mapping[str, Any]],
) -> tuple[Identity, ...]:
    names = dict.fromkeys(name.strip() for name in declaration.get(key) or ())
    return tuple(resolve(name, f"{option}.{key}", declared) for name in names)


def _excluded_globs(declaration: Mapping[str, Any], option: str) -> tuple[str, ...]:
    globs = [glob.rstrip("/") for glob in declaration.get("exclude") or ()]
    for glob in globs:
        if glob.startswith(("/", "./")):
            raise OptionError(
                option,
                glob,
                "matches nothing, because paths below the directory start with a name",
                f"Leave out the leading {glob[: glob.index('/') + 1]}",
            )
    return tuple(globs)


def _owner(
    name: str, option: str, declared: Mapping[str, Mapping[str, Any]]
) -> Identity:
    identity = resolve(name, option, declared)
    if identity.is_group:
        raise OptionError(
            option, name, "is a group", "Name a user, or set group instead"
        )
    return identity


def checked_path(path: str, option: str) -> str:
    """Return a path without doubled slashes; OptionError if it is not absolute."""
    if not path.startswith("/"):
        raise OptionError(option, path, "is a relative path", "Give an absolute path")
    if ".." in path.split("/"):
        raise OptionError(
            option, path, "has a .. in it", "Give the path without going up"
        )
    if len(os.fsencode(path)) > _PATH_MAX or "\0" in path:
        raise OptionError(
            option,
            f"{path[:40]}...",
            f"is not a path: over {_PATH_MAX} bytes, or a NUL in it",
            "Give the path of a directory",
        )
    return "/" + "/".join(part for part in path.split("/") if part not in ("", "."))


def _refuse_home(path: str, option: str) -> None:
    for account in pwd.getpwall():
        if account.pw_dir.rstrip("/") == path:
            raise OptionError(
                option,
                path,
                f"is the home directory of {account.pw_name}",
                "Name the log directory in it",
            )


def _refuse_overlap(policies: Sequence[Policy]) -> None:
    for index, policy in enumerate(policies):
        for other in policies[:index]:
            if policy.path == other.path:
                raise OptionError(
                    f"directories[{index}].path",
                    policy.path,
                    "is declared twice",
                    "Join the two declarations into one",
                )
            _refuse_nesting(*sorted((policy, other), key=lambda each: each.path))


def _refuse_nesting(outer: Policy, inner: Policy) -> None:
    below = inner.path[len(outer.path) + 1 :]
    if not inner.path.startswith(f"{outer.path}/") or not outer.recurse:
        return
    parts = below.split("/")
    parents = ["/".join(parts[: count + 1]) for count in range(len(parts))]
    if any(outer.excluded(parent) for parent in parents):
        return
    raise OptionError(
        "directories",
        inner.path,
        f"lies inside {outer.path}, which has a policy of its own",
        f"Add {below!r} to the exclude of {outer.path}, or remove one of the two",
    )
