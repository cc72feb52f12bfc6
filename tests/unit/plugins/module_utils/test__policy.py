# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pwd
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    OptionError,
)
from ansible_collections.logward.permissions.plugins.module_utils._policy import (
    Policy,
    checked_path,
    parse_policies,
)

WEB, QUEUE, AUDITOR = "64001", "64002", "64005"


SYSTEM_DIRECTORIES = """
/ /bin /home /lib /lib64 /media /mnt /opt /run /sbin /srv /srv/www /tmp /var
/var/cache /var/lib /var/log /var/spool /var/tmp /var/www /var/www/html
"""
SYSTEM_TREES = """
/boot /dev /etc /proc /root /run/logward /sys /usr /var/lib/apt /var/lib/dpkg
/var/lib/logward /var/lib/systemd /var/spool/cron
"""


def parse(**changes: Any) -> Policy:
    declaration = {"path": "/srv/logs", "writers": [WEB], **changes}
    identities = declaration.pop("identities", [])
    (policy,) = parse_policies([declaration], identities)
    return policy


def test_defaults() -> None:
    policy = parse()
    assert [writer.uid for writer in policy.writers] == [64001]
    assert policy.path == "/srv/logs"
    assert (policy.readers, policy.others, policy.exclude) == ((), (), ())
    assert (policy.owner, policy.group) == (None, None)
    assert policy.keep_other
    assert policy.recurse
    assert not policy.skip_missing


def test_everything() -> None:
    policy = parse(
        readers=["@64003"],
        owner="worker",
        group="64004",
        other="none",
        recurse=False,
        exclude=["archive/", "*.gz"],
        missing="skip",
        identities=[{"name": "worker", "user": QUEUE}, {"name": AUDITOR}],
    )
    assert [reader.groups for reader in policy.readers] == [{64003}]
    assert policy.owner is not None
    assert policy.owner.uid == 64002
    assert policy.group == 64004
    assert not policy.keep_other
    assert not policy.recurse
    assert policy.skip_missing
    # Declared, and granted nothing here.
    assert [other.id for other in policy.others] == ["worker", AUDITOR]
    assert [identity.id for identity in policy.identities] == (
        [WEB, "@64003", "worker", AUDITOR]
    )


def test_who_is_named_twice_is_one() -> None:
    policy = parse(writers=[WEB, WEB, QUEUE], readers=[QUEUE, AUDITOR])
    assert [identity.id for identity in policy.identities] == [WEB, QUEUE, AUDITOR]
    assert [writer.id for writer in policy.writers] == [WEB, QUEUE]


def test_who_is_granted_something_is_no_other() -> None:
    declared = [{"name": WEB}, {"name": AUDITOR}, {"name": QUEUE}]
    policy = parse(readers=[AUDITOR], identities=declared)
    assert [other.id for other in policy.others] == [QUEUE]


def test_what_runs_creates_but_is_not_declared() -> None:
    (running,) = parse(writers=[QUEUE]).writers
    policy = replace(parse(readers=[AUDITOR]), running=(running,))
    assert [each.id for each in policy.creators] == [WEB, QUEUE]
    assert [each.id for each in policy.identities] == [WEB, AUDITOR, QUEUE]
    assert policy.users == {64001, 64005}


def test_space_around_a_name_means_nothing() -> None:
    policy = parse(writers=[f" {WEB}", f"{WEB}\n"], readers=["@64003 "])
    assert [identity.id for identity in policy.identities] == [WEB, "@64003"]


def test_grants() -> None:
    policy = parse(readers=[AUDITOR])
    assert [(each.identity.id, each.perm) for each in policy.directory_grants] == [
        (WEB, 7),
        (AUDITOR, 5),
    ]
    assert [(each.identity.id, each.perm) for each in policy.file_grants] == [
        (WEB, 6),
        (AUDITOR, 4),
    ]


@pytest.mark.parametrize(
    ("changes", "users", "root_writes"),
    [
        ({}, {64001}, False),
        ({"writers": [WEB, "root"]}, {64001}, True),
        ({"writers": [WEB, "0"]}, {64001}, True),
        ({"readers": ["root", "@64003"]}, {64001}, False),
        ({"owner": QUEUE}, {64001, 64002}, False),
        ({"owner": "root"}, {64001}, False),
        ({"identities": [{"name": "root"}]}, {64001}, False),
        ({"identities": [{"name": AUDITOR}]}, {64001, 64005}, False),
    ],
)
def test_whose_directories_are_the_policys_business(
    changes: dict[str, Any], users: set[int], root_writes: bool
) -> None:
    policy = parse(**changes)
    assert policy.users == users
    assert policy.root_writes is root_writes


def test_only_files_of_writers_are_logs() -> None:
    policy = parse(
        writers=[WEB, "root", "@64003"],
        readers=[AUDITOR],
        owner=QUEUE,
        identities=[{"name": "64006"}],
    )
    assert policy.file_owners == {64001}


@pytest.mark.parametrize(
    ("glob", "path", "excluded"),
    [
        ("archive", "archive", True),
        ("archive", "archive/old.log", False),
        ("archive/", "archive", True),
        ("*.gz", "archive/old.gz", True),
        ("*.gz", "old.GZ", False),
        ("[0-9]", "10", False),
    ],
)
def test_excluded(glob: str, path: str, excluded: bool) -> None:
    assert parse(exclude=[glob]).excluded(path) is excluded


def test_excluded_by_one_of_many() -> None:
    policy = parse(exclude=["*.gz", "a?", "b?", "*.zip"])
    paths = ["x.gz", "a1", "b1", "x.zip", "x.log", "a1b1", "c"]
    assert [path for path in paths if policy.excluded(path)] == paths[:4]


@pytest.mark.parametrize("path", [*SYSTEM_DIRECTORIES.split(), *SYSTEM_TREES.split()])
def test_directories_of_the_system_are_refused(path: str) -> None:
    with pytest.raises(OptionError, match=f"'{path}' belongs to the system"):
        parse(path=path)


@pytest.mark.parametrize("tree", SYSTEM_TREES.split())
def test_all_below_some_of_them_is_refused(tree: str) -> None:
    with pytest.raises(OptionError, match="belongs to the system"):
        parse(path=f"{tree}/app/logs")
    assert parse(path=f"{tree}-app").path == f"{tree}-app"


@pytest.mark.parametrize("path", SYSTEM_DIRECTORIES.split())
def test_all_below_the_others_is_not(path: str) -> None:
    parse(path=f"{path}/app/logs")


def test_home_directories_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    root = pwd.getpwnam("root")
    accounts = [
        pwd.struct_passwd((name, *root[1:5], home, root[6]))
        for name, home in (("one", ""), ("two", "/srv/two/"), ("three", "/srv/three"))
    ]
    monkeypatch.setattr(pwd, "getpwall", lambda: accounts)
    for name in ("two", "three"):
        with pytest.raises(OptionError, match=f"is the home directory of {name}"):
            parse(path=f"/srv/{name}")
        parse(path=f"/srv/{name}/logs")


@pytest.mark.parametrize(
    ("path", "checked"),
    [
        ("/srv/logs", "/srv/logs"),
        ("//srv///logs//", "/srv/logs"),
        ("/srv/./logs/.", "/srv/logs"),
        ("/srv/..logs/...", "/srv/..logs/..."),
        ("/" + "/".join(["d" * 90] * 45), "/" + "/".join(["d" * 90] * 45)),
    ],
)
def test_checked_path(path: str, checked: str) -> None:
    assert checked_path(path, "path") == checked


def test_path_is_measured_in_bytes() -> None:
    path = "/" + "\u00e9" * 2047
    assert checked_path(path, "path") == path
    with pytest.raises(OptionError, match="over 4095 bytes"):
        checked_path(f"{path}x", "path")


@pytest.mark.parametrize(
    ("outer", "inner", "refused"),
    [
        ({}, {"path": "/srv/logs/a"}, True),
        ({}, {"path": "/srv/logs/a/b"}, True),
        ({}, {"path": "/srv/logs2"}, False),
        ({}, {"path": "/srv/log"}, False),
        ({"recurse": False}, {"path": "/srv/logs/a/b"}, False),
        ({}, {"path": "/srv/logs/a", "recurse": False}, True),
        ({"exclude": ["a"]}, {"path": "/srv/logs/a/b"}, False),
        ({"exclude": ["a/b"]}, {"path": "/srv/logs/a/b"}, False),
        ({"exclude": ["b"]}, {"path": "/srv/logs/a/b"}, True),
        ({"exclude": ["a/b/c"]}, {"path": "/srv/logs/a/b"}, True),
    ],
)
def test_one_inside_another(
    outer: dict[str, Any], inner: dict[str, Any], refused: bool
) -> None:
    first = {"path": "/srv/logs", "writers": [WEB], **outer}
    second = {"writers": [WEB], **inner}
    for declarations in ([first, second], [second, first]):
        if refused:
            with pytest.raises(OptionError, match=r"lies inside /srv/logs, "):
                parse_policies(declarations, [])
        else:
            assert len(parse_policies(declarations, [])) == 2
