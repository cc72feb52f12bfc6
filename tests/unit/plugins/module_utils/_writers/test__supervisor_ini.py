# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._writers._source import (
    Problem,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._supervisor_ini import (
    UNKNOWN,
    Place,
    Values,
    expand,
    read,
)

REFUSED = "; supervisor refuses that"
NAMES = {"here": "/etc", "program_name": "app", "process_num": 7}

EXPANSIONS = {
    "plain": ("a b", "a b"),
    "a percent sign": ("100%% of %%(here)s", "100% of %(here)s"),
    "names": ("%(here)s/%(program_name)s", "/etc/app"),
    "numbers": ("%(process_num)02d %(process_num)s %(process_num)x", "07 7 7"),
    "width": ("%(program_name)-5s|%(program_name)5.2s|", "app  |   ap|"),
    "environment": ("%(ENV_HOME)s/x", f"{UNKNOWN}/x"),
    "environment's number": ("%(ENV_N)d", UNKNOWN),
    "all names": ("date %s", f"date {UNKNOWN}"),
}
NO_EXPANSIONS = {
    "unknown name": ("%(nope)s", "supervisor knows no %(nope)s here"),
    "empty name": ("%()s", "supervisor knows no %()s here"),
    "no number": ("%(here)d", "%(here)d does not fit its value"),
    "alone": ("100%", "has a % that is neither %% nor %(name)s"),
    "no conversion": ("%(here)", "has a % that is neither %% nor %(name)s"),
    "without a name": ("date +%d", "has a % that is neither %% nor %(name)s"),
    "a number without end": (
        "%(here)999999999s",
        "has a % that is neither %% nor %(name)s",
    ),
}


@pytest.mark.parametrize(("text", "expanded"), EXPANSIONS.values(), ids=EXPANSIONS)
def test_expansions(text: str, expanded: str) -> None:
    assert expand(text, NAMES) == expanded
    if UNKNOWN not in expanded:
        assert text % NAMES == expanded


@pytest.mark.parametrize(("text", "reason"), NO_EXPANSIONS.values(), ids=NO_EXPANSIONS)
def test_no_expansions(text: str, reason: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        expand(text, NAMES)
    assert str(caught.value) == reason


# What [a] holds, and the lines that supervisor refuses.
TEXTS: dict[str, tuple[bytes, dict[str, str], dict[int, str]]] = {
    "nothing": (b"[a]\n", {}, {}),
    "delimiters": (b"[a]\nb=c\nD : e\nf = g=h\n", {"b": "c", "d": "e", "f": "g=h"}, {}),
    "comments": (
        b"; x\n# y\n[a] ; z\nb=c ; d\ne=f;g\nh=i #j\n ;k\n",
        {"b": "c", "e": "f;g", "h": "i"},
        {},
    ),
    "more lines": (b"[a]\nb = c\n  d\n\te ; f\n; g\n  h\n", {"b": "c\nd\ne\nh"}, {}),
    "an empty line in it": (b"[a]\nb = c\n\n  d\n", {"b": "c\n\nd"}, {}),
    "no value": (b"[a]\nb=\n", {"b": ""}, {}),
    "twice": (b"[a]\nb=1\nb=2\n[c]\nb=3\n[a]\nd=4\n", {"b": "2", "d": "4"}, {}),
    "defaults": (b"[DEFAULT]\nb=1\nc=2\n[a]\nb=3\n", {"b": "3", "c": "2"}, {}),
    "junk": (
        b"[a]\nb=1\njunk\n[\nc=2\n=d\n",
        {"b": "1", "c": "2", "": "d"},
        {
            3: "is neither a section nor a setting",
            4: "is neither a section nor a setting",
            6: "is neither a section nor a setting",
        },
    ),
    "no section": (b"b=1\nc=2\n\n[a]\nd=3\n", {"d": "3"}, {1: "is in no section"}),
    "no section, no end": (
        b"x\n[\n[#]\n[ ;]\n" * 5000 + b"  [a]\nd=3\n",
        {"d": "3"},
        {1: "is in no section"},
    ),
    "carriage returns": (
        b"[a]\r\nb=1\r\nc=2\rd=3\n",
        {"b": "1", "c": "2", "d": "3"},
        {},
    ),
    "UTF-8": ("[a]\nb=caf\u00e9\n".encode(), {"b": "caf\u00e9"}, {}),
    "not UTF-8": (
        b"[a]\n; caf\xe9\nb=caf\xe9\n",
        {"b": "caf\udce9"},
        {2: "is not UTF-8"},
    ),
    "NUL": (b"[a]\nb=\0\n", {"b": "\0"}, {}),
    "odd spaces": ("[a]\n\u2003b=1\n\x0cc=2\x1c\n".encode(), {"b": "1", "c": "2"}, {}),
}


@pytest.mark.parametrize(("data", "values", "refused"), TEXTS.values(), ids=TEXTS)
def test_texts(
    data: bytes, values: dict[str, str], refused: dict[int, str], tmp_path: Path
) -> None:
    (tmp_path / "c").write_bytes(data)
    configuration = read(str(tmp_path), "/c")
    assert dict(configuration.sections["a"].values) == values
    assert list(configuration.problems) == [
        Problem("/c", line, reason + REFUSED) for line, reason in refused.items()
    ]


def test_a_file_of_no_section(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("a=b\n")
    configuration = read(str(tmp_path), "/c")
    assert configuration.sections == {}
    assert configuration.problems == (Problem("/c", 1, "is in no section" + REFUSED),)


def test_places(tmp_path: Path) -> None:
    (tmp_path / "c").write_text(
        "[DEFAULT]\nz=1\n[include]\nfiles=d e\n\n[a]\nb=1\nc=2\n  3\n"
    )
    (tmp_path / "d").write_text("[a]\n\nb=4\n")
    (tmp_path / "e").write_text("[f]\nb=5\n[a]\n")
    sections = read(str(tmp_path), "/c").sections
    assert {name: section.place for name, section in sections.items()} == {
        "include": Place("/c", 3),
        "a": Place("/c", 6),
        "f": Place("/e", 1),
    }
    assert sections["a"].values == {"b": "4", "c": "2\n3", "z": "1"}
    assert [sections["a"].where(key) for key in ("b", "c", "z", "nothing")] == [
        Place("/d", 3),
        Place("/c", 8),
        Place("/c", 2),
        Place("/c", 6),
    ]


# --- [include] ---

INCLUDES = {
    "a glob": ("conf.d/*.conf", ["a", "b"]),
    "absolute": ("/etc/supervisor/conf.d/b.conf", ["b"]),
    "several": ("conf.d/b.conf\n  conf.d/[a].conf ; c", ["a", "b"]),
    "here": ("%(here)s/conf.d/a.conf", ["a"]),
    "upwards": ("../supervisor/conf.d/a.conf", ["a"]),
    "host": ("hosts/%(host_node_name)s.conf", ["host"]),
    "nothing": ("conf.d/*.ini", []),
}
NO_INCLUDES = {
    "missing": (
        "files=conf.d/c.conf",
        "includes a file that does not exist: /etc/supervisor/conf.d/c.conf",
    ),
    "unknown name": ("files=%(nope)s", f"supervisor knows no %(nope)s here{REFUSED}"),
    "environment": (
        "files=%(ENV_X)s",
        "includes a file that does not exist: /etc/supervisor/\\x00",
    ),
    "no files": ("file=x", f"has no files{REFUSED}"),
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "etc/supervisor"
    (top / "conf.d").mkdir(parents=True)
    (top / "hosts").mkdir()
    for name in ("a", "b", ".c"):
        (top / f"conf.d/{name}.conf").write_text(f"[{name}]\n")
    (top / f"hosts/{os.uname().nodename}.conf").write_text("[host]\n")
    return top


@pytest.mark.parametrize(("files", "names"), INCLUDES.values(), ids=INCLUDES)
def test_includes(files: str, names: list[str], tree: Path, tmp_path: Path) -> None:
    (tree / "c").write_text(f"[include]\nfiles = {files}\n")
    configuration = read(str(tmp_path), "/etc/supervisor/c")
    assert sorted(configuration.sections) == sorted(["include", *names])
    assert configuration.problems == ()


@pytest.mark.parametrize(("line", "reason"), NO_INCLUDES.values(), ids=NO_INCLUDES)
def test_no_includes(line: str, reason: str, tree: Path, tmp_path: Path) -> None:
    (tree / "c").write_text(f"[include]\n{line}\n")
    configuration = read(str(tmp_path), "/etc/supervisor/c")
    place = 1 if line.startswith("file=") else 2
    assert configuration.problems == (Problem("/etc/supervisor/c", place, reason),)


def test_includes_do_not_include(tree: Path, tmp_path: Path) -> None:
    (tree / "c").write_text("[include]\nfiles=conf.d/*.conf c\n")
    (tree / "conf.d/a.conf").write_text("[include]\nfiles=hosts/*\n[a]\n")
    configuration = read(str(tmp_path), "/etc/supervisor/c")
    assert sorted(configuration.sections) == ["a", "b", "include"]


def test_included_files_that_cannot_be_read(tree: Path, tmp_path: Path) -> None:
    (tree / "c").write_text("[include]\nfiles=conf.d/*.conf\n")
    conf_d = tree / "conf.d"
    os.mkfifo(conf_d / "fifo.conf")
    (conf_d / "dir.conf").mkdir()
    (conf_d / "loop.conf").symlink_to("loop.conf")
    (conf_d / "zero.conf").symlink_to("/dev/zero")
    (conf_d / "large.conf").write_bytes(b"[large]\n" + b";" * 10_000_000)
    (conf_d / "link.conf").symlink_to("a.conf")
    (conf_d / "new\nline.conf").write_text("[new]\n")
    configuration = read(str(tmp_path), "/etc/supervisor/c")
    assert sorted(configuration.sections) == ["a", "b", "include", "new"]
    prefix = "/etc/supervisor/conf.d/"
    assert configuration.problems == tuple(
        Problem(f"{prefix}{name}.conf", 0, f"cannot be read: {reason}")
        for name, reason in (
            ("dir", "Is a directory"),
            ("fifo", "Not a regular file"),
            ("large", "Larger than 1048576 bytes"),
            ("loop", "Too many levels of symbolic links"),
            ("zero", "Not a regular file"),
        )
    )


def test_the_file_itself_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(str(tmp_path), "/c")


# --- values ---


def test_values(tmp_path: Path) -> None:
    (tmp_path / "c").write_text(
        "[a]\n"
        "good=%(program_name)s\n"
        "bad=%(nope)s\n"
        "secret=x%(ENV_X)s\n"
        "stdout_logfile=/%%%%d/%(here)s\n"
        "seven=7\nminus=-1\nword=x\n"
        "yes=On\nno=0\nmaybe=2\n"
    )
    section = read(str(tmp_path), "/c").sections["a"]
    first = Problem("/c", 0, "before")
    values = Values([first])
    assert values.text(section, "none", {"program_name": "app"}) is None
    assert values.text(section, "good", {"program_name": "app"}) == "app"
    assert values.text(section, "bad", {"program_name": "app"}) is None
    assert values.text(section, "secret", {"program_name": "app"}) == f"x{UNKNOWN}"
    assert values.text(section, "stdout_logfile", {"program_name": "app"}) == "/%d//"
    assert values.known(section, "good", {"program_name": "app"}) == "app"
    assert values.known(section, "secret", {"program_name": "app"}) is None
    assert values.known(section, "secret", {"program_name": "app"}) is None
    assert [values.number(section, key, 3) for key in ("seven", "none", "word")] == [
        7,
        3,
        3,
    ]
    assert values.number(section, "minus", 3) == 3
    assert [values.truth(section, key) for key in ("yes", "no", "maybe", "none")] == [
        True,
        False,
        False,
        False,
    ]
    assert values.problems == (
        first,
        Problem("/c", 3, f"supervisor knows no %(nope)s here{REFUSED}"),
        Problem("/c", 4, "depends on the environment of supervisord"),
        Problem("/c", 8, f"is not a number: x{REFUSED}"),
        Problem("/c", 7, f"is not a number: -1{REFUSED}"),
        Problem("/c", 11, f"is neither true nor false: 2{REFUSED}"),
    )


UMASKS: dict[str, tuple[str, int | None]] = {
    "three digits": ("027", 0o027),
    "four digits": ("0027", 0o027),
    "one digit": ("7", 0o007),
    "Python's": ("0o27", 0o027),
    "more bits than a umask has": ("7027", 0o027),
    "negative, as supervisor hands it on": ("-1", 0o777),
    "decimal": ("18", None),
    "a word": ("u=rwx", None),
    "nothing": ("", None),
}


@pytest.mark.parametrize(("text", "umask"), UMASKS.values(), ids=UMASKS)
def test_umask(text: str, umask: int | None, tmp_path: Path) -> None:
    (tmp_path / "c").write_text(f"[a]\numask={text}\n[b]\n")
    configuration = read(str(tmp_path), "/c")
    values = Values([])
    assert values.umask(configuration.sections["a"], {}, 0o022) == umask
    assert values.umask(configuration.sections["b"], {}, 0o022) == 0o022
    refused = Problem("/c", 2, f"is not a umask: {text}{REFUSED}")
    assert values.problems == (() if umask is not None else (refused,))


def test_an_umask_that_cannot_be_expanded(tmp_path: Path) -> None:
    (tmp_path / "c").write_text("[a]\numask=%(nope)s\n")
    values = Values([])
    section = read(str(tmp_path), "/c").sections["a"]
    assert values.umask(section, {}, 0o022) is None
    reason = f"supervisor knows no %(nope)s here{REFUSED}"
    assert values.problems == (Problem("/c", 2, reason),)
