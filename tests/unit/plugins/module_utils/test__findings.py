# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._access import (
    Verdict,
)
from ansible_collections.logward.permissions.plugins.module_utils._findings import (
    KINDS,
    Finding,
    Findings,
    described,
    explain,
)


def finding(code: str, path: str = "app.log", subject: str = "queue") -> Finding:
    return Finding(code, path, subject, "root:root 0644", "It is wrong")


def test_result() -> None:
    (result,) = _results(finding("writer_denied"))
    assert result == {
        "code": "writer_denied",
        "severity": "error",
        "path": "app.log",
        "subject": "queue",
        "evidence": "root:root 0644",
        "message": "It is wrong",
        "remedy": KINDS["writer_denied"].remedy,
    }


def test_remedy_of_its_own() -> None:
    own = Finding("writer_denied", "", "", "", "", remedy="remount it")
    assert own.result(1)["remedy"] == "remount it"


def _results(*found: Finding) -> list[dict[str, Any]]:
    findings = Findings()
    for each in found:
        findings.add(each)
    return findings.results()


def test_what_is_alike_is_one_finding_and_counted() -> None:
    results = _results(
        finding("writer_denied", "a.log"),
        finding("writer_denied", "b.log"),
        finding("writer_denied", "c.log", subject="cron"),
        *[finding("hard_link", f"{number}") for number in range(1001)],
    )
    assert [(each["path"], each["subject"], each["message"]) for each in results] == [
        ("a.log", "queue", "It is wrong (and 1 more alike)"),
        ("c.log", "cron", "It is wrong"),
        ("0", "queue", "It is wrong (and 1,000 more alike)"),
    ]


def test_errors_come_first_whatever_was_found_first() -> None:
    codes = list(KINDS)
    results = _results(*[finding(code) for code in reversed(codes)])
    severities = [each["severity"] for each in results]
    assert severities == sorted(severities, key=["error", "warning", "info"].index)
    assert {each["code"] for each in results} == set(codes)
    errors = [each["code"] for each in results if each["severity"] == "error"]
    assert errors == [code for code in codes if KINDS[code].severity == "error"]


@pytest.mark.parametrize("code", KINDS)
def test_only_errors_make_a_directory_wrong(code: str) -> None:
    findings = Findings()
    assert not findings.has_errors
    findings.add(finding(code))
    assert findings.has_errors is (KINDS[code].severity == "error")


EXPLANATIONS = {
    "granted_owner": "he can read it: he owns it, and the owner has rw-",
    "granted_named_user": "he can read it: the ACL names he with rw-",
    "granted_group": "he can read it: he is in a group that has rw-",
    "granted_other": "he can read it: he falls to other, which has rw-",
    "granted_capability": (
        "he can read it: he holds a capability that overrides permissions"
    ),
    "denied_search": "he cannot read it: he may not enter /a\\nb, where it has rw-",
    "denied_create": "he cannot read it: he has rw- on the directory, and needs -wx",
    "denied_owner": "he cannot read it: he owns it, and the owner has rw-",
    "denied_named_user": "he cannot read it: the ACL names he with rw-",
    "denied_group": "he cannot read it: he falls to its group, which has rw-",
    "denied_mask": "he cannot read it: the ACL's mask leaves he rw-",
    "denied_other": "he cannot read it: he falls to other, which has rw-",
    "denied_sticky": (
        "he cannot read it: the directory is sticky and the file is somebody else's"
    ),
    "denied_read_only": "he cannot read it: the file system is mounted read-only",
    "denied_immutable": "he cannot read it: it is immutable (chattr +i)",
    "denied_not_regular": "he cannot read it: it is not a regular file",
    "denied_sandbox": "he cannot read it: the sandbox of its service hides it",
    "unknown_acl": (
        "he can perhaps read it: an ACL that decides is too long to be looked at"
    ),
    "unknown_lsm": (
        "he can perhaps read it: the permissions let it, and hides it may deny it"
    ),
}


@pytest.mark.parametrize("reason", EXPLANATIONS)
def test_explanation(reason: str) -> None:
    allowed = None if reason.startswith("unknown") else reason.startswith("granted")
    verdict = Verdict(allowed, reason, 6, "/a\nb", "hides it")
    assert explain("he", "read", "it", verdict) == EXPLANATIONS[reason]


def test_append_is_a_verb_with_to() -> None:
    verdict = Verdict(True, "granted_other", 2)
    assert explain("he", "append", "it", verdict).startswith("he can append to it: ")


def test_described() -> None:
    assert described("root", "adm", 0o640) == "root:adm 0640"
    assert described("root", "adm", 0o640, "cron") == "created by cron as root:adm 0640"
