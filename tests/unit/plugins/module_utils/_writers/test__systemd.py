# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pwd
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._identity import (
    resolve,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers import (
    _systemd,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._processes import (
    read_process,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._sandbox import (
    Sandbox,
    Surroundings,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._source import (
    Found,
    Problem,
    Writer,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._systemd import (
    discover,
    parse_units,
    read_units,
    split_words,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._writers.files import (
    FIXTURES,
    host,
)

WWW_DATA = pwd.getpwnam("www-data")
GAMES = pwd.getpwnam("games")
UNIT = "/etc/systemd/system/app.service"
CAPABILITIES = resolve("root", "user", {}).capabilities
#: What systemctl says of a service about which there is nothing to say.
PLAIN = {
    "Id": "app.service",
    "LoadState": "loaded",
    "ActiveState": "active",
    "UnitFileState": "enabled",
    "MainPID": "0",
    "FragmentPath": UNIT,
    "ExecStart": "{ path=/usr/sbin/app ; argv[]=/usr/sbin/app ; ignore_errors=no ; }",
    "UMask": "0022",
    "DynamicUser": "no",
    "CapabilityBoundingSet": " ".join(sorted({*CAPABILITIES, "cap_kill"})),
    "StandardOutput": "journal",
    "StandardError": "inherit",
    "ProtectSystem": "no",
    "ProtectHome": "no",
    "PrivateTmp": "no",
}


def _show(*units: dict[str, str]) -> str:
    return "\n\n".join(
        "\n".join(f"{key}={value}" for key, value in {**PLAIN, **unit}.items())
        for unit in units
    )


def _discover(root: Path, *units: dict[str, str], **files: str) -> Found:
    paths = {f"/etc/systemd/system/{name}": text for name, text in files.items()}
    return discover(lambda _: _show(*units), host(root, {UNIT: "[Service]\n", **paths}))


def _one(root: Path, **settings: str) -> Writer:
    found = _discover(root, settings)
    assert found.problems == ()
    (writer,) = found.writers
    return writer


def test_a_debian_host(tmp_path: Path) -> None:
    text = (FIXTURES / "systemctl-show.txt").read_text()
    asked: list[Sequence[str]] = []

    def systemctl(arguments: Sequence[str]) -> str:
        asked.append(arguments)
        return text

    unit = "[Service]\nUser=games\nStandardOutput=append:/var/log/%p.log\n"
    files = {
        "/etc/systemd/system/payments-queue@.service": unit,
        "/etc/systemd/system/payments-queue@.service.d/a b.conf": "[Service]\nUMask=7",
    }
    found = discover(systemctl, host(tmp_path, files))
    (arguments,) = asked
    assert arguments[:3] == ("show", "--type=service", "--all")
    key, _equals, names = arguments[3].partition("=")
    first = text.split("\n\n")[1]  # behind the comment
    assert (key, len(arguments)) == ("--property", 4)
    assert set(names.split(",")) == {
        line.partition("=")[0] for line in first.split("\n")
    }
    assert found.problems == (
        Problem(
            "/lib/systemd/system/report.service",
            0,
            "cannot be read: No such file or directory",
        ),
    )
    worker, output, report = found.writers

    who = worker.identity
    assert (who.id, who.name) == ("systemd:payments-queue@1.service", "games")
    assert (who.uid, who.gid) == (GAMES.pw_uid, WWW_DATA.pw_gid)
    groups = os.getgrouplist("games", WWW_DATA.pw_gid)
    assert who.groups == {*groups, GAMES.pw_gid, 0}
    assert (who.umask, who.source) == (0o007, "configured")
    assert who.capabilities == {"cap_dac_read_search"}
    assert worker.service == "systemd:payments-queue@1.service"
    assert worker.origin == "/etc/systemd/system/payments-queue@.service:2"
    assert worker.logs == ()
    assert worker.mentions == (
        "/srv/pay ments",
        "/var/log/payments",
        "/var/log/queue",
        "/srv/payments/artisan",
    )
    assert worker.pids == (612,)

    who = output.identity
    assert (who.id, who.uid) == ("systemd:payments-queue@1.service:root", 0)
    assert (who.groups, who.umask) == (frozenset(), 0o007)
    assert output.service == worker.service
    assert output.origin == "/etc/systemd/system/payments-queue@.service:3"
    assert output.logs == ("/var/log/payments-queue.log",)
    assert (output.mentions, output.pids) == ((), ())

    assert report.identity.id == "systemd:report.service"
    assert (report.identity.uid, report.pids) == (0, ())
    assert report.mentions == ("/srv/payments",)

    sandboxes = {unit.name: unit.sandbox for unit in read_units(systemctl)}
    assert list(sandboxes) == [
        "apache2.service",
        "payments-queue@1.service",
        "report.service",
    ]
    assert sandboxes["apache2.service"] == Sandbox(private_tmp=True)
    assert not sandboxes["payments-queue@1.service"].writable("/srv/payments")
    assert sandboxes["payments-queue@1.service"].writable("/srv/pay ments/logs")
    assert sandboxes["payments-queue@1.service"].writable("/var/log/queue")


PROPERTIES: dict[str, tuple[str, dict[str, Any]]] = {
    "ProtectSystem": ("strict", {"protect_system": "strict"}),
    "ProtectHome": ("read-only", {"protect_home": "read-only"}),
    "PrivateTmp": ("yes", {"private_tmp": True}),
    "ReadOnlyPaths": ("/a -/b", {"read_only_paths": ("/a", "-/b")}),
    "ReadWritePaths": ('"/a b"', {"read_write_paths": ("/a b",)}),
    "InaccessiblePaths": ("+/a", {"inaccessible_paths": ("+/a",)}),
    "BindPaths": ("/a:/b:rbind /c", {"bind_paths": ("/a:/b:rbind", "/c")}),
    "BindReadOnlyPaths": ("/a:/a", {"bind_read_only_paths": ("/a:/a",)}),
    "TemporaryFileSystem": ("/a:ro /b", {"temporary_paths": ("/a:ro", "/b")}),
    "RuntimeDirectory": ("a", {"read_write_paths": ("/run/a", "/run/private/a")}),
    "StateDirectory": ("a", {"read_write_paths": ("/var/lib/a", "/var/lib/private/a")}),
    "CacheDirectory": (
        "a",
        {"read_write_paths": ("/var/cache/a", "/var/cache/private/a")},
    ),
    "LogsDirectory": ("a", {"read_write_paths": ("/var/log/a", "/var/log/private/a")}),
    "ConfigurationDirectory": ("a", {"read_write_paths": ("/etc/a", "/etc/private/a")}),
}


@pytest.mark.parametrize("key", PROPERTIES)
def test_sandbox(key: str) -> None:
    value, expected = PROPERTIES[key]
    (unit,) = parse_units(_show({key: value}))
    assert unit.sandbox == replace(Sandbox(), **expected)


def test_a_service_that_does_not_run_is_in_the_sandbox_that_is_set(
    tmp_path: Path,
) -> None:
    settings = {"User": "games", "ProtectSystem": "strict", "MainPID": "0"}
    assert _one(tmp_path, User="games").surroundings is None
    around = _one(tmp_path, **settings).surroundings
    assert around == Surroundings("app.service", Sandbox("strict"))
    # One that nothing is said of can be the daemon of another source.
    found = _discover(tmp_path, {"ProtectSystem": "strict"})
    assert (found.writers, found.sandboxes) == ((), (around,))


def test_a_service_that_runs_is_in_the_namespace_that_it_has(tmp_path: Path) -> None:
    settings = {"User": "games", "ProtectSystem": "strict"}
    with subprocess.Popen(["sleep", "100"]) as process:
        settings["MainPID"] = str(process.pid)
        assert _one(tmp_path, **settings).surroundings is None
        process.kill()
    around = _one(tmp_path, **settings).surroundings
    assert around == Surroundings("app.service", Sandbox("strict"))
    alone = ["unshare", "--mount", "sh", "-c", "echo; exec sleep 100"]
    with subprocess.Popen(alone, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        settings["MainPID"] = str(process.pid)
        around = _one(tmp_path, **settings).surroundings
        process.kill()
    assert around is not None
    assert around.runs is not None
    assert around.sandboxed("/srv") is None


def test_a_profile_confines_the_service_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_systemd, "enforced_on", lambda pid: f"AppArmor ({pid})")
    runs = _one(tmp_path, User="games", MainPID=str(os.getpid()))
    assert runs.identity.confined_by == f"AppArmor ({os.getpid()})"
    assert _one(tmp_path, User="games").identity.confined_by is None


@pytest.mark.parametrize("place", ["/var/log", "/srv"])
def test_systemd_opens_output_outside_of_the_sandbox(
    place: str, tmp_path: Path
) -> None:
    found = _discover(
        tmp_path,
        {"StandardOutput": "append", "ReadOnlyPaths": "/srv"},
        **{"app.service": f"[Service]\nStandardOutput=append:{place}/a.log\n"},
    )
    opens = [each for each in found.writers if each.logs]
    outside = [each.surroundings is None for each in opens]
    assert (len(found.writers), outside) == (
        (2, [True]) if place == "/srv" else (1, [False])
    )


STATES = {
    "runs": ({}, True),
    "runs, though disabled": ({"UnitFileState": "disabled"}, True),
    "has run": ({"ActiveState": "activating", "UnitFileState": "static"}, True),
    "will run": ({"ActiveState": "inactive"}, True),
    "will run until the next boot": (
        {"ActiveState": "inactive", "UnitFileState": "enabled-runtime"},
        True,
    ),
    "from a script of System V": (
        {"ActiveState": "inactive", "UnitFileState": "generated"},
        True,
    ),
    "run by a timer": (
        {
            "ActiveState": "inactive",
            "UnitFileState": "static",
            "TriggeredBy": "app.timer",
        },
        True,
    ),
    "run by nobody": ({"ActiveState": "inactive", "UnitFileState": "static"}, False),
    "disabled": ({"ActiveState": "inactive", "UnitFileState": "disabled"}, False),
    "no file": ({"ActiveState": "inactive", "UnitFileState": ""}, False),
    "failed": ({"ActiveState": "failed", "UnitFileState": "static"}, True),
    "failed, and gone": (
        {"ActiveState": "failed", "UnitFileState": "transient"},
        False,
    ),
    "not there": ({"LoadState": "not-found"}, False),
    "masked": ({"LoadState": "masked", "ActiveState": "inactive"}, False),
    "nameless": ({"Id": ""}, False),
}


@pytest.mark.parametrize(("state", "is_there"), STATES.values(), ids=STATES)
def test_which_services_count(state: dict[str, str], *, is_there: bool) -> None:
    assert bool(parse_units(_show(state))) is is_there


LISTS = {
    "none": ("", ()),
    "one": ("/a", ("/a",)),
    "several": ("/a -/b +/c", ("/a", "-/b", "+/c")),
    "quoted": ('"/a b" /c "-/d e"', ("/a b", "/c", "-/d e")),
    "escaped": (r'"/a\"b" "/c\$\\d"', ('/a"b', "/c$\\d")),
}


@pytest.mark.parametrize(("text", "expected"), LISTS.values(), ids=LISTS)
def test_split_words(text: str, expected: tuple[str, ...]) -> None:
    assert split_words(text) == expected


def test_nothing_to_say(tmp_path: Path) -> None:
    assert _discover(tmp_path, {}, {"WorkingDirectory": "/"}) == Found()
    assert _discover(tmp_path, {"FragmentPath": "/none"}) == Found()


USERS = {
    "user": ({"User": "games"}, GAMES.pw_uid, GAMES.pw_gid, {GAMES.pw_gid, 64001}),
    "number": (
        {"User": str(GAMES.pw_uid)},
        GAMES.pw_uid,
        GAMES.pw_gid,
        {GAMES.pw_gid, 64001},
    ),
    "group": (
        {"User": "games", "Group": "www-data"},
        GAMES.pw_uid,
        WWW_DATA.pw_gid,
        {WWW_DATA.pw_gid, 64001},
    ),
    "more groups": (
        {"User": "games", "SupplementaryGroups": "www-data 64002"},
        GAMES.pw_uid,
        GAMES.pw_gid,
        {GAMES.pw_gid, 64001, WWW_DATA.pw_gid, 64002},
    ),
    # as on a Debian 12 host
    "root's group": ({"User": "games", "Group": "0"}, GAMES.pw_uid, 0, set()),
    "root's group, and more": (
        {"User": "games", "Group": "root", "SupplementaryGroups": "www-data"},
        GAMES.pw_uid,
        0,
        {WWW_DATA.pw_gid},
    ),
    "root": ({"User": "root"}, 0, 0, set()),
    "root with a group": (
        {"Group": "games", "SupplementaryGroups": "www-data", "LogsDirectory": "x"},
        0,
        GAMES.pw_gid,
        {WWW_DATA.pw_gid},
    ),
    "root with more groups": (
        {"SupplementaryGroups": "www-data", "LogsDirectory": "x"},
        0,
        0,
        {WWW_DATA.pw_gid},
    ),
}


@pytest.mark.parametrize(
    ("settings", "uid", "gid", "groups"), USERS.values(), ids=USERS
)
def test_user(
    settings: dict[str, str],
    uid: int,
    gid: int,
    groups: set[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "getgrouplist", lambda _user, group: [group, 64001])
    who = _one(tmp_path, UMask="0077", **settings).identity
    assert (who.id, who.source) == ("systemd:app.service", "configured")
    assert (who.uid, who.gid, set(who.groups)) == (uid, gid, groups)
    assert who.umask == 0o077


CAPABILITY_SETS = {
    "none": ({"User": "games"}, set()),
    "some": (
        {"User": "games", "AmbientCapabilities": "cap_dac_override cap_kill"},
        {"cap_dac_override"},
    ),
    "root's": ({"LogsDirectory": "x"}, set(CAPABILITIES)),
    "root's, bounded": (
        {"User": "root", "CapabilityBoundingSet": "cap_fowner cap_kill"},
        {"cap_fowner"},
    ),
    "root's, none": ({"User": "root", "CapabilityBoundingSet": ""}, set()),
}


@pytest.mark.parametrize(
    ("settings", "expected"), CAPABILITY_SETS.values(), ids=CAPABILITY_SETS
)
def test_capabilities(
    settings: dict[str, str], expected: set[str], tmp_path: Path
) -> None:
    assert _one(tmp_path, **settings).identity.capabilities == expected


def _command(text: str) -> str:
    return f"{{ path={text.split(maxsplit=1)[0]} ; argv[]={text} ; ignore_errors=no ; pid=0 }}"


MENTIONS = {
    "working directory": ({"WorkingDirectory": "/srv/a b"}, ("/srv/a b",)),
    "optional": ({"WorkingDirectory": "!/srv/a"}, ("/srv/a",)),
    "home": ({"User": "games", "WorkingDirectory": "~"}, (GAMES.pw_dir,)),
    "optional home": ({"User": "games", "WorkingDirectory": "!~"}, (GAMES.pw_dir,)),
    "logs": ({"LogsDirectory": "a b/c"}, ("/var/log/a", "/var/log/b/c")),
    "arguments": (
        {"ExecStart": _command("/usr/bin/php -d x=/y /srv/a/artisan queue /etc/x")},
        ("/srv/a/artisan",),
    ),
    "program": ({"ExecStart": _command("/opt/a/bin/a --b")}, ("/opt/a/bin/a",)),
    "several commands": (
        {"ExecStart": f"{_command('/srv/a')}\nExecStart={_command('/srv/b')}"},
        ("/srv/a", "/srv/b"),
    ),
    "flags": (
        {"ExecStart": "{ path=/srv/a ; argv[]=/srv/a /srv/b ; flags= ; /srv/c }"},
        ("/srv/a", "/srv/b"),
    ),
    "the same": (
        {"WorkingDirectory": "/srv/a", "ExecStart": _command("/srv/a /srv/a")},
        ("/srv/a",),
    ),
    "everything": ({"User": "games", "WorkingDirectory": "/"}, ()),
}


@pytest.mark.parametrize(("settings", "mentions"), MENTIONS.values(), ids=MENTIONS)
def test_mentions(
    settings: dict[str, str], mentions: tuple[str, ...], tmp_path: Path
) -> None:
    assert _one(tmp_path, **settings).mentions == mentions


#: What a unit file says of output, and the files that PID 1 opens for it.
OUTPUTS = {
    "append": ("StandardOutput=append:/l/a", ["/l/a"]),
    "file": ("StandardOutput=file:/l/a", ["/l/a"]),
    "truncate": ("StandardError=truncate:/l/a", ["/l/a"]),
    "both": ("StandardOutput=append:/l/a\nStandardError=append:/l/b", ["/l/a", "/l/b"]),
    "the same": ("StandardOutput=append:/l/a\nStandardError=append:/l/a", ["/l/a"]),
    "the last": ("StandardOutput=append:/l/a\nStandardOutput=append:/l/b", ["/l/b"]),
    "no longer": ("StandardOutput=append:/l/a\nStandardOutput=journal", []),
    "reset": ("StandardOutput=append:/l/a\nStandardOutput=", []),
    "specifiers": ("StandardOutput=append:%L/%N-%%.log", ["/var/log/app-%.log"]),
    "blanks": ("StandardOutput=append:/l/a b", ["/l/a b"]),
    "not normal": ("StandardOutput=append:/l//a/../b", ["/l/b"]),
    "no path": ("StandardOutput=append:l", []),
    "descriptor": ("StandardOutput=fd:x", []),
    "another section": ("[Unit]\nStandardOutput=append:/l/a", []),
}


@pytest.mark.parametrize("user", ["games", "", "root"])
@pytest.mark.parametrize(("text", "logs"), OUTPUTS.values(), ids=OUTPUTS)
def test_output(text: str, logs: list[str], user: str, tmp_path: Path) -> None:
    shown = {"User": user, "UMask": "0002", "StandardOutput": "append"}
    unit = f"[Service]\n{text}\n"
    found = _discover(tmp_path, shown, **{"app.service": unit})
    assert found.problems == ()
    opened = {each.identity.id: each.logs for each in found.writers if each.logs}
    as_root = "systemd:app.service:root" if user == "games" else "systemd:app.service"
    assert opened == ({as_root: tuple(logs)} if logs else {})
    assert len(found.writers) == (2 if logs and user == "games" else 1)
    for writer in found.writers:
        if writer.logs:
            assert (writer.identity.uid, writer.identity.umask) == (0, 0o002)


ORIGINS = {
    "user": ("[Service]\nExecStart=x\nUser=games\n", 3),
    "last user": ("[Service]\nUser=root\nUser=games\n", 3),
    "directory": ("[Service]\nExecStart=x\nWorkingDirectory=/x", 3),
    "logs": ("[Service]\nLogsDirectory=x\nExecStart=x", 2),
    "command": ("[Service]\nExecStart=x", 2),
    "empty": ("[Service]\nUser=\nExecStart=x", 3),
    "nothing": ("[Service]", 0),
}


@pytest.mark.parametrize(("text", "line"), ORIGINS.values(), ids=ORIGINS)
def test_origin(text: str, line: int, tmp_path: Path) -> None:
    found = _discover(tmp_path, {"User": "games"}, **{"app.service": text})
    assert found.writers[0].origin == f"{UNIT}:{line}"


@pytest.mark.parametrize("key", ["StandardOutput", "StandardError"])
@pytest.mark.parametrize("kind", ["append", "file", "truncate"])
def test_output_alone_is_something_to_say(key: str, kind: str, tmp_path: Path) -> None:
    files = {"app.service": f"[Service]\n{key}={kind}:/l/a\n"}
    (writer,) = _discover(tmp_path, {key: kind}, **files).writers
    assert writer.logs == ("/l/a",)


def test_no_process(tmp_path: Path) -> None:
    assert _one(tmp_path, User="games", MainPID="").pids == ()


def test_no_file(tmp_path: Path) -> None:
    assert _one(tmp_path, FragmentPath="", User="games").origin == "app.service:0"


PROBLEMS = {
    "unknown user": (
        {"User": "no-one"},
        "User=no-one",
        2,
        "User: 'no-one' is not a user of this host",
    ),
    "number without an account": (
        {"User": "64001", "Group": "0"},
        "User=64001",
        2,
        "User: '64001' is not a user of this host",
    ),
    "unknown group": (
        {"User": "games", "Group": "no-group"},
        "Group=no-group\nUser=games",
        3,
        "group: 'no-group' is not a group of this host",
    ),
    "unknown groups": (
        {"User": "games", "SupplementaryGroups": "games no-group"},
        "User=games",
        2,
        "SupplementaryGroups: 'no-group' is not a group of this host",
    ),
    "unknown specifier": (
        {"StandardOutput": "append"},
        "StandardOutput=append:/l/%m",
        2,
        "StandardOutput: the value of %m is not known",
    ),
    "syntax": (
        {"User": "games"},
        "User=games\nnonsense",
        3,
        "is no setting: it has no =",
    ),
}


@pytest.mark.parametrize(
    ("shown", "text", "line", "message"), PROBLEMS.values(), ids=PROBLEMS
)
def test_problems(
    shown: dict[str, str], text: str, line: int, message: str, tmp_path: Path
) -> None:
    files = {"app.service": f"[Service]\n{text}\nStandardError=append:/l/err\n"}
    other = {"Id": "other.service", "LogsDirectory": "x", "FragmentPath": ""}
    found = _discover(tmp_path, shown, other, **files)
    (problem,) = found.problems
    assert (problem.path, problem.line) == (UNIT, line)
    assert problem.message.startswith(message)
    assert "/l/err" in {log for writer in found.writers for log in writer.logs}
    assert found.writers[-1].service == "systemd:other.service"


def test_a_user_that_exists_while_it_runs(tmp_path: Path) -> None:
    dynamic = {"User": "app", "DynamicUser": "yes", "LogsDirectory": "app"}
    assert _discover(tmp_path, dynamic) == Found()
    with subprocess.Popen(
        ["sleep", "60"], user=64001, group=64002, umask=0o027
    ) as child:
        try:
            writer = _one(tmp_path, MainPID=str(child.pid), **dynamic)
            process = read_process(child.pid)
        finally:
            child.kill()
    assert process is not None
    assert writer.identity == replace(process.identity, id="systemd:app.service")
    assert (writer.identity.uid, writer.identity.umask) == (64001, 0o027)
    assert (writer.mentions, writer.pids) == (("/var/log/private/app",), (child.pid,))
    # It has ended.
    assert _discover(tmp_path, {**dynamic, "MainPID": str(child.pid)}) == Found()


def test_output_of_a_user_that_exists_while_it_runs(tmp_path: Path) -> None:
    files = {"app.service": "[Service]\nStandardOutput=append:/l/a"}
    found = _discover(tmp_path, {"User": "app", "DynamicUser": "yes"}, **files)
    assert [writer.logs for writer in found.writers] == [("/l/a",)]


def _systemctl(directory: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = directory / "systemctl"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(directory), prepend=os.pathsep)
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setattr(_systemd, "_BOOTED", str(directory))


def test_systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = _show({"User": "games", "FragmentPath": ""})
    script = f'[ "$LC_ALL" = C ] && [ "$1 $2" = "--no-pager show" ] && echo {shlex.quote(shown)}'
    _systemctl(tmp_path, monkeypatch, script)
    (writer,) = discover().writers
    assert writer.identity.id == "systemd:app.service"


FAILURES = {
    "fails": ("echo No such thing >&2; exit 3", "systemctl show failed: No such thing"),
    "fails silently": ("exit 3", "systemctl show failed: 3"),
    "hangs": ("exec sleep 60", "systemctl show has not answered within 0.5 s"),
}


@pytest.mark.parametrize(("script", "message"), FAILURES.values(), ids=FAILURES)
def test_systemctl_that_fails(
    script: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_systemd, "_TIMEOUT_SECONDS", 0.5)
    _systemctl(tmp_path, monkeypatch, script)
    assert discover() == Found(problems=(Problem("systemctl", 0, message),))


def test_without_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _systemctl(tmp_path, monkeypatch, "exit 1")
    monkeypatch.setattr(_systemd, "_BOOTED", str(tmp_path / "none"))
    assert discover() == Found()
    monkeypatch.setattr(_systemd, "_BOOTED", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    assert discover() == Found()
