# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table of the audit: readable in 80 columns, whatever names there are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

TEMPLATE = Path("roles/audit/templates/access.txt.j2").resolve()
MOST = 66

NAMES = [
    "laravel-2026-11-23.log",
    "{{ 7 * 7 }}.log",
    "%d %s {% raw %}.log",
    "'single' quotes.log",
    '"double" quotes.log',
    "a: blank after a colon #2.log",
    "-dash.log",
    "@at.log",
    "backslash\\n.log",
    "archive/2026/of/many/directories/laravel-2026-11-23.log",
]


def row(identity: str, operation: str) -> dict[str, Any]:
    return {"identity": identity, "operation": operation, "allowed": True}


def directory(names: list[str], ids: list[str], **more: Any) -> dict[str, Any]:
    access = [row(each, operation) for each in ids for operation in ("read", "append")]
    return {
        "path": "/srv/logs",
        "owner": "www-data",
        "group": "adm",
        "mode": "2775",
        "filesystem": {"type": "ext4"},
        "totals": {"files": len(names)},
        "identities": [{"id": each} for each in ids],
        "files": [{"path": name, "access": access} for name in names],
        "next_file": [
            {"creator": each, "allowed": True, "access": access} for each in ids
        ],
        "findings": [],
        **more,
    }


def lines(*directories: dict[str, Any], **more: Any) -> list[str]:
    """Render the template as the role does."""
    # Once the controller's side of Ansible is imported, modules that are run in
    # the same process read and print JSON as it does: not while tests are found.
    from ansible.parsing.dataloader import DataLoader  # noqa: PLC0415
    from ansible.template import Templar, trust_as_template  # noqa: PLC0415

    audit = {"directories": list(directories), **more}
    templar = Templar(DataLoader(), variables={"logward_audit": audit})
    template = trust_as_template(TEMPLATE.read_text(encoding="utf-8"))
    text = templar.template(template, escape_backslashes=False)
    return [line.strip() for line in text.splitlines()]


def columns(line: str) -> list[int]:
    """Where the columns of the identities begin, after the 30 for the name."""
    return [each.start() for each in re.finditer(r"(?<= )\S", line[30:])]


@pytest.mark.parametrize("name", NAMES)
def test_no_name_shifts_the_columns(name: str) -> None:
    shown = lines(directory([name], ["www-data", "queue", "root"]))
    head, file = shown[2], shown[3]
    assert columns(head) == columns(file) == [1, 10, 16]
    dumped = yaml.safe_dump(shown, allow_unicode=True, width=80)
    assert f"- {head}\n- {file}\n" in dumped


def test_what_a_security_module_decides_is_a_question_mark() -> None:
    confined = directory(NAMES[:1], ["root", "queue"])
    (reads, appends, *_more) = confined["files"][0]["access"]
    reads["allowed"], appends["allowed"] = None, False
    confined["next_file"][0]["allowed"] = None
    _head, _about, _columns, file, next_file, *_rest = lines(confined)
    assert file.split()[1:] == ["?-", "rw"]
    assert next_file.split()[-2:] == ["?-", "rw"]
    confined["next_file"][0]["allowed"] = False
    assert lines(confined)[4].endswith("cannot be created")


def test_a_long_path_keeps_its_end() -> None:
    assert lines(directory(NAMES[-1:], ["root"]))[3].startswith("archive/20...el-2026-")


def test_many_identities_get_several_blocks() -> None:
    ids = [f"application-{number}" for number in range(7)]
    shown = lines(directory(NAMES[:1], [*ids, "process:php:" + "x" * 80]))
    heads = [line for line in shown if line.startswith("who can")]
    assert [head.count("application-") for head in heads] == [2, 2, 2, 1, 0]
    assert sum(line.startswith("laravel") for line in shown) == len(heads)
    assert max(map(len, shown)) <= MOST
    assert "" not in shown


def test_a_finding_says_where() -> None:
    findings = [
        {
            "code": "writer_denied",
            "severity": "error",
            "path": path,
            "message": f"queue cannot append to {message}",
            "remedy": "run the remediate playbook",
        }
        for path, message in [
            ("a.log", "a.log"),
            ("/srv", "the next file"),
            (directory([], [])["path"], "the next file"),
        ]
    ]
    assert lines(directory([], ["root"], findings=findings))[-4:] == [
        "ERROR queue cannot append to a.log",
        "ERROR /srv\u00a0- queue cannot append to the next file",
        "ERROR queue cannot append to the next file",
        "TO DO run the remediate playbook",
    ]


def test_a_directory_that_may_not_be_read_says_why() -> None:
    finding = {
        "code": "directory_unreadable",
        "severity": "error",
        "path": "/srv/logs",
        "message": "nobody may not read it",
        "remedy": "set become: true",
    }
    assert lines({"path": "/srv/logs", "findings": [finding]}) == [
        "/srv/logs",
        "ERROR nobody may not read it",
        "TO DO set become: true",
    ]


def test_a_missing_directory_is_skipped() -> None:
    missing = {"path": "/nowhere", "findings": [{"code": "missing_directory"}]}
    assert lines(missing) == ["/nowhere", "does not exist, skipped"]


def found(message: str, remedy: str) -> list[str]:
    finding = {
        "code": "writer_denied",
        "severity": "error",
        "path": "/srv/logs",
        "message": message,
        "remedy": remedy,
    }
    return lines({"path": "/srv/logs", "findings": [finding]})[1:]


def test_no_line_begins_with_a_dash_which_yaml_would_quote() -> None:
    for length in range(1, MOST):
        shown = found(f"{'x' * length}: the sandbox hides it", "restart it")
        assert not [line for line in shown if line.startswith("-")]
        assert max(map(len, shown)) <= MOST


def test_a_command_is_not_broken_within_a_word() -> None:
    for length in range(1, MOST):
        shown = found("no", f"{'x' * length} systemctl daemon-reload")
        assert "daemon-reload" in shown[-1]


def test_a_creator_is_told_by_what_is_its_own() -> None:
    ids = ["process:php:queue", "process:python3:queue", "systemd:agent.service"]
    shown = [line[:30] for line in lines(directory([], ids)) if "created" in line]
    assert [line.split()[-1] for line in shown[:3]] == [
        "php:queue",
        "python3:queue",
        "agent.service",
    ]


def test_a_problem_has_a_line_where_there_is_one() -> None:
    warning = {"severity": "warning"}
    problems = [
        {"path": "/etc/crontab", "line": 7, "message": "no time", **warning},
        {"path": "/proc", "line": 0, "message": "may not be seen", **warning},
    ]
    assert lines(problems=problems)[-2:] == [
        "WARNING /etc/crontab line 7\u00a0- no time",
        "WARNING /proc\u00a0- may not be seen",
    ]


def test_conflicts_are_readable_in_80_columns() -> None:
    ids = ["www-data", "queue"]
    where = "/etc/logrotate.d/payments-of-the-application-with-a-long-name line 1"
    conflict = {
        "code": "logrotate_locks_out",
        "severity": "error",
        "path": "/srv/logs",
        "message": (
            "At 00:00 each day (logrotate.timer), queue cannot append to the new "
            "laravel.log that logrotate makes (www-data:adm 0640): the ACL's mask "
            "leaves queue r--"
        ),
        "remedy": f"say `create 0660 www-data adm` in {where}",
    }
    audit = directory(["laravel.log"], ids, findings=[conflict])
    access = audit["next_file"][0]["access"][:1]
    manager = {"creator": "manager:logrotate", "allowed": True, "access": access}
    audit["next_file"].append(manager)
    shown = lines(audit)
    assert max(map(len, shown)) <= MOST
    assert "next, created by logrotate     r-       --" in shown
    assert any(each.startswith("ERROR At 00:00 each day") for each in shown)
    assert any(each.startswith("TO DO say `create 0660") for each in shown)
