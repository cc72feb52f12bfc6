# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit: what is, what will be, and why; changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

from ._access import DIRECTORY, REGULAR
from ._discover import suggest_policy
from ._findings import Finding, Findings
from ._fs import MissingDirectory, Tree
from ._laravel import application_of_logs, daily_log
from ._names import display, path_fields
from ._policy import Policy, parse_policies
from ._predict import (
    AccessTable,
    access_to,
    missing_directory,
    next_files,
)
from ._result import (
    access_fields,
    acl_text,
    identity_fields,
    inode_fields,
    next_file_fields,
)
from ._survey import (
    KernelSettings,
    Step,
    Survey,
    read_kernel_settings,
    require_root,
)
from ._writers._source import NOBODY, Found


def audit_host(
    directories: Sequence[Mapping[str, Any]] | None,
    identities: Sequence[Mapping[str, Any]],
    max_listed: int,
    found: Found,
) -> dict[str, Any]:
    """Audit what is declared; without a declaration, what is found.

    Raises OptionError for a declaration that cannot be meant.
    """
    suggested = suggest_policy(found) if directories is None else None
    declared = directories if suggested is None else suggested
    nothing_found = suggested is not None and not suggested
    policies = [] if nothing_found else parse_policies(declared or [], identities)
    result = audit(policies, max_listed, found)
    result["problems"] = [
        {**path_fields(each.path), "line": each.line, "message": each.message}
        for each in found.problems
    ]
    if suggested is not None:
        result["suggested_policy"] = suggested
    return result


def audit(
    policies: Sequence[Policy], max_listed: int, running: Found = NOBODY
) -> dict[str, Any]:
    """Return what ``log_directory_info`` returns for the policies' directories.

    ``max_listed`` bounds the files listed in full; totals count all.
    ``running`` are the processes that write below the directories. Raises
    HostError where a directory cannot be opened safely.
    """
    require_root()
    settings = read_kernel_settings()
    directories = [
        _audit_directory(each, max_listed, settings, running) for each in policies
    ]
    return {
        "directories": directories,
        "compliant": all(each["compliant"] for each in directories),
        "findings_total": sum(len(each["findings"]) for each in directories),
    }


def _audit_directory(
    policy: Policy, max_listed: int, settings: KernelSettings, running: Found
) -> dict[str, Any]:
    try:
        tree = Tree(policy.path)
    except MissingDirectory:
        if not policy.skip_missing:
            raise
        findings = Findings()
        findings.add(missing_directory(policy))
        return {
            **path_fields(policy.path),
            "findings": findings.results(),
            "compliant": True,
            "changes_needed": False,
        }
    with closing(tree):
        survey = Survey(policy, tree, settings, running)
        return _DirectoryAudit(survey, max_listed).result()


class _DirectoryAudit:
    """Judges each step of a survey by what was found there."""

    def __init__(self, survey: Survey, max_listed: int) -> None:
        self._survey = survey
        self._max_listed = max_listed
        self._findings = Findings()
        self._files: list[dict[str, Any]] = []
        self._totals = dict.fromkeys(("files", "directories", "others", "to_change"), 0)
        self._table = AccessTable(survey.policy)
        self._next_files = next_files(survey.policy, survey.places.before)

    def result(self) -> dict[str, Any]:
        """Walk the directory and return its part of the result."""
        policy, place = self._survey.policy, self._survey.place
        self._judge_directory()
        for step in self._survey.steps(lambda place: self._table.known(place.before)):
            self._judge(step)
            step.close()
        self._totals["files"] += self._survey.walk.counted
        for finding in self._survey.missed():
            self._findings.add(finding)
        return {
            **path_fields(policy.path),
            "filesystem": {
                "type": place.inode.mount.type,
                "acl_supported": place.inode.mount.acl_supported,
                "read_only": place.inode.mount.read_only,
            },
            **inode_fields(place.inode),
            "default_acl": acl_text(place.inode.default_acl),
            "identities": [identity_fields(each) for each in policy.identities],
            "next_file": [next_file_fields(file) for file in self._next_files],
            "files": self._files,
            "totals": {**self._totals, "vanished": self._survey.walk.vanished},
            "findings": self._findings.results(),
            "compliant": not self._findings.has_errors,
            "changes_needed": self._totals["to_change"] > 0,
        }

    def _judge_directory(self) -> None:
        for finding in (*self._survey.findings(), *_daily(self._survey.policy.path)):
            self._findings.add(finding)

    def _judge(self, step: Step) -> None:
        table = self._table
        self._totals[_PLURALS.get(step.before.kind, "others")] += 1
        self._totals["to_change"] += step.changes
        found = list(step.findings(table, step.place.before, step.before))
        for finding in found:
            self._findings.add(finding)
        if len(self._files) >= self._max_listed and not found:
            step.dismiss()
        elif step.before.kind == REGULAR and len(self._files) < self._max_listed:
            rows = access_to(table.policy, step.place.before, step.before)
            self._files.append(
                {
                    **path_fields(step.path),
                    **inode_fields(step.before),
                    "access": [access_fields(row, display(step.path)) for row in rows],
                }
            )


_PLURALS = {REGULAR: "files", DIRECTORY: "directories"}


def _daily(path: str) -> Iterator[Finding]:
    """Tell when the next file comes, where the application's settings say so."""
    application = application_of_logs(path)
    daily = daily_log(application) if application is not None else None
    if daily is not None:
        setting = f"{daily.key}={daily.value}"
        yield Finding(
            "daily_log_on",
            daily.path,
            daily.key,
            setting,
            f"A new file will appear at 00:00 {daily.timezone}, because {setting} in "
            f"{display(daily.path)}",
        )
