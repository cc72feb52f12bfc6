# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The probe: what the kernel itself says, beside what was predicted.

Nothing is written, and nothing gets a name that a rotation, a log shipper or a
watch could see: existing files are opened without O_CREAT and closed, and the
next file is an O_TMPFILE, which inherits like any other.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from ._access import REGULAR, Inode, Place, Verdict, created_file, may_create
from ._become import ask_as
from ._fs import (
    MissingDirectory,
    Tree,
    Walk,
    is_gone,
    observe_fd,
    proc_path,
    same_permissions,
)
from ._host import read_kernel_settings, require_root
from ._identity import Identity
from ._lsm import enforced_on_all
from ._names import display, path_fields
from ._policy import Policy, confined
from ._predict import access_to
from ._result import acl_text

_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)
_NO_TMPFILE = (errno.EOPNOTSUPP, errno.EISDIR)
_QUIET = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
#: So that no process has too many files open, however many writers there are.
_DIRECTORIES_AT_ONCE = 25
_MODES = {"read": os.O_RDONLY, "append": os.O_WRONLY | os.O_APPEND}


@dataclass(frozen=True)
class Question:
    """One open by one identity, how it is done, and what was predicted."""

    path: str
    creator: str | None
    operation: str
    predicted: Verdict
    opener: Callable[[], int]


@dataclass(frozen=True)
class NextFile:
    """An unnamed file that ``creator`` has just created."""

    creator: Identity
    fd: int
    inode: Inode


def probe(policies: Sequence[Policy], max_probed: int) -> dict[str, Any]:
    """Return what ``log_directory_probe`` returns.

    At most ``max_probed`` files of each directory are opened, the newest
    first. Raises HostError where a child process fails or hangs.
    """
    require_root()
    module = enforced_on_all()
    confined_policies = [confined(policy, module) for policy in policies]
    probes: list[dict[str, Any]] = []
    for start in range(0, len(policies), _DIRECTORIES_AT_ONCE):
        with ExitStack() as opened:
            some = confined_policies[start : start + _DIRECTORIES_AT_ONCE]
            directories = list(_directories(some, max_probed, opened))
            _create_next_files(directories, opened)
            _ask_everybody(directories)
        probes += [result for each in directories for result in each.results]
    return {
        "probes": probes,
        "disagreements": [each for each in probes if not each["agrees"]],
    }


def _directories(
    policies: Iterable[Policy], max_probed: int, opened: ExitStack
) -> Iterator[_DirectoryProbe]:
    for policy in policies:
        try:
            tree = opened.enter_context(closing(Tree(policy.path)))
        except MissingDirectory:
            if not policy.skip_missing:
                raise
            continue
        yield _DirectoryProbe(policy, tree, max_probed)


def _create_next_files(
    directories: Sequence[_DirectoryProbe], opened: ExitStack
) -> None:
    """Let each creator create its next file everywhere, in one child process."""
    for creator, theirs in _by_identity(directories, lambda policy: policy.writers):
        creations = [directory.creation(creator) for directory in theirs]
        openers = [creation.opener for creation in creations]
        errors, fds = ask_as(creator, partial(_keep_open, openers))
        for fd in fds:
            opened.callback(os.close, fd)
        created = iter(fds)
        for directory, creation, error in zip(theirs, creations, errors):
            own = next(created) if error is None else None
            directory.judge_creation(creator, creation, error, own)


def _ask_everybody(directories: Sequence[_DirectoryProbe]) -> None:
    """Let each identity open what it can, in one child process."""
    for identity, theirs in _by_identity(directories, lambda policy: policy.identities):
        questions = [
            (directory, question)
            for directory in theirs
            for question in directory.questions(identity)
        ]
        openers = [question.opener for _directory, question in questions]
        errors, _none = ask_as(identity, partial(_try_all, openers))
        for (directory, question), error in zip(questions, errors):
            if error is None or not is_gone(OSError(error, "")):
                directory.add(_result(identity, question, error))


def _by_identity(
    directories: Iterable[_DirectoryProbe],
    identities_of: Callable[[Policy], Iterable[Identity]],
) -> Iterable[tuple[Identity, list[_DirectoryProbe]]]:
    found: dict[Identity, list[_DirectoryProbe]] = {}
    for directory in directories:
        for identity in identities_of(directory.policy):
            found.setdefault(identity, []).append(directory)
    return found.items()


class _DirectoryProbe:
    """What is asked about one log directory, and the answers."""

    def __init__(self, policy: Policy, tree: Tree, max_probed: int) -> None:
        self.policy = policy
        self.results: list[dict[str, Any]] = []
        self._tree = tree
        self._place = Place(
            tree.ancestors,
            policy.path,
            tree.observe().inode,
            read_kernel_settings().protected_regular,
        )
        self._files = self._newest(max_probed)
        self._created: list[NextFile] = []

    def add(self, result: Mapping[str, Any]) -> None:
        """Take an answer."""
        self.results.append({"directory": display(self.policy.path), **result})

    def creation(self, creator: Identity) -> Question:
        """Return how ``creator`` creates the next file, unnamed."""
        if creator.uid == 0:
            where, directory_fd = ".", self._tree.fd
        else:
            where, directory_fd = self.policy.path, None
        create = partial(_new_file, where, directory_fd, creator.request_mode)
        predicted = may_create(creator, self._place)
        return Question("", creator.id, "create", predicted, create)

    def judge_creation(
        self, creator: Identity, creation: Question, error: int | None, fd: int | None
    ) -> None:
        """Compare what ``creator`` got with what was predicted."""
        result = _result(creator, creation, error)
        if fd is not None:
            inode = observe_fd(fd, self._tree.mounts).inode
            wanted = created_file(creator, self._place.inode)
            result["agrees"] = result["agrees"] and same_permissions(inode, wanted)
            result["access_acl"] = acl_text(inode.acl)
            self._created.append(NextFile(creator, fd, inode))
        self.add(result)

    def questions(self, identity: Identity) -> Iterator[Question]:
        """Yield what to ask ``identity``, once the next files are there."""
        yield from self._about_files(identity)
        yield from self._about_next_files(identity)

    def _newest(self, most: int) -> list[tuple[str, Inode]]:
        visits = Walk(self._tree, self.policy.excluded).visits(False, set())
        files = (
            (visit.name, visit.observed.inode)
            for visit in visits
            if visit.observed.inode.kind == REGULAR
        )
        return list(islice(files, most))

    def _about_files(self, identity: Identity) -> Iterator[Question]:
        for name, inode in self._files:
            for row in access_to(self.policy, self._place, inode):
                # Only O_CREAT meets the sticky rule, and the probe never creates.
                sticky = row.verdict.reason == "denied_sticky"
                if row.identity == identity and not sticky:
                    opener = self._opener(identity, name, _MODES[row.operation])
                    yield Question(name, None, row.operation, row.verdict, opener)

    def _about_next_files(self, identity: Identity) -> Iterator[Question]:
        for file in self._created:
            for row in access_to(self.policy, self._place, file.inode):
                # The descriptor leads past the directories on the way.
                searched = row.verdict.reason in ("denied_search", "denied_sticky")
                if row.identity == identity and not searched:
                    flags = _MODES[row.operation] | os.O_NONBLOCK | os.O_CLOEXEC
                    opener = partial(os.open, proc_path(file.fd), flags)
                    creator = file.creator.id
                    yield Question("", creator, row.operation, row.verdict, opener)

    def _opener(self, identity: Identity, name: str, flags: int) -> Callable[[], int]:
        """Return how ``identity`` opens a name in the directory.

        Root never goes by a path that others could exchange meanwhile.
        """
        if identity.uid == 0:
            return partial(os.open, name, flags | _QUIET, dir_fd=self._tree.fd)
        path = os.path.join(self.policy.path, name)
        return partial(os.open, path, flags | _QUIET)


def _new_file(where: str, directory_fd: int | None, mode: int) -> int:
    """Create a file without a name; where that cannot be, one that loses it."""
    try:
        flags = os.O_WRONLY | os.O_TMPFILE | os.O_EXCL | _QUIET
        return os.open(where, flags, mode, dir_fd=directory_fd)
    except OSError as error:
        if error.errno not in _NO_TMPFILE:
            raise
    name = os.path.join(where, f".logward-probe-{os.getpid()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _QUIET
    fd = os.open(name, flags, mode, dir_fd=directory_fd)
    os.unlink(name, dir_fd=directory_fd)
    return fd


def _try(opener: Callable[[], int]) -> int | None:
    """Open and close; return the errno, or None where it went well."""
    try:
        os.close(opener())
    except OSError as error:
        return error.errno
    return None


def _try_all(
    openers: Iterable[Callable[[], int]],
) -> tuple[list[int | None], list[int]]:
    return [_try(opener) for opener in openers], []


def _keep_open(
    openers: Iterable[Callable[[], int]],
) -> tuple[list[int | None], list[int]]:
    """Open all; return the errno of each, None where it went well, and what is open."""
    errors: list[int | None] = []
    fds = []
    for opener in openers:
        try:
            fds.append(opener())
            errors.append(None)
        except OSError as error:
            errors.append(error.errno)
    return errors, fds


def _result(
    identity: Identity, question: Question, error: int | None
) -> dict[str, Any]:
    known = error is None or error in _DENIED
    predicted = question.predicted.allowed
    return {
        **path_fields(question.path),
        "identity": identity.id,
        "creator": question.creator,
        "operation": question.operation,
        "allowed": error is None if known else None,
        "error": None if error is None else errno.errorcode.get(error, str(error)),
        "predicted": predicted,
        "reason": question.predicted.reason,
        "agrees": not known or predicted in (None, error is None),
    }
