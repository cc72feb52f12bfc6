# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings: one table of every code, and the sentences that explain them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ._access import Verdict
from ._acl import perm_text
from ._names import display, path_fields

ERROR, WARNING, INFO = "error", "warning", "info"


@dataclass(frozen=True)
class Kind:
    """What every finding of one code has in common."""

    severity: str
    title: str
    remedy: str


KINDS = {
    "creator_denied": Kind(
        ERROR,
        "A writer cannot create a log file",
        "run the remediate playbook",
    ),
    "writer_denied": Kind(
        ERROR,
        "A writer cannot append to a log file",
        "run the remediate playbook",
    ),
    "next_file_writer_denied": Kind(
        ERROR,
        "A writer will be locked out of the next log file",
        "run the remediate playbook before the next file appears; with strategy: "
        "group, set the umask of its creator to 0002",
    ),
    "reader_denied": Kind(
        WARNING, "A reader cannot read a log file", "run the remediate playbook"
    ),
    "next_file_reader_denied": Kind(
        WARNING,
        "A reader will be locked out of the next log file",
        "run the remediate playbook before the next file appears",
    ),
    "access_unknown": Kind(
        WARNING,
        "A security module may deny what the permissions grant",
        "look for what it denied in the kernel's log (journalctl -k)",
    ),
    "directory_unreadable": Kind(
        ERROR,
        "The log directory may not be read, so nothing is known of it",
        "set become: true",
    ),
    "not_root": Kind(
        WARNING,
        "The audit is incomplete",
        "set become: true",
    ),
    "acl_unsupported": Kind(
        ERROR,
        "The file system keeps no POSIX ACLs",
        "set strategy: group, mount it with ACLs, or move the logs to a file system "
        "that has them",
    ),
    "group_unfit": Kind(
        ERROR,
        "The group alone cannot give everybody what the policy names",
        "add who is missing to the group, or set strategy: acl",
    ),
    "ancestor_untrusted": Kind(
        ERROR,
        "Somebody else can exchange a directory on the way to the logs",
        "give the directory to root, or take the others' write permission away",
    ),
    "ancestor_exchangeable": Kind(
        WARNING,
        "An application user can exchange a directory on the way to its logs",
        "give the directory to root where the application need not own it",
    ),
    "root_writes_untrusted": Kind(
        WARNING,
        "Root opens files in a directory in which others create names",
        "run root's job as the application's user",
    ),
    "root_daemon_directory": Kind(
        ERROR,
        "Root's processes keep their logs here, and others would create names",
        "give the application a log directory of its own",
    ),
    "rights_conflict": Kind(
        WARNING,
        "The policy cannot be reached without taking rights away",
        "remove the negative permissions (group or owner below other) by hand, or "
        "name who would lose in the policy",
    ),
    "undeclared_writer": Kind(
        WARNING,
        "A process writes here that no policy names",
        "add its user to the writers, or have it log elsewhere",
    ),
    "daily_log_on": Kind(
        INFO,
        "The application starts a new log file each day",
        "see that every writer can write the next one, before midnight",
    ),
    "umask_stale": Kind(
        WARNING,
        "A process runs with another umask than it is configured with",
        "restart it",
    ),
    "groups_stale": Kind(
        WARNING,
        "A process runs with other groups than its user is in",
        "restart it",
    ),
    "deleted_file_held": Kind(
        INFO,
        "A process writes a log that was deleted",
        "have it open its log again: reload or restart it",
    ),
    "logrotate_locks_out": Kind(
        ERROR,
        "logrotate will make a log that a writer cannot append to",
        "run the remediate playbook before the log is rotated",
    ),
    "logrotate_insecure": Kind(
        WARNING,
        "logrotate refuses to rotate logs here, and they grow",
        "add `su USER GROUP` to its stanza (the module logrotate_stanza does)",
    ),
    "logrotate_su_denied": Kind(
        WARNING,
        "logrotate rotates as somebody who may not, and logs grow",
        "name a writer of the directory in `su`",
    ),
    "logrotate_duplicate": Kind(
        WARNING,
        "Two stanzas of logrotate name the same log",
        "take it out of one of the two",
    ),
    "tmpfiles_locks_out": Kind(
        ERROR,
        "systemd-tmpfiles will lock a writer out, at boot",
        "take mode, user and group out of its line",
    ),
    "tmpfiles_resets": Kind(
        WARNING,
        "systemd-tmpfiles sets back what a repair set, at boot",
        "take mode, user and group out of its line",
    ),
    "tmpfiles_cleans": Kind(
        INFO,
        "systemd-tmpfiles removes old logs",
        "exclude the directory with a line of type x, if they are to be kept",
    ),
    "logs_directory_locks_out": Kind(
        ERROR,
        "systemd will lock a writer out when it starts a service",
        "take the directory out of LogsDirectory= and its like",
    ),
    "logs_directory_resets": Kind(
        WARNING,
        "systemd sets back what a repair set when it starts a service",
        "take the directory out of LogsDirectory= and its like",
    ),
    "monolog_locks_out": Kind(
        ERROR,
        "The application sets a mode that locks a writer out",
        "remove `permission` from the channel",
    ),
    "monolog_permission": Kind(
        WARNING,
        "The application sets the mode of its logs at each open",
        "remove `permission` from the channel",
    ),
    "supervisor_locks_out": Kind(
        ERROR,
        "supervisord will make a log that a writer cannot append to",
        "give the program a log of its own in stdout_logfile",
    ),
    "supervisor_rotates": Kind(
        INFO,
        "supervisord rotates, or names, logs itself",
        "leave them out of logrotate",
    ),
    "hardening_locks_out": Kind(
        ERROR,
        "A job will change permissions such that a writer is locked out",
        "leave the log directory out of it",
    ),
    "hardening_job": Kind(
        WARNING,
        "A job changes permissions of logs",
        "leave the log directory out of it",
    ),
    "foreign_owner": Kind(
        WARNING,
        "A file belongs to nobody whom the policy names",
        "name its owner in the policy if it is a log, else exclude or move it",
    ),
    "hard_link": Kind(
        WARNING,
        "A file has further names elsewhere",
        "copy it and remove the link if it is a log",
    ),
    "privileged_file": Kind(
        WARNING,
        "A file with setuid, setgid or capabilities lies among the logs",
        "find out who put it there, and remove it",
    ),
    "immutable": Kind(
        WARNING,
        "An inode is immutable or append-only, so nothing can be repaired",
        "remove the attribute with chattr -i or -a if it is not wanted",
    ),
    "unchangeable": Kind(
        WARNING,
        "Its attributes are full, its ACL is too long, or it is in a read-only snapshot",
        "remove attributes (setfattr -x) or ACL entries (setfacl -x), or exclude it",
    ),
    "symbolic_link": Kind(
        INFO, "A symbolic link is not followed", "declare its target as a directory"
    ),
    "special_file": Kind(INFO, "A FIFO, socket or device is left alone", "exclude it"),
    "other_file_system": Kind(
        INFO,
        "Another file system is mounted here and is left alone",
        "declare it as a directory of its own",
    ),
    "next_file_narrowed": Kind(
        WARNING,
        "Somebody can use the next file today, and will not after the repair",
        "name who needs it among the readers or writers",
    ),
    "unreadable": Kind(
        WARNING,
        "The kernel does not tell of something here, so it is left alone",
        "exclude it, or see what is mounted there and why it fails",
    ),
    "too_deep": Kind(
        WARNING,
        "Directories are nested too deep here, and are left alone",
        "remove or exclude them",
    ),
    "read_only": Kind(
        ERROR,
        "The file system is mounted read-only",
        "remount it read-write",
    ),
    "missing_directory": Kind(
        INFO, "The directory does not exist and is skipped", "create it"
    ),
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. ``remedy`` is None where that of the code will do."""

    code: str
    path: str
    subject: str
    evidence: str
    message: str
    remedy: str | None = None

    @property
    def severity(self) -> str:
        """``error``, ``warning`` or ``info``."""
        return KINDS[self.code].severity

    def result(self, count: int) -> dict[str, Any]:
        """Return the finding as a module returns it; ``count`` inodes alike."""
        more = f" (and {count - 1:,} more alike)" if count > 1 else ""
        return {
            **path_fields(self.path),
            "code": self.code,
            "severity": self.severity,
            "subject": self.subject,
            "evidence": self.evidence,
            "message": self.message + more,
            "remedy": self.remedy or KINDS[self.code].remedy,
        }


class Findings:
    """Findings of one directory: what is alike is kept once and counted."""

    def __init__(self) -> None:
        """Start with none."""
        self._found: dict[tuple[str, str], tuple[Finding, int]] = {}

    def add(self, finding: Finding, count: int = 1) -> None:
        """Count a finding; the first of its code and subject is the example."""
        key = finding.code, finding.subject
        example, before = self._found.get(key, (finding, 0))
        self._found[key] = example, before + count

    def counted(self) -> Iterable[tuple[Finding, int]]:
        """Return each kind's example, and how many there are."""
        return self._found.values()

    @property
    def has_errors(self) -> bool:
        """True where a writer is or will be locked out."""
        return any(
            finding.severity == ERROR for finding, _count in self._found.values()
        )

    def results(self) -> list[dict[str, Any]]:
        """Return all, errors first, in the order of the table."""
        order = {ERROR: 0, WARNING: 1, INFO: 2}
        codes = list(KINDS)
        found = sorted(
            self._found.values(),
            key=lambda item: (order[item[0].severity], codes.index(item[0].code)),
        )
        return [finding.result(count) for finding, count in found]


_SENTENCES = {
    "granted_owner": "{who} owns it, and the owner has {held}",
    "granted_named_user": "the ACL names {who} with {held}",
    "granted_group": "{who} is in a group that has {held}",
    "granted_other": "{who} falls to other, which has {held}",
    "granted_capability": "{who} holds a capability that overrides permissions",
    "denied_search": "{who} may not enter {ancestor}, where it has {held}",
    "denied_create": "{who} has {held} on the directory, and needs -wx",
    "denied_owner": "{who} owns it, and the owner has {held}",
    "denied_named_user": "the ACL names {who} with {held}",
    "denied_group": "{who} falls to its group, which has {held}",
    "denied_mask": "the ACL's mask leaves {who} {held}",
    "denied_other": "{who} falls to other, which has {held}",
    "denied_sticky": "the directory is sticky and the file is somebody else's",
    "denied_read_only": "the file system is mounted read-only",
    "denied_immutable": "it is immutable (chattr +i)",
    "denied_not_regular": "it is not a regular file",
    "denied_sandbox": "the sandbox of its service {effect}",
    "unknown_acl": "an ACL that decides is too long to be looked at",
    "unknown_lsm": "the permissions let it, and {effect} may deny it",
}


_CAN = {True: "can", False: "cannot", None: "can perhaps"}


def because(who: str, verdict: Verdict) -> str:
    """Return why a verdict is what it is, as the end of a sentence."""
    return _SENTENCES[verdict.reason].format(
        who=who,
        held=perm_text(verdict.held or 0),
        ancestor=display(verdict.ancestor or ""),
        effect=verdict.effect,
    )


def explain(who: str, operation: str, what: str, verdict: Verdict) -> str:
    """Return one sentence: who can (or cannot) do what, and why."""
    can = _CAN[verdict.allowed]
    verb = "append to" if operation == "append" else operation
    return f"{who} {can} {verb} {what}: {because(who, verdict)}"


def described(owner: str, group: str, mode: int, creator: str | None = None) -> str:
    """Return an inode in few words, as evidence."""
    born = f"created by {creator} as " if creator else ""
    return f"{born}{owner}:{group} {mode:04o}"
