# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._access import (
    SETGID,
)
from ansible_collections.logward.permissions.plugins.module_utils._findings import (
    KINDS,
)
from ansible_collections.logward.permissions.plugins.module_utils._fs import Tree
from ansible_collections.logward.permissions.plugins.module_utils._host import (
    KernelSettings,
)
from ansible_collections.logward.permissions.plugins.module_utils._identity import (
    Identity,
)
from ansible_collections.logward.permissions.plugins.module_utils._policy import (
    parse_policies,
)
from ansible_collections.logward.permissions.plugins.module_utils._predict import (
    AccessTable,
)
from ansible_collections.logward.permissions.plugins.module_utils._survey import (
    Step,
    Survey,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._sandbox import (
    Sandbox,
    Surroundings,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._source import (
    Found,
    Writer,
)

WEB, STRANGER = 64001, 64009
PROTECTED = KernelSettings(protected_regular=2, protected_hardlinks=True)


@contextmanager
def survey(path: Path, **changes: Any) -> Iterator[Survey]:
    declaration = {"path": str(path), "writers": ["64001", "64002"], **changes}
    (policy,) = parse_policies([declaration], [])
    with closing(Tree(str(path))) as tree:
        yield Survey(policy, tree, PROTECTED)


@pytest.fixture
def logs(site: Path) -> Path:
    path = site / "app/logs"
    path.mkdir(parents=True)
    os.chown(path, WEB, WEB)
    return path


def log_file(path: Path, uid: int = WEB) -> Path:
    path.touch()
    path.chmod(0o640)
    os.chown(path, uid, uid)
    return path


def steps(survey: Survey) -> list[Step]:
    """Take all steps, and let go of what they pin."""
    taken = []
    for step in stepwise(survey):
        taken.append(step)
        step.close()
    return taken


def stepwise(survey: Survey) -> Iterator[Step]:
    for group in survey.first(lambda _change: set()):
        yield from group
    for group in survey.others(lambda _change: set()):
        yield from group


def chmod(mode: int, gid: int = 0) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        os.chown(path, 0, gid)
        path.chmod(mode)

    return change


def chown(uid: int) -> Callable[[Path], None]:
    return lambda path: os.chown(path, uid, uid)


def setfacl(entries: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        subprocess.run(["setfacl", "-m", entries, path], check=True)

    return change


#: What is done to the parent of the logs, and who can then exchange them: the
#: codes where the logs are web's, which is declared, and where they are root's.
EXCHANGEABLE, UNTRUSTED = "ancestor_exchangeable", "ancestor_untrusted"
ANCESTORS = {
    "root's": (chmod(0o755), None, None),
    "root's group's": (chmod(0o775), None, None),
    "web's": (chown(WEB), EXCHANGEABLE, UNTRUSTED),
    "a stranger's": (chown(STRANGER), EXCHANGEABLE, UNTRUSTED),
    "a group's": (chmod(0o775, WEB), EXCHANGEABLE, UNTRUSTED),
    "everybody's": (chmod(0o777), EXCHANGEABLE, UNTRUSTED),
    "everybody's, without search": (chmod(0o722), None, None),
    "named user's": (setfacl("u:64009:rwx"), EXCHANGEABLE, UNTRUSTED),
    "named user's, masked": (setfacl("u:64009:rwx,m::rx"), None, None),
    "named group's": (setfacl("g:64009:-wx"), EXCHANGEABLE, UNTRUSTED),
    "sticky": (chmod(0o1777), EXCHANGEABLE, None),
}


@pytest.mark.parametrize("of_root", [False, True], ids=["logs of web", "logs of root"])
@pytest.mark.parametrize(
    ("change", "code_of_web", "code_of_root"), ANCESTORS.values(), ids=ANCESTORS
)
def test_ancestor(
    logs: Path,
    change: Callable[[Path], None],
    code_of_web: str | None,
    code_of_root: str | None,
    of_root: bool,
) -> None:
    change(logs.parent)
    os.chown(logs, 0 if of_root else WEB, 0)
    with survey(logs) as looked:
        findings = {finding.code: finding for finding in looked.findings()}
        blocking = looked.blocking()
    code = code_of_root if of_root else code_of_web
    assert findings.keys() & {EXCHANGEABLE, UNTRUSTED} == ({code} if code else set())
    if code:
        assert findings[code].path == str(logs.parent)
    assert (blocking and blocking.code) == (UNTRUSTED if code == UNTRUSTED else None)


def test_places_are_those_of_the_directories_that_files_lie_in(logs: Path) -> None:
    for name in ("a", "a/b", "c"):
        (logs / name).mkdir()
        os.chown(logs / name, WEB, WEB)
    for name in ("0.log", "a/1.log", "a/b/2.log", "c/3.log", "z.log"):
        log_file(logs / name)
    (logs / "foreign").mkdir()
    log_file(logs / "foreign/4.log")
    with survey(logs, exclude=["c"]) as looked:
        found = {step.path: step.place for step in steps(looked)}
    below = {
        "": "",
        "0.log": "",
        "z.log": "",
        "a": "/a",
        "a/1.log": "/a",
        "a/b": "/a/b",
        "a/b/2.log": "/a/b",
        # Nothing below it: it is root's.
        "foreign": "/foreign",
    }
    assert {path: change.before.path for path, change in found.items()} == {
        path: f"{logs}{directory}" for path, directory in below.items()
    }
    deep = found["a/b/2.log"]
    assert [path for path, _inode in deep.before.ancestors][-2:] == (
        [str(logs), f"{logs}/a"]
    )
    # After the repair: the directories on the way let everybody through.
    assert [inode.special for _path, inode in deep.after.ancestors][-2:] == (
        [SETGID, SETGID]
    )
    assert not deep.before.inode.special


def test_step_pins_what_is_to_be_changed_and_nothing_else(logs: Path) -> None:
    log_file(logs / "app.log")
    log_file(logs / "foreign.log", STRANGER)
    (logs / "link").symlink_to("app.log")
    with survey(logs) as looked:
        found = {}
        for step in stepwise(looked):
            found[step.path] = step.refused, step.changes
            if step.fd is not None:
                pinned = os.path.realpath(f"/proc/self/fd/{step.fd}")
                assert pinned == str(logs / step.path).rstrip("/")
                # Neither to be read nor to be written: it cannot block.
                flags = Path(f"/proc/self/fdinfo/{step.fd}").read_text().split()[3]
                assert step.path == "" or int(flags, 8) & os.O_PATH
            step.close()
    assert found == {
        "": (None, True),
        "app.log": (None, True),
        "foreign.log": ("foreign_owner", False),
        "link": ("symbolic_link", False),
    }


def test_what_is_left_alone_may_still_have_a_remedy_of_its_own(logs: Path) -> None:
    log_file(logs / "foreign.log", STRANGER)
    around = Surroundings("app.service", Sandbox("strict"))
    sandboxed = around.sandboxed(str(logs))
    assert sandboxed is not None
    web = Identity("web", "web", WEB, WEB, frozenset(), source="configured")
    job = Writer(web, "app", "app:1", (f"{logs}/a.log",), surroundings=around)
    (policy,) = parse_policies([{"path": str(logs), "writers": ["64001"]}], [])
    with closing(Tree(str(logs))) as tree:
        looked = Survey(policy, tree, PROTECTED, Found((job,)))
        table = AccessTable(looked.policy)
        remedies = {
            (finding.subject, finding.remedy)
            for step in steps(looked)
            if step.path == "foreign.log"
            for finding in step.findings(table, step.place.before, step.before)
            if finding.code == "writer_denied"
        }
    assert remedies == {
        ("64001", KINDS["foreign_owner"].remedy),
        ("web in app.service", sandboxed.remedy),
    }


@pytest.mark.parametrize("recurse", [True, False])
def test_recurse(logs: Path, recurse: bool) -> None:
    (logs / "a").mkdir()
    os.chown(logs / "a", WEB, WEB)
    log_file(logs / "a/1.log")
    with survey(logs, recurse=recurse) as looked:
        paths = [step.path for step in steps(looked)]
    assert paths == (["", "a", "a/1.log"] if recurse else ["", "a"])


def test_directory_whose_rights_cannot_be_kept_blocks(logs: Path) -> None:
    # Other may write, its group may not: who is in it and in the next group
    # would gain.
    os.chown(logs, WEB, 64004)
    logs.chmod(0o757)
    identities = [{"name": "shipper", "user": "64006", "groups": ["64003", "64004"]}]
    (policy,) = parse_policies(
        [{"path": str(logs), "writers": ["64001"], "group": "64003"}], identities
    )
    with closing(Tree(str(logs))) as tree:
        finding = Survey(policy, tree, PROTECTED).blocking()
    assert finding is not None
    assert finding.code == "rights_conflict"


@pytest.mark.parametrize("flag", ["i", "a"])
def test_directory_that_cannot_be_changed_blocks(logs: Path, flag: str) -> None:
    subprocess.run(["chattr", f"+{flag}", logs], check=True)
    try:
        with survey(logs) as looked:
            finding = looked.blocking()
    finally:
        subprocess.run(["chattr", f"-{flag}", logs], check=True)
    assert finding is not None
    assert finding.code == "immutable"
