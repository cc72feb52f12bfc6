# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import grp
import pwd
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.logward.permissions.plugins.module_utils import _predict
from ansible_collections.logward.permissions.plugins.module_utils._access import (
    DIRECTORY,
    REGULAR,
    SETGID,
    STICKY,
    Inode,
    Mount,
    Place,
)
from ansible_collections.logward.permissions.plugins.module_utils._acl import (
    Acl,
    from_mode,
)
from ansible_collections.logward.permissions.plugins.module_utils._findings import (
    Finding,
)
from ansible_collections.logward.permissions.plugins.module_utils._identity import (
    Identity,
    Sandboxed,
)
from ansible_collections.logward.permissions.plugins.module_utils._policy import Policy
from ansible_collections.logward.permissions.plugins.module_utils._predict import (
    AccessTable,
    access_to,
    finding_of,
    missing_directory,
    next_file_losses,
    next_files,
    place_findings,
)

ROOT, ROOT_GROUP = pwd.getpwuid(0).pw_name, grp.getgrgid(0).gr_name
WEB = Identity("web", "web", 64001, 64001, frozenset())
QUEUE = Identity("queue", "queue", 64002, 64002, frozenset())
AUDITOR = Identity("auditor", "auditor", 64005, 64005, frozenset({64001}))
READERS = Identity("@64003", "@64003", 98, 98, frozenset({64003}), is_group=True)
CRON = Identity(
    "root", "root", 0, 0, frozenset(), capabilities=frozenset({"cap_dac_override"})
)
TOP = Inode(DIRECTORY, 0, 0, 0, from_mode(0o755))
WRITABLE = Acl(7, 5, 5, 7, ((64001, 7), (64002, 7)))


def place(mode: int = 0o775, uid: int = 64001, **changes: Any) -> Place:
    """Return a log directory below /srv."""
    special = changes.pop("special", 0)
    protected_regular = changes.pop("protected_regular", 0)
    srv = changes.pop("srv", TOP)
    logs = Inode(DIRECTORY, uid, uid, special, from_mode(mode), **changes)
    return Place([("/", TOP), ("/srv", srv)], "/srv/logs", logs, protected_regular)


def log(mode: int = 0o644, uid: int = 64001, **changes: Any) -> Inode:
    return Inode(REGULAR, uid, uid, 0, from_mode(mode), **changes)


def policy(*writers: Identity, **changes: Any) -> Policy:
    return Policy("/srv/logs", writers, **changes)


def found(policy: Policy, place: Place, inode: Inode) -> list[Finding]:
    path = "app.log" if inode.kind == REGULAR else ""
    return list(AccessTable(policy).findings(path, place, inode))


def test_writer_that_a_file_locks_out() -> None:
    (finding,) = found(policy(WEB, QUEUE), place(), log())
    assert finding == Finding(
        "writer_denied",
        "app.log",
        "queue",
        "64001:64001 0644",
        "queue cannot append to app.log: queue falls to other, which has r--",
    )


def test_reader_that_a_file_locks_out() -> None:
    findings = found(policy(WEB, readers=(QUEUE, AUDITOR)), place(), log(0o640))
    assert [(each.code, each.subject) for each in findings] == [
        ("reader_denied", "queue")
    ]


def test_service_that_its_sandbox_locks_out() -> None:
    sandbox = Sandboxed(True, "has the directory read-only", "let it")
    service = replace(WEB, id="s", name="web in a.service", sandbox=sandbox)
    logged = policy(WEB, running=(service,), readers=(service,))
    findings = found(logged, place(), log()) + found(logged, place(), place().inode)
    assert {each.remedy for each in findings} == {"let it"}
    assert [(each.code, each.subject) for each in findings] == [
        ("writer_denied", "web in a.service"),
        ("creator_denied", "web in a.service"),
    ]
    assert findings[0].message == (
        "web in a.service cannot append to app.log: the sandbox of its service has "
        "the directory read-only"
    )


SELINUX = "look for what it denied: ausearch -m AVC,USER_AVC -ts today"
APPARMOR = "look for what it denied: journalctl -k --grep 'apparmor=.DENIED'"


def test_what_a_security_module_decides_is_one_finding_of_it() -> None:
    """Not one for each file, and none says that somebody is locked out."""
    web, queue = (replace(each, confined_by="SELinux") for each in (WEB, QUEUE))
    cron = replace(CRON, confined_by="AppArmor (cron)")
    confined = policy(web, queue, others=(AUDITOR,), running=(cron,))
    files = found(confined, place(0o777), log(0o666))
    assert [each.code for each in files] == []
    about = list(place_findings(confined, place(0o755)))
    findings = [each for each in about if each.code == "access_unknown"]
    assert [(each.subject, each.evidence, each.remedy) for each in findings] == [
        ("AppArmor (cron)", "root", APPARMOR),
        ("SELinux", "web, queue", SELINUX),
    ]
    assert findings[1].message == (
        "SELinux may deny web, queue what the permissions grant: whether they can "
        "write here, it decides"
    )
    smack = policy(replace(WEB, confined_by="Smack"))
    assert [each.remedy for each in place_findings(smack, place())] == [None]
    assert list(place_findings(policy(WEB), place())) == []


def test_next_file_of_whom_a_security_module_may_stop() -> None:
    web = replace(WEB, confined_by="SELinux")
    (file,) = next_files(policy(web, others=(QUEUE,)), place())
    assert (file.verdict.allowed, file.verdict.reason) == (None, "unknown_lsm")
    assert file.inode is not None
    assert [row.verdict.allowed for row in file.access] == [None, None, True, False]


def test_who_may_perhaps_use_the_next_file_can_lose_it() -> None:
    before, after = place(0o777), place(0o777, special=SETGID)
    losing = replace(AUDITOR, confined_by="SELinux")
    creator = replace(WEB, umask=0o027, gid=64001, confined_by="SELinux")
    logged = policy(creator, others=(losing,))
    after = replace(after, inode=replace(after.inode, gid=64009))
    assert [each.subject for each in next_file_losses(logged, before, after)] == [
        "auditor"
    ]


def test_nothing_is_found_of_those_who_are_granted_nothing() -> None:
    assert found(policy(WEB, others=(QUEUE,)), place(), log(0o600)) == []


def test_nothing_is_found_of_links() -> None:
    link = Inode("symlink", 64001, 64001, 0, from_mode(0o777))
    assert found(policy(QUEUE), place(), link) == []


def test_writer_who_cannot_create() -> None:
    (finding,) = found(policy(WEB, QUEUE), place(0o755), place().inode)[-1:]
    assert (finding.code, finding.path, finding.subject, finding.evidence) == (
        "creator_denied",
        "/srv/logs",
        "queue",
        "denied_create",
    )
    assert finding.message == (
        "queue cannot create a log file: queue has r-x on the directory, and needs -wx"
    )


def test_writer_whom_the_next_file_locks_out() -> None:
    findings = found(policy(WEB, QUEUE), place(0o777), place(0o777).inode)
    assert [(each.code, each.subject, each.evidence) for each in findings] == [
        (
            "next_file_writer_denied",
            "queue (created by web)",
            "created by web as 64001:64001 0644",
        ),
        (
            "next_file_writer_denied",
            "web (created by queue)",
            "created by queue as 64002:64002 0644",
        ),
    ]
    assert findings[0].message == (
        "queue cannot append to the next file that web creates "
        "(64001:64001 0644): queue falls to other, which has r--"
    )
    assert {each.remedy for each in findings} == {None}


def test_reader_whom_the_next_file_locks_out() -> None:
    careful = replace(WEB, umask=0o077)
    findings = found(policy(careful, readers=(QUEUE,)), place(), place().inode)
    assert [each.code for each in findings] == ["next_file_reader_denied"]


def test_creator_that_asks_for_too_little() -> None:
    hidden = replace(WEB, request_mode=0o600)
    right = place(default_acl=WRITABLE, special=SETGID, uid=0)
    right = replace(right, inode=replace(right.inode, acl=WRITABLE))
    findings = found(policy(hidden, QUEUE), right, right.inode)
    assert [(each.code, each.subject) for each in findings] == [
        ("next_file_writer_denied", "queue (created by web)")
    ]
    assert findings[0].remedy == (
        "have web create its logs with mode 0666, not 0600, "
        "which leaves named writers nothing"
    )


REMEDIES = {
    "search": (
        place(srv=replace(TOP, acl=from_mode(0o750))),
        log(0o666),
        QUEUE,
        "let it through: setfacl -m u:64002:x /srv",
    ),
    "search, of a group": (
        place(srv=replace(TOP, acl=from_mode(0o750))),
        log(0o666),
        READERS,
        "let it through: setfacl -m g:64003:x /srv",
    ),
    "search of the logs": (place(0o770), log(0o666), QUEUE, None),
    "read-only": (
        place(),
        log(0o666, mount=Mount(read_only=True)),
        QUEUE,
        "remount the file system read-write",
    ),
    "immutable": (
        place(),
        log(0o666, immutable=True),
        QUEUE,
        "remove the attribute with chattr -i if it is not wanted",
    ),
    "sticky": (
        place(0o777, uid=64009, special=STICKY, protected_regular=1),
        log(0o666),
        QUEUE,
        "take the sticky bit off the directory (chmod -t)",
    ),
    "permissions": (place(), log(0o644), QUEUE, None),
}


@pytest.mark.parametrize(
    ("where", "inode", "writer", "remedy"), REMEDIES.values(), ids=REMEDIES
)
def test_remedy(where: Place, inode: Inode, writer: Identity, remedy: str) -> None:
    (finding,) = found(policy(writer), where, inode)
    assert finding.code == "writer_denied"
    assert finding.remedy == remedy


def test_remedy_quotes_what_a_shell_would_not_take() -> None:
    where = place(srv=replace(TOP, acl=from_mode(0o750)))
    where = replace(where, ancestors=[("/", TOP), ("/my srv", where.ancestors[1][1])])
    (finding,) = found(policy(QUEUE), where, log(0o666))
    assert str(finding.remedy).endswith("'/my srv'")


def test_what_everybody_may_do_with_a_file() -> None:
    rows = access_to(policy(WEB, QUEUE), place(), log())
    assert [
        (each.identity.id, each.operation, each.verdict.reason) for each in rows
    ] == [
        ("web", "read", "granted_owner"),
        ("web", "append", "granted_owner"),
        ("queue", "read", "granted_other"),
        ("queue", "append", "denied_other"),
    ]


def test_what_is_fine_in_one_place_need_not_be_in_another() -> None:
    table = AccessTable(policy(WEB, QUEUE))
    here, there = place(), place(0o700)
    fine, denied = log(0o666), log(0o644)
    for _again in range(2):
        assert list(table.findings("a", here, fine)) == []
        assert [each.path for each in table.findings("b", here, denied)] == ["b"]
        (finding,) = table.findings("c", there, fine)
        assert (finding.code, finding.subject) == ("writer_denied", "queue")


def test_files_that_are_known_in_one_place_need_not_be_in_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_predict, "_DISTINCT_INODES", 4)
    table = AccessTable(policy(WEB, QUEUE))
    here, there = place(), place(0o700)
    known = table.known(here)
    assert table.known(place()) is known
    assert table.known(there) is not known
    # What is forgotten does not come back as another place's.
    others = [table.known(place(mode)) for mode in (0o711, 0o755, 0o1777, 0o750)]
    assert all(each is not known for each in others)
    assert table.known(here) == set()


def test_next_files() -> None:
    files = next_files(policy(WEB, QUEUE, CRON, others=(AUDITOR,)), place(0o755))
    assert [file.creator.id for file in files] == ["web", "queue", "root"]
    web, queue, root = files
    assert web.inode == log(0o644)
    assert [(row.identity.id, row.operation) for row in web.access] == [
        (identity, operation)
        for identity in ("web", "queue", "root", "auditor")
        for operation in ("read", "append")
    ]
    assert (queue.verdict.allowed, queue.inode, queue.access) == (False, None, ())
    assert root.verdict.reason == "granted_capability"
    assert root.inode == log(0o644, uid=0)


PLACES: dict[str, tuple[Policy, Place, list[tuple[str, str]]]] = {
    "root's all the way": (policy(WEB), place(), []),
    "another exchanges the directory of a declared identity": (
        policy(WEB),
        place(srv=replace(TOP, uid=64009)),
        [("ancestor_exchangeable", "/srv")],
    ),
    "another exchanges the directory of somebody who is declared": (
        policy(QUEUE, others=(WEB,)),
        place(srv=replace(TOP, uid=64009)),
        [("ancestor_exchangeable", "/srv")],
    ),
    "another exchanges the directory of a stranger": (
        policy(QUEUE),
        place(srv=replace(TOP, uid=64009)),
        [("ancestor_untrusted", "/srv")],
    ),
    "another exchanges the directory of root": (
        policy(WEB),
        place(uid=0, srv=replace(TOP, uid=64009)),
        [("ancestor_untrusted", "/srv")],
    ),
    "another exchanges the directory of root, who writes": (
        policy(CRON),
        place(0o755, uid=0, srv=replace(TOP, uid=64009)),
        [("ancestor_untrusted", "/srv")],
    ),
    "root writes where another creates": (
        policy(WEB, CRON),
        place(),
        [("root_writes_untrusted", "/srv/logs")],
    ),
    "root writes where nobody else creates": (policy(CRON), place(0o755, uid=0), []),
    "root only reads where another creates": (
        policy(WEB, readers=(CRON,)),
        place(),
        [],
    ),
}


@pytest.mark.parametrize(("wanted", "where", "codes"), PLACES.values(), ids=PLACES)
def test_place_findings(
    wanted: Policy, where: Place, codes: list[tuple[str, str]]
) -> None:
    findings = list(place_findings(wanted, where))
    assert [(each.code, each.path) for each in findings] == codes


def test_member_of_the_creators_group_who_loses_the_next_file() -> None:
    wanted = policy(replace(WEB, umask=0o027), others=(AUDITOR,))
    before, after = place(0o777, uid=0), place(0o777, uid=0, special=SETGID)
    findings = list(next_file_losses(wanted, before, after))
    assert [(each.code, each.subject) for each in findings] == [
        ("next_file_narrowed", "auditor")
    ]
    assert findings[0].message.startswith("auditor can read what web creates today")
    assert list(next_file_losses(wanted, after, after)) == []
    assert list(next_file_losses(wanted, place(0o700, uid=0), after)) == []


def test_strangers_who_lose_the_next_file() -> None:
    before = place(0o777, uid=0)
    closed = replace(before.inode, default_acl=Acl(7, 5, 0))
    after = replace(before, inode=closed)
    (finding,) = next_file_losses(policy(WEB), before, after)
    assert (finding.code, finding.subject) == ("next_file_narrowed", "other")
    asked_for = replace(policy(WEB), keep_other=False)
    assert list(next_file_losses(asked_for, before, after)) == []


def test_findings_that_say_no_more_than_their_title() -> None:
    finding = finding_of("hard_link", "a\nb", log(uid=0))
    assert finding == Finding(
        "hard_link",
        "a\nb",
        ROOT,
        f"{ROOT}:{ROOT_GROUP} 0644",
        "A file has further names elsewhere: a\\nb",
    )
    missing = missing_directory(Policy("/srv/\n", (WEB,)))
    assert (missing.path, missing.subject) == ("/srv/\n", "/srv/\\n")
    assert missing.message.endswith("is skipped: /srv/\\n")
