# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""logrotate's configuration: what is read is what the real logrotate reads."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._managers._logrotate_config import (
    Configuration,
    read,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._managers.rotations import (
    Said,
    dry_run,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._writers.files import (
    within,
)

ROUNDS = 3000
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
    *("prerotate\necho { \"\nendscript", "postrotate\n", "tabooext .x"),
    *("createolddir 0750 root adm", "noolddir", "/other", "# } comment", "%", "weekly 9"),
    *("nomissingok", "ignoreduplicates", "unknown", "unknown 5", "daily rotate 3"),
    *("\tcreate 0664 root root\r", "compressoptions '-9", "compressoptions -9", "mail x"),
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
    path.write_text(text.replace("@", str(place)), newline="")
    for old in (place / "more").iterdir():
        old.unlink()
    for name, content in more.items():
        (place / "more" / name.replace("_", ".")).write_text(
            content.replace("@", str(place)), newline=""
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
    parts = [a_stanza(chance) for _ in range(chance.randint(0, 3))]
    for _ in range(chance.choice((0, 0, 1, 2))):
        part = chance.choice(GLOBALS) + chance.choice(("\n", "\n\n", "\r\n"))
        parts.insert(chance.randint(0, len(parts)), part)
    return "".join(parts)


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_random_configurations_are_read_as_logrotate_reads_them(
    place: Path, seed: int
) -> None:
    chance = random.Random(seed)
    text = a_file(chance)
    more = {"one": a_file(chance), "two_bak": "@/c.log {\n}\n", "x_skipped": "%"}
    ours, theirs = configured(place, text, **more)
    if any("include in a stanza" in each.message for each in ours.problems):
        return  # what logrotate does then depends on its release
    assert considered(ours) == theirs.considered, text + "----\n" + more["one"]
    assert sorted(each.path for each in ours.duplicates) == sorted(theirs.duplicates)
    if theirs.errors:
        return
    assert not [each for each in ours.problems if "is ignored" not in each.message]
