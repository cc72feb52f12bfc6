# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits of real files: what is checked, recorded and done, and in which order."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._apply_edits import (
    apply_edits,
    preview_edits,
)
from ansible_collections.logward.permissions.plugins.module_utils._edits import (
    Edit,
    EditEntry,
    digest,
    spans,
)
from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    HostError,
)
from ansible_collections.logward.permissions.plugins.module_utils._history import Keep
from ansible_collections.logward.permissions.plugins.module_utils._recorded import (
    open_run,
)
from ansible_collections.logward.permissions.plugins.module_utils._run import (
    RunOptions,
)
from ansible_collections.logward.permissions.plugins.module_utils._runs import Runs
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils import (
    edits as hosts,
)

NEW, OLD, SECRET = hosts.NEW, hosts.OLD, hosts.SECRET
Listing = Callable[..., dict[str, tuple[Any, ...]]]


@pytest.fixture
def host(site: Path) -> hosts.Host:
    return hosts.Host(site)


def test_edits_are_made(host: hosts.Host) -> None:
    done = host.apply()
    assert (host.etc / "app.conf").read_bytes() == NEW
    assert (host.etc / "unit.d/a/logward.conf").read_bytes().endswith(b"UMask=0002\n")
    assert not (host.etc / "gone/old.conf").exists()
    assert done["changed"] is True
    assert done["run_id"] == "run-1"
    assert done["files"] == [
        {"path": f"{host.etc}/{name}"}
        for name in ("app.conf", "unit.d/a/logward.conf", "gone/old.conf")
    ]
    assert done["diff"][0] == {
        "before_header": f"{host.etc}/app.conf",
        "after_header": f"{host.etc}/app.conf",
        "before": "umask=022\n",
        "after": "umask=002\n",
    }


def test_the_journal_does_not_grow_for_ever(host: hosts.Host) -> None:
    for number in range(4):
        edits = [host.edit("app.conf", b"%d\n" % number)]
        options = replace(host.options(f"run-{number}"), keep=Keep(2, 90))
        apply_edits(edits.copy, options, hosts.no_check)
    assert sorted(os.listdir(host.journal)) == ["run-2", "run-3"]


def test_nothing_to_do_removes_nothing_of_the_journal(host: hosts.Host) -> None:
    """Whether or not another task of the same run recorded something before."""
    for number in range(3):
        edits = [host.edit("app.conf", b"%d\n" % number)]
        apply_edits(edits.copy, host.options(f"run-{number}"), hosts.no_check)
    for run_id in ("run-1", "run-2", "run-3"):
        options = replace(host.options(run_id), keep=Keep(1, 0))
        assert not apply_edits(list, options, hosts.no_check)["changed"]
    assert sorted(os.listdir(host.journal)) == ["run-0", "run-1", "run-2"]


def test_what_is_right_already_is_neither_checked_nor_recorded(
    host: hosts.Host, site: Path, listing: Listing
) -> None:
    before = listing(host.etc)

    def check(_edits: Sequence[Edit]) -> None:
        pytest.fail("nothing is to be checked")

    def plan() -> list[Edit]:
        return [host.edit("app.conf", OLD), host.edit("no.conf", None)]

    done = apply_edits(plan, host.options(), check)
    assert (done["changed"], done["diff"], done["files"]) == (False, [], [])
    assert listing(host.etc) == before
    assert os.listdir(site) == ["etc"]


def test_preview_tells_what_is_then_done(
    host: hosts.Host, site: Path, listing: Listing
) -> None:
    checked: list[Sequence[Edit]] = []
    before = listing(site, Path("/run"))
    announced = preview_edits(host.plan, host.options(), checked.append)
    assert listing(site, Path("/run")) == before
    assert announced == apply_edits(host.plan, host.options(), checked.append)
    assert checked[0] == checked[1]
    assert len(checked[0]) == 3


@pytest.mark.parametrize("function", [apply_edits, preview_edits])
def test_what_the_check_refuses_is_not_done(
    host: hosts.Host, listing: Listing, function: Any
) -> None:
    def check(edits: Sequence[Edit]) -> None:
        assert edits[0].after == NEW
        raise HostError("apachectl says: no")

    before = listing(host.etc)
    with pytest.raises(HostError, match="apachectl says: no"):
        function(host.plan, host.options(), check)
    assert listing(host.etc) == before
    assert not host.journal.exists()


def test_check_is_made_with_the_lock_held(host: hosts.Host) -> None:
    def check(_edits: Sequence[Edit]) -> None:
        with pytest.raises(HostError, match=rf"\(pid {os.getpid()}, run run-1\)"):
            host.apply("run-2")

    apply_edits(host.plan, host.options(), check)
    assert os.listdir(host.journal) == ["run-1"]


def test_journal_has_what_an_edit_replaces_and_no_more(
    host: hosts.Host, site: Path
) -> None:
    stat = (host.etc / "app.conf").stat()
    apply_edits(lambda: host.plan()[:1], host.options(), hosts.no_check)
    written = (host.journal / "run-1/0001.jsonl").read_bytes()
    with ExitStack() as stack:
        run = open_run(Runs(str(site / "journal")), "run-1", stack)
        ((entry,),) = run.batches()
    assert isinstance(entry, EditEntry)
    assert entry.path == f"{host.etc}/app.conf"
    assert entry.stamp is not None
    assert (entry.stamp.device, entry.stamp.ino) == (stat.st_dev, stat.st_ino)
    inode = entry.inode
    assert (inode.uid, inode.gid, inode.mode) == (0, 64001, 0o640)
    assert (entry.before, entry.after) == (digest(OLD), digest(NEW))
    assert entry.spans == spans(Edit("", OLD, NEW))
    (line,) = [json.loads(each) for each in written.splitlines() if b'"edit"' in each]
    assert line["spans"] == [[25, "dW1hc2s9MDIyCg==", "dW1hc2s9MDAyCg=="]]
    # Nor in Base64, wherever it would start.
    for part in (b"hunter2", b"aHVudGVyM", b"h1bnRlcj", b"odW50ZXIy"):
        assert part not in written


def test_all_is_on_disk_before_the_file_is_exchanged(
    host: hosts.Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def noting(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            what = arguments[0]
            if isinstance(what, int):
                what = os.path.basename(os.readlink(f"/proc/self/fd/{what}"))
            order.append(f"{name} {what}")
            return real(*arguments, **more)

        return call

    for name in ("fsync", "rename"):
        monkeypatch.setattr(os, name, noting(name, getattr(os, name)))
    apply_edits(lambda: host.plan()[:1], host.options(), hosts.no_check)
    temporary = order[-2].split()[1]
    assert order[-4:] == [
        "fsync 0001.jsonl",
        f"fsync {temporary}",
        f"rename {temporary}",
        "fsync etc",
    ]


def test_file_that_changed_since_it_was_read(
    host: hosts.Host, listing: Listing
) -> None:
    plan = host.plan()
    (host.etc / "app.conf").write_bytes(OLD + b"x=1\n")
    before = listing(host.etc)
    for function in (apply_edits, preview_edits):
        with pytest.raises(HostError, match=r"app.conf was changed by others mean"):
            function(lambda: plan, host.options(), hosts.no_check)
    assert listing(host.etc) == before
    assert not host.journal.exists()


def test_file_that_changed_while_it_was_checked(host: hosts.Host) -> None:
    def check(_edits: Sequence[Edit]) -> None:
        (host.etc / "app.conf").write_bytes(b"somebody's\n")

    with pytest.raises(HostError, match=r"left as they made it\. Run again"):
        apply_edits(host.plan, host.options(), check)
    assert (host.etc / "app.conf").read_bytes() == b"somebody's\n"
    assert not (host.etc / "unit.d").exists()


@pytest.mark.parametrize("function", [apply_edits, preview_edits])
@pytest.mark.parametrize(
    ("name", "after", "command", "message"),
    [
        ("app.conf", NEW, "chmod 0666 app.conf", "can be written by others than root"),
        ("app.conf", NEW, "chmod 0777 .", "is not root's alone"),
        ("link", NEW, "ln -s app.conf link", "symbolic link, .*link. Use .*app.conf"),
        ("app.conf", NEW, "ln app.conf b", r"2 names \(hard links\)"),
        pytest.param(
            *("app.conf", b"#" * (1 << 20) + b"#", "true", "would have more than 1,04"),
            # or pytest would put all of it into the environment of the commands
            id="too large",
        ),
    ],
)
def test_nothing_is_done_where_one_edit_is_refused(
    host: hosts.Host,
    listing: Listing,
    function: Any,
    name: str,
    after: bytes,
    command: str,
    message: str,
) -> None:
    subprocess.run(["sh", "-ec", command], cwd=host.etc, check=True)
    before = listing(host.etc)

    def plan() -> list[Edit]:
        return [host.edit("new.conf", b"x\n"), host.edit(name, after)]

    with pytest.raises(HostError, match=message):
        function(plan, host.options(), hosts.no_check)
    assert listing(host.etc) == before
    assert not host.journal.exists()


def test_full_journal_stops_before_anything_is_written(
    host: hosts.Host, site: Path, mounted: Callable[..., Path], listing: Listing
) -> None:
    journal = mounted(
        site / "journal", "-t", "tmpfs", "-o", "mode=0700,nr_inodes=2", "none"
    )
    before = listing(host.etc)
    with pytest.raises(HostError, match=r"cannot be (written|made)"):
        host.apply()
    assert listing(host.etc) == before
    assert [each for each in journal.rglob("*") if each.is_file()] == []


APPLY = """
import sys
from pathlib import Path
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils import (
    edits as hosts
)
from ansible_collections.logward.permissions.plugins.module_utils import _apply_edits
host = hosts.Host.__new__(hosts.Host)
host.etc, host.journal = Path(sys.argv[1], "etc"), Path(sys.argv[1], "journal")
def check(edits):
    print(len(edits), flush=True)
    input()
_apply_edits.apply_edits(host.plan, host.options("run-1"), check)
"""


def test_two_runs_at_once(host: hosts.Host, site: Path) -> None:
    """The second one waits, makes its plan then, and finds nothing to do."""
    with subprocess.Popen(
        [sys.executable, "-c", APPLY, str(site)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as first:
        assert first.stdout is not None
        assert first.stdin is not None
        assert first.stdout.readline() == b"3\n"
        with pytest.raises(HostError) as caught:
            host.apply("run-2")
        assert f"(pid {first.pid}, run run-1)" in str(caught.value)
        first.stdin.write(b"\n")
        first.stdin.flush()
        options = RunOptions("run-2", str(host.journal), lock_timeout=30)
        second = apply_edits(host.plan, options, hosts.no_check)
        assert first.wait() == 0
    assert second["changed"] is False
    assert os.listdir(host.journal) == ["run-1"]


def test_no_descriptor_is_left_open(host: hosts.Host) -> None:
    descriptors = os.listdir("/proc/self/fd")
    host.apply()
    preview_edits(host.plan, host.options(), hosts.no_check)
    with pytest.raises(HostError):
        apply_edits(
            lambda: [Edit(f"{host.etc}/app.conf", b"x", b"y")],
            host.options(),
            hosts.no_check,
        )
    assert os.listdir("/proc/self/fd") == descriptors
