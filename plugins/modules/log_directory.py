#!/usr/bin/python
# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING)
"""Make log directories such that everybody who must write there can."""

from __future__ import annotations

DOCUMENTATION = r"""
module: log_directory
short_description: Let every writer write today's and all next log files
version_added: 0.1.0
description:
  - Sets owner, group, setgid bit, access ACL and default ACL of log directories and of the files in
    them, so that everybody whom the policy names can write and read what is there and whatever
    appears next. Only what is not so already is changed.
  - The directory itself comes first, then the files that changed last, then the rest. Files that
    are created meanwhile are right from the start, and those that vanish are counted.
  - Works through descriptors and follows no symbolic link, so that the application's user can gain
    nothing by exchanging files meanwhile. Files with further hard links, of owners whom the policy
    does not name, or with setuid, setgid or capabilities are left alone and reported.
  - What was there is in a journal on disk before it is changed, and
    M(logward.permissions.journal_restore) puts it back.
  - A diff has a line for each inode, which says only what changes. What does not fit 80 columns,
    which happens to directories that get a default ACL, goes on below, indented. The first 100 are
    shown, the rest is counted.
  - Two processes share a large directory.
  - Needs no C(setfacl) on the host.
options:
  run_id:
    description:
      - The name of the run in the journal. Calls with the same name belong together.
      - Left out, it is made from the time and the host's name.
    type: str
extends_documentation_fragment:
  - logward.permissions._attributes
  - logward.permissions._directories
  - logward.permissions._journal
  - logward.permissions._keep
seealso:
  - module: logward.permissions.log_directory_info
  - module: logward.permissions.journal_restore
author:
  - Logward contributors (@logward)
"""

EXAMPLES = r"""
- name: Let web server, queue worker and cron job write the payments logs
  logward.permissions.log_directory:
    directories:
      - path: /srv/payments/storage/logs
        writers: [www-data, queue, root]
        readers: ['@adm']

- name: The same for a worker that runs with other groups than its user has
  logward.permissions.log_directory:
    directories:
      - path: /srv/orders/logs
        writers: [www-data, orders-worker]
        exclude: [archive]
    identities:
      - name: orders-worker
        user: queue
        groups: []
        umask: '0027'

- name: Let the members of one group write, without ACL entries, all with umask 0002
  logward.permissions.log_directory:
    directories:
      - path: /srv/invoices/logs
        writers: [invoices-web, invoices-worker]
        group: invoices
        strategy: group
        exact: true
    identities:
      - name: invoices-web
        umask: '0002'
      - name: invoices-worker
        umask: '0002'
"""

RETURN = r"""
run_id:
  description: The name of the run in the journal.
  returned: success
  type: str
  sample: 20261123T000512.104233-web1
directories:
  description: What was done, one entry for each of O(directories).
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The log directory.
      returned: success
      type: str
      sample: /srv/payments/storage/logs
    path_b64:
      description: The bytes of the path in Base64.
      returned: when it is not printable UTF-8
      type: str
    changed_inodes:
      description: How many inodes were changed, or would be in check mode.
      returned: success
      type: int
      sample: 2
    skipped:
      description: What was left alone, one entry for each reason.
      returned: success
      type: list
      elements: dict
      contains:
        path:
          description: The first of them, relative to the log directory.
          returned: success
          type: str
          sample: current.log
        path_b64:
          description: The bytes of the path in Base64.
          returned: when it is not printable UTF-8
          type: str
        reason:
          description:
            - The code of the finding; or V(vanished), or V(changes_all_the_time), for what others
              kept changing.
          returned: success
          type: str
          sample: symbolic_link
        count:
          description: How many there are.
          returned: success
          type: int
          sample: 1
    findings:
      description: What remains wrong, errors first. What is alike is one finding.
      returned: success
      type: list
      elements: dict
      contains:
        path:
          description: Where; relative to the log directory if it is below it.
          returned: success
          type: str
          sample: current.log
        path_b64:
          description: The bytes of the path in Base64.
          returned: when it is not printable UTF-8
          type: str
        code:
          description: The stable word for what is wrong.
          returned: success
          type: str
          sample: symbolic_link
        severity:
          description: V(error), a writer is or will be locked out; V(warning); or V(info).
          returned: success
          type: str
          sample: info
        subject:
          description: Whom or what it is about.
          returned: success
          type: str
          sample: www-data
        evidence:
          description: What was seen.
          returned: success
          type: str
          sample: www-data:www-data 0777
        message:
          description: One sentence.
          returned: success
          type: str
          sample: 'A symbolic link is not followed: current.log'
        remedy:
          description: The smallest thing to do.
          returned: success
          type: str
          sample: declare its target as a directory
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    LogwardError,
)
from ansible_collections.logward.permissions.plugins.module_utils._options import (
    journal_options,
    keep_options,
    policy_options,
)
from ansible_collections.logward.permissions.plugins.module_utils._policy import (
    parse_policies,
)
from ansible_collections.logward.permissions.plugins.module_utils._repair import (
    parse_options,
    preview,
    repair,
)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **policy_options(),
            **journal_options(),
            **keep_options(),
            "run_id": {"type": "str"},
        },
        supports_check_mode=True,
    )
    try:
        policies = parse_policies(
            module.params["directories"], module.params["identities"]
        )
        options = parse_options(module.params, policies)
        run = preview if module.check_mode else repair
        result = run(policies, options)
    except (LogwardError, OSError) as error:
        module.fail_json(msg=str(error))
    else:
        module.exit_json(**result)


if __name__ == "__main__":
    main()
