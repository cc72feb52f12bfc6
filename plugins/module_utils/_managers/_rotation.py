# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What logrotate does with logs: whom it becomes, what it refuses, what it makes.

Pure functions. Rules: logrotate.conf(5), and ``createOutputFile``, ``switch_user``
and ``findNeedRotating`` of ``logrotate.c``, alike from 3.18 to 3.22 but where said.
"""

from __future__ import annotations

import grp
import pwd
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from .._access import (
    REGULAR,
    Inode,
    Place,
    created_file,
    may_create,
    may_read,
    permission,
)
from .._acl import READ, WRITE
from .._findings import because
from .._identity import Identity, group_name, user_name
from .._names import display
from .._rehearsal import Recipe, locked_out, made
from .._writers._daemons import root_itself
from ._conflicts import LogFile, Logs, ManagedFile, in_directory
from ._globs import matches_glob
from ._logrotate_conf import Stanza
from ._stanza import NewFile, Settings

NAME = "logrotate"
_UMASK = 0o022
_GROUP_WRITES, _OTHERS_WRITE = 0o020, 0o002


def rotated_files(stanza: Stanza, logs: Logs) -> list[LogFile]:
    """Return the logs right in a directory that a stanza rotates, newest first.

    Where there are none yet, those of tomorrow, as whoever creates them.
    """
    names = set(in_directory(logs, stanza.files))
    there = [file for file in logs.files if file.name in names]
    if there:
        return there
    coming = (name for name in logs.coming if matches_coming(stanza, logs, name))
    name = next(coming, None)
    creators = [each for each in logs.policy.creators if not each.is_group]
    if name is None:
        return []
    return [
        LogFile(
            name,
            created_file(creator, logs.before.inode),
            created_file(creator, logs.after.inode),
        )
        for creator in creators
    ]


def matches_coming(stanza: Stanza, logs: Logs, name: str) -> bool:
    """Tell whether a stanza will match a file that does not exist yet."""
    path = f"{logs.path}/{name}"
    return any(matches_glob(path, pattern) for pattern in stanza.patterns)


def rotator(settings: Settings) -> Identity:
    """Return who rotates: root, or whom ``su`` names, in no further group."""
    root = root_itself(f"manager:{NAME}", _UMASK)
    if settings.su is None:
        return replace(root, name=NAME)
    uid, gid = settings.su
    name = f"{NAME} as {user_name(uid)}"
    if uid == 0:
        return replace(root, name=name, gid=gid)
    return Identity(
        root.id, name, uid, gid, frozenset(), umask=_UMASK, source=root.source
    )


def new_file(settings: Settings, old: Inode, directory: Inode) -> Inode:
    """Predict the file that logrotate makes in the place of an old one.

    Without a mode it copies the old one's ACL, or that it has none, whatever
    the directory's default ACL is. (Before 3.19, with ``su``, it fails where it
    would have to give the file to somebody else.)
    """
    new = settings.new_file
    mode = old.mode & 0o777 if new.mode is None else new.mode
    recipe = Recipe(
        replace(rotator(settings), request_mode=mode & 0o600),
        uid=old.uid if new.uid is None else new.uid,
        gid=old.gid if new.gid is None else new.gid,
        mode=None if new.mode is None else mode,
        acl=old.acl if new.mode is None else None,
    )
    return made(recipe, directory)


def next_files(
    stanza: Stanza, logs: Logs, rotated: Sequence[LogFile]
) -> list[ManagedFile]:
    """Predict what logrotate makes in the place of what it rotates."""
    settings = stanza.settings
    if not settings.create or not settings.replaces:
        return []
    return [
        ManagedFile(
            NAME,
            f"{display(stanza.place.path)}:{stanza.place.line}",
            file.name,
            rotator(settings),
            new_file(settings, file.before, logs.before.inode),
            new_file(settings, file.after, logs.after.inode),
        )
        for file in rotated
        if file.before.kind == REGULAR
    ]


def is_insecure(directory: Inode) -> bool:
    """Tell whether logrotate, without su, refuses to rotate in a directory.

    Where there is an ACL, the group bits that it looks at are the mask.
    """
    mode = directory.mode
    return bool((directory.gid != 0 and mode & _GROUP_WRITES) or mode & _OTHERS_WRITE)


def rotates(settings: Settings, place: Place, log: Inode) -> bool:
    """Tell whether logrotate gets as far as making the next file."""
    if settings.su is None and is_insecure(place.inode):
        return False
    step = refused(rotator(settings), settings, place, log)
    return step is None or step[0] != "rotate"


def refused(
    who: Identity, settings: Settings, place: Place, log: Inode
) -> tuple[str, str] | None:
    """Return what of a rotation fails, and why; None if nothing does."""
    steps = [("rotate", may_create(who, place))]
    # The log is opened for both, unless all that is wanted is a copy.
    if settings.copytruncate or settings.renamecopy:
        steps.append(("copy", permission(who, log, READ | WRITE)))
    elif not settings.replaces:
        steps.append(("copy", may_read(who, place, log)))
    if settings.compress:
        steps.append(("compress", may_read(who, place, log)))
    for what, verdict in steps:
        if verdict.allowed is False:
            return what, because(who.name, verdict)
    return None


def su_candidate(logs: Logs) -> Identity | None:
    """Return the writer whom logrotate can rotate as: the directory's owner, or any.

    Not root: whoever creates names there could lead it elsewhere.
    """
    policy, place = logs.policy, logs.after
    able = [
        each
        for each in policy.writers
        if not each.is_group
        and each.uid != 0
        and may_create(_as_su(each), place).allowed
        and _has_names(each)
        and all(may_read(_as_su(each), place, log.after).allowed for log in logs.files)
    ]
    able.sort(key=lambda each: each.uid != place.inode.uid)
    return able[0] if able else None


def _as_su(identity: Identity) -> Identity:
    return rotator(Settings(su=(identity.uid, identity.gid)))


def _has_names(identity: Identity) -> bool:
    with suppress(KeyError, OverflowError):
        pwd.getpwuid(identity.uid)
        grp.getgrgid(identity.gid)
        return True
    return False


def sufficient(stanza: Stanza, logs: Logs) -> NewFile | None:
    """Return the least that ``create`` has to say so that no writer is locked out.

    Its mode gets what owner and group lack, never anything for others. None where
    no mode helps: the directory has to be repaired first.
    """
    settings = stanza.settings
    rotated = rotated_files(stanza, logs)
    modes = {file.after.mode & 0o777 for file in rotated}
    mode = settings.new_file.mode
    base: int = mode if mode is not None else min(modes, default=0o640)
    for wanted in dict.fromkeys((base, base | 0o060, base | 0o660)):
        candidate = replace(settings.new_file, mode=wanted)
        changed = replace(settings, create=True, new_file=candidate)
        files = (new_file(changed, each.after, logs.after.inode) for each in rotated)
        if not any(locked_out(logs.policy, logs.after, file) for file in files):
            return candidate
    return None


class NothingHelps(Exception):
    """No ``su`` and ``create`` let all writers write after a rotation."""


def needed_lines(stanza: Stanza, logs: Logs) -> list[str]:
    """Return the directives that a stanza needs after the repair, each a line.

    ``su`` where logrotate would refuse the directory, or whom it names may not
    rotate there; ``create`` where the next file locks a writer out. Raises
    NothingHelps where none do.
    """
    settings, lines = stanza.settings, []
    rotated = rotated_files(stanza, logs)
    candidate = None
    insecure = settings.su is None and is_insecure(logs.after.inode)
    who = rotator(settings)
    denied = settings.su is not None and any(
        refused(who, settings, logs.after, each.after) for each in rotated
    )
    if insecure or denied:
        candidate = su_candidate(logs)
        if candidate is None:
            raise NothingHelps(
                "no writer but root may rotate there, or has a user and a group of "
                "this host, whom `su` could name"
            )
        settings = replace(settings, su=(candidate.uid, candidate.gid))
        lines.append(f"su {user_name(candidate.uid)} {group_name(candidate.gid)}")
    changed = replace(stanza, settings=settings)
    files = next_files(changed, logs, rotated)
    if any(locked_out(logs.policy, logs.after, each.after) for each in files):
        new = sufficient(changed, logs)
        if new is None:
            raise NothingHelps(
                "no mode of `create` lets all writers append, because the directory "
                "has no default ACL that names them"
            )
        lines.append(create_line(new))
    return lines


def create_line(new: NewFile) -> str:
    """Return the directive that makes files so."""
    parts = ["create"]
    if new.mode is not None:
        parts.append(f"{new.mode:04o}")
    if new.uid is not None and new.gid is not None:
        parts += [user_name(new.uid), group_name(new.gid)]
    return " ".join(parts)
