# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The identities that daemons give the processes that they start."""

from __future__ import annotations

from dataclasses import replace

from .._errors import OptionError
from .._identity import DEFAULT_REQUEST_MODE, Identity, resolve, resolve_gid, user_name

SOURCE = "configured"
#: No application lies below these.
_SYSTEM = (
    *("/bin/", "/boot/", "/dev/", "/etc/", "/lib/", "/proc/", "/run/", "/sbin/"),
    *("/sys/", "/usr/bin/", "/usr/lib/", "/usr/libexec/", "/usr/sbin/"),
    "/usr/share/",
)


def is_of_the_system(path: str) -> bool:
    """Tell whether a path is where Debian, and not an application, has files."""
    return f"{path}/".startswith(_SYSTEM)


def account(
    identifier: str,
    user: str,
    group: str,
    umask: int,
    option: str,
    *,
    numbers: bool = False,
) -> Identity:
    """Return what setgid, initgroups and setuid make of a user and a group.

    Without a group it is the user's own. Raises OptionError, naming ``option``,
    where the host has no such user or group; ``numbers`` says that the daemon
    takes uids without an account, too, if it is told a group.
    """
    known = resolve(user, option, {}).source == "name_service"
    if not known and not (numbers and group):
        raise OptionError(
            option,
            user,
            "is not a user of this host",
            "Create the user, or correct the name",
        )
    gid = str(resolve_gid(group, "group")) if group else None
    declared = {"name": user, "user": user, "group": gid}
    identity = resolve(user, option, {user: declared})
    return replace(
        identity,
        id=identifier,
        name=user_name(identity.uid),
        groups=identity.groups | {identity.gid},
        umask=umask,
        source=SOURCE,
    )


def root_itself(
    identifier: str, umask: int, request_mode: int = DEFAULT_REQUEST_MODE
) -> Identity:
    """Return root as PID 1 starts daemons: in no supplementary group."""
    return replace(
        resolve("0", "user", {}),
        id=identifier,
        name=user_name(0),
        groups=frozenset(),
        umask=umask,
        request_mode=request_mode,
        source=SOURCE,
    )
