# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the remediation has made of the tree, and what it has left alone."""

from __future__ import annotations

from typing import Any

import pytest

LOGS = "/srv/shop/logs"
WRITERS = ("www-data", "daemon", "root")
CREW = "/srv/crew/logs"


def appends(host: Any, user: str, path: str, umask: str = "022") -> bool:
    script = f'umask {umask}; echo line >> "$0"'
    return bool(host.run("runuser -u %s -- sh -c %s %s", user, script, path).succeeded)


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("log", ["today.log", "{{ 7 * 7 }} 'x'.log"])
def test_every_writer_can_append(host: Any, writer: str, log: str) -> None:
    assert appends(host, writer, f"{LOGS}/{log}")


@pytest.mark.parametrize("creator", WRITERS)
def test_the_next_file_is_everybodys(host: Any, creator: str) -> None:
    path = f"{LOGS}/next-by-{creator}.log"
    assert all(appends(host, each, path) for each in (creator, *WRITERS))


def test_strangers_gain_nothing(host: Any) -> None:
    assert not appends(host, "games", f"{LOGS}/today.log")
    assert not appends(host, "games", f"{LOGS}/new-by-games.log")


@pytest.mark.parametrize("creator", ["backup", "news"])
def test_by_their_group_alone_all_write_what_each_creates(
    host: Any, creator: str
) -> None:
    new, today = f"{CREW}/next-by-{creator}.log", f"{CREW}/today.log"
    for log in (new, today):
        assert all(
            appends(host, each, log, umask="002")
            for each in (creator, "backup", "news")
        )
        assert not appends(host, "games", log)
    for path, mode in ((CREW, 0o2775), (new, 0o664), (today, 0o664)):
        file = host.file(path)
        assert (file.group, file.mode) == ("crew", mode), path
        entries = host.check_output("getfacl --omit-header --absolute-names %s", path)
        assert len(entries.split()) == 3, path


def test_what_is_not_the_policys_business_is_left_alone(host: Any) -> None:
    for path, owner, mode in [
        ("/srv/shop/secret", "root", 0o600),
        (f"{LOGS}/games.log", "games", 0o640),
        (f"{LOGS}/archive", "www-data", 0o755),
        (f"{LOGS}/archive/old.log", "www-data", 0o644),
        ("/srv/shop", "root", 0o755),
    ]:
        file = host.file(path)
        assert (file.user, file.mode) == (owner, mode), path
        entries = host.check_output("getfacl --omit-header --absolute-names %s", path)
        assert len(entries.split()) == 3, path
    assert not host.file("/srv/shop/later").exists


def test_the_journal_is_roots_alone(host: Any) -> None:
    (entry,) = host.file("/var/lib/logward/journal").listdir()
    path = f"/var/lib/logward/journal/{entry}"
    assert host.file(path).mode == 0o700
    assert host.file(f"{path}/0001.jsonl").mode == 0o600
