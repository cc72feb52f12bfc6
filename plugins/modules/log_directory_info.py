#!/usr/bin/python
# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see COPYING)
"""Who can write today's and the next log file, and why not."""

from __future__ import annotations

DOCUMENTATION = r"""
module: log_directory_info
short_description: Tell who can write today's and the next log file, and why not
version_added: 0.1.0
description:
  - Reads log directories, and decides by the kernel's rules what every identity of the policy can
    do with each file that is there, and with the next file of every writer before it exists.
  - Without O(directories) it finds the directories that several identities log to, and Laravel's
    C(storage/logs), and suggests a policy for them.
  - Whoever will change back what a repair does is a finding (O(conflicts)), and the next file is
    rehearsed as logrotate, supervisor and Laravel make it.
  - Apache, supervisor, PHP-FPM, systemd, cron and running processes are asked who writes. Whoever
    writes to a directory, or works for the application it is of, and is in no policy, is a finding.
  - Services of systemd, and what Apache, PHP-FPM, supervisor and cron start, are judged in their
    sandbox, the one that they run in or, where they do not run, the one that is set. Whom it keeps
    out is an identity of its own.
  - Changes nothing. Symbolic links are not followed, and no log is opened.
  - Wants root (C(become=true)). Without root it tells what it can, with a finding for what it may
    not see, and takes C(fs.protected_regular) and C(fs.protected_hardlinks) to be as Debian ships
    them.
options:
  processes:
    description:
      - Whether to look at running processes, too.
      - A process that has a file below a log directory open for writing is an identity of its own
        where it runs with other groups or another umask than any that is declared. Command lines
        and environments are not read.
      - Those of the services that write there are held against how these are configured now. A
        process is of a service where systemd's control group, and its name or parent, say so.
      - A container's log that only has the same path is not in the directory.
    type: bool
    default: true
  conflicts:
    description:
      - Whether to look for whoever will change back what a repair does, or will make the next file
        otherwise - logrotate, C(tmpfiles.d), C(LogsDirectory=) and its like, the C(permission) of
        Laravel's channels, supervisor, and jobs of cron, systemd and logrotate that set
        permissions. Each is a finding, with what it breaks, when, and what to do.
      - Their configuration is read; nothing of it is run.
    type: bool
    default: true
  max_listed:
    description:
      - How many files to list in full, the newest first. RV(directories[].totals) counts all.
    type: int
    default: 100
extends_documentation_fragment:
  - logward.permissions._attributes
  - logward.permissions._attributes.info_module
  - logward.permissions._directories.discoverable
attributes:
  safe_file_operations:
    support: full
requirements:
  - Linux, and glibc 2.28 or newer
seealso:
  - module: logward.permissions.log_directory
author:
  - Logward contributors (@logward)
"""

EXAMPLES = r"""
- name: Ask who can write the logs of the payments application
  logward.permissions.log_directory_info:
    directories:
      - path: /srv/payments/storage/logs
        writers: [www-data, queue, root]
        readers: ['@adm']
  register: logs

- name: Find out who logs where, and what policy that suggests
  logward.permissions.log_directory_info:
  register: found

- name: Stop a deployment that would fail at midnight
  ansible.builtin.assert:
    that: logs.compliant
    fail_msg: >-
      {{ logs.directories | map(attribute='findings') | flatten | map(attribute='message') }}
"""

RETURN = r"""
directories:
  description: What was found, one entry for each of O(directories).
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
    filesystem:
      description: The file system that the directory is on.
      returned: when the directory exists and may be read
      type: dict
      contains:
        type:
          description: Its type.
          returned: success
          type: str
          sample: ext4
        acl_supported:
          description: Whether it keeps POSIX ACLs.
          returned: success
          type: bool
        read_only:
          description: Whether it is mounted read-only.
          returned: success
          type: bool
    owner:
      description: The directory's owner.
      returned: when the directory exists and may be read
      type: str
      sample: www-data
    group:
      description: The directory's group.
      returned: when the directory exists and may be read
      type: str
      sample: www-data
    mode:
      description: The directory's mode, four octal digits.
      returned: when the directory exists and may be read
      type: str
      sample: '2775'
    access_acl:
      description:
        - The directory's access ACL, of its users and groups the first 50. Without one it is what
          the mode says.
      returned: when the directory exists and may be read
      type: str
      sample: user::rwx,group::rwx,other::r-x
    default_acl:
      description: The directory's default ACL, or V(null).
      returned: when the directory exists and may be read
      type: str
      sample: user::rwx,user:queue:rwx,group::r-x,mask::rwx,other::r-x
    identities:
      description: Everybody whom the policy names.
      returned: when the directory exists and may be read
      type: list
      elements: dict
      contains:
        id:
          description: Unique in the policy, and the same on every run.
          returned: success
          type: str
          sample: queue
        name:
          description: The name in the policy.
          returned: success
          type: str
          sample: queue
        uid:
          description: The user id. A member of C(@group) has one that no account has.
          returned: success
          type: int
          sample: 1001
        gid:
          description: The primary group id.
          returned: success
          type: int
          sample: 1001
        groups:
          description: The ids of the supplementary groups.
          returned: success
          type: list
          elements: int
          sample: [33, 1001]
        umask:
          description: The umask it creates files with, four octal digits.
          returned: success
          type: str
          sample: '0022'
        request_mode:
          description: The mode it asks for when it creates a log, four octal digits.
          returned: success
          type: str
          sample: '0666'
        capabilities:
          description: The capabilities that change what it may do with files.
          returned: success
          type: list
          elements: str
          sample: []
        source:
          description:
            - Where the numbers come from - V(name_service), V(declared) in O(identities), or
              V(number), an id without an account; V(configured), a service's configuration; or
              V(running), a process.
          returned: success
          type: str
          sample: name_service
        pids:
          description: The running processes that write there as this identity.
          returned: success
          type: list
          elements: int
          sample: [812]
    next_file:
      description:
        - The next file of each writer, predicted.
        - Then the next file of each manager that makes files for others, where O(conflicts).
      returned: when the directory exists and may be read
      type: list
      elements: dict
      contains:
        creator:
          description:
            - RV(directories[].identities[].id) of the one who creates it.
            - C(manager:) and V(logrotate), V(monolog) or V(supervisord) for a manager.
          returned: success
          type: str
          sample: root
        origin:
          description: The file and the line that tell the manager so.
          returned: for a manager
          type: str
          sample: /etc/logrotate.d/payments:1
        file:
          description: The name of the file that the manager makes; one of several.
          returned: for a manager
          type: str
          sample: laravel.log
        allowed:
          description: Whether it may create a file; V(null) where a security module decides, or an
            ACL that was not read.
          returned: success
          type: bool
        reason:
          description:
            - The stable word for why, as in RV(directories[].next_file[].access[].reason), or
              V(denied_create).
          returned: success
          type: str
          sample: granted_capability
        owner:
          description: The owner it will have; V(null) where it cannot be created.
          returned: success
          type: str
          sample: root
        group:
          description: The group it will have; V(null) where it cannot be created.
          returned: success
          type: str
          sample: www-data
        mode:
          description:
            - The mode it will have, four octal digits; V(null) where it cannot be created.
          returned: success
          type: str
          sample: '0644'
        access_acl:
          description: The access ACL it will have; V(null) where it cannot be created.
          returned: success
          type: str
          sample: user::rw-,group::r--,other::r--
        access:
          description: What everybody will be able to do with it.
          returned: success
          type: list
          elements: dict
          contains: &access
            identity:
              description: RV(directories[].identities[].id) of whom this is about.
              returned: success
              type: str
              sample: queue
            operation:
              description: V(read), or V(append), which is C(open) with
                C(O_WRONLY|O_APPEND|O_CREAT).
              returned: success
              type: str
              sample: append
            allowed:
              description: The answer; V(null) where a security module decides, or an ACL that was
                not read.
              returned: success
              type: bool
            reason:
              description:
                - The stable word for why.
                - For read and append V(granted_owner), V(granted_named_user), V(granted_group),
                  V(granted_other), V(granted_capability), V(denied_search), V(denied_owner),
                  V(denied_named_user), V(denied_group), V(denied_mask), V(denied_other),
                  V(denied_sticky), V(denied_read_only), V(denied_immutable), V(denied_not_regular).
                - V(denied_sandbox) is what a service's own mount namespace denies
                  (C(ProtectSystem=), C(ReadOnlyPaths=), C(PrivateTmp=) and the like).
                - V(unknown_acl) is what an ACL of more than 256 entries decides, which is not read.
                - V(unknown_lsm) is what the permissions grant and a security module may deny, which
                  is SELinux, Smack or TOMOYO where they enforce, or AppArmor where it confines a
                  running process (and not this module alike, as a container's profile does).
              returned: success
              type: str
              sample: denied_group
            ancestor:
              description: The directory whose search was denied, or V(null).
              returned: success
              type: str
            explanation:
              description: One sentence.
              returned: success
              type: str
              sample: >-
                queue cannot append to the next file of root: queue falls to other, which has r--
        after_repair:
          description:
            - What the manager will make after M(logward.permissions.log_directory) has repaired the
              directory. What is beside it is what it makes as things are.
          returned: for a manager
          type: dict
          contains:
            owner:
              description: The owner; V(null) where the manager may not create it.
              returned: success
              type: str
              sample: www-data
            group:
              description: The group; V(null) where the manager may not create it.
              returned: success
              type: str
              sample: adm
            mode:
              description: The mode; V(null) where the manager may not create it.
              returned: success
              type: str
              sample: '0640'
            access_acl:
              description: The access ACL; V(null) where the manager may not create it.
              returned: success
              type: str
              sample: user::rw-,user:queue:rw-,group::r--,mask::r--,other::---
            access:
              description: What everybody will be able to do with it.
              returned: success
              type: list
              elements: dict
              contains: *access
    files:
      description: The first O(max_listed) files, the newest first.
      returned: when the directory exists and may be read
      type: list
      elements: dict
      contains:
        path:
          description: The path, relative to the log directory.
          returned: success
          type: str
          sample: laravel-2026-11-23.log
        path_b64:
          description: The bytes of the path in Base64.
          returned: when it is not printable UTF-8
          type: str
        owner:
          description: The owner.
          returned: success
          type: str
          sample: root
        group:
          description: The group.
          returned: success
          type: str
          sample: www-data
        mode:
          description: The mode, four octal digits.
          returned: success
          type: str
          sample: '0644'
        access_acl:
          description:
            - The access ACL, of its users and groups the first 50. Without one it is what the mode
              says.
          returned: success
          type: str
          sample: user::rw-,group::r--,other::r--
        access:
          description: What everybody can do with it.
          returned: success
          type: list
          elements: dict
          contains: *access
    totals:
      description: How many inodes there are below, the directory itself included.
      returned: when the directory exists and may be read
      type: dict
      contains:
        files:
          description: Regular files.
          returned: success
          type: int
          sample: 31
        directories:
          description: Directories.
          returned: success
          type: int
          sample: 1
        others:
          description: Symbolic links, FIFOs, sockets and devices.
          returned: success
          type: int
          sample: 0
        to_change:
          description: What M(logward.permissions.log_directory) would change.
          returned: success
          type: int
          sample: 2
        vanished:
          description: What went away while it was read, as in a rotation.
          returned: success
          type: int
          sample: 0
    findings: &findings
      description: What is wrong, errors first. What is alike is one finding.
      returned: success
      type: list
      elements: dict
      contains:
        path:
          description: Where; relative to the log directory if it is below it.
          returned: success
          type: str
          sample: laravel-2026-11-23.log
        path_b64:
          description: The bytes of the path in Base64.
          returned: when it is not printable UTF-8
          type: str
        code:
          description: The stable word for what is wrong.
          returned: success
          type: str
          sample: writer_denied
        severity:
          description: V(error), a writer is or will be locked out; V(warning); or V(info).
          returned: success
          type: str
          sample: error
        subject:
          description: Whom or what it is about.
          returned: success
          type: str
          sample: queue
        evidence:
          description: What was seen.
          returned: success
          type: str
          sample: root:www-data 0644
        message:
          description: One sentence.
          returned: success
          type: str
          sample: 'queue cannot append to laravel.log: queue falls to its group, which has r--'
        remedy:
          description: The smallest thing to do.
          returned: success
          type: str
          sample: run the remediate playbook
    compliant:
      description: Whether there is no finding that is an error.
      returned: success
      type: bool
    changes_needed:
      description: Whether M(logward.permissions.log_directory) would change anything.
      returned: success
      type: bool
compliant:
  description: Whether every directory is.
  returned: success
  type: bool
suggested_policy:
  description: A policy for what was found, in the form of O(directories).
  returned: when O(directories) is left out
  type: list
  elements: dict
  sample:
    - path: /srv/payments/storage/logs
      writers: [queue, root, www-data]
problems:
  description: Configurations that could not be understood; the audit went on without them.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The file.
      returned: success
      type: str
      sample: /etc/supervisor/conf.d/worker.conf
    path_b64:
      description: The bytes of the path in Base64.
      returned: when it is not printable UTF-8
      type: str
    line:
      description: The line, or 0 for the file as a whole.
      returned: success
      type: int
      sample: 7
    severity:
      description: V(warning), because it may hide somebody who writes.
      returned: success
      type: str
      sample: warning
    message:
      description: What is wrong with it.
      returned: success
      type: str
findings_total:
  description: The number of findings of all directories.
  returned: success
  type: int
  sample: 3
"""

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.logward.permissions.plugins.module_utils._audit import (
    audit_host,
)
from ansible_collections.logward.permissions.plugins.module_utils._discover import (
    ask,
    merged,
)
from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    LogwardError,
)
from ansible_collections.logward.permissions.plugins.module_utils._lsm import (
    enforced_on_all,
)
from ansible_collections.logward.permissions.plugins.module_utils._managers._conflicts import (
    NO_MANAGERS,
)
from ansible_collections.logward.permissions.plugins.module_utils._managers._table import (
    read_managers,
)
from ansible_collections.logward.permissions.plugins.module_utils._options import (
    checked_count,
    discoverable_policy_options,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._live import (
    running_writers,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._source import (
    Found,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._sources import (
    SOURCES,
)


def _found(params: Mapping[str, Any]) -> Found:
    """Look at what is configured, and at what runs if that is wanted."""
    declared = params["directories"]
    below = ["/"] if declared is None else [each["path"] for each in declared]
    configured = ask(SOURCES)
    running = [running_writers(below, configured)] if params["processes"] else []
    return merged([configured, *running, Found(confined_by=enforced_on_all())])


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **discoverable_policy_options(),
            "processes": {"type": "bool", "default": True},
            "conflicts": {"type": "bool", "default": True},
            "max_listed": {"type": "int", "default": 100},
        },
        supports_check_mode=True,
    )
    try:
        max_listed = checked_count(module.params, "max_listed")
        result = audit_host(
            module.params["directories"],
            module.params["identities"],
            max_listed,
            _found(module.params),
            read_managers() if module.params["conflicts"] else NO_MANAGERS,
        )
    except (LogwardError, OSError) as error:
        module.fail_json(msg=str(error))
    else:
        module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
