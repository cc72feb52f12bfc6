# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of kinds: which services there can be, and who knows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .._errors import OptionError
from .._names import display
from . import _apache, _php_fpm, _supervisor, _systemd
from ._service import Service

#: A new kind is one file, and one line here. Each takes a name and a root, and
#: returns None for a name that is not its own. The imports are static: only so does
#: Ansible send the files to the host.
KINDS: tuple[Callable[[str, str], tuple[Service, ...] | None], ...] = (
    _apache.of,
    _php_fpm.of,
    _supervisor.of,
    _systemd.of,
)


def find_services(names: Sequence[str], root: str = "/") -> tuple[Service, ...]:
    """Return the services that names stand for, each once, in their order.

    Raises OptionError for a name that is none, and for what is not there.
    """
    if not names:
        raise OptionError("services", [], "is empty", "Name at least one service")
    found: dict[str, Service] = {}
    for name in names:
        for service in _of(name, root):
            found.setdefault(service.name, service)
    return tuple(found.values())


def _of(name: str, root: str) -> tuple[Service, ...]:
    for kind in KINDS:
        services = kind(name, root)
        if services is not None:
            return services
    raise OptionError(
        "services",
        display(name),
        "is no service that is known here",
        "Use apache2, php-fpm, php8.2-fpm, supervisor, supervisor:NAME of a program, "
        "or systemd:UNIT",
    )
