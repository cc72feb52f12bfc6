# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of _access.py and the kernel of this machine never disagree.

LOGWARD_DECISIONS says how many decisions are compared; LOGWARD_SEED, which a
failing run prints, which ones.
"""

from __future__ import annotations

import errno
import fcntl
import math
import os
import random
import shutil
import signal
import struct
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Callable

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from ansible_collections.logward.permissions.plugins.module_utils import _access
from ansible_collections.logward.permissions.plugins.module_utils._access import (
    DIRECTORY,
    SETGID,
    STICKY,
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

DECISIONS = int(os.environ.get("LOGWARD_DECISIONS", "20000"))
SEED = int(os.environ.get("LOGWARD_SEED") or random.SystemRandom().getrandbits(32))
#: What one run of hypothesis compares, and so what a replay repeats.
CHUNK = 20_000
#: For each special kind of place.
FEW = 2_000

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

    outcomes: Counter[tuple[str, bool]] = field(default_factory=Counter)
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
            differing = "\n".join(disagreements(predicted))
            assert not differing, differing
    finally:
        shutil.rmtree(top)
    for each in predicted:
        tally.add(each)


def agree(
    site: Path,
    decisions: int,
    random_cases: st.SearchStrategy[Case],
    around: Around = nothing,
    told: Callable[[str], None] = print,
) -> Tally:
    """Compare at least so many decisions; nothing that is returned disagreed."""
    tally = Tally()
    start = time.monotonic()
    for number, done in enumerate(range(0, decisions, CHUNK)):
        chunk = min(CHUNK, decisions - done)
        print(f"Replay: LOGWARD_SEED={SEED + number} LOGWARD_DECISIONS={chunk}")

        @seed(SEED + number)
        @settings(
            strategies.PROPERTY, max_examples=math.ceil(chunk / _LEAST_PER_EXAMPLE)
        )
        @given(random_cases)
        def agrees(case: Case) -> None:
            compare(site, case, around, tally)

        agrees()
        told(
            f"{tally.decisions:,} of {decisions:,} decisions, none differs; "
            f"{tally.decisions / (time.monotonic() - start):,.0f}/s; seed {SEED}"
        )
    assert tally.decisions >= decisions
    return tally


def test_20_000_random_decisions(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(progress: str) -> None:
        if DECISIONS > CHUNK:
            with capsys.disabled():
                print(f"\n{progress}", end="", flush=True)

    with kernel.protected_regular():
        tally = agree(site, DECISIONS, cases(), told=told)
    print(tally)
    # A random tree that lets nobody in, or everybody, would show nothing.
    for operation in ("search", "list", "read", "rewrite", "append", "create", "mkdir"):
        for allowed in (True, False):
            assert tally.outcomes[operation, allowed] > tally.decisions / 200
    assert {
        "granted_owner",
        "granted_named_user",
        "granted_group",
        "granted_other",
        "granted_capability",
        "denied_search",
        "denied_create",
        "denied_owner",
        "denied_named_user",
        "denied_group",
        "denied_mask",
        "denied_other",
    } <= set(tally.reasons)


def _status_of(*identities: Identity) -> dict[str, list[str]]:
    """What /proc says of a child that became one identity after the other."""

    def status() -> str:
        for identity in identities:
            kernel.become(identity)
        return Path("/proc/self/status").read_text(encoding="ascii")

    lines = kernel.in_child(status).splitlines()
    return {key: value.split() for key, value in (line.split(":", 1) for line in lines)}


ROOT = Identity("root", "root", 0, 0, frozenset(), capabilities=frozenset())
USER = Identity(
    "user",
    "user",
    strategies.UIDS[0],
    strategies.GIDS[0],
    frozenset(strategies.GIDS[1:3]),
    umask=0o027,
    capabilities=frozenset({"cap_dac_read_search"}),
)


@pytest.mark.parametrize("before", [(), (ROOT,), (USER,)])
@pytest.mark.parametrize("identity", [ROOT, USER])
def test_the_child_is_the_identity(
    identity: Identity, before: tuple[Identity, ...]
) -> None:
    status = _status_of(*before, identity)
    # real, effective, saved and file system uid: the second and last count
    assert status["Uid"][1::2] == [str(identity.uid)] * 2
    assert status["Gid"] == [str(identity.gid)] * 4
    assert status["Groups"] == [str(gid) for gid in sorted(identity.groups)]
    assert status["Umask"] == [f"{identity.umask:04o}"]
    assert int(status["CapEff"][0], 16) == (4 if identity.capabilities else 0)


def test_a_child_that_fails_is_no_answer() -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        kernel.in_child(lambda: 1 // 0)


def _fail_while_it_is(value: int) -> None:
    with kernel.protected_regular(value):
        assert kernel.read_protected_regular() == value
        1 // 0  # noqa: B018


def _die_while_it_is(value: int) -> None:
    with kernel.protected_regular(value):
        os.kill(os.getpid(), signal.SIGKILL)


def test_protected_regular_is_put_back() -> None:
    before = kernel.read_protected_regular()
    for value in (0, 1, 2):
        with pytest.raises(ZeroDivisionError):
            _fail_while_it_is(value)
        with pytest.raises(RuntimeError, match="died"):
            kernel.in_child(partial(_die_while_it_is, value))
        with kernel.protected_regular():  # waits until it is put back
            assert kernel.read_protected_regular() == before


@pytest.mark.parametrize("value", [0, 1, 2])
def test_protected_regular_in_sticky_directories(site: Path, value: int) -> None:
    sticky = strategies.inodes(
        DIRECTORY,
        st.sampled_from((7, 7, 7, 3, 5)),
        st.sampled_from((STICKY, STICKY | SETGID)),
    )
    with kernel.protected_regular(value):
        tally = agree(site, FEW, cases(sticky))
    assert bool(tally.reasons["denied_sticky"]) == bool(value)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param("mode=0755", id="tmpfs"),
        pytest.param("mode=0755,nosuid,nodev,noexec", id="tmpfs-noexec"),
    ],
)
def test_another_file_system(
    site: Path, mounted: Callable[..., Path], options: str
) -> None:
    other = mounted(site / "other", "-t", "tmpfs", "-o", options, "none")
    with kernel.protected_regular():
        agree(other, FEW, cases())


def test_mount_with_grpid(site: Path, mounted: Callable[..., Path]) -> None:
    image = site / "image"
    with image.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    other = mounted(site / "other", "-o", "loop,grpid", image)
    with kernel.protected_regular():
        tally = agree(other, FEW, cases())
    assert tally.outcomes["mkdir", True]


@contextmanager
def _read_only_mount(path: str) -> Iterator[None]:
    subprocess.run(["mount", "--bind", "-o", "ro", path, path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", path], check=True)


def test_read_only_mount(site: Path, private_mounts: None) -> None:  # noqa: ARG001
    with kernel.protected_regular():
        tally = agree(site, FEW, cases(), _read_only_mount)
    assert tally.reasons["denied_read_only"]
    assert not tally.outcomes["create", True]
    assert not tally.outcomes["append", True]
    assert tally.outcomes["read", True]


def test_read_only_file_system(site: Path, mounted: Callable[..., Path]) -> None:
    other = mounted(site / "other", "-t", "tmpfs", "-o", "mode=0755", "none")

    @contextmanager
    def read_only(_path: str) -> Iterator[None]:
        subprocess.run(["mount", "-o", "remount,ro", other], check=True)
        try:
            yield
        finally:
            subprocess.run(["mount", "-o", "remount,rw", other], check=True)

    with kernel.protected_regular():
        tally = agree(other, FEW, cases(), read_only)
    assert tally.reasons["denied_read_only"]
    assert not tally.outcomes["create", True]
    assert not tally.outcomes["append", True]


# include/uapi/linux/fs.h
_FS_IOC_SETFLAGS = 0x40086602
_FLAGS = {"immutable": 0x10, "append_only": 0x20}


def _set_flags(path: str, flags: int) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, _FS_IOC_SETFLAGS, struct.pack("=l", flags))
    finally:
        os.close(fd)


@pytest.mark.parametrize("of", ["directory", "file"])
@pytest.mark.parametrize("flag", _FLAGS)
def test_inode_flags(site: Path, of: str, flag: str) -> None:
    @contextmanager
    def flagged(path: str) -> Iterator[None]:
        inode = path if of == "directory" else f"{path}/file-0"
        _set_flags(inode, _FLAGS[flag])
        try:
            yield
        finally:
            _set_flags(inode, 0)

    with kernel.protected_regular():
        tally = agree(site, FEW, cases(), flagged)
    assert bool(tally.reasons["denied_immutable"]) == (flag == "immutable")
    assert tally.outcomes["append", True]
