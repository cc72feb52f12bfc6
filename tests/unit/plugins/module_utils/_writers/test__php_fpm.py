# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._writers import (
    _php_fpm,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._php_fpm import (
    Entry,
    Section,
    discover,
    parse_line,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._source import (
    Found,
    Writer,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._writers.files import (
    host,
    payments,
    within,
)

ETC = "/etc/php/8.2/fpm"
MAIN = f"{ETC}/php-fpm.conf"
WWW_DATA = pwd.getpwnam("www-data")
GAMES = pwd.getpwnam("games")

#: As php-fpm8.2 -tt of Debian 12 shows them.
LINES = {
    "nothing": ("", None),
    "blanks": (" \t\r", None),
    "comment": ("; user = x", None),
    "indented comment": ("  ;[www]", None),
    "section": ("[www]", Section("www")),
    "section with a comment": ("[www] ; mine", Section("www")),
    "section in quotes": ('["www"]', Section("www")),
    "section with blanks": ("[ www ]", Section("www")),
    "entry": ("user = www-data", Entry("user", "", "www-data")),
    "without blanks": ("user=www-data", Entry("user", "", "www-data")),
    "more blanks": ("\tuser  =  www-data  ", Entry("user", "", "www-data")),
    "comment behind": ("user = x ; y", Entry("user", "", "x")),
    "comment at once": ("slowlog = /a;b", Entry("slowlog", "", "/a")),
    "blanks within": ("slowlog = /a b/c", Entry("slowlog", "", "/a b/c")),
    "quotes": ('slowlog = "/a;b" ; c', Entry("slowlog", "", "/a;b")),
    "single quotes": ("slowlog = '/a;$b'", Entry("slowlog", "", "/a;$b")),
    "single quotes have no escapes": (
        r"slowlog = '/a\\b'",
        Entry("slowlog", "", r"/a\\b"),
    ),
    "parts": ("slowlog = \"/a;b\"x'y'", Entry("slowlog", "", "/a;bxy")),
    "escapes": (
        r'access.format = "%t \"%m\" \\ \n"',
        Entry("access.format", "", r'%t "%m" \ \n'),
    ),
    "equals": ("sendmail_path = /x -f a=b", Entry("sendmail_path", "", "/x -f a=b")),
    "empty": ("slowlog =", Entry("slowlog", "", "")),
    "item": ("php_value[error_log] = /x", Entry("php_value", "error_log", "/x")),
    "item with blanks": ("env [X] = y", Entry("env", "X", "y")),
    "pool": ("slowlog = /l/$pool.log", Entry("slowlog", "", "/l/$pool.log")),
    "yes": ("catch_workers_output = Yes ; x", Entry("catch_workers_output", "", "1")),
    "off": ("daemonize = off", Entry("daemonize", "", "")),
    "none": ("slowlog = NULL", Entry("slowlog", "", "")),
    "word in quotes": ('slowlog = "off"', Entry("slowlog", "", "off")),
}
BAD_LINES = {
    "no equals": ("user", "is not as a setting is: key = value"),
    "no key": ("= x", "is not as a setting is: key = value"),
    "another language's comment": ("# user = x", None),
    "section not closed": ("[www", "a section has no ]"),
    "item not closed": ("php_value[x = y", "is not as a setting is: key = value"),
    "quote not closed": ('user = "x', 'cannot be understood from " on'),
    "single quote not closed": ("user = 'x", "cannot be understood from ' on"),
    "bracket": ("slowlog = /a(b)", "cannot be understood from ( on"),
    "variable": ("slowlog = ${LOGS}/x", "the value of ${LOGS} is not known"),
    "unprintable variable": (
        "slowlog = ${\x1b}",
        r"the value of ${\x1b} is not known",
    ),
    "variable not closed": ("slowlog = ${LOGS", "cannot be understood from $ on"),
    "NUL": ("slowlog = /a\0b", "contains a NUL byte"),
}


@pytest.mark.parametrize(("text", "expected"), LINES.values(), ids=LINES)
def test_lines(text: str, expected: Section | Entry | None) -> None:
    assert parse_line(text) == expected


@pytest.mark.parametrize(("text", "message"), BAD_LINES.values(), ids=BAD_LINES)
def test_bad_lines(text: str, message: str | None) -> None:
    if message is None:  # a key that nothing knows, as in PHP
        assert parse_line(text) == Entry("# user", "", "x")
        return
    with pytest.raises(ValueError) as caught:  # noqa: PT011  compared below
        parse_line(text)
    assert str(caught.value) == message


WORDS = {
    **dict.fromkeys(("on", "true", "yes"), "1"),
    **dict.fromkeys(("off", "false", "no", "none", "null"), ""),
}


@pytest.mark.parametrize("word", WORDS)
def test_words_that_php_replaces(word: str) -> None:
    assert parse_line(f"slowlog = {word}") == Entry("slowlog", "", WORDS[word])


def _discover(root: Path, text: str, **files: str) -> Found:
    others = {f"{ETC}/{name}": content for name, content in files.items()}
    return discover(host(root, {MAIN: text, **others}))


def _by_id(found: Found) -> dict[str, Writer]:
    return {writer.identity.id: writer for writer in found.writers}


def test_a_debian_host(tmp_path: Path) -> None:
    found = discover(payments(tmp_path))
    assert found.problems == ()
    pools = f"{ETC}/pool.d"
    application, www, master = found.writers

    who = application.identity
    assert (who.id, who.name, who.source) == (
        "php8.2-fpm:payments",
        "games",
        "configured",
    )
    assert (who.uid, who.gid) == (GAMES.pw_uid, WWW_DATA.pw_gid)
    assert who.groups == set(os.getgrouplist("games", WWW_DATA.pw_gid))
    assert (who.umask, who.request_mode) == (0o022, 0o666)
    assert application.service == "php-fpm:payments"
    assert application.origin == f"{pools}/payments.conf:4"
    assert application.logs == ("/var/log/payments/payments php.log",)
    assert application.mentions == ("/srv/payments",)

    assert (www.identity.id, www.service) == ("php8.2-fpm:www", "php-fpm:www")
    assert www.identity.uid == WWW_DATA.pw_uid
    assert (www.logs, www.mentions) == ((), ())

    who = master.identity
    assert (who.id, who.uid, who.groups) == ("php8.2-fpm", 0, frozenset())
    assert (who.umask, who.request_mode) == (0o022, 0o600)
    assert (master.service, master.origin) == ("php-fpm", f"{MAIN}:5")
    assert master.logs == (
        "/var/log/php8.2-fpm.log",
        "/var/log/payments/payments.access.log",
        "/var/log/payments/slow.log",
    )


def test_not_installed(tmp_path: Path) -> None:
    root = payments(tmp_path)
    (tmp_path / "usr/sbin/php-fpm8.2").unlink()
    assert discover(root) == Found()
    assert discover(host(tmp_path / "x", {})) == Found()


def test_versions(tmp_path: Path) -> None:
    root = payments(tmp_path)
    other = "[www]\nuser = games\n"
    files = {
        "/etc/php/8.4/fpm/php-fpm.conf": other,
        "/etc/php/7.4/fpm/php-fpm.conf": other,
        "/usr/sbin/php-fpm8.4": "",
        "/etc/systemd/system/php8.4-fpm.service.d/u.conf": "[Service]\nUMask=0002",
    }
    found = _by_id(discover(host(tmp_path, files)))
    assert list(found) == [
        "php8.2-fpm:payments",
        "php8.2-fpm:www",
        "php8.2-fpm",
        "php8.4-fpm:www",
        "php8.4-fpm",
    ]
    assert found["php8.4-fpm:www"].service == "php-fpm:www"
    assert found["php8.4-fpm:www"].identity.umask == 0o002
    assert found["php8.4-fpm"].identity.umask == 0o002
    assert found["php8.2-fpm:www"].identity.umask == 0o022
    assert discover(root).problems == ()


USERS = {
    "its own group": ("user = games", (GAMES.pw_uid, GAMES.pw_gid)),
    "another group": (
        "user = games\ngroup = www-data",
        (GAMES.pw_uid, WWW_DATA.pw_gid),
    ),
    "numbers": ("user = 64001\ngroup = 64002", (64001, 64002)),
    "number of an account": (f"user = {GAMES.pw_uid}", (GAMES.pw_uid, GAMES.pw_gid)),
    "the last": ("user = www-data\nuser = games", (GAMES.pw_uid, GAMES.pw_gid)),
    "any case": ("User = games\nGROUP = www-data", (GAMES.pw_uid, WWW_DATA.pw_gid)),
}


@pytest.mark.parametrize(("text", "ids"), USERS.values(), ids=USERS)
def test_user(text: str, ids: tuple[int, int], tmp_path: Path) -> None:
    found = _discover(tmp_path, f"[app]\n{text}\n")
    who = _by_id(found)["php8.2-fpm:app"].identity
    assert (who.uid, who.gid) == ids
    assert found.problems == ()


#: What a pool says, and the logs and mentions of its processes.
POOLS = {
    "nothing": ("", (), ()),
    "fixed log": ("php_admin_value[error_log] = /l/a", ("/l/a",), ()),
    "log": ("php_value[error_log] = /l/a", ("/l/a",), ()),
    "both": (
        "php_admin_value[error_log] = /l/a\nphp_value[error_log] = /l/b",
        ("/l/a",),
        (),
    ),
    "twice": (
        "php_value[error_log] = /l/a\nphp_value[error_log] = /l/b",
        ("/l/a",),
        (),
    ),
    "pool in it": ("php_value[error_log] = /l/$pool/$pool", ("/l/app/app",), ()),
    "relative log": ("php_value[error_log] = l/a", ("/usr/l/a",), ()),
    "relative to the pool": (
        "prefix = /srv/$pool\nphp_value[error_log] = l/a",
        ("/srv/app/l/a",),
        (),
    ),
    "going up": ("php_value[error_log] = ../l/a", ("/l/a",), ()),
    "relative to a relative prefix": (
        "prefix = p\nphp_value[error_log] = l/a",
        ("/usr/p/l/a",),
        (),
    ),
    "system log": ("php_value[error_log] = syslog", (), ()),
    "terminal": ("php_value[error_log] = /dev/stderr", (), ()),
    "master's output": ("php_value[error_log] = /proc/self/fd/2", (), ()),
    "another value": ("php_value[memory_limit] = /x", (), ()),
    "directory": ("chdir = /srv/a/", (), ("/srv/a",)),
    "relative directory": ("prefix = /srv\nchdir = a", (), ("/srv/a",)),
    "everything": ("chdir = /", (), ()),
    "document root": ("php_admin_value[doc_root] = /srv/a", (), ("/srv/a",)),
    "allowed": (
        "php_admin_value[open_basedir] = /srv/a:/srv/b/:/tmp/:/var/tmp:.:/usr/share/x",
        (),
        ("/srv/a", "/srv/b"),
    ),
    "mentioned twice": (
        "chdir = /srv/a\nphp_value[open_basedir] = /srv/a",
        (),
        ("/srv/a",),
    ),
    "jail": (
        "chroot = /srv/jail\nchdir = /app\nphp_value[error_log] = /l/a",
        ("/srv/jail/l/a",),
        ("/srv/jail", "/srv/jail/app"),
    ),
    "jail below the prefix": (
        "prefix = /srv\nchroot = $prefix/jail\nphp_value[error_log] = l/a",
        ("/srv/jail/l/a",),
        ("/srv/jail",),
    ),
    "jail that is none": ("chroot = /\nchdir = /srv", (), ("/srv",)),
    "no log in a jail": (
        "chroot = /srv/jail\nphp_value[error_log] = syslog",
        (),
        ("/srv/jail",),
    ),
}


@pytest.mark.parametrize(("text", "logs", "mentions"), POOLS.values(), ids=POOLS)
def test_pools(
    text: str, logs: tuple[str, ...], mentions: tuple[str, ...], tmp_path: Path
) -> None:
    found = _discover(tmp_path, f"[app]\nuser = games\n{text}\n")
    pool = _by_id(found)["php8.2-fpm:app"]
    assert (pool.logs, pool.mentions) == (logs, mentions)
    assert found.problems == ()


SLOW = "slowlog = /l/slow\nrequest_slowlog_timeout = "
#: What the global section and a pool say, and what the master opens.
MASTERS = {
    "default": ("", "", ["/var/log/php-fpm.log"]),
    "said": ("error_log = /l/a", "", ["/l/a"]),
    "relative": ("error_log = log/a", "", ["/var/log/a"]),
    "system log": ("error_log = syslog", "", []),
    "no pool's": ("error_log = /l/$pool", "", ["/l/$pool"]),
    "in any case": ("[GLOBAL]\nError_Log = /l/a", "", ["/l/a"]),
    "access log": ("error_log = syslog", "access.log = /l/$pool", ["/l/app"]),
    "relative access log": ("error_log = syslog", "access.log = l", ["/usr/l"]),
    "access log below the prefix": (
        "error_log = syslog",
        "prefix = /srv\naccess.log = l/a",
        ["/srv/l/a"],
    ),
    "access log of a jail": (
        "error_log = syslog",
        "chroot = /jail\naccess.log = /l/a",
        ["/l/a"],
    ),
    "terminal": ("error_log = /proc/self/fd/2", "access.log = /dev/stdout", []),
    "slow log": ("error_log = syslog", SLOW + "5s", ["/l/slow"]),
    "slow log, in minutes": ("error_log = syslog", SLOW + "010m", ["/l/slow"]),
    "slow log that is never used": ("error_log = syslog", SLOW + "0", []),
    "slow log without a limit": ("error_log = syslog", "slowlog = /l/slow", []),
    "of a pool, not its processes'": (
        "error_log = syslog",
        "php_value[error_log] = /l/a",
        [],
    ),
}


@pytest.mark.parametrize(("text", "pool", "logs"), MASTERS.values(), ids=MASTERS)
def test_what_the_master_opens(
    text: str, pool: str, logs: list[str], tmp_path: Path
) -> None:
    found = _discover(tmp_path, f"[global]\n{text}\n[app]\nuser = games\n{pool}\n")
    masters = [writer for writer in found.writers if writer.service == "php-fpm"]
    assert [log for writer in masters for log in writer.logs] == logs
    assert len(masters) == (1 if logs else 0)
    assert found.problems == ()


def test_php_without_fpm(tmp_path: Path) -> None:
    assert discover(host(tmp_path, {"/etc/php/8.2/cli/php.ini": ""})) == Found()


def test_where_the_masters_log_is_set(tmp_path: Path) -> None:
    text = "[app]\nuser=games\naccess.log=/l/a\n[global]\nerror_log = {}"
    origins = {
        log: _by_id(_discover(tmp_path, text.format(log)))["php8.2-fpm"].origin
        for log in ("/l/b", "syslog")
    }
    assert origins == {"/l/b": f"{MAIN}:5", "syslog": f"{MAIN}:3"}
    found = _by_id(_discover(tmp_path, "[app]\nuser=games\n"))
    assert found["php8.2-fpm"].origin == f"{MAIN}:0"


def test_includes(tmp_path: Path) -> None:
    files = {
        "b.conf": "[B]\nuser=games\n",
        "a.conf": f"[a]\nuser=games\ninclude = {ETC}/c.inc\nslowlog = /l/a\n",
        "c.inc": "php_value[error_log] = /l/$pool\n[c]\nuser=games\n",
        ".hidden.conf": "[hidden]\n",
        "d.conf/x": "",
        "last": "access.log = /l/b\n",
    }
    text = f"include={ETC}/*.conf\ninclude={ETC}/none-*\ninclude = {ETC}/last\n"
    host(tmp_path, {f"{ETC}/{name}": content for name, content in files.items()})
    found = discover(host(tmp_path, {"/etc/php/8.2/fpm/php-fpm.conf": ""}))
    assert [each.line for each in found.problems] == [0]
    (tmp_path / MAIN[1:]).unlink()
    # its own name matches the pattern, too
    main = tmp_path / "etc/php/8.2/fpm/php-fpm.conf"
    main.write_text(text.replace("*.conf", "[ab]*.conf") + f"include={ETC}/d*\n")
    found = discover(str(tmp_path))
    assert found.problems == ()
    pools = {key: (each.logs, each.origin) for key, each in _by_id(found).items()}
    assert pools == {
        "php8.2-fpm:a": (("/l/a",), f"{ETC}/a.conf:2"),
        "php8.2-fpm:c": ((), f"{ETC}/c.inc:3"),
        "php8.2-fpm:B": ((), f"{ETC}/b.conf:2"),
        "php8.2-fpm": (("/var/log/php-fpm.log", "/l/b"), f"{MAIN}:0"),
    }


def test_relative_includes(tmp_path: Path) -> None:
    host(tmp_path, {"/usr/etc/a.conf": "[a]\nuser=games\n"})
    found = _discover(tmp_path, "include = etc/*.conf\n")
    assert list(_by_id(found)) == ["php8.2-fpm:a", "php8.2-fpm"]


def test_sections_of_one_name(tmp_path: Path) -> None:
    text = "[APP]\nuser=games\n[other]\nuser=games\n[app]\naccess.log=/l/$pool\n"
    found = _by_id(_discover(tmp_path, f"[global]\nerror_log=syslog\n{text}"))
    assert list(found) == ["php8.2-fpm:APP", "php8.2-fpm:other", "php8.2-fpm"]
    assert found["php8.2-fpm"].logs == ("/l/APP",)


PROBLEMS = {
    "syntax": ("[app]\nuser = games\nfoo\n", 3, "is not as a setting is: key = value"),
    "section": ("[app\n[other]\n", 1, "a section has no ]"),
    "no user": ("[app]\nlisten = x\n", 1, "user: '' is no user of pool app. Name one."),
    "unknown user": ("[app]\nuser = no-one\n", 2, "user: 'no-one' is not a user of"),
    "uid alone": ("[app]\nuser = 64001\n", 2, "user: '64001' is not a user of this"),
    "unknown group": (
        "[app]\nuser = games\ngroup = no-group\n",
        2,
        "group: 'no-group' is not a group of this host",
    ),
    "no pool": ("[global]\nerror_log = /l/a\n", 0, "leads to no pool: php-fpm does"),
    "no directory": (
        "[app]\nuser=games\ninclude = /none/*.conf\n",
        3,
        "includes from /none/*.conf, where there is no directory",
    ),
    "itself": (
        f"[app]\nuser=games\ninclude = {MAIN}\n",
        3,
        f"includes {MAIN} in itself, or too deeply",
    ),
}


@pytest.mark.parametrize(("text", "line", "message"), PROBLEMS.values(), ids=PROBLEMS)
def test_problems(text: str, line: int, message: str, tmp_path: Path) -> None:
    other = "" if "no pool" in message else f"[other]\nuser=games\naccess.log={line}\n"
    found = _discover(tmp_path, text + other)
    (problem,) = found.problems
    assert (problem.path, problem.line) == (MAIN, line)
    assert problem.message.startswith(message)
    assert ("php8.2-fpm:other" in _by_id(found)) == bool(other)
    assert ("php8.2-fpm" in _by_id(found)) == bool(other)


def test_includes_are_as_deep_as_in_php_fpm(tmp_path: Path) -> None:
    files = {
        f"{number}.conf": f"include={ETC}/{number + 1}.conf\n[p{number}]\nuser=games\n"
        for number in range(1, 9)
    }
    found = _discover(tmp_path, f"include={ETC}/1.conf\n", **files)
    assert [each.path for each in found.problems] == [f"{ETC}/4.conf"]
    assert next(iter(_by_id(found))) == "php8.2-fpm:p4"


def test_names_are_shown_as_they_can_be(tmp_path: Path) -> None:
    include = f"include={ETC}/?.conf\n"
    found = _discover(tmp_path, f"{include}include=/\x1b/x\n", **{"\x1b.conf": include})
    assert [problem.message for problem in found.problems] == [
        f"includes {ETC}/\\x1b.conf in itself, or too deeply",
        "includes from /\\x1b/x, where there is no directory",
        "leads to no pool: php-fpm does not start",
    ]


def test_exponentially_many_includes_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_php_fpm, "_MAX_LINES", 5000)
    files = {
        f"{number}.conf": f"include={ETC}/{number + 1}.conf\n" * 100
        for number in range(1, 9)
    }
    text = f"[app]\nuser=games\ninclude={ETC}/1.conf\n"
    with within(60):
        found = _discover(tmp_path, text, **files)
    assert "php8.2-fpm:app" in _by_id(found)
    messages = [problem.message for problem in found.problems]
    assert messages.count("is not read on: there are more than 5000 lines") == 1


@pytest.mark.parametrize("kind", ["fifo", "dangling", "huge"])
def test_what_cannot_be_read(kind: str, tmp_path: Path) -> None:
    text = f"[app]\nuser=games\ninclude={ETC}/pool.d/*.conf\n"
    root = host(tmp_path, {MAIN: text, f"{ETC}/pool.d/z.conf": "[z]\nuser=games\n"})
    path = tmp_path / "etc/php/8.2/fpm/pool.d/a.conf"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "dangling":
        path.symlink_to("none")
    else:
        with path.open("wb") as file:
            file.truncate(1 << 40)
    with within(10):
        found = discover(root)
    assert list(_by_id(found)) == ["php8.2-fpm:app", "php8.2-fpm:z", "php8.2-fpm"]
    (problem,) = found.problems
    assert (problem.path, problem.line) == (f"{ETC}/pool.d/a.conf", 0)


def test_a_main_file_that_cannot_be_read(tmp_path: Path) -> None:
    root = host(tmp_path, {f"{ETC}/x": ""})
    os.mkfifo(tmp_path / "etc/php/8.2/fpm/php-fpm.conf")
    with within(10):
        found = discover(root)
    assert found.writers == ()
    assert {problem.path for problem in found.problems} == {MAIN}


def test_names_that_are_not_utf_8(tmp_path: Path) -> None:
    text = os.fsdecode(b"[caf\xe9]\nuser=games\nchdir=/srv/\xff\naccess.log=/l/$pool\n")
    pool, master = _discover(tmp_path, text).writers
    assert os.fsencode(pool.mentions[0]) == b"/srv/\xff"
    assert os.fsencode(master.logs[1]) == b"/l/caf\xe9"
    assert pool.identity.id == r"php8.2-fpm:caf\xe9"
    assert pool.service == r"php-fpm:caf\xe9"


LONG = [
    "a=",
    "a ",
    "[",
    '"',
    '="',
    "='",
    "=${",
    "a[",
    "=$",
    "=(",
    "\n",
    "[a]\n",
    "a=b\n",
]


@pytest.mark.parametrize("part", LONG)
def test_a_long_file_takes_no_time(part: str, tmp_path: Path) -> None:
    with within(20):
        _discover(tmp_path, "[app]\nuser=" + part * (300_000 // len(part)))
