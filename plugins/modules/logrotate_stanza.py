#!/usr/bin/python
# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING)
"""Have logrotate rotate a log directory without locking a writer out."""

from __future__ import annotations

DOCUMENTATION = r"""
module: logrotate_stanza
short_description: Have logrotate rotate a log directory without locking a writer out
version_added: 0.1.0
description:
  - Makes the smallest edit that logrotate's stanza for a log directory needs - C(su), where
    logrotate would refuse the directory (insecure permissions), or rotates as somebody who may not;
    and C(create) with a sufficient mode, where the next file would lock a writer out. Where neither
    is needed, nothing is changed.
  - What is needed is decided for the directory as M(logward.permissions.log_directory) leaves it,
    so that it can be asked for in check mode, too.
  - C(su) names the directory's owner, if that is a writer, or another writer; never root, whom
    others could lead elsewhere. C(create) keeps its owner and group, and its mode gets nothing for
    others.
  - A directive that the stanza has is replaced where it stands, another one becomes its first.
    Comments and order stay as they are.
  - The edit is tried on a copy with C(logrotate -d), and made only if that reports no error that
    was not there before, and none in the edited file. It is in the journal before it is made, and
    M(logward.permissions.journal_restore) takes it back.
options:
  configuration:
    description: The configuration that logrotate is run with.
    type: path
    default: /etc/logrotate.conf
  unmanaged:
    description:
      - What to do with a directory in which logrotate rotates nothing, also because it is not
        installed.
    type: str
    choices: [fail, skip]
    default: fail
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
notes:
  - Of a directory, the logs right in it are looked at, not those in directories below.
  - Refuses where two stanzas name the same log, where a stanza would have to say different things
    for several directories, and files that others than root can write or exchange.
seealso:
  - module: logward.permissions.log_directory
  - module: logward.permissions.log_directory_info
  - module: logward.permissions.journal_restore
author:
  - Logward contributors (@logward)
"""

EXAMPLES = r"""
- name: Have the next rotation leave the payments logs to all their writers
  logward.permissions.logrotate_stanza:
    directories:
      - path: /srv/payments/storage/logs
        writers: [www-data, queue, root]
        readers: ['@adm']

- name: The same on hosts of which some rotate nothing there
  logward.permissions.logrotate_stanza:
    directories: "{{ logward_directories }}"
    unmanaged: skip
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
      sample: /etc/logrotate.d/payments
    path_b64:
      description: The bytes of the path in Base64.
      returned: when it is not printable UTF-8
      type: str
directories:
  description: What logrotate rotates, one entry for each of O(directories).
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
    stanzas:
      description: The stanzas that rotate logs in it.
      returned: success
      type: list
      elements: dict
      contains:
        path:
          description: The file that the stanza is in.
          returned: success
          type: str
          sample: /etc/logrotate.d/payments
        path_b64:
          description: The bytes of the path in Base64.
          returned: when it is not printable UTF-8
          type: str
        line:
          description: The line that it began in.
          returned: success
          type: int
          sample: 1
        set:
          description: The directives that were set, or would be in check mode.
          returned: success
          type: list
          elements: str
          sample: [su www-data www-data, create 0660 www-data adm]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    LogwardError,
)
from ansible_collections.logward.permissions.plugins.module_utils._logrotate_stanza import (
    edit_stanzas,
    parse_stanza_options,
    preview_stanzas,
)
from ansible_collections.logward.permissions.plugins.module_utils._options import (
    journal_options,
    keep_options,
    policy_options,
)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **policy_options(),
            **journal_options(),
            **keep_options(),
            "configuration": {"type": "path", "default": "/etc/logrotate.conf"},
            "unmanaged": {
                "type": "str",
                "choices": ["fail", "skip"],
                "default": "fail",
            },
            "run_id": {"type": "str"},
        },
        supports_check_mode=True,
    )
    try:
        options = parse_stanza_options(module.params)
        edit = preview_stanzas if module.check_mode else edit_stanzas
        result = edit(options)
    except (LogwardError, OSError) as error:
        module.fail_json(msg=str(error))
    else:
        module.exit_json(**result)


if __name__ == "__main__":
    main()
