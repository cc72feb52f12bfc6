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
from collections.abc import Callable, Iterator, Sequence
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
from ._identity import Identity
from ._lsm import enforced_on_all
from ._names import display, path_fields
from ._policy import Policy
from ._predict import access_to
from ._result import acl_text
from ._running import confined
from ._survey import read_kernel_settings, require_root

_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)
_NO_TMPFILE = (errno.EOPNOTSUPP, errno.EISDIR)
_QUIET = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
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
    probes: list[dict[str, Any]] = []
    for policy in policies:
        try:
            tree = Tree(policy.path)
        except MissingDirectory:
            if not policy.skip_missing:
                raise
            continue
        with closing(tree):
            path = display(policy.path)
            results = _DirectoryProbe(confined(policy, module), tree).results(
                max_probed
            )
            probes += [{"directory": path, **result} for result in results]
    return {
        "probes": probes,
        "disagreements": [each for each in probes if not each["agrees"]],
    }


class _DirectoryProbe:
    """Asks about one log directory."""

    def __init__(self, policy: Policy, tree: Tree) -> None:
        self._policy = policy
        self._tree = tree
        self._place = Place(
            tree.ancestors,
            policy.path,
            tree.observe().inode,
            read_kernel_settings().protected_regular,
        )

    def results(self, max_probed: int) -> Iterator[dict[str, Any]]:
        """Yield one result for each open that was tried."""
        files = self._files(max_probed)
        with ExitStack() as opened:
            created = []
            for creator in self._policy.writers:
                result, next_file = self._create(creator)
                yield result
                if next_file is not None:
                    opened.callback(os.close, next_file.fd)
                    created.append(next_file)
            for identity in self._policy.identities:
                questions = [
                    *self._about_files(identity, files),
                    *self._about_next_files(identity, created),
                ]
                yield from _answers(identity, questions)

    def _files(self, most: int) -> list[tuple[str, Inode]]:
        visits = Walk(self._tree, self._policy.excluded).visits(False, set())
        files = (
            (visit.name, visit.observed.inode)
            for visit in visits
            if visit.observed.inode.kind == REGULAR
        )
        return list(islice(files, most))

    def _about_files(
        self, identity: Identity, files: Sequence[tuple[str, Inode]]
    ) -> Iterator[Question]:
        for name, inode in files:
            for row in access_to(self._policy, self._place, inode):
                # Only O_CREAT meets the sticky rule, and the probe never creates.
                sticky = row.verdict.reason == "denied_sticky"
                if row.identity == identity and not sticky:
                    opener = self._opener(identity, name, _MODES[row.operation])
                    yield Question(name, None, row.operation, row.verdict, opener)

    def _about_next_files(
        self, identity: Identity, created: Sequence[NextFile]
    ) -> Iterator[Question]:
        for file in created:
            for row in access_to(self._policy, self._place, file.inode):
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
        path = os.path.join(self._policy.path, name)
        return partial(os.open, path, flags | _QUIET)

    def _create(self, creator: Identity) -> tuple[dict[str, Any], NextFile | None]:
        """Let ``creator`` create the next file, unnamed; compare what it got."""
        predicted = may_create(creator, self._place)
        if creator.uid == 0:
            where, directory_fd = ".", self._tree.fd
        else:
            where, directory_fd = self._policy.path, None
        create = partial(_new_file, where, directory_fd, creator.request_mode)
        question = Question("", creator.id, "create", predicted, create)
        error, descriptors = ask_as(creator, lambda: _keep(create))
        result = _result(creator, question, error)
        if not descriptors:
            return result, None
        inode = observe_fd(descriptors[0], self._tree.mounts).inode
        wanted = created_file(creator, self._place.inode)
        result["agrees"] = result["agrees"] and same_permissions(inode, wanted)
        result["access_acl"] = acl_text(inode.acl)
        return result, NextFile(creator, descriptors[0], inode)


def _answers(
    identity: Identity, questions: Sequence[Question]
) -> Iterator[dict[str, Any]]:
    openers = [question.opener for question in questions]
    errors, _none = ask_as(identity, lambda: ([_try(each) for each in openers], []))
    for question, error in zip(questions, errors):
        if error is None or not is_gone(OSError(error, "")):
            yield _result(identity, question, error)


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


def _keep(opener: Callable[[], int]) -> tuple[int | None, list[int]]:
    """Open and keep; return the errno, or None and the descriptor."""
    try:
        return None, [opener()]
    except OSError as error:
        return error.errno, []


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
