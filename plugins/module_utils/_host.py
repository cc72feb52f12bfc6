# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What this process may do here, and what the kernel is set to."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ._errors import HostError
from ._identity import user_name

#: What Debian sets (99-protect-links.conf).
_DEBIANS = {"protected_regular": 2, "protected_hardlinks": 1}


@dataclass(frozen=True)
class KernelSettings:
    """The sysctls that change the answers (Documentation/admin-guide/sysctl/fs.rst)."""

    protected_regular: int
    protected_hardlinks: bool


def require_root() -> None:
    """Raise HostError where this process could not see and set everything."""
    if os.geteuid() != 0:
        raise HostError(
            f"this module needs root, and runs as {user_name(os.geteuid())}. "
            "Set become: true"
        )


def require_debian(root: str = "/") -> None:
    """Raise HostError on other families: their services have not been tried."""
    family = {"debian"} & _families(os.path.join(root, "etc/os-release"))
    if not family:
        raise HostError(
            "the modules for services know Debian and what is made from it, and this "
            "host is something else (/etc/os-release). Set the umask by hand here"
        )


def _families(path: str) -> set[str]:
    """Return ID and ID_LIKE of os-release(5)."""
    try:
        with open(path, encoding="utf-8", errors="replace") as lines:
            pairs = [line.strip().partition("=")[::2] for line in lines]
    except OSError:
        return set()
    wanted = (value for key, value in pairs if key in ("ID", "ID_LIKE"))
    return {word for value in wanted for word in value.strip("\"'").split()}


def read_kernel_settings() -> KernelSettings:
    """Read the sysctls; a kernel without one has no such protection."""
    return KernelSettings(
        protected_regular=_sysctl("protected_regular"),
        protected_hardlinks=bool(_sysctl("protected_hardlinks")),
    )


def _sysctl(name: str) -> int:
    try:
        with open(f"/proc/sys/fs/{name}", encoding="ascii") as file:
            return int(file.read())
    except FileNotFoundError:
        return 0
    except PermissionError:  # only root may read them
        return _DEBIANS[name]
