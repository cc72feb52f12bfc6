# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The umask that PAM gives a session (pam_umask(8)), as the host's files say.

Since Debian 13 every session of cron, su and sudo has one: an account whose
group has its own name, as www-data, gets 0002 where others get 0022.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
from collections.abc import Iterator

from ._files import below, read_lines
from ._shell import Run

_PAM_DIRECTORIES = ("/etc/pam.d", "/usr/lib/pam.d")
_INCLUDES = (["include"], ["substack"])
_OCTAL = re.compile(r"[0-7]+")
_GECOS_UMASK = re.compile(r"(?:^|,)umask=0*([0-7]{1,3})", re.IGNORECASE)
_SUDO_UMASK = 0o022


class Sessions:
    """The umask of any user's session of any PAM service."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._settings: dict[str, list[list[str]]] = {}

    def umask(self, service: str, user: str, before: int) -> int:
        """Return the umask that a user's session of a service starts with."""
        if service not in self._settings:
            self._settings[service] = [
                arguments
                for module, *arguments in self._modules(service)
                if os.path.basename(module) == "pam_umask.so"
            ]
        for arguments in self._settings[service]:
            before = self._apply(arguments, user, before)
        return before

    def umask_of(self, run: Run, user: str, before: int) -> int:
        """Return the umask of what a command runs, as this user or another."""
        if run.through:
            before = before if run.umask_before is None else run.umask_before
            if run.through.startswith("sudo"):
                before |= _SUDO_UMASK
            before = self.umask(run.through, user, before)
        return before if run.umask is None else run.umask

    def _modules(self, service: str) -> Iterator[list[str]]:
        """Yield module and arguments of each session line of a service.

        A file is read once, after those that include it.
        """
        files = [service if self._lines(service) is not None else "other"]
        for name in files:  # which grows
            for words in self._lines(name) or []:
                included = _included(words)
                if included:
                    files += [each for each in included if each not in files]
                elif words[0].lower().lstrip("-") == "session":
                    yield words[2:] or [""]

    def _lines(self, name: str) -> list[list[str]] | None:
        """Return the words of each line of a file of pam.d, if there is one."""
        for directory in _PAM_DIRECTORIES:
            lines = self._read(f"{directory}/{name}")
            if lines is not None:
                return [words for words in map(_pam_words, lines) if words]
        return None

    def _apply(self, arguments: list[str], user: str, umask: int) -> int:
        usergroups = self._usergroups_is_default()
        value = None
        for argument in arguments:
            key, _equals, text = argument.lower().partition("=")
            usergroups = {"usergroups": True, "nousergroups": False}.get(
                key, usergroups
            )
            value = text if key == "umask" else value
        octal = _OCTAL.match(value or self._login_umask())
        if octal:
            umask = int(octal.group(), 8) & 0o777
        return _of_account(user, umask, usergroups)

    def _login_umask(self) -> str:
        for path in ("/etc/login.defs", "/etc/default/login"):
            for line in self._read(path) or []:
                words = re.split(r"[ \t=]+", line.partition("#")[0].strip())
                if words[0].upper() == "UMASK" and len(words) > 1:
                    return words[1]
        return ""

    def _usergroups_is_default(self) -> bool:
        """Debian's libpam has it so since 1.5.3-7, in Debian 13."""
        lines = self._read("/etc/os-release") or []
        return not any(
            re.fullmatch(r"VERSION_ID=\"?(9|10|11|12)\"?", line) for line in lines
        )

    def _read(self, path: str) -> list[str] | None:
        try:
            return read_lines(below(self._root, path))
        except OSError:
            return None


def _pam_words(line: str) -> list[str]:
    """Split a line of pam.d; a control in brackets is one word."""
    return re.sub(r"\[[^\]]*\]", "[]", line.partition("#")[0]).split()


def _included(words: list[str]) -> list[str]:
    """Return the names of the files that a line includes for sessions."""
    if words[0] == "@include":
        return words[1:2]
    is_session = words[0].lower().lstrip("-") == "session"
    return words[2:3] if is_session and words[1:2] in _INCLUDES else []


def _of_account(user: str, umask: int, usergroups: bool) -> int:
    try:
        account = pwd.getpwnam(user)
        group = grp.getgrgid(account.pw_gid).gr_name
    except (KeyError, ValueError):
        return umask
    if usergroups and account.pw_uid != 0 and group == account.pw_name:
        umask = umask & ~0o070 | umask >> 3 & 0o070
    own = _GECOS_UMASK.search(account.pw_gecos)
    return int(own.group(1), 8) if own else umask
