# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

# ruff: noqa: S108  nothing is written
from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.logward.permissions.plugins.module_utils._writers._namespace import (
    Namespace,
    parse_mount_points,
)
from ansible_collections.logward.permissions.plugins.module_utils._writers._sandbox import (
    Sandbox,
    Surroundings,
)

EVERYWHERE = (
    "/ /boot /dev/shm /efi /etc /etc/app /home /home/u/d /opt/x /proc /root /run "
    "/run/user /srv /srv/a /srv/a/b /srv/a/b/c /srv/in/rw /sys /tmp /tmp/t /usr "
    "/usr/share/z /var /var/log /var/log/app /var/tmp"
)
PLACES = frozenset(EVERYWHERE.split())
HOMES = "/home /home/u/d /root /run/user"
API = "/dev/shm /proc /sys"
SYSTEM = "/boot /efi /usr /usr/share/z"
SRV = "/srv /srv/a /srv/a/b /srv/a/b/c /srv/in/rw"
TMP = "/tmp /tmp/t /var/tmp"

#: Settings, and which of the places a service with them may not write: what
#: systemd 252 did with each (test -w on a privileged Debian 12), but that a
#: temporary directory of its own does not count as the host's.
WRITABLE: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, ""),
    "system": ({"protect_system": "yes"}, SYSTEM),
    "system, full": ({"protect_system": "full"}, f"{SYSTEM} /etc /etc/app"),
    "homes": ({"protect_home": "yes"}, HOMES),
    "homes, read-only": ({"protect_home": "read-only"}, HOMES),
    "homes, temporary": ({"protect_home": "tmpfs"}, HOMES),
    "temporary directories": ({"private_tmp": True}, TMP),
    "read-only": ({"read_only_paths": ("/srv",)}, SRV),
    "read-only file system": ({"read_only_paths": ("/",)}, EVERYWHERE),
    "inaccessible": ({"inaccessible_paths": ("/srv",)}, SRV),
    "read-write alone": ({"read_write_paths": ("/srv",)}, ""),
    "read-write in read-only": (
        {"read_only_paths": ("/srv",), "read_write_paths": ("/srv/a/b",)},
        "/srv /srv/a /srv/in/rw",
    ),
    "read-only in read-write": (
        {"read_only_paths": ("/srv/a",), "read_write_paths": ("/srv",)},
        "/srv/a /srv/a/b /srv/a/b/c",
    ),
    "three levels": (
        {"read_only_paths": ("/srv", "/srv/a/b"), "read_write_paths": ("/srv/a",)},
        "/srv /srv/a/b /srv/a/b/c /srv/in/rw",
    ),
    "both": ({"read_only_paths": ("/srv",), "read_write_paths": ("/srv",)}, SRV),
    "read-write in inaccessible": (
        {"inaccessible_paths": ("/srv/in",), "read_write_paths": ("/srv/in/rw",)},
        "/srv/in/rw",
    ),
    "system, but read-write": (
        {"protect_system": "yes", "read_write_paths": ("/usr",)},
        SYSTEM,
    ),
    "system, but some of it": (
        {"protect_system": "full", "read_write_paths": ("/usr/share/z", "/etc/app")},
        "/boot /efi /usr /etc",
    ),
    "home, but some of it": (
        {"protect_home": "read-only", "read_write_paths": ("/home/u/d",)},
        "/home /root /run/user",
    ),
    "no home, but some of it": (
        {"protect_home": "yes", "read_write_paths": ("/home/u/d",)},
        HOMES,
    ),
    "private, but read-write": (
        {"private_tmp": True, "read_write_paths": ("-/tmp/t",)},
        TMP,
    ),
    "private, but bound": (
        {"private_tmp": True, "bind_paths": ("/tmp/t",)},
        "/tmp /var/tmp",
    ),
    "temporary": ({"temporary_paths": ("/srv:ro",)}, SRV),
    "temporary, but bound": (
        {"temporary_paths": ("/srv",), "bind_paths": ("/srv/a:/srv/a:rbind",)},
        "/srv /srv/in/rw",
    ),
    "temporary, but bound read-only": (
        {"temporary_paths": ("/srv",), "bind_read_only_paths": ("/srv/a",)},
        SRV,
    ),
    "temporary, but bound from elsewhere": (
        {"temporary_paths": ("/srv",), "bind_paths": ("/opt/x:/srv/a",)},
        SRV,
    ),
    "bound from elsewhere": (
        {"bind_paths": ("/opt/x:/srv/a",)},
        "/srv/a /srv/a/b /srv/a/b/c",
    ),
    "bound read-only from elsewhere": (
        {"bind_read_only_paths": ("/opt/x:/srv/a/b:norbind",)},
        "/srv/a/b /srv/a/b/c",
    ),
    "bound to elsewhere": (
        {"read_only_paths": ("/opt",), "bind_paths": ("-/opt/x:/srv/in",)},
        "/opt/x /srv/in/rw",
    ),
    "temporary in what is bound": (
        {"temporary_paths": ("/srv/a/b",), "bind_paths": ("/srv",)},
        "/srv/a/b /srv/a/b/c",
    ),
    "bound in read-only": (
        {"read_only_paths": ("/srv/a",), "bind_paths": ("/srv/a/b",)},
        "/srv/a",
    ),
    "bound, and read-only": (
        {"read_only_paths": ("/srv",), "bind_paths": ("/srv",)},
        SRV,
    ),
    "read-only in bound": (
        {"read_only_paths": ("/srv/a/b",), "bind_paths": ("/srv",)},
        "/srv/a/b /srv/a/b/c",
    ),
    "bound read-only": (
        {"bind_read_only_paths": ("/srv/a",), "read_write_paths": ("/srv/a/b",)},
        "/srv/a",
    ),
    "bound in inaccessible": (
        {"inaccessible_paths": ("/srv",), "bind_paths": ("/srv/a",)},
        SRV,
    ),
    "optional": ({"read_only_paths": ("-/srv",)}, SRV),
    "relative to the root": (
        {"inaccessible_paths": ("+/srv", "-+/opt")},
        f"{SRV} /opt/x",
    ),
    "optional and bound": (
        {"read_only_paths": ("/",), "bind_paths": ("-/srv/a:/srv/a",)},
        " ".join(PLACES - {"/srv/a", "/srv/a/b", "/srv/a/b/c"}),
    ),
    "optional read-write": (
        {"read_only_paths": ("/srv",), "read_write_paths": ("-/srv/in/",)},
        "/srv /srv/a /srv/a/b /srv/a/b/c",
    ),
    "a name that only begins so": (
        {"read_only_paths": ("/srv/a/b/",)},
        "/srv/a/b /srv/a/b/c",
    ),
}
STRICT = {
    "strict": ({}, f"{API} {HOMES}"),
    "but everything": ({"read_write_paths": ("/",)}, f"{API} {HOMES}"),
    "but some": (
        {"read_write_paths": ("/srv/a/b", "-/none", "/var/log/app")},
        f"{API} {HOMES} /srv/a/b /srv/a/b/c /var/log/app",
    ),
    "and homes": ({"protect_home": "read-only"}, API),
    "and homes, but written": (
        {"protect_home": "read-only", "read_write_paths": ("/root", "/home/u")},
        f"{API} /home/u/d",
    ),
    "and no homes": ({"protect_home": "yes"}, API),
    "bound": ({"bind_paths": ("/srv/a",)}, f"{API} {HOMES} /srv/a /srv/a/b /srv/a/b/c"),
    "bound everything": ({"bind_paths": ("/",)}, f"{API} {HOMES}"),
}


@pytest.mark.parametrize(("settings", "denied"), WRITABLE.values(), ids=WRITABLE)
def test_writable(settings: dict[str, Any], denied: str) -> None:
    sandbox = Sandbox(**settings)
    assert {path for path in PLACES if not sandbox.writable(path)} == set(
        denied.split()
    )


@pytest.mark.parametrize(("settings", "allowed"), STRICT.values(), ids=STRICT)
def test_writable_where_protection_is_strict(
    settings: dict[str, Any], allowed: str
) -> None:
    sandbox = Sandbox(protect_system="strict", **settings)
    assert {path for path in PLACES if sandbox.writable(path)} == set(allowed.split())


def test_a_name_that_only_begins_alike() -> None:
    sandbox = Sandbox(read_only_paths=("/srv/a",), private_tmp=True)
    assert sandbox.writable("/srv/ab")
    assert sandbox.writable("/tmpfiles")


HIDDEN: dict[str, tuple[dict[str, Any], bool]] = {
    "nothing": ({}, False),
    "read-only": ({"read_only_paths": ("/srv",)}, False),
    "bound read-only": ({"bind_read_only_paths": ("/srv",)}, False),
    "inaccessible": ({"inaccessible_paths": ("/srv/a",)}, True),
    "temporary": ({"temporary_paths": ("/srv:ro",)}, True),
    "temporary, but bound": (
        {"temporary_paths": ("/srv",), "bind_read_only_paths": ("/srv/a/logs",)},
        False,
    ),
    "from elsewhere": ({"bind_read_only_paths": ("/b:/srv/a",)}, True),
}


@pytest.mark.parametrize(("settings", "hidden"), HIDDEN.values(), ids=HIDDEN)
def test_visible(settings: dict[str, Any], *, hidden: bool) -> None:
    assert Sandbox(**settings).visible("/srv/a/logs") is not hidden


DROP_IN = "give app.service a drop-in with [Service] "
THEN = ", then systemctl daemon-reload and systemctl restart app.service"
TAKE_OUT = "take /srv/a/logs out of what app.service sets as "
REMEDIES = {
    "strict": (
        {"protect_system": "strict"},
        f"{DROP_IN}ReadWritePaths=/srv/a/logs{THEN}",
    ),
    "above": (
        {"read_only_paths": ("/srv",)},
        f"{DROP_IN}ReadWritePaths=/srv/a/logs{THEN}",
    ),
    "temporary": (
        {"temporary_paths": ("/srv",)},
        f"{DROP_IN}BindPaths=/srv/a/logs{THEN}",
    ),
    "itself": (
        {"read_only_paths": ("/srv/a/logs",)},
        f"{TAKE_OUT}InaccessiblePaths=, ReadOnlyPaths=, BindPaths= or ProtectHome={THEN}",
    ),
}


@pytest.mark.parametrize(("settings", "remedy"), REMEDIES.values(), ids=REMEDIES)
def test_the_smallest_remedy(settings: dict[str, Any], remedy: str) -> None:
    sandboxed = Surroundings("app.service", Sandbox(**settings)).sandboxed
    found = sandboxed("/srv/a/logs")
    assert found is not None
    assert found.remedy == remedy
    assert sandboxed("/opt") is None or "protect_system" in settings


def test_a_path_that_unit_files_quote() -> None:
    found = Surroundings("a.service", Sandbox("strict")).sandboxed("/srv/100% logs")
    assert found is not None
    assert '[Service] ReadWritePaths="/srv/100%% logs", then' in found.remedy


def test_what_a_service_runs_with_counts_and_its_settings_say_what_to_do() -> None:
    host = parse_mount_points(["30 1 8:1 / / rw - ext4 /dev/a rw"])
    bound = "31 30 8:1 /srv /srv ro - ext4 /dev/a rw"
    runs = Namespace((*host, *parse_mount_points([bound])), host)
    changed = Surroundings("app.service", Sandbox(), runs).sandboxed("/srv/logs")
    assert changed is not None
    assert changed.visible
    assert changed.remedy == (
        "systemctl restart app.service: its settings let it, but it was started "
        "with others"
    )
    strict = Surroundings("app.service", Sandbox("strict"), runs)
    assert strict.sandboxed("/opt") is None
