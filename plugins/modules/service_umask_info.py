#!/usr/bin/python
# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING)
"""Tell which umask services are configured with, and which they run with."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_umask_info
short_description: Tell the umask that services are configured and run with
version_added: 0.1.0
description:
  - Tells for each service which umask it is configured with, and where; which umask and groups its
    processes run with; and whether it takes a reload or a restart until both are the same.
  - Changes nothing, and takes no lock.
extends_documentation_fragment:
  - logward.permissions._attributes
  - logward.permissions._attributes.info_module
  - logward.permissions._services
attributes:
  safe_file_operations:
    support: full
seealso:
  - module: logward.permissions.service_umask
author:
  - Logward contributors (@logward)
"""

EXAMPLES = r"""
- name: Look at what the web server and the queue worker run with
  logward.permissions.service_umask_info:
    services: [apache2, supervisor:payments-worker]
  register: umasks

- name: Show what has to be restarted, and why
  ansible.builtin.debug:
    msg: "{{ item.name }}: {{ item.restart_needed }}, {{ item.why }}"
  loop: "{{ umasks.services }}"
"""

RETURN = r"""
services:
  description: One entry for each service, in the order of O(services).
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The service. V(php-fpm) stands for each version that is installed.
      returned: success
      type: str
      sample: supervisor:payments-worker
    configured:
      description: What it is started with the next time.
      returned: success
      type: dict
      contains:
        umask:
          description: Four octal digits.
          returned: success
          type: str
          sample: '0022'
        path:
          description: The file that sets it; V(null) where nothing does.
          returned: success
          type: str
          sample: /etc/supervisor/conf.d/payments-worker.conf
        line:
          description: The line in that file; V(null) where there is none.
          returned: success
          type: int
          sample: 6
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
          sample: 412
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
          sample: [33, 997]
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
        pid 412 runs with umask 0022, and 0002 is configured; supervisord sets it when it starts a
        process, after reread and update
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    LogwardError,
)
from ansible_collections.logward.permissions.plugins.module_utils._options import (
    service_options,
)
from ansible_collections.logward.permissions.plugins.module_utils._service_umask import (
    umask_info,
)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=service_options(), supports_check_mode=True)
    try:
        result = umask_info(module.params["services"])
    except (LogwardError, OSError) as error:
        module.fail_json(msg=str(error))
    else:
        module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
