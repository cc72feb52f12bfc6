# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Journals as they were written, torn by a crash, or changed since."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.logward.permissions.plugins.module_utils import (
    _journal,
    _recorded,
)
from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    LogwardError,
)
from ansible_collections.logward.permissions.plugins.module_utils._journal import (
    Journal,
)
from ansible_collections.logward.permissions.plugins.module_utils._recorded import (
    Run,
    open_run,
)
from ansible_collections.logward.permissions.plugins.module_utils._runs import Runs
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils import (
    journals,
)

Read = Callable[[str], Run]


@pytest.fixture
def read(site: Path) -> Iterator[Read]:
    """Return a function that reads a run, whose files stay open during the test."""
    with ExitStack() as stack:
        yield lambda run_id: open_run(Runs(str(site / "journal")), run_id, stack)


def test_what_was_written_is_read_from_its_end(read: Read, run_file: Path) -> None:
    assert run_file.name == "0001.jsonl"
    run = read("run-1")
    assert list(run.batches()) == [batch[::-1] for batch in reversed(journals.WRITTEN)]
    assert (run.run_id, run.calls, run.ignored) == ("run-1", 1, 0)


def test_files_of_a_run_are_read_from_the_last(site: Path, read: Read) -> None:
    paths = [f"/{number}" for number in range(12)]
    for path in paths:
        with closing(Journal(str(site / "journal"), "run-1")) as journal:
            journal.record([journals.LOG._replace(path=path)])
    (site / "journal/run-1/note.txt").write_text("somebody's")
    run = read("run-1")
    assert [entry.path for (entry,) in run.batches()] == paths[::-1]
    assert run.calls == 12


# Torn


def test_wherever_a_crash_cuts_it_the_batches_before_are_read(
    read: Read, run_file: Path
) -> None:
    whole = run_file.read_bytes()
    ends = [0]
    for line in whole.splitlines(keepends=True):
        ends.append(ends[-1] + len(line))
    # After each line, one byte before and after that, and in its midst.
    cuts = {0, *ends, *(end - 1 for end in ends[1:]), *(end + 1 for end in ends[:-1])}
    cuts |= {(one + other) // 2 for one, other in zip(ends, ends[1:])}
    digests = [end for end in ends if b'{"sha256"' in whole[:end].split(b"\n")[-2:][0]]
    assert len(digests) == len(journals.WRITTEN)
    seen = set()
    for cut in sorted(cuts):
        run_file.write_bytes(whole[:cut])
        run = read("run-1")
        complete = sum(end <= cut for end in digests)
        expected = [batch[::-1] for batch in reversed(journals.WRITTEN[:complete])]
        assert list(run.batches()) == expected, cut
        rest = whole[digests[complete - 1] if complete else 0 : cut]
        header = 0 if complete else rest.count(b"\n") > 0
        assert run.ignored == len(rest.splitlines()) - header, cut
        seen.add(complete)
    assert seen == set(range(len(journals.WRITTEN) + 1))


def test_what_a_crash_left_of_a_line_may_be_anything(
    read: Read, run_file: Path
) -> None:
    run_file.write_bytes(run_file.read_bytes() + b"\0\xff{" * 1000)
    run = read("run-1")
    assert len(list(run.batches())) == len(journals.WRITTEN)
    assert run.ignored == 1


# Changed


def test_every_byte_counts(read: Read, run_file: Path) -> None:
    whole = run_file.read_bytes()
    tried = 0
    for offset in range(0, len(whole) - 1, 17):
        run_file.write_bytes(whole[:offset] + b"0" + whole[offset + 1 :])
        if run_file.read_bytes() != whole:
            with pytest.raises(LogwardError, match="Nothing was changed"):
                read("run-1")
            tried += 1
    assert tried > 300


def record(line: bytes) -> dict[str, Any]:
    found = json.loads(line)
    assert isinstance(found, dict)
    return found


def changed(number: int, **fields: Any) -> Callable[[list[bytes]], None]:
    """Return what changes fields of a line."""

    def change(lines: list[bytes]) -> None:
        lines[number] = json.dumps({**record(lines[number]), **fields}).encode()

    return change


def changed_state(number: int, which: str, **fields: Any) -> Any:
    """Return what changes fields of what was before, or is after."""

    def change(lines: list[bytes]) -> None:
        state = {**record(lines[number])[which], **fields}
        changed(number, **{which: state})(lines)

    return change


def replaced(number: int, line: bytes) -> Callable[[list[bytes]], None]:
    """Return what puts another line in the place of one."""

    def change(lines: list[bytes]) -> None:
        lines[number] = line

    return change


def without(number: int, key: str) -> Callable[[list[bytes]], None]:
    """Return what takes a key from a line."""

    def change(lines: list[bytes]) -> None:
        fields = record(lines[number])
        del fields[key]
        lines[number] = json.dumps(fields).encode()

    return change


def substituted(number: int, old: bytes, new: bytes) -> Callable[[list[bytes]], None]:
    """Return what changes the text of a line."""

    def change(lines: list[bytes]) -> None:
        assert old in lines[number]
        lines[number] = lines[number].replace(old, new, 1)

    return change


def b64(value: bytes) -> str:
    return base64.b64encode(value).decode()


#: What is no journal even where all digests are right, and what is said of it.
#: Line 0 is the header, 1 is of a directory, 3 and 4 are of files, 8 is an edit.
MALFORMED = {
    "empty line": (replaced(3, b""), "line 4 of", "is not JSON in ASCII"),
    "no JSON": (replaced(3, b"{"), "line 4 of", "is not JSON in ASCII"),
    "a list": (replaced(3, b"[]"), "is not an object"),
    "deep": (replaced(3, b"[" * 100_000), "is not JSON in ASCII"),
    "not UTF-8": (substituted(3, b"L3Ny", b"\xff3Ny"), "is not JSON in ASCII"),
    "UTF-8": (substituted(3, b"L3Ny", "é".encode()), "is not JSON in ASCII"),
    "NUL": (replaced(3, b"\0\0"), "is not JSON in ASCII"),
    "key twice": (
        substituted(3, b'"device":', b'"device":1,"device":'),
        "has a key twice",
    ),
    "key twice in a state": (
        substituted(3, b'"uid":', b'"uid":0,"uid":'),
        "has a key twice",
    ),
    "key twice in the header": (
        substituted(0, b'"run_id":', b'"run_id":"run-1","run_id":'),
        "line 1 of",
        "has a key twice",
    ),
    "further key": (changed(3, further=1), "has other keys than a journal"),
    "further key in a state": (
        changed_state(3, "before", acl=None),
        "has other keys",
    ),
    "further key in the header": (changed(0, x=1), "line 1 of", "has other keys"),
    "missing key": (without(3, "born_ns"), "has other keys"),
    "fraction": (substituted(3, b'"device":10', b'"device":1.0'), "has 1.0 in it"),
    "NaN": (substituted(3, b'"device":10', b'"device":NaN'), "has NaN in it"),
    "long number": (
        substituted(3, b'"device":10', b'"device":1' + b"0" * 99_999),
        "has a number that is too long",
    ),
    "Boolean": (changed(3, device=True), "has a device of a wrong type"),
    "text": (changed(3, ino="11"), "has a ino of a wrong type"),
    "null": (changed(3, ino=None), "has a ino of a wrong type"),
    "born": (changed(3, born_ns="12"), "has a born_ns of a wrong type"),
    "state": (changed(3, after=[]), "has a after of a wrong type"),
    "mode": (changed_state(3, "before", mode="0640"), "has a mode of a wrong type"),
    "entry": (changed(3, entry="edits"), "has no entry of the kind inode or edit"),
    "no entry": (without(3, "entry"), "has no entry of the kind inode"),
    "time": (changed(0, time="yesterday"), "has no time"),
    "format": (changed(0, logward_journal=2), "line 1 of", "is of format 2, not 1"),
    "format, a list": (changed(0, logward_journal=[9] * 99), "is of format [9, 9"),
    "no header": (replaced(0, b'{"sha256":"0"}'), "line 1 of", "has other keys"),
    "header twice": (
        lambda lines: lines.insert(3, lines[0]),
        "line 4 of",
        "has no entry",
    ),
    "another kind of inode": (
        changed_state(3, "after", kind="directory"),
        "changes the kind of an inode",
    ),
    "kind": (changed_state(3, "after", kind="fifo"), "inode of the kind 'fifo'"),
    "uid": (changed_state(3, "after", uid=2**32 - 1), "out of range"),
    "gid": (changed_state(3, "after", gid=-1), "out of range"),
    "mode of 5 digits": (changed_state(3, "after", mode=0o10640), "out of range"),
    "mode of another ACL": (
        changed_state(3, "before", mode=0o777),
        "has a mode that is not that of its ACL",
    ),
    "no Base64": (
        changed_state(3, "before", access_acl="*"),
        "has something that is not Base64",
    ),
    "no ACL": (
        changed_state(3, "before", access_acl="AAAA"),
        "has an ACL that cannot be: an ACL cannot have 3 bytes",
    ),
    "empty ACL": (
        changed_state(1, "after", default_acl=b64(b"\2\0\0\0")),
        "has an ACL without entries",
    ),
    "default ACL of a file": (
        changed_state(3, "after", default_acl=b64(b"\2\0\0\0")),
        "has a default ACL on a file",
    ),
    "relative path": (changed(3, path_b64=b64(b"srv")), "has no absolute path"),
    "no path": (changed(3, path_b64=""), "has no absolute path"),
    "root": (changed(3, path_b64=b64(b"/")), "has no absolute path"),
    "path goes up": (changed(3, path_b64=b64(b"/a/../b")), "has no absolute path"),
    "path with a dot": (changed(3, path_b64=b64(b"/a/./b")), "has no absolute path"),
    "path with slashes": (changed(3, path_b64=b64(b"//a")), "has no absolute path"),
    "path with NUL": (changed(3, path_b64=b64(b"/a\0")), "has no absolute path"),
    "path no Base64": (changed(3, path_b64="Ly\n8="), "is not Base64"),
    "edit: further key": (changed(8, device=1), "has other keys than a journal"),
    "edit: directory": (changed_state(8, "inode", kind="directory"), "edits something"),
    "edit: state": (changed_state(8, "inode", uid="0"), "has a uid of a wrong type"),
    "edit: stamp": (changed(8, stamp=[1, 2]), "has a list of a wrong length"),
    "edit: stamp's type": (changed(8, stamp=[1, None, 2]), "a list with a wrong type"),
    "edit: digest": (changed(8, before="0" * 63), "has a digest that is none"),
    "edit: digest's case": (changed(8, after="F" * 64), "has a digest that is none"),
    "edit: nothing": (changed(8, before="f" * 64), "an edit that changes nothing"),
    "edit: no file": (changed(8, before=None, after=None), "that changes nothing"),
    "edit: spans": (changed(8, spans={}), "has a spans of a wrong type"),
    "edit: span": (changed(8, spans=[{}]), "has a list of a wrong length"),
    "edit: span's length": (changed(8, spans=[[0, ""]]), "list of a wrong length"),
    "edit: span's type": (changed(8, spans=[[0, "", 0]]), "with a wrong type in it"),
    "edit: offset": (changed(8, spans=[[-1, "", ""]]), "has an offset below 0"),
    "edit: lines": (changed(8, spans=[[0, "", "*"]]), "that is not Base64"),
    "edit: made": (changed(8, made=[0]), "with a wrong type in it"),
    "edit: made where": (changed(8, made=[b64(b"/a/..")]), "has no absolute path"),
    "edit: path": (changed(8, path_b64=b64(b"a")), "has no absolute path"),
    "another host": (changed(0, machine_id="f" * 32), "recorded on another host (mach"),
    "another run": (changed(0, run_id="run-2"), "say that they are of the run run-2"),
}


def seal(lines: list[bytes]) -> bytes:
    """Return the file with digests that are right."""
    sealed = b""
    for line in lines:
        if line.startswith(b'{"sha256"'):
            digest = hashlib.sha256(sealed).hexdigest()
            sealed += json.dumps({"sha256": digest}).encode() + b"\n"
        else:
            sealed += line + b"\n"
    return sealed


@pytest.mark.parametrize(
    ("change", "parts"),
    [(change, parts) for change, *parts in MALFORMED.values()],
    ids=MALFORMED,
)
def test_malformed(
    read: Read,
    run_file: Path,
    change: Callable[[list[bytes]], None],
    parts: list[str],
) -> None:
    lines = run_file.read_bytes().splitlines()
    run_file.write_bytes(seal(lines))
    assert read("run-1").ignored == 0
    change(lines)
    run_file.write_bytes(seal(lines))
    with pytest.raises(LogwardError) as error:
        read("run-1")
    for part in ("run_id: 'run-1' cannot be taken back: ", *parts):
        assert part in str(error.value)
    assert "Nothing was changed. Name another run, or run" in str(error.value)


def test_batch_that_was_taken_out(read: Read, run_file: Path) -> None:
    lines = run_file.read_bytes().splitlines(keepends=True)
    run_file.write_bytes(b"".join(lines[:3] + lines[6:]))
    with pytest.raises(LogwardError, match=r"line 5 .* has the digest of other bytes"):
        read("run-1")


@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [
        ("MAX_BYTES", 1000, r"0001\.jsonl has more than 1,000 bytes"),
        ("MAX_LINE", 1000, r"line \d+ of .* is too long"),
    ],
)
def test_absurdly_large(
    read: Read,
    run_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    value: int,
    message: str,
) -> None:
    with run_file.open("ab") as more:
        more.write(b"x" * 2000)
    monkeypatch.setattr(_recorded, limit, value)
    with pytest.raises(LogwardError, match=message):
        read("run-1")


def test_sparse_file_is_not_read(read: Read, run_file: Path) -> None:
    os.truncate(run_file, 10**12)
    with pytest.raises(LogwardError, match="has more than 15,000,000,000 bytes"):
        read("run-1")


#: What is done in the directory of a run, and what is said of it.
UNSAFE = {
    "file of another": (
        "chown 64001 0001.jsonl",
        "0001.jsonl is not a file that only root can write",
    ),
    "file that a group writes": (
        "chmod 0620 0001.jsonl",
        "0001.jsonl is not a file that only root can write",
    ),
    "run of another": ("chown 64001 .", "run-1 can be exchanged by others than root"),
    "run open to others": ("chmod 0755 .", "run-1 is open to others than root"),
    "link": (
        "mv 0001.jsonl x; ln -s x 0001.jsonl",
        "0001.jsonl: Too many levels of symbolic links",
    ),
    "FIFO": (
        "rm 0001.jsonl; mkfifo -m 0600 0001.jsonl",
        "0001.jsonl is not a file that only root can write",
    ),
    "directory": ("rm 0001.jsonl; mkdir 0001.jsonl", "0001.jsonl"),
    "first file is missing": (
        "mv 0001.jsonl 0002.jsonl",
        "0001.jsonl is missing",
    ),
}


@pytest.mark.parametrize(("act", "message"), UNSAFE.values(), ids=UNSAFE)
def test_unsafe(site: Path, read: Read, run_file: Path, act: str, message: str) -> None:
    subprocess.run(act, shell=True, cwd=run_file.parent, check=True)  # noqa: S602
    for look in (read, Runs(str(site / "journal")).find):
        with pytest.raises(LogwardError) as error:
            look("run-1")
        assert message in str(error.value)


def test_host_without_an_id(
    site: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (_journal, _recorded):
        monkeypatch.setattr(module, "machine_id", lambda: None)
    journals.write(site, "run-1")
    assert read("run-1").calls == 1
    monkeypatch.setattr(_recorded, "machine_id", lambda: "f" * 32)
    with pytest.raises(LogwardError, match="recorded on another host"):
        read("run-1")


def test_no_descriptor_is_left_open(site: Path) -> None:
    for run_id in ("run-1", "run-2"):
        journals.write(site, run_id)
    descriptors = os.listdir("/proc/self/fd")
    with ExitStack() as stack:
        runs = Runs(str(site / "journal"))
        runs.find("latest")
        assert os.listdir("/proc/self/fd") == descriptors
        open_run(runs, "run-1", stack)
        (site / "journal/run-2/0001.jsonl").chmod(0o666)
        with pytest.raises(LogwardError):
            open_run(runs, "run-2", stack)
    assert os.listdir("/proc/self/fd") == descriptors
