# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Some files of a run are as before it again; whatever else it did stays."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._acl import from_mode
from ansible_collections.logward.permissions.plugins.module_utils._apply_edits import (
    apply_edits,
)
from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    LogwardError,
)
from ansible_collections.logward.permissions.plugins.module_utils._fs import (
    observe_fd,
    read_mounts,
)
from ansible_collections.logward.permissions.plugins.module_utils._journal import (
    Entry,
    Journal,
)
from ansible_collections.logward.permissions.plugins.module_utils._put_back import (
    PutBack,
    put_back,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils import (
    edits as hosts,
)

Listing = Callable[..., dict[str, tuple[Any, ...]]]


@pytest.fixture
def host(site: Path) -> hosts.Host:
    return hosts.Host(site)


def files(host: hosts.Host, *names: str) -> set[str]:
    return {f"{host.etc}/{name}" for name in names}


def call(host: hosts.Host, *names: str, run_id: str = "run-1") -> PutBack:
    return put_back(run_id, str(host.journal), files(host, *names))


def differences(
    before: dict[str, tuple[Any, ...]], after: dict[str, tuple[Any, ...]]
) -> set[str]:
    return {path for path in {*before, *after} if before.get(path) != after.get(path)}


def test_file_that_is_named_is_as_before_and_no_other(host: hosts.Host) -> None:
    before = host.state()
    host.apply()
    edited = host.state()
    found = call(host, "app.conf", "elsewhere.conf")
    assert found == PutBack((f"{host.etc}/app.conf",))
    assert differences(edited, host.state()) == files(host, "app.conf")
    assert host.state()[f"{host.etc}/app.conf"] == before[f"{host.etc}/app.conf"]


def test_file_that_the_run_made_goes_with_its_directories(host: hosts.Host) -> None:
    host.apply()
    assert call(host, "unit.d/a/logward.conf").left_alone == ()
    assert not (host.etc / "unit.d").exists()
    assert (host.etc / "app.conf").read_bytes() == hosts.NEW


def test_file_that_the_run_removed_is_there_again(host: hosts.Host) -> None:
    before = host.state()
    host.apply()
    call(host, "gone/old.conf")
    path = f"{host.etc}/gone/old.conf"
    assert host.state()[path] == before[path]


def test_all_calls_of_the_run_are_taken_back_and_named_once(host: hosts.Host) -> None:
    host.apply()
    for number in range(2):
        edit = host.edit("app.conf", hosts.NEW + b"x=%d\n" % number)
        apply_edits(lambda edit=edit: [edit], host.options(), hosts.no_check)  # type: ignore[misc]
    assert call(host, "app.conf") == PutBack((f"{host.etc}/app.conf",))
    assert (host.etc / "app.conf").read_bytes() == hosts.OLD


def test_permissions_that_the_run_repaired_stay(host: hosts.Host) -> None:
    fd = os.open(host.etc, os.O_PATH)
    seen = observe_fd(fd, read_mounts())
    os.close(fd)
    after = replace(seen.inode, acl=from_mode(0o750))
    with closing(Journal(str(host.journal), "run-1")) as journal:
        journal.record([Entry(str(host.etc), seen.stamp, seen.inode, after)])
    host.etc.chmod(0o750)
    host.apply()
    found = put_back(
        "run-1", str(host.journal), {str(host.etc), *files(host, "app.conf")}
    )
    assert found == PutBack((f"{host.etc}/app.conf",))
    assert host.etc.stat().st_mode & 0o777 == 0o750
    assert host.restore("run-1")["restored"] == 1
    assert host.etc.stat().st_mode & 0o777 == 0o755


def test_edit_of_another_run_stays(host: hosts.Host) -> None:
    host.apply("another")
    edited = host.state()
    edit = host.edit("other.conf", b"x\n")
    apply_edits(lambda: [edit], host.options(), hosts.no_check)
    assert call(host, "app.conf", "other.conf") == PutBack((f"{host.etc}/other.conf",))
    assert host.state() == edited


def test_what_somebody_edited_since_is_left_alone(host: hosts.Host) -> None:
    host.apply()
    theirs = hosts.NEW + b"# theirs\n"
    (host.etc / "app.conf").write_bytes(theirs)
    (host.etc / "unit.d/a/logward.conf").unlink()
    found = call(host, "app.conf", "unit.d/a/logward.conf", "gone/old.conf")
    assert found.restored == (f"{host.etc}/gone/old.conf",)
    assert set(found.left_alone) == {(f"{host.etc}/app.conf", "changed_since")}
    assert (host.etc / "app.conf").read_bytes() == theirs


def test_file_that_others_can_write_is_left_alone(host: hosts.Host) -> None:
    host.apply()
    (host.etc / "app.conf").chmod(0o666)
    ((path, reason),) = call(host, "app.conf").left_alone
    assert (path, reason) == (f"{host.etc}/app.conf", "open_to_others")
    assert (host.etc / "app.conf").read_bytes() == hosts.NEW


def test_second_time_there_is_nothing_to_do(
    host: hosts.Host, site: Path, listing: Listing
) -> None:
    host.apply()
    call(host, "app.conf")
    before = listing(site)
    assert call(host, "app.conf") == PutBack()
    assert listing(site) == before


def test_run_that_edited_nothing(
    host: hosts.Host, site: Path, listing: Listing
) -> None:
    for prepare in (lambda: None, host.apply):
        prepare()
        before = listing(site)
        assert call(host, "app.conf", run_id="no-such") == PutBack()
        assert call(host) == PutBack()
        assert listing(site) == before


def test_it_can_be_taken_back_itself_and_the_run_after_it(host: hosts.Host) -> None:
    before = host.state()
    host.apply()
    edited = host.state()
    call(host, "app.conf")
    (restore,) = (each.name for each in host.journal.iterdir() if each.name != "run-1")
    host.restore(restore)
    assert host.state() == edited
    call(host, "app.conf")
    done = host.restore("latest")  # the newest run that is no way back itself
    assert (done["as_before"], len(done["files"]), done["left_alone"]) == (1, 2, [])
    assert host.state() == before


def test_changed_journal_is_refused(host: hosts.Host) -> None:
    host.apply()
    edited = host.state()
    file = host.journal / "run-1/0001.jsonl"
    # umask=022 becomes umask=000
    file.write_bytes(file.read_bytes().replace(b"dW1hc2s9MDIyCg", b"dW1hc2s9MDAwCg"))
    with pytest.raises(LogwardError, match="has the digest of other bytes"):
        call(host, "app.conf")
    assert host.state() == edited


def test_failure_of_one_keeps_no_other_from_it(
    host: hosts.Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = host.state()
    host.apply()
    real = os.fsync

    def full(fd: int) -> None:
        if os.readlink(f"/proc/self/fd/{fd}").startswith(f"{host.etc}/gone/"):
            raise OSError(28, "No space left on device")
        real(fd)

    names = ("app.conf", "unit.d/a/logward.conf", "gone/old.conf")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        found = call(host, *names)
    assert set(found.restored) == files(host, *names[:2])
    ((path, reason),) = found.left_alone
    assert path == f"{host.etc}/gone/old.conf"
    assert "could not be written: No space" in reason
    assert call(host, *names).restored == (path,)
    assert host.state() == before


def test_wherever_it_is_killed_it_can_be_finished(host: hosts.Host) -> None:
    before = host.state()[f"{host.etc}/app.conf"]
    host.apply()
    number = 0
    while hosts.killed_at(lambda: call(host, "app.conf"), number):
        content = (host.etc / "app.conf").read_bytes()
        assert content in (hosts.OLD, hosts.NEW), number
        call(host, "app.conf")
        assert host.state()[f"{host.etc}/app.conf"] == before, number
        assert not list(host.etc.rglob("*.dpkg-new")), number
        (host.etc / "app.conf").write_bytes(hosts.NEW)
        number += 1
    assert number > 5
