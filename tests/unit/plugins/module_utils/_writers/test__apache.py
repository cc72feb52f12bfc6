# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._identity import (
    resolve,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._apache import (
    discover,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._source import (
    Found,
    Problem,
    Writer,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._writers.files import (
    host,
    payments,
    within,
)

ETC = "/etc/apache2"
MAIN = f"{ETC}/apache2.conf"
USER = "User www-data\n"
WWW_DATA = pwd.getpwnam("www-data")
GAMES = pwd.getpwnam("games")
VHOST = "<VirtualHost *:80>\n{}\n</VirtualHost>\n"


def _discover(root: Path, text: str, **files: str) -> Found:
    others = {f"/etc/{path}": content for path, content in files.items()}
    return discover(host(root, {MAIN: text, **others}))


def _by_id(found: Found) -> dict[str, Writer]:
    return {writer.identity.id: writer for writer in found.writers}


def _root(root: Path, text: str) -> Writer:
    return _by_id(_discover(root, USER + text))["apache2:root"]


def _worker(root: Path, text: str) -> Writer:
    return _by_id(_discover(root, USER + text))["apache2:www-data"]


def test_a_debian_host(tmp_path: Path) -> None:
    found = discover(payments(tmp_path))
    assert found.problems == ()
    worker, root = found.writers
    assert (worker.service, root.service) == ("apache2", "apache2")

    who = worker.identity
    assert (who.id, who.name, who.source) == (
        "apache2:www-data",
        "www-data",
        "configured",
    )
    assert (who.uid, who.gid) == (WWW_DATA.pw_uid, WWW_DATA.pw_gid)
    assert who.groups == set(os.getgrouplist("www-data", WWW_DATA.pw_gid))
    assert (who.umask, who.request_mode) == (0o027, 0o666)
    assert who.capabilities == frozenset()
    assert worker.origin == f"{MAIN}:4"
    assert worker.logs == ("/var/log/payments/php.log",)
    assert worker.mentions == (
        "/var/www/html",
        "/srv/payments/public",
        "/srv/payments/reports/public",
    )

    who = root.identity
    assert (who.id, who.name, who.source) == ("apache2:root", "root", "configured")
    assert (who.uid, who.gid, who.groups) == (0, 0, frozenset())
    assert (who.umask, who.request_mode) == (0o027, 0o666)
    assert who.capabilities == resolve("root", "user", {}).capabilities
    assert root.origin == f"{MAIN}:6"
    assert root.logs == (
        "/var/log/apache2/error.log",
        "/var/log/apache2/other_vhosts_access.log",
        "/var/log/apache2/access.log",
        "/var/log/payments/error.%Y-%m-%d.log",
        "/var/log/payments/access",
        "/etc/apache2/relative.log",
    )
    assert root.mentions == ("/usr/bin/tee", "/var/log/audit/pay")


def test_not_installed(tmp_path: Path) -> None:
    root = payments(tmp_path)
    (tmp_path / "usr/sbin/apache2").unlink()
    assert discover(root) == Found()


def test_not_configured(tmp_path: Path) -> None:
    assert discover(host(tmp_path, {"/etc/apache2/envvars": ""})) == Found()
    (tmp_path / "etc/apache2/envvars").unlink()
    (tmp_path / "etc/apache2").rmdir()
    (tmp_path / "etc").rmdir()
    assert discover(str(tmp_path)) == Found()


def test_instances(tmp_path: Path) -> None:
    root = payments(tmp_path)
    for source in ("envvars", "apache2.conf", "ports.conf"):
        content = (tmp_path / "etc/apache2" / source).read_text()
        host(tmp_path, {f"/etc/apache2-the-second/{source}": content})
    unit = "/etc/systemd/system/apache2@.service"
    host(
        tmp_path, {unit: "[Service]\nUMask=0007\n", "/etc/apache2x/apache2.conf": USER}
    )
    found = _by_id(discover(root))
    assert list(found) == [
        "apache2:www-data",
        "apache2:root",
        "apache2@the-second:www-data",
        "apache2@the-second:root",
    ]
    second = found["apache2@the-second:root"]
    assert second.service == "apache2@the-second"
    assert second.logs == ("/var/log/apache2-the-second/error.log",)
    assert (second.identity.umask, found["apache2:root"].identity.umask) == (0o7, 0o27)


UMASKS = {
    "default": ("", "", 0o022),
    "of the unit": ("", "[Service]\nUMask=0007", 0o007),
    "of envvars": ("umask 0002", "", 0o002),
    "of both": ("umask 0002", "[Service]\nUMask=0007", 0o002),
    "of envvars, and empty": ("umask 0", "[Service]\nUMask=0007", 0),
}


@pytest.mark.parametrize(("envvars", "unit", "umask"), UMASKS.values(), ids=UMASKS)
def test_umask(envvars: str, unit: str, umask: int, tmp_path: Path) -> None:
    files = {
        "apache2/envvars": envvars,
        "systemd/system/apache2.service": "[Service]\nUMask=0077",
        "systemd/system/apache2.service.d/umask.conf": unit or "[Service]\nUMask=0022",
    }
    found = _discover(tmp_path, USER, **files)
    assert [writer.identity.umask for writer in found.writers] == [umask, umask]


USERS = {
    "user's own group": (
        "User www-data",
        ("www-data", WWW_DATA.pw_uid, WWW_DATA.pw_gid),
    ),
    "another group": (
        "User www-data\nGroup games",
        ("www-data", WWW_DATA.pw_uid, GAMES.pw_gid),
    ),
    "numbers": (
        f"User #{GAMES.pw_uid}\nGroup #{WWW_DATA.pw_gid}",
        (str(GAMES.pw_uid), GAMES.pw_uid, WWW_DATA.pw_gid),
    ),
    "last one": (
        "User games\nUser www-data\nGroup games\nGroup www-data",
        ("www-data", WWW_DATA.pw_uid, WWW_DATA.pw_gid),
    ),
    "not that of a virtual host": (
        USER + VHOST.format("User games\nGroup games"),
        ("www-data", WWW_DATA.pw_uid, WWW_DATA.pw_gid),
    ),
}


@pytest.mark.parametrize(("text", "expected"), USERS.values(), ids=USERS)
def test_user(
    text: str,
    expected: tuple[str, int, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name, uid, gid = expected
    # initgroups(3) asks for the user with the group that is configured.
    monkeypatch.setattr(
        os, "getgrouplist", lambda user, group: [group, 64001, len(user)]
    )
    worker, _root = _discover(tmp_path, text).writers
    who = worker.identity
    assert (who.id, who.uid, who.gid) == (f"apache2:{name}", uid, gid)
    assert who.name == pwd.getpwuid(uid).pw_name
    assert who.groups == {gid, 64001, len(pwd.getpwuid(uid).pw_name)}


#: What the main server and a virtual host have root open, besides error.log.
ROOTS_LOGS = {
    "access log": ("CustomLog /l/a combined", "", ["/l/a"]),
    "access logs": ("CustomLog /l/a x\nCustomLog /l/b x", "", ["/l/a", "/l/b"]),
    "of hosts": ("CustomLog /l/a x", "CustomLog /l/b x", ["/l/a", "/l/b"]),
    "once": ("CustomLog /l/a x", "CustomLog /l/a y", ["/l/a"]),
    "for all": ("GlobalLog /l/a x", "", ["/l/a"]),
    "transfer log": ("TransferLog /l/a", "", ["/l/a"]),
    "forensic log": ("ForensicLog /l/a\nForensicLog /l/b", "", ["/l/b"]),
    "connector": ("JkLogFile /l/a", "", ["/l/a"]),
    "security": (
        "SecAuditLog /l/a\nSecAuditLog2 /l/b\nSecDebugLog /l/c",
        "",
        list("abc"),
    ),
    "relative": ("CustomLog logs/a x", "", ["/etc/apache2/logs/a"]),
    "relative to above": ("CustomLog ../a x", "", ["/etc/a"]),
    "other server root": ("ServerRoot /srv\nCustomLog a x", "", ["/srv/a"]),
    "quoted": ('CustomLog "/l/a b" x', "", ["/l/a b"]),
    "not normal": ("CustomLog /l//./x/../a x", "", ["/l/a"]),
    "error log of a host": ("", "ErrorLog /l/a", ["/l/a"]),
    "last error log": ("", "ErrorLog /l/a\nErrorLog /l/b", ["/l/b"]),
    "error log, a file": ("", "ErrorLog file /l/a", ["/l/a"]),
    "error log, system log": ("", "ErrorLog syslog", []),
    "error log, a facility": ("", "ErrorLog syslog:local1:web", []),
    "error log, other provider": ("", "ErrorLog other /l/a", []),
    "error log, journal": ("", "ErrorLog journald", []),
    "access log, journal": ("CustomLog journald:info x", "", []),
    "error log, name like a service's": (
        "",
        "ErrorLog journald.log",
        ["/etc/apache2/journald.log"],
    ),
    "device": ("CustomLog /dev/stdout x\nCustomLog /proc/self/fd/1 x", "", []),
    "address": ("SecAuditLog https://logs.example/x", "", []),
    "formats have dollars": ("CustomLog /l/a ${x} expr=${y}", "", ["/l/a"]),
    "rotated": ("CustomLog |/usr/bin/rotatelogs x", "", []),
    "rotated, quoted": ('CustomLog "|/usr/bin/rotatelogs /l/a 86400" x', "", ["/l/a"]),
    "rotated, from the path": ('CustomLog "|rotatelogs /l/a 86400" x', "", ["/l/a"]),
    "rotated, with options": (
        'CustomLog "|/bin/rotatelogs -l -L /l/now -p /bin/gz -n 5 /l/a.%F 86400" x',
        "",
        ["/l/a.%F"],
    ),
    "rotated, without a shell": ('CustomLog "||rotatelogs /l/a 1" x', "", ["/l/a"]),
    "rotated, with a shell": ('CustomLog "|$rotatelogs /l/a 1" x', "", ["/l/a"]),
    "rotated, a name with blanks": (
        "CustomLog \"|rotatelogs '/l/a b' 1\" x",
        "",
        ["/l/a b"],
    ),
    "rotated, bad quotes": ('CustomLog "|rotatelogs \'/l/a 1" x', "", []),
    "rotated by cronolog": (
        'CustomLog "|/usr/bin/cronolog -S /l/now /l/%Y/a" x',
        "",
        ["/l/%Y/a"],
    ),
    "rotated by cronolog, with long options": (
        'CustomLog "|cronolog --symlink /l/a --prev-symlink /l/b -P /l/c /l/%Y" x',
        "",
        ["/l/%Y"],
    ),
    "rotated error log": ("", 'ErrorLog "|rotatelogs /l/a 1"', ["/l/a"]),
    "other program": ('CustomLog "|/usr/bin/logger -t /l/a" x', "", []),
    "no program": ('CustomLog "|" x', "", []),
}


@pytest.mark.parametrize(
    ("main", "virtual", "logs"), ROOTS_LOGS.values(), ids=ROOTS_LOGS
)
def test_what_root_opens(
    main: str, virtual: str, logs: list[str], tmp_path: Path
) -> None:
    text = f"ErrorLog /var/log/error.log\n{main}\n{VHOST.format(virtual)}"
    found = _discover(tmp_path, USER + text)
    expected = [f"/l/{name}" if len(name) == 1 else name for name in logs]
    assert _by_id(found)["apache2:root"].logs == ("/var/log/error.log", *expected)
    assert found.problems == ()


ERROR_LOGS = {
    "not said": ("", "/etc/apache2/logs/error_log", f"{MAIN}:0"),
    "of a virtual host": (
        VHOST.format("ErrorLog /l/a"),
        "/etc/apache2/logs/error_log",
        f"{MAIN}:3",
    ),
    "the last": ("ErrorLog /l/a\nErrorLog /l/b", "/l/b", f"{MAIN}:3"),
}


@pytest.mark.parametrize(("text", "log", "origin"), ERROR_LOGS.values(), ids=ERROR_LOGS)
def test_main_error_log(text: str, log: str, origin: str, tmp_path: Path) -> None:
    root = _root(tmp_path, text)
    assert log in root.logs
    assert root.origin == origin


def test_system_log_is_no_file(tmp_path: Path) -> None:
    root = _root(tmp_path, "ErrorLog syslog:user")
    assert (root.logs, root.origin) == ((), "")


PROGRAMS = {
    "arguments": ("|/bin/x -a /l/a /srv/b", ("/l/a", "/srv/b")),
    "options of rotatelogs": ("|rotatelogs -L /l/now /l/a 1", ("/l/now",)),
    "in quotes": ("|$/bin/x '/l/a b'", ("/l/a b",)),
    "none": ("|/bin/x a b/c --d=e", ()),
    "everything": ("|/bin/x / //", ()),
    "bad quotes": ("|/bin/x '/a /b", ("/b",)),
}


@pytest.mark.parametrize(("command", "mentions"), PROGRAMS.values(), ids=PROGRAMS)
def test_what_piped_logs_mention(
    command: str, mentions: tuple[str, ...], tmp_path: Path
) -> None:
    assert _root(tmp_path, f'CustomLog "{command}" x').mentions == mentions


#: What its processes open themselves, and where what they serve is.
WORKERS = {
    "nothing": ("", (), ()),
    "log of programs": ("ScriptLog cgi.log", ("/etc/apache2/cgi.log",), ()),
    "last log of programs": ("ScriptLog /l/a\nScriptLog /l/b", ("/l/b",), ()),
    "PHP": ("php_admin_value error_log /l/a", ("/l/a",), ()),
    "PHP, of a host": (VHOST.format("php_value Error_Log '/l/a b'"), ("/l/a b",), ()),
    "PHP, not normal": ("php_value error_log /l//a", ("/l/a",), ()),
    "PHP, system log": ("php_admin_value error_log syslog", (), ()),
    "PHP, something else": ("php_admin_value memory_limit 1G\nphp_value x", (), ()),
    "PHP, twice": ("php_value error_log /l/a\nphp_value error_log /l/a", ("/l/a",), ()),
    "root": ("DocumentRoot /srv/a/public/", (), ("/srv/a/public",)),
    "relative root": ("DocumentRoot htdocs", (), ("/etc/apache2/htdocs",)),
    "last root": ("DocumentRoot /a\nDocumentRoot /b", (), ("/b",)),
    "roots of hosts": (
        "DocumentRoot /a\n" + VHOST.format("DocumentRoot /b") * 2,
        (),
        ("/a", "/b"),
    ),
    "everything": ("DocumentRoot /", (), ()),
    "roots by name": ("VirtualDocumentRoot /srv/%0/public", (), ("/srv",)),
    "roots by part of a name": ("VirtualDocumentRoot /srv/x%1/public", (), ("/srv",)),
    "last root by name": (
        "VirtualDocumentRoot /a/%0\nVirtualDocumentRoot /b/%0",
        (),
        ("/b",),
    ),
    "all by name": ("VirtualDocumentRoot /%0", (), ()),
    "elsewhere": ("Alias /x /srv/x\nScriptAlias /y /srv/y/", (), ("/srv/x", "/srv/y")),
    "in a location": ("<Location /x>\nAlias /srv/x\n</Location>", (), ("/srv/x",)),
    "the system's": ("Alias /x /usr/share/x\nScriptAlias /y /usr/lib/cgi-bin/", (), ()),
    "root of the system's": ("DocumentRoot /usr/share/x", (), ("/usr/share/x",)),
    "someone's directory of that name": ("Alias /x /usr/share2", (), ("/usr/share2",)),
}


@pytest.mark.parametrize(("text", "logs", "mentions"), WORKERS.values(), ids=WORKERS)
def test_what_processes_open_and_serve(
    text: str, logs: tuple[str, ...], mentions: tuple[str, ...], tmp_path: Path
) -> None:
    worker = _worker(tmp_path, text)
    assert (worker.logs, worker.mentions) == (logs, mentions)


def test_a_host_of_another_user(tmp_path: Path) -> None:
    serves = "DocumentRoot /srv/{0}\nphp_value error_log /l/{0}\n"
    text = (
        "LoadModule mpm_itk_module x.so\n<IfModule mpm_itk.c>\n"
        + VHOST.format(serves.format("a") + "AssignUserId games www-data")
        + VHOST.format(serves.format("b") + "AssignUserId games www-data")
        + VHOST.format(serves.format("c") + "AssignUserId games games")
        + VHOST.format(serves.format("d"))
        + "</IfModule>"
    )
    found = _by_id(_discover(tmp_path, USER + text))
    seen = {key: (each.logs, each.mentions) for key, each in found.items()}
    seen.pop("apache2:root")
    assert seen == {
        "apache2:www-data": (("/l/d",), ("/srv/d",)),
        "apache2:games:www-data": (("/l/a", "/l/b"), ("/srv/a", "/srv/b")),
        "apache2:games:games": (("/l/c",), ("/srv/c",)),
    }
    other = found["apache2:games:www-data"]
    assert (other.identity.uid, other.identity.gid) == (GAMES.pw_uid, WWW_DATA.pw_gid)
    assert (other.service, other.origin) == ("apache2", f"{MAIN}:7")


def test_all_hosts_of_another_user(tmp_path: Path) -> None:
    text = "DocumentRoot /a\nAssignUserId games games\n" + VHOST.format(
        "DocumentRoot /b"
    )
    found = _by_id(_discover(tmp_path, USER + text))
    assert found["apache2:www-data"].mentions == ()
    assert found["apache2:games:games"].mentions == ("/a", "/b")


def test_programs_of_another_user(tmp_path: Path) -> None:
    inner = "DocumentRoot /srv/a\nScriptLog /l/cgi\nSuexecUserGroup #{} #{}"
    text = VHOST.format(inner.format(GAMES.pw_uid, GAMES.pw_gid))
    found = _by_id(_discover(tmp_path, USER + text))
    worker = found["apache2:www-data"]
    program = found[f"apache2:{GAMES.pw_uid}:{GAMES.pw_gid}"]
    assert (worker.logs, worker.mentions) == (("/l/cgi",), ("/srv/a",))
    assert (program.logs, program.mentions) == ((), ("/srv/a",))
    assert program.identity.uid == GAMES.pw_uid


NONE = "is defined neither in envvars nor with Define"
NOBODY = "is not a user of this host"
PROBLEMS = {
    "no user": ("Listen 80\nErrorLog /l", 0, "leads to no User"),
    "user of a virtual host": (VHOST.format("User games"), 0, "leads to no User"),
    "undefined user": ("User ${WHO}\nErrorLog /l", 1, f"${{WHO}} {NONE}"),
    "undefined log": (f"{USER}ErrorLog ${{DIR}}/x", 2, f"${{DIR}} {NONE}"),
    "undefined file": (f"{USER}ErrorLog file ${{DIR}}/x", 2, f"${{DIR}} {NONE}"),
    "undefined log of a host": (
        USER + VHOST.format("CustomLog ${DIR}/x y"),
        3,
        f"${{DIR}} {NONE}",
    ),
    "undefined root": (f"{USER}DocumentRoot ${{DIR}}", 2, f"${{DIR}} {NONE}"),
    "undefined log of PHP": (f"{USER}php_value error_log ${{X}}", 2, f"${{X}} {NONE}"),
    "unknown user": ("User nobody-here\n", 1, f"user: 'nobody-here' {NOBODY}"),
    "unknown uid": ("User #64001\n", 1, f"user: '64001' {NOBODY}"),
    "unknown group": (
        f"{USER}Group nobody-here\n",
        1,
        "group: 'nobody-here' is not a group of this host",
    ),
    "unknown user of a host": (
        USER + VHOST.format("AssignUserId nobody-here games"),
        3,
        f"assignuserid: 'nobody-here' {NOBODY}",
    ),
    "root": ("User root\n", 1, "Apache refuses to serve requests as root"),
    "root's number": ("User #0\n", 1, "Apache refuses to serve requests as root"),
    "no log": (f"{USER}ErrorLog\n", 2, "errorlog says too little"),
    "no value": (f"{USER}php_value error_log", 2, "php_value says too little"),
    "no group": (f"{USER}SuexecUserGroup games", 2, "suexecusergroup says too little"),
    "syntax": (f"{USER}</Directory>", 2, "</directory> closes what is not open"),
    "envvars": (USER, -3, "sets a umask that is not known here: write it as 0022"),
}


@pytest.mark.parametrize(("text", "line", "message"), PROBLEMS.values(), ids=PROBLEMS)
def test_problems(text: str, line: int, message: str, tmp_path: Path) -> None:
    envvars = "\n\numask g+w\n" if line < 0 else ""
    text += "\nCustomLog /var/log/rest x\n"
    found = _discover(tmp_path, text, **{"apache2/envvars": envvars})
    (problem,) = found.problems
    where = (MAIN, line) if line >= 0 else (f"{ETC}/envvars", -line)
    assert (problem.path, problem.line) == where
    assert problem.message.startswith(message)
    # The rest is still there, and no log that nobody would open.
    root = _by_id(found)["apache2:root"]
    assert "/var/log/rest" in root.logs
    assert not any("$" in log for log in root.logs)
    default = "/etc/apache2/logs/error_log"
    assert (default in root.logs) == ("ErrorLog" not in text)


def test_a_user_that_is_not_known_does_not_hide_others(tmp_path: Path) -> None:
    text = "User nobody-here\n" + VHOST.format("AssignUserId games games")
    assert list(_by_id(_discover(tmp_path, text))) == [
        "apache2:games:games",
        "apache2:root",
    ]


def test_what_is_defined_on_the_command_line(tmp_path: Path) -> None:
    text = "".join(
        f"<IfDefine {name}>\nCustomLog /l/{name} x\n</IfDefine>\n" for name in "ABCDEk"
    )
    envvars = "export APACHE_ARGUMENTS=\"-DA -D B -k -D 'C' D -DE'\""
    found = _discover(tmp_path, USER + text, **{"apache2/envvars": envvars})
    assert {"/l/A", "/l/B"} < set(_by_id(found)["apache2:root"].logs)
    envvars = "export APACHE_ARGUMENTS=\"-DA -D B -k -D 'C' D\""
    found = _discover(tmp_path, USER + text, **{"apache2/envvars": envvars})
    logs = _by_id(found)["apache2:root"].logs
    assert [log for log in logs if log.startswith("/l/")] == ["/l/A", "/l/B", "/l/C"]


def test_a_main_file_that_cannot_be_read(tmp_path: Path) -> None:
    root = host(tmp_path, {f"{ETC}/envvars": ""})
    os.mkfifo(tmp_path / "etc/apache2/apache2.conf")
    with within(10):
        found = discover(root)
    assert found.writers == ()
    assert found.problems == (Problem(MAIN, 0, found.problems[0].message),)


def test_names_that_are_not_utf_8(tmp_path: Path) -> None:
    text = os.fsdecode(b"User www-data\nCustomLog /l/caf\xe9 x\nDocumentRoot /\xff\n")
    worker, root = _discover(tmp_path, text).writers
    assert os.fsencode(root.logs[0]) == b"/l/caf\xe9"
    assert os.fsencode(worker.mentions[0]) == b"/\xff"
