# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random trees, what _access.py predicts for them, and what the kernel says.

A seed and a number of decisions always make the same ones.
"""

from __future__ import annotations

import errno
import math
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

from hypothesis import given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from ansible_collections.logward.permissions.plugins.module_utils import _access
from ansible_collections.logward.permissions.plugins.module_utils._access import (
    Inode,
    Place,
    Verdict,
)
from ansible_collections.logward.permissions.plugins.module_utils._acl import (
    READ,
    WRITE,
)
from ansible_collections.logward.permissions.plugins.module_utils._fs import (
    same_permissions,
)
from ansible_collections.logward.permissions.plugins.module_utils._identity import (
    Identity,
)
from ansible_collections.logward.permissions.tests.unit import kernel, strategies
from ansible_collections.logward.permissions.tests.unit.kernel import Question

_IDENTITIES = 6
_FILES = 2
#: For each identity: the search of at least two directories, the listing of
#: one, two ways to open each file, a new file and a new directory.
_LEAST_PER_EXAMPLE = _IDENTITIES * (2 + 1 + 2 * _FILES + 2)
_ALLOWED = Verdict(True, "allowed")
_ERRNOS = {
    # A read-only mount is looked at after the permissions, a read-only file
    # system before.
    "denied_read_only": (errno.EROFS, errno.EACCES),
    "denied_immutable": (errno.EPERM,),
}

Around = Callable[[str], AbstractContextManager[None]]


@dataclass(frozen=True)
class Case:
    """A tree, and who asks: an identity and what it requests of mkdir."""

    above: Sequence[Inode]
    directory: Inode
    files: Sequence[Inode]
    asking: Sequence[tuple[Identity, int]]


@dataclass(frozen=True)
class Prediction:
    question: Question
    verdict: Verdict
    created: Inode | None = None


@dataclass
class Tally:
    """What was compared, and with which outcome."""

    outcomes: Counter[tuple[str, bool | None]] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def decisions(self) -> int:
        return sum(self.outcomes.values())

    def add(self, prediction: Prediction) -> None:
        verdict = prediction.verdict
        self.outcomes[prediction.question.operation, verdict.allowed] += 1
        self.reasons[verdict.reason] += 1


def cases(
    directory: st.SearchStrategy[Inode] = strategies.directories,
) -> st.SearchStrategy[Case]:
    mkdir_modes = st.sampled_from((0o777, 0o777, 0o750, 0o700, 0o1777))
    asking = st.tuples(strategies.identities, mkdir_modes)
    return st.builds(
        Case,
        above=st.lists(strategies.ancestors, min_size=1, max_size=2),
        directory=directory,
        files=st.lists(strategies.files, min_size=_FILES, max_size=_FILES),
        asking=st.lists(asking, min_size=_IDENTITIES, max_size=_IDENTITIES),
    )


def predictions(
    case: Case, place: Place, files: Mapping[str, Inode]
) -> Iterator[Prediction]:
    for number, (identity, mkdir_mode) in enumerate(case.asking):
        yield from _searches(identity, place, len(case.above))
        yield _listing(identity, place)
        for path, file in files.items():
            yield from _of_file(identity, place, path, file)
        yield from _of_new_inodes(identity, place, mkdir_mode, str(number))


def _searches(identity: Identity, place: Place, above: int) -> Iterator[Prediction]:
    way = [*place.ancestors, (place.path, place.inode)]
    for depth in range(len(way) - above - 1, len(way)):
        path, inode = way[depth]
        verdict = _access._search(identity, Place(way[:depth], path, inode))
        yield Prediction(Question(identity, "search", path), verdict or _ALLOWED)


def _listing(identity: Identity, place: Place) -> Prediction:
    parent = Place(place.ancestors[:-1], *place.ancestors[-1])
    verdict = _access.permission(identity, place.inode, READ)
    return Prediction(
        Question(identity, "list", place.path),
        _access._search(identity, parent) or verdict,
    )


def _of_file(
    identity: Identity, place: Place, path: str, file: Inode
) -> Iterator[Prediction]:
    read = _access.may_read(identity, place, file)
    yield Prediction(Question(identity, "read", path), read)
    append = _access.may_append(identity, place, file)
    yield Prediction(Question(identity, "append", path), append)
    if not (file.mount.read_only or file.immutable or file.append_only):
        # What needs two bits at once; permission() does not know the others.
        both = _access.permission(identity, file, READ | WRITE)
        verdict = _access._search(identity, place) or both
        yield Prediction(Question(identity, "rewrite", path), verdict)


def _of_new_inodes(
    identity: Identity, place: Place, mkdir_mode: int, name: str
) -> Iterator[Prediction]:
    verdict = _access.may_create(identity, place)
    path = f"{place.path}/new-file-{name}"
    yield Prediction(
        Question(identity, "create", path, identity.request_mode),
        verdict,
        _access.created_file(identity, place.inode),
    )
    path = f"{place.path}/new-directory-{name}"
    yield Prediction(
        Question(identity, "mkdir", path, mkdir_mode),
        verdict,
        _access.created_directory(identity, place.inode, mkdir_mode),
    )


def disagreements(predicted: Sequence[Prediction]) -> Iterator[str]:
    answers = kernel.ask_kernel([each.question for each in predicted])
    for each, answer in zip(predicted, answers):
        question, verdict = each.question, each.verdict
        denials = _ERRNOS.get(verdict.reason, (errno.EACCES,))
        if answer not in ((0,) if verdict.allowed else denials):
            said = errno.errorcode.get(answer, "allowed")
            yield f"predicted {verdict}; the kernel: {said}; {question}"
        elif each.created is not None and answer == 0:
            found = kernel.observe(question.path)
            if not same_permissions(found, each.created):
                yield f"predicted {each.created}; the kernel: {found}; {question}"


def nothing(_path: str) -> AbstractContextManager[None]:
    return nullcontext()


def ignored(_decisions: int) -> None:
    """Hear of progress, and say nothing."""


def compare(site: Path, case: Case, around: Around, tally: Tally) -> None:
    path = top = f"{site}/tree"
    try:
        for inode in (*case.above, case.directory):
            kernel.put(path, inode)
            path += "/d"
        path = os.path.dirname(path)
        names = [f"{path}/file-{number}" for number in range(len(case.files))]
        for name, inode in zip(names, case.files):
            kernel.put(name, inode)
        with around(path):
            place, files = kernel.observe_place(path, names)
            predicted = list(predictions(case, place, files))
            differing = next(disagreements(predicted), None)
            assert differing is None, differing
    finally:
        shutil.rmtree(top)
    for each in predicted:
        tally.add(each)


def agree(
    site: Path,
    decisions: int,
    seed: int,
    random_cases: st.SearchStrategy[Case],
    around: Around = nothing,
    told: Callable[[int], None] = ignored,
) -> Tally:
    """Compare at least so many decisions; nothing that is returned disagreed.

    ``told`` hears, after each tree, how many decisions that makes.
    """
    tally = Tally()

    @seeded(seed)
    @settings(
        strategies.PROPERTY, max_examples=math.ceil(decisions / _LEAST_PER_EXAMPLE)
    )
    @given(random_cases)
    def agrees(case: Case) -> None:
        compare(site, case, around, tally)
        told(tally.decisions)

    agrees()
    assert tally.decisions >= decisions
    return tally
