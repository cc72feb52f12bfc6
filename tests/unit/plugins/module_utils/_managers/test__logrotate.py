# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the audit says of logrotate: whom, when, and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._access import Inode
from ansible_collections.logward.permissions.plugins.module_utils._findings import (
    Finding,
)
from ansible_collections.logward.permissions.plugins.module_utils._managers import (
    _table,
)
from ansible_collections.logward.permissions.plugins.module_utils._managers._conflicts import (
    coming_names,
)
from ansible_collections.logward.permissions.plugins.module_utils._managers._host import (
    Host,
)
from ansible_collections.logward.permissions.plugins.module_utils._managers._logrotate import (
    read,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._managers.logs import (
    LOG,
    PLAIN,
    PLAIN_LOG,
    REPAIRED,
    logs_at,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._writers.files import (
    host,
)

LOGS = "/srv/app/logs"
CREATE = "create 0640 www-data adm"


def findings(
    root: Path, body: str, before: Inode = REPAIRED, log: Inode = LOG
) -> list[Finding]:
    files = {
        "/etc/logrotate.conf": f"{LOGS}/*.log {{\n{body}\n}}\n",
        f"{LOGS}/app.log": "",
    }
    manager = read(Host(host(root, files)))
    return list(manager.answer(logs_at(LOGS, before, log=log)).findings)


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        (CREATE, ["logrotate_insecure"]),
        ("su root root\ncreate", []),
        ("su root root\ncreate 0660 www-data adm", []),
        (f"su root root\n{CREATE}", ["logrotate_locks_out"]),
        (f"su www-data www-data\n{CREATE}", ["logrotate_locks_out"]),
        ("su www-data www-data\nnocreate", []),
        (f"su root root\ncopytruncate\n{CREATE}", []),
        ("su daemon daemon\ncreate", ["logrotate_su_denied"]),
        ("su nobody-here adm\ncreate", []),  # that stanza is skipped
    ],
)
def test_of_a_repaired_directory(tmp_path: Path, body: str, codes: list[str]) -> None:
    assert [each.code for each in findings(tmp_path, body)] == codes


def test_before_the_repair_the_next_rotation_locks_out(tmp_path: Path) -> None:
    found = findings(tmp_path, "create", PLAIN, PLAIN_LOG)
    assert [each.code for each in found] == [
        "logrotate_insecure",
        "logrotate_locks_out",
    ]
    insecure, locks_out = found
    assert "will refuse, once the directory is repaired," in insecure.message
    assert locks_out.message == (
        "When logrotate runs next, games cannot append to the new app.log that "
        "logrotate makes (www-data:www-data 0644), unless it is repaired before: games "
        "falls to other, which has r--"
    )
    assert locks_out.remedy is None  # the code's own: run remediate


def test_the_remedies_are_lines_to_paste(tmp_path: Path) -> None:
    (insecure,) = findings(tmp_path, CREATE)
    where = "/etc/logrotate.conf line 1 (the module logrotate_stanza does)"
    assert insecure.remedy == (
        f"say `su www-data www-data` and `create 0660 www-data adm` in {where}"
    )
    (locks_out,) = findings(tmp_path, f"su root root\n{CREATE}")
    assert locks_out.remedy == f"say `create 0660 www-data adm` in {where}"
    assert locks_out.evidence == "/etc/logrotate.conf line 3: www-data:adm 0640"


def test_duplicates_are_told_where_they_matter(tmp_path: Path) -> None:
    text = f"{LOGS}/app.log {{\n}}\n{LOGS}/*.log {{\n}}\n/x {{\n}}\n/x {{\n}}\n"
    files = {"/etc/logrotate.conf": text, f"{LOGS}/app.log": ""}
    manager = read(Host(host(tmp_path, files)))
    found = manager.answer(logs_at(LOGS)).findings
    told = [each for each in found if each.code == "logrotate_duplicate"]
    assert [each.subject for each in told] == [f"{LOGS}/app.log"]
    assert "line 1 already has" in told[0].message
    assert len(manager.problems) == 2


def test_names_of_tomorrow() -> None:
    noon = 1795953600.0  # 2026-11-29
    names = ("laravel-2026-11-29.log", "app.log", "x_20261128.txt", "a-2026.11.01")
    assert coming_names(names, noon) == (
        "laravel-2026-11-30.log",
        "x_20261130.txt",
        "a-2026.11.30",
    )


def test_all_managers_of_a_bare_host(tmp_path: Path) -> None:
    managers = _table.read_managers(str(tmp_path))
    assert len(managers.all) == len(_table.MANAGERS)
    assert not managers.problems
    answer = managers.answer(logs_at(LOGS))
    assert (answer.findings, answer.files, answer.problems) == ((), (), ())


def test_what_may_not_be_read_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_host: Host) -> None:
        raise PermissionError(13, "Permission denied", "/etc/logrotate.conf")

    monkeypatch.setattr(_table, "MANAGERS", (refused,))
    managers = _table.read_managers(str(tmp_path))
    (problem,) = managers.problems
    assert problem.path == "/etc/logrotate.conf"
    assert not managers.answer(logs_at(LOGS)).findings
