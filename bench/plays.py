# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The audit playbook on one host, beside a play with a single module task.

Ten directories of 1,000 files each, on this machine, with a local connection:
what Ansible itself costs is in both. Needs root.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from audit import PYTHON, ROOT, made
from compare import Run, arguments, interleaved, print_table, wall

DIRECTORIES = 10
FILES = 1_000
BARE = """\
- hosts: all
  become: true
  gather_facts: false
  tasks:
    - name: One module task
      logward.permissions.log_directory_info:
        directories: "{{{{ logward_directories }}}}"
        max_listed: {listed}
"""


def main() -> None:
    """Make the trees, measure, print a table."""
    options = arguments(__doc__, rounds=11)
    os.environ["ANSIBLE_CONFIG"] = str(ROOT / "ansible.cfg")
    with TemporaryDirectory(prefix="logward-bench-", dir="/srv") as place:
        seconds = interleaved(contestants(Path(place)), options.rounds)
    title = f"A play over {DIRECTORIES} directories of {FILES:,} files"
    print_table(title, seconds, "audit playbook")


def contestants(place: Path) -> Mapping[str, Run]:
    """Make the trees; return the plays to run on them."""
    place.chmod(0o755)
    writers = {"writers": ["www-data", "daemon", "root"], "readers": ["@adm", "nobody"]}
    declared = []
    for number in range(DIRECTORIES):
        (place / f"{number}").mkdir()
        logs = made(place / f"{number}", FILES)
        declared.append({"path": str(logs), **writers})
    variables = place / "variables.json"
    variables.write_text(json.dumps({"logward_directories": declared}))
    bare = {}
    for listed in (100, 5):
        bare[listed] = place / f"bare-{listed}.yml"
        bare[listed].write_text(BARE.format(listed=listed))
    common = (
        *("ansible-playbook", "-i", "localhost,", "-c", "local"),
        *("-e", f"@{variables}", "-e", f"ansible_python_interpreter={PYTHON}"),
    )
    audit = str(ROOT / "playbooks/audit.yml")
    return {
        "audit playbook": wall(*common, audit),
        "without the probe": wall(*common, "-e", "logward_probe=false", audit),
        "a bare module task": wall(*common, str(bare[100])),
        "with max_listed: 5": wall(*common, str(bare[5])),
        "ansible.builtin.ping": wall(
            *("ansible", "all", "-i", "localhost,", "-c", "local", "-m", "ping"),
            *("-e", f"ansible_python_interpreter={PYTHON}"),
        ),
    }


if __name__ == "__main__":
    main()
