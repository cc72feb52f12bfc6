# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""``UMask=`` of a unit: where it is set, the drop-in that sets it, systemd's check."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence

from .._edits import Edit
from .._errors import HostError
from .._identity import DEFAULT_UMASK
from .._writers._files import below, list_names
from .._writers._unit_files import (
    DIRECTORIES,
    files_of,
    is_masked,
    parse_umask,
    umask_setting,
)
from ._commands import run, said
from ._service import Configured, not_found, refused
from ._text import content_of, replaced_line, resolved

#: Where the administrator's unit files are: what is here may be edited.
ADMINISTRATORS = "/etc/systemd/system/"
_BOOTED = "/run/systemd/system"
_IGNORED = re.compile(r"(?<=, ignoring): .*")
_DROP_IN = "logward.conf"
_UMASK = re.compile(rb"^(\s*UMask\s*=\s*)([0-7]+)(\s*)$")


def refuse_masked(name: str, unit: str, root: str) -> None:
    """Raise OptionError for a unit that nothing can start."""
    if is_masked(root, unit):
        raise not_found(
            name,
            f"is masked: nothing can start {unit}",
            f"Run systemctl unmask {unit}, or leave it out",
        )


def configured_by_unit(root: str, unit: str) -> Configured:
    """Return the umask that systemd starts a unit with, and what sets it."""
    setting = umask_setting(root, unit)
    if setting is None:
        return Configured(DEFAULT_UMASK, "", 0)
    umask = parse_umask(setting.value, DEFAULT_UMASK)
    return Configured(umask, setting.path, setting.line)


def unit_edit(root: str, unit: str, umask: int) -> Edit:
    """Return what sets it: where the administrator has set it, or in a drop-in."""
    setting = umask_setting(root, unit)
    if setting is not None and _is_its_own(setting.path, unit):
        return replaced_line(root, setting.path, setting.line, _UMASK, umask)
    path = f"{ADMINISTRATORS}{unit}.d/{_DROP_IN}"
    before = content_of(root, path)
    if configured_by_unit(root, unit).umask == umask:
        return Edit(resolved(root, path), before, before)
    lines = b"[Service]\nUMask=%04o\n" % umask
    after = lines if before is None else before.rstrip(b"\n") + b"\n\n" + lines
    return Edit(resolved(root, path), before, after.lstrip(b"\n"))


def _is_its_own(path: str, unit: str) -> bool:
    """Tell whether a file is the administrator's, and of no other unit."""
    return path == f"{ADMINISTRATORS}{unit}" or path.startswith(
        f"{ADMINISTRATORS}{unit}.d/"
    )


def unit_files(root: str, unit: str) -> Iterable[str]:
    """Return what a copy needs so that systemd's rules give the same answer."""
    return files_of(root, unit)


def is_unit_file(path: str) -> bool:
    """Tell whether systemd must read its files again after an edit of this one."""
    return any(path.startswith(f"{place}/") for place in DIRECTORIES)


def test_unit(unit: str, copy: str, edits: Sequence[Edit]) -> None:
    """Have systemd judge the edits of a unit's files. Raises HostError."""
    edited = [edit.path for edit in edits if edit.path.startswith(ADMINISTRATORS)]
    if not edited:
        return
    place = below(copy, ADMINISTRATORS)
    # The empty one at the end stands for the usual ones (systemd.unit(5)).
    path = {"SYSTEMD_UNIT_PATH": f"{place.rstrip('/')}:"}
    answer = run(["systemd-analyze", "verify", "--man=no", unit], path)
    complaints = [line for line in answer.output.split("\n") if copy in line]
    if answer.status or complaints:
        output = without_values(answer.output.replace(copy, ""))
        raise refused(unit, answer.status, output)


def without_values(text: str) -> str:
    """Return what systemd says of unit files, without what it has read there.

    Of an ``Environment=`` that may be a password.
    """
    return _IGNORED.sub("", text)


def reload_units() -> None:
    """Have systemd read its unit files again. Raises HostError."""
    answer = run(["systemctl", "daemon-reload"])
    if answer.status:
        raise HostError(
            f"systemctl daemon-reload failed: {said(answer.output)}. The files are in "
            "place. Run it again, then restart the services"
        )


def reload_units_if_systemd_runs() -> None:
    """Do the same, unless another init has started this host (sd_booted(3))."""
    if os.path.isdir(_BOOTED):
        reload_units()


def needs_reload(unit: str) -> bool:
    """Tell whether a unit's files changed since systemd has read them."""
    argv = ["systemctl", "show", "--property=NeedDaemonReload", "--", unit]
    return "NeedDaemonReload=yes" in run(argv).output


def names_of_units(root: str) -> list[str]:
    """Return the services that there are files of."""
    names: dict[str, None] = {}
    for place in DIRECTORIES:
        for name in list_names(root, place):
            if os.path.splitext(name)[1] == ".service":
                names[name] = None
    return sorted(names)
