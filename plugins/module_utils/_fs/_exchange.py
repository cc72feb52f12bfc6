# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exchanging a configuration file for another one: at once, or not at all.

The new file is written beside the old one, gets its owner, group, mode, ACLs and
attributes, and takes its name (rename(2)) only while the old one is as it was
seen.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from hashlib import sha256

from .._access import DIRECTORY, Inode
from .._acl import encode, from_mode
from .._errors import HostError
from .._names import display
from ._apply import ChangedMeanwhile, same_permissions
from ._file import ConfigurationFile, Parent, Present
from ._inode import ACCESS_XATTR, observe_fd, proc_path
from ._private import sync_directory
from ._tree import PIN

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
#: What a directory of a drop-in is, whatever the umask and default ACLs say.
_DIRECTORY = Inode(DIRECTORY, 0, 0, 0, from_mode(0o755))


def temporary_name(name: str) -> str:
    """Return what the new file is called until it takes the name of the old one.

    It ends as dpkg's do that wait for the same, in the same directories: ``*.conf``
    does not match it, and logrotate skips it (logrotate(8), tabooext; with a dot in
    front it would not). There is one at a time, because whoever edits holds the
    host's lock.
    """
    return f"logward-{sha256(os.fsencode(name)).hexdigest()[:16]}.dpkg-new"


def exchange(file: ConfigurationFile, content: bytes | None, new: Inode) -> None:
    """Put ``content`` in the place of what was seen; None removes the file.

    ``new`` has owner, group, mode and ACL of a file that was not there; another one
    keeps its own. Raises ChangedMeanwhile where somebody else was there since, and
    HostError where it could not be done: the file is as it was then.
    """
    try:
        discard_leftover(file)
        if content is None:
            _refuse_changed(file)
            os.unlink(file.name, dir_fd=file.directory)
            sync_directory(file.directory)
        else:
            _put(file, content, file.present.observed.inode if file.present else new)
    except OSError as error:
        raise HostError(
            f"{display(file.path)} could not be written: {error.strerror}. It is as "
            "it was. Make room or repair the disk, then run again"
        ) from error


def discard_leftover(file: ConfigurationFile) -> None:
    """Remove what a run that was killed has left beside the file."""
    with suppress(FileNotFoundError):
        os.unlink(temporary_name(file.name), dir_fd=file.directory)


def remove_empty(paths: Sequence[str]) -> None:
    """Remove directories that are empty and root's alone, the last one first."""
    for path in reversed(paths):
        with suppress(OSError, HostError), closing(Parent(path)) as parent:
            if not parent.missing:
                os.rmdir(parent.name, dir_fd=parent.directory)
                sync_directory(parent.directory)


def _put(file: ConfigurationFile, content: bytes, permissions: Inode) -> None:
    with _made_directories(file) as directory:
        temporary = temporary_name(file.name)
        fd = os.open(temporary, _CREATE, 0o600, dir_fd=directory)
        try:
            written = _filled(file, fd, content, permissions)
            _refuse_changed(file)
            os.rename(temporary, file.name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=directory)
            raise
        finally:
            os.close(fd)
        sync_directory(directory)
    with closing(ConfigurationFile(file.path)) as now:
        if now.present is None or not _same_file(now.present, written):
            raise HostError(
                f"{display(file.path)} is not what was written: others exchanged it "
                "at once. Look at it, then run again"
            )


@contextmanager
def _made_directories(file: ConfigurationFile) -> Iterator[int]:
    """Yield the directory of the file; what was made goes again after an error."""
    with ExitStack() as opened:
        directory = file.directory
        try:
            for path in file.missing:
                name = os.path.basename(path)
                _make_directory(name, directory)
                child = os.open(name, PIN | os.O_DIRECTORY, dir_fd=directory)
                opened.callback(os.close, child)
                _set_permissions(child, _DIRECTORY)
                sync_directory(directory)
                directory = child
            yield directory
        except BaseException:
            remove_empty(file.missing)
            raise


def _make_directory(name: str, parent: int) -> None:
    """Make a directory that is right even if the run is killed right afterwards."""
    umask = os.umask(0)
    try:
        os.mkdir(name, _DIRECTORY.mode, dir_fd=parent)
    finally:
        os.umask(umask)


def _filled(
    file: ConfigurationFile, fd: int, content: bytes, permissions: Inode
) -> Present:
    """Write the new file, to the disk; return it as it must be found later."""
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]
    attributes = file.present.attributes if file.present else ()
    for name, value in attributes:
        os.setxattr(fd, name, value)
    _set_permissions(fd, permissions)
    os.fsync(fd)
    observed = observe_fd(fd, file.mounts)
    if not same_permissions(observed.inode, permissions):
        raise HostError(
            f"{display(file.path)}: the kernel gave the new file mode "
            f"{observed.inode.mode:04o} where {permissions.mode:04o} was set. It is "
            "as it was"
        )
    return Present(observed, content, attributes)


def _set_permissions(fd: int, wanted: Inode) -> None:
    """Set all, whatever a default ACL of the directory has given already."""
    path = proc_path(fd)
    os.chown(path, wanted.uid, wanted.gid)
    try:
        os.setxattr(path, ACCESS_XATTR, encode(wanted.acl))
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
    os.chmod(path, wanted.mode)


def _refuse_changed(file: ConfigurationFile) -> None:
    if file.missing:
        return
    if file.look() != file.present:
        raise ChangedMeanwhile(
            f"{display(file.path)} was changed by others meanwhile, and is left as "
            "they made it. Run again"
        )


def _same_file(one: Present, other: Present) -> bool:
    return (
        one.observed.stamp == other.observed.stamp
        and one.content == other.content
        and same_permissions(one.observed.inode, other.observed.inode)
    )
