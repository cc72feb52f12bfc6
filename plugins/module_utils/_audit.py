# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit: what is, what will be, and why; changes nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from ._discover import suggest_policy
from ._errors import HostError
from ._findings import KINDS, WARNING, Finding, Findings
from ._fs import MissingDirectory, Tree
from ._host import KernelSettings, read_kernel_settings
from ._identity import user_name
from ._judge import judged_inodes
from ._laravel import application_of_logs
from ._laravel_env import daily_log
from ._managers._conflicts import (
    NO_MANAGERS,
    Managers,
)
from ._managers._observe import logs_of
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
    managed_file_fields,
    next_file_fields,
)
from ._survey import Survey, unreadable_findings
from ._writers._source import NOBODY, Found, Problem


@dataclass(frozen=True)
class Host:
    """What is known of a host, besides its directories."""

    settings: KernelSettings
    running: Found = NOBODY
    managers: Managers = NO_MANAGERS


def audit_host(
    directories: Sequence[Mapping[str, Any]] | None,
    identities: Sequence[Mapping[str, Any]],
    max_listed: int,
    found: Found,
    managers: Managers = NO_MANAGERS,
) -> dict[str, Any]:
    """Audit what is declared; without a declaration, what is found.

    ``managers`` are asked what they will change.

    Raises OptionError for a declaration that cannot be meant.
    """
    suggested = suggest_policy(found) if directories is None else None
    declared = directories if suggested is None else suggested
    nothing_found = suggested is not None and not suggested
    policies = [] if nothing_found else parse_policies(declared or [], identities)
    result = audit(policies, max_listed, found, managers)
    unseen = () if _is_root() or policies else (_unseen(),)
    result["problems"] = [
        {
            **path_fields(each.path),
            "line": each.line,
            "severity": WARNING,
            "message": each.message,
        }
        for each in dict.fromkeys(
            (*found.problems, *managers.problems, *result.pop("problems"), *unseen)
        )
    ]
    if suggested is not None:
        result["suggested_policy"] = suggested
    return result


def audit(
    policies: Sequence[Policy],
    max_listed: int,
    running: Found = NOBODY,
    managers: Managers = NO_MANAGERS,
) -> dict[str, Any]:
    """Return what ``log_directory_info`` returns for the policies' directories.

    ``max_listed`` bounds the files listed in full; totals count all.
    ``running`` are the processes that write below the directories, ``managers``
    whoever may change them back. What may not be read is a finding. Raises
    HostError where a directory cannot be opened safely.
    """
    settings = read_kernel_settings()
    host = Host(settings, running, managers)
    directories = [_audit_directory(each, max_listed, host) for each in policies]
    problems = [each for entry in directories for each in entry.pop("problems", ())]
    return {
        "problems": problems,
        "directories": directories,
        "compliant": all(each["compliant"] for each in directories),
        "findings_total": sum(len(each["findings"]) for each in directories),
    }


def _audit_directory(policy: Policy, max_listed: int, host: Host) -> dict[str, Any]:
    try:
        with closing(Tree(policy.path)) as tree:
            survey = Survey(policy, tree, host.settings, host.running)
            return _directory_result(survey, max_listed, host.managers)
    except MissingDirectory:
        if not policy.skip_missing:
            raise
        return _only(policy, missing_directory(policy))
    except (HostError, OSError) as error:
        if not isinstance(error.__cause__ or error, PermissionError):
            raise
        return _only(policy, _not_readable(policy, error), *_not_root(policy))


def _only(policy: Policy, *found: Finding) -> dict[str, Any]:
    """Return the result for a directory of which nothing else is known."""
    findings = Findings()
    for finding in found:
        findings.add(finding)
    return {
        **path_fields(policy.path),
        "findings": findings.results(),
        "compliant": not findings.has_errors,
        "changes_needed": False,
    }


def _is_root() -> bool:
    return os.geteuid() == 0


def _not_readable(policy: Policy, error: Exception) -> Finding:
    path, user = display(policy.path), user_name(os.geteuid())
    return Finding(
        "directory_unreadable",
        policy.path,
        path,
        display(str(error)),
        f"Nobody knows who can write in {path}: {user} may not read it",
        "see what is mounted there and why root may not" if _is_root() else None,
    )


def _not_root(policy: Policy) -> Iterator[Finding]:
    """Say what the audit cannot see without root."""
    if not _is_root():
        user = user_name(os.geteuid())
        kind = KINDS["not_root"]
        message = f"{kind.title}: it ran as {user}, who may not see {_UNSEEN}"
        yield Finding("not_root", policy.path, user, f"runs as {user}", message)


#: What only root may see.
_UNSEEN = "other users' open files and crontabs, and what is only root's"


def _unseen() -> Problem:
    """Say the same where there is no directory to say it of."""
    user, remedy = user_name(os.geteuid()), KINDS["not_root"].remedy
    return Problem("/proc", 0, f"{user} may not see {_UNSEEN}: {remedy}")


def _directory_result(
    survey: Survey, max_listed: int, managers: Managers
) -> dict[str, Any]:
    """Walk a directory and return its part of the result."""
    policy, place = survey.policy, survey.place
    findings = Findings()
    logs = logs_of(survey)
    answer = managers.answer(logs)
    own = (*survey.findings(), *_daily(policy.path), *_not_root(policy))
    for finding in (*own, *answer.findings):
        findings.add(finding)
    judged = judged_inodes(survey, max_listed)
    for finding, count in judged.findings:
        findings.add(finding, count)
    unreadable = judged.totals.pop("unreadable")
    for finding in unreadable_findings(
        policy.path, unreadable, judged.first_unreadable
    ):
        remedy = finding.remedy if _is_root() else KINDS["not_root"].remedy
        findings.add(replace(finding, remedy=remedy))
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
        ]
        + [managed_file_fields(logs, file) for file in answer.files],
        "files": judged.files[:max_listed],
        "totals": judged.totals,
        "findings": findings.results(),
        "compliant": not findings.has_errors,
        "changes_needed": judged.totals["to_change"] > 0,
        "problems": answer.problems,
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
