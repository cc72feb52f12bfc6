# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every ansible-core must do with the collection, without any other collection.

`make core` runs this where newer releases than that of .venv can run: in a container,
as root of a small broken host.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOKS = ROOT / "playbooks"
MODULES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("[a-z]*.py"))
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())

LOGS = Path("/srv/logs")
WRITER = 64001
HOSTILE = b"two\nlines {{ 7 * 7 }} \xff.log"
POLICY = {
    "logward_directories": [{"path": str(LOGS), "writers": ["web", "root"]}],
    "logward_identities": [{"name": "web", "user": str(WRITER), "group": str(WRITER)}],
}


def ansible(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ansible", command, *arguments],
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT),
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_HOME": "/tmp/ansible",  # noqa: S108 - the container's own
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_NOCOLOR": "true",
            "LANG": "C.UTF-8",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="backslashreplace",
        check=False,
    )


@dataclass(frozen=True)
class Play:
    exit_status: int
    output: str
    listing: dict[bytes, tuple[object, ...]]

    @property
    def changed(self) -> int:
        found = re.search(r"^localhost .*changed=(\d+)", self.output, re.MULTILINE)
        assert found, self.output
        return int(found[1])


def play(name: str, *arguments: str) -> Play:
    done = ansible(
        "playbook",
        "--inventory=localhost,",
        "--connection=local",
        f"--extra-vars={json.dumps(POLICY)}",
        f"--extra-vars=ansible_python_interpreter={sys.executable}",
        *arguments,
        str(PLAYBOOKS / f"{name}.yml"),
    )
    output = done.stdout + done.stderr
    print(output)
    return Play(done.returncode, output, listing())


def listing() -> dict[bytes, tuple[object, ...]]:
    found: dict[bytes, tuple[object, ...]] = {}
    for directory, _names, files in os.walk(os.fsencode(LOGS)):
        for path in (directory, *(os.path.join(directory, name) for name in files)):
            status = os.lstat(path)
            acls = [os.getxattr(path, name) for name in sorted(os.listxattr(path))]
            found[path] = (status.st_mode, status.st_uid, status.st_ctime_ns, acls)
    return found


def writer_can_append(path: bytes) -> bool:
    """Whether a process of the writer can: the kernel decides."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(WRITER)
            os.setuid(WRITER)
            os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT))
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


@dataclass(frozen=True)
class Story:
    """What was seen, in the order in which it happened."""

    broken: dict[bytes, tuple[object, ...]]
    locked_out: bool
    audit: Play
    preview: Play
    repair: Play
    again: Play
    audit_at_the_end: Play
    results: dict[str, int]
    results_of_a_broken_crontab: dict[str, int]


def results() -> dict[str, int]:
    """Return the exit status of an audit by what it is to fail on."""
    return {
        severity: play("audit", "-e", f"logward_fail_on={severity}").exit_status
        for severity in ("never", "error", "warning", "nonsense")
    }


def results_of_a_broken_crontab() -> dict[str, int]:
    """Return the same where nothing else is wrong than a line of a crontab."""
    own = Path("/srv/own")
    own.mkdir()
    declared = {"logward_directories": [{"path": str(own), "writers": ["root"]}]}
    crontab = Path("/etc/cron.d/broken")
    found = {}
    for content in ("", "no time of day\n"):
        crontab.write_text(content)
        more = {**declared, "logward_fail_on": "warning"}
        done = play("audit", f"--extra-vars={json.dumps(more)}")
        found[content] = done.exit_status
    crontab.unlink()
    return found


@pytest.fixture(scope="module")
def story() -> Story:
    (LOGS / "archive").mkdir(parents=True)
    for path in (LOGS / "app.log", LOGS / "archive/old.log"):
        path.write_text("a line\n")
        path.chmod(0o644)
    with open(os.path.join(os.fsencode(LOGS), HOSTILE), "wb"):
        pass
    return Story(
        broken=listing(),
        locked_out=not writer_can_append(b"/srv/logs/app.log"),
        audit=play("audit"),
        results=results(),
        results_of_a_broken_crontab=results_of_a_broken_crontab(),
        preview=play("remediate", "--check", "--diff"),
        repair=play("remediate", "--diff"),
        again=play("remediate", "--diff"),
        audit_at_the_end=play("audit"),
    )


def test_audit_finds_it_and_changes_nothing(story: Story) -> None:
    assert story.locked_out
    assert story.audit.exit_status == 2
    assert "ERROR" in story.audit.output
    assert story.audit.changed == 0
    assert story.audit.listing == story.broken


def test_what_fails_the_audit(story: Story) -> None:
    assert story.results == {"never": 0, "error": 2, "warning": 2, "nonsense": 2}
    assert story.results_of_a_broken_crontab == {"": 0, "no time of day\n": 2}


def test_check_mode_shows_it_and_changes_nothing(story: Story) -> None:
    assert story.preview.exit_status == 0
    assert story.preview.changed == 1
    assert re.search(r"^\+.*user:64001:rw", story.preview.output, re.MULTILINE)
    assert story.preview.listing == story.broken


def test_repair_lets_the_writer_in(story: Story) -> None:
    assert story.repair.exit_status == 0
    assert story.repair.changed == 1
    for name in (b"app.log", b"archive/old.log", b"new.log", HOSTILE):
        assert writer_can_append(b"/srv/logs/" + name), name


def test_second_run_changes_nothing(story: Story) -> None:
    assert story.again.exit_status == 0
    assert story.again.changed == 0
    assert story.again.listing == story.repair.listing
    assert story.audit_at_the_end.exit_status == 0


def test_ansible_has_nothing_to_warn_of(story: Story) -> None:
    for each in (story.audit, story.preview, story.repair, story.again):
        assert "WARNING]" not in each.output


@pytest.mark.parametrize("name", MODULES)
def test_module_has_documentation(name: str) -> None:
    done = ansible("doc", "--json", f"logward.permissions.{name}")
    assert done.returncode == 0, done.stderr
    (documented,) = json.loads(done.stdout).values()
    assert documented["doc"]["options"]
    assert documented["return"]


@pytest.mark.parametrize("name", ROLES)
def test_role_has_documentation(name: str) -> None:
    done = ansible("doc", "--type=role", "--json", f"logward.permissions.{name}")
    assert done.returncode == 0, done.stderr
    (documented,) = json.loads(done.stdout).values()
    assert documented["entry_points"]["main"]["options"]
