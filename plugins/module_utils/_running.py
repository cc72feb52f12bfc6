# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who runs or is configured to write, held against what is declared."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ._access import Inode, others_create
from ._findings import Finding
from ._identity import Identity, group_name, user_name
from ._laravel import application_of_logs
from ._names import display
from ._policy import Policy, confined
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
        running=_with_pids(_different(policy, writers), writers),
    )


def _writing_below(policy: Policy, found: Found) -> list[Writer]:
    """Return who logs in the directory, or works for the application it is of."""
    logs = f"{policy.path}/"
    base = application_of_logs(policy.path)
    return [
        _within(policy.path, _confined(writer, found.confined_by))
        for writer in found.writers
        if _is_below(logs, base, writer)
        or any(_is_below(logs, base, each) for each in writer.configured)
    ]


def _confined(writer: Writer, module: str | None) -> Writer:
    if module is None:
        return writer
    return replace(writer, identity=replace(writer.identity, confined_by=module))


def _within(directory: str, writer: Writer) -> Writer:
    """Say of a writer whether its sandbox keeps it out of a directory."""
    around = writer.surroundings
    sandbox = around.sandboxed(directory) if around else None
    if around is None or sandbox is None or _holds_logs(directory, writer):
        return writer
    name = f"{writer.identity.name} in {around.unit}"
    return replace(
        writer, identity=replace(writer.identity, name=name, sandbox=sandbox)
    )


def _holds_logs(directory: str, writer: Writer) -> bool:
    """Tell whether a process has logs open there that its sandbox would not let it.

    It was given them, as systemd opens the output of services: it creates none.
    """
    return writer.identity.source == "running" and any(
        log.startswith(f"{directory}/") for log in writer.logs + writer.deleted
    )


def _is_below(logs: str, base: str | None, writer: Writer) -> bool:
    return any(log.startswith(logs) for log in writer.logs + writer.deleted) or (
        base is not None and any(_is_in(base, path) for path in writer.mentions)
    )


def _is_in(base: str, path: str) -> bool:
    return f"{os.path.realpath(path)}/".startswith(f"{base}/")


def _different(policy: Policy, writers: list[Writer]) -> tuple[Identity, ...]:
    """Return those who open and create otherwise than all who are declared."""
    different: list[Identity] = []
    for writer in writers:
        known = (*policy.identities, *different)
        if not any(_same(writer.identity, each) for each in known):
            different.append(writer.identity)
    return tuple(different)


def _with_pids(
    declared: tuple[Identity, ...], writers: list[Writer]
) -> tuple[Identity, ...]:
    return tuple(
        replace(
            identity,
            pids=tuple(
                sorted(
                    {
                        pid
                        for writer in writers
                        if _same(writer.identity, identity)
                        for pid in writer.pids
                    }
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
    groups = _groups(identity)
    return identity.uid, identity.gid, groups, identity.capabilities, identity.is_group


def running_findings(policy: Policy, found: Found) -> Iterator[Finding]:
    """Yield what differs between the declared, configured and running identities."""
    writers = _writing_below(policy, found)
    known = {(each.service, each.origin) for each in writers}
    for writer in writers:
        declared = _declared(policy, writer.identity)
        told = any((each.service, each.origin) in known for each in writer.configured)
        if not declared and not told:
            yield _undeclared(policy, writer)
        if writer.configured:
            yield from _stale(policy, writer, declared)
        elif writer.identity.source == "running":
            yield from _stale_as_declared(policy, writer, declared)
        for path in writer.deleted:
            yield _lost(writer, path, "was deleted: nobody will read it")
        for path in writer.rotated:
            yield _lost(writer, path, "was rotated away: nobody looks for it there")


def _declared(policy: Policy, identity: Identity) -> list[Identity]:
    return [
        each
        for each in policy.writers + policy.readers + policy.others
        if each.uid == identity.uid and not each.is_group
    ]


def root_findings(
    policy: Policy, found: Found, path: str, inode: Inode
) -> Iterator[Finding]:
    """Yield what root opens in a directory in which others create names.

    ``path`` is relative to the log directory, "" for itself. Where the policy
    names root it is known to write here, and told once.
    """
    if policy.root_writes or not others_create(inode):
        return
    directory = os.path.join(policy.path, path).rstrip("/")
    for writer in found.writers:
        logs = _logs_in(directory, writer)
        told = any(_logs_in(directory, each) for each in writer.configured)
        if writer.identity.uid == 0 and logs and not told:
            log = display(logs[0])
            yield Finding(
                "root_writes_untrusted",
                path or directory,
                writer.service,
                f"{writer.origin} opens {log}",
                f"{writer.service} opens {log} as root, where others create names: "
                "they could lead it to any file of the host",
                f"have {writer.service} log elsewhere, or run as the application's "
                "user",
            )


def _logs_in(directory: str, writer: Writer) -> list[str]:
    return [log for log in writer.logs if os.path.dirname(log) == directory]


def _undeclared(policy: Policy, writer: Writer) -> Finding:
    user = user_name(writer.identity.uid)
    here = [log for log in writer.logs if log.startswith(f"{policy.path}/")]
    opened = f" writes {display(here[0])}" if here else ""
    return Finding(
        "undeclared_writer",
        policy.path,
        writer.service,
        f"{writer.origin}{opened}",
        f"{writer.service} writes here as {user}, whom no policy names: what it "
        "creates can lock the others out, and nothing keeps it from being locked out",
        f"add {user} to the writers, or have it log elsewhere",
    )


def _stale(
    policy: Policy, writer: Writer, declared: Sequence[Identity]
) -> Iterator[Finding]:
    """Yield how a process differs from all that its service may be configured as."""
    running, wanted = writer.identity, [each.identity for each in writer.configured]
    umasks = {each.umask for each in wanted}
    if not writer.outdated:  # then its program may set one, and one may say so
        umasks |= {each.umask for each in declared if each.source == "declared"}
    if running.umask not in umasks:
        yield _stale_umask(policy, writer)
    if running.uid and _groups(running) not in map(_groups, wanted):
        lacked = _groups(wanted[0]) - _groups(running)
        kept = _groups(running) - _groups(wanted[0])
        yield _stale_groups(policy, writer, lacked, kept)


def _stale_as_declared(
    policy: Policy, writer: Writer, declared: Sequence[Identity]
) -> Iterator[Finding]:
    """Yield the same for a process of which no configuration is known."""
    # A service may well be given another primary group than its user's.
    running = _groups(writer.identity)
    lacked = [each.groups - {each.gid} - running for each in declared]
    # Root is let in without being in a group.
    if writer.identity.uid and lacked and all(lacked):
        yield _stale_groups(policy, writer, lacked[0], frozenset())


def _groups(identity: Identity) -> frozenset[int]:
    return identity.groups | {identity.gid}


def _stale_umask(policy: Policy, writer: Writer) -> Finding:
    running = writer.identity.umask
    configured = {f"{each.identity.umask:04o}" for each in writer.configured}
    wanted = " or ".join(sorted(configured))
    why, remedy = _reason(writer, running)
    return Finding(
        "umask_stale",
        policy.path,
        writer.service,
        f"{writer.origin} has {running:04o}, configured is {wanted}",
        f"{writer.service} ({writer.origin}) runs with umask {running:04o}, and is "
        f"configured with {wanted}: {why}",
        remedy,
    )


def _reason(writer: Writer, umask: int) -> tuple[str, str | None]:
    """Return why a process has another umask, and what to do."""
    command = _command(writer, "new_umask")
    if writer.outdated:
        return "it was started before that was set", command
    declare = f"declare umask '{umask:04o}' in identities"
    if all(each.launch and each.launch.pid for each in writer.configured):
        return "its program sets one itself", f"have it not do that, or {declare}"
    # systemd, or supervisord, may not have read what stands there.
    return (
        "it was started before that was read, or its program sets one itself",
        f"{command}; if that does not help, {declare}",
    )


def _stale_groups(
    policy: Policy, writer: Writer, lacked: frozenset[int], kept: frozenset[int]
) -> Finding:
    user = user_name(writer.identity.uid)
    without, still = (
        ", ".join(group_name(gid) for gid in sorted(gids)) for gids in (lacked, kept)
    )
    evidence = [f"lacks {without}"] * bool(lacked) + [f"has {still}"] * bool(kept)
    why = ": it was started before that changed" if writer.configured else ""
    changed = [f"without {without}, which {user} is in now"] * bool(lacked)
    changed += [f"with {still}, which {user} is no longer in"] * bool(kept)
    return Finding(
        "groups_stale",
        policy.path,
        writer.service,
        f"{writer.origin} {' and '.join(evidence)}",
        f"{writer.service} ({writer.origin}) runs {' and '.join(changed)}{why}",
        _command(writer, "new_groups"),
    )


def _lost(writer: Writer, path: str, why: str) -> Finding:
    return Finding(
        "deleted_file_held",
        path,
        writer.service,
        writer.origin,
        f"{writer.service} ({writer.origin}) still writes {display(path)}, which {why}",
        _command(writer, "new_logs"),
    )


def _command(writer: Writer, what: str) -> str | None:
    """Return the smallest command that helps; None where it is not known."""
    launches = [each.launch for each in writer.configured if each.launch]
    # Those of the service's own source say more than those of its unit.
    commands = dict.fromkeys(getattr(each, what) for each in launches if not each.pid)
    commands = commands or dict.fromkeys(getattr(each, what) for each in launches)
    if len(commands) == 1:
        return str(next(iter(commands)))
    if commands and what == "new_umask":
        return "supervisorctl update (it restarts all whose configuration changed)"
    if commands:
        return f"restart the one that has {writer.origin}: supervisorctl status tells"
    unit = writer.service.partition(":")[2]
    if writer.service == f"systemd:{unit}":
        return f"find out what {writer.origin} is in {unit}, and restart that"
    return None
