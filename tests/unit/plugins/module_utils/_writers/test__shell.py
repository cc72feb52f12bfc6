# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import shlex

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._writers import (
    _shell,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._shell import (
    Run,
    absolute_paths,
    merged,
    of_arguments,
    of_script,
)

PATHS: dict[str, tuple[str, list[str]]] = {
    "none": ("php artisan queue:work", []),
    "a word": ("/usr/bin/php /srv/app/artisan", ["/usr/bin/php", "/srv/app/artisan"]),
    "each once": ("/srv/a /srv/a/ /srv//a", ["/srv/a"]),
    "after an equals sign": ("--config=/etc/app.conf", ["/etc/app.conf"]),
    "in quotes": ("'/srv/a' \"/srv/b\"", ["/srv/a", "/srv/b"]),
    "in parentheses": ("(/srv/a);{/srv/b}", ["/srv/a", "/srv/b"]),
    "with an equals sign": ("/srv/a=b", ["/srv/a=b"]),
    "an address": ("https://user:secret@host/path //host/share", []),
    "a remote path": ("backup@host:/srv/app", []),
    "a list": ("PATH=/opt/a/bin:/opt/b/bin", ["/opt/a/bin"]),
    "within a word": ("s/a/b/ ab+/cd x/y ./z ../z ~/z $HOME/z", []),
    "a regular expression": ("/^#/d", []),
    "a glob": ("/srv/app/*.log /srv/a/b?", ["/srv/app", "/srv/a"]),
    "a variable": (
        "/srv/app/$NAME/x /srv/logs/app-$(date).log",
        ["/srv/app", "/srv/logs"],
    ),
    "dots": ("/srv/app/../other/./x", ["/srv/other/x"]),
    "the root": ("/ /. /..", []),
    "no files": ("/dev/null /proc/self/fd/1 /sys/x /dev", []),
    "nearly no files": ("/device/x", ["/device/x"]),
    "NUL": ("/srv/a\0b /srv/c", ["/srv/c"]),
    "too long": ("/srv/" + "x" * 4096, []),
    "invalid UTF-8": ("/srv/caf\udce9/x", ["/srv/caf\udce9/x"]),
}


@pytest.mark.parametrize(("text", "paths"), PATHS.values(), ids=PATHS)
def test_absolute_paths(text: str, paths: list[str]) -> None:
    assert absolute_paths(text) == tuple(paths)


def run(*mentions: str, writes: tuple[str, ...] = (), **who: object) -> Run:
    return Run(writes=writes, mentions=mentions, **who)  # type: ignore[arg-type]


SCRIPTS: dict[str, tuple[str, list[Run]]] = {
    "nothing": ("", []),
    "names nothing": ("backup --all", []),
    "a scheduler": (
        "cd /srv/app && php artisan schedule:run >> /dev/null 2>&1",
        [run("/srv/app")],
    ),
    "appends": ("x >> /srv/a.log", [run(writes=("/srv/a.log",))]),
    "truncates": ("x>/srv/a.log", [run(writes=("/srv/a.log",))]),
    "clobbers": ("x >| /srv/a.log", [run(writes=("/srv/a.log",))]),
    "reads and writes": ("x <> /srv/a.log", [run(writes=("/srv/a.log",))]),
    "errors": ("x 2>> /srv/a.err", [run(writes=("/srv/a.err",))]),
    "both": ("x &> /srv/a.log", [run(writes=("/srv/a.log",))]),
    "both, appended": ("x &>>/srv/a.log", [run(writes=("/srv/a.log",))]),
    "both, as csh does": ("x >& /srv/a.log", [run(writes=("/srv/a.log",))]),
    "each once": ("x >/srv/a 2>/srv/a >/srv/b", [run(writes=("/srv/a", "/srv/b"))]),
    "a descriptor": ("x >&2 2>&1 2>&-", []),
    "reads": ("x < /srv/a", [run("/srv/a")]),
    "a here-document": ("x <<EOF", []),
    "a word that ends in a digit": ("x2>/srv/a", [run(writes=("/srv/a",))]),
    "quoted": ("x >> '/srv/my app/a.log'", [run(writes=("/srv/my app/a.log",))]),
    "quoted in parts": ('x >> /srv/"a b"/c\\ d', [run(writes=("/srv/a b/c d",))]),
    "an escape in quotes": ('x > "/srv/a\\"b\\c"', [run("/srv", writes=())]),
    "quoted operators": ("x '> /srv/a; > /srv/b'", [run("/srv/a", "/srv/b")]),
    "no redirection in a comment": ("x # > /srv/a", []),
    "no comment in a word": ("x a#b > /srv/a", [run(writes=("/srv/a",))]),
    "a name with a date": (
        "x >> /srv/logs/x-$(date +%F).log",
        [run("/srv/logs")],
    ),
    "a variable alone": ('x >> "$LOG"', []),
    "relative": (
        "cd /srv/app; x >> logs/a",
        [run("/srv/app", writes=("/srv/app/logs/a",))],
    ),
    "a name with a date in backquotes": (
        "x >> /srv/logs/x-`date +%F`.log",
        [run("/srv/logs")],
    ),
    "relative with a date": ("cd /srv; x > logs/`date`", [run("/srv", "/srv/logs")]),
    "relative in between": (
        "cd /srv/app; cd ../b || exit 1; x > a",
        [run("/srv/app", "/srv/b", writes=("/srv/b/a",))],
    ),
    "a directory with a space": (
        "cd '/srv/my app' && x > a",
        [run("/srv/my app", writes=("/srv/my app/a",))],
    ),
    "cd with an option": ("cd -P /srv/a; x > b", [run("/srv/a", writes=("/srv/a/b",))]),
    "arguments of a script": ("sh -c x /srv/a", [run("/srv/a")]),
    "home": ("cd; x > a; cd ~/b; x > c; cd $D; x > d", []),
    "a part of a directory": ("cd /srv/$X; x > a", [run("/srv")]),
    "lines": ("cd /srv\nx > a\n", [run("/srv", writes=("/srv/a",))]),
    "a line that goes on": ("x \\\n  > /srv/a", [run(writes=("/srv/a",))]),
    "a list of commands": (
        "if [ -x /usr/bin/x ]; then cd /srv && ! x >a; fi",
        [run("/usr/bin/x", "/srv", writes=("/srv/a",))],
    ),
    "prefixes": ("A=/srv/a exec env B=1 cd /srv/b", [run("/srv/a", "/srv/b")]),
    "tee": ("x | tee -a /srv/a b", [run(writes=("/srv/a", "/b"))]),
    "umask": (
        "x > /srv/a; umask 0002; x > /srv/b",
        [run(writes=("/srv/a",)), run(writes=("/srv/b",), umask=0o002)],
    ),
    "umask in words": ("umask g=rwx; x > /srv/a", [run(writes=("/srv/a",))]),
    "umask alone": ("umask; x > /srv/a", [run(writes=("/srv/a",))]),
    "sh": (
        "sh -c 'cd /srv/a; x > b'; y > c",
        [run("/srv/a", writes=("/srv/a/b", "/c"))],
    ),
    "a login shell": (
        '/bin/bash -lc "x > /srv/a"',
        [run("/bin/bash", writes=("/srv/a",))],
    ),
    "a shell in a shell": (
        """sh -c "sh -c 'x > /srv/a'" """,
        [run(writes=("/srv/a",))],
    ),
    "flock": (
        "flock -n /run/x.lock -c 'x > /srv/a'",
        [run("/run/x.lock", writes=("/srv/a",))],
    ),
    "no script": ("sh /srv/x -c", [run("/srv/x")]),
    "php's -c": ("php -c '/etc/php.ini > x'", [run("/etc/php.ini")]),
    "a script of su alone": ("x -c 'y > /srv/a'", [run("/srv/a")]),
    "unclosed quotes": ("x 'y > /srv/a", [run(writes=("/srv/a",))]),
    "an ampersand at the end": ("x > /srv/a &", [run(writes=("/srv/a",))]),
    "operators alone": ("&& || ; | & ( ) > >> 2> <", []),
    "NUL": ("x > /srv/a\0b", []),
    "a directory without end": ("cd a;" * 5000 + "x > b", []),
}


@pytest.mark.parametrize(("script", "runs"), SCRIPTS.values(), ids=SCRIPTS)
def test_scripts(script: str, runs: list[Run]) -> None:
    found = of_script(script)
    if script.startswith("cd a;"):
        found = tuple(each for each in found if each.writes)
    assert list(found) == runs


SWITCHES: dict[str, tuple[str, list[Run]]] = {
    "sudo": (
        "sudo -u www-data php /srv/x",
        [run("/srv/x", user="www-data", through="sudo")],
    ),
    "sudo, together": (
        "sudo -Hnuwww-data -- /srv/x",
        [run("/srv/x", user="www-data", through="sudo")],
    ),
    "sudo, long": (
        "/usr/bin/sudo --user=www-data /srv/x",
        [run("/srv/x", user="www-data", through="sudo")],
    ),
    "sudo, a number": (
        "sudo -u '#33' /srv/x",
        [run("/srv/x", user="33", through="sudo")],
    ),
    "sudo, root": ("sudo /srv/x", [run("/srv/x", user="root", through="sudo")]),
    "sudo -i": (
        "cd /srv; sudo -iu a sh -c 'x > y; x > /srv/z'",
        [
            run("/srv"),
            run(writes=("/srv/z",), user="a", through="sudo-i"),
        ],
    ),
    "sudo, an odd option": ("sudo --nonsense /srv/x", [run("/srv/x")]),
    "sudo, an odd user": ("sudo -u %x /srv/x", [run("/srv/x")]),
    "the outer shell writes": (
        "sudo -u a /srv/x >> /srv/y",
        [
            run(writes=("/srv/y",)),
            run("/srv/x", user="a", through="sudo"),
        ],
    ),
    "tee as root": (
        "x | sudo tee /srv/y",
        [
            run(writes=("/srv/y",), user="root", through="sudo"),
        ],
    ),
    "behind another command": (
        "flock -n /run/l sudo -u a /srv/x",
        [
            run("/srv/x", user="a", through="sudo"),
            run("/run/l"),
        ],
    ),
    "su": (
        "su -s /bin/sh -c 'x > /srv/a' www-data",
        [run(writes=("/srv/a",), user="www-data", through="su")],
    ),
    "su, the user first": (
        "su www-data -s /bin/sh -c 'x > /srv/a'",
        [run(writes=("/srv/a",), user="www-data", through="su")],
    ),
    "su, long": (
        "su --command='x > /srv/a' a",
        [run(writes=("/srv/a",), user="a", through="su")],
    ),
    "su -": (
        "cd /srv; su - a -c 'x > b; x > /srv/c'",
        [run("/srv"), run(writes=("/srv/c",), user="a", through="su-l")],
    ),
    "su -lc": (
        "su a -lc 'x > /srv/c'",
        [run(writes=("/srv/c",), user="a", through="su-l")],
    ),
    "su, root": (
        "su -c 'x > /srv/c'",
        [run(writes=("/srv/c",), user="root", through="su")],
    ),
    "su keeps the directory": (
        "cd /srv; su a -c 'x > b'",
        [run("/srv"), run(writes=("/srv/b",), user="a", through="su")],
    ),
    "runuser": (
        "runuser -u a -- /srv/x -c y",
        [run("/srv/x", user="a", through="runuser")],
    ),
    "runuser, as su": (
        "runuser -l a -c 'x > /srv/a'",
        [run(writes=("/srv/a",), user="a", through="runuser-l")],
    ),
    "umask before and in it": (
        "umask 077; su a -c 'umask 007; x > /srv/a'",
        [
            run(
                writes=("/srv/a",),
                user="a",
                through="su",
                umask=0o007,
                umask_before=0o077,
            )
        ],
    ),
    "one after the other": (
        "su a -c 'x > /srv/a'; x > /srv/b",
        [
            run(writes=("/srv/a",), user="a", through="su"),
            run(writes=("/srv/b",)),
        ],
    ),
    "a user that is none": ("grep su /srv/x/y", [run("/srv/x/y")]),
    "nothing to run": ("su a", []),
}


@pytest.mark.parametrize(("script", "runs"), SWITCHES.values(), ids=SWITCHES)
def test_other_users(script: str, runs: list[Run]) -> None:
    assert sorted(of_script(script), key=repr) == sorted(runs, key=repr)


def test_nesting_ends() -> None:
    script = "x > /srv/a"
    for _pass in range(6):
        script = f"sh -c {shlex.quote(script)}"
    assert of_script(script) == ()
    assert of_script("sh -c " * 10_000) == ()
    assert of_script("sudo " * 10_000 + "/srv/x") == ()


def test_no_shell_runs_these() -> None:
    words = ["/srv/x", "--log", "a.log", ">", "/srv/y", "&&", "cd", "/srv/z"]
    assert of_arguments(words, "/srv") == (run("/srv/x", "/srv/y", "/srv/z"),)
    assert of_arguments([]) == ()
    assert of_arguments(["sh", "-c", "x > a"], "/srv") == (run(writes=("/srv/a",)),)


def test_secrets_stay_where_they_are() -> None:
    script = (
        "MYSQL_PWD=s3cret mysqldump -ps3cret --password='s3cret word' app "
        "| curl -u me:s3cret -T - https://me:s3cret@host/s3cret >> /srv/a.log; "
        "sudo -u a x -p s3cret; sh -c 'x --token s3cret > /srv/b'; echo s3cret | tee"
    )
    runs = of_script(script)
    assert runs[0].writes == ("/srv/a.log", "/srv/b")
    assert "s3cret" not in repr(runs)


def test_merged() -> None:
    runs = [
        Run(),
        run("/srv/a", writes=("/srv/b",)),
        run("/srv/a", "/srv/c", writes=("/srv/d",)),
        run("/srv/a", user="a"),
    ]
    assert merged(runs) == (
        run("/srv/a", "/srv/c", writes=("/srv/b", "/srv/d")),
        run("/srv/a", user="a"),
    )
    assert merged([Run()]) == (Run(),)
    assert merged([]) == ()


def test_time_is_bounded() -> None:
    """Patterns that go back and forth would take hours for these."""
    for part in ('"', "'", "\\", "1", ">", "1>", "/a", "$(", "sh -c '", "a=", "{", "#"):
        text = part * (100_000 // len(part))
        of_script(text)
        absolute_paths(text)
    assert _shell.of_script("x > /srv/a" + " y" * 100_000) == (run(writes=("/srv/a",)),)
