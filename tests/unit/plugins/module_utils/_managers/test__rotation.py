# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rehearsal of a rotation: the real logrotate makes what was predicted."""

from __future__ import annotations

import grp
import pwd
import random
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._access import (
    DIRECTORY,
    REGULAR,
    SETGID,
    Inode,
    Place,
)
from ansible_collections.logward.permissions.plugins.module_utils._acl import (
    Acl,
    from_mode,
)
from ansible_collections.logward.permissions.plugins.module_utils._fs import (
    same_permissions,
)
from ansible_collections.logward.permissions.plugins.module_utils._identity import (
    Identity,
)
from ansible_collections.logward.permissions.plugins.module_utils._managers._conflicts import (
    LogFile,
    Logs,
)
from ansible_collections.logward.permissions.plugins.module_utils._managers._logrotate_conf import (
    Configuration,
    Stanza,
    read,
)
from ansible_collections.logward.permissions.plugins.module_utils._managers._rotation import (
    is_insecure,
    next_files,
    refused,
    rotated_files,
    rotator,
    su_candidate,
    sufficient,
)
from ansible_collections.logward.permissions.plugins.module_utils._policy import Policy
from ansible_collections.logward.permissions.tests.unit.kernel import (
    observe,
    observe_place,
    put,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._managers.said import (
    OLD,
)

ROUNDS = 150
WEB, GAMES, NOBODY = (
    pwd.getpwnam(name).pw_uid for name in ("www-data", "games", "nobody")
)
WEBS, ADM = (grp.getgrnam(name).gr_gid for name in ("www-data", "adm"))
IDS = (0, WEB, GAMES, NOBODY, 64001)
GIDS = (0, WEBS, ADM, 64001)
WRITERS = tuple(
    Identity(name, name, uid, gid, frozenset())
    for name, uid, gid in (
        ("web", WEB, WEBS),
        ("games", GAMES, 60),
        ("app", 64001, 64001),
    )
)
CREATES = (
    *("create", "create 0640 www-data adm", "create 0660", "create www-data adm"),
    *("create 0600 root root", "create 02664 games adm", "create 0444", "create 0020"),
    *("nocreate", "copytruncate", "create\n copy", "create\n renamecopy"),
)
SUS = (
    "",
    "",
    "su www-data adm",
    "su root adm",
    "su games www-data",
    "su www-data www-data",
)


def rotate(site: Path, directives: str, name: str = "app.log") -> tuple[Stanza, int]:
    """Have the real logrotate rotate a log now; return what it exited with."""
    path = site / "logrotate.conf"
    path.write_text(f"{site}/logs/{name} {{\n rotate 3\n {directives}\n}}\n")
    path.chmod(0o644)
    (stanza,) = read("/", str(path)).stanzas
    run = subprocess.run(
        ["logrotate", "-f", "-s", site / "state", path],
        capture_output=True,
        check=False,
        timeout=60,
    )
    return stanza, run.returncode


def random_acl(chance: random.Random, minimal: bool) -> Acl:
    perms = [chance.randint(0, 7) for _case in range(4)]
    if minimal:
        return Acl(perms[0], perms[1], perms[2])
    users = tuple(sorted((uid, chance.randint(0, 7)) for uid in chance.sample(IDS, 2)))
    groups = tuple(
        sorted((gid, chance.randint(0, 7)) for gid in chance.sample(GIDS, 1))
    )
    return Acl(perms[0], perms[1], perms[2], perms[3], users, groups)


def random_inode(chance: random.Random, kind: str) -> Inode:
    acl = random_acl(chance, chance.random() < 0.4)
    if kind == REGULAR:
        return Inode(kind, chance.choice(IDS), chance.choice(GIDS), 0, acl)
    default = None
    if chance.random() < 0.7:
        default = random_acl(chance, chance.random() < 0.2)
    return Inode(
        kind,
        chance.choice(IDS),
        chance.choice(GIDS),
        chance.choice((0, SETGID)),
        acl,
        default,
    )


def logs_of(path: Path, files: dict[str, Inode], writers: tuple[Identity, ...]) -> Logs:
    place, _none = observe_place(str(path))
    policy = Policy(str(path), writers)
    found = tuple(LogFile(name, inode, inode) for name, inode in files.items())
    return Logs(policy, place, place, found)


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_the_real_logrotate_makes_what_was_predicted(site: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    directory, log = site / "logs", site / "logs/app.log"
    put(str(directory), random_inode(chance, DIRECTORY))
    old = random_inode(chance, REGULAR)
    put(str(log), old)
    before = log.stat().st_ino
    logs = logs_of(directory, {"app.log": observe(str(log))}, WRITERS)
    directives = f"{chance.choice(CREATES)}\n {chance.choice(SUS)}"
    stanza, status = rotate(site, directives)
    settings, (rotated,) = stanza.settings, rotated_files(stanza, logs)
    insecure = settings.su is None and is_insecure(logs.before.inode)
    who = rotator(settings)
    denied = refused(who, settings, logs.before, rotated.before)
    if insecure or denied:
        assert status != 0
        untouched = denied is None or denied[0] == "rotate"
        assert not untouched or log.stat().st_ino == before
        return
    if OLD and who.uid:
        return  # before 3.19 it fails where it cannot give the file away
    files = next_files(stanza, logs, [rotated])
    if not files:
        assert status == 0
        assert log.exists() == (not settings.replaces)
        return
    (predicted,) = files
    assert status == 0
    found = observe(str(log))
    assert log.stat().st_ino != before
    assert same_permissions(found, predicted.after), (found, predicted.after)


DEFAULT = Acl(7, 5, 0, 7, users=((GAMES, 7), (WEB, 7), (64001, 7)))
REPAIRED = Inode(
    DIRECTORY, WEB, WEBS, SETGID, Acl(7, 5, 5, 7, ((GAMES, 7), (64001, 7))), DEFAULT
)
GOOD = Inode(REGULAR, WEB, WEBS, 0, Acl(6, 4, 0, 6, users=((GAMES, 6), (64001, 6))))


@pytest.mark.parametrize(
    ("directives", "mode", "owner", "held"),
    [
        # the group bits are the mask, so that 0640 leaves the named writers r--
        ("su root root\n create 0640 www-data adm", 0o640, "www-data:adm", None),
        ("su root root\n create 0660 www-data adm", 0o660, "www-data:adm", 6),
        ("su root root\n create", 0o660, "www-data:www-data", 6),
        ("su root root\n create games adm", 0o660, "games:adm", 6),
        # who is not root gives nothing away, and the directory's setgid counts
        ("su games adm\n create 0660 www-data adm", 0o660, "games:www-data", 6),
    ],
)
def test_what_comes_of_a_repaired_directory(
    site: Path, directives: str, mode: int, owner: str, held: int | None
) -> None:
    put(str(site / "logs"), REPAIRED)
    put(str(site / "logs/app.log"), GOOD)
    logs = logs_of(site / "logs", {"app.log": GOOD}, WRITERS)
    stanza, status = rotate(site, directives)
    if OLD and "su games" in directives:
        return
    assert status == 0
    (predicted,) = next_files(stanza, logs, rotated_files(stanza, logs))
    found = observe(str(site / "logs/app.log"))
    assert same_permissions(found, predicted.after)
    names = pwd.getpwuid(found.uid).pw_name, grp.getgrgid(found.gid).gr_name
    assert (found.mode, ":".join(names)) == (mode, owner)
    writes = dict(found.acl.users)[64001] & (found.acl.mask or 0)
    assert (writes == 6) == (held == 6)


def test_without_a_mode_the_missing_acl_is_copied_too(site: Path) -> None:
    bare = replace(GOOD, acl=from_mode(0o640))
    put(str(site / "logs"), REPAIRED)
    put(str(site / "logs/app.log"), bare)
    logs = logs_of(site / "logs", {"app.log": bare}, WRITERS)
    stanza, status = rotate(site, "su root root\n create")
    (predicted,) = next_files(stanza, logs, rotated_files(stanza, logs))
    found = observe(str(site / "logs/app.log"))
    assert status == 0
    assert found.acl == predicted.after.acl == from_mode(0o640)


@pytest.mark.parametrize(
    ("gid", "mode", "insecure"),
    [
        (WEBS, 0o775, True),
        (0, 0o775, False),
        (WEBS, 0o755, False),
        (0, 0o757, True),
        (WEBS, 0o2770, True),
    ],
)
def test_what_logrotate_calls_insecure(
    site: Path, gid: int, mode: int, insecure: bool
) -> None:
    directory = Inode(DIRECTORY, WEB, gid, mode & SETGID, from_mode(mode & 0o777))
    put(str(site / "logs"), directory)
    put(str(site / "logs/app.log"), GOOD)
    _stanza, status = rotate(site, "create")
    assert is_insecure(directory) == insecure == (status != 0)


def test_the_mask_of_a_repaired_directory_is_insecure(site: Path) -> None:
    """Group bits r-x, and a mask that lets named writers write: refused."""
    put(str(site / "logs"), REPAIRED)
    put(str(site / "logs/app.log"), GOOD)
    _stanza, status = rotate(site, "create")
    assert status != 0
    assert is_insecure(REPAIRED)
    assert not is_insecure(replace(REPAIRED, acl=from_mode(0o755), special=0))


def test_compression_as_somebody_who_may_not_read(site: Path) -> None:
    secret = replace(GOOD, uid=WEB, acl=from_mode(0o600))
    put(str(site / "logs"), REPAIRED)
    put(str(site / "logs/app.log"), secret)
    place = Place((), str(site / "logs"), REPAIRED)
    stanza, status = rotate(site, "su games adm\n nocreate\n compress")
    denied = refused(rotator(stanza.settings), stanza.settings, place, secret)
    assert status != 0
    assert denied is not None
    assert denied[0] == "compress"


@pytest.mark.parametrize(
    ("directives", "wanted"),
    [
        ("create 0640 www-data adm", 0o660),
        ("create 0600 root adm", 0o660),
        ("create 0660 root adm", 0o660),
        ("create 0400 www-data adm", 0o660),
        ("nocreate", 0o660),
    ],
)
def test_the_least_mode_that_is_enough(
    site: Path, directives: str, wanted: int
) -> None:
    put(str(site / "logs"), REPAIRED)
    put(str(site / "logs/app.log"), GOOD)
    logs = logs_of(site / "logs", {"app.log": GOOD}, WRITERS)
    stanza, _status = rotate(site, directives)
    candidate = su_candidate(logs)
    assert candidate is not None
    assert candidate.name == "web"
    for _once in (1,):
        new = sufficient(stanza, logs)
        assert new is not None
        assert new.mode == wanted


def test_no_mode_helps_before_the_repair(site: Path) -> None:
    put(str(site / "logs"), replace(REPAIRED, acl=from_mode(0o755), default_acl=None))
    put(str(site / "logs/app.log"), GOOD)
    logs = logs_of(site / "logs", {"app.log": GOOD}, WRITERS)
    stanza, _status = rotate(site, "create 0640 www-data adm")
    assert sufficient(stanza, logs) is None


def test_a_log_of_tomorrow_is_what_its_creator_makes_of_it(site: Path) -> None:
    put(str(site / "logs"), REPAIRED)
    logs = replace(
        logs_of(site / "logs", {}, WRITERS), coming=("app-2026-11-30.log", "x.txt")
    )
    stanza, _status = rotate(site, "missingok\n create 0600 www-data adm", "app-*.log")
    rotated = rotated_files(stanza, logs)
    assert {each.name for each in rotated} == {"app-2026-11-30.log"}
    assert [each.before.uid for each in rotated] == [WEB, GAMES, 64001]
    assert Configuration().stanzas == ()
