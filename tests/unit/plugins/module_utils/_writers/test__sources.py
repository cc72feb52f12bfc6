# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever the source: who writes and is in no policy is told, and how it is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._access import (
    DIRECTORY,
    Inode,
)
from ansible_collections.logward.permissions.plugins.module_utils._acl import Acl
from ansible_collections.logward.permissions.plugins.module_utils._discover import (
    merged,
)
from ansible_collections.logward.permissions.plugins.module_utils._identity import (
    Identity,
)
from ansible_collections.logward.permissions.plugins.module_utils._policy import Policy
from ansible_collections.logward.permissions.plugins.module_utils._running import (
    root_findings,
    running_findings,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers import (
    _apache,
    _cron,
    _php_fpm,
    _supervisor,
    _systemd,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._source import (
    Found,
    Launch,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._writers.files import (
    host,
)

LOGS = "/srv/logs"
NOBODYS = Policy(LOGS, (Identity("app", "app", 64001, 64001, frozenset()),))
OPEN = Inode(DIRECTORY, 64001, 64001, 0, Acl(7, 7, 5))
CLOSED = Inode(DIRECTORY, 0, 0, 0, Acl(7, 5, 5))
UNITS = "/etc/systemd/system"
PROGRAM = "[program:{}]\nuser=www-data\ncommand=sh -c 'exec php a >> /srv/logs/{}'\n"
FILES = {
    "/etc/apache2/envvars": "umask 002\n",
    "/etc/apache2/apache2.conf": (
        "User www-data\nErrorLog /srv/logs/error.log\n"
        "php_value error_log /srv/logs/php.log\n"
    ),
    "/etc/php/8.2/fpm/php-fpm.conf": (
        "[global]\nerror_log = /srv/logs/fpm.log\n"
        "[www]\nuser = www-data\nphp_admin_value[error_log] = /srv/logs/pool.log\n"
    ),
    "/etc/supervisor/supervisord.conf": (
        "[supervisord]\nlogfile=/srv/logs/supervisord.log\n"
        + PROGRAM.format("queue", "q.log")
        + PROGRAM.format("mail", "m.log")
        + "umask=002\nnumprocs=2\nprocess_name=%(process_num)d\n"
        + PROGRAM.format("send", "s.log")
        + "[group:shop]\nprograms=send\n"
    ),
    "/etc/cron.d/report": "* * * * * root echo a >> /srv/logs/cron.log\n",
    f"{UNITS}/agent.service": (
        "[Service]\nUser=www-data\nStandardOutput=append:/srv/logs/out.log\n"
    ),
}
SHOWN = (
    "Id=agent.service\nLoadState=loaded\nActiveState=active\nMainPID=4711\n"
    f"User=www-data\nStandardOutput=append\nUMask=0022\nFragmentPath={UNITS}/agent.service"
)


@pytest.fixture
def found(tmp_path: Path) -> Found:
    root = host(tmp_path, FILES)
    parts = (
        _apache.discover(root),
        _cron.discover(root),
        _php_fpm.discover(root),
        _supervisor.discover(root),
        _systemd.discover(lambda _: SHOWN, root),
    )
    assert [each.problems for each in parts] == [()] * len(parts)
    return merged(parts)


def test_who_no_policy_names_is_told_with_its_service(found: Found) -> None:
    told = [
        (each.subject, each.evidence.partition(" writes ")[2])
        for each in running_findings(NOBODYS, found)
    ]
    assert told == [
        ("apache2", "/srv/logs/php.log"),
        ("apache2", "/srv/logs/error.log"),
        ("cron:/etc/cron.d/report:1", "/srv/logs/cron.log"),
        ("php-fpm:www", "/srv/logs/pool.log"),
        ("php-fpm", "/srv/logs/fpm.log"),
        ("supervisor:queue", "/srv/logs/q.log"),
        ("supervisor:mail", "/srv/logs/m.log"),
        ("supervisor:send", "/srv/logs/s.log"),
        ("supervisord", "/srv/logs/supervisord.log"),
        ("systemd:agent.service", "/srv/logs/out.log"),
    ]
    codes = {each.code for each in running_findings(NOBODYS, found)}
    assert codes == {"undeclared_writer"}


def test_root_where_others_create_is_told_with_its_service(found: Found) -> None:
    told = list(root_findings(NOBODYS, found, "", OPEN))
    assert {each.code for each in told} == {"root_writes_untrusted"}
    assert [(each.subject, each.evidence) for each in told] == [
        ("apache2", "/etc/apache2/apache2.conf:2 opens /srv/logs/error.log"),
        ("cron:/etc/cron.d/report:1", "/etc/cron.d/report:1 opens /srv/logs/cron.log"),
        ("php-fpm", "/etc/php/8.2/fpm/php-fpm.conf:2 opens /srv/logs/fpm.log"),
        (
            "supervisord",
            "/etc/supervisor/supervisord.conf:1 opens /srv/logs/supervisord.log",
        ),
        ("systemd:agent.service", f"{UNITS}/agent.service:3 opens /srv/logs/out.log"),
    ]
    assert list(root_findings(NOBODYS, found, "", CLOSED)) == []
    assert list(root_findings(NOBODYS, found, "below", OPEN)) == []
    root = Identity("root", "root", 0, 0, frozenset())
    declared = Policy(LOGS, (*NOBODYS.writers, root))
    assert list(root_findings(declared, found, "", OPEN)) == []


def test_how_running_processes_are_known_and_helped(found: Found) -> None:
    launches: dict[str, Launch] = {}
    for writer in found.writers:
        if writer.launch:
            launches.setdefault(writer.service, writer.launch)
    load = "systemctl daemon-reload && systemctl restart"
    assert {
        service: (
            each.unit,
            each.name or each.parent or each.pid,
            each.new_umask,
            each.new_groups,
            each.new_logs,
        )
        for service, each in launches.items()
    } == {
        "apache2": (
            "apache2.service",
            "apache2",
            "systemctl restart apache2",
            "systemctl reload apache2",
            "systemctl reload apache2",
        ),
        "php-fpm:www": (
            "php8.2-fpm.service",
            "php-fpm8.2",
            f"{load} php8.2-fpm",
            "systemctl reload php8.2-fpm",
            "systemctl reload php8.2-fpm",
        ),
        "php-fpm": (
            "php8.2-fpm.service",
            "php-fpm8.2",
            f"{load} php8.2-fpm",
            "systemctl reload php8.2-fpm",
            "systemctl reload php8.2-fpm",
        ),
        "supervisor:queue": (
            "supervisor.service",
            "supervisord",
            f"{load} supervisor",
            "supervisorctl restart queue",
            "supervisorctl restart queue",
        ),
        "supervisor:mail": (
            "supervisor.service",
            "supervisord",
            "supervisorctl update mail",
            "supervisorctl restart 'mail:*'",
            "supervisorctl restart 'mail:*'",
        ),
        "supervisor:send": (
            "supervisor.service",
            "supervisord",
            f"{load} supervisor",
            "supervisorctl restart shop:send",
            "supervisorctl restart shop:send",
        ),
        "supervisord": (
            "supervisor.service",
            "supervisord",
            f"{load} supervisor",
            f"{load} supervisor",
            "systemctl kill --kill-who=main --signal=USR2 supervisor.service",
        ),
        "systemd:agent.service": (
            "agent.service",
            4711,
            "systemctl restart agent.service",
            "systemctl restart agent.service",
            "systemctl restart agent.service",
        ),
    }
    assert "/etc/apache2/envvars" in launches["apache2"].files
    assert f"{UNITS}/agent.service" in launches["systemd:agent.service"].files
    assert "/etc/supervisor/supervisord.conf" in launches["supervisor:queue"].files
