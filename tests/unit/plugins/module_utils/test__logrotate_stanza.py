# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stanzas that are edited, and what the real logrotate does with them then."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.logward.permissions.plugins.module_utils import (
    _logrotate_stanza,
)
from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    HostError,
)
from ansible_collections.logward.permissions.plugins.module_utils._logrotate_stanza import (
    edit_stanzas,
    parse_stanza_options,
    preview_stanzas,
)
from ansible_collections.logward.permissions.plugins.module_utils._policy import (
    parse_policies,
)
from ansible_collections.logward.permissions.plugins.module_utils._repair import repair
from ansible_collections.logward.permissions.plugins.module_utils._restore import (
    RestoreOptions,
    restore,
)
from ansible_collections.logward.permissions.plugins.module_utils._run import (
    RunOptions,
)
from ansible_collections.logward.permissions.tests.unit.plugins.module_utils._managers.said import (
    OLD,
    dry_run,
)

WEB, GAMES = 33, 5
STANZA = """\
# The application's logs {
@/app.log {
\tdaily
\trotate 3
\t# three of them
\tcreate 0640 www-data adm
\tpostrotate
\t\ttrue }
\tendscript
}
@/other/x.log {
    missingok
}
"""


@pytest.fixture
def logs(site: Path) -> Path:
    path = site / "logs"
    path.mkdir()
    (path / "app.log").write_text("a line\n")
    for each in (path, path / "app.log"):
        os.chown(each, WEB, WEB)
    return path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where logrotate is configured, as Debian does it."""
    (tmp_path / "logrotate.d").mkdir()
    (tmp_path / "logrotate.conf").write_text(
        f"weekly\ncreate\ninclude {tmp_path}/logrotate.d\n"
    )
    return tmp_path


def params(logs: Path, place: Path, **more: Any) -> dict[str, Any]:
    return {
        "directories": [{"path": str(logs), "writers": ["www-data", "games", "root"]}],
        "identities": [],
        "configuration": str(place / "logrotate.conf"),
        "unmanaged": "fail",
        "run_id": "one",
        "journal_dir": str(place / "journal"),
        "lock_timeout": 0,
        "journal_keep": 100,
        "journal_keep_days": 90,
        **more,
    }


def state_in(place: Path) -> Path:
    """Return a state file. logrotate 3.18 calls it an error if there is none."""
    path = place / "state"
    if not path.exists():
        path.write_text("logrotate state -- version 2\n")
    return path


def written(logs: Path, place: Path, text: str, name: str = "app") -> Path:
    path = place / "logrotate.d" / name
    path.write_bytes(text.replace("@", str(logs)).encode())
    path.chmod(0o644)
    return path


def repaired(logs: Path, place: Path) -> None:
    policies = parse_policies(
        [{"path": str(logs), "writers": ["www-data", "games", "root"]}], []
    )
    repair(policies, RunOptions("repair", str(place / "journal"), 0))


def append_as(uid: int, path: Path) -> int:
    command = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    return subprocess.run(
        [*command, "sh", "-c", f"echo x >> {path}"], capture_output=True, check=False
    ).returncode


@pytest.mark.usefixtures("quiet_host")
def test_after_the_edit_a_rotation_locks_nobody_out(logs: Path, place: Path) -> None:
    path = written(logs, place, STANZA)
    repaired(logs, place)
    rotate = ["logrotate", "-f", "-s", f"{place}/state", f"{place}/logrotate.conf"]
    before = subprocess.run(rotate, capture_output=True, text=True, check=False)
    assert "insecure permissions" in before.stderr
    result = edit_stanzas(parse_stanza_options(params(logs, place)))
    assert result["changed"]
    text = path.read_text()
    wanted = STANZA.replace("@", str(logs)).replace("create 0640", "create 0660")
    assert text == wanted.replace("{\n\tdaily", "{\n\tsu www-data www-data\n\tdaily")
    lines = ["su www-data www-data", "create 0660 www-data adm"]
    (stanza,) = result["directories"][0]["stanzas"]
    assert (stanza["line"], stanza["set"]) == (2, lines)
    assert result["files"] == [{"path": str(path)}]
    assert not dry_run(place / "logrotate.conf", state_in(place)).errors
    if OLD:
        return  # it cannot rotate as somebody who cannot give the file to adm
    subprocess.run(rotate, capture_output=True, check=True)
    assert (logs / "app.log").read_text() == ""
    for uid in (WEB, GAMES, 0):
        assert append_as(uid, logs / "app.log") == 0
    assert os.stat(logs / "app.log").st_mode & 0o777 == 0o660


@pytest.mark.usefixtures("quiet_host")
def test_check_mode_says_it_and_a_second_run_changes_nothing(
    logs: Path, place: Path
) -> None:
    path = written(logs, place, STANZA)
    before = path.read_bytes()
    options = parse_stanza_options(params(logs, place))
    preview = preview_stanzas(options)
    assert path.read_bytes() == before
    assert not (place / "journal").exists()
    repaired(logs, place)
    done = edit_stanzas(options)
    for key in ("changed", "diff", "files", "directories"):
        assert preview[key] == done[key]
    (diff,) = done["diff"]
    assert "su www-data www-data" in diff["after"]
    assert "rotate" not in diff["after"] + diff["before"]
    again = edit_stanzas(parse_stanza_options(params(logs, place, run_id="two")))
    assert (again["changed"], again["diff"], again["files"]) == (False, [], [])
    assert again["directories"][0]["stanzas"][0]["set"] == []


@pytest.mark.usefixtures("quiet_host")
def test_it_is_taken_back_to_the_byte(logs: Path, place: Path) -> None:
    path = written(logs, place, STANZA)
    before = path.read_bytes()
    edit_stanzas(parse_stanza_options(params(logs, place)))
    assert path.read_bytes() != before
    restore(RestoreOptions("one", str(place / "journal"), 0))
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("@/app.log {\n}\n", "@/app.log {\n    su www-data www-data\n}\n"),
        ("@/app.log { }\n", "@/app.log {\n    su www-data www-data\n}\n"),
        (
            "@/app.log\n# a {\n{ daily\n}\n",
            "@/app.log\n# a {\n{\n    su www-data www-data\n    daily\n}\n",
        ),
        (
            "@/app.log {\r\n  daily\r\n}\r\n",
            None,  # logrotate does not take a carriage return there, either
        ),
        ("@/app.log {\n su root adm\n}\n", "@/app.log {\n su root adm\n}\n"),
        (
            "@/app.log {\n su nobody nogroup # x\n}\n",
            None,
        ),
        (
            "@/app.log {\n su daemon daemon\n daily\n}\n",
            "@/app.log {\n su www-data www-data\n daily\n}\n",
        ),
        (
            "@/app.log {\n daily create 0600 root adm\n}\n",
            "@/app.log {\n su www-data www-data\n daily create 0660 root adm\n}\n",
        ),
        (
            "create 0600 root adm\n@/app.log {\n daily\n}\n",
            (
                "create 0600 root adm\n@/app.log {\n"
                " su www-data www-data\n create 0660 root adm\n daily\n}\n"
            ),
        ),
        (
            "@/app.log {\n nocreate\n}\n@/b.log {\n missingok\n}\n",
            (
                "@/app.log {\n su www-data www-data\n nocreate\n}\n"
                "@/b.log {\n missingok\n}\n"
            ),
        ),
    ],
)
@pytest.mark.usefixtures("quiet_host")
def test_the_smallest_edit(
    logs: Path, place: Path, text: str, wanted: str | None
) -> None:
    path = written(logs, place, text)
    repaired(logs, place)
    options = parse_stanza_options(params(logs, place))
    if wanted is None:
        with pytest.raises(HostError, match="no stanza of logrotate"):
            edit_stanzas(options)
        return
    edit_stanzas(options)
    assert path.read_bytes().decode() == wanted.replace("@", str(logs))
    assert not dry_run(place / "logrotate.conf", state_in(place)).errors


BROKEN = "@/app.log {\n create 0640 nobody-here adm\n}\n"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("@/none/*.log {\n}\n", "no stanza of logrotate rotates a log in"),
        ("@/app.log {\n}\n@/*.log {\n}\n", "is named twice: .* line 1 and .* line 3"),
        (BROKEN, "names a user that this host does not have"),
        ("@/app.log {\n}\nrotate x\n", "logrotate -d does not take"),
    ],
)
@pytest.mark.usefixtures("quiet_host")
def test_what_is_refused_and_left_as_it_is(
    logs: Path, place: Path, text: str, reason: str
) -> None:
    path = written(logs, place, text)
    before = path.read_bytes()
    for run in (preview_stanzas, edit_stanzas):
        with pytest.raises(HostError, match=reason):
            run(parse_stanza_options(params(logs, place)))
    assert path.read_bytes() == before


@pytest.mark.usefixtures("quiet_host")
@pytest.mark.usefixtures("quiet_host")
def test_a_mistake_is_found_however_many_logs_there_are(
    logs: Path, place: Path
) -> None:
    for number in range(1000):
        (logs / f"{number}.txt").touch()
        os.utime(logs / f"{number}.txt", (0, 0))
    written(logs, place, "@/*.txt {\n}\n", "many")
    path = written(logs, place, "@/app.log {\n}\nrotate x\n")
    before = path.read_bytes()
    with pytest.raises(HostError, match="logrotate -d does not take"):
        edit_stanzas(parse_stanza_options(params(logs, place)))
    assert path.read_bytes() == before


@pytest.mark.usefixtures("quiet_host")
def test_logrotate_says_too_much(
    logs: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(logs, place, STANZA)
    before = path.read_bytes()
    monkeypatch.setattr(_logrotate_stanza, "_MOST_SAID", 100)
    with pytest.raises(HostError, match="logrotate -d says more than 100 bytes"):
        edit_stanzas(parse_stanza_options(params(logs, place)))
    assert path.read_bytes() == before


def test_a_log_whose_name_looks_like_a_mistake(logs: Path, place: Path) -> None:
    path = written(logs, place, "@/*.log {\n}\n")
    (logs / f"x\nerror: {path.name} 1: no.log").touch()
    assert edit_stanzas(parse_stanza_options(params(logs, place)))["changed"]
    command = ["logrotate", "-d", f"{place}/logrotate.conf"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    assert f"\nerror: {path.name} 1: no.log" in said


def test_a_mistake_elsewhere_stays_what_it_was(logs: Path, place: Path) -> None:
    written(logs, place, "/no/such.log {\n rotate x\n}\n", "broken")
    path = written(logs, place, STANZA)
    assert edit_stanzas(parse_stanza_options(params(logs, place)))["changed"]
    assert "su www-data" in path.read_text()


def test_a_host_without_logrotate(
    logs: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(logs, place, STANZA)
    monkeypatch.setattr(_logrotate_stanza, "_PATH", "/nowhere")
    with pytest.raises(HostError, match="not installed"):
        edit_stanzas(parse_stanza_options(params(logs, place)))
    result = edit_stanzas(parse_stanza_options(params(logs, place, unmanaged="skip")))
    assert not result["changed"]
    assert result["directories"] == [{"path": str(logs), "stanzas": []}]


def test_a_configuration_that_is_not_there(logs: Path, place: Path) -> None:
    (place / "logrotate.conf").unlink()
    with pytest.raises(HostError, match="does not exist"):
        edit_stanzas(parse_stanza_options(params(logs, place)))


@pytest.mark.usefixtures("quiet_host")
def test_unmanaged_directories_can_be_skipped(logs: Path, place: Path) -> None:
    options = parse_stanza_options(params(logs, place, unmanaged="skip"))
    result = edit_stanzas(options)
    assert not result["changed"]
    assert result["directories"] == [{"path": str(logs), "stanzas": []}]


@pytest.mark.usefixtures("quiet_host")
def test_asking_makes_no_directory(logs: Path, place: Path) -> None:
    text = "@/app.log {\n createolddir 0750 root root\n olddir old\n nocreate\n}\n"
    path = written(logs, place, text)
    before = path.read_text()
    preview_stanzas(parse_stanza_options(params(logs, place)))
    assert not (logs / "old").exists()
    assert path.read_text() == before


@pytest.mark.usefixtures("quiet_host")
def test_a_file_that_others_can_write(logs: Path, place: Path) -> None:
    path = written(logs, place, STANZA)
    (place / "logrotate.d").chmod(0o777)
    before = path.read_bytes()
    with pytest.raises(HostError):
        edit_stanzas(parse_stanza_options(params(logs, place)))
    assert path.read_bytes() == before
