# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of services share: a host's files, and edits of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ansible_collections.logward.permissions.plugins.module_utils._edits import Edit
from ansible_collections.logward.permissions.plugins.module_utils._errors import (
    HostError,
)
from ansible_collections.logward.permissions.plugins.module_utils._services._copy import (
    copied,
)
from ansible_collections.logward.permissions.plugins.module_utils._services._processes import (
    running_as,
)
from ansible_collections.logward.permissions.plugins.module_utils._services._service import (
    Configured,
    Rules,
    Running,
    Service,
)
from ansible_collections.logward.permissions.plugins.module_utils._services._text import (
    content_of,
)


def applied(root: Path, edit: Edit) -> str:
    """Make an edit on a host in a directory; return what was replaced, and by what."""
    assert edit.after is not None
    path = root / edit.path.lstrip("/")
    assert (path.read_bytes() if path.exists() else None) == edit.before
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(edit.after)
    before = (edit.before or b"").decode().split("\n")
    after = edit.after.decode().split("\n")
    removed = [f"-{line}" for line in before if line and line not in after]
    added = [f"+{line}" for line in after if line and line not in before]
    return f"{edit.path}: {' '.join(removed + added)}"


def set_umask(root: Path, service: Service, umask: int) -> str:
    """Set a umask as the module does, but for the service's own check."""
    edit = service.umask_edit(umask)
    with copied(str(root), service.files(), [edit]) as copy:
        expected = service.at(copy).configured()
    done = applied(root, edit)
    found = service.configured()
    assert found.umask == umask
    assert (expected.umask, expected.path, expected.line) == (
        found.umask,
        found.path,
        found.line,
    )
    again = service.umask_edit(umask)
    assert again.before == again.after
    return done


class Plain(Service):
    """A service whose file holds its umask and no more; this process runs it."""

    rules = Rules("restart", "restart it", "reload", "reload it")

    @property
    def path(self) -> str:
        return f"/etc/{self.name}"

    def configured(self) -> Configured:
        text = (content_of(self.root, self.path) or b"").decode().strip()
        return Configured(int(text, 8), self.path, 1)

    def running(self) -> tuple[Running, ...]:
        return running_as([1])

    def umask_edit(self, umask: int) -> Edit:
        before = content_of(self.root, self.path)
        path = f"{'' if self.root == '/' else self.root}{self.path}"
        return Edit(path, before, b"%04o\n" % umask)

    def files(self) -> Iterable[str]:
        return [self.path]

    def check(self, edits: Sequence[Edit], umask: int) -> Configured:
        if self.name == "broken":
            raise HostError("broken refuses its configuration")
        assert any(edit.path.endswith(self.path) for edit in edits) or umask == 0o022
        return Configured(umask, self.path, 1)

    def test(self, copy: str, edits: Sequence[Edit]) -> None:
        raise NotImplementedError

    def at(self, root: str) -> Service:
        return Plain(self.name, self.unit, root)
