# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._writers import (
    _apache_config,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._apache_config import (
    Configuration,
    expand,
    logical_lines,
    read,
    undefined,
    words,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._source import (
    Problem,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._writers.files import (
    host,
    within,
)

ETC = "/etc/apache2"
MAIN = f"{ETC}/apache2.conf"

LINES = {
    "plain": (["A b"], [(1, "A b")]),
    "blanks around": (["  \tA b \t"], [(1, "A b")]),
    "empty": (["", "  ", "A"], [(3, "A")]),
    "comment": (["# A", "  # A", "B # c"], [(3, "B # c")]),
    "goes on": (["A \\", "  b \\", "c", "D"], [(1, "A   b c"), (4, "D")]),
    "goes on at the end": (["A \\"], [(1, "A")]),
    "in the middle of a word": (["Docu\\", "mentRoot /x"], [(1, "DocumentRoot /x")]),
    "comment goes on": (["# A \\", "B", "C"], [(3, "C")]),
    "carriage returns": (["A \\\r", "b\r", "C\r"], [(1, "A b"), (3, "C")]),
    "blank after backslash": (["A \\ ", "B"], [(1, "A \\"), (2, "B")]),
    "empty line ends it": (["A \\", "", "B"], [(1, "A"), (3, "B")]),
}


@pytest.mark.parametrize(("lines", "logical"), LINES.values(), ids=LINES)
def test_logical_lines(lines: list[str], logical: list[tuple[int, str]]) -> None:
    assert list(logical_lines(lines)) == logical


WORDS = {
    "plain": ("CustomLog /x combined", ["CustomLog", "/x", "combined"]),
    "blanks": ("A\t b  c", ["A", "b", "c"]),
    "quotes": ('A "b c" d', ["A", "b c", "d"]),
    "single quotes": ("A 'b \"c' d", ["A", 'b "c', "d"]),
    "escaped quote": (r'A "b\"c\\d" e', ["A", r'b"c\d', "e"]),
    "escaped single quote": (r"A 'b\'c\\' d", ["A", "b'c\\", "d"]),
    "other escapes stay": (r'A "\n\$" \b', ["A", r"\n\$", r"\b"]),
    "double backslash": (r"A b\\c", ["A", r"b\c"]),
    "quote within a word": ('A b"c d"', ["A", 'b"c', 'd"']),
    "not closed": ('A "b c', ["A", "b c"]),
    "not closed after a backslash": ('A "b\\"', ["A", 'b"']),
    "glued": ('A "b"c', ["A", "b", "c"]),
    "empty": ('A "" b', ["A", "", "b"]),
    "nothing": ("", []),
}


@pytest.mark.parametrize(("text", "expected"), WORDS.values(), ids=WORDS)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


EXPANSIONS = {
    "one": ("${A}/x", "/a/x", None),
    "several": ("${A}${B}", "/ab c", None),
    "none": ("$A {A} $", "$A {A} $", None),
    "undefined": ("x${C}y${D}", "x${C}y${D}", "${C}"),
    "of a map": ("${lower:%1}${C}", "${lower:%1}${C}", "${C}"),
    "not closed": ("${A", "${A", None),
    "not again": ("${E}", "${A}", "${A}"),
}


@pytest.mark.parametrize(
    ("text", "expanded", "left"), EXPANSIONS.values(), ids=EXPANSIONS
)
def test_expand(text: str, expanded: str, left: str | None) -> None:
    variables = {"A": "/a", "B": "b c", "E": "${A}"}
    assert expand(text, variables) == expanded
    assert undefined(expanded) == left


def _read(
    root: Path, files: Mapping[str, str | bytes], **environment: str
) -> Configuration:
    return read(host(root, files), ETC, environment, ["GIVEN"])


def _said(configuration: Configuration) -> list[str]:
    return [
        " ".join((f"{each.host}:{each.name}", *each.arguments))
        for each in configuration.directives
    ]


#: What is in force of a configuration in one file.
IN_FORCE = {
    "names in any case": ("ERRORLOG /x", ["0:errorlog /x"]),
    "arguments as they are": ("User Name", ["0:user Name"]),
    "environment": ("User ${WHO}", ["0:user deploy"]),
    "variables are split": ("A ${TWO}", ["0:a b c"]),
    "defined": ("Define X y\nA ${X}", ["0:a y"]),
    "defined wins": ("Define WHO y\nA ${WHO}", ["0:a y"]),
    "defined again": ("Define X y\nDefine X z\nA ${X}", ["0:a z"]),
    "defined later": ("A ${X}\nDefine X y", ["0:a ${X}"]),
    "undefined": ("Define X y\nUnDefine X\nA ${X}", ["0:a ${X}"]),
    "environment is back": ("Define WHO y\nUnDefine WHO\nA ${WHO}", ["0:a deploy"]),
    "undefined twice": ("UnDefine X\nUnDefine X\nA b", ["0:a b"]),
    "defined from another": ("Define X y\nDefine Z ${X}z\nA ${Z}", ["0:a yz"]),
    "directory": ("<Directory />\nA b\n</Directory>\nC d", ["0:a b", "0:c d"]),
    "virtual host": ("<VirtualHost *:80>\nA b\n</VirtualHost>\nC", ["1:a b", "0:c"]),
    "virtual hosts": (
        "<VirtualHost *:80>\nA\n</VirtualHost>\n<virtualhost *:81>\nB\n</VIRTUALHOST>",
        ["1:a", "2:b"],
    ),
    "directory in a virtual host": (
        "<VirtualHost *>\n<Directory />\nA\n</Directory>\nB\n</VirtualHost>",
        ["1:a", "1:b"],
    ),
    "with blanks": ("< VirtualHost * >\nA\n</ VirtualHost >\nB", ["1:a", "0:b"]),
    "limits of methods": ("<LimitExcept GET>\nA\n</LimitExcept>", ["0:a"]),
    "expression": ('<If "%{X} > 3">\nA\n</If>\nB', ["0:a", "0:b"]),
    "built in": ("<IfModule core.c>\nA\n</IfModule>", ["0:a"]),
    "built in, by name": ("<IfModule unixd_module>\nA\n</IfModule>", ["0:a"]),
    "built in, by file": ("<IfModule mod_so.c>\nA\n</IfModule>", ["0:a"]),
    "http core": ("<IfModule http_core.c>\nA\n</IfModule>", ["0:a"]),
    "module not there": ("<IfModule ssl_module>\nA\n</IfModule>", []),
    "no module": ("<IfModule !ssl_module>\nA\n</IfModule>", ["0:a"]),
    "module by name": (
        "LoadModule ssl_module /x/mod_ssl.so\n<IfModule ssl_module>\nA\n</IfModule>",
        ["0:a"],
    ),
    "module by file": (
        "LoadModule ssl_module /x/a.so\n<IfModule mod_ssl.c>\nA\n</IfModule>",
        ["0:a"],
    ),
    "module by library": (
        "LoadModule php_module /x/libphp8.2.so\n<IfModule libphp8.2.c>\nA\n</IfModule>",
        ["0:a"],
    ),
    "module without a library": (
        "LoadModule ssl_module\n<IfModule mod_ssl.c>\nA\n</IfModule>",
        ["0:a"],
    ),
    "processing module": (
        "LoadModule mpm_prefork_module /x/y.so\n<IfModule prefork.c>\nA\n</IfModule>",
        ["0:a"],
    ),
    "processing module by name": (
        "LoadModule mpm_itk_module /x/y.so\n<IfModule mpm_itk.c>\nA\n</IfModule>",
        ["0:a"],
    ),
    "not that module": (
        "LoadModule ssl_module /x/y.so\n<IfModule !ssl_module>\nA\n</IfModule>",
        [],
    ),
    "quoted": ('<IfModule "core.c">\nA\n</IfModule>', ["0:a"]),
    "no such file of a module": (
        "LoadModule ssl_module /x/mod_ssl.so\n<IfModule ssl.c>\nA\n</IfModule>",
        [],
    ),
    "given": ("<IfDefine GIVEN>\nA\n</IfDefine>", ["0:a"]),
    "not given": ("<IfDefine OTHER>\nA\n</IfDefine>", []),
    "not": ("<IfDefine !OTHER>\nA\n</IfDefine>", ["0:a"]),
    "given here": ("Define X\n<IfDefine X>\nA\n</IfDefine>", ["0:a"]),
    "no longer": ("UnDefine GIVEN\n<IfDefine GIVEN>\nA\n</IfDefine>", []),
    "given, with a blank": (
        'Define "X Y"\n<IfDefine "X Y">\nA\n</IfDefine>',
        ["0:a"],
    ),
    "nothing": ("<IfDefine>\nA\n</IfDefine>\nB", ["0:b"]),
    "variable in a condition": (
        "Define X GIVEN\n<IfDefine ${X}>\nA\n</IfDefine>",
        ["0:a"],
    ),
    "file": (f"<IfFile {MAIN}>\nA\n</IfFile>", ["0:a"]),
    "file below the server's root": ("<IfFile apache2.conf>\nA\n</IfFile>", ["0:a"]),
    "no file": ("<IfFile /none>\nA\n</IfFile>", []),
    "version": ("<IfVersion >= 2.4>\nA\n</IfVersion>", ["0:a"]),
    "in what is not in force": (
        "<IfModule no>\nDefine X y\n<IfModule !no>\nA\n</IfModule>\n</IfModule>\nB ${X}",
        ["0:b ${X}"],
    ),
    "virtual host that is not in force": (
        "<IfFile no>\n{0}\n</IfFile>\n{0}".format("<VirtualHost *>\nB\n</VirtualHost>"),
        ["1:b"],
    ),
    "virtual host under a condition": (
        "<IfModule core.c>\n<VirtualHost *>\nA\n</VirtualHost>\n</IfModule>",
        ["1:a"],
    ),
    "condition in a virtual host": (
        "<VirtualHost *>\n<IfModule core.c>\nA\n</IfModule>\n</VirtualHost>",
        ["1:a"],
    ),
    "macro": ("<Macro M $x>\nA $x\n</Macro>\nB", ["0:b"]),
    "variable that makes a line empty": ("Define X ''\n${X}\nA", ["0:", "0:a"]),
    "quoted name": ('"User" x', ["0:user x"]),
}


@pytest.mark.parametrize(("text", "said"), IN_FORCE.values(), ids=IN_FORCE)
def test_what_is_in_force(text: str, said: list[str], tmp_path: Path) -> None:
    configuration = _read(tmp_path, {MAIN: text}, WHO="deploy", TWO="b c")
    assert _said(configuration) == said
    assert not configuration.problems


#: As `apache2 -M` of Debian shows them where no module is loaded.
BUILT_IN = ["core", "so", "watchdog", "http", "log_config", "logio", "version", "unixd"]


@pytest.mark.parametrize("name", BUILT_IN)
def test_what_is_built_in(name: str, tmp_path: Path) -> None:
    text = f"<IfModule {name}_module>\nA\n</IfModule>"
    assert _said(_read(tmp_path, {MAIN: text})) == ["0:a"]


def test_where_a_directive_is(tmp_path: Path) -> None:
    files = {MAIN: "\n# x\nInclude a.conf\n", f"{ETC}/a.conf": "A \\\nb\n\nC\n"}
    found = _read(tmp_path, files).directives
    assert [(each.path, each.line) for each in found] == [
        (f"{ETC}/a.conf", 1),
        (f"{ETC}/a.conf", 4),
    ]


#: What the patterns on the right include, in order.
INCLUDED = {
    "relative": ("a.conf", ["a"]),
    "absolute": (f"{ETC}/d/b.conf", ["b"]),
    "outside": ("/srv/z.conf", ["z"]),
    "sorted": ("d/*.conf", ["b", "c"]),
    "any one": ("d/?.conf", ["b", "c"]),
    "class": ("d/[cd].conf", ["c"]),
    "in directories": ("*/*.conf", ["b", "c", "link"]),
    "directory": ("d", ["b", "c", "text", "e", "f"]),
    "directory with a slash": ("d/", ["b", "c", "text", "e", "f"]),
    "directories": ("[de]", ["b", "c", "text", "e", "f", "link"]),
    "quoted": ('"d/with space.conf2"', ["text"]),
    "variable": ("${WHERE}/b.conf", ["b"]),
    "through a link": ("e/link.conf", ["link"]),
}


@pytest.mark.parametrize("directive", ["Include", "IncludeOptional"])
@pytest.mark.parametrize(("pattern", "said"), INCLUDED.values(), ids=INCLUDED)
def test_include(pattern: str, said: list[str], directive: str, tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        MAIN: f"First\n{directive} {pattern}\nLast\n",
        f"{ETC}/a.conf": "A",
        f"{ETC}/d/c.conf": "C",
        f"{ETC}/d/b.conf": "B",
        f"{ETC}/d/.hidden.conf": "",
        f"{ETC}/d/with space.conf2": "Text",
        f"{ETC}/d/x/e": "E",
        f"{ETC}/d/x/y/f.conf": "F",
        f"{ETC}/e/aside": "Link",
        "/srv/z.conf": "Z",
    }
    host(tmp_path, files)
    (tmp_path / "etc/apache2/e/link.conf").symlink_to("../e/aside")
    if pattern == "[de]":  # both names of it
        (tmp_path / "etc/apache2/e/aside").rename(tmp_path / "aside")
        (tmp_path / "etc/apache2/e/link.conf").unlink()
        (tmp_path / "etc/apache2/e/link.conf").symlink_to("../../../aside")
    configuration = read(str(tmp_path), ETC, {"WHERE": "d"})
    assert _said(configuration) == [
        "0:first",
        *(f"0:{name}" for name in said),
        "0:last",
    ]
    assert not configuration.problems


def test_what_is_included_is_in_the_host_that_includes_it(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        MAIN: "<VirtualHost *>\nInclude a\n</VirtualHost>\nInclude a\nInclude b\nC",
        f"{ETC}/a": "<Directory />\nA\n</Directory>\nB ${X}\nDefine X y",
        f"{ETC}/b": "<VirtualHost *>\nInclude a\n</VirtualHost>",
    }
    configuration = _read(tmp_path, files)
    expected = ["1:a", "1:b ${X}", "0:a", "0:b y", "2:a", "2:b y", "0:c"]
    assert _said(configuration) == expected


def test_server_root(tmp_path: Path) -> None:
    files = {MAIN: 'ServerRoot "/srv/web"\nInclude a\n', "/srv/web/a": "A"}
    configuration = _read(tmp_path, files)
    assert (configuration.server_root, _said(configuration)) == ("/srv/web", ["0:a"])


NONE = "is defined neither in envvars nor with Define"
PROBLEMS = {
    "closes nothing": ("A\n</Directory>", 2, "</directory> closes what is not open"),
    "closes what has no name": ("</>\nA", 1, "</> closes what is not open"),
    "has no name": ("<>\nA", 1, "<> is never closed"),
    "never closed": ("A\n<Directory />\nB", 2, "<directory> is never closed"),
    "one in another": (
        "<VirtualHost *>\n<Directory />\n</VirtualHost>",
        2,
        "<directory> is never closed",
    ),
    "no bracket": ("<Directory /\n</Directory>", 1, "<Directory / has no >"),
    "no bracket at the end": ("<Limit A>\n</Limit", 2, "</Limit has no >"),
    "NUL": ("A\nB \0 c", 2, "contains a NUL byte"),
    "includes nothing": ("Include none", 1, "includes none, which does not exist"),
    "matches nothing": ("Include n*", 1, "includes n*, which does not exist"),
    "unknown file": ("Include ${X}/*", 1, f"${{X}} {NONE}"),
    "perhaps an unknown file": ("IncludeOptional ${X}/*", 1, f"${{X}} {NONE}"),
    "no file": ("\nInclude", 2, "says nothing"),
    "no name": ("Define", 1, "says nothing"),
    "macro": (
        "Use Site pay.example",
        1,
        "uses the macro Site: what that configures is not known here",
    ),
    "itself": (
        "A\nInclude apache2.conf",
        2,
        f"includes {MAIN} in itself, or too deeply",
    ),
    "unprintable": ("</\x1b[31m>", 1, "</\\x1b[31m> closes what is not open"),
}


@pytest.mark.parametrize(("text", "line", "message"), PROBLEMS.values(), ids=PROBLEMS)
def test_problems(text: str, line: int, message: str, tmp_path: Path) -> None:
    files = {MAIN: "Include a\nInclude b\n", f"{ETC}/a": text, f"{ETC}/b": "Z"}
    if "itself" in message:
        files = {MAIN: text + "\nZ"}
    path = MAIN if "itself" in message else f"{ETC}/a"
    configuration = _read(tmp_path, files)
    assert list(configuration.problems) == [Problem(path, line, message)]
    # ... and what is there is still read, in the host it is in
    assert _said(configuration)[-1] == "0:z"


def test_optional_files_need_not_be_there(tmp_path: Path) -> None:
    text = "IncludeOptional none\nIncludeOptional none/*.conf\nA"
    configuration = _read(tmp_path, {MAIN: text})
    assert (_said(configuration), configuration.problems) == (["0:a"], {})


def test_files_that_include_each_other(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        MAIN: "Include a",
        f"{ETC}/a": "A\nInclude b\nInclude b\nC",
        f"{ETC}/b": "B\nInclude a\n",
    }
    configuration = _read(tmp_path, files)
    assert _said(configuration) == ["0:a", "0:b", "0:b", "0:c"]
    message = f"includes {ETC}/a in itself, or too deeply"
    assert list(configuration.problems) == [Problem(f"{ETC}/b", 2, message)]


def test_includes_are_as_deep_as_in_apache(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        f"{ETC}/{number}": f"Include {number + 1}\nD{number}"
        for number in range(1, 200)
    }
    configuration = _read(tmp_path, {**files, MAIN: "Include 1\nEnd"})
    assert _said(configuration)[0] == "0:d127"
    assert _said(configuration)[-1] == "0:end"
    assert [each.path for each in configuration.problems] == [f"{ETC}/127"]


def test_a_directory_in_itself(tmp_path: Path) -> None:
    host(tmp_path, {MAIN: "Include d\nB", f"{ETC}/d/a": "A"})
    (tmp_path / "etc/apache2/d/loop").symlink_to(".")
    with within(10):
        configuration = _read(tmp_path, {})
    assert _said(configuration)[-1] == "0:b"
    assert set(_said(configuration)) == {"0:a", "0:b"}


def test_exponentially_many_includes_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_apache_config, "_MAX_LINES", 5000)
    files: dict[str, str | bytes] = {
        f"{ETC}/{number}": f"Include {number + 1}\n" * 2 for number in range(100)
    }
    with within(60):
        configuration = _read(tmp_path, {**files, MAIN: "A\nInclude 0\n"})
    assert _said(configuration) == ["0:a"]
    messages = {problem.message for problem in configuration.problems}
    assert "is not read on: there are more than 5000 lines" in messages


def test_lines_and_files_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_apache_config, "_MAX_LINES", 10)
    message = "is not read on: there are more than 10 lines"
    configuration = _read(tmp_path, {MAIN: "A\n" * 20})
    assert len(configuration.directives) == 9  # the file is one, too
    assert list(configuration.problems) == [Problem(MAIN, 10, message)]
    files = {f"{ETC}/d/{number}": "" for number in range(8)}
    configuration = _read(tmp_path, {MAIN: "Include d\nA", **files})
    assert list(configuration.problems) == [Problem(MAIN, 2, message)]
    configuration = _read(tmp_path, {MAIN: "Include d\n", **files})
    assert list(configuration.problems) == []


UNREADABLE = ["fifo", "dangling", "huge", "socket"]


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_cannot_be_read(kind: str, tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {MAIN: "Include conf-enabled/*.conf\nA"}
    files[f"{ETC}/conf-enabled/z.conf"] = "Z"
    path = Path(host(tmp_path, files)) / "etc/apache2/conf-enabled/a.conf"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "dangling":
        path.symlink_to("none")
    elif kind == "huge":
        with path.open("wb") as file:
            file.truncate(1 << 40)
    else:
        path.symlink_to("/dev/tty")
    with within(10):
        configuration = _read(tmp_path, {})
    assert _said(configuration) == ["0:z", "0:a"]
    (problem,) = configuration.problems
    assert (problem.path, problem.line) == (f"{ETC}/conf-enabled/a.conf", 0)
    assert problem.message.startswith("cannot be read: ")


def test_no_main_file(tmp_path: Path) -> None:
    configuration = read(str(tmp_path), ETC, {})
    assert configuration.directives == []
    assert [problem.path for problem in configuration.problems] == [MAIN]


def test_invalid_utf_8_is_kept(tmp_path: Path) -> None:
    text = b"ErrorLog /srv/caf\xe9.log\nInclude \xff\n"
    configuration = _read(tmp_path, {MAIN: text})
    (directive,) = configuration.directives
    assert os.fsencode(directive.arguments[0]) == b"/srv/caf\xe9.log"
    (problem,) = configuration.problems
    assert problem.message == "includes \\xff, which does not exist"


LONG = ["${", "A ", "\\", '"', "'", '\\"', "<", "</", "<A \n", "</A>\n", "<A>\n", "A\n"]


@pytest.mark.parametrize("part", LONG)
def test_a_long_file_takes_no_time(part: str, tmp_path: Path) -> None:
    with within(20):
        _read(tmp_path, {MAIN: "X " + part * (300_000 // len(part))})


SHORT = ["<", "</", "<A ", "Include ", "Include ${X}", "Use "]
SHORT += [f"Include ${{{'X' * 190}}}", "<A>\n<" + "X" * 200 + ">\n</A>\n"]


@pytest.mark.parametrize("start", SHORT)
def test_messages_are_short(start: str, tmp_path: Path) -> None:
    problems = _read(tmp_path, {MAIN: start + "x" * 10_000 + "\n"}).problems
    assert problems
    assert all(len(problem.message) < 200 for problem in problems)
