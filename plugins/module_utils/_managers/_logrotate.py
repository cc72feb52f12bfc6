# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""logrotate: whom its next file locks out, and what it will refuse to rotate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .._findings import Finding
from .._names import display
from .._writers._source import Problem
from ._conflicts import (
    Answer,
    LogFile,
    Logs,
    ManagedFile,
    Manager,
    Rehearsed,
    evidence_of,
    rehearsed_file,
    shown_origin,
)
from ._host import Host
from ._logrotate_conf import Configuration, Stanza
from ._logrotate_conf import read as read_configuration
from ._rotation import (
    NothingHelps,
    is_insecure,
    needed_lines,
    next_files,
    refused,
    rotated_files,
    rotates,
    rotator,
)
from ._schedule import of_logrotate


def read(host: Host) -> Manager:
    """Read what logrotate is configured to do on a host."""
    return Logrotate(read_configuration(host.root), of_logrotate(host.root))


@dataclass(frozen=True)
class Logrotate(Manager):
    """logrotate, as it is configured; ``when`` it runs, in words."""

    configuration: Configuration
    when: str

    @property
    def problems(self) -> tuple[Problem, ...]:  # type: ignore[override]
        """What logrotate itself complains of."""
        return self.configuration.problems

    def answer(self, logs: Logs) -> Answer:
        """Return what it will do with a log directory."""
        findings = [self._duplicates(logs)]
        files: list[ManagedFile] = []
        for stanza in self.configuration.stanzas:
            rotated = rotated_files(stanza, logs)
            if not rotated:
                continue
            findings += [
                _insecure(stanza, logs, rotated),
                _denied(stanza, logs, rotated),
            ]
            made_files = next_files(stanza, logs, rotated)
            findings.append(self._locked_out(stanza, logs, rotated, made_files))
            files += made_files[:1]
        return Answer(tuple(each for part in findings for each in part), tuple(files))

    def _duplicates(self, logs: Logs) -> Iterator[Finding]:
        for each in self.configuration.duplicates:
            if logs.holds(each.path):
                first = shown_origin(each.first.path, each.first.line)
                yield Finding(
                    "logrotate_duplicate",
                    logs.path,
                    display(each.path),
                    f"{display(each.place.path)}:{each.place.line}",
                    f"logrotate reports an error each time: {first} already has "
                    f"{display(each.path)}, and {shown_origin(each.place.path, each.place.line)} "
                    "is ignored for it",
                )

    def _locked_out(
        self,
        stanza: Stanza,
        logs: Logs,
        rotated: Sequence[LogFile],
        files: Sequence[ManagedFile],
    ) -> Iterator[Finding]:
        settings = stanza.settings
        for log, file in zip(rotated, files):
            both = rehearsed_file(logs, file.before, file.after)
            now = rotates(settings, logs.before, log.before)
            then = rotates(settings, logs.after, log.after)
            rehearsed = Rehearsed(
                both.out_before if now else (), both.out_after if then else ()
            )
            if not rehearsed.locks_out:
                continue
            origin = settings.places.get("create", stanza.place)
            evidence = evidence_of(file.after if rehearsed.out_after else file.before)
            new = f"the new {display(file.name)} that logrotate makes ({evidence})"
            yield Finding(
                "logrotate_locks_out",
                logs.path,
                f"{display(stanza.place.path)}:{stanza.place.line}",
                f"{shown_origin(origin.path, origin.line)}: {evidence}",
                f"{self.when[0].upper()}{self.when[1:]}, "
                f"{rehearsed.sentence(f'append to {new}')}",
                _remedy(stanza, logs) if rehearsed.out_after else None,
            )
            return


def _insecure(
    stanza: Stanza, logs: Logs, rotated: Sequence[LogFile]
) -> Iterator[Finding]:
    now, then = is_insecure(logs.before.inode), is_insecure(logs.after.inode)
    if stanza.settings.su is not None or not (now or then):
        return
    when = "refuses" if now else "will refuse, once the directory is repaired,"
    yield Finding(
        "logrotate_insecure",
        logs.path,
        f"{display(stanza.place.path)}:{stanza.place.line}",
        evidence_of(logs.before.inode if now else logs.after.inode),
        f"logrotate {when} to rotate {display(rotated[0].name)} (insecure "
        "permissions: others than root may write the directory), and the logs grow",
        _remedy(stanza, logs),
    )


def _denied(
    stanza: Stanza, logs: Logs, rotated: Sequence[LogFile]
) -> Iterator[Finding]:
    """Yield what whom ``su`` names may not do there."""
    if stanza.settings.su is None:
        return
    who = rotator(stanza.settings)
    first = rotated[0]
    step = refused(who, stanza.settings, logs.after, first.after)
    still = "" if step else ", until the directory is repaired"
    step = step or refused(who, stanza.settings, logs.before, first.before)
    if step:
        origin = stanza.settings.places.get("su", stanza.place)
        yield Finding(
            "logrotate_su_denied",
            logs.path,
            f"{display(stanza.place.path)}:{stanza.place.line}",
            shown_origin(origin.path, origin.line),
            f"{who.name} cannot {step[0]} {display(first.name)}{still}, and the "
            f"logs grow: {step[1]}",
        )


def _remedy(stanza: Stanza, logs: Logs) -> str:
    """Return the smallest edit of a stanza that helps."""
    where = shown_origin(stanza.place.path, stanza.place.line)
    try:
        lines = needed_lines(stanza, logs)
    except NothingHelps as error:
        return f"edit {where}: {error}"
    shown = " and ".join(f"`{each}`" for each in lines)
    return f"say {shown} in {where} (the module logrotate_stanza does)"
