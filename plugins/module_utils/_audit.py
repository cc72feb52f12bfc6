# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit: what is, what will be, and why; changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

from ._discover import suggest_policy
from ._findings import Finding, Findings
from ._fs import MissingDirectory, Tree
from ._judge import judged_inodes
from ._laravel import application_of_logs, daily_log
from ._names import display, path_fields
from ._policy import Policy, parse_policies
from ._predict import (
    missing_directory,
    next_files,
)
from ._result import (
    acl_text,
    identity_fields,
    inode_fields,
    next_file_fields,
)
from ._survey import (
    KernelSettings,
    Survey,
    read_kernel_settings,
    require_root,
    unreadable_findings,
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
        return _directory_result(Survey(policy, tree, settings, running), max_listed)


def _directory_result(survey: Survey, max_listed: int) -> dict[str, Any]:
    """Walk a directory and return its part of the result."""
    policy, place = survey.policy, survey.place
    findings = Findings()
    for finding in (*survey.findings(), *_daily(policy.path)):
        findings.add(finding)
    judged = judged_inodes(survey, max_listed)
    for finding, count in judged.findings:
        findings.add(finding, count)
    unreadable = judged.totals.pop("unreadable")
    for finding in unreadable_findings(
        policy.path, unreadable, judged.first_unreadable
    ):
        findings.add(finding)
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
        "next_file": [
            next_file_fields(file) for file in next_files(policy, survey.places.before)
        ],
        "files": judged.files[:max_listed],
        "totals": judged.totals,
        "findings": findings.results(),
        "compliant": not findings.has_errors,
        "changes_needed": judged.totals["to_change"] > 0,
    }


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
