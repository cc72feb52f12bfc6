# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The smallest edit of logrotate's configuration that a log directory needs."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from ._apply_edits import apply_edits, preview_edits
from ._edits import Edit
from ._errors import HostError
from ._fs import MissingDirectory, Tree
from ._host import read_kernel_settings, require_root
from ._managers._conflicts import Logs
from ._managers._logrotate_conf import Configuration, Stanza, read
from ._managers._observe import logs_of
from ._managers._rotation import NothingHelps, needed_lines, rotated_files
from ._managers._stanza import Place
from ._managers._stanza_text import with_directives
from ._names import display, path_fields
from ._policy import Policy, checked_path, parse_policies
from ._run import RunOptions, parse_run_options
from ._services._commands import run, said
from ._services._copy import copied
from ._services._text import content_of, resolved
from ._survey import Survey

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: Some hundred bytes for each log. Mistakes come first, and must not be lost.
_MOST_SAID = 64 * 1024 * 1024
_ERROR = re.compile(r"^error: (.*)$", re.MULTILINE)
#: What comes before it is about the configuration, what comes after about the logs,
#: whose names can look like an error.
_LOGS = re.compile(r"^Handling [0-9]+ logs$", re.MULTILINE)
_LINE = re.compile(r":\d+(?= )")
_INCLUDE = re.compile(rb"^([ \t]*include[ \t]*=?[ \t]*)(/.*)$", re.MULTILINE)
#: logrotate makes an olddir even where it is only asked what it would do.
_MAKES = re.compile(rb"^([ \t]*)(?:createolddir\b.*|olddir\b.*)$", re.MULTILINE)


@dataclass(frozen=True)
class StanzaOptions:
    """Which directories' stanzas are edited, in which configuration.

    ``skip_unmanaged`` passes over a directory whose logs logrotate does not rotate.
    """

    policies: tuple[Policy, ...]
    configuration: str
    skip_unmanaged: bool
    run: RunOptions


def parse_stanza_options(params: Mapping[str, Any]) -> StanzaOptions:
    """Check the options. Raises OptionError."""
    policies = parse_policies(params["directories"], params["identities"])
    return StanzaOptions(
        tuple(policies),
        checked_path(params["configuration"], "configuration"),
        params["unmanaged"] == "skip",
        parse_run_options(params),
    )


def preview_stanzas(options: StanzaOptions) -> dict[str, Any]:
    """Return what ``edit_stanzas`` would do; changes nothing (check mode)."""
    change = _Change(options)
    result = preview_edits(change.plan, options.run, change.check)
    return {**result, "directories": change.results}


def edit_stanzas(options: StanzaOptions) -> dict[str, Any]:
    """Have logrotate rotate log directories such that no writer is locked out.

    Raises HostError; an edit that logrotate does not take is not made.
    """
    change = _Change(options)
    change.plan()  # what is refused is refused before there is a lock or a journal
    result = apply_edits(change.plan, options.run, change.check)
    return {**result, "directories": change.results}


@dataclass(frozen=True)
class _Needed:
    """What a stanza has to say for a directory."""

    stanza: Stanza
    lines: tuple[str, ...]


class _Change:
    """Plans and checks the edits for several directories."""

    def __init__(self, options: StanzaOptions) -> None:
        require_root()
        self._installed = shutil.which("logrotate", path=_PATH) is not None
        if not self._installed and not options.skip_unmanaged:
            raise HostError(
                "logrotate is not installed on this host, so it rotates nothing. "
                "Install it, or set unmanaged: skip"
            )
        self._options = options
        self._configuration = Configuration()
        self.results: list[dict[str, Any]] = []

    def plan(self) -> list[Edit]:
        """Return one edit for each file of the configuration."""
        path = self._options.configuration
        if not self._installed:
            self.results = [_result(each, ()) for each in self._options.policies]
            return []
        if not os.path.lexists(path):
            raise HostError(
                f"{display(path)} does not exist, so logrotate is not configured. "
                "Name its configuration, or install it again"
            )
        self._configuration = read("/", path)
        by_stanza: dict[Stanza, tuple[str, ...]] = {}
        self.results = []
        for policy in self._options.policies:
            needed = self._needed(policy)
            for each in needed:
                self._refuse_contradiction(by_stanza, each)
                by_stanza[each.stanza] = each.lines
            self.results.append(_result(policy, needed))
        return _edits(by_stanza)

    def _needed(self, policy: Policy) -> list[_Needed]:
        logs = _observed(policy)
        if logs is None:
            return []
        self._refuse_duplicates(logs)
        managed = [
            stanza
            for stanza in self._configuration.stanzas
            if rotated_files(stanza, logs)
        ]
        if not managed and not self._options.skip_unmanaged:
            raise HostError(
                f"no stanza of logrotate rotates a log in {display(policy.path)}"
                f"{self._because()}. Write one, leave the directory out, or set "
                "unmanaged: skip"
            )
        return [_needed_of(stanza, logs) for stanza in managed]

    def _because(self) -> str:
        """Return what of the configuration could not be read, for a message."""
        wrong = self._configuration.problems[:1]
        return "".join(
            f" ({display(each.path)} line {each.line}: {each.message})"
            for each in wrong
        )

    def _refuse_duplicates(self, logs: Logs) -> None:
        for each in self._configuration.duplicates:
            if logs.holds(each.path):
                raise HostError(
                    f"{display(each.path)} is named twice: {_at(each.first)} and "
                    f"{_at(each.place)}. logrotate calls that an error. Take it out "
                    "of one of the two first"
                )

    @staticmethod
    def _refuse_contradiction(
        by_stanza: Mapping[Stanza, tuple[str, ...]], needed: _Needed
    ) -> None:
        other = by_stanza.get(needed.stanza, needed.lines)
        if other != needed.lines:
            raise HostError(
                f"{_at(needed.stanza.place)} rotates several of the directories, "
                f"which need different things: {', '.join(other) or 'nothing'}, and "
                f"{', '.join(needed.lines) or 'nothing'}. Write a stanza for each"
            )

    def check(self, edits: Sequence[Edit]) -> None:
        """Have logrotate judge the edits on a copy; HostError if it gets worse."""
        files = self._configuration.files
        before = _judged(self._options.configuration, files, ())
        after = _judged(self._options.configuration, files, edits)
        known = {*before.configuration, *before.logs}
        found = (*after.configuration, *after.logs)
        worse = [each for each in found if each not in known]
        edited = [display(edit.path) for edit in edits]
        broken = [
            each
            for each in after.configuration
            if any(_is_about(path, each) for path in edited)
        ]
        if worse or broken:
            raise HostError(
                f"logrotate -d does not take {', '.join(edited)} as it would be: "
                f"{said(chr(10).join(worse or broken))}. Nothing was changed. Repair "
                "that first"
            )


def _is_about(path: str, error: str) -> bool:
    """Tell whether an error is in a file: what is included has its name alone."""
    return path in error or error.startswith(f"{os.path.basename(path)} ")


def _at(place: Place) -> str:
    return f"{display(place.path)} line {place.line}"


def _observed(policy: Policy) -> Logs | None:
    """Return a log directory; None if it is missing and may be. Raises HostError."""
    try:
        with closing(Tree(policy.path)) as tree:
            return logs_of(Survey(policy, tree, read_kernel_settings()))
    except MissingDirectory:
        if not policy.skip_missing:
            raise
        return None


def _needed_of(stanza: Stanza, logs: Logs) -> _Needed:
    try:
        return _Needed(stanza, tuple(needed_lines(stanza, logs)))
    except NothingHelps as error:
        raise HostError(
            f"{_at(stanza.place)} rotates logs in {display(logs.path)}, and {error}. "
            "Run the remediate playbook first, or edit the stanza by hand"
        ) from None


def _result(policy: Policy, needed: Iterable[_Needed]) -> dict[str, Any]:
    return {
        **path_fields(policy.path),
        "stanzas": [
            {
                **path_fields(each.stanza.place.path),
                "line": each.stanza.place.line,
                "set": list(each.lines),
            }
            for each in needed
        ],
    }


def _edits(by_stanza: Mapping[Stanza, Sequence[str]]) -> list[Edit]:
    """Return an edit for each file; from its end, so that lines keep their numbers."""
    texts: dict[str, tuple[bytes, str]] = {}
    for stanza in sorted(by_stanza, key=lambda each: -each.place.line):
        path = stanza.place.path
        if not by_stanza[stanza]:
            continue
        if path not in texts:
            content = content_of("/", path)
            if content is None:
                raise HostError(f"{display(path)} has gone. Run again")
            texts[path] = content, os.fsdecode(content)
        before, text = texts[path]
        try:
            text = with_directives(text, stanza, by_stanza[stanza])
        except ValueError as error:
            raise HostError(
                f"{display(path)} was changed meanwhile: {error}. Run again"
            ) from None
        texts[path] = before, text
    return [
        Edit(resolved("/", path), before, os.fsencode(text))
        for path, (before, text) in texts.items()
    ]


@dataclass(frozen=True)
class _Errors:
    """What ``logrotate -d`` calls errors, the lines' numbers left out."""

    configuration: tuple[str, ...]
    logs: tuple[str, ...]


def _judged(path: str, files: Sequence[str], edits: Sequence[Edit]) -> _Errors:
    """Return what is wrong with a configuration, and with what it is about."""
    with copied("/", files, edits) as copy:
        for each in dict.fromkeys((*files, *(edit.path for edit in edits))):
            _lead_into(copy, f"{copy}{each}")
        argv = ["logrotate", "-d", "-s", f"{copy}/state", f"{copy}{path}"]
        answer = run(argv, most=_MOST_SAID)
        if len(answer.output) >= _MOST_SAID:
            raise HostError(
                f"logrotate -d says more than {_MOST_SAID:,} bytes about "
                f"{display(path)}, so that it cannot be told what is wrong with it. "
                "Remove old logs, or edit the stanza by hand"
            )
        configuration, *logs = _LOGS.split(answer.output.replace(copy, ""), maxsplit=1)
    return _Errors(_errors(configuration), _errors("".join(logs)))


def _errors(output: str) -> tuple[str, ...]:
    return tuple(_LINE.sub("", each) for each in _ERROR.findall(output))


def _lead_into(copy: str, path: str) -> None:
    """Have a file of the copy include the copy, and make no directory."""
    try:
        with open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        return
    prefix = os.fsencode(copy)
    content = _INCLUDE.sub(lambda match: match[1] + prefix + match[2], content)
    if b"createolddir" in content:
        content = _MAKES.sub(rb"\1noolddir", content)
    with open(path, "wb") as file:
        file.write(content)
    os.chmod(path, 0o600)
