# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a journal keeps of an edit, what a diff shows, and what both never have."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.logward.permissions.plugins.module_utils._edits import (
    NEW_FILE,
    Edit,
    EditEntry,
    Span,
    digest,
    merged,
    shown,
    spans,
    undone,
)
from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    HostError,
)
from ansible_collections.logward.permissions.plugins.module_utils._fs import Stamp
from ansible_collections.logward.permissions.tests.unit import strategies

PATH = "/etc/app.conf"
SECRET = b"DB_PASSWORD=hunter2\n"

SPANS = {
    "a line": (b"a\nb\nc\n", b"a\nB\nc\n", (Span(2, b"b\n", b"B\n"),)),
    "a line more": (b"a\nc\n", b"a\nb\nc\n", (Span(2, b"", b"b\n"),)),
    "a line less": (b"a\nb\nc\n", b"a\nc\n", (Span(2, b"b\n", b""),)),
    "twice the same line": (b"a\na\n", b"a\na\na\n", (Span(4, b"", b"a\n"),)),
    "the last one without its end": (b"a\nb", b"a\nc", (Span(2, b"b", b"c"),)),
    "its end": (b"a\nb", b"a\nb\n", (Span(2, b"b", b"b\n"),)),
    "two places": (
        b"a\n" + SECRET + b"c\n",
        b"A\n" + SECRET + b"C\n",
        (Span(0, b"a\n", b"A\n"), Span(22, b"c\n", b"C\n")),
    ),
    "a new file": (None, b"a\nb\n", (Span(0, b"", b"a\nb\n"),)),
    "a file that goes": (b"a\nb\n", None, (Span(0, b"a\nb\n", b""),)),
    "a new file with nothing in it": (None, b"", ()),
    "a part of a line": (
        b"umask=022\r\n",
        b"umask=002\r\n",
        (Span(0, b"umask=022\r\n", b"umask=002\r\n"),),
    ),
}


def entry_of(edit: Edit) -> EditEntry:
    return EditEntry(
        edit.path,
        None,
        NEW_FILE,
        digest(edit.before),
        digest(edit.after),
        spans(edit),
    )


@pytest.mark.parametrize(("before", "after", "expected"), SPANS.values(), ids=SPANS)
def test_spans(
    before: bytes | None, after: bytes | None, expected: tuple[Span, ...]
) -> None:
    edit = Edit(PATH, before, after)
    assert spans(edit) == expected
    assert undone(entry_of(edit), after) == before


_CONTENT = st.none() | st.lists(
    st.sampled_from([b"a\n", b"b\n", b"\n", b"c\r\n", b"\xff\n", b"a"]), max_size=12
).map(b"".join)


@settings(strategies.PROPERTY)
@given(_CONTENT, _CONTENT)
def test_every_edit_can_be_undone(before: bytes | None, after: bytes | None) -> None:
    edit = Edit(PATH, before, after)
    entry = entry_of(edit)
    assert undone(entry, after) == before
    kept = b"".join(span.removed for span in entry.spans)
    assert len(kept) <= len(before or b"")


def test_other_lines_are_neither_kept_nor_shown() -> None:
    before = SECRET + b"umask=022\n" + SECRET + b"x=1\n" + SECRET
    after = SECRET + b"umask=002\n" + SECRET + b"x=2\n" + SECRET
    edit = Edit(PATH, before, after)
    line = json.loads(entry_of(edit).line())
    assert line["spans"] == [
        [20, "dW1hc2s9MDIyCg==", "dW1hc2s9MDAyCg=="],
        [50, "eD0xCg==", "eD0yCg=="],
    ]
    assert shown(edit) == {
        "before_header": PATH,
        "after_header": PATH,
        "before": "umask=022\nx=1\n",
        "after": "umask=002\nx=2\n",
    }


def test_diff_is_text_whatever_is_in_the_file() -> None:
    edit = Edit("/etc/a\n\udcff", b"\xff\r\n\x1b[0m\n", None)
    assert shown(edit) == {
        "before_header": r"/etc/a\n\xff",
        "after_header": r"/etc/a\n\xff",
        "before": "\\xff\\r\n\\x1b[0m\n",
        "after": "",
    }


@pytest.mark.parametrize("content", [b"a\nB\nd\n", b"", None, b"a\nB\nc\nx\n"])
def test_other_content_is_not_undone(content: bytes | None) -> None:
    entry = entry_of(Edit(PATH, b"a\nb\nc\n", b"a\nB\nc\n"))
    with pytest.raises(HostError, match="does not lead back to what was there"):
        undone(entry, content)


@pytest.mark.parametrize("span", [Span(2, b"x\n", b"B\n"), Span(0, b"b\n", b"B\n")])
def test_spans_that_do_not_lead_back(span: Span) -> None:
    entry = entry_of(Edit(PATH, b"a\nb\nc\n", b"a\nB\nc\n"))
    with pytest.raises(HostError, match="does not lead back"):
        undone(replace(entry, spans=(span,)), b"a\nB\nc\n")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            b"".join(b"a%d\n" % each for each in range(3000)),
            b"".join(b"b%d\n" % each for each in range(3000)),
        ),
        (None, b"x" * 300_000),
    ],
)
def test_edit_that_is_too_much(before: bytes | None, after: bytes) -> None:
    with pytest.raises(HostError, match=r"^/etc/app.conf would change in too many"):
        spans(Edit(PATH, before, after))


# Several edits of one file


def test_edits_of_a_file_are_one() -> None:
    before = b"a\nb\nc\n" + SECRET
    edits = [
        Edit(PATH, before, b"a\nb\nC\n" + SECRET),
        Edit("/etc/other", None, b"x"),
        Edit(PATH, before, b"A\nb\nc\n" + SECRET),
        Edit(PATH, before, before),
        Edit(PATH, before, b"a\nb\nc\n" + SECRET + b"d\n"),
        Edit("/etc/other", None, b"x"),
        Edit(PATH, before, b"A\nb\nc\n" + SECRET),
    ]
    assert merged(edits) == [
        Edit(PATH, before, b"A\nb\nC\n" + SECRET + b"d\n"),
        Edit("/etc/other", None, b"x"),
    ]


@pytest.mark.parametrize(
    ("before", "one", "other"),
    [
        (b"a\nb\n", b"x\nb\n", b"y\nb\n"),
        (b"a\nb\n", b"x\ny\n", b"a\nz\n"),
        (b"a\n", b"a\nx\n", b"a\ny\n"),
        (b"a\n", b"a\nx\n", None),
        (None, b"x\n", b"y\n"),
    ],
)
def test_edits_that_contradict_each_other(
    before: bytes | None, one: bytes, other: bytes | None
) -> None:
    edits = [Edit(PATH, before, one), Edit(PATH, before, other)]
    for order in (edits, edits[::-1]):
        with pytest.raises(HostError, match="is to be changed in two ways"):
            merged(order)


def test_edits_of_what_the_file_held_at_different_times() -> None:
    with pytest.raises(HostError, match="is to be changed in two ways"):
        merged([Edit(PATH, b"a\n", b"b\n"), Edit(PATH, b"a\nc\n", b"b\nc\n")])


def test_line_of_the_journal() -> None:
    entry = EditEntry(
        "/etc/\udcff.conf",
        Stamp(10, 11, None),
        NEW_FILE,
        None,
        digest(b"x\n"),
        (Span(0, b"", b"x\n"),),
        ("/etc/a", "/etc/a/b"),
    )
    assert json.loads(entry.line()) == {
        "entry": "edit",
        "path_b64": "L2V0Yy//LmNvbmY=",
        "stamp": [10, 11, None],
        "inode": {
            "kind": "file",
            "uid": 0,
            "gid": 0,
            "mode": 0o644,
            "access_acl": None,
            "default_acl": None,
        },
        "before": None,
        "after": "73cb3858a687a8494ca3323053016282f3dad39d42cf62ca4e79dda2aac7d9ac",
        "spans": [[0, "", "eAo="]],
        "made": ["L2V0Yy9h", "L2V0Yy9hL2I="],
    }
