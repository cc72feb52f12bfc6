#!/usr/bin/python
# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING)
"""Let the kernel say who can write today's and the next log file."""

from __future__ import annotations

DOCUMENTATION = r"""
module: log_directory_probe
short_description: Let the kernel say who can write today's and the next log file
version_added: 0.1.0
description:
  - Becomes each identity of the policy in a child process, opens the logs that are there and the
    next file of each writer as it would, and compares what the kernel says with what
    M(logward.permissions.log_directory_info) predicts.
  - Nothing is written. Existing files are opened without C(O_CREAT) and closed. The next file has
    no name (C(O_TMPFILE)), so that no rotation, log shipper or watch can see it; where the file
    system cannot do that, it has one for an instant.
  - Files in directories below are left out.
  - Services are not asked about, but the identities of the policy, in the mount namespace and under
    the security label of this module. What the sandbox of a service keeps from it only
    M(logward.permissions.log_directory_info) tells.
options:
  max_probed:
    description:
      - How many files of each directory to open, the newest first.
    type: int
    default: 20
extends_documentation_fragment:
  - logward.permissions._attributes
  - logward.permissions._directories
attributes:
  check_mode:
    support: full
    details:
      - In check mode nothing is opened, and RV(skipped) says so.
  diff_mode:
    support: N/A
    details:
      - This module does not modify state.
  idempotent:
    support: full
    details:
      - This module does not modify state.
  safe_file_operations:
    support: full
requirements:
  - Linux, root (C(become=true)), and glibc 2.28 or newer
seealso:
  - module: logward.permissions.log_directory_info
author:
  - Logward contributors (@logward)
"""

EXAMPLES = r"""
- name: Let the kernel confirm that everybody can write the next log
  logward.permissions.log_directory_probe:
    directories:
      - path: /srv/payments/storage/logs
        writers: [www-data, queue, root]
  register: probe
  failed_when: probe.disagreements | length > 0
"""

RETURN = r"""
probes:
  description: Every open that was tried.
  returned: when not in check mode
  type: list
  elements: dict
  contains:
    directory:
      description: The log directory.
      returned: success
      type: str
      sample: /srv/payments/storage/logs
    path:
      description: The file, relative to the log directory; empty for a next file.
      returned: success
      type: str
      sample: laravel-2026-11-23.log
    path_b64:
      description: The bytes of the path in Base64.
      returned: when it is not printable UTF-8
      type: str
    creator:
      description: Who created the next file; V(null) for a file that was there.
      returned: success
      type: str
      sample: root
    identity:
      description: Who opened it.
      returned: success
      type: str
      sample: queue
    operation:
      description: V(read), V(append) or V(create).
      returned: success
      type: str
      sample: append
    allowed:
      description: What the kernel said; V(null) where it said something else than yes or no.
      returned: success
      type: bool
    error:
      description: The name of the error, or V(null).
      returned: success
      type: str
      sample: EACCES
    predicted:
      description: What was predicted; V(null) where a security module decides, or an ACL that was
        not read.
      returned: success
      type: bool
    reason:
      description: The stable word for why that was predicted.
      returned: success
      type: str
      sample: denied_group
    agrees:
      description:
        - Whether both are the same, or nothing was predicted; for V(create) also whether the new
          file's owner, group, mode and access ACL are as predicted.
      returned: success
      type: bool
    access_acl:
      description: The access ACL that the new file got.
      returned: when a file was created
      type: str
      sample: user::rw-,user:queue:rwx,group::r-x,mask::rw-,other::r--
disagreements:
  description: Those of RV(probes) that do not agree. Not empty is a bug, or a security module.
  returned: when not in check mode
  type: list
  elements: dict
  sample: []
skipped:
  description: That nothing was opened.
  returned: in check mode
  type: bool
  sample: true
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    LogwardError,
)
from ansible_collections.logward.permissions.plugins.module_utils._options import (
    checked_count,
    policy_options,
)
from ansible_collections.logward.permissions.plugins.module_utils._policy import (
    parse_policies,
)
from ansible_collections.logward.permissions.plugins.module_utils._probe import probe


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **policy_options(),
            "max_probed": {"type": "int", "default": 20},
        },
        supports_check_mode=True,
    )
    try:
        policies = parse_policies(
            module.params["directories"], module.params["identities"]
        )
        max_probed = checked_count(module.params, "max_probed")
        if module.check_mode:
            module.exit_json(changed=False, skipped=True)
        result = probe(policies, max_probed)
    except (LogwardError, OSError) as error:
        module.fail_json(msg=str(error))
    else:
        module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
