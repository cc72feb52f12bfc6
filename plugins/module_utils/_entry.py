# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The entries of a journal: what a run recorded of an inode, or of an edit."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from ._access import DIRECTORY, REGULAR, Inode
from ._acl import Acl, decode, from_mode
from ._edits import EDIT, EditEntry, Span
from ._fs import Stamp
from ._journal import INODE, Entry
from ._record import Malformed, Types, checked_fields

_NO_ID = 0xFFFFFFFF
_SHA256 = re.compile(r"[0-9a-f]{64}")

_NONE = type(None)
_ENTRY: Types = {
    "entry": (str,),
    "path_b64": (str,),
    "device": (int,),
    "ino": (int,),
    "born_ns": (int, _NONE),
    "before": (dict,),
    "after": (dict,),
}
_STATE: Types = {
    "kind": (str,),
    "uid": (int,),
    "gid": (int,),
    "mode": (int,),
    "access_acl": (str, _NONE),
    "default_acl": (str, _NONE),
}
_EDIT: Types = {
    "entry": (str,),
    "path_b64": (str,),
    "stamp": (list, _NONE),
    "inode": (dict,),
    "before": (str, _NONE),
    "after": (str, _NONE),
    "spans": (list,),
    "made": (list,),
}
_STAMP = ((int,), (int,), (int, _NONE))
_SPAN = ((int,), (str,), (str,))


def parsed_entry(record: Mapping[str, Any]) -> Entry | EditEntry:
    """Return what a line says that is neither the first nor a digest.

    Raises Malformed.
    """
    if record.get("entry") == EDIT:
        return _edit_entry(checked_fields(record, _EDIT))
    if record.get("entry") != INODE:
        raise Malformed(f"has no entry of the kind {INODE} or {EDIT}")
    fields = checked_fields(record, _ENTRY)
    stamp = Stamp(fields["device"], fields["ino"], fields["born_ns"])
    before, after = _state(fields["before"]), _state(fields["after"])
    if before.kind != after.kind:
        raise Malformed("changes the kind of an inode")
    return Entry(_path(fields["path_b64"]), stamp, before, after)


def _edit_entry(fields: Mapping[str, Any]) -> EditEntry:
    before, after = _sha256(fields["before"]), _sha256(fields["after"])
    if before == after:
        raise Malformed("has an edit that changes nothing")
    inode = _state(fields["inode"])
    if inode.kind != REGULAR:
        raise Malformed("edits something else than a file")
    return EditEntry(
        _path(fields["path_b64"]),
        None if fields["stamp"] is None else Stamp(*_items(fields["stamp"], _STAMP)),
        inode,
        before,
        after,
        tuple(_span(span) for span in fields["spans"]),
        tuple(_path(*_items([path], ((str,),))) for path in fields["made"]),
    )


def _span(span: object) -> Span:
    offset, removed, inserted = _items(span, _SPAN)
    if offset < 0:
        raise Malformed("has an offset below 0")
    return Span(offset, _bytes(removed), _bytes(inserted))


def _items(value: object, types: Sequence[tuple[type, ...]]) -> list[Any]:
    if not isinstance(value, list) or len(value) != len(types):
        raise Malformed("has a list of a wrong length")
    if any(type(item) not in allowed for item, allowed in zip(value, types)):
        raise Malformed("has a list with a wrong type in it")
    return value


def _sha256(text: str | None) -> str | None:
    if text is not None and not _SHA256.fullmatch(text):
        raise Malformed("has a digest that is none")
    return text


def _path(path_b64: str) -> str:
    path = _bytes(path_b64)
    components = path.split(b"/")
    if (
        not path.startswith(b"/")
        or b"\0" in path
        or {b"", b".", b".."} & set(components[1:])
    ):
        raise Malformed("has no absolute path")
    return os.fsdecode(path)


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise Malformed("has something that is not Base64") from None


def _state(record: Mapping[str, Any]) -> Inode:
    return _inode(*(checked_fields(record, _STATE)[key] for key in _STATE))


@lru_cache(maxsize=4096)
def _inode(
    kind: str,
    uid: int,
    gid: int,
    mode: int,
    access_acl: str | None,
    default_acl: str | None,
) -> Inode:
    """Return the same value for states that are alike, as most are."""
    if kind not in (REGULAR, DIRECTORY):
        raise Malformed(f"has an inode of the kind {kind[:20]!r}")
    if not (0 <= uid < _NO_ID and 0 <= gid < _NO_ID and 0 <= mode <= 0o7777):
        raise Malformed("has an owner, group or mode out of range")
    acl = from_mode(mode) if access_acl is None else _acl(access_acl)
    if acl.mode != mode & 0o777:
        raise Malformed("has a mode that is not that of its ACL")
    if default_acl is not None and kind != DIRECTORY:
        raise Malformed("has a default ACL on a file")
    default = None if default_acl is None else _acl(default_acl)
    return Inode(kind, uid, gid, mode & 0o7000, acl, default)


def _acl(text: str) -> Acl:
    try:
        acl = decode(_bytes(text))
    except Malformed:
        raise
    except ValueError as error:
        raise Malformed(f"has an ACL that cannot be: {error}") from None
    if acl is None:
        raise Malformed("has an ACL without entries")
    return acl
