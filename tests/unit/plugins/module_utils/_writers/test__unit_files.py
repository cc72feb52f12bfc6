# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._writers._source import (
    Problem,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._unit_files import (
    configured_umask,
    expand,
    files_of,
    parse,
    parse_umask,
    read,
    unescape,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._writers.files import (
    host,
    within,
)

ETC = "/etc/systemd/system"
LIB = "/usr/lib/systemd/system"

SETTINGS = {
    "plain": ("[Service]\nUser=x", [("Service", "User", "x", 2)]),
    "blanks": (" [Service] \n User = x y ", [("Service", "User", "x y", 2)]),
    "equals": ("[Service]\nA=b=c", [("Service", "A", "b=c", 2)]),
    "empty": ("[Service]\nA=", [("Service", "A", "", 2)]),
    "comments": ("#a\n;b\n[Service]\n  # c\nA=b # d", [("Service", "A", "b # d", 5)]),
    "sections": (
        "[Unit]\nA=b\n[Service]\nA=c",
        [("Unit", "A", "b", 2), ("Service", "A", "c", 4)],
    ),
    "no section": ("A=b", [("", "A", "b", 1)]),
    "goes on": ("[S]\nA=b \\\n  c\nD=e", [("S", "A", "b  c", 2), ("S", "D", "e", 4)]),
    "goes on after a comment": ("[S]\nA=b \\\n# x\n;y\nc", [("S", "A", "b  c", 2)]),
    "goes on over nothing": (
        "[S]\nA=b \\\n\nC=d",
        [("S", "A", "b", 2), ("S", "C", "d", 4)],
    ),
    "goes on at the end": ("[S]\nA=b \\", [("S", "A", "b", 2)]),
    "carriage returns": ("[S]\r\nA=b\r", [("S", "A", "b", 2)]),
}


@pytest.mark.parametrize(("text", "expected"), SETTINGS.values(), ids=SETTINGS)
def test_settings(text: str, expected: list[tuple[str, str, str, int]]) -> None:
    settings, problems = parse(text.split("\n"), "/x")
    assert [(each.section, each.key, each.value, each.line) for each in settings] == (
        expected
    )
    assert {each.path for each in settings} == {"/x"}
    assert problems == []


PROBLEMS = {
    "no equals": ("[S]\nA\nB=c", 2, "is no setting: it has no =", [("S", "B")]),
    "no bracket": (
        "[S]\nA=b\n[T\nB=c",
        3,
        "a section has no ]",
        [("S", "A"), ("", "B")],
    ),
    "NUL": ("[S]\nA=b\0\nB=c", 2, "contains a NUL byte", [("S", "B")]),
}


@pytest.mark.parametrize(
    ("text", "line", "message", "left"), PROBLEMS.values(), ids=PROBLEMS
)
def test_problems(
    text: str, line: int, message: str, left: list[tuple[str, str]]
) -> None:
    settings, problems = parse(text.split("\n"), "/x")
    assert problems == [Problem("/x", line, message)]
    assert [(each.section, each.key) for each in settings] == left


def test_several_files(tmp_path: Path) -> None:
    files = {"/a": "[S]\nA=b\nx", "/c": "[S]\nC=d"}
    settings, problems = read(host(tmp_path, files), ["/a", "/none", "/c"])
    assert [(each.key, each.path) for each in settings] == [("A", "/a"), ("C", "/c")]
    assert [(each.path, each.line) for each in problems] == [("/a", 3), ("/none", 0)]


#: Files of a host, and those that are a unit's.
FILES = {
    "none": ("a.service", [], []),
    "one": ("a.service", [f"{LIB}/a.service"], [f"{LIB}/a.service"]),
    "the administrator's": (
        "a.service",
        [f"{LIB}/a.service", f"{ETC}/a.service", "/run/systemd/system/a.service"],
        [f"{ETC}/a.service"],
    ),
    "while it runs": (
        "a.service",
        [f"{LIB}/a.service", "/run/systemd/system/a.service"],
        ["/run/systemd/system/a.service"],
    ),
    "a template": ("a@b.service", [f"{LIB}/a@.service"], [f"{LIB}/a@.service"]),
    "an instance": (
        "a@b.service",
        [f"{ETC}/a@.service", f"{LIB}/a@b.service"],
        [f"{LIB}/a@b.service"],
    ),
    "no template": ("a.service", [f"{LIB}/a@.service"], []),
    "drop-ins": (
        "a.service",
        [
            f"{ETC}/a.service.d/20.conf",
            f"{LIB}/a.service",
            f"{LIB}/a.service.d/10.conf",
            f"{LIB}/a.service.d/30.conf",
            f"{LIB}/a.service.d/README",
            f"{LIB}/b.service.d/1.conf",
        ],
        [
            f"{LIB}/a.service",
            f"{LIB}/a.service.d/10.conf",
            f"{ETC}/a.service.d/20.conf",
            f"{LIB}/a.service.d/30.conf",
        ],
    ),
    "drop-ins of one name": (
        "a.service",
        [f"{ETC}/a.service.d/10.conf", f"{LIB}/a.service.d/10.conf"],
        [f"{ETC}/a.service.d/10.conf"],
    ),
    "drop-ins of a template": (
        "a@b.service",
        [f"{ETC}/a@.service.d/10.conf", f"{ETC}/a@b.service.d/20.conf"],
        [f"{ETC}/a@.service.d/10.conf", f"{ETC}/a@b.service.d/20.conf"],
    ),
    "drop-ins of an instance": (
        "a@b.service",
        [f"{ETC}/a@.service.d/10.conf", f"{ETC}/a@b.service.d/10.conf"],
        [f"{ETC}/a@b.service.d/10.conf"],
    ),
    "drop-ins of all services": (
        "a.service",
        [
            f"{ETC}/service.d/10.conf",
            f"{LIB}/a.service.d/20.conf",
            f"{ETC}/timer.d/a.conf",
        ],
        [f"{ETC}/service.d/10.conf", f"{LIB}/a.service.d/20.conf"],
    ),
}


@pytest.mark.parametrize(("unit", "there", "expected"), FILES.values(), ids=FILES)
def test_files_of_a_unit(
    unit: str, there: list[str], expected: list[str], tmp_path: Path
) -> None:
    root = host(tmp_path, dict.fromkeys(there, ""))
    assert files_of(root, unit) == expected


ELSEWHERE = [ETC, "/run/systemd/system", "/usr/local/lib/systemd/system", LIB]


@pytest.mark.parametrize("place", [*ELSEWHERE, "/lib/systemd/system"])
def test_where_units_are(place: str, tmp_path: Path) -> None:
    paths = [f"{place}/a.service", f"{place}/a.service.d/b.conf"]
    assert files_of(host(tmp_path, dict.fromkeys(paths, "")), "a.service") == paths


def test_masked_files(tmp_path: Path) -> None:
    paths = [f"{LIB}/a.service", f"{LIB}/a.service.d/10.conf"]
    host(tmp_path, dict.fromkeys([*paths, f"{ETC}/a.service.d/x"], ""))
    (tmp_path / "etc/systemd/system/a.service.d/10.conf").symlink_to(os.devnull)
    assert files_of(str(tmp_path), "a.service") == [f"{LIB}/a.service"]
    (tmp_path / "etc/systemd/system/a.service").symlink_to(os.devnull)
    assert files_of(str(tmp_path), "a.service") == []


UMASKS = {
    "default": ("[Service]", 0o022),
    "set": ("[Service]\nUMask=0007", 0o007),
    "short": ("[Service]\nUMask=2", 0o002),
    "set twice": ("[Service]\nUMask=0007\nUMask=0077", 0o077),
    "elsewhere": ("[Unit]\nUMask=0007", 0o022),
    "bad": ("[Service]\nUMask=0007\nUMask=u=rwx", 0o007),
}


@pytest.mark.parametrize(("text", "umask"), UMASKS.values(), ids=UMASKS)
def test_configured_umask(text: str, umask: int, tmp_path: Path) -> None:
    root = host(tmp_path, {f"{LIB}/a.service": text})
    assert configured_umask(root, "a.service") == umask
    host(tmp_path, {f"{ETC}/a.service.d/x.conf": "[Service]\nUMask=0070"})
    assert configured_umask(root, "a.service") == 0o070


@pytest.mark.parametrize("bad", ["", "8", "-1", "0x12", "000000", "u=rwx", "\u0662"])
def test_a_umask_that_systemd_ignores(bad: str) -> None:
    assert parse_umask(bad, 0o123) == 0o123
    assert parse_umask("7027", 0) == 0o027


SPECIFIERS = {
    "a.service": "a.service a a a   a a",
    "a-b@c-d.service": "a-b@c-d.service a-b@c-d a-b a/b c-d c/d b b",
    "a@.service": "a@.service a@ a a   a a",
    r"x\x2dy@z\x2f.service": r"x\x2dy@z\x2f.service x\x2dy@z\x2f x\x2dy x-y z\x2f z/ x\x2dy x-y",
}


@pytest.mark.parametrize(("unit", "expected"), SPECIFIERS.items(), ids=SPECIFIERS)
def test_specifiers_of_names(unit: str, expected: str) -> None:
    assert expand("%n %N %p %P %i %I %j %J", unit) == expected


def test_other_specifiers() -> None:
    host_name = os.uname().nodename
    assert expand("%H %l", "a.service") == f"{host_name} {host_name.split('.')[0]}"
    assert expand("%t%S%C%L%E", "a.service") == "/run/var/lib/var/cache/var/log/etc"
    assert expand("%T %V", "a.service") == "/tmp /var/tmp"  # noqa: S108
    assert expand("%u %U %g %G %h", "a.service") == "root 0 root 0 /root"
    assert expand("100%%n %", "a.service") == "100%n %"
    with pytest.raises(ValueError, match=r"^the value of %m is not known$"):
        expand("/var/log/%m", "a.service")


def test_unescape() -> None:
    assert unescape(r"srv-caf\xc3\xa9\x2d1") == "srv/caf\u00e9-1"
    assert unescape(r"a\x2\xzz") == r"a\x2\xzz"


def test_a_fifo_does_not_block(tmp_path: Path) -> None:
    root = host(tmp_path, {f"{ETC}/a.service.d/b.conf": "[Service]\nUMask=0007"})
    os.mkfifo(tmp_path / "etc/systemd/system/a.service.d/a.conf")
    with within(10):
        assert configured_umask(root, "a.service") == 0o007


def test_a_long_file_takes_no_time() -> None:
    with within(10):
        parse(["A=b \\"] * 200_000, "/x")
        parse(["[" * 1_000_000, "=" * 1_000_000], "/x")
        expand("%" * 1_000_001, "a.service")
