# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a rollback says of each host: readable in 80 columns, whatever names there are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

TEMPLATE = Path("playbooks/templates/rollback.txt.j2").resolve()
MOST = 66
RUN = "20261123T000512.104233-web1"


def lines(check: bool = False, **result: Any) -> list[str]:
    """Render the template as the playbook does."""
    # Once the controller's side of Ansible is imported, modules that are run in
    # the same process read and print JSON as it does: not while tests are found.
    from ansible.parsing.dataloader import DataLoader  # noqa: PLC0415
    from ansible.template import Templar, trust_as_template  # noqa: PLC0415

    done = {
        "run_id": RUN,
        "restored": 3,
        "as_before": 1,
        "files": [],
        "ignored_entries": 0,
        "left_alone": [],
        **result,
    }
    variables = {
        "logward_rollback": done,
        "ansible_check_mode": check,
        "inventory_hostname": "web1",
    }
    template = trust_as_template(TEMPLATE.read_text(encoding="utf-8"))
    text = Templar(DataLoader(), variables=variables).template(template)
    assert isinstance(text, str)
    return text.splitlines()


def test_what_was_done_and_how_to_take_it_back() -> None:
    assert lines(restore_run_id="later") == [
        "3 inode(s) put back, 1 as before already",
        f"of the run {RUN}",
        "To take that back, too",
        "ansible-playbook logward.permissions.rollback",
        "-e logward_run_id=later",
        "--limit web1",
    ]


def test_what_would_be_done() -> None:
    assert lines(check=True) == [
        "3 inode(s) would be put back, 1 as before already",
        f"of the run {RUN}",
    ]


def test_files_that_were_edited() -> None:
    files = [{"path": "/etc/apache2/envvars"}, {"path": "/etc/a: b.conf"}]
    expected = [
        "FILE /etc/apache2/envvars",
        "FILE /etc/a - b.conf",
        "Services run with them once they are restarted.",
    ]
    assert lines(files=files)[2:] == [
        "2 configuration file(s) hold again what was there before",
        *expected,
    ]
    assert lines(check=True, files=files)[2:] == [
        "2 configuration file(s) would hold again what was there before",
        *expected,
    ]


def test_host_without_the_run() -> None:
    assert lines(run_missing=True, msg="run_id: 'x' is not in /var. Name one of y") == [
        "Nothing to take back.",
        "run_id - 'x' is not in /var. Name one of y",
    ]


def test_run_that_was_killed() -> None:
    assert lines(ignored_entries=7)[2:] == [
        "It was killed, and had recorded 7 change(s) that it never made."
    ]


@pytest.mark.parametrize(
    "name",
    ["a: b", "{{ 7 * 7 }}", "'quo\"te", "\\n", "x" * 200, "a b " * 50],
)
def test_no_name_needs_quotes_or_more_columns(name: str) -> None:
    left_alone = {"path": f"/srv/{name}.log", "reason": "changed_since", "count": 2}
    files = [{"path": f"/srv/{name}.conf"}]
    shown = lines(left_alone=[left_alone], files=files)[2:]
    assert any(line.startswith("LEFT ALONE 2 changed_since, first") for line in shown)
    assert max(map(len, shown)) <= MOST
    dumped = yaml.safe_dump(shown, allow_unicode=True, width=80)
    assert dumped == "".join(f"- {line}\n" for line in shown)
