#!/usr/bin/python
# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING)
"""Restart services that need it, and see that they come back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_restart
short_description: Restart services that need it, and see that they come back
version_added: 0.1.0
description:
  - Restarts only what is named, and by default only where the running state needs it, because a
    process runs with a umask or with groups that are not configured any more, or because the
    service does not run. What a repair with ACLs has changed needs no restart.
  - One after another, Apache first, then supervisor and its programs, then the rest. The service's
    own check must take its configuration before it is touched. Apache and PHP-FPM are reloaded,
    without losing a request, where that is enough.
  - Afterwards new processes must be there, must stay up (programs of supervisor for their
    C(startsecs)), and must have the umask and groups that are configured, as C(/proc) shows them.
  - Talks to supervisor through its unix socket alone, and never runs an C(update), which would
    restart others, too. A program whose own configuration has changed is removed and added, with
    its group, if all programs of that are named.
  - What cannot be restarted (its configuration is broken, its budget is spent, supervisor does not
    answer) is left running as it is. The others are restarted, and the module fails in the end.
  - One that does not come back ends the run. What O(run_id) has edited of it is put back, it is
    started again, and the module fails with its last log lines. Services after it are not touched.
    Permissions are left as they are.
options:
  mode:
    description:
      - V(auto) restarts what the running state needs, and starts what does not run.
      - V(always) restarts all of them. Apache and PHP-FPM are reloaded where that is enough.
      - V(never) only says what would be due.
    type: str
    choices:
      - auto
      - always
      - never
    default: auto
  max_per_hour:
    description:
      - How often a service may be touched within an hour, whoever asks for it. Counted in
        C(/var/lib/logward/restarts.json).
    type: int
    default: 3
  timeout:
    description:
      - How long a service may take, in seconds, to stop and to come back. Programs of supervisor
        get their C(stopwaitsecs) in addition.
    type: int
    default: 60
  run_id:
    description:
      - The run whose edits of a service's configuration are put back if it does not come back with
        them, as M(logward.permissions.service_umask) returned it. Left out, nothing is put back.
      - An edit of a file that several services share goes back for all of them.
    type: str
  umask:
    description:
      - In check mode, the umask that M(logward.permissions.service_umask) would have given all of
        O(services) by then, so that what it makes due is told. Otherwise what is configured counts.
    type: str
attributes:
  diff_mode:
    support: none
    details:
      - RV(services) tells what is done and why. No file is changed, but by RV(put_back).
  idempotent:
    support: partial
    details:
      - With O(mode=always) each run restarts services.
extends_documentation_fragment:
  - logward.permissions._attributes
  - logward.permissions._services
  - logward.permissions._journal
notes:
  - Name only what is meant to run at all times, because what does not run is started. Units that
    something else starts, as a timer does, and those of C(Type=oneshot) are left alone.
seealso:
  - module: logward.permissions.service_umask
  - module: logward.permissions.service_umask_info
author:
  - Logward contributors (@logward)
"""

EXAMPLES = r"""
- name: Restart what runs with an old umask or with old groups
  logward.permissions.service_restart:
    services: [apache2, 'supervisor:payments-worker']

- name: Do what the runbook says
  logward.permissions.service_restart:
    services: [apache2, 'supervisor:payments:*']
    mode: always
"""

RETURN = r"""
services:
  description: The services, in the order in which they are restarted. Also where the module fails.
  returned: when the services are known
  type: list
  elements: dict
  contains:
    name:
      description: The service.
      returned: always
      type: str
      sample: supervisor:payments-worker
    action:
      description: V(none), V(reload), V(restart) or V(start); in check mode, what would be done.
      returned: always
      type: str
      sample: restart
    why:
      description: Why that, or why nothing.
      returned: always
      type: str
      sample: pid 812 of queue lacks adm; supervisord looks them up when it starts a process
    before:
      description: Its processes before.
      returned: always
      type: list
      elements: dict
      contains: &running
        pid:
          description: The process.
          returned: always
          type: int
          sample: 812
        umask:
          description: Its umask, four octal digits.
          returned: always
          type: str
          sample: '0022'
        groups:
          description: The ids of its groups, the primary one among them.
          returned: always
          type: list
          elements: int
          sample: [33, 998]
    after:
      description: Its processes afterwards. In check mode, as before.
      returned: always
      type: list
      elements: dict
      contains: *running
    seconds:
      description: How long it took until it was back, in seconds.
      returned: always
      type: float
      sample: 3.4
put_back:
  description: The configuration files that were put back, because a service did not come back.
  returned: when the services are known
  type: list
  elements: str
  sample: []
last_lines:
  description:
    - What the service that did not come back has logged last, at most 20 lines and 4 KiB, control
      characters escaped.
  returned: when the services are known
  type: list
  elements: str
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    LogwardError,
)
from ansible_collections.logward.permissions.plugins.module_utils._options import (
    journal_options,
    service_options,
)
from ansible_collections.logward.permissions.plugins.module_utils._service_restart import (
    RestartFailed,
    parse_restart_options,
    preview_restart,
    restart,
)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "mode": {
                "type": "str",
                "default": "auto",
                "choices": ["auto", "always", "never"],
            },
            "max_per_hour": {"type": "int", "default": 3},
            "timeout": {"type": "int", "default": 60},
            "run_id": {"type": "str"},
            "umask": {"type": "str"},
            **service_options(),
            **journal_options(),
        },
        supports_check_mode=True,
    )
    try:
        options = parse_restart_options(module.params)
        result = preview_restart(options) if module.check_mode else restart(options)
    except RestartFailed as error:
        module.fail_json(msg=str(error), **error.result)
    except (LogwardError, OSError) as error:
        module.fail_json(msg=str(error))
    else:
        module.exit_json(**result)


if __name__ == "__main__":
    main()
