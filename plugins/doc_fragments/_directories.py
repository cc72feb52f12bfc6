# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The policy: options that every module that looks at log directories takes."""

from __future__ import annotations


class ModuleDocFragment:
    """Documents what plugins/module_utils/_options.py declares."""

    DOCUMENTATION = r"""
options:
  directories:
    description:
      - The policy, one entry for each log directory.
      - With POSIX ACLs and the setgid bit it makes every next file writable for
        O(directories[].writers) and readable for O(directories[].readers), whoever creates it and
        with whatever umask. O(directories[].strategy) has another way.
      - Regular files get at most read and write, never execute.
      - Nobody loses what they have, unless by O(directories[].other) or O(directories[].exact), and
        nobody gains but those who are named here.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description:
          - The log directory, as an absolute path with no symbolic link in it.
          - Directories that belong to the system as a whole, and home directories, are refused.
        type: path
        required: true
      writers:
        description:
          - Who must be able to create logs there, and to append to all that are there.
          - Each is the name of an entry of O(identities), a user, C(@group), a uid, or C(@gid).
        type: list
        elements: str
        required: true
      readers:
        description:
          - Who must be able to read the logs.
          - Named as in O(directories[].writers).
        type: list
        elements: str
        default: []
      owner:
        description:
          - The owner of the directory and of those below it.
          - Files keep their owners. Left out, directories do as well.
        type: str
      group:
        description:
          - The group of directories and files. Left out, each keeps its own, or with the strategy
            V(group) gets that of O(directories[].path).
        type: str
      other:
        description:
          - With V(keep), those who are named nowhere can do with each file what they can do today.
          - With V(none), they lose that.
        type: str
        choices:
          - keep
          - none
        default: keep
      strategy:
        description:
          - How everybody is let write.
          - With V(acl), by the setgid bit and a default ACL, whatever umask a file is created with.
          - With V(group), by the setgid bit and write for the group, to all of its members. No ACL
            entry is added. It needs umask 0002 of whoever creates files; where one has another
            umask, the next file is a finding. All writers must be members, and readers too, unless
            they can read the directory already, by what stays; else it is refused. Where members of
            a former group would lose, an inode is left alone.
          - A default ACL that is there overrides every umask, so V(group) keeps it with all that it
            gives, and widens it for the group.
          - With V(auto), it is V(acl) where the file system keeps ACLs, and V(group) elsewhere.
        type: str
        choices:
          - auto
          - acl
          - group
        default: auto
      exact:
        description:
          - Whether to remove entries of access and default ACLs that name others than
            O(directories[].writers), O(directories[].readers), O(directories[].owner) and
            O(directories[].group). Who has what such an entry gives, and not otherwise, loses it.
          - An entry stays if its user or group would have more without it, and nothing here grants
            them that. It gives no more, then, than they would have without it. Where one of the
            groups has to stay, all do.
          - Where known members of a former group, or a former owner, would lose what no entry gave
            them, the inode is left alone.
        type: bool
        default: false
      recurse:
        description:
          - Whether directories below O(directories[].path) belong to it.
        type: bool
        default: true
      exclude:
        description:
          - Globs (C(fnmatch)) of what is left alone, matched against the path relative to
            O(directories[].path). C(*) matches C(/) as well.
          - What is below an excluded directory is excluded too.
        type: list
        elements: str
        default:
          - '*.gitignore'
          - '*.gitkeep'
      missing:
        description:
          - What to do where the directory does not exist.
        type: str
        choices:
          - fail
          - skip
        default: fail
  identities:
    description:
      - Identities for which the name service does not give the whole answer.
      - Those that no directory names among its writers or readers are reported, and granted
        nothing.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - The name to use in O(directories[].writers) and O(directories[].readers). It wins over a
            user of the same name.
        type: str
        required: true
      user:
        description:
          - The user, as a name or uid. Left out, it is O(identities[].name).
        type: str
      group:
        description:
          - The primary group, as a name or gid. Left out, it is the user's.
        type: str
      groups:
        description:
          - The supplementary groups, as names or gids, in place of those of the name service.
        type: list
        elements: str
      umask:
        description:
          - The umask that it creates files with, as four octal digits in quotes.
          - Left out, it is V('0022').
        type: str
      request_mode:
        description:
          - The mode that it asks for when it creates a log, as four octal digits in quotes.
          - Left out, it is V('0666'), as for C(fopen) and most log libraries. C(mkstemp) asks for
            V('0600'), which leaves named writers nothing.
        type: str
"""

    # The same for modules that find the directories themselves. (Annotated:
    # ansible-test takes an assignment for text that it can lint.)
    DISCOVERABLE: str = DOCUMENTATION.replace(
        """    required: true
    suboptions:
      path:""",
        """    suboptions:
      path:""",
        1,
    )
