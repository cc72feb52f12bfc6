# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The repair, again and again, while the owner of the tree attacks it.

Four processes exchange, move, link and lease what they may, as fast as they can.
LOGWARD_ATTACK_SECONDS says for how long.
"""

from __future__ import annotations

import ctypes
import fcntl
import multiprocessing
import os
import random
import signal
import stat
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.logward.permissions.plugins.module_utils import _survey
from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    OptionError,
)
from ansible_collections.logward.permissions.plugins.module_utils._history import Keep
from ansible_collections.logward.permissions.plugins.module_utils._policy import (
    parse_policies,
)
from ansible_collections.logward.permissions.plugins.module_utils._repair import (
    RepairOptions,
    repair,
)

SECONDS = float(os.environ.get("LOGWARD_ATTACK_SECONDS", "10"))
ATTACKERS = 4
DIRECTORIES, FILES = 10, 199
WEB, QUEUE, STRANGER = 64001, 64002, 64009
IDENTITIES = [
    {"name": "web", "user": "64001", "group": "64001"},
    {"name": "queue", "user": "64002", "group": "64002"},
]
#: Whose what is outside may be: root's, or of one whose files are repaired.
OUTSIDE = [(0, 0o600), (0, 0o644), (0, 0o755), (QUEUE, 0o600), (QUEUE, 0o644)]
#: What the attacker's own directory may hold of others, and it may move. A file
#: of a declared identity is not among them: in the tree it would be a log.
IN_REACH = [(0, 0o600), (0, 0o640), (0, 0o644), (0, 0o755), (STRANGER, 0o640)]
#: More than a repair takes; less than a lease of another delays who opens.
_LONGEST_RUN = 40
_RENAME_EXCHANGE = 2
_PR_SET_DUMPABLE = 4
_libc = ctypes.CDLL(None, use_errno=True)

State = tuple[Any, ...]


def _exchange(one: str, other: str) -> None:
    names = os.fsencode(one), os.fsencode(other)
    if _libc.renameat2(-100, names[0], -100, names[1], _RENAME_EXCHANGE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), one)


# What they attack


@dataclass
class Victims:
    """Inodes that are not the attacker's, by descriptors that pin them.

    It can touch the names of some, and so their ctime and number of links.
    """

    pinned: dict[int, str] = field(default_factory=dict)
    before: dict[int, State] = field(default_factory=dict)

    def add(self, path: Path) -> Path:
        fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        self.pinned[fd] = str(path)
        return path

    def changed(self) -> list[tuple[str, State, State]]:
        return [
            (path, self.before[fd], now)
            for fd, path in self.pinned.items()
            if (now := _state(fd)) != self.before[fd]
        ]

    def close(self) -> None:
        for fd in self.pinned:
            os.close(fd)


def _state(fd: int) -> State:
    path, status = f"/proc/self/fd/{fd}", os.fstat(fd)
    content = b""
    if stat.S_ISREG(status.st_mode):
        content = Path(path).read_bytes()
    attributes = {name: os.getxattr(path, name) for name in os.listxattr(path)}
    return status.st_mode, status.st_uid, status.st_gid, attributes, content


def _file(path: Path, uid: int, mode: int) -> Path:
    path.write_text("one line\n")
    os.chown(path, uid, uid)
    path.chmod(mode)
    return path


def _directory(path: Path, uid: int, mode: int = 0o755) -> Path:
    path.mkdir()
    os.chown(path, uid, uid)
    path.chmod(mode)
    return path


class _Site:
    """``app`` is the attacker's, with the logs in it; ``vault`` is outside."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.victims = Victims()
        self.vault = _directory(place / "vault", 0)
        self.app = _directory(place / "app", WEB)
        self.logs = _directory(self.app / "logs", WEB)
        self.planted: list[Path] = []
        self._fill()
        self.victims.before = {fd: _state(fd) for fd in self.victims.pinned}

    def _fill(self) -> None:
        for number in range(DIRECTORIES):
            uid = QUEUE if number % 5 == 4 else WEB
            logs = _directory(self.logs / f"d{number}", uid)
            vault = _directory(self.vault / f"d{number}", QUEUE if number % 2 else 0)
            self.victims.add(vault)
            for each in range(FILES):
                uid = QUEUE if each % 7 == 6 else WEB
                _file(logs / f"{each}.log", uid, 0o640)
                if each < 20:
                    outside = _file(vault / f"{each}.log", *OUTSIDE[each % 5])
                    self.victims.add(outside)
        for number, (uid, mode) in enumerate(IN_REACH * 2):
            self.victims.add(_file(self.app / f"secret{number}", uid, mode))
        for number, (uid, mode) in enumerate(OUTSIDE):
            outside = self.victims.add(_file(self.place / f"p{number}", uid, mode))
            os.link(outside, self.logs / f"d4/planted{number}")
        for number in range(ATTACKERS):
            for each in range(DIRECTORIES):
                link = self.app / f"link{number}-{each}"
                link.symlink_to(self.vault / f"d{each}/{each}.log")
                link = self.app / f"dirlink{number}-{each}"
                link.symlink_to(self.vault / f"d{each}")
            (self.app / f"loglink{number}").symlink_to(self.vault)
        for link in self.app.glob("*link*"):
            os.lchown(link, WEB, WEB)


# How


class _Attacker:
    """One process of the tree's owner. What it may not do, it tries again."""

    def __init__(self, number: int, victims: Victims) -> None:
        self.number = number
        self.others: Sequence[int] = ()
        self.done: Counter[str] = Counter()
        self.gained: list[str] = []
        self._random = random.Random()  # noqa: S311 - no secret
        self._leased: list[int] = []
        self._victims = dict(victims.pinned)
        self._could = set(self._openable(self._victims))
        weights = {
            self.exchange_file: 40,
            self.exchange_directory: 15,
            self.exchange_directories: 5,
            self.exchange_log_directory: 1,
            self.move: 10,
            self.link: 8,
            self.chmod: 20,
            self.lease: 4,
            self.stop: 1,
            self.open: 4,
        }
        self._acts = list(weights)
        self._weights = list(weights.values())

    def act(self) -> None:
        """Do something for which the others, and root, may come too early."""
        for act in self._random.choices(self._acts, self._weights, k=50):
            with suppress(OSError):
                act()
                self.done[act.__name__] += 1

    def _log(self) -> str:
        directory = self._random.randrange(DIRECTORIES)
        return f"d{directory}/{self._random.randrange(FILES)}.log"

    def _pause(self) -> None:
        """Leave it so for as long as root may take from a look to a change."""
        time.sleep(self._random.choice((0, 0, 0, 0, 0.0001, 0.001, 0.003)))

    def _there_and_back(self, name: str, link: str) -> None:
        if not os.path.islink(name):
            _exchange(name, link)
            self._pause()
        if os.path.islink(name):  # or another put it back
            _exchange(name, link)

    def exchange_file(self) -> None:
        each = self._random.randrange(DIRECTORIES)
        self._there_and_back(self._log(), f"../link{self.number}-{each}")

    def exchange_directory(self) -> None:
        each = self._random.randrange(DIRECTORIES)
        self._there_and_back(f"d{each}", f"../dirlink{self.number}-{each}")

    def exchange_directories(self) -> None:
        one, other = self._random.sample(range(DIRECTORIES), 2)
        _exchange(f"d{one}", f"d{other}")

    def exchange_log_directory(self) -> None:
        self._there_and_back("../logs", f"../loglink{self.number}")

    def move(self) -> None:
        """Move what others own from the directory above into the tree."""
        name = f"secret{self._random.randrange(2 * len(IN_REACH))}"
        inside = f"d{self._random.randrange(DIRECTORIES)}/{name}"
        with suppress(OSError):  # it is where another has exchanged a directory
            os.rename(f"../{name}", inside)
            self._pause()
        os.rename(inside, f"../{name}")

    def link(self) -> None:
        link = f"d{self._random.randrange(DIRECTORIES)}/hard{self.number}"
        with suppress(FileNotFoundError):  # it went with its directory
            os.unlink(link)
        os.link(self._log(), link, follow_symlinks=False)
        self._pause()
        os.unlink(link)

    def chmod(self) -> None:
        """Give root something to do, and undo it while root looks at it."""
        name, modes = self._log(), (0o600, 0o640, 0o604)
        if not self._random.randrange(20):
            name, modes = os.path.dirname(name), (0o700, 0o755, 0o770)
        for _time in range(self._random.choice((1, 1, 1, 1000))):
            os.chmod(name, self._random.choice(modes))

    def lease(self) -> None:
        """Let whoever opens the file wait, as long as the kernel lets them."""
        fd = os.open(self._log(), os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        self._leased.append(fd)
        if len(self._leased) > 20:
            os.close(self._leased.pop(0))
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)

    def stop(self) -> None:
        """Stop another, wherever it is, for a moment."""
        other = self._random.choice(self.others)
        os.kill(other, signal.SIGSTOP)
        self._pause()
        os.kill(other, signal.SIGCONT)

    def open(self) -> None:
        some = self._random.sample(list(self._victims), 5)
        for path, flags in self._openable({fd: self._victims[fd] for fd in some}):
            if (path, flags) not in self._could:
                self.gained.append(f"{path} could be opened with {flags:o}")

    @staticmethod
    def _openable(victims: dict[int, str]) -> Iterator[tuple[str, int]]:
        for fd, path in victims.items():
            for flags in (os.O_RDONLY, os.O_WRONLY):
                with suppress(OSError):
                    os.close(os.open(f"/proc/self/fd/{fd}", flags | os.O_NONBLOCK))
                    yield path, flags


def _attack(number: int, site: _Site, to: Connection) -> None:
    """Become the tree's owner, say so, and attack until there is an answer."""
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    os.chdir(site.logs)
    os.setgroups([])
    os.setresgid(WEB, WEB, WEB)
    os.setresuid(WEB, WEB, WEB)
    _libc.prctl(_PR_SET_DUMPABLE, 1)  # or its own descriptors are root's
    attacker = _Attacker(number, site.victims)
    to.send(os.getpid())
    attacker.others = to.recv()
    while not to.poll():
        attacker.act()
    to.send((attacker.done, attacker.gained))


@contextmanager
def _attackers(site: _Site) -> Iterator[Callable[[], None]]:
    """Attack during the block; raise what they gained. Yields what wakes all."""
    fork = multiprocessing.get_context("fork")
    pipes = [fork.Pipe() for _number in range(ATTACKERS)]
    processes = [
        fork.Process(target=_attack, args=(number, site, theirs), daemon=True)
        for number, (_ours, theirs) in enumerate(pipes)
    ]
    for process in processes:
        process.start()
    pids = [ours.recv() for ours, _theirs in pipes]

    def wake() -> None:
        for pid in pids:  # two can stop each other
            os.kill(pid, signal.SIGCONT)

    for (ours, _theirs), pid in zip(pipes, pids):
        ours.send([other for other in pids if other != pid])
    try:
        yield wake
        _check([ours for ours, _theirs in pipes], wake)
    finally:
        for process in processes:
            process.kill()
            process.join()
        for ours, theirs in pipes:
            ours.close()
            theirs.close()


def _check(pipes: Sequence[Connection], wake: Callable[[], None]) -> None:
    """Have them end, and raise what they gained or could not even try."""
    done: Counter[str] = Counter()
    gained = []
    for pipe in pipes:
        pipe.send(None)
    for pipe in pipes:
        while not pipe.poll(0.1):
            wake()
        counted, gains = pipe.recv()
        done.update(counted)
        gained += gains
    print("attacks:", dict(done))
    assert gained == []
    assert all(done[act.__name__] for act in _Attacker(0, Victims())._acts), done


# What comes of it


def _repaired(site: _Site, tally: Counter[str]) -> None:
    """Repair once; that the log directory itself is a link now is an answer."""
    declaration = {"path": str(site.logs), "writers": ["web", "queue"]}
    policies = parse_policies([declaration], IDENTITIES)
    journal = str(site.place / "journal")
    options = RepairOptions(f"run-{sum(tally.values())}", journal, 0, Keep(3, 1))
    start = time.monotonic()
    try:
        result = repair(policies, options)
    except OptionError as error:
        if "goes through a symbolic link" not in str(error):
            raise
        tally["refused"] += 1
        return
    assert time.monotonic() - start < _LONGEST_RUN
    (directory,) = result["directories"]
    tally["changed"] += directory["changed_inodes"]
    for each in directory["skipped"]:
        tally[each["reason"]] += each["count"]
    tally["runs"] += 1


@pytest.mark.parametrize("processes", [1, 2])
def test_repair_under_attack(
    site: Path,
    mounted: Callable[..., Path],
    listing: Callable[..., dict[str, State]],
    monkeypatch: pytest.MonkeyPatch,
    processes: int,
) -> None:
    monkeypatch.setattr(_survey, "_WORTH_A_PROCESS", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: range(processes))
    # In memory: each sync of the journal would put their renames on disk, too.
    options = ("-t", "tmpfs", "-o", "mode=0755", "none")
    attacked = _Site(mounted(site / "tmpfs", *options))
    try:
        before = listing(attacked.vault)
        descriptors = os.listdir("/proc/self/fd")
        tally: Counter[str] = Counter()
        with _attackers(attacked) as wake:
            end = time.monotonic() + SECONDS / 2
            while time.monotonic() < end:
                _repaired(attacked, tally)
                wake()
        print("repairs:", dict(tally))
        assert attacked.victims.changed() == []
        assert listing(attacked.vault) == before
        assert os.listdir("/proc/self/fd") == descriptors
    finally:
        attacked.victims.close()
    assert tally["changed"] > FILES / 10
    assert tally["symbolic_link"] + tally["hard_link"] + tally["foreign_owner"]
