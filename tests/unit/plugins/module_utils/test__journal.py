# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._access import (
    DIRECTORY,
    REGULAR,
    SETGID,
    Inode,
)
from ansible_collections.logward.permissions.plugins.module_utils._acl import (
    Acl,
    from_mode,
)
from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    HostError,
)
from ansible_collections.logward.permissions.plugins.module_utils._fs import Stamp
from ansible_collections.logward.permissions.plugins.module_utils._journal import (
    Entry,
    Journal,
    checked_run_id,
    new_run_id,
)

EXTENDED = Acl(7, 5, 0, 7, ((64002, 7),))
LOGS = Entry(
    "/srv/logs",
    Stamp(10, 11, 12),
    Inode(DIRECTORY, 1, 2, 0, from_mode(0o755)),
    Inode(DIRECTORY, 1, 3, SETGID, EXTENDED, EXTENDED),
)
LOG = Entry(
    "/srv/logs/\udcff\n.log",
    Stamp(10, 13, None),
    Inode(REGULAR, 1, 2, 0, EXTENDED),
    Inode(REGULAR, 1, 2, 0, from_mode(0o640)),
)


@pytest.fixture
def journal(site: Path) -> Iterator[Journal]:
    with closing(Journal(str(site / "journal"), "run-1")) as journal:
        yield journal


@pytest.fixture
def file(site: Path) -> Path:
    return site / "journal/run-1/0001.jsonl"


def test_nothing_is_made_until_there_is_something_to_record(
    site: Path, journal: Journal
) -> None:
    journal.close()
    assert list(site.iterdir()) == []


def test_lines(journal: Journal, file: Path) -> None:
    journal.record([LOGS, LOG])
    header, logs, log, _digest = (
        json.loads(line) for line in file.read_text(encoding="ascii").splitlines()
    )
    assert header["logward_journal"] == 1
    assert header["run_id"] == "run-1"
    assert header["restores"] is None
    machine_id = Path("/etc/machine-id")
    expected = machine_id.read_text().strip() if machine_id.exists() else ""
    assert header["machine_id"] == (expected or None)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", header["time"])
    assert logs == {
        "entry": "inode",
        "path_b64": "L3Nydi9sb2dz",
        "device": 10,
        "ino": 11,
        "born_ns": 12,
        "before": {
            "kind": "directory",
            "uid": 1,
            "gid": 2,
            "mode": 0o755,
            "access_acl": None,
            "default_acl": None,
        },
        "after": {
            "kind": "directory",
            "uid": 1,
            "gid": 3,
            "mode": 0o2770,
            "access_acl": ACL_B64,
            "default_acl": ACL_B64,
        },
    }
    assert log["path_b64"] == "L3Nydi9sb2dzL/8KLmxvZw=="
    assert log["born_ns"] is None
    assert log["before"]["access_acl"] == ACL_B64
    assert log["after"]["access_acl"] is None
    assert log["after"]["mode"] == 0o640


#: Version 2, then 1 rwx, 2 (64002 = 0xfa02) rwx, 4 r-x, 0x10 rwx, 0x20 ---
ACL_B64 = "AgAAAAEABwD/////AgAHAAL6AAAEAAUA/////xAABwD/////IAAAAP////8="


def digests(file: Path) -> list[bool]:
    """Return whether each digest in a journal is that of all bytes before it."""
    found = []
    so_far = b""
    for line in file.read_bytes().splitlines(keepends=True):
        record: dict[str, Any] = json.loads(line)
        if "sha256" in record:
            found.append(record["sha256"] == hashlib.sha256(so_far).hexdigest())
        so_far += line
    return found


def test_each_batch_ends_with_a_digest_of_all_so_far(
    journal: Journal, file: Path
) -> None:
    journal.record([LOGS])
    journal.record([LOG, LOG])
    journal.record([LOG])
    assert digests(file) == [True, True, True]
    assert file.read_bytes().endswith(b'"}\n')
    file.write_bytes(file.read_bytes().replace(b'"uid":1', b'"uid":0', 1))
    assert digests(file) == [False, False, False]


def test_only_root_reads_it(site: Path, journal: Journal, file: Path) -> None:
    umask = os.umask(0)
    try:
        journal.record([LOGS])
    finally:
        os.umask(umask)
    modes = [
        path.stat().st_mode & 0o7777
        for path in (site / "journal", site / "journal/run-1", file)
    ]
    assert modes == [0o700, 0o700, 0o600]


def test_a_run_has_a_numbered_file_for_each_call(site: Path) -> None:
    for number in range(1, 4):
        with closing(Journal(str(site / "journal"), "run-1")) as journal:
            journal.record([LOGS])
            journal.record([LOG])
        names = sorted(path.name for path in (site / "journal/run-1").iterdir())
        assert names == [f"{each:04d}.jsonl" for each in range(1, number + 1)]
    assert all(digests(file) for file in (site / "journal/run-1").iterdir())


@pytest.mark.parametrize("name", ["0001.jsonl", "link"])
def test_file_that_is_there_is_not_written(site: Path, name: str) -> None:
    run = site / "journal/run-1"
    run.mkdir(0o700, parents=True)
    (site / "journal").chmod(0o700)
    (site / "victim").write_text("content")
    if name == "link":
        (run / "0001.jsonl").symlink_to(site / "victim")
    else:
        (run / "0001.jsonl").write_text("content")
    with closing(Journal(str(site / "journal"), "run-1")) as journal:
        journal.record([LOGS])
    assert (run / "0001.jsonl").read_text() == "content"
    assert digests(run / "0002.jsonl") == [True]


def test_directory_that_others_reach_is_refused(site: Path, journal: Journal) -> None:
    (site / "journal").mkdir(0o700)
    os.chown(site / "journal", 64001, 64001)
    with pytest.raises(HostError, match="can be exchanged by others than root"):
        journal.record([LOGS])
    assert list((site / "journal").iterdir()) == []


def test_descriptor_is_closed(site: Path) -> None:
    descriptors = os.listdir("/proc/self/fd")
    with closing(Journal(str(site / "journal"), "run-1")) as journal:
        journal.record([LOGS])
        assert len(os.listdir("/proc/self/fd")) == len(descriptors) + 1
    assert os.listdir("/proc/self/fd") == descriptors


def test_new_run_id_is_a_run_id_and_another_each_time() -> None:
    ids = [new_run_id() for _number in range(100)]
    assert [checked_run_id(run_id) for run_id in ids] == ids
    assert ids == sorted(ids)
    assert all(re.fullmatch(r"\d{8}T\d{6}\.\d{6}-[^.].*", each) for each in ids)
    assert len(set(ids)) > 1


@pytest.mark.parametrize("name", ["web1", "web 1/../x", "-", "n" * 300, "\u00e9"])
def test_new_run_id_on_any_host(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: name)
    assert checked_run_id(new_run_id())


@pytest.mark.parametrize("run_id", ["a", "0", "run_1.2-3", "r" * 100])
def test_run_id(run_id: str) -> None:
    assert checked_run_id(run_id) == run_id
