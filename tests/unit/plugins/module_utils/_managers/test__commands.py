# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that change permissions: what the real ones leave was predicted."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._access import (
    DIRECTORY,
    REGULAR,
)
from ansible_collections.logward.permissions.plugins.module_utils._fs import (
    same_permissions,
)
from ansible_collections.logward.permissions.plugins.module_utils._managers._commands import (
    Command,
    of_script,
)
from ansible_collections.logward.permissions.tests.unit.kernel import observe, put
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._managers.logs import (
    LOG,
    PLAIN,
    PLAIN_LOG,
    REPAIRED,
)

ROUNDS = 120
MODES = (
    *("0640", "755", "02775", "00755", "600", "u=rwX,g=rX,o=", "g-w", "o-rwx", "a+r"),
    *("ug=rw,o=r", "g+s", "g-s", "go=", "u+x", "g=rwx"),
)
SCRIPTS = (
    "chmod {mode} {logs}",
    "chmod -R {mode} {logs}",
    "chmod {mode} {logs}/*.log",
    "find {logs} -type f -exec chmod {mode} {{}} +",
    "find {logs} -type d -exec chmod {mode} {{}} \\;",
    "sh -c 'chmod {mode} {logs}'",
    "cd {logs} && chmod {mode} app.log",
    "chown games:adm {logs}",
    "chown -R games {logs}",
    "chgrp -R adm {logs}; chmod {mode} {logs}",
    "env X=1 nice -n 5 chmod {mode} {logs}",
    "install -d -m 0750 -o games -g adm {logs}",
)


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_the_real_commands_do_what_was_predicted(site: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    logs, log = site / "logs", site / "logs/app.log"
    put(str(logs), chance.choice((REPAIRED, PLAIN)))
    put(str(log), chance.choice((LOG, PLAIN_LOG)))
    script = chance.choice(SCRIPTS).format(mode=chance.choice(MODES), logs=logs)
    wanted = {logs: observe(str(logs)), log: observe(str(log))}
    for command in of_script(script):
        for path, inode in wanted.items():
            if command.known and command.concerns(str(path), inode.kind):
                wanted[path] = command.applied(inode)
    subprocess.run(["bash", "-c", f"umask 022; {script}"], check=True)
    for path, inode in wanted.items():
        assert same_permissions(observe(str(path)), inode), (script, path, inode)


@pytest.mark.parametrize(
    ("script", "target"),
    [
        ("chmod 750 /srv/app/logs", "/srv/app/logs"),
        ("sudo -u root chmod 750 /srv/app/logs", "/srv/app/logs"),
        ("if true; then chmod 750 /srv/app/logs; fi", "/srv/app/logs"),
        ("/bin/chmod --recursive 750 /srv/app", "/srv/app"),
        ("setfacl -b /srv/app/logs", "/srv/app/logs"),
        ("setfacl -R -m u:x:r /srv/app", "/srv/app"),
        ("chmod --reference=/etc /srv/app", "/srv/app"),
        ("chown nobody-here /srv/app", "/srv/app"),
    ],
)
def test_what_is_found(script: str, target: str) -> None:
    (command,) = of_script(script)
    assert command.target == target
    assert command.known == ("750" in script)


@pytest.mark.parametrize(
    "script",
    [
        "# chmod 750 /srv/app/logs",
        "echo chmod 750 /srv/app/logs",
        "chmod 750 $LOGS",
        "chmod 750 relative; getfacl /srv",
        "setfacl /srv/app",
        "chmod",
        "find /srv -name x",
        "",
    ],
)
def test_what_is_no_change_that_can_be_told(script: str) -> None:
    assert [each for each in of_script(script) if each.target != "/relative"] == []


def test_what_a_command_is_about() -> None:
    tree = Command("chmod", "/srv/app/", recursive=True, kinds="f")
    assert tree.concerns("/srv/app/logs/a.log", REGULAR)
    assert not tree.concerns("/srv/app/logs", DIRECTORY)
    assert not tree.concerns("/srv/application/a.log", REGULAR)
    globbed = Command("chmod", "/srv/*/logs")
    assert globbed.concerns("/srv/app/logs", DIRECTORY)
    assert not globbed.concerns("/srv/app/x/logs", DIRECTORY)
