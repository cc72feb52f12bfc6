# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The probe says what the kernel says, and finds a prediction that is wrong."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.logward.permissions.plugins.module_utils import (
    _become,
    _probe,
)
from ansible_collections.logward.permissions.plugins.module_utils._access import (
    Verdict,
    created_file,
)
from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    HostError,
)
from ansible_collections.logward.permissions.plugins.module_utils._fs import (
    MissingDirectory,
    Tree,
    observe_fd,
)
from ansible_collections.logward.permissions.plugins.module_utils._host import (
    KernelSettings,
)
from ansible_collections.logward.permissions.plugins.module_utils._identity import (
    Identity,
    resolve,
)
from ansible_collections.logward.permissions.plugins.module_utils._policy import (
    Policy,
    parse_policies,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._writers.files import (
    within,
)

DAEMON, NOBODY = resolve("daemon", "-", {}), resolve("nobody", "-", {})
ROOT = resolve("root", "-", {})


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A log directory of daemon's, reachable for everybody."""
    for parent in (tmp_path, *tmp_path.parents):
        if parent.is_relative_to("/tmp/") and parent.stat().st_uid == os.geteuid():  # noqa: S108
            parent.chmod(0o755)
    directory = tmp_path / "logs"
    directory.mkdir()
    os.chown(directory, DAEMON.uid, DAEMON.gid)
    log = directory / "today.log"
    log.write_text("a line\n")
    log.chmod(0o644)
    os.chown(log, DAEMON.uid, DAEMON.gid)
    return directory


def policy_for(directory: Path, **keys: Any) -> Policy:
    declaration = {
        "path": str(directory),
        "writers": ["daemon", "nobody", "root"],
        **keys,
    }
    return parse_policies([declaration], [])[0]


def allowed(result: dict[str, Any]) -> set[tuple[str, str, str | None, str]]:
    return {
        (probe["identity"], probe["operation"], probe["creator"], probe["path"])
        for probe in result["probes"]
        if probe["allowed"]
    }


def test_the_kernel_agrees_with_the_prediction(logs: Path) -> None:
    result = _probe.probe([policy_for(logs)], 20)
    assert result["disagreements"] == []
    granted = allowed(result)
    assert ("daemon", "append", None, "today.log") in granted
    assert ("nobody", "read", None, "today.log") in granted
    assert ("nobody", "append", None, "today.log") not in granted
    assert ("daemon", "create", "daemon", "") in granted
    assert ("nobody", "create", "nobody", "") not in granted
    assert ("root", "append", "daemon", "") in granted
    assert ("nobody", "append", "root", "") not in granted


def test_many_directories_are_each_answered_as_if_they_were_alone(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = []
    for number, mode in enumerate([0o755, 0o700, 0o777, 0o555] * 2):
        other = logs.parent / f"{number}"
        other.mkdir()
        os.chown(other, 65534 if number % 3 else 0, 0)
        for name in range(number):
            (other / f"{name}.log").touch(0o600 + name)
        other.chmod(mode)
        others.append(other)
    policies = [policy_for(each) for each in others]
    policies[5] = policy_for(others[5], writers=["root"], readers=["daemon"])
    alone = [probe for each in policies for probe in _probe.probe([each], 3)["probes"]]
    assert {probe["allowed"] for probe in alone} == {True, False}
    monkeypatch.setattr(_probe, "_DIRECTORIES_AT_ONCE", 3)
    together = _probe.probe(policies, 3)["probes"]
    assert sorted(together, key=str) == sorted(alone, key=str)
    assert {probe["directory"] for probe in alone} == {str(each) for each in others}


def test_a_wrong_prediction_is_found(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_probe, "may_create", lambda *_: Verdict(True, "granted_other"))
    (wrong,) = _probe.probe([policy_for(logs)], 20)["disagreements"]
    assert (wrong["identity"], wrong["operation"]) == ("nobody", "create")
    assert (wrong["predicted"], wrong["allowed"]) == (True, False)
    assert wrong["error"] == "EACCES"


def test_a_next_file_that_is_not_as_predicted_is_found(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        _probe, "created_file", lambda _who, where: created_file(NOBODY, where)
    )
    wrong = _probe.probe([policy_for(logs)], 20)["disagreements"]
    assert [each["creator"] for each in wrong] == ["daemon", "root"]


def test_what_is_not_predicted_is_not_compared(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_probe, "enforced_on_all", lambda: "SELinux")
    result = _probe.probe([policy_for(logs)], 20)
    assert result["disagreements"] == []
    assert {each["predicted"] for each in result["probes"]} == {None, False}
    (logs / "today.log").chmod(0o600)
    monkeypatch.setattr(_probe, "_try", lambda _: errno.EACCES)
    assert _probe.probe([policy_for(logs)], 20)["disagreements"] == []
    # What is denied is predicted, whatever the module says.
    monkeypatch.setattr(_probe, "_try", lambda _: None)
    wrong = _probe.probe([policy_for(logs)], 20)["disagreements"]
    assert {each["predicted"] for each in wrong} == {False}


def test_the_sticky_rule_is_not_asked_about(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = KernelSettings(protected_regular=2, protected_hardlinks=True)
    monkeypatch.setattr(_probe, "read_kernel_settings", lambda: settings)
    logs.chmod(0o1777)
    (logs / "today.log").chmod(0o666)
    os.chown(logs / "today.log", NOBODY.uid, NOBODY.gid)
    result = _probe.probe([policy_for(logs)], 20)
    assert result["disagreements"] == []
    asked = {
        (each["identity"], each["operation"])
        for each in result["probes"]
        if each["path"] == "today.log"
    }
    assert asked == {
        ("daemon", "read"),
        ("nobody", "read"),
        ("nobody", "append"),
        ("root", "read"),
    }


@pytest.mark.parametrize(
    ("code", "known"),
    [
        (errno.EACCES, True),
        (errno.EPERM, True),
        (errno.EROFS, True),
        (errno.EIO, False),
        (errno.ENXIO, False),
    ],
)
def test_which_errors_are_denials(code: int, known: bool) -> None:
    predicted = Verdict(True, "granted_other")
    question = _probe.Question("a.log", None, "append", predicted, lambda: 0)
    result = _probe._result(DAEMON, question, code)
    assert result["allowed"] is (False if known else None)
    assert result["agrees"] is not known
    assert result["error"] == errno.errorcode[code]


def test_missing_directory(logs: Path) -> None:
    policies = [policy_for(logs / "new", missing="skip"), policy_for(logs)]
    directories = {each["directory"] for each in _probe.probe(policies, 20)["probes"]}
    assert directories == {str(logs)}
    with pytest.raises(MissingDirectory):
        _probe.probe([policy_for(logs / "new")], 20)


@pytest.mark.parametrize("identity", [ROOT, DAEMON])
def test_what_takes_the_place_of_a_log_is_not_followed_and_does_not_block(
    logs: Path, identity: Identity
) -> None:
    append = _probe._MODES["append"]
    with closing(Tree(str(logs))) as tree:
        probe = _probe._DirectoryProbe(policy_for(logs), tree, 20)
        fd = probe._opener(identity, "today.log", append)()
        assert fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_APPEND
        os.close(fd)
        (logs / "link.log").symlink_to("today.log")
        os.mkfifo(logs / "fifo.log")
        with pytest.raises(OSError, match="Too many levels of symbolic links"):
            probe._opener(identity, "link.log", append)()
        with within(10), pytest.raises(OSError, match="No such device or address"):
            probe._opener(identity, "fifo.log", append)()


def test_root_goes_by_the_descriptor_and_others_by_the_path(logs: Path) -> None:
    with closing(Tree(str(logs))) as tree:
        probe = _probe._DirectoryProbe(policy_for(logs), tree, 20)
        logs.rename(logs.with_name("moved"))
        os.close(probe._opener(ROOT, "today.log", os.O_RDONLY)())
        with pytest.raises(FileNotFoundError):
            probe._opener(DAEMON, "today.log", os.O_RDONLY)()
        os.close(probe.creation(ROOT).opener())
        with pytest.raises(FileNotFoundError):
            probe.creation(DAEMON).opener()


def test_roots_next_file_is_created_in_the_directory(logs: Path) -> None:
    logs.chmod(0o2775)
    result = _probe.probe([policy_for(logs)], 20)
    assert result["disagreements"] == []
    assert ("root", "create", "root", "") in allowed(result)


def test_a_descriptor_leads_past_directories_that_cannot_be_searched(
    logs: Path,
) -> None:
    logs.parent.chmod(0o700)
    result = _probe.probe([policy_for(logs)], 20)
    assert result["disagreements"] == []
    assert {identity for identity, *_rest in allowed(result)} == {"root"}


def test_what_is_gone_meanwhile_has_no_result(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_probe, "_try", lambda _opener: errno.ENOENT)
    operations = {
        each["operation"] for each in _probe.probe([policy_for(logs)], 20)["probes"]
    }
    assert operations == {"create"}


def test_nothing_is_left_and_nothing_is_written(logs: Path) -> None:
    before = {path: path.stat() for path in (logs, *logs.iterdir())}
    _probe.probe([policy_for(logs)], 20)
    after = {path: path.stat() for path in (logs, *logs.iterdir())}
    assert before.keys() == after.keys()
    for path, status in before.items():
        # The only thing an open does is move the time of access.
        assert after[path].st_mtime_ns == status.st_mtime_ns
        assert after[path].st_ctime_ns == status.st_ctime_ns


def test_the_next_file_has_no_name(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def look(fd: int, mounts: Any) -> Any:
        seen.append(sorted(os.listdir(logs)))
        return observe_fd(fd, mounts)

    monkeypatch.setattr(_probe, "observe_fd", look)
    _probe.probe([policy_for(logs)], 20)
    assert seen
    assert all(names == ["today.log"] for names in seen)


def test_without_o_tmpfile_the_next_file_loses_its_name(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A stand-in: every file system that tests can mount here has O_TMPFILE.
    real = os.open

    def without_tmpfile(path: Any, flags: int, *rest: Any, **keys: Any) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "no O_TMPFILE")
        return real(path, flags, *rest, **keys)

    monkeypatch.setattr(os, "open", without_tmpfile)
    result = _probe.probe([policy_for(logs)], 20)
    assert ("daemon", "create", "daemon", "") in allowed(result)
    assert ("root", "create", "root", "") in allowed(result)
    assert result["disagreements"] == []
    assert os.listdir(logs) == ["today.log"]


def test_no_name_is_created_where_a_file_without_one_is_denied(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def full(_path: Any, flags: int, *_rest: Any, **_keys: Any) -> int:
        asked.append(flags)
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(OSError, match="full"):
        _probe._new_file(str(logs), None, 0o666)
    assert [flags & os.O_TMPFILE == os.O_TMPFILE for flags in asked] == [True]


def test_a_fifo_does_not_block_the_probe(logs: Path) -> None:
    os.mkfifo(logs / "fifo.log", 0o666)
    start = time.monotonic()
    result = _probe.probe([policy_for(logs)], 20)
    assert time.monotonic() - start < _become._TIMEOUT_SECONDS
    assert all(probe["path"] != "fifo.log" for probe in result["probes"])


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (lambda: time.sleep(30), "did not end in time"),
        (lambda: os._exit(3), "could not become daemon"),
    ],
)
def test_a_child_that_hangs_or_dies_is_an_error(
    question: Callable[[], Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_become, "_TIMEOUT_SECONDS", 0.5)
    forked: list[int] = []
    real = os.fork

    def fork() -> int:
        forked.append(real())
        return forked[-1]

    monkeypatch.setattr(os, "fork", fork)
    with pytest.raises(HostError, match=message):
        _become.ask_as(DAEMON, question)
    with pytest.raises(ChildProcessError):
        os.waitpid(forked[0], os.WNOHANG)


def test_the_child_is_who_it_is_asked_as() -> None:
    def who() -> tuple[Any, list[int]]:
        umask = os.umask(0)
        return [os.getresuid(), os.getresgid(), os.getgroups(), umask], []

    answer, _none = _become.ask_as(DAEMON, who)
    uids, gids, groups, umask = answer
    assert set(uids) == {DAEMON.uid}
    assert set(gids) == {DAEMON.gid}
    assert set(groups) == DAEMON.groups
    assert umask == DAEMON.umask


def test_a_child_cannot_be_traced_by_its_user() -> None:
    """It holds descriptors of root's; /proc/PID of a dumpable process is its own."""

    def owner() -> tuple[Any, list[int]]:
        return os.stat("/proc/self/fd").st_uid, []

    assert _become.ask_as(DAEMON, owner)[0] == 0


def test_a_missing_directory_that_may_be_missing(tmp_path: Path) -> None:
    policy = policy_for(tmp_path / "missing", missing="skip")
    assert _probe.probe([policy], 20) == {"probes": [], "disagreements": []}


def test_without_root_it_says_so() -> None:
    def message() -> tuple[Any, list[int]]:
        try:
            _probe.probe([], 1)
        except HostError as error:
            return str(error), []
        return "it ran", []

    assert "needs root, and runs as daemon" in _become.ask_as(DAEMON, message)[0]
