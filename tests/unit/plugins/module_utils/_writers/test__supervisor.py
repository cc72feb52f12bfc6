# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import grp
import os
from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._identity import (
    Identity,
    resolve,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._source import (
    NOBODY,
    Found,
    Problem,
    Writer,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._supervisor import (
    discover,
)

REFUSED = "; supervisor refuses that"
CONF = "/etc/supervisor/supervisord.conf"
# As Debian ships them, shortened.
DEBIAN = """\
; supervisor config file

[unix_http_server]
file=/var/run/supervisor.sock   ; (the path to the socket file)

[supervisord]
logfile=/var/log/supervisor/supervisord.log ; (main log file)
pidfile=/var/run/supervisord.pid
childlogdir=/var/log/supervisor            ; ('AUTO' child log dir)

[include]
files = /etc/supervisor/conf.d/*.conf
"""
UNIT = """\
[Service]
ExecStart=/usr/bin/supervisord -n -c /etc/supervisor/supervisord.conf
ExecReload=/usr/bin/supervisorctl $OPTIONS reload
"""
WORKER = """\
[program:payments-worker]
process_name=%(program_name)s_%(process_num)02d
command=php /srv/payments/current/artisan queue:work --sleep=3 ; the queue
directory=/srv/payments/current
user=www-data
umask=002
numprocs=2
redirect_stderr=true
stdout_logfile=/srv/payments/storage/logs/worker-%(process_num)02d.log
"""


class Host:
    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, text: str | bytes) -> Path:
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text.encode() if isinstance(text, str) else text)
        return place

    def found(self, text: str = "") -> Found:
        """Discover what a configuration with a line of its own before it says."""
        if text:
            self.write(CONF, f"[supervisord]\n{text}")
        return discover(str(self.root))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def by_id(found: Found) -> dict[str, Writer]:
    assert len({writer.identity.id for writer in found.writers}) == len(found.writers)
    return {writer.identity.id: writer for writer in found.writers}


def test_no_supervisor(host: Host) -> None:
    assert host.found() == NOBODY


def test_debian(host: Host) -> None:
    host.write(CONF, DEBIAN)
    host.write("/usr/lib/systemd/system/supervisor.service", UNIT)
    host.write("/etc/supervisor/conf.d/payments.conf", WORKER)
    found = host.found()
    root = resolve("root", "", {}).capabilities
    assert found == Found(
        (
            Writer(
                Identity(
                    "supervisor:payments-worker",
                    "www-data",
                    33,
                    33,
                    frozenset({33}),
                    0o002,
                    source="configured",
                ),
                "supervisor:payments-worker",
                "/etc/supervisor/conf.d/payments.conf:1",
                mentions=("/srv/payments/current", "/srv/payments/current/artisan"),
            ),
            Writer(
                Identity(
                    "supervisord",
                    "root",
                    0,
                    0,
                    frozenset(),
                    capabilities=root,
                    source="configured",
                ),
                "supervisord",
                f"{CONF}:6",
                logs=(
                    "/var/log/supervisor/supervisord.log",
                    "/srv/payments/storage/logs/worker-00.log",
                    "/srv/payments/storage/logs/worker-01.log",
                ),
            ),
        )
    )
    assert host.found() == found


def test_the_other_place(host: Host) -> None:
    host.write("/etc/supervisord.conf", "[supervisord]\n[program:a]\ncommand=x\n")
    assert by_id(host.found())["supervisor:a"].origin == "/etc/supervisord.conf:2"
    host.write(CONF, "[supervisord]\n[program:b]\ncommand=x\n")
    assert "supervisor:b" in by_id(host.found())


def test_it_cannot_be_read(host: Host) -> None:
    (host.root / CONF[1:]).parent.mkdir(parents=True)
    os.mkfifo(host.root / CONF[1:])
    problem = Problem(CONF, 0, "cannot be read: Not a regular file")
    assert host.found() == Found(problems=(problem,))


def test_an_included_file_of_an_odd_name(host: Host) -> None:
    host.write(CONF, DEBIAN)
    host.write("/etc/supervisor/conf.d/a\n\udcff.conf", "[program:a]\ncommand=x\n")
    origin = "/etc/supervisor/conf.d/a\\n\\xff.conf:1"
    assert by_id(host.found())["supervisor:a"].origin == origin


def test_no_section_of_its_own(host: Host) -> None:
    host.write(CONF, "[program:a]\ncommand=/srv/a\n")
    found = host.found()
    assert by_id(found)["supervisor:a"].mentions == ("/srv/a",)
    assert found.problems == (
        Problem(CONF, 0, f"has no section [supervisord]{REFUSED}"),
    )


# --- who ---

# What is set in [supervisord], what in [program:a]; then uid and groups, if any.
USERS: dict[str, tuple[str, str, tuple[int, set[int]] | None]] = {
    "nobody said": ("", "", (0, set())),
    "root": ("", "user=root", (0, set())),
    "a user": ("", "user=www-data", (33, {33})),
    "a uid": ("", "user=33", (33, {33})),
    "supervisord's": ("user=www-data", "", (33, {33})),
    "supervisord's, said twice": ("user=www-data", "user=33", (33, {33})),
    "supervisord is root": ("user=root", "user=daemon", (1, {1})),
    "supervisord is not root": ("user=www-data", "user=daemon", None),
    "supervisord cannot be root again": ("user=www-data", "user=root", None),
    "unknown": ("", "user=nouser", None),
    "no account": ("", "user=54321", None),
    "a group": ("", "user=@adm", None),
    "negative": ("", "user=-1", None),
    "nothing": ("", "user=", None),
    "NUL": ("", "user=a\0b", None),
    "an expression": ("", "user=%(program_name)s", None),
    "an environment": ("", "user=%(ENV_USER)s", None),
}


@pytest.mark.parametrize(("own", "program", "who"), USERS.values(), ids=USERS)
def test_users(
    own: str, program: str, who: tuple[int, set[int]] | None, host: Host
) -> None:
    found = host.found(f"{own}\n[program:a]\ncommand=x\n{program}\n")
    writer = by_id(found).get("supervisor:a")
    if who is None:
        assert writer is None
        assert [(each.path, each.line) for each in found.problems] == [(CONF, 5)]
    else:
        assert writer is not None
        assert (writer.identity.uid, set(writer.identity.groups)) == who
        assert found.problems == ()


def test_the_reasons(host: Host) -> None:
    text = "user=daemon\n[program:a]\ncommand=x\nuser=nouser\n[program:b]\nuser=sys\ncommand=x\n"
    assert host.found(text).problems == (
        Problem(CONF, 5, f"names a user that this host does not have: nouser{REFUSED}"),
        Problem(
            CONF,
            7,
            "is not the user of supervisord, daemon, and only root can change it",
        ),
    )


def test_an_unknown_user_of_supervisord(host: Host) -> None:
    found = host.found("user=nouser\n[program:a]\ncommand=x\nuser=www-data\n")
    assert by_id(found)["supervisor:a"].identity.uid == 33
    assert [(each.line, each.message) for each in found.problems] == [
        (2, f"names a user that this host does not have: nouser{REFUSED}")
    ]


def test_groups_are_those_that_can_be_listed(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = [
        grp.struct_group(("a", "", 4001, ["www-data"])),
        grp.struct_group(("b", "", 4002, ["daemon", "www-data"])),
        grp.struct_group(("c", "", 4003, ["daemon"])),
    ]
    monkeypatch.setattr(grp, "getgrall", lambda: groups)
    found = host.found("[program:a]\ncommand=x\nuser=www-data\n")
    assert by_id(found)["supervisor:a"].identity.groups == {33, 4001, 4002}


# --- umask ---

BACKGROUND = "[Service]\nExecStart=/usr/bin/supervisord -c /etc/n.conf\n"
# The unit, [supervisord], [program:a]; then the umasks of both, and a problem's line.
UMASKS: dict[str, tuple[str, str, str, int, int, int]] = {
    "none": ("", "", "", 0o022, 0o022, 0),
    "supervisord's": ("", "umask=027", "", 0o027, 0o027, 0),
    "the program's": ("", "umask=027", "umask=002", 0o027, 0o002, 0),
    "0002 in the program": ("", "", "umask=0002", 0o022, 0o002, 0),
    "foreground": (UNIT, "umask=027", "", 0o022, 0o022, 2),
    "foreground, the same": (UNIT, "umask=022", "", 0o022, 0o022, 0),
    "foreground, the program's": (UNIT, "", "umask=002", 0o022, 0o002, 0),
    "foreground, the unit's": (f"{UNIT}UMask=0007\n", "", "", 0o007, 0o007, 0),
    "foreground, both": (f"{UNIT}UMask=0007\n", "umask=007", "", 0o007, 0o007, 0),
    "nodaemon": ("", "umask=027\nnodaemon=true", "", 0o022, 0o022, 2),
    "nodaemon, not": ("", "umask=027\nnodaemon=false", "", 0o027, 0o027, 0),
    "--nodaemon": (
        UNIT.replace("-n ", "--nodaemon "),
        "umask=027",
        "",
        0o022,
        0o022,
        2,
    ),
    "-sn": (UNIT.replace("-n ", "-sn "), "umask=027", "", 0o022, 0o022, 2),
    "background": (f"{BACKGROUND}UMask=0007\n", "umask=027", "", 0o027, 0o027, 0),
    "background, none": (f"{BACKGROUND}UMask=0007\n", "", "", 0o022, 0o022, 0),
    "background again": (
        f"{UNIT}ExecStart=\n{BACKGROUND}",
        "umask=027",
        "",
        0o027,
        0o027,
        0,
    ),
    "invalid": ("", "umask=x", "umask=002", 0o022, 0o002, 2),
    "invalid in the foreground": (UNIT, "umask=x", "umask=002", 0o022, 0o002, 2),
}


@pytest.mark.parametrize(
    ("unit", "own", "program", "daemon_umask", "umask", "line"),
    UMASKS.values(),
    ids=UMASKS,
)
def test_umask(
    unit: str,
    own: str,
    program: str,
    daemon_umask: int,
    umask: int,
    line: int,
    host: Host,
) -> None:
    if unit:
        host.write("/etc/systemd/system/supervisor.service", unit)
    text = f"{own}\n[program:a]\ncommand=x\nstdout_logfile=/srv/a\n{program}\n"
    found = host.found(text)
    writers = by_id(found)
    assert writers["supervisord"].identity.umask == daemon_umask
    assert writers["supervisor:a"].identity.umask == umask
    assert [each.line for each in found.problems] == ([line] if line else [])


def test_an_invalid_umask(host: Host) -> None:
    found = host.found("[program:a]\ncommand=x\numask=9\n[program:b]\ncommand=x\n")
    assert "supervisor:a" not in by_id(found)
    assert "supervisor:b" in by_id(found)
    assert found.problems == (Problem(CONF, 4, f"is not a umask: 9{REFUSED}"),)


# --- logs ---

TWO = "numprocs=2\nnumprocs_start=9\nprocess_name=%(process_num)d"
# What [program:a] in [group:g] says; then the named logs, and whether it makes one up.
LOGS: dict[str, tuple[str, set[str], bool]] = {
    "nothing said": ("", set(), True),
    "one of two": ("stdout_logfile=/srv/a", {"/srv/a"}, True),
    "both": (
        "stdout_logfile=/srv/a\nstderr_logfile=/srv/b",
        {"/srv/a", "/srv/b"},
        False,
    ),
    "one for both": ("stdout_logfile=/srv/a\nredirect_stderr=true", {"/srv/a"}, False),
    "an unused one": (
        "stdout_logfile=/srv/a\nredirect_stderr=1\nstderr_logfile=/srv/b",
        {"/srv/a"},
        False,
    ),
    "none": ("stdout_logfile=NONE\nstderr_logfile=Off", set(), False),
    "syslog": ("stdout_logfile=syslog\nstderr_logfile=", set(), False),
    "automatic": ("stdout_logfile=AUTO\nstderr_logfile=none", set(), True),
    "names": (
        "stdout_logfile=/srv/%(group_name)s-%(program_name)s.log\nstderr_logfile=%(here)s/x",
        {"/srv/g-a.log", "/etc/supervisor/x"},
        False,
    ),
    "processes": (
        "redirect_stderr=true\nstdout_logfile=/srv/%(process_num)02d\n" + TWO,
        {"/srv/09", "/srv/10"},
        False,
    ),
    "descriptors": (
        "stdout_logfile=/dev/stdout\nstderr_logfile=/proc/self/fd/2",
        set(),
        False,
    ),
    "relative": ("stdout_logfile=x/../y\nredirect_stderr=true", {"/y"}, False),
    "with a comment": (
        "stdout_logfile=/srv/a ; x\nstderr_logfile=/srv/b;c",
        {"/srv/a", "/srv/b;c"},
        False,
    ),
}


@pytest.mark.parametrize(("text", "logs", "automatic"), LOGS.values(), ids=LOGS)
def test_logs(text: str, logs: set[str], automatic: bool, host: Host) -> None:
    found = host.found(f"[program:a]\ncommand=x\n{text}\n[group:g]\nprograms=a\n")
    writers = by_id(found)
    assert found.problems == ()
    assert ("supervisord" in writers) == bool(logs)
    if logs:
        assert set(writers["supervisord"].logs) == logs
        assert writers["supervisord"].identity.request_mode == 0o666
    assert ("supervisord:auto" in writers) == automatic


@pytest.mark.parametrize(
    ("setting", "directory"),
    [("", "/tmp"), ("childlogdir=/srv/logs/", "/srv/logs"), ("childlogdir=x", "/x")],  # noqa: S108
)
def test_logs_that_supervisord_names(setting: str, directory: str, host: Host) -> None:
    writer = by_id(host.found(f"{setting}\n[program:a]\ncommand=x\n"))[
        "supervisord:auto"
    ]
    assert (writer.service, writer.logs, writer.mentions) == (
        "supervisord",
        (),
        (directory,),
    )
    assert writer.identity.request_mode == 0o600


BAD_LOGS = {
    "an environment": ("%(ENV_LOGS)s/x", "depends on the environment of supervisord"),
    "home": ("~/x", "depends on the environment of supervisord"),
    "unknown": ("/srv/%(nope)s", f"supervisor knows no %(nope)s here{REFUSED}"),
    "a date": (
        "/srv/%%Y.log",
        f"has a % that is neither %% nor %(name)s{REFUSED}",
    ),
}


@pytest.mark.parametrize(("value", "reason"), BAD_LOGS.values(), ids=BAD_LOGS)
def test_logs_that_are_not_known(value: str, reason: str, host: Host) -> None:
    text = f"[program:a]\ncommand=x\nstdout_logfile={value}\nredirect_stderr=true\n"
    found = host.found(text)
    assert list(by_id(found)) == ["supervisor:a"]
    assert found.problems == (Problem(CONF, 4, reason),)


def test_supervisord_writes_its_logs_as_its_user(host: Host) -> None:
    found = host.found(
        "user=www-data\ndirectory=/srv\nlogfile=own.log\n"
        "[program:a]\ncommand=x\nstdout_logfile=a.log\nredirect_stderr=true\n"
    )
    writer = by_id(found)["supervisord"]
    assert writer.logs == ("/srv/own.log", "/srv/a.log")
    assert (writer.identity.uid, writer.identity.name) == (33, "www-data")


def test_its_own_log_can_be_syslog(host: Host) -> None:
    assert host.found("logfile=syslog\n") == NOBODY
    assert host.found("pidfile=/run/x\n") == NOBODY


# --- commands ---

COMMANDS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "no paths": ("command=x", (), ()),
    "paths": (
        "command=/usr/bin/x --c=/srv/c '/srv/d'",
        (),
        ("/usr/bin/x", "/srv/c", "/srv/d"),
    ),
    "a directory": ("command=x\ndirectory=/srv/a/", (), ("/srv/a",)),
    "no shell": ("command=x > /srv/a", (), ("/srv/a",)),
    "a shell": (
        "command=sh -c 'cd app && exec x >> log'\ndirectory=/srv",
        ("/srv/app/log",),
        ("/srv", "/srv/app"),
    ),
    "several lines": ("command=x\n  /srv/a\n  /srv/b", (), ("/srv/a", "/srv/b")),
    "names": ("command=/srv/%(program_name)s %%(x)s", (), ("/srv/a",)),
    "an environment": ("command=%(ENV_X)s/y /srv/a/%(ENV_X)s /srv/b", (), ("/srv/b",)),
    "an environment's directory": (
        "command=/srv/a\ndirectory=%(ENV_X)s/y",
        (),
        ("/srv/a",),
    ),
    "processes": (
        "command=/srv/%(process_num)d\nnumprocs=3\nprocess_name=%(process_num)d",
        (),
        ("/srv/0", "/srv/1", "/srv/2"),
    ),
    "invalid UTF-8": ("command=/srv/\udcff", (), ("/srv/\udcff",)),
}


@pytest.mark.parametrize(("text", "logs", "mentions"), COMMANDS.values(), ids=COMMANDS)
def test_commands(
    text: str, logs: tuple[str, ...], mentions: tuple[str, ...], host: Host
) -> None:
    host.write(CONF, os.fsencode(f"[supervisord]\n[program:a]\n{text}\n"))
    writer = by_id(host.found())["supervisor:a"]
    assert (writer.logs, writer.mentions) == (logs, mentions)


def test_other_users(host: Host) -> None:
    host.write("/etc/pam.d/su", "session optional pam_umask.so umask=0007\n")
    found = host.found(
        "[program:a]\n"
        "command=su www-data -s /bin/sh -c 'x > /srv/a; umask 0077; x > /srv/b'\n"
        "umask=027\n"
        "[program:b]\ncommand=sudo -u nouser /srv/b\n"
        "[program:c]\ncommand=sh -c 'umask 002; x > /srv/c'\n"
    )
    writers = by_id(found)
    assert {
        key: (each.identity.uid, each.identity.umask, each.logs)
        for key, each in writers.items()
    } == {
        "supervisor:a": (0, 0o027, ()),
        "supervisor:a:www-data": (33, 0o007, ("/srv/a",)),
        "supervisor:a:www-data:0077": (33, 0o077, ("/srv/b",)),
        "supervisor:b": (0, 0o022, ()),
        "supervisor:c": (0, 0o022, ()),
        "supervisor:c:0002": (0, 0o002, ("/srv/c",)),
        "supervisord:auto": (0, 0o022, ()),
    }
    reason = "runs as a user that this host does not have: nouser"
    assert found.problems == (Problem(CONF, 6, reason),)


# --- sections ---


def test_kinds_and_names(host: Host) -> None:
    found = host.found(
        "[eventlistener:a]\ncommand=/srv/1\n"
        "[fcgi-program:b]\ncommand=/srv/2\n"
        "[program:b]\ncommand=/srv/3\n"
        "[program: c ]\ncommand=/srv/4\n"
        "[programs:d]\ncommand=/srv/5\n"
        "[program]\ncommand=/srv/6\n"
        "[program:caf\u00e9\u202e]\ncommand=/srv/7\n"
    )
    writers = by_id(found)
    assert {key: each.mentions for key, each in writers.items() if each.mentions} == {
        "supervisor:a": ("/srv/1",),
        "supervisor:fcgi-program:b": ("/srv/2",),
        "supervisor:b": ("/srv/3",),
        "supervisor:c": ("/srv/4",),
        "supervisor:caf\u00e9\\u202e": ("/srv/7",),
        "supervisord:auto": ("/tmp",),  # noqa: S108
    }
    assert [key for key, each in writers.items() if each.service != key] == [
        "supervisord:auto"
    ]


PROBLEMS = {
    "a colon": ("[program:a:b]\ncommand=x\n", 2, "has a name that is none"),
    "a slash": ("[program:a/b]\ncommand=x\n", 2, "has a name that is none"),
    "a space": ("[program:a b]\ncommand=x\n", 2, "has a name that is none"),
    "no name": ("[program:]\ncommand=x\n", 2, "has a name that is none"),
    "no command": ("[program:a]\nuser=root\n", 2, "has no command"),
    "a group of nothing": (
        "[group:g]\npriority=1\nprograms= x ,,\n",
        4,
        "names a program that there is not: x",
    ),
    "a group of listeners": (
        "[eventlistener:a]\ncommand=x\nprograms=y\n[group:g]\nprograms=a\n",
        6,
        "names a program that there is not: a",
    ),
    "numprocs": ("[program:a]\ncommand=x\nnumprocs=many\n", 4, "is not a number: many"),
    "process_name": (
        "[program:a]\ncommand=x\nnumprocs=2\nprocess_name=a\n",
        4,
        "is more than 1, and process_name has no %(process_num) in it",
    ),
    "redirect_stderr": (
        "[program:a]\ncommand=x\nredirect_stderr=y\n",
        4,
        "is neither true nor false: y",
    ),
    "junk": ("[program:a]\ncommand=x\njunk\n", 4, "is neither a section nor a setting"),
}


@pytest.mark.parametrize(("text", "line", "reason"), PROBLEMS.values(), ids=PROBLEMS)
def test_problems(text: str, line: int, reason: str, host: Host) -> None:
    found = host.found(f"{text}[program:z]\ncommand=/srv/z\n")
    assert by_id(found)["supervisor:z"].mentions == ("/srv/z",)
    assert found.problems == (Problem(CONF, line, reason + REFUSED),)


def test_a_command_that_cannot_be_split(host: Host) -> None:
    found = host.found("[program:a]\ncommand=x 's3cret\n")
    assert "supervisor:a" in by_id(found)
    reason = "cannot be started: no closing quotation"
    assert found.problems == (Problem(CONF, 3, reason),)


def test_no_processes(host: Host) -> None:
    assert host.found("[program:a]\nnumprocs=0\nstdout_logfile=/srv/a\n") == NOBODY


def test_processes_without_end(host: Host) -> None:
    found = host.found(
        "[program:a]\ncommand=/srv/%(process_num)d\nnumprocs=999999999\n"
        "process_name=%(process_num)d\nstdout_logfile=/srv/%(process_num)d.log\n"
    )
    assert len(by_id(found)["supervisor:a"].mentions) == 1000
    assert len(by_id(found)["supervisord"].logs) == 1000


def test_groups(host: Host) -> None:
    found = host.found(
        "[program:a]\ncommand=x\nstdout_logfile=/srv/%(group_name)s\n"
        "[fcgi-program:b]\ncommand=x\nstdout_logfile=/srv/%(group_name)s\n"
        "[group:g]\nprograms=a, b\n[group:h]\nprograms=a\n"
    )
    assert set(by_id(found)["supervisord"].logs) == {"/srv/g", "/srv/h"}
    assert found.problems == ()


def test_odd_bytes(host: Host) -> None:
    """Whatever it is, it ends in problems, not in a traceback."""
    for data in (
        b"\0" * 1000,
        b"\xff\xfe[\0s\0",
        bytes(range(256)) * 4,
        b"[supervisord]\n[program:\xff]\ncommand=\0\xff\n[include]\nfiles=\0 \xff* [\n",
        b"[program:a]\ncommand=" + b"%" * 1000 + b"\nnumprocs=" + b"9" * 5000 + b"\n",
        b"[supervisord]\nuser=%(\x1b\xff)s\numask=\x1b\nlogfile=%(\0)s\n",
        b"[supervisord]\ndirectory=\0\nuser=\0\nlogfile=/\0\n[group:\0]\nprograms=\0\n",
    ):
        host.write(CONF, data)
        found = host.found()
        assert found.problems
        assert all(problem.message.isprintable() for problem in found.problems)
        assert all(writer.service.isprintable() for writer in found.writers)


def test_secrets_stay_where_they_are(host: Host) -> None:
    found = host.found(
        "[program:a]\ncommand=x --password=s3cret 's3cret word' %(nope)s\n"
        "environment=TOKEN='s3cret',X=/srv/s3cret\n"
        "[program:b]\ncommand=x -p s3cret /srv/b\nenvironment=TOKEN=s3cret\n"
        "[program:c]\ncommand=x 's3cret\n"
        "[inet_http_server]\npassword=s3cret\ns3cret\n"
    )
    assert len(found.problems) == 3
    assert by_id(found)["supervisor:b"].mentions == ("/srv/b",)
    assert "s3cret" not in repr(found)
