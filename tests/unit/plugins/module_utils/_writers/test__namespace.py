# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What services see of the host: the kernel makes the namespaces, and decides."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._access import (
    may_append,
    may_create,
    may_read,
)
from ansible_collections.logward.permissions.plugins.module_utils._identity import (
    Identity,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._namespace import (
    Namespace,
    other_namespace,
    parse_mount_points,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._processes import (
    open_for_writing,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._sandbox import (
    Sandbox,
    Surroundings,
)
from ansible_collections.logward.permissions.tests.unit.kernel import (
    become,
    in_child,
    observe_place,
)

_CLONE_NEWNS = 0x00020000
QUEUE = Identity("queue", "queue", 64002, 64002, frozenset())
WAITS = "echo; exec sleep 100"
READ_ONLY = "mount --bind {0} {0}; mount -o remount,bind,ro {0}; "

#: What is mounted for a service whose logs are in $D, which is in $P, and what
#: of the host's it can then do there: append and create, and read.
MOUNTS = {
    "nothing": ("", "arc"),
    "read-only": (READ_ONLY.format("$D"), "r"),
    "read-only file system above": (READ_ONLY.format("$P"), "r"),
    "writable in read-only": (
        f"{READ_ONLY.format('$P')} mount --bind $D $D; mount -o remount,bind,rw $D",
        "arc",
    ),
    "writable on read-only": (
        f"{READ_ONLY.format('$D')} mount --bind $D $D; mount -o remount,bind,rw $D",
        "arc",
    ),
    "another file system": ("mount -t tmpfs -o mode=777 none $D", ""),
    "another file system, with the same name in it": (
        "mount -t tmpfs none $P; mkdir $D; chmod 777 $D; cp -a /dev/null $D/a.log",
        "",
    ),
    "nothing there": ("mount -t tmpfs none $P", ""),
    "another directory of the same": ("mount --bind $P/other $D", ""),
    "the host's, bound again": (
        "mount --bind $D /mnt; mount -t tmpfs none $P; mkdir $D; mount --bind /mnt $D",
        "arc",
    ),
    "read-only, and hidden with all that": (
        f"{READ_ONLY.format('$D')} mount -t tmpfs none $P; mkdir $D; chmod 777 $D",
        "",
    ),
    "hidden, then bound from elsewhere": (
        "mount -t tmpfs none $D; mount --bind $P/other $D",
        "",
    ),
    "another name in it": (READ_ONLY.format("$D.old"), "arc"),
}


@contextmanager
def service(logs: Path, mounts: str = "", then: str = WAITS) -> Iterator[int]:
    """Run a process in a mount namespace of its own; yield its pid."""
    with subprocess.Popen(
        ["unshare", "--mount", "sh", "-ec", f"{mounts}\n{then}"],
        env={**os.environ, "D": str(logs), "P": str(logs.parent)},
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        try:
            yield process.pid
        finally:
            process.send_signal(signal.SIGKILL)


@pytest.fixture
def logs(site: Path) -> Path:
    """A directory that everybody may write, with a log and neighbours."""
    for name in ("p", "p/logs", "p/logs.old", "p/other"):
        (site / name).mkdir()
        (site / name).chmod(0o777)
    for name in ("p/logs", "p/other"):
        (site / name / "a.log").touch()
        (site / name / "a.log").chmod(0o666)
    return site / "p" / "logs"


def surroundings(pid: int) -> Surroundings:
    return Surroundings("queue.service", Sandbox(), other_namespace(pid))


def reached(pid: int, logs: Path, names: Sequence[str]) -> str:
    """Return what a process like that one does to the host's files, by trying."""
    flags = {
        "a": os.O_WRONLY | os.O_APPEND | os.O_CREAT,
        "r": os.O_RDONLY,
        "c": os.O_WRONLY | os.O_APPEND | os.O_CREAT,
    }

    def attempt() -> dict[str, Any]:
        fd = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
        assert ctypes.CDLL(None).setns(fd, _CLONE_NEWNS) == 0
        become(QUEUE)
        opened = {}
        for key, name in zip(flags, names):
            with suppress(OSError):
                found = os.fstat(os.open(logs / name, flags[key], 0o666))
                opened[key] = [found.st_dev, found.st_ino]
        return opened

    opened = in_child(attempt)
    host = {path.name: path.stat() for path in logs.iterdir()}
    return "".join(
        key
        for key, name in zip(flags, names)
        if name in host and opened.get(key) == [host[name].st_dev, host[name].st_ino]
    )


@pytest.mark.parametrize(("mounts", "expected"), MOUNTS.values(), ids=MOUNTS)
def test_the_kernel_agrees(mounts: str, expected: str, logs: Path) -> None:
    log = str(logs / "a.log")
    place, inodes = observe_place(str(logs), [log])
    with service(logs, mounts) as pid:
        sandbox = surroundings(pid).sandboxed(str(logs))
        who = replace(QUEUE, sandbox=sandbox)
        verdicts = {
            "a": may_append(who, place, inodes[log]),
            "r": may_read(who, place, inodes[log]),
            "c": may_create(who, place),
        }
        predicted = "".join(key for key, each in verdicts.items() if each.allowed)
        assert predicted == reached(pid, logs, ("a.log", "a.log", "new.log"))
    assert predicted == expected
    denied = {each.reason for each in verdicts.values() if not each.allowed}
    assert denied <= {"denied_sandbox"}


def test_who_is_in_our_namespace_costs_nothing(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with subprocess.Popen(["sleep", "100"]) as process, service(logs) as pid:
        assert other_namespace(pid) is not None
        monkeypatch.setattr("builtins.open", None)
        assert other_namespace(process.pid) is None
        process.kill()
    with pytest.raises(OSError, match="No such"):
        other_namespace(process.pid)


def test_what_the_host_has_read_only_is_no_sandbox(logs: Path) -> None:
    mounts = parse_mount_points(["30 1 8:1 / / ro - ext4 /dev/a ro"])
    assert Namespace(mounts, mounts).writable(str(logs))


def test_names_in_mountinfo_are_escaped() -> None:
    top = "30 1 8:1 / / rw,relatime shared:1 - ext4 /dev/a rw"
    bound = r"31 30 8:1 /a\040b\134 /a\040b\134 ro,relatime - ext4 /dev/a rw"
    host, service = (parse_mount_points(each) for each in ([top], [top, bound]))
    assert service[1].path == "/a b\\"
    assert not Namespace(service, host).writable("/a b\\/logs")
    assert Namespace(service, host).visible("/a b\\/logs")
    assert Namespace(service, host).writable("/a b")


def test_whose_root_is_no_mount_of_it_nothing_is_said() -> None:
    host = parse_mount_points(["30 1 8:1 / / rw - ext4 /dev/a rw"])
    chroot = parse_mount_points(["31 30 8:2 / /srv rw - ext4 /dev/b rw"])
    assert Namespace(chroot, host).writable("/srv/logs")


@pytest.mark.parametrize(
    ("mounts", "redirected", "seen"),
    [
        ("", "$D/a.log", True),
        ("mount -t tmpfs none $D", "$D/a.log", False),
        ("exec 3>>$D/a.log; mount -t tmpfs none $D", "/dev/null", True),
    ],
    ids=["the host's", "a container's of the same name", "the host's, from before"],
)
def test_a_container_that_has_a_log_of_the_same_name_does_not_write_ours(
    mounts: str, redirected: str, logs: Path, *, seen: bool
) -> None:
    with service(logs, f"{mounts}\nexec 4>>{redirected}") as pid:
        found = {each.pid for each in open_for_writing([str(logs)])}
        assert (pid in found) is seen


def test_output_that_was_opened_elsewhere_is_the_hosts(logs: Path) -> None:
    with (logs / "a.log").open("a") as log:
        mounts = (
            f"mount -t tmpfs none $D; exec 3>>/proc/{os.getpid()}/fd/{log.fileno()}"
        )
        with service(logs, mounts) as pid:
            assert pid in {each.pid for each in open_for_writing([str(logs)])}


TOPS = {
    "its own parent, as an initial ramdisk is": ["30 30 0:2 / / rw - rootfs none rw"],
    "covered since: what is mounted there is not on the way of who was here before": [
        "30 1 0:2 / / rw - ext4 /dev/a rw",
        "31 30 0:3 / / rw - tmpfs none rw",
    ],
}


@pytest.mark.parametrize("lines", TOPS.values(), ids=TOPS)
def test_the_root_that_a_process_has(lines: list[str]) -> None:
    host = parse_mount_points(["50 1 0:2 / / rw - ext4 /dev/a rw"])
    elsewhere = parse_mount_points(["50 1 0:4 / / rw - ext4 /dev/a rw"])
    assert Namespace(parse_mount_points(lines), host).writable("/srv/logs")
    assert not Namespace(parse_mount_points(lines), elsewhere).visible("/srv/logs")
