# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""logrotate's configuration: what is read is what the real logrotate reads."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._managers._logrotate_conf import (
    Configuration,
    read,
)
from ansible_collections.logward.permissions.plugins.module_utils._managers._stanza import (
    NewFile,
    Place,
    Settings,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._managers.said import (
    OLD,
    Said,
    dry_run,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._writers.files import (
    within,
)

ROUNDS = 400
#: Pieces of configurations, good ones and all mistakes that logrotate knows.
GLOBALS = (
    *("weekly", "daily", "create", "create 0640 root adm", "rotate 4", "missingok"),
    *("tabooext + .skipped", "compress", "nocreate", "su root adm", "# comment"),
    *("dateformat -%Y", "rotate", "rotate x", "create 0640 nobody-here adm", "hourlyx"),
    *("size 10k", "size 10x", "include @/more", "unknown 5", "compress nocreate", "}"),
    *("olddir @/old", "create 0600", "weekly 9", "weekly 3", "tabooext", "missingok="),
    *("include @/none", "mail a b", "su root", "rotate -1", "rotate 010", "start 08"),
)
DIRECTIVES = (
    *("daily", "create 0640 www-data adm", "create 0600", "create www-data adm"),
    *("create", "nocreate", "su root adm", "su www-data www-data", "su root"),
    *("su nobody-here adm", "copytruncate", "copy", "renamecopy", "missingok"),
    *("rotate 7", "rotate x", "rotate", "rotate=3", "rotate = 3 ", "size 1M", "size"),
    *("compress", "delaycompress", "postrotate\n  echo }\n endscript", "olddir old"),
    *('prerotate\necho { "\nendscript', "postrotate\n", "tabooext .x"),
    *(
        "createolddir 0750 root adm",
        "noolddir",
        "/other",
        "# } comment",
        "%",
        "weekly 9",
    ),
    *("nomissingok", "ignoreduplicates", "unknown", "unknown 5", "daily rotate 3"),
    *(
        "\tcreate 0664 root root\r",
        "compressoptions '-9",
        "compressoptions -9",
        "mail x",
    ),
    *(f"rotate {'9' * 5000}", f"weekly {'0' * 5000}", f"weekly {'9' * 5000}"),
    *("extension .log", "shredcycles 2", "shredcycles -2", "  }", "weekly", "yearly"),
)
NAMES = (
    *("@/a.log", "@/*.log", '"@/with blank.log"', "@/none.log", "@/none*.log", "@/sub"),
    *("@/[ab].log", "@/b.log @/a.log", "'@/c.log'", "@/b.log\n# a comment {\n@/c.log"),
    *("@/esc\\ aped", "@/sub/*", "@/.hidden*", "@/.hidden.log"),
)
ENDS = ("\n}\n", "\n}\n", "\n}\n", "\n}\n", "\n} text\n", "\n  }\n", "\n", "}\n", "\n}")


@pytest.fixture
def place(site: Path) -> Path:
    """Logs, some of them in a directory, and a directory of configuration."""
    for name in ("a.log", "b.log", "c.log", "with blank.log", ".hidden.log", "sub/d"):
        path = site / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x\n")
    (site / "old").mkdir()
    (site / "more").mkdir()
    return site


def configured(place: Path, text: str, **more: str) -> tuple[Configuration, Said]:
    """Return what we and logrotate make of a configuration."""
    path = place / "logrotate.conf"
    path.write_bytes(text.replace("@", str(place)).encode())
    for old in (place / "more").iterdir():
        old.unlink()
    for name, content in more.items():
        (place / "more" / name.replace("_", ".")).write_bytes(
            content.replace("@", str(place)).encode()
        )
    os.chmod(path, 0o644)
    return read("/", str(path)), dry_run(path, place / "state")


def considered(configuration: Configuration) -> tuple[str, ...]:
    return tuple(path for each in configuration.stanzas for path in each.files)


def created(configuration: Configuration) -> dict[str, tuple[int, int, int]]:
    """Return mode, uid and gid of each file that would be created now."""
    found = {}
    for stanza in configuration.stanzas:
        settings = stanza.settings
        for path in stanza.files if settings.create and settings.replaces else ():
            if os.path.isfile(path):
                old, new = os.stat(path), settings.new_file
                found[path] = (
                    old.st_mode & 0o777 if new.mode is None else new.mode,
                    old.st_uid if new.uid is None else new.uid,
                    old.st_gid if new.gid is None else new.gid,
                )
    return found


def a_stanza(chance: random.Random) -> str:
    names = " ".join(chance.choices(NAMES, k=chance.choice((1, 1, 1, 2))))
    body = "\n".join(chance.choices(DIRECTIVES, k=chance.randint(0, 4)))
    before_brace = chance.choice((" {\n", "\n{\n", "{\n", " { ", "\n", "{\n\n"))
    return names + before_brace + body + chance.choice(ENDS)


def a_file(chance: random.Random) -> str:
    parts = [a_stanza(chance) for _case in range(chance.randint(0, 3))]
    for _case in range(chance.choice((0, 0, 1, 2))):
        part = chance.choice(GLOBALS) + chance.choice(("\n", "\n\n", "\r\n"))
        parts.insert(chance.randint(0, len(parts)), part)
    return "".join(parts)


def agree(place: Path, seed: int) -> None:
    """Have one random configuration read by both."""
    chance = random.Random(seed)  # noqa: S311
    text = a_file(chance)
    more = {"one": a_file(chance), "two_bak": "@/c.log {\n}\n", "x_skipped": "%"}
    ours, theirs = configured(place, text, **more)
    known = not any("include in a stanza" in each.message for each in ours.problems)
    # What it does then depends on its release, and so do old ones' mistakes.
    if not known or (OLD and theirs.errors):
        return
    both = f"seed {seed}: {text}----\n{more['one']}"
    assert considered(ours) == theirs.considered, both
    duplicates = sorted(each.path for each in ours.duplicates)
    assert duplicates == sorted(theirs.duplicates), both
    mine = created(ours)
    assert theirs.created == {path: mine.get(path) for path in theirs.created}, both
    if theirs.errors:
        assert ours.problems, both
    else:
        assert theirs.created == mine, both
        assert all("is ignored" in each.message for each in ours.problems), both


def test_random_configurations_are_read_as_logrotate_reads_them(place: Path) -> None:
    for seed in range(ROUNDS):
        agree(place, seed)


def one(place: Path, text: str) -> Settings:
    """Return the settings of the only stanza."""
    configuration, _said = configured(place, text)
    (stanza,) = configuration.stanzas
    assert not configuration.problems
    return stanza.settings


def test_what_a_stanza_inherits_and_sets(place: Path) -> None:
    settings = one(
        place,
        "compress\ncreate 0600 root adm\nsu root adm\n@/a.log {\n"
        " create\n daily rotate 3\n olddir old\n postrotate\n  chmod 1 }\n"
        " endscript\n}\ncopy\n",
    )
    assert settings.create
    assert settings.new_file == NewFile(0o600, 0, 4)
    assert (settings.su, settings.interval, settings.rotate) == ((0, 4), "daily", 3)
    assert (settings.compress, settings.copy, settings.olddir) == (True, False, "old")
    assert settings.scripts["postrotate"].text == "\n  chmod 1 }\n"
    assert settings.places["create"] == Place(str(place / "logrotate.conf"), 5)
    assert settings.places["su"].line == 3


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("@/a.log {\n create 0640 nobody-here adm\n}\n", 2, "user that this host"),
        ("@/a.log {\n create 0640 root no-group-here\n}\n", 2, "group that this"),
        ("@/a.log {\n create 0640 root\n}\n", 2, "a mode, or user and group"),
        ("@/a.log {\n create 0640 root adm x\n}\n", 2, "wrong number of values"),
        ("@/a.log {\n su root\n}\n", 2, "needs a user and a group"),
        ("@/a.log {\n}\n@/a.log {\n}\n", 3, "names"),
        ("@/a.log {\n rotate x\n}\n", 2, "not followed by a number"),
        ("@/a.log {\n daily", 0, ""),
        ("@/a.log\n", 2, "has no {"),
        ("\n}\n", 2, "without a { before"),
        ("@/a.log {\n postrotate\n true\n}\n", 5, "no endscript"),
        ("@/a.log {\n olddir none\n}\n", 3, "has no olddir"),
        ("@/no/a.log {\n olddir none\n}\n", 3, "has no directory"),
        ("@/a.log {\n include /etc/x\n}\n", 2, "include in a stanza"),
        ("include /etc/no-such-file\n", 1, "No such file"),
        ("include relative\n", 1, "not absolute"),
        ("@/a.log {\n\0}\n", 0, "NUL"),
    ],
)
def test_what_is_wrong_is_told(place: Path, text: str, line: int, reason: str) -> None:
    configuration, _said = configured(place, text)
    first = next(iter(configuration.problems), None)
    assert (
        (first.line, reason in first.message) == (line, True) if first else not reason
    )


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_what_others_could_have_written_is_ignored(place: Path, mode: int) -> None:
    more = place / "more" / "one"
    configured(place, "include @/more\n", one="@/a.log {\n}\n")
    more.chmod(mode)
    configuration = read("/", str(place / "logrotate.conf"))
    assert not configuration.stanzas
    assert "writable by group or others" in configuration.problems[0].message
    assert not dry_run(place / "logrotate.conf", place / "state").considered


def test_what_is_not_roots_is_ignored(place: Path) -> None:
    configured(place, "@/a.log {\n}\n")
    os.chown(place / "logrotate.conf", 64001, 0)
    configuration = read("/", str(place / "logrotate.conf"))
    assert not configuration.stanzas
    assert "not belong to root" in configuration.problems[0].message


def test_what_blocks_or_includes_itself(place: Path) -> None:
    with within(5):
        os.mkfifo(place / "more" / "fifo")
        configured(place, "include @/more\ninclude @/logrotate.conf\n")
        configuration = read("/", str(place / "logrotate.conf"))
    assert "too deep" in configuration.problems[-1].message


def test_a_host_without_logrotate(tmp_path: Path) -> None:
    assert read(str(tmp_path)) == Configuration()
