#!/usr/bin/python
# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING)
"""Put back what a run has changed."""

from __future__ import annotations

DOCUMENTATION = r"""
module: journal_restore
short_description: Take a run back exactly
version_added: 0.1.0
description:
  - Puts owner, group, mode, access ACL and default ACL of each inode back to what they were before
    a run of M(logward.permissions.log_directory), as its journal has it. What was changed last is
    restored first. A run that was killed is taken back as well, up to where it came.
  - Puts configuration files back that the run has edited, M(logward.permissions.service_umask) for
    instance, to the byte; removes those that it has made. Where these are unit files, systemd reads
    them again. Services run with them once they are restarted, which this module leaves to you.
  - Acts only on the very inode that was changed, and only where nobody else has changed it since;
    on a file that was edited, only where it holds what the edit has left. The rest is left alone,
    counted and reported.
  - Files that were created since are in no journal, and stay as they are.
  - Follows no symbolic link, and never sets a setuid or setgid bit on a file.
  - A restore is in the journal, too, so that it can be taken back by its own name.
options:
  run_id:
    description:
      - The run to take back, as the module returned it that made it.
      - V(latest) is the newest run that changed anything on this host. Restores do not count, so
        that a second restore changes nothing. What was done before that run has to be named.
    type: str
    default: latest
extends_documentation_fragment:
  - logward.permissions._attributes
  - logward.permissions._journal
notes:
  - Which inode was changed is told by its device and number, and by when it was created where the
    file system keeps that, as ext4, XFS and Btrfs do. Where it does not, a file that took both
    the name and the number of another one is taken for it, if its owner, mode and ACLs are the
    same, too.
  - Nothing is changed where a journal is not as it was written, is of another format or of another
    host, or where others than root can reach it. Entries of a batch that was still being written
    when a run was killed are ignored, because they never led to a change.
  - Fails where the run is not in the journal of the host. RV(run_missing) then tells this from
    other errors.
seealso:
  - module: logward.permissions.log_directory
author:
  - Logward contributors (@logward)
"""

EXAMPLES = r"""
- name: Take the newest repair back
  logward.permissions.journal_restore:

- name: Take a certain run back
  logward.permissions.journal_restore:
    run_id: 20261123T000512.104233-web1
"""

RETURN = r"""
run_id:
  description: The run that was taken back.
  returned: success
  type: str
  sample: 20261123T000512.104233-web1
restore_run_id:
  description: The name of the restore itself in the journal, which takes it back.
  returned: when something was restored
  type: str
  sample: 20261123T003012.002311-web1
restored:
  description: How many inodes were put back, or would be in check mode.
  returned: success
  type: int
  sample: 42
files:
  description:
    - Configuration files that hold again what they held before the run, or would in check mode.
      Services run with that once they are restarted.
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
as_before:
  description: How many inodes and edited files were as before already.
  returned: success
  type: int
  sample: 0
ignored_entries:
  description: How many entries of the journal never led to a change, because the run was killed.
  returned: success
  type: int
  sample: 0
left_alone:
  description: What was left alone, one entry for each reason.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The first of them, absolute.
      returned: success
      type: str
      sample: /srv/payments/storage/logs/laravel-2026-11-22.log
    path_b64:
      description: The bytes of the path in Base64.
      returned: when it is not printable UTF-8
      type: str
    reason:
      description:
        - V(changed_since), somebody else has changed owner, group, mode or ACLs since, or has
          edited the file.
        - V(vanished), nothing has the name any more.
        - V(exchanged), something else has the name.
        - V(hard_link), V(immutable), V(privileged_file), V(foreign_owner), what
          M(logward.permissions.log_directory) would not touch either.
        - V(open_to_others), a configuration file of root's, or its directory, can be written by
          others than root.
        - V(too_large), V(mount), a configuration file has more than 1 MiB, or is a mount of its
          own.
        - V(read_only), it is mounted read-only.
        - V(unchangeable), its extended attributes are full, its ACL has more than 256 entries, or
          it is in a read-only snapshot.
        - V(unreadable), the kernel did not tell.
      returned: success
      type: str
      sample: vanished
    count:
      description: How many there are.
      returned: success
      type: int
      sample: 1
run_missing:
  description: Always V(true).
  returned: when the run is not in the journal of the host, and the module fails
  type: bool
  sample: true
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    LogwardError,
)
from ansible_collections.logward.permissions.plugins.module_utils._options import (
    journal_options,
)
from ansible_collections.logward.permissions.plugins.module_utils._restore import (
    parse_options,
    preview,
    restore,
)
from ansible_collections.logward.permissions.plugins.module_utils._runs import (
    NoSuchRun,
)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "run_id": {"type": "str", "default": "latest"},
            **journal_options(),
        },
        supports_check_mode=True,
    )
    try:
        options = parse_options(module.params)
        result = preview(options) if module.check_mode else restore(options)
    except NoSuchRun as error:
        module.fail_json(msg=str(error), run_missing=True)
    except (LogwardError, OSError) as error:
        module.fail_json(msg=str(error))
    else:
        module.exit_json(**result)


if __name__ == "__main__":
    main()
