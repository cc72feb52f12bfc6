# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real processes, held against what their service is configured as.

Only the control groups are made up: systemd does not run where tests do.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._findings import (
    Finding,
)
from ansible_collections.logward.permissions.plugins.module_utils._identity import (
    Identity,
)
from ansible_collections.logward.permissions.plugins.module_utils._policy import Policy
from ansible_collections.logward.permissions.plugins.module_utils._running import (
    running_findings,
    with_running,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers import (
    _instances,
    _live,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._instances import (
    service_in,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._live import (
    running_writers,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._processes import (
    Process,
    read_process,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._sandbox import (
    Sandbox,
    Surroundings,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._source import (
    Found,
    Launch,
    Writer,
)
from ansible_collections.logward.permissions.tests.unit import kernel

UID = 64001
WEB = Identity(
    "web", "web", UID, UID, frozenset({UID, 64009}), umask=0o002, source="configured"
)
ROOT = Identity("root", "root", 0, 0, frozenset(), source="configured")

Groups = dict[int, str]


@pytest.fixture
def control_groups(monkeypatch: pytest.MonkeyPatch) -> Groups:
    """The control group of each process, systemd's own included."""
    paths = {1: "/init.scope"}
    monkeypatch.setattr(_instances, "_control_group", lambda pid: paths.get(pid, ""))
    return paths


@pytest.fixture
def conf(site: Path) -> Path:
    path = site / "conf"
    path.touch()
    return path


@pytest.fixture
def logs(site: Path) -> Path:
    path = site / "logs"
    path.mkdir(mode=0o777)
    path.chmod(0o777)
    return path


@contextmanager
def running(
    name: str, identity: Identity, log: Path | None = None, started_by: str = ""
) -> Iterator[int]:
    """Run a process; ``started_by`` names one between it and the test."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.setsid()
        if started_by:
            Path("/proc/self/comm").write_text(started_by)
            if os.fork():
                signal.pause()
        Path("/proc/self/comm").write_text(name)
        os.setgroups(sorted(identity.groups))
        os.setgid(identity.gid)
        os.setuid(identity.uid)
        os.umask(identity.umask)
        if log is not None:
            os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        os.write(writing, str(os.getpid()).encode())
        signal.pause()
    os.close(writing)
    try:
        yield int(os.read(reading, 10))
    finally:
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reading)


def apache(conf: Path, logs: Path, identity: Identity = WEB) -> Writer:
    launch = Launch(
        "apache2.service",
        "systemctl restart apache2",
        "systemctl reload apache2",
        "systemctl reload apache2",
        name="apache2",
        files=(str(conf),),
    )
    return Writer(identity, "apache2", "envvars:3", (f"{logs}/php.log",), launch=launch)


def program(name: str, conf: Path, logs: Path, identity: Identity = WEB) -> Writer:
    launch = Launch(
        "supervisor.service",
        f"supervisorctl update {name}",
        f"supervisorctl restart {name}",
        f"supervisorctl restart {name}",
        parent="supervisord",
        files=(str(conf),),
    )
    return Writer(
        identity,
        f"supervisor:{name}",
        "queue.conf:1",
        (f"{logs}/{name}.log",),
        launch=launch,
    )


def unit(pid: int, logs: Path) -> Writer:
    restart = "systemctl restart agent.service"
    launch = Launch("agent.service", restart, restart, restart, pid=pid)
    return Writer(
        WEB, "systemd:agent.service", "agent:2", (f"{logs}/a.log",), launch=launch
    )


def findings(logs: Path, *configured: Writer, users: int = UID) -> list[Finding]:
    policy = Policy(str(logs), (replace(WEB, uid=users, source="name_service"),))
    found = Found(configured)
    live = running_writers([str(logs)], found)
    both = Found((*configured, *live.writers))
    return list(running_findings(policy, both))


def changed_later(conf: Path) -> None:
    time.sleep(0.05)
    conf.write_text("umask 002\n")


def test_one_that_runs_as_configured(
    control_groups: Groups, conf: Path, logs: Path
) -> None:
    with running("apache2", WEB) as pid:
        control_groups[pid] = "/system.slice/apache2.service"
        (live,) = running_writers([str(logs)], Found((apache(conf, logs),))).writers
        assert (live.service, live.pids, live.identity.source) == (
            "apache2",
            (pid,),
            "running",
        )
        assert live.configured == (apache(conf, logs),)
        assert findings(logs, apache(conf, logs)) == []


def test_apache_with_the_umask_that_it_was_started_with(
    control_groups: Groups, conf: Path, logs: Path
) -> None:
    with running("apache2", replace(WEB, umask=0o022)) as pid:
        control_groups[pid] = "/system.slice/apache2.service"
        changed_later(conf)
        (finding,) = findings(logs, apache(conf, logs))
    assert finding.code == "umask_stale"
    assert finding.evidence == f"pid {pid} has 0022, configured is 0002"
    assert finding.message == (
        f"apache2 (pid {pid}) runs with umask 0022, and is configured with 0002: it "
        "was started before that was set"
    )
    assert finding.remedy == "systemctl restart apache2"


def test_program_that_sets_a_umask_itself(
    control_groups: Groups, conf: Path, logs: Path
) -> None:
    time.sleep(0.05)
    narrow = replace(WEB, umask=0o077)
    with running("gunicorn", narrow) as pid:
        control_groups[pid] = "/system.slice/agent.service"
        (finding,) = findings(logs, unit(pid, logs))
        assert finding.code == "umask_stale"
        assert "its program sets one itself" in finding.message
        assert finding.remedy == (
            "have it not do that, or declare umask '0077' in identities"
        )
        declared = Policy(str(logs), (replace(narrow, source="declared"),))
        live = running_writers([str(logs)], Found((unit(pid, logs),)))
        assert list(running_findings(declared, live)) == []
    with running("php", narrow, started_by="supervisord") as pid:
        control_groups[pid] = "/system.slice/supervisor.service"
        (finding,) = findings(logs, program("queue", conf, logs))
        assert finding.remedy == (
            "supervisorctl update queue; if that does not help, declare umask '0077' "
            "in identities"
        )


@pytest.mark.parametrize(
    ("groups", "evidence", "why"),
    [
        ({UID}, "lacks 64009", f"without 64009, which {UID} is in now"),
        (
            {UID, 64009, 64010},
            "has 64010",
            f"with 64010, which {UID} is no longer in",
        ),
        (
            {UID, 64010},
            "lacks 64009 and has 64010",
            (
                f"without 64009, which {UID} is in now "
                f"and with 64010, which {UID} is no longer in"
            ),
        ),
    ],
)
def test_groups_that_changed_since(
    control_groups: Groups,
    conf: Path,
    logs: Path,
    groups: set[int],
    evidence: str,
    why: str,
) -> None:
    old = replace(WEB, groups=frozenset(groups))
    with running("php", old, started_by="supervisord") as pid:
        control_groups[pid] = "/system.slice/supervisor.service"
        (finding,) = findings(logs, program("queue", conf, logs))
    assert finding.code == "groups_stale"
    assert finding.subject == "supervisor:queue"
    assert finding.evidence == f"pid {pid} {evidence}"
    assert finding.message == (
        f"supervisor:queue (pid {pid}) runs {why}: it was started before that changed"
    )
    assert finding.remedy == "supervisorctl restart queue"


@pytest.mark.parametrize(
    ("name", "started_by", "path"),
    [
        pytest.param("sh", "", "/system.slice/apache2.service", id="its child"),
        pytest.param("apache2", "", "/system.slice/other.service", id="other unit"),
        pytest.param("apache2", "", "/user.slice/session-1.scope", id="no unit"),
        pytest.param("apache2", "", "/docker/x/system.slice/apache2.service", id="in"),
        pytest.param("php", "sh", "/system.slice/supervisor.service", id="grandchild"),
    ],
)
def test_what_is_not_certain_is_not_said(
    control_groups: Groups,
    conf: Path,
    logs: Path,
    name: str,
    started_by: str,
    path: str,
) -> None:
    other = replace(WEB, umask=0o077, groups=frozenset())
    with running(name, other, started_by=started_by) as pid:
        control_groups[pid] = path
        assert findings(logs, apache(conf, logs), program("queue", conf, logs)) == []


def test_another_user_is_another_process(
    control_groups: Groups, conf: Path, logs: Path
) -> None:
    with running("apache2", replace(WEB, uid=64002, umask=0o077)) as pid:
        control_groups[pid] = "/system.slice/apache2.service"
        assert findings(logs, apache(conf, logs)) == []


def test_another_process_of_its_unit_is_not_what_systemd_started(
    control_groups: Groups, logs: Path
) -> None:
    with running("php", replace(WEB, umask=0o077)) as pid:
        control_groups[pid] = "/system.slice/agent.service"
        assert findings(logs, unit(pid - 1, logs), unit(pid + 1, logs)) == []


def test_a_service_has_the_name_that_its_own_source_gives(
    control_groups: Groups, conf: Path, logs: Path
) -> None:
    with running("apache2", WEB) as pid:
        control_groups[pid] = "/system.slice/apache2.service"
        its_unit = unit(pid, logs)
        assert its_unit.launch is not None
        launch = replace(its_unit.launch, unit="apache2.service")
        its_unit = replace(its_unit, service="systemd:apache2.service", launch=launch)
        configured = Found((its_unit, apache(conf, logs)))
        (live,) = running_writers([str(logs)], configured).writers
    assert live.service == "apache2"
    assert live.configured == configured.writers


def test_root_needs_no_groups(control_groups: Groups, conf: Path, logs: Path) -> None:
    with running("apache2", replace(ROOT, groups=frozenset({4}))) as pid:
        control_groups[pid] = "/system.slice/apache2.service"
        assert findings(logs, apache(conf, logs, ROOT), users=0) == []


def test_programs_of_one_user(control_groups: Groups, conf: Path, logs: Path) -> None:
    queue = program("queue", conf, logs)
    mail = program("mail", conf, logs, replace(WEB, umask=0o027))
    for umask in (0o002, 0o027):  # it may be either
        with running("php", replace(WEB, umask=umask), None, "supervisord") as pid:
            control_groups[pid] = "/system.slice/supervisor.service"
            assert findings(logs, queue, mail) == []
    old = replace(WEB, groups=frozenset({UID}))
    with running("php", old, None, "supervisord") as pid:
        control_groups[pid] = "/system.slice/supervisor.service"
        (finding,) = findings(logs, queue, mail)
        assert finding.subject == "supervisor:queue or supervisor:mail"
        assert finding.remedy == (
            f"restart the one that has pid {pid}: supervisorctl status tells"
        )
    narrow = replace(WEB, umask=0o077)
    with running("php", narrow, None, "supervisord") as pid:
        control_groups[pid] = "/system.slice/supervisor.service"
        (finding,) = findings(logs, queue, mail)
        assert finding.evidence == f"pid {pid} has 0077, configured is 0002 or 0027"
        assert (finding.remedy or "").startswith("supervisorctl update (")
    with running("php", old, logs / "mail.log", "supervisord") as pid:
        control_groups[pid] = "/system.slice/supervisor.service"
        found = findings(logs, queue, mail)
    assert {each.subject for each in found} == {"supervisor:mail"}
    assert [each.code for each in found] == ["umask_stale", "groups_stale"]


def test_logs_that_nobody_will_read(
    control_groups: Groups, conf: Path, logs: Path
) -> None:
    with running("php", WEB, logs / "queue.log", "supervisord") as pid:
        control_groups[pid] = "/system.slice/supervisor.service"
        (logs / "queue.log").rename(logs / "queue.log.1")
        assert findings(logs, program("queue", conf, logs)) == []
        (logs / "queue.log").touch()
        (rotated,) = findings(logs, program("queue", conf, logs))
        (logs / "queue.log.1").unlink()
        (deleted,) = findings(logs, program("queue", conf, logs))
    assert {rotated.code, deleted.code} == {"deleted_file_held"}
    assert rotated.remedy == deleted.remedy == "supervisorctl restart queue"
    assert rotated.path == f"{logs}/queue.log.1"
    assert rotated.message.endswith("was rotated away: nobody looks for it there")
    assert deleted.message.endswith("was deleted: nobody will read it")


def test_a_log_of_each_day_is_not_rotated(
    control_groups: Groups, conf: Path, logs: Path
) -> None:
    (logs / "laravel.log").touch()
    with running("apache2", WEB, logs / "laravel-2026-11-23.log") as pid:
        control_groups[pid] = "/system.slice/apache2.service"
        assert findings(logs, apache(conf, logs)) == []


def test_who_no_policy_names_is_named_by_its_unit(
    control_groups: Groups, logs: Path
) -> None:
    agent = replace(WEB, uid=64002)
    with running("agent", agent, logs / "agent.log") as pid:
        assert [each.subject for each in findings(logs)] == ["process:agent:64002"]
        control_groups[pid] = "/system.slice/agent.service"
        (finding,) = findings(logs)
    assert finding.code == "undeclared_writer"
    assert finding.subject == "systemd:agent.service"
    assert finding.evidence == f"pid {pid} writes {logs}/agent.log"


def test_what_runs_alike_but_for_one_thing_has_two_ids(logs: Path) -> None:
    group = replace(WEB, gid=64009)  # and its first one is a further one
    others = (replace(WEB, umask=0o077), replace(WEB, groups=frozenset()), group)
    for other in others:
        with running("php", WEB, logs / "a"), running("php", other, logs / "b"):
            found = running_writers([str(logs)])
        ids = [each.identity.id for each in found.writers]
        assert len(set(ids)) == 2
        assert {each.partition(f":{UID}:")[0] for each in ids} == {"process:php"}
        policy = with_running(Policy(str(logs), (ROOT,)), found)
        assert len(policy.identities) == 3


def test_what_runs_alike_but_for_its_capabilities_has_two_ids(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running("php", WEB, logs / "a") as one, running("php", WEB, logs / "b"):

        def read_one(pid: int) -> Process | None:
            process = read_process(pid)
            if process is None or pid != one:
                return process
            may = replace(process.identity, capabilities=frozenset({"cap_fowner"}))
            return replace(process, identity=may)

        monkeypatch.setattr(_live, "read_process", read_one)
        found = running_writers([str(logs)])
    policy = with_running(Policy(str(logs), (ROOT,)), found)
    assert [each.id for each in policy.identities] == [
        "root",
        f"process:php:{UID}:0002:{UID}.64009:cap_fowner",
        f"process:php:{UID}:0002:{UID}.64009",
    ]


def test_what_runs_alike_in_and_out_of_a_sandbox_has_two_ids(
    control_groups: Groups, logs: Path
) -> None:
    with running("php", WEB) as one, running("php", WEB, logs / "b"):
        control_groups[one] = "/system.slice/agent.service"
        around = Surroundings("agent.service", Sandbox("strict"))
        found = running_writers(
            [str(logs)], Found((replace(unit(one, logs), surroundings=around),))
        )
    policy = with_running(Policy(str(logs), (ROOT,)), found)
    assert [each.id for each in policy.identities] == [
        "root",
        f"process:php:{UID}:0002:{UID}.64009:agent.service",
        f"process:php:{UID}:0002:{UID}.64009",
    ]


@pytest.mark.parametrize(
    ("path", "top", "service"),
    [
        ("/system.slice/apache2.service", "", "apache2.service"),
        (
            "/system.slice/system-php.slice/php@1.service/sub",
            "",
            "php@1.service",
        ),
        ("/machine/x/system.slice/a.service", "/machine/x", "a.service"),
        ("/machine/x/system.slice/a.service", "", None),
        ("/machine.slice/libpod-1.scope/system.slice/a.service", "", None),
        (
            "/user.slice/user-1.slice/user@1.service/app.slice/a.service",
            "",
            "user@1.service",
        ),
        ("/", "", None),
        ("", "", None),
        ("/system.slice", "", None),
        ("/systemd/a.service", "/system", None),
    ],
)
def test_service_in(path: str, top: str, service: str | None) -> None:
    assert service_in(path, top) == service


def test_control_group_of_a_process() -> None:
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    mine = _instances._control_group(os.getpid())
    assert any(line.endswith(f":{mine}") for line in lines)
    assert mine.startswith("/")
    assert _instances._control_group(2**22 + 1) == ""


def test_a_process_that_has_ended(
    control_groups: Groups, conf: Path, logs: Path
) -> None:
    with running("apache2", WEB) as pid:
        control_groups[pid] = "/system.slice/apache2.service"
    assert running_writers([str(logs)], Found((apache(conf, logs),))).writers == ()
    assert _instances._started(pid) == pytest.approx(time.time(), abs=5)


def test_when_a_process_was_started() -> None:
    before = time.time()
    with running("apache2", WEB) as pid:
        assert _instances._started(pid) == pytest.approx(before, abs=0.5)


def test_root_that_may_not_see_what_others_have_open(logs: Path) -> None:
    def as_in_a_container() -> list[str]:
        # Root's effective capabilities, but for CAP_SYS_PTRACE.
        kernel._set_effective(1 << 1 | 1 << 2)
        found = running_writers([str(logs)])
        assert found.writers == ()
        return [f"{each.path}: {each.message}" for each in found.problems]

    assert running_writers([str(logs)]).problems == ()
    with running("php", WEB, logs / "a.log"):
        (problem,) = kernel.in_child(as_in_a_container)
    assert problem.startswith("/proc: ")
    assert problem.endswith("root has no CAP_SYS_PTRACE here")
