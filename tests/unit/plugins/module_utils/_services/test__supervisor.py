# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the umask of supervisord and its programs is, and edits of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    HostError,
    OptionError,
)
from ansible_collections.logward.permissions.plugins.module_utils._services import (
    _supervisor_parser,
)
from ansible_collections.logward.permissions.plugins.module_utils._services._service import (
    Service,
)
from ansible_collections.logward.permissions.plugins.module_utils._services._supervisor import (
    SupervisorProgram,
    of,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._services import (
    hosts,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._writers import (
    files,
)

from .supervisord import installed

MAIN = "/etc/supervisor/supervisord.conf"
WORKER = "/etc/supervisor/conf.d/worker.conf"
UNIT = "/lib/systemd/system/supervisor.service"
DROP_IN = "/etc/systemd/system/supervisor.service.d/logward.conf"
FOREGROUND = "[Service]\nExecStart=/usr/bin/supervisord -n -c /etc/supervisor/x\n"
BACKGROUND = "[Service]\nExecStart=/usr/bin/supervisord -c /etc/supervisor/x\n"
DAEMON = (
    "[unix_http_server]\nfile=/run/supervisor.sock\n"
    "[supervisord]\nlogfile=/var/log/s.log ; why\n"
    "[include]\nfiles = conf.d/*.conf\n"
)
PROGRAM = "; why\n[program:worker]\ncommand=/bin/true\n; last\n"


def one(root: Path, name: str, there: dict[str, str]) -> Service:
    known = {MAIN: DAEMON, WORKER: PROGRAM, UNIT: FOREGROUND}
    (service,) = of(name, files.host(root, {**known, **there})) or ()
    return service


EDITS: dict[str, tuple[str, dict[str, str], str]] = {
    "program": ("supervisor:worker", {}, f"{WORKER}: +umask=0027"),
    "program that has one": (
        "supervisor:worker",
        {WORKER: f"{PROGRAM}umask = 002 ; ours\n"},
        f"{WORKER}: -umask = 002 ; ours +umask = 0027 ; ours",
    ),
    "in capitals, with a colon": (
        "supervisor:worker",
        {WORKER: f"{PROGRAM}UMask: 002 #ours\n"},
        f"{WORKER}: -UMask: 002 #ours +UMask: 0027 #ours",
    ),
    "the last one of them": (
        "supervisor:worker",
        {WORKER: f"{PROGRAM}umask=002\numask=007\n"},
        f"{WORKER}: -umask=007 +umask=0027",
    ),
    "in the main file": (
        "supervisor:other",
        {MAIN: f"{DAEMON}[program:other]\ncommand=/bin/true\n"},
        f"{MAIN}: +umask=0027",
    ),
    "among others": (
        "supervisor:b",
        {WORKER: "[program:a]\ncommand=/x\numask=002\n[program:b]\ncommand=/y\n"},
        f"{WORKER}: +umask=0027",
    ),
    "that others get by default": (
        "supervisor:worker",
        {WORKER: f"[DEFAULT]\numask=002\n{PROGRAM}"},
        f"{WORKER}: +umask=0027",
    ),
    "of Windows": (
        "supervisor:worker",
        {WORKER: PROGRAM.replace("\n", "\r\n")},
        f"{WORKER}: +umask=0027\r",
    ),
    "daemon": ("supervisor", {}, f"{DROP_IN}: +[Service] +UMask=0027"),
    "daemon whose own does not count": (
        "supervisor",
        {MAIN: DAEMON.replace("logfile", "umask=002\nlogfile")},
        f"{DROP_IN}: +[Service] +UMask=0027",
    ),
    "daemon in the background": (
        "supervisor",
        {UNIT: BACKGROUND},
        f"{MAIN}: +umask=0027",
    ),
    "daemon in the background that has one": (
        "supervisor",
        {UNIT: BACKGROUND, MAIN: DAEMON.replace("logfile", "umask=002\nlogfile")},
        f"{MAIN}: -umask=002 +umask=0027",
    ),
}


@pytest.mark.parametrize(("name", "there", "expected"), EDITS.values(), ids=EDITS)
def test_edit(tmp_path: Path, name: str, there: dict[str, str], expected: str) -> None:
    service = one(tmp_path, name, there)
    assert hosts.set_umask(tmp_path, service, 0o027) == expected


def test_edit_of_one_leaves_the_others_alone(tmp_path: Path) -> None:
    text = "[program:a]\ncommand=/x\n\n; of b\n[program:b]\ncommand=/y\n"
    service = one(tmp_path, "supervisor:b", {WORKER: text})
    other = one(tmp_path, "supervisor:a", {WORKER: text})
    hosts.set_umask(tmp_path, service, 0o007)
    assert (tmp_path / WORKER[1:]).read_text() == text.replace(
        "[program:b]\n", "[program:b]\numask=0007\n"
    )
    assert other.configured().umask == 0o022


def test_what_a_program_inherits(tmp_path: Path) -> None:
    service = one(tmp_path, "supervisor:worker", {DROP_IN: "[Service]\nUMask=0002\n"})
    found = service.configured()
    assert (found.umask, found.path, found.line) == (0o002, DROP_IN, 2)
    edit = service.umask_edit(0o002)
    assert edit.before == edit.after


def test_whom_a_program_runs_as(tmp_path: Path) -> None:
    service = one(tmp_path, "supervisor:worker", {WORKER: f"{PROGRAM}user=nobody\n"})
    assert [each.name for each in service.configured().identities] == ["nobody"]


GROUPED = (
    "[program:a]\ncommand=/x\n[program:b]\ncommand=/y\nnumprocs=2\n"
    "process_name=%(program_name)s-%(process_num)02d\n[group:g]\nprograms=a,b\n"
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("supervisor:a", ["supervisor:a"]),
        ("supervisor:g:a", ["supervisor:a"]),
        ("supervisor:g:*", ["supervisor:a", "supervisor:b"]),
    ],
)
def test_names(tmp_path: Path, name: str, expected: list[str]) -> None:
    root = files.host(tmp_path, {MAIN: DAEMON, WORKER: GROUPED})
    assert [each.name for each in of(name, root) or ()] == expected


def test_processes_of_a_program(tmp_path: Path) -> None:
    root = files.host(tmp_path, {MAIN: DAEMON, WORKER: GROUPED})
    for name, expected in (("a", {"g:a"}), ("b", {"g:b-00", "g:b-01"})):
        (service,) = of(f"supervisor:{name}", root) or ()
        assert isinstance(service, SupervisorProgram)
        assert service.facts().names == expected


@pytest.mark.parametrize(
    ("name", "there", "message"),
    [
        ("supervisor", {}, r"is not installed: there is no /etc/supervisor/superv"),
        ("supervisor:worker", {}, "is not installed"),
        (
            "supervisor:nobody",
            {MAIN: DAEMON, WORKER: PROGRAM},
            "is no program of supervisor. Programs are supervisor:worker",
        ),
        ("supervisor:all", {MAIN: DAEMON}, "is no program of .* Programs are none"),
        ("supervisor:", {MAIN: DAEMON}, "is no program of supervisor"),
    ],
)
def test_not_there(
    tmp_path: Path, name: str, there: dict[str, str], message: str
) -> None:
    with pytest.raises(OptionError, match=rf"^services: '{name}' {message}"):
        of(name, files.host(tmp_path, there))


def test_masked(tmp_path: Path) -> None:
    root = files.host(tmp_path, {MAIN: DAEMON, DROP_IN: ""})
    (tmp_path / "etc/systemd/system/supervisor.service").symlink_to("/dev/null")
    with pytest.raises(OptionError, match="is masked"):
        of("supervisor", root)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (WORKER, f'{PROGRAM}environment=A="100%",PASSWORD="hunter2"\n'),
        (WORKER, f'{PROGRAM}environment=A="100%",\n  PASSWORD="it\'s hunter2"\n'),
        (WORKER, f"{PROGRAM}environment=PASSWORD=hunter2 in section 'x',A\n"),
        (WORKER, f"{PROGRAM}environment=PASSWORD='hunter2 for ',A=%(x)s\n"),
        (WORKER, f"{PROGRAM}password hunter2\n"),
        (WORKER, f"password='hunter2'\n{PROGRAM}"),
        (MAIN, f"password=hunter2\n{DAEMON}"),
        (MAIN, f'{DAEMON}password "it\'s hunter2"\n'),
    ],
)
def test_what_supervisor_refuses_is_told_without_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, text: str
) -> None:
    monkeypatch.setattr(_supervisor_parser, "_PROGRAMS", [installed(tmp_path)])
    root = files.host(tmp_path, {MAIN: DAEMON, path: text})
    # supervisor looks whether there is such a file: it is no copy that is read here.
    answer = _supervisor_parser.parse("", f"{root}{MAIN}", [])
    assert answer.status
    assert "hunter2" in answer.output
    told = _supervisor_parser.without_values(answer.output)
    assert "hunter2" not in told
    assert "(not shown)" in told
    assert path in told or "worker" in told


@pytest.mark.parametrize(
    ("there", "message"),
    [
        ({WORKER: f"{PROGRAM}umask=x\n"}, f"^{WORKER}:5 is not a umask: x"),
        ({WORKER: f"{PROGRAM}umask=%(ENV_U)s\n"}, "depends on the environment"),
        ({WORKER: f"{PROGRAM}user=no-such-user\n"}, "a user that this host does not"),
        ({MAIN: "[include]\nfiles=conf.d/*.conf\n"}, r"has no section \[supervisord\]"),
    ],
)
def test_broken_configuration(
    tmp_path: Path, there: dict[str, str], message: str
) -> None:
    def look() -> None:
        one(tmp_path, "supervisor:worker", there).umask_edit(0o002)

    with pytest.raises(HostError, match=message):
        look()
