# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""tmpfiles.d: what the real systemd-tmpfiles makes of a directory and its logs."""

from __future__ import annotations

import os
import random
import shutil
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
from ansible_collections.logward.permissions.plugins.module_utils._managers._host import (
    Host,
)
from ansible_collections.logward.permissions.plugins.module_utils._managers._tmpfiles import (
    applied,
    read,
)
from ansible_collections.logward.permissions.plugins.module_utils._managers._tmpfiles_conf import (
    parse,
)
from ansible_collections.logward.permissions.plugins.module_utils._policy import Policy
from ansible_collections.logward.permissions.tests.unit.kernel import observe, put
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._writers.files import (
    host,
)

ROUNDS = 120
WEB, GAMES = 33, 5
NAMED = ((GAMES, 7), (64001, 7))
REPAIRED = Inode(
    DIRECTORY,
    WEB,
    WEB,
    SETGID,
    Acl(7, 5, 5, 7, NAMED),
    Acl(7, 5, 5, 7, NAMED),
)
DIRECTORIES = (
    REPAIRED,
    replace(REPAIRED, uid=0),
    replace(REPAIRED, acl=from_mode(0o755), default_acl=None),
)
LOG = Inode(REGULAR, WEB, WEB, 0, Acl(6, 4, 4, 6, ((GAMES, 6), (64001, 6))))
MODES = ("-", "0755", "0750", "02775", "~0777", ":0700", "0640", "1777")
USERS = ("-", "www-data", "games", ":root", "root")
ARGUMENTS = ("u:games:rwx", "d:u:games:rwx", "g:adm:r-x,d:g:adm:r-x", "u:64001:---")

needs_the_tool = pytest.mark.skipif(
    shutil.which("systemd-tmpfiles") is None,
    reason="needs systemd-tmpfiles, which this image has not",
)


def create(site: Path, text: str) -> None:
    path = site / "one.conf"
    path.write_text(text)
    subprocess.run(["systemd-tmpfiles", "--create", path], check=True)


def random_line(chance: random.Random, logs: Path) -> str:
    kind = chance.choice(("d", "D", "e", "z", "Z", "m", "a", "a+", "A+", "f", "v"))
    file = logs / "app.log"
    if kind in "aa+A+":
        target = chance.choice((logs, file))
        argument = chance.choice(ARGUMENTS)
        return f"{kind} {target} - - - - {argument}"
    target = file if kind == "f" else logs
    if kind in "zm":
        target = chance.choice((logs, file, logs / "*.log"))
    user, group = chance.choice(USERS), chance.choice(USERS)
    return f"{kind} {target} {chance.choice(MODES)} {user} {group} - -"


@needs_the_tool
@pytest.mark.parametrize("seed", range(ROUNDS))
def test_the_real_tool_does_what_was_predicted(site: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    logs = site / "logs"
    put(str(logs), chance.choice(DIRECTORIES))
    put(str(logs / "app.log"), chance.choice((LOG, replace(LOG, acl=from_mode(0o640)))))
    text = random_line(chance, logs)
    line = parse(text, "one.conf", 1)
    assert line is not None
    before = {path: observe(str(path)) for path in (logs, logs / "app.log")}
    create(site, text + "\n")
    manager = read(Host(str(site)))  # reads nothing there
    assert not manager.problems
    for path, inode in before.items():
        found = observe(str(path))
        about = line.path == str(path) or (
            line.path.endswith("*.log") and path.suffix == ".log"
        )
        below = line.kind in "ZA" and str(path).startswith(line.path)
        wanted = applied(line, inode) if about or below else inode
        assert same_permissions(found, wanted), (text, found, wanted)


def logs_with(before: Inode, after: Inode = REPAIRED) -> Logs:
    writers = tuple(
        Identity(name, name, uid, uid, frozenset())
        for name, uid in (("web", WEB), ("games", GAMES))
    )
    policy = Policy("/srv/app/logs", writers)
    return Logs(
        policy,
        Place((), policy.path, before),
        Place((), policy.path, after),
        (LogFile("app.log", LOG, LOG),),
    )


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("d /srv/app/logs 0755 www-data www-data -", ["tmpfiles_locks_out"]),
        ("d /srv/app/logs 0775 www-data www-data -", ["tmpfiles_resets"]),
        ("d /srv/app/logs - - - -", []),
        ("d /srv/app/logs :0755 :root :root -", []),
        ("d /srv/app 0755 root root -", []),
        ("Z /srv/app 0750 root adm", ["tmpfiles_locks_out"]),
        ("z /srv/*/logs 0700", ["tmpfiles_locks_out"]),
        ("z /srv/app/logs/*.log 0640", ["tmpfiles_locks_out"]),
        ("a /srv/app/logs - - - - u:64001:rwx", ["tmpfiles_locks_out"]),
        ("a+ /srv/app/logs - - - - u:games:rwx", []),
        ("e /srv/app/logs - - - 10d", ["tmpfiles_cleans"]),
        ("d /srv/app - - - 10d\nx /srv/app/logs", []),
        ("D /srv/app - - - -", ["tmpfiles_cleans"]),
        ("d /srv/app - - - 0", []),
        ("# d /srv/app/logs 0700", []),
    ],
)
def test_findings(tmp_path: Path, text: str, codes: list[str]) -> None:
    root = host(tmp_path, {"/etc/tmpfiles.d/app.conf": f"{text}\n"})
    manager = read(Host(root))
    assert not manager.problems
    found = manager.answer(logs_with(REPAIRED)).findings
    assert sorted({each.code for each in found}) == codes
    for each in found:
        assert each.subject == "/etc/tmpfiles.d/app.conf:1"


def test_whom_and_when(tmp_path: Path) -> None:
    line = "d /srv/app/logs 0755 www-data www-data -\n"
    root = host(tmp_path, {"/usr/lib/tmpfiles.d/app.conf": line})
    (finding,) = read(Host(root)).answer(logs_with(REPAIRED)).findings
    assert finding.message == (
        "At boot, and whenever systemd-tmpfiles --create runs, "
        "/usr/lib/tmpfiles.d/app.conf line 1 makes it www-data:www-data 0755: games "
        "cannot create logs in /srv/app/logs: games has r-x on the directory, and "
        "needs -wx"
    )


def test_which_files_count(tmp_path: Path) -> None:
    root = host(
        tmp_path,
        {
            "/usr/lib/tmpfiles.d/a.conf": "d /srv/app/logs 0700\n",
            "/etc/tmpfiles.d/a.conf": "",
            "/usr/lib/tmpfiles.d/b.conf": "d /srv/app/logs 0700\n",
            "/usr/lib/tmpfiles.d/readme": "d /srv/app/logs 0700\n",
        },
    )
    (tmp_path / "run/tmpfiles.d").mkdir(parents=True)
    (tmp_path / "run/tmpfiles.d/b.conf").symlink_to(os.devnull)
    assert not read(Host(root)).answer(logs_with(REPAIRED)).findings


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("k /srv", "type that is not known: k"),
        ("d", "no path"),
        ("d srv", "not absolute"),
        ("d /srv 0888", "mode that is none: 0888"),
        ("d /srv 0755 nobody-here", "user that this host does not have"),
        ("d /srv 0755 root no-group-here", "group that this host does not have"),
        ("d /srv/%q 0755", "%q, whose value is not known"),
        ('d "/srv 0755', "quote that is not closed"),
    ],
)
def test_what_is_not_understood(tmp_path: Path, text: str, reason: str) -> None:
    root = host(tmp_path, {"/etc/tmpfiles.d/app.conf": f"\n{text}\n"})
    (problem,) = read(Host(root)).problems
    assert (problem.path, problem.line) == ("/etc/tmpfiles.d/app.conf", 2)
    assert reason in problem.message


def test_quotes_escapes_and_specifiers() -> None:
    for text, path in (
        ('d "/srv/with blank" 0700', "/srv/with blank"),
        ("d /srv/with\\x20blank 0700", "/srv/with blank"),
        ("d %L/app 0700", "/var/log/app"),
        ("d '/srv/it' 0700", "/srv/it"),
        ("d /srv/100%% 0700", "/srv/100%"),
    ):
        line = parse(text, "x", 1)
        assert line is not None
        assert (line.path, line.mode) == (path, 0o700)
