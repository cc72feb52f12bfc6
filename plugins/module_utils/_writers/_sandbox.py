# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mount namespace that systemd.exec(5) gives a service, and what it keeps out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from .._identity import Sandboxed
from .._names import display
from ._namespace import Namespace

#: What ProtectHome= and PrivateTmp= are about.
_HOMES = ("/home", "/root", "/run/user")
_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108
_PROTECTED = {
    "yes": ("/usr", "/boot", "/efi"),
    "full": ("/usr", "/boot", "/efi", "/etc"),
    "strict": ("/",),
}
#: What ProtectSystem=strict leaves to settings of their own.
_NEVER_STRICT = ("/dev", "/proc", "/sys", *_HOMES)


@dataclass(frozen=True)
class Sandbox:
    """Which of the host's files a service's mount namespace lets it write.

    The lists hold what systemd.exec(5) lets stand there, prefixes included.
    Paths are compared as they are: give one without symbolic links in it.
    """

    protect_system: str = "no"
    protect_home: str = "no"
    private_tmp: bool = False
    read_only_paths: tuple[str, ...] = ()
    read_write_paths: tuple[str, ...] = ()
    inaccessible_paths: tuple[str, ...] = ()
    bind_paths: tuple[str, ...] = ()
    bind_read_only_paths: tuple[str, ...] = ()
    temporary_paths: tuple[str, ...] = ()

    def visible(self, path: str) -> bool:
        """Tell whether a file of the host is there."""
        # Nothing below an inaccessible directory can be made accessible again.
        if _longest(path, self._inaccessible()):
            return False
        # What is below a temporary directory, or one that is bound from elsewhere,
        # is not the host's at that place, unless it is bound again.
        bound = _bound(self.bind_paths + self.bind_read_only_paths)
        return _longest(path, self._others()) <= _longest(path, bound)

    def writable(self, path: str) -> bool:
        """Tell whether a file of the host is there, and not read-only."""
        if not self.visible(path):
            return False
        read_only = self._read_only() + _bound(self.bind_read_only_paths)
        read_write = self._read_write() + _bound(self.bind_paths)
        # The longest wins; where both are the same directory, read-only does.
        frozen = _longest(path, read_only)
        return frozen == 0 or frozen < _longest(path, read_write)

    def _inaccessible(self) -> tuple[str, ...]:
        homes = _HOMES if self.protect_home == "yes" else ()
        return (*self.inaccessible_paths, *homes)

    def _others(self) -> tuple[str, ...]:
        homes = _HOMES if self.protect_home == "tmpfs" else ()
        private = _TEMPORARY if self.private_tmp else ()
        mounted = (each.partition(":")[0] for each in self.temporary_paths)
        bindings = map(_ends, self.bind_paths + self.bind_read_only_paths)
        others = (target for source, target in bindings if source != target)
        return (*mounted, *homes, *private, *others)

    def _read_only(self) -> tuple[str, ...]:
        homes = _HOMES if self.protect_home == "read-only" else ()
        system = _PROTECTED.get(self.protect_system, ())
        return (*self.read_only_paths, *homes, *system)

    def _read_write(self) -> tuple[str, ...]:
        strict = _NEVER_STRICT if self.protect_system == "strict" else ()
        return (*self.read_write_paths, *strict)


@dataclass(frozen=True)
class Surroundings:
    """What a service sees of the host's files.

    That is what it ``runs`` with; if it does not run, as it is ``configured``.
    """

    unit: str
    configured: Sandbox
    runs: Namespace | None = None

    def sandboxed(self, directory: str) -> Sandboxed | None:
        """Return what keeps the service from writing a directory, or None."""
        seen = self.runs or self.configured
        if seen.writable(directory):
            return None
        visible = seen.visible(directory)
        effect = "has the directory read-only" if visible else "hides the directory"
        return Sandboxed(visible, effect, self._remedy(directory))

    def _remedy(self, directory: str) -> str:
        """Return the smallest change that lets the service write a directory."""
        configured, restart = self.configured, f"systemctl restart {self.unit}"
        reload = f"then systemctl daemon-reload and {restart}"
        if configured.writable(directory):
            return f"{restart}: its settings let it, but it was started with others"
        also = (directory,)
        shared = replace(
            configured, read_write_paths=configured.read_write_paths + also
        )
        bound = replace(configured, bind_paths=configured.bind_paths + also)
        for name, changed in (("ReadWritePaths", shared), ("BindPaths", bound)):
            if changed.writable(directory):
                setting = f"[Service] {name}={_quoted(directory)}"
                return f"give {self.unit} a drop-in with {setting}, {reload}"
        return (
            f"take {display(directory)} out of what {self.unit} sets as "
            f"InaccessiblePaths=, ReadOnlyPaths=, BindPaths= or ProtectHome=, {reload}"
        )


def _quoted(path: str) -> str:
    """Return a path as unit files have it."""
    shown = display(path).replace("%", "%%")
    return f'"{shown}"' if " " in shown else shown


def _longest(path: str, directories: Iterable[str]) -> int:
    """Return the length of the longest that is, or holds, a path; 0 if none."""
    best = 0
    for directory in directories:
        plain = directory.lstrip("-+").rstrip("/") + "/"
        if f"{path}/".startswith(plain):
            best = max(best, len(plain))
    return best


def _ends(binding: str) -> tuple[str, str]:
    """Return what is bound, and where to."""
    source, _colon, rest = binding.lstrip("-+").partition(":")
    return source, rest.partition(":")[0] or source


def _bound(bindings: Iterable[str]) -> tuple[str, ...]:
    """Return what is bound to where it is anyway."""
    ends = map(_ends, bindings)
    return tuple(source for source, target in ends if source == target)
