#!/usr/bin/python
# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING)
"""Give services another umask."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_umask
short_description: Configure the umask that services create files with
version_added: 0.1.0
description:
  - Sets the umask of services in their own configuration, where it is set already, or else where it
    belongs. Comments and order stay as they are.
  - Apache, in C(/etc/apache2/envvars), or in its unit if that sets it. A program of supervisor, in
    its section, in whichever file that is. C(supervisord) itself, PHP-FPM and all other units, in
    C(/etc/systemd/system/UNIT.d/logward.conf), or in what the administrator has there already;
    systemd reads its files again then.
  - An edit is tried on a copy first, and made only if the service's own check takes it. It is in
    the journal before it is made, and M(logward.permissions.journal_restore) takes it back.
  - Restarts nothing. RV(services[].restart_needed) tells what is due.
options:
  umask:
    description:
      - Four octal digits, quoted, such as V('0002'). One that takes permissions from the owner of
        new files is refused.
      - A wider umask opens whatever the service creates, uploads for instance. With a default ACL
        on a log directory, as M(logward.permissions.log_directory) sets it, no umask matters there.
    type: str
    required: true
  run_id:
    description:
      - The name of the run in the journal. Calls with the same name belong together.
      - Left out, it is made from the time and the host's name.
    type: str
extends_documentation_fragment:
  - logward.permissions._attributes
  - logward.permissions._services
  - logward.permissions._journal
  - logward.permissions._keep
notes:
  - Refuses a file that others than root can write or exchange, or that has further hard links.
  - supervisor's configuration may name variables of the daemon's environment, which is not looked
    into. V(0) stands for each of them while the configuration is checked.
seealso:
  - module: logward.permissions.service_umask_info
  - module: logward.permissions.journal_restore
author:
  - Logward contributors (@logward)
"""

EXAMPLES = r"""
- name: Let what the web server and the queue worker create be writable for their group
  logward.permissions.service_umask:
    services: [apache2, supervisor:payments-worker]
    umask: '0002'

- name: The same for a unit of the application's own
  logward.permissions.service_umask:
    services: ['systemd:payments.service']
    umask: '0007'
"""

RETURN = r"""
run_id:
  description: The name of the run in the journal.
  returned: success
  type: str
  sample: 20261123T000512.104233-web1
files:
  description: The files that were edited, or would be in check mode.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The file.
      returned: success
      type: str
      sample: /etc/apache2/envvars
    path_b64:
      description: The bytes of the path in Base64.
      returned: when it is not printable UTF-8
      type: str
services:
  description:
    - Each service as it is now, or would be in check mode. See
      M(logward.permissions.service_umask_info).
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The service. V(php-fpm) stands for each version that is installed.
      returned: success
      type: str
      sample: apache2
    configured:
      description: What it is started with the next time.
      returned: success
      type: dict
      contains:
        umask:
          description: Four octal digits.
          returned: success
          type: str
          sample: '0002'
        path:
          description: The file that sets it; V(null) where nothing does.
          returned: success
          type: str
          sample: /etc/apache2/envvars
        line:
          description: The line in that file; V(null) where there is none.
          returned: success
          type: int
          sample: 48
    running:
      description:
        - Its processes, none where it does not run. Of V(systemd:UNIT) that is the main process.
      returned: success
      type: list
      elements: dict
      contains:
        pid:
          description: The process.
          returned: success
          type: int
          sample: 812
        umask:
          description: Four octal digits.
          returned: success
          type: str
          sample: '0022'
        groups:
          description: The gids of all its groups.
          returned: success
          type: list
          elements: int
          sample: [33]
    restart_needed:
      description:
        - V(none), V(reload) or V(restart), what it takes at least until all processes run with what
          is configured. V(none) where it does not run.
      returned: success
      type: str
      sample: restart
    why:
      description: One sentence.
      returned: success
      type: str
      sample: >-
        pid 812 and 5 more run with umask 0022, and 0002 is configured; the processes that a reload
        starts inherit the old one
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    LogwardError,
)
from ansible_collections.logward.permissions.plugins.module_utils._options import (
    journal_options,
    keep_options,
    service_options,
)
from ansible_collections.logward.permissions.plugins.module_utils._service_umask import (
    parse_umask_options,
    preview_umask,
    set_umask,
)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **service_options(),
            **journal_options(),
            **keep_options(),
            "umask": {"type": "str", "required": True},
            "run_id": {"type": "str"},
        },
        supports_check_mode=True,
    )
    try:
        options = parse_umask_options(module.params)
        run = preview_umask if module.check_mode else set_umask
        result = run(options)
    except (LogwardError, OSError) as error:
        module.fail_json(msg=str(error))
    else:
        module.exit_json(**result)


if __name__ == "__main__":
    main()
