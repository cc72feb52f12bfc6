# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is found to write, held against who is declared."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._identity import (
    Identity,
)
from ansible_collections.logward.permissions.plugins.module_utils._policy import Policy
from ansible_collections.logward.permissions.plugins.module_utils._running import (
    running_findings,
    with_running,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._sandbox import (
    Sandbox,
    Surroundings,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._source import (
    Found,
    Writer,
)

WEB = Identity("web", "web", 64001, 64001, frozenset({64009}))
POLICY = Policy("/srv/logs", (WEB,))


def running(identity: Identity, *logs: str, **keys: object) -> Writer:
    named = replace(identity, id=f"process:{identity.id}", source="running")
    return Writer(named, "process:php", "pid 7", logs, pids=(7,), **keys)  # type: ignore[arg-type]


def codes(*writers: Writer) -> list[tuple[str, str]]:
    found = running_findings(POLICY, Found(writers))
    return [(each.code, each.evidence) for each in found]


def test_one_that_runs_as_declared_lends_its_pids() -> None:
    policy = with_running(POLICY, Found((running(WEB, "/srv/logs/a"),)))
    assert policy.running == ()
    assert policy.writers == (WEB,)
    assert policy.writers[0].pids == (7,)
    assert codes(running(WEB, "/srv/logs/a")) == []


def test_one_with_another_umask_creates_other_files() -> None:
    narrow = replace(WEB, umask=0o077)
    policy = with_running(POLICY, Found((running(narrow, "/srv/logs/a"),)))
    assert [each.umask for each in policy.running] == [0o077]
    assert policy.creators == (WEB, *policy.running)
    # It is nobody whom the policy names: its files are not the policy's business.
    assert policy.users == {WEB.uid}
    assert policy.writers[0].pids == ()


def test_the_same_identity_is_not_found_twice() -> None:
    other = replace(WEB, uid=64002)
    both = (
        running(other, "/srv/logs/a"),
        running(replace(other, id="b"), "/srv/logs/b"),
    )
    assert len(with_running(POLICY, Found(both)).running) == 1


def test_one_that_writes_elsewhere_does_not_matter() -> None:
    other = replace(WEB, uid=64002)
    elsewhere = running(other, "/srv/logs.old/a", "/srv/log")
    assert with_running(POLICY, Found((elsewhere,))).running == ()
    assert codes(elsewhere) == []


def test_one_that_no_policy_names() -> None:
    agent = running(replace(WEB, uid=64002), "/srv/logs/agent.log")
    assert codes(agent) == [("undeclared_writer", "pid 7 writes /srv/logs/agent.log")]


def test_the_log_that_is_told_of_is_one_that_is_here() -> None:
    agent = running(replace(WEB, uid=64002), "/srv/agent.log", "/srv/logs/b")
    assert codes(agent) == [("undeclared_writer", "pid 7 writes /srv/logs/b")]


def test_one_that_was_started_before_its_user_was_in_a_group() -> None:
    stale = running(replace(WEB, groups=frozenset()), "/srv/logs/a")
    assert codes(stale) == [("groups_stale", "pid 7 lacks 64009")]


def test_root_is_let_in_without_being_in_a_group() -> None:
    root = replace(WEB, id="root", uid=0, gid=0)
    policy = Policy("/srv/logs", (root,))
    live = running(replace(root, groups=frozenset()), "/srv/logs/a")
    assert list(running_findings(policy, Found((live,)))) == []


def test_one_that_no_policy_names_is_told_once_if_it_runs_as_configured() -> None:
    agent = replace(WEB, uid=64002, source="configured")
    configured = Writer(agent, "agent", "agent.conf:1", ("/srv/logs/a",))
    live = running(agent, "/srv/logs/a", configured=(configured,))
    assert codes(configured, live) == [
        ("undeclared_writer", "agent.conf:1 writes /srv/logs/a")
    ]
    elsewhere = replace(configured, origin="agent.conf:2", logs=("/srv/a",))
    another = running(agent, "/srv/logs/a", configured=(elsewhere,))
    assert codes(elsewhere, another) == [
        ("undeclared_writer", "pid 7 writes /srv/logs/a")
    ]


def test_one_that_holds_a_deleted_log() -> None:
    holder = running(WEB, deleted=("/srv/logs/old.log",))
    assert codes(holder) == [("deleted_file_held", "pid 7")]


def test_a_service_whose_sandbox_keeps_it_out_is_another() -> None:
    """It must be able to write, as whoever is declared, and is told apart."""
    around = Surroundings("app.service", Sandbox("strict"))
    configured = Writer(
        replace(WEB, id="apache2", source="configured"),
        "apache2",
        "apache2.conf:7",
        ("/srv/logs/a",),
        surroundings=around,
    )
    policy = with_running(POLICY, Found((configured, running(WEB, "/srv/logs/b"))))
    (service,) = policy.running
    assert service.name == "web in app.service"
    assert service.sandbox == around.sandboxed("/srv/logs")
    assert policy.writers[0].sandbox is None
    assert policy.writers[0].pids == (7,)


@pytest.mark.parametrize("deleted", [(), ("/srv/logs/old",)])
def test_a_process_that_was_given_its_log_needs_not_create_it(
    deleted: tuple[str, ...],
) -> None:
    around = Surroundings("app.service", Sandbox("strict"))
    logs = () if deleted else ("/srv/logs/a",)
    given = running(WEB, *logs, deleted=deleted, surroundings=around)
    assert with_running(POLICY, Found((given,))).running == ()
    elsewhere = replace(
        given, logs=("/srv/l",), deleted=(), configured=(running(WEB, "/srv/logs/b"),)
    )
    (service,) = with_running(POLICY, Found((elsewhere,))).running
    assert service.sandbox is not None


def test_a_sandbox_that_lets_it_write_the_logs_does_not_matter() -> None:
    around = Surroundings("app.service", Sandbox("full", private_tmp=True))
    sandboxed = running(WEB, "/srv/logs/a", surroundings=around)
    policy = with_running(POLICY, Found((sandboxed,)))
    assert policy.running == ()
    assert policy.writers[0].pids == (7,)


def test_a_module_that_decides_about_all_decides_about_who_is_declared() -> None:
    declared = replace(POLICY, readers=(replace(WEB, id="r"),), others=(WEB,))
    host = Found((running(WEB, "/srv/logs/a"),), confined_by="SELinux")
    policy = with_running(declared, host)
    everybody = (*policy.writers, *policy.readers, *policy.others)
    assert [each.confined_by for each in everybody] == ["SELinux"] * 3
    assert policy.running == ()
    assert policy.writers[0].pids == (7,)


def test_a_process_that_is_confined_is_not_as_declared() -> None:
    apache = replace(WEB, confined_by="AppArmor (apache2)")
    policy = with_running(POLICY, Found((running(apache, "/srv/logs/a"),)))
    assert [each.confined_by for each in policy.running] == ["AppArmor (apache2)"]
    assert policy.writers[0].confined_by is None
    assert policy.writers[0].pids == ()


def test_what_is_configured_does_not_run_yet() -> None:
    """Its groups may be other ones than declared, but not old ones."""
    configured = replace(WEB, groups=frozenset(), source="configured")
    job = Writer(configured, "cron:job:1", "job:1", ("/srv/logs/a",))
    assert codes(job) == []


def test_a_primary_group_that_is_not_its_users() -> None:
    own = replace(WEB, groups=frozenset({64001, 64009}))
    policy = Policy("/srv/logs", (own,))
    other = running(replace(own, gid=64005, groups=frozenset({64009})), "/srv/logs/a")
    assert list(running_findings(policy, Found((other,)))) == []
