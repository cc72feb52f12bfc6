# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from pathlib import Path
from typing import Callable

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._identity import (
    resolve,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers import (
    _cron,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._cron import (
    Job,
    discover,
    parse,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._source import (
    NOBODY,
    Found,
    Problem,
)

IGNORED = "; cron ignores the whole file"

# --- lines, held against Debian's own parser (cron 3.0pl1-162) ---

TIMES = [
    "* * * * *",
    "0 0 1 1 0",
    "59 23 31 12 7",
    "*/5 */2 */10 */3 */2",
    "1-5 1-5/2 1,15,31 jan-MAR Mon,wed-fri",
    "0,1-5/2,7 * * * *",
    "5-1 * * * *",
    "5; *x *-2 1-5-1 sun!",
    "00 * * * *",
    "0 0 * dec sat",
    "@reboot",
    "@yearly",
    "@annually",
    "@monthly",
    "@weekly",
    "@daily",
    "@midnight",
    "@hourly",
]

BAD_LINES = {
    "60 * * * * root x": "has no valid minute: 60",
    "-1 * * * * root x": "has no valid minute: -1",
    "x * * * * root x": "has no valid minute: x",
    "5x * * * * root x": "has no valid minute: 5x",
    "1, * * * * root x": "has no valid minute: 1,",
    "1- * * * * root x": "has no valid minute: 1-",
    "1-60 * * * * root x": "has no valid minute: 1-60",
    "1/5 * * * * root x": "has no valid minute: 1/5",
    "*/0 * * * * root x": "has no valid minute: */0",
    "*/ * * * * root x": "has no valid minute: */",
    "*/5m * * * * root x": "has no valid minute: */5m",
    "9999999999 * * * * root x": "has no valid minute: 9999999999",
    "\u0665 * * * * root x": "has no valid minute: \u0665",
    "* 24 * * * root x": "has no valid hour: 24",
    "* * 0 * * root x": "has no valid day of month: 0",
    "* * 32 * * root x": "has no valid day of month: 32",
    "* * * 13 * root x": "has no valid month: 13",
    "* * * mon * root x": "has no valid month: mon",
    "* * * * 8 root x": "has no valid day of week: 8",
    "* * * * jan root x": "has no valid day of week: jan",
    "* * *": "has no valid month: nothing",
    "MAILTO=": "has no valid minute: MAILTO=",
    "A B=c": "has no valid minute: A",
    "A='b": "has no valid minute: A='b",
    "A='b'c": "has no valid minute: A='b'c",
    "@every root x": "has no time that cron knows: @every",
    "@Daily root x": "has no time that cron knows: @Daily",
    "@daily": "has no user or no command",
    "* * * * * root": "has no user or no command",
    "* * * * *": "has no user or no command",
    "* * * * * root x\0y": "contains a NUL byte",
    "* * * * * root " + "x" * 999: "has a command of more than 998 bytes",
    "\x1b[31m * * * * root x": "has no valid minute: \\x1b[31m",
}

SETTINGS = {
    "A=b": {"A": "b"},
    " \tA = b c \t": {"A": "b c"},
    "A='b c' ": {"A": "b c"},
    'A="b c"': {"A": "b c"},
    "A=''": {"A": ""},
    "'A B'=c": {"A B": "c"},
    '"A B" = c': {"A B": "c"},
    "A=b'c": {"A": "b'c"},
    "A=#b": {"A": "#b"},
    "A=b\nA=c": {"A": "c"},
    "A=b\nB=c": {"A": "b", "B": "c"},
    "* = b": {"*": "b"},
}


@pytest.mark.parametrize("time", TIMES)
def test_times(time: str) -> None:
    job = [Job(1, "root", "x  y")]
    assert parse(f"{time} root x  y\n", "/c") == (job, [])
    assert parse(f" \t{time}\t root\t x  y\n", "/c") == (job, [])
    assert parse(f"{time} x  y\n", "/c", "root") == (job, [])


@pytest.mark.parametrize(
    ("line", "reason"), BAD_LINES.items(), ids=range(len(BAD_LINES))
)
def test_bad_lines(line: str, reason: str) -> None:
    jobs, problems = parse(f"\n@daily root x\n{line}\n@daily root y\n", "/c")
    assert [job.line for job in jobs] == [2, 4]
    assert problems == [Problem("/c", 3, reason + IGNORED)]


def test_users_lines() -> None:
    text = "* * * * * * x\n* * * * * x\n@daily\n* * * * root y\n"
    jobs, problems = parse(text, "/c", "daemon")
    assert jobs == [Job(2, "daemon", "x"), Job(3, "daemon", "")]
    assert problems == [
        Problem("/c", 1, "has six times before its command" + IGNORED),
        Problem("/c", 4, "has no valid day of week: root" + IGNORED),
    ]


@pytest.mark.parametrize(("text", "environment"), SETTINGS.items())
def test_settings(text: str, environment: dict[str, str]) -> None:
    jobs, problems = parse(f"@daily root x\n{text}\n@daily root y\nC=d\n", "/c")
    assert [job.environment for job in jobs] == [{}, environment]
    assert problems == []


def test_the_longest_command() -> None:
    jobs, problems = parse("@daily root " + "x" * 998 + "\n", "/c")
    assert (len(jobs), problems) == (1, [])


def test_comments() -> None:
    assert parse("# x\n\n \t# y\n \t\n", "/c") == ([], [])
    assert parse("@daily root x # y\n", "/c") == ([Job(1, "root", "x # y")], [])


@pytest.mark.parametrize("line", ["@daily root x", "A=b"])
def test_the_last_line_needs_a_newline(line: str) -> None:
    problem = Problem("/c", 2, "has no newline at its end" + IGNORED)
    assert parse(f"\n{line}", "/c") == ([], [problem])
    assert parse(f"\n{line}\n# x", "/c")[1] == []


def test_lines_without_end() -> None:
    jobs, problems = parse("@daily root x\n" * 10_000, "/c")
    assert (len(jobs), problems) == (10_000, [])
    jobs, problems = parse("@daily root x\n" * 10_001, "/c")
    assert len(jobs) == 10_000
    assert problems == [Problem("/c", 10_000, "has too many lines" + IGNORED)]
    assert parse("A=" + "x" * 2000 + "\n@daily root x\n", "/c")[0][0].environment == {
        "A": "x" * 996
    }


# --- files ---


class Host:
    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, text: str | bytes, mode: int = 0o644) -> Path:
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text.encode() if isinstance(text, str) else text)
        place.chmod(mode)
        return place

    def found(self) -> Found:
        return discover(str(self.root))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def told(found: Found) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    return [(each.identity.id, each.logs, each.mentions) for each in found.writers]


def test_nothing(host: Host) -> None:
    assert host.found() == NOBODY


def test_a_job(host: Host) -> None:
    host.write(
        "/etc/cron.d/payments",
        "SHELL=/bin/sh\n\n"
        "* * * * * www-data cd /srv/payments && php artisan schedule:run "
        ">> /srv/payments/storage/logs/cron.log 2>&1\n",
    )
    (writer,) = host.found().writers
    assert writer.service == "cron:/etc/cron.d/payments:3"
    assert writer.origin == "/etc/cron.d/payments:3"
    assert writer.logs == ("/srv/payments/storage/logs/cron.log",)
    assert writer.mentions == ("/srv/payments",)
    expected = resolve("www-data", "", {})
    identity = writer.identity
    assert (identity.id, identity.name) == (
        "cron:/etc/cron.d/payments:www-data",
        "www-data",
    )
    assert (identity.uid, identity.gid) == (expected.uid, expected.gid)
    assert identity.groups == expected.groups
    assert (identity.umask, identity.request_mode) == (0o022, 0o666)
    assert identity.source == "configured"
    assert identity.capabilities == frozenset()
    assert host.found() == host.found()


def test_root_has_its_capabilities(host: Host) -> None:
    host.write("/etc/crontab", "@daily root /srv/x\n")
    (writer,) = host.found().writers
    assert writer.identity.uid == 0
    assert writer.identity.capabilities == resolve("root", "", {}).capabilities


COMMANDS = {
    "names nothing": ("x", (), ()),
    "none": ("", (), ()),
    "input": ("/srv/a %/srv/b > /srv/c", (), ("/srv/a",)),
    "escaped percent signs": (r"x > /srv/a\%b\\c%d", ("/srv/a%bc",), ()),
    "a date": (r"x >> /srv/a/x-$(date +\%F)", (), ("/srv/a",)),
    "the crontab's variables": (
        "cd $APP && x > ${LOGS}/y; z >$NOPE/z",
        ("/srv/logs/y",),
        ("/srv/app",),
    ),
    "home": ("x > y; cd $HOME && z > w", ("/root/y", "/root/w"), ("/root",)),
    "carriage return": ("x > /srv/a\r", ("/srv/a",), ()),
    "invalid UTF-8": ("x > /srv/caf\udce9", ("/srv/caf\udce9",), ()),
}


@pytest.mark.parametrize(
    ("command", "logs", "mentions"), COMMANDS.values(), ids=COMMANDS
)
def test_commands(
    command: str, logs: tuple[str, ...], mentions: tuple[str, ...], host: Host
) -> None:
    text = f"APP=/srv/app\nLOGS='/srv/logs'\n@daily root {command}\n"
    host.write("/etc/cron.d/a", os.fsencode(text))
    found = host.found()
    assert told(found) == [("cron:/etc/cron.d/a:root", logs, mentions)]
    assert found.problems == ()


def test_home_of_the_crontab(host: Host) -> None:
    host.write("/etc/cron.d/a", "HOME=/srv\n@daily www-data x > y\n")
    assert host.found().writers[0].logs == ("/srv/y",)


def test_ids(host: Host) -> None:
    host.write(
        "/etc/cron.d/a",
        "@daily root x > /srv/a; umask 0027; x > /srv/b; su daemon -c 'x > /srv/c'\n"
        "@daily daemon umask 022; x > /srv/d\n"
        "@daily root sudo -u nouser x > /srv/e\n"
        "@daily root sudo -u nouser /srv/f\n",
    )
    found = host.found()
    assert told(found) == [
        ("cron:/etc/cron.d/a:root", ("/srv/a",), ()),
        ("cron:/etc/cron.d/a:root:0027", ("/srv/b",), ()),
        ("cron:/etc/cron.d/a:daemon:0027", ("/srv/c",), ()),
        ("cron:/etc/cron.d/a:daemon", ("/srv/d",), ()),
        ("cron:/etc/cron.d/a:root", ("/srv/e",), ()),
    ]
    assert [each.identity.umask for each in found.writers] == [
        0o022,
        0o027,
        0o027,
        0o022,
        0o022,
    ]
    identities = {each.identity for each in found.writers}
    assert len(identities) == len({identity.id for identity in identities})
    reason = "runs something as a user that this host does not have: nouser"
    assert found.problems == (Problem("/etc/cron.d/a", 4, reason),)


def test_pam_sets_the_umask(host: Host) -> None:
    host.write("/etc/pam.d/cron", "session optional pam_umask.so usergroups\n")
    host.write("/etc/pam.d/su", "")
    host.write(
        "/etc/cron.d/a", "@daily www-data x\n@daily root su www-data -c /srv/y\n"
    )
    assert [
        (each.identity.id, each.identity.umask) for each in host.found().writers
    ] == [
        ("cron:/etc/cron.d/a:www-data", 0o002),
        ("cron:/etc/cron.d/a:www-data:0022", 0o022),
    ]


def test_systemd_sets_the_umask(host: Host) -> None:
    host.write("/usr/lib/systemd/system/cron.service", "[Service]\nUMask=0027\n")
    host.write("/etc/cron.d/a", "@daily www-data x\n")
    assert host.found().writers[0].identity.umask == 0o027


def test_an_unknown_user(host: Host) -> None:
    host.write(
        "/etc/cron.d/a", "@daily nouser /srv/a\n@daily 33 x\n@daily root /srv/b\n"
    )
    found = host.found()
    assert told(found) == [("cron:/etc/cron.d/a:root", (), ("/srv/b",))]
    reason = "names a user that this host does not have: "
    assert found.problems == (
        Problem("/etc/cron.d/a", 1, f"{reason}nouser{IGNORED}"),
        Problem("/etc/cron.d/a", 2, f"{reason}33{IGNORED}"),
    )


def test_names_in_cron_d(host: Host) -> None:
    for name in ("a-B_9", "a.b", ".a", "a~", "a.dpkg-old", "caf\u00e9"):
        host.write(f"/etc/cron.d/{name}", "@daily root x\n")
    (host.root / "etc/cron.d/dir").mkdir()
    found = host.found()
    assert told(found) == [("cron:/etc/cron.d/a-B_9:root", (), ())]
    reason = "is ignored by cron: it is not a regular file"
    assert found.problems == (Problem("/etc/cron.d/dir", 0, reason),)


def test_crontabs_of_users(host: Host) -> None:
    spool = "/var/spool/cron/crontabs"
    host.write(f"{spool}/www-data", "@daily root /srv/a\n", 0o600)
    host.write(f"{spool}/root", "@daily /srv/b\n", 0o600)
    host.write(f"{spool}/tmp.Xyz", "x\n", 0o600)  # noqa: S108
    host.write(f"{spool}/.x", "x\n", 0o600)
    host.write(f"{spool}/nouser", "@daily x\n", 0o600)
    os.chown(host.root / spool[1:] / "www-data", resolve("www-data", "", {}).uid, -1)
    found = host.found()
    assert told(found) == [
        (f"cron:{spool}/root:root", (), ("/srv/b",)),
        (f"cron:{spool}/www-data:www-data", (), ("/srv/a",)),
    ]
    reason = "is ignored by cron: no user of this host has its name"
    assert found.problems == (Problem(f"{spool}/nouser", 0, reason),)


def _mode(mode: int) -> Callable[[Path], None]:
    return lambda path: path.chmod(mode)


def _owner(path: Path) -> None:
    os.chown(path, 33, -1)


def _owner_of_link(path: Path) -> None:
    path.rename(path.with_name("x.y"))
    path.symlink_to("x.y")
    os.chown(path, 33, -1, follow_symlinks=False)


def _stranger(path: Path) -> None:
    os.chown(path, 12345, -1)


def _hard_link(path: Path) -> None:
    os.link(path, path.with_name(".x"))


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def _link(path: Path) -> None:
    path.rename(path.with_name(".x"))
    path.symlink_to(".x")


def _loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


REFUSED = {
    "fine": (_mode(0o644), None),
    "a link": (_link, None),
    "group may write": (_mode(0o664), "its group or others may write it"),
    "others may write": (_mode(0o646), "its group or others may write it"),
    "another owner": (_owner, "it does not belong to root"),
    "another owner's link": (_owner_of_link, "it does not belong to root"),
    "hard link": (_hard_link, "it has more than one link"),
    "FIFO": (_fifo, "it is not a regular file"),
}
USERS_REFUSED = {
    "fine": (_mode(0o600), None),
    "the user's": (_owner, None),
    "a stranger's": (_stranger, "it belongs neither to the user nor to root"),
    "mode": (_mode(0o640), "its mode is not 0600"),
    "setuid": (_mode(0o4600), "its mode is not 0600"),
    "a link": (_link, "it is not a regular file"),
    "hard link": (_hard_link, "it has more than one link"),
    "FIFO": (_fifo, "it is not a regular file"),
}


@pytest.mark.parametrize(("change", "reason"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("path", ["/etc/crontab", "/etc/cron.d/a"])
def test_system_crontabs_that_cron_ignores(
    change: Callable[[Path], None], reason: str | None, path: str, host: Host
) -> None:
    change(host.write(path, "@daily www-data x\n"))
    check_ignored(host.found(), path, reason)


@pytest.mark.parametrize(
    ("change", "reason"), USERS_REFUSED.values(), ids=USERS_REFUSED
)
def test_users_crontabs_that_cron_ignores(
    change: Callable[[Path], None], reason: str | None, host: Host
) -> None:
    path = "/var/spool/cron/crontabs/www-data"
    change(host.write(path, "@daily x\n", 0o600))
    check_ignored(host.found(), path, reason)


def check_ignored(found: Found, path: str, reason: str | None) -> None:
    if reason is None:
        assert [each.identity.id for each in found.writers] == [f"cron:{path}:www-data"]
        assert found.problems == ()
    else:
        assert found.writers == ()
        assert found.problems == (Problem(path, 0, f"is ignored by cron: {reason}"),)


def test_what_cannot_be_read(host: Host) -> None:
    _loop(host.write("/etc/cron.d/a", ""))
    _dangling(host.write("/etc/cron.d/b", ""))
    host.write("/etc/cron.d/c", b"#" * 10_000_000)
    host.write("/etc/cron.d/d", "@daily root /srv/d\n")
    host.write("/etc/cron.d/e", b"@daily root /srv/e\n\xff\xfe\0\x80 \r\n")
    found = host.found()
    assert [each.mentions for each in found.writers] == [("/srv/d",), ("/srv/e",)]
    assert [(each.path, each.line, each.message) for each in found.problems] == [
        ("/etc/cron.d/a", 0, "cannot be read: Too many levels of symbolic links"),
        ("/etc/cron.d/c", 0, "cannot be read: Larger than 1048576 bytes"),
        ("/etc/cron.d/e", 2, "contains a NUL byte" + IGNORED),
    ]


def test_directories_that_cannot_be_read(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_root: str, directory: str) -> list[str]:
        raise PermissionError(13, "Permission denied", directory)

    host.write("/etc/crontab", "@daily root x\n")
    monkeypatch.setattr(_cron, "list_names", refuse)
    found = host.found()
    assert len(found.writers) == 1
    assert [problem.path for problem in found.problems] == [
        "/etc/cron.d",
        "/var/spool/cron/crontabs",
        "/etc/cron.hourly",
        "/etc/cron.daily",
        "/etc/cron.weekly",
        "/etc/cron.monthly",
        "/etc/cron.yearly",
    ]


# --- scripts ---


def test_scripts(host: Host) -> None:
    host.write(
        "/etc/cron.daily/backup",
        "#!/bin/sh -e\n# see /usr/share/doc/x\nset -e\n"
        "if [ -x /usr/bin/x ]; then\n\t/usr/bin/x >> /var/log/x.log\nfi\n"
        "su www-data -s /bin/sh -c 'php /srv/y'\n",
        0o755,
    )
    host.write(
        "/etc/cron.weekly/report",
        "#!/usr/bin/python3\n# see /usr/share/doc/x\nif '/srv/z' >/srv/w:\n",
        0o755,
    )
    assert told(host.found()) == [
        (
            "cron:/etc/cron.daily/backup:root",
            ("/var/log/x.log",),
            ("/usr/bin/x",),
        ),
        ("cron:/etc/cron.daily/backup:www-data", (), ("/srv/y",)),
        ("cron:/etc/cron.weekly/report:root", (), ("/srv/z", "/srv/w")),
    ]
    assert [each.service for each in host.found().writers] == [
        "cron:/etc/cron.daily/backup:1",
        "cron:/etc/cron.daily/backup:1",
        "cron:/etc/cron.weekly/report:1",
    ]


@pytest.mark.parametrize("period", ["hourly", "daily", "weekly", "monthly", "yearly"])
def test_periods(period: str, host: Host) -> None:
    host.write(f"/etc/cron.{period}/x", "", 0o755)
    assert told(host.found()) == [(f"cron:/etc/cron.{period}/x:root", (), ())]


def test_scripts_that_do_not_run(host: Host) -> None:
    host.write("/etc/cron.daily/a.sh", "#!/bin/sh\n", 0o755)
    host.write("/etc/cron.daily/.placeholder", "", 0o755)
    host.write("/etc/cron.daily/b", "#!/bin/sh\n", 0o644)
    (host.root / "etc/cron.daily/c").mkdir()
    os.mkfifo(host.root / "etc/cron.daily/d", 0o755)
    assert host.found() == NOBODY


def test_programs_and_broken_links(host: Host) -> None:
    host.write("/etc/cron.daily/a", b"\x7fELF" + b"\0" * 2_000_000, 0o755)
    host.write("/etc/cron.daily/b", b"\x7fELF\0 /srv/b \xff", 0o755)
    (host.root / "etc/cron.daily/c").symlink_to("nowhere")
    found = host.found()
    assert told(found) == [
        ("cron:/etc/cron.daily/a:root", (), ()),
        ("cron:/etc/cron.daily/b:root", (), ("/srv/b",)),
    ]
    reason = "cannot be read: No such file or directory"
    assert found.problems == (Problem("/etc/cron.daily/c", 0, reason),)


def test_secrets_stay_where_they_are(host: Host) -> None:
    text = (
        "MYSQL_PWD=s3cret\n"
        "@daily root mysqldump -p$MYSQL_PWD --password='s3cret x' > /srv/a.sql\n"
        "@daily nouser x s3cret\n"
        "@daily root\n"
        "61 * * * * root s3cret\n"
        "@daily root sudo -u nouser /srv/b s3cret\n"
    )
    host.write("/etc/cron.d/a", text)
    found = host.found()
    assert len(found.writers) == 1
    assert len(found.problems) == 4
    assert "s3cret" not in repr(found)
