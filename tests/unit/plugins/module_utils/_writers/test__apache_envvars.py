# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._writers._apache_envvars import (
    Environment,
    evaluate,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._source import (
    Problem,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._writers.files import (
    host,
    within,
)

ENVVARS = "/etc/apache2/envvars"


def _evaluate(root: Path, text: str | bytes, **before: str) -> Environment:
    return evaluate(host(root, {ENVVARS: text}), ENVVARS, before)


IF = """\
if [ {} = {} ]; then export A=b
elif [ {} = {} ]; then export A=c
else export A=d
fi"""
#: What dash exports, too, when it reads the same.
EXPORTS = {
    "plain": ("export A=b", {"A": "b"}),
    "not exported": ("A=b", {}),
    "exported later": ("A=b\nexport A", {"A": "b"}),
    "several": ("export A=b C=d\nexport E", {"A": "b", "C": "d"}),
    "assigned together": ("A=b C=d\nexport A C", {"A": "b", "C": "d"}),
    "last one": ("export A=b\nexport A=c", {"A": "c"}),
    "changed after the export": ("export A=b\nA=c", {"A": "c"}),
    "before a command": ("export A=b\nA=c true", {"A": "b"}),
    "unset": ("export A=b\nunset A", {}),
    "unset, then read": ("A=b\nunset A\nexport C=$A${A-d}e", {"C": "de"}),
    "unset several": ("export A=b C=d E=f\nunset A C", {"E": "f"}),
    "unset, then set": ("export A=b\nunset A\nA=c", {}),
    "empty": ("export A=", {"A": ""}),
    "single quotes": ("export A='b $c \"d\"'", {"A": 'b $c "d"'}),
    "double quotes": ('B=x\nexport A="b $B ${B}y"', {"A": "b x xy"}),
    "escapes in double quotes": (
        r'export A="\"\\ \$ \`"',
        {"A": '"\\ $ `'},
    ),
    "other backslashes in double quotes": (r'export A="\a"', {"A": r"\a"}),
    "dollars in double quotes": ('export A="^b$"', {"A": "^b$"}),
    "line goes on in quotes": ('export A="b\\\nc"', {"A": "bc"}),
    "newline in quotes": ('export A="b\nc"', {"A": "b\nc"}),
    "escaped": (r"export A=b\ c\$", {"A": "b c$"}),
    "line goes on": ("export A=b\\\nc", {"A": "bc"}),
    "glued": ("B=x\nexport A='b'\"$B\"c", {"A": "bxc"}),
    "comment": ("export A=b # C=d\n# export A=c", {"A": "b"}),
    "no comment": ("export A=b#c", {"A": "b#c"}),
    "semicolon": ("A=b; export A", {"A": "b"}),
    "not set": ("export A=b$B${B}c", {"A": "bc"}),
    "default": ("export A=${B:-/c}", {"A": "/c"}),
    "default of two lines": ('export A="${B:-b\nc}"', {"A": "b\nc"}),
    "default of a default": ("C=d\nexport A=${B:-$C}", {"A": "d"}),
    "no default needed": ("B=x\nexport A=${B:-c}", {"A": "x"}),
    "default of the empty": ("B=\nexport A=${B:-c}", {"A": "c"}),
    "empty is set": ("B=\nexport A=${B-c}", {"A": ""}),
    "default of the unset": ("export A=${B-c}", {"A": "c"}),
    "alternative": ("B=x\nexport A=${B:+c}", {"A": "c"}),
    "no alternative": ("export A=${B:+c}d", {"A": "d"}),
    "prefix cut": ("B=/etc/x\nexport A=${B#/etc}", {"A": "/x"}),
    "longest prefix cut": ("B=/etc/x\nexport A=${B##/etc/}", {"A": "x"}),
    "prefix not there": ("B=/opt/x\nexport A=${B##/etc/}", {"A": "/opt/x"}),
    "suffix cut": ("B=/etc/x\nexport A=${B%/x}", {"A": "/etc"}),
    "if taken": ("if [ a = a ]; then export A=b; else export A=c; fi", {"A": "b"}),
    "if not taken": ("if [ a = b ]; then export A=b; else export A=c; fi", {"A": "c"}),
    "if not equal": ("if [ a != b ]\nthen\nexport A=b\nfi", {"A": "b"}),
    "if empty": ('if [ -z "$B" ]; then export A=b; fi', {"A": "b"}),
    "if not empty": (
        'B=x; if [ -n "$B" ]; then export A=b; else export A=c; fi; export C=d',
        {"A": "b", "C": "d"},
    ),
    "if empty after all": (
        'if [ -n "$B" ]; then export A=b; else export A=c; fi',
        {"A": "c"},
    ),
    "if not": ("if ! [ a = b ]; then export A=b; fi", {"A": "b"}),
    "if test": ("if test a = a; then export A=b; fi", {"A": "b"}),
    "if not a file": ("if [ -f /nowhere ]; then export A=b; fi", {}),
    "elif": (IF.format(1, 2, 1, 1), {"A": "c"}),
    "elif after if": (IF.format(1, 1, 1, 1), {"A": "b"}),
    "else after elif": (IF.format(1, 2, 1, 2), {"A": "d"}),
    "if in if": (
        "if [ a = b ]; then if [ a = a ]; then export A=b; fi; export C=d; fi",
        {},
    ),
    "elif in if": (
        f"if [ a = a ]; then {IF.format(1, 2, 1, 1)}; fi; export C=d",
        {"A": "c", "C": "d"},
    ),
    "after if": ("if [ a = b ]; then B=c; fi; export A=b", {"A": "b"}),
    "subshell": ("export A=b; (A=c; export A); export C=d", {"A": "b", "C": "d"}),
    "subshell in a subshell": (
        "export A=b; ( (A=c); A=d; export A E=f ); export C=d",
        {"A": "b", "C": "d"},
    ),
    "group in if": ("if [ a = a ]; then { export A=b; }; fi", {"A": "b"}),
    "group": ("{ export A=b; }", {"A": "b"}),
    "background": ("true & export A=b", {"A": "b"}),
}


@pytest.mark.parametrize(("text", "exported"), EXPORTS.values(), ids=EXPORTS)
def test_what_is_exported(text: str, exported: dict[str, str], tmp_path: Path) -> None:
    environment = _evaluate(tmp_path, text)
    assert environment.variables == exported
    assert environment.umask is None
    assert environment.problems == []
    # ... and the shell agrees.
    script = f". {tmp_path}{ENVVARS}; env -0"
    output = subprocess.run(
        ["env", "-i", "/bin/sh", "-c", script], check=True, capture_output=True
    ).stdout
    pairs = (pair.split("=", 1) for pair in os.fsdecode(output).split("\0") if pair)
    assert {key: value for key, value in pairs if len(key) == 1} == exported


#: What cannot be known without running something.
UNKNOWN = {
    "command": "export A=$(hostname)",
    "command with brackets": 'export A=$(basename "$(pwd)")',
    "command in brackets in brackets": "export A=$((1 + (2 * (3))))",
    "backticks": "export A=b`hostname`",
    "command in quotes": 'export A="b$(hostname)"',
    "backticks in quotes": 'export A="b`hostname`"',
    "parameter": "export A=$1",
    "process": 'export A="$$"',
    "pattern": "B=/etc/x\nexport A=${B##*/}",
    "length": "B=/etc/x\nexport A=${#B}",
    "from what is not known": 'B=$(hostname)\nexport A="b$B"',
    "default that is not known": "export A=${B:-$(hostname)}",
    "default of what is not known": "B=$(hostname)\nexport A=${B:-b}",
    "quotes of ANSI C": "export A=$'b'",
    "perhaps": "export A=b\ngrep -q x /etc/x && A=c",
    "perhaps empty": "grep -q x /etc/x && A=\nexport A",
    "perhaps not": "export A=b\ngrep -q x /etc/x || A=c",
    "in a pipe": "export A=b\ntrue | A=c",
    "perhaps unset": "export A=b\ngrep -q x /etc/x && unset A",
    "if a command": "export A=b\nif grep -q x /etc/x; then A=c; fi",
    "else of a command": "export A=b\nif grep -q x /etc/x; then :; else A=c; fi",
    "elif of a command": "export A=b\nif grep x y; then :; elif [ a = a ]; then A=c; fi",
    "if a test of what is not known": 'export A=b\nif [ "$(id -u)" = 0 ]; then A=c; fi',
    "if one and another": "export A=b\nif [ a = a ] && grep -q x /etc/x; then A=c; fi",
    "if not a command": "export A=b\nif ! grep -q x /etc/x; then A=c; fi",
    "if a command like a test": "export A=b\nif grep -n x; then A=c; fi",
    "if a test that is not closed": "export A=b\nif [ a = a b; then A=c; fi",
    "if a test that is closed twice": "export A=b\nif test a = a ]; then A=c; fi",
    "if two tests": "export A=b\nif [ -e /etc -o a = b ]; then A=c; fi",
    "if a test of one word": "export A=b\nif [ -e ]; then A=c; fi",
    "if what only bash has": "export A=b\nif [ a == a ]; then A=c; fi",
    "if a test of more": "export A=b\nif [ $(hostname) -n b ]; then A=c; fi",
    "if another test": "export A=b\nif [ 1 -lt 2 ]; then A=c; fi",
    "in a loop": "export A=b\nfor i in 1 2; do A=$i; done",
    "in a while": "export A=b\nwhile read C; do A=c; done",
    "in an until": "export A=b\nuntil read C; do A=c; done",
    "in a menu": "export A=b\nselect C in x y; do A=c; done",
    "in a case": "export A=b\ncase $B in x) A=c;; esac",
}


@pytest.mark.parametrize("text", UNKNOWN.values(), ids=UNKNOWN)
def test_what_is_not_known_is_not_there(text: str, tmp_path: Path) -> None:
    environment = _evaluate(tmp_path, text + "\nexport C=d")
    assert environment == Environment({"C": "d"})


def test_the_same_either_way_is_known(tmp_path: Path) -> None:
    text = "export A=b\nif grep -q x /etc/x; then A=b; fi"
    assert _evaluate(tmp_path, text).variables == {"A": "b"}


def test_what_was_there_before_is_not_exported(tmp_path: Path) -> None:
    environment = _evaluate(tmp_path, "export A=$B/c", B="/etc")
    assert environment.variables == {"A": "/etc/c"}


@pytest.mark.parametrize("option", ["-d", "-e", "-f", "-r"])
def test_files_are_looked_for_on_the_host(option: str, tmp_path: Path) -> None:
    text = "if [ {} {} ]; then export A=b; else export A=c; fi"
    there = "/etc" if option == "-d" else ENVVARS
    for path, value in ((there, "b"), ("/etc/nowhere", "c")):
        environment = _evaluate(tmp_path, text.format(option, path))
        assert environment.variables == {"A": value}
    wrong = ENVVARS if option == "-d" else "/etc"
    found = option in {"-e", "-r"}
    environment = _evaluate(tmp_path, text.format(option, wrong))
    assert environment.variables == {"A": "b" if found else "c"}


UMASKS = {
    "four digits": ("umask 0027", 0o27),
    "three digits": ("umask 002", 0o2),
    "one digit": ("umask 2", 0o2),
    "quoted": ('umask "0077"', 0o77),
    "variable": ("U=0007\numask $U", 0o7),
    "last one": ("umask 0077\numask 0022", 0o22),
    "more than permissions": ("umask 7027", 0o27),
    "in a branch that is taken": ("if [ a = a ]; then umask 0002; fi", 0o2),
    "in one that is not": ("if [ a = b ]; then umask 0002; fi", None),
    "in a subshell": ("(umask 0002)", None),
    "shown": ("umask", None),
    "comment": ("#umask 0002", None),
}


@pytest.mark.parametrize(("text", "umask"), UMASKS.values(), ids=UMASKS)
def test_umask(text: str, umask: int | None, tmp_path: Path) -> None:
    environment = _evaluate(tmp_path, text)
    assert (environment.umask, environment.problems) == (umask, [])


UNCLEAR_UMASK = "sets a umask that is not known here: write it as 0022"
UNCLOSED = "has a quotation mark or bracket that is not closed"
PROBLEMS = {
    "umask in letters": ("\numask u=rwx,g=rwx,o=", 2, UNCLEAR_UMASK),
    "umask that is no number": ("umask 0899", 1, UNCLEAR_UMASK),
    "umask that is too long": ("umask 00022", 1, UNCLEAR_UMASK),
    "umask from a command": ("umask $(cat /etc/umask)", 1, UNCLEAR_UMASK),
    "umask perhaps": ("[ -f /x ] && umask 0002", 1, UNCLEAR_UMASK),
    "umask in a loop": ("for i in 1; do\numask 0002\ndone", 2, UNCLEAR_UMASK),
    "double quote": ('\n\nA="b', 3, UNCLOSED),
    "single quote": ("A='b\n\n", 1, UNCLOSED),
    "backtick": ("A=`b", 1, UNCLOSED),
    "backslash at the end": ("A=b\\", 1, UNCLOSED),
    "subshell": ("(A=b", 1, "has a bracket that is not closed"),
    "function": ("\nf() { umask 0002; }", 2, "has a function, which is not looked"),
    "function, spaced out": ("f ( ) { umask 2; }", 1, "has a function, which is"),
    "ifs in ifs": ("if x; then " * 101, 1, "has an if in too many others"),
    "NUL": ("\nA=\0b", 2, "contains a NUL byte"),
    "relative file": (". envvars.local", 1, "reads envvars.local, which is not"),
    "unprintable file": (". \x1b", 1, r"reads \x1b, which is not looked into"),
    "unknown file": (". $(pwd)/x", 1, "reads $(pwd)/x, which is not looked into"),
    "perhaps a file": ("test -r /x && . /x", 1, "reads /x, which is not looked"),
}


@pytest.mark.parametrize(("text", "line", "message"), PROBLEMS.values(), ids=PROBLEMS)
def test_problems(text: str, line: int, message: str, tmp_path: Path) -> None:
    environment = _evaluate(tmp_path, "export FIRST=1;" + text)
    (problem,) = environment.problems
    assert (problem.path, problem.line) == (ENVVARS, line)
    assert problem.message.startswith(message)
    assert environment.variables["FIRST"] == "1"
    assert environment.umask is None


def test_files_are_sourced(tmp_path: Path) -> None:
    files = {
        ENVVARS: "B=x\n. /etc/default/apache2 y\nexport C=$A\n. /etc/none\numask x",
        "/etc/default/apache2": "export A=$B\numask 0007\nbad 'quote",
    }
    environment = evaluate(host(tmp_path, files), ENVVARS, {})
    assert environment.variables == {"A": "x", "C": "x"}
    assert environment.umask == 0o7
    assert environment.problems == [
        Problem("/etc/default/apache2", 3, UNCLOSED),
        Problem("/etc/none", 0, "cannot be read: No such file or directory"),
        Problem(ENVVARS, 5, UNCLEAR_UMASK),
    ]


@pytest.mark.parametrize("word", ["then", "elif x", "else", "fi", "done", "}", "."])
def test_words_out_of_place_are_no_commands(word: str, tmp_path: Path) -> None:
    assert _evaluate(tmp_path, f"{word}\nexport A=b") == Environment({"A": "b"})


def test_many_files_are_sourced_one_by_one(tmp_path: Path) -> None:
    files = {ENVVARS: ". /etc/a\n" * 10, "/etc/a": "export A=${A}b"}
    environment = evaluate(host(tmp_path, files), ENVVARS, {})
    assert environment == Environment({"A": "b" * 10})


def test_bytes_that_a_shell_leaves_out(tmp_path: Path) -> None:
    assert _evaluate(tmp_path, "export A=b\0c").variables == {"A": "bc"}


def test_a_file_that_sources_itself(tmp_path: Path) -> None:
    text = f"export A=b\n. {ENVVARS}\nexport C=d\n"
    environment = _evaluate(tmp_path, text)
    assert environment.variables == {"A": "b", "C": "d"}
    assert environment.problems == [Problem(ENVVARS, 2, f"reads {ENVVARS}, too deeply")]


def test_names_are_shown_as_they_can_be(tmp_path: Path) -> None:
    path = "/etc/\x1b"
    environment = evaluate(host(tmp_path, {path: f". {path}"}), path, {})
    (problem,) = environment.problems
    assert problem.message == r"reads /etc/\x1b, too deeply"


def test_invalid_utf_8_is_kept(tmp_path: Path) -> None:
    environment = _evaluate(tmp_path, b"export A=/srv/caf\xe9")
    assert os.fsencode(environment.variables["A"]) == b"/srv/caf\xe9"


LONG = ["${", "$(", "$(a", "((", "'a'", '"a"', "$a", "a=\\", "if ", "\nif a; then b"]


@pytest.mark.parametrize("part", LONG)
def test_a_long_file_takes_no_time(part: str, tmp_path: Path) -> None:
    with within(10):
        _evaluate(tmp_path, "export A=" + part * (300_000 // len(part)))


def test_a_fifo_does_not_block(tmp_path: Path) -> None:
    root = host(tmp_path, {"/etc/apache2/apache2.conf": ""})
    os.mkfifo(tmp_path / "etc/apache2/envvars")
    with within(10):
        environment = evaluate(root, ENVVARS, {})
    assert environment.variables == {}
    assert [problem.path for problem in environment.problems] == [ENVVARS]
