# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who runs or is configured to write, held against what is declared."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

from ._findings import Finding
from ._identity import Identity, group_name, user_name
from ._laravel import application_of_logs
from ._names import display
from ._policy import Policy
from ._writers._source import Found, Writer


def with_running(policy: Policy, found: Found) -> Policy:
    """Return the policy with all others who were found to write there.

    Who runs, or is configured, just as declared lends its pids to the declared
    identity; any other is an identity of its own, which creates files as it does.
    """
    policy = confined(policy, found.confined_by)
    writers = _writing_below(policy, found)
    return replace(
        policy,
        writers=_with_pids(policy.writers, writers),
        readers=_with_pids(policy.readers, writers),
        others=_with_pids(policy.others, writers),
        running=_different(policy, writers),
    )


def confined(policy: Policy, module: str | None) -> Policy:
    """Return the policy on a host whose security module decides about everybody."""
    if module is None:
        return policy
    writers, readers, others = (
        tuple(replace(each, confined_by=module) for each in identities)
        for identities in (policy.writers, policy.readers, policy.others)
    )
    return replace(policy, writers=writers, readers=readers, others=others)


def _writing_below(policy: Policy, found: Found) -> list[Writer]:
    """Return who logs in the directory, or works for the application it is of."""
    logs = f"{policy.path}/"
    base = application_of_logs(policy.path)
    return [
        _within(policy.path, _confined(writer, found.confined_by))
        for writer in found.writers
        if any(log.startswith(logs) for log in writer.logs + writer.deleted)
        or (base is not None and any(_is_in(base, path) for path in writer.mentions))
    ]


def _confined(writer: Writer, module: str | None) -> Writer:
    if module is None:
        return writer
    return replace(writer, identity=replace(writer.identity, confined_by=module))


def _within(directory: str, writer: Writer) -> Writer:
    """Say of a writer whether its sandbox keeps it out of a directory."""
    around = writer.surroundings
    sandbox = around.sandboxed(directory) if around else None
    if around is None or sandbox is None:
        return writer
    name = f"{writer.identity.name} in {around.unit}"
    return replace(
        writer, identity=replace(writer.identity, name=name, sandbox=sandbox)
    )


def _is_in(base: str, path: str) -> bool:
    return f"{os.path.realpath(path)}/".startswith(f"{base}/")


def _different(policy: Policy, writers: list[Writer]) -> tuple[Identity, ...]:
    """Return those who open and create otherwise than all who are declared."""
    different: list[Identity] = []
    for writer in writers:
        known = (*policy.identities, *different)
        if not any(_same(writer.identity, each) for each in known):
            different.append(replace(writer.identity, pids=writer.pids))
    return tuple(different)


def _with_pids(
    declared: tuple[Identity, ...], writers: list[Writer]
) -> tuple[Identity, ...]:
    return tuple(
        replace(
            identity,
            pids=tuple(
                sorted(
                    pid
                    for writer in writers
                    if _same(writer.identity, identity)
                    for pid in writer.pids
                )
            ),
        )
        for identity in declared
    )


def _same(one: Identity, other: Identity) -> bool:
    """Tell whether two identities open and create alike."""
    return _credentials(one) == _credentials(other) and all(
        getattr(one, name) == getattr(other, name)
        for name in ("umask", "sandbox", "confined_by")
    )


def _credentials(identity: Identity) -> tuple[object, ...]:
    groups = identity.groups | {identity.gid}
    return identity.uid, identity.gid, groups, identity.capabilities, identity.is_group


def running_findings(policy: Policy, found: Found) -> Iterator[Finding]:
    """Yield what differs between the declared and the running identities."""
    for writer in _writing_below(policy, found):
        declared = [
            each
            for each in policy.writers + policy.readers + policy.others
            if each.uid == writer.identity.uid and not each.is_group
        ]
        if not declared:
            yield _undeclared(policy, writer)
        missing = [each for each in declared if _lacked(writer.identity, each)]
        if missing and len(missing) == len(declared):
            yield _stale_groups(policy, writer, missing[0])
        for path in writer.deleted:
            yield _deleted(writer, path)


def _lacked(running: Identity, declared: Identity) -> frozenset[int]:
    """Return the groups that a process lacks of what its user has now."""
    return declared.groups - running.groups - {running.gid}


def _undeclared(policy: Policy, writer: Writer) -> Finding:
    user = user_name(writer.identity.uid)
    opened = f" writes {display(writer.logs[0])}" if writer.logs else ""
    return Finding(
        "undeclared_writer",
        policy.path,
        writer.service,
        f"{writer.origin}{opened}",
        f"{writer.service} writes here as {user}, whom no policy names: what it "
        "creates can lock the others out, and nothing keeps it from being locked out",
        f"add {user} to the writers, or have it log elsewhere",
    )


def _stale_groups(policy: Policy, writer: Writer, declared: Identity) -> Finding:
    groups = ", ".join(
        group_name(gid) for gid in sorted(_lacked(writer.identity, declared))
    )
    return Finding(
        "groups_stale",
        policy.path,
        writer.identity.name,
        f"{writer.origin} lacks {groups}",
        f"{writer.identity.name} was started before its user was in {groups}, and "
        "runs without",
    )


def _deleted(writer: Writer, path: str) -> Finding:
    return Finding(
        "deleted_file_held",
        path,
        writer.identity.name,
        writer.origin,
        f"{writer.identity.name} still writes {display(path)}, which was deleted: "
        "nobody will read it",
    )
