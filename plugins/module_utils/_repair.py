# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The repair of log directories, one after another, as one run of the journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from ._carry_out import DirectoryRepair
from ._errors import HostError, OptionError
from ._findings import KINDS, Findings
from ._fs import MissingDirectory, Stamp, Tree
from ._host import KernelSettings, read_kernel_settings
from ._journal import Journal
from ._lock import LOCK_DIRECTORY
from ._names import path_fields
from ._policy import Policy
from ._predict import missing_directory
from ._run import RunOptions, parse_run_options, recording, refuse_run
from ._survey import Survey
from ._writers._live import running_writers
from ._writers._source import Found

#: A repair is a run like others.
RepairOptions = RunOptions


def parse_options(
    params: Mapping[str, Any], policies: Sequence[Policy]
) -> RepairOptions:
    """Check what is not part of the policy. Raises OptionError."""
    options = parse_run_options(params)
    journal_dir = options.journal_dir
    for policy in policies:
        if f"{journal_dir}/".startswith(f"{policy.path}/"):
            raise OptionError(
                "journal_dir",
                journal_dir,
                f"lies in the log directory {policy.path}, which others can write",
                "Name a directory that is root's alone",
            )
        if f"{policy.path}/".startswith((f"{journal_dir}/", f"{LOCK_DIRECTORY}/")):
            raise OptionError(
                "directories",
                policy.path,
                "is Logward's own",
                "Name a log directory of the application",
            )
    return options


def preview(policies: Sequence[Policy], options: RepairOptions) -> dict[str, Any]:
    """Return what ``repair`` would do and find; changes nothing (check mode)."""
    _refuse(policies, options)
    return _run(policies, options, None)


def repair(policies: Sequence[Policy], options: RepairOptions) -> dict[str, Any]:
    """Bring the directories to their policies and return what was done.

    Raises HostError; what was done until then stays, and is in the journal.
    """
    _refuse(policies, options)
    with recording(options) as journal:
        return _run(policies, options, journal)


def _refuse(policies: Sequence[Policy], options: RepairOptions) -> None:
    """Raise what forbids the run, before there is a lock or a journal."""
    refuse_run(options)
    settings = read_kernel_settings()
    seen: dict[Stamp, str] = {}
    for policy in policies:
        tree = _open(policy)
        if tree is not None:
            with closing(tree):
                survey = Survey(policy, tree, settings)
                _refuse_twice(policy.path, seen, survey.observed.stamp)
                _refuse_blocked(survey)


def _refuse_twice(path: str, seen: dict[Stamp, str], stamp: Stamp) -> None:
    """Raise OptionError where a bind mount gives a directory two policies."""
    first = seen.setdefault(stamp, path)
    if first != path:
        raise OptionError(
            "directories",
            path,
            f"is the same directory as {first}",
            "Join the two entries into one",
        )


def _run(
    policies: Sequence[Policy], options: RepairOptions, journal: Journal | None
) -> dict[str, Any]:
    running = running_writers(policy.path for policy in policies)
    settings = read_kernel_settings()
    done = [_repaired(policy, settings, running, journal) for policy in policies]
    return {
        "changed": any(each["changed_inodes"] for each, _diff in done),
        "diff": [diff for _each, diff in done if diff],
        "run_id": options.run_id,
        "directories": [each for each, _diff in done],
    }


def _repaired(
    policy: Policy,
    settings: KernelSettings,
    running: Found,
    journal: Journal | None,
) -> tuple[dict[str, Any], dict[str, str] | None]:
    """Repair one directory; return its part of the result, and its diff."""
    tree = _open(policy)
    if tree is None:
        return _skipped(policy)
    with closing(tree):
        survey = Survey(policy, tree, settings, running)
        _refuse_blocked(survey)
        done = DirectoryRepair(survey, journal).run()
        tree.refuse_if_covered()
        return done


def _open(policy: Policy) -> Tree | None:
    try:
        return Tree(policy.path)
    except MissingDirectory:
        if policy.skip_missing:
            return None
        raise


def _refuse_blocked(survey: Survey) -> None:
    finding = survey.blocking()
    if finding is not None:
        raise HostError(
            f"{finding.message} ({finding.evidence}). Nothing was changed. "
            f"To repair it, {finding.remedy or KINDS[finding.code].remedy}"
        )


def _skipped(policy: Policy) -> tuple[dict[str, Any], dict[str, str] | None]:
    findings = Findings()
    findings.add(missing_directory(policy))
    result = {
        **path_fields(policy.path),
        "changed_inodes": 0,
        "skipped": [
            {**path_fields(policy.path), "reason": "missing_directory", "count": 1}
        ],
        "findings": findings.results(),
    }
    return result, None
