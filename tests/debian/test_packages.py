# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""All parsers read what Debian's packages install, as the programs themselves do."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._managers._conflicts import (
    Managers,
)
from ansible_collections.logward.permissions.plugins.module_utils._managers._logrotate_conf import (
    Configuration,
    read,
)
from ansible_collections.logward.permissions.plugins.module_utils._managers._rotation import (
    is_insecure,
    refused,
    rotator,
)
from ansible_collections.logward.permissions.plugins.module_utils._managers._table import (
    read_managers,
)
from ansible_collections.logward.permissions.plugins.module_utils._managers._tmpfiles_conf import (
    files,
)
from ansible_collections.logward.permissions.plugins.module_utils._managers._tmpfiles_conf import (
    read as read_tmpfiles,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers import (
    _apache,
    _cron,
    _php_fpm,
    _supervisor,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._unit_files import (
    parse,
)
from ansible_collections.logward.permissions.tests.unit.kernel import (
    observe,
    observe_place,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._managers.said import (
    Said,
    dry_run,
)

RSYSLOG = ("syslog", "mail.log", "kern.log", "auth.log", "user.log", "cron.log")
MYSQL = "/var/lib/mysql"
#: What each package has logrotate do: patterns, mode, owner and group, and su.
STANZAS = {
    "apache2": ("/var/log/apache2/*.log", "0640 root adm", None),
    "exim4-base": ("/var/log/exim4/mainlog /var/log/exim4/rejectlog", None, None),
    "fail2ban": ("/var/log/fail2ban.log", "0640 root adm", None),
    "mariadb": (
        f"{MYSQL}/mysqld.log {MYSQL}/mariadb.log /var/log/mysql/*.log",
        None,
        None,
    ),
    "nginx": ("/var/log/nginx/*.log", "0640 www-data adm", None),
    "php-fpm": ("/var/log/php-fpm.log", None, None),
    "postgresql-common": ("/var/log/postgresql/*.log", None, "root root"),
    "redis-server": ("/var/log/redis/redis-server*.log", None, None),
    "rsyslog": (
        " ".join(f"/var/log/{each}" for each in RSYSLOG),
        None,
        None,
    ),
}


@pytest.fixture(scope="module")
def logs(root: Path) -> list[str]:
    """A log for each name or pattern in the packages' stanzas, as it would be."""
    assert root.is_dir()
    made = []
    for stanza in read("/").stanzas:
        for pattern in stanza.patterns:
            path = pattern.replace("*", "x")
            if not path.startswith("/var/log/"):
                continue
            directory = Path(path).parent
            directory.mkdir(exist_ok=True)
            Path(path).write_text("a line\n")
            Path(path).chmod(0o640)
            status = directory.stat()
            os.chown(path, status.st_uid, status.st_gid)
            made.append(path)
    assert len(made) > 15
    return made


def configurations(root: Path) -> list[str]:
    return [f"/etc/logrotate.d/{each}" for each in os.listdir(root / "etc/logrotate.d")]


def created(configuration: Configuration) -> dict[str, tuple[int, int, int]]:
    """Return mode, uid and gid of what logrotate will create, if it may."""
    found = {}
    for stanza in configuration.stanzas:
        settings, new = stanza.settings, stanza.settings.new_file
        for path in stanza.files if settings.create and settings.replaces else ():
            if not os.path.exists(path):
                continue
            place, _none = observe_place(os.path.dirname(path))
            log = observe(path)
            insecure = settings.su is None and is_insecure(place.inode)
            if insecure or refused(rotator(settings), settings, place, log):
                continue
            found[path] = (
                log.mode & 0o777 if new.mode is None else new.mode,
                log.uid if new.uid is None else new.uid,
                log.gid if new.gid is None else new.gid,
            )
    return found


def insecure(configuration: Configuration) -> set[str]:
    return {
        path
        for stanza in configuration.stanzas
        for path in stanza.files
        if stanza.settings.su is None
        and os.path.isdir(os.path.dirname(path))
        and is_insecure(observe_place(os.path.dirname(path))[0].inode)
    }


def agree(ours: Configuration, theirs: Said) -> None:
    files = tuple(path for each in ours.stanzas for path in each.files)
    assert files == theirs.considered
    assert created(ours) == theirs.created
    assert insecure(ours) == theirs.insecure
    assert not theirs.errors
    assert not ours.problems


def test_logrotate_agrees_on_all_at_once(
    root: Path, logs: list[str], tmp_path: Path
) -> None:
    ours = read("/")
    agree(ours, dry_run("/etc/logrotate.conf", tmp_path / "state"))
    assert created(ours)
    considered = {path for each in ours.stanzas for path in each.files}
    assert considered >= set(logs)
    assert len(ours.stanzas) >= len(configurations(root))


def test_logrotate_agrees_on_each(root: Path, logs: list[str], tmp_path: Path) -> None:
    assert logs
    for path in configurations(root):
        agree(read("/", path), dry_run(path, tmp_path / "state"))


def test_logrotate_agrees_where_directories_are_open(
    root: Path, logs: list[str], tmp_path: Path
) -> None:
    """What a repair does to them: then logrotate refuses all but postgresql's."""
    assert logs
    directories = [root / "var/log/nginx", root / "var/log/redis"]
    modes = [each.stat().st_mode for each in directories]
    for each in directories:
        subprocess.run(["setfacl", "-m", "u:games:rwx", each], check=True)
    try:
        ours = read("/")
        theirs = dry_run("/etc/logrotate.conf", tmp_path / "state")
        agree(ours, theirs)
        assert {os.path.dirname(each) for each in theirs.insecure} >= {
            "/var/log/nginx",
            "/var/log/redis",
        }
    finally:
        for each, mode in zip(directories, modes):
            subprocess.run(["setfacl", "-b", each], check=True)
            each.chmod(mode & 0o7777)


@pytest.mark.parametrize("name", STANZAS)
def test_what_the_packages_say(root: Path, name: str) -> None:
    assert root.is_dir()
    patterns, create, su = STANZAS[name]
    if name == "php-fpm":  # the release's own
        (path,) = (root / "etc/logrotate.d").glob("php*-fpm")
        name, patterns = path.name, f"/var/log/{path.name}.log"
    stanza = read("/", f"/etc/logrotate.d/{name}").stanzas[0]
    assert " ".join(stanza.patterns) == patterns
    settings = stanza.settings
    lines = Path(f"/etc/logrotate.d/{name}").read_text().split("\n")
    for word, wanted in (("create", create), ("su", su)):
        if wanted is None:
            assert word not in settings.places
        else:
            line = lines[settings.places[word].line - 1].split()
            assert line[0] == word
            assert line[-2:] == wanted.split()[-2:]
    if create is not None:
        assert settings.new_file.mode == int(create.split()[0], 8)


def test_tmpfiles(root: Path) -> None:
    said = subprocess.run(
        ["systemd-tmpfiles", f"--root={root}", "--cat-config"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    theirs = re.findall(r"^# (/.*\.conf)$", said, re.MULTILINE)
    assert [f"{root}{path}" for path in files(str(root))] == theirs
    lines, problems = read_tmpfiles(str(root))
    assert not problems
    mariadb = [each for each in lines if each.path == "/run/mysqld"]
    assert [(each.kind, each.mode, each.gid) for each in mariadb] == [("d", 0o755, 0)]
    assert len(lines) > 60


def test_units(root: Path) -> None:
    units = [
        path
        for place in ("lib/systemd/system", "usr/lib/systemd/system")
        for path in sorted((root / place).glob("**/*.service"))
        if path.is_file()
    ]
    assert len(units) > 60
    for path in units:
        settings, problems = parse(path.read_text().split("\n"), str(path))
        assert not problems
        assert settings


def test_apache(root: Path) -> None:
    found = _apache.discover(str(root))
    assert not found.problems
    logs = {log for each in found.writers for log in each.logs}
    assert "/var/log/apache2/error.log" in logs
    assert "/var/log/apache2/access.log" in logs


def test_php_fpm(root: Path) -> None:
    found = _php_fpm.discover(str(root))
    assert not found.problems
    assert {each.identity.name for each in found.writers} >= {"root", "www-data"}


def test_supervisor(root: Path) -> None:
    found = _supervisor.discover(str(root))
    assert not found.problems
    logs = [log for each in found.writers for log in each.logs]
    assert logs == ["/var/log/supervisor/supervisord.log"]


def test_cron(root: Path) -> None:
    found = _cron.discover(str(root))
    assert not found.problems
    origins = {each.origin.rpartition(":")[0] for each in found.writers}
    assert {"/etc/crontab", "/etc/cron.d/php", "/etc/cron.daily/logrotate"} <= origins


def test_all_managers(root: Path) -> None:
    managers = read_managers(str(root))
    assert isinstance(managers, Managers)
    assert not managers.problems
