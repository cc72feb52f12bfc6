# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible never applies the defaults of an argument spec: both must agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROLES = sorted(path for path in Path("roles").resolve().iterdir() if path.is_dir())
pytestmark = pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def options(role: Path) -> dict[str, Any]:
    spec = read(role / "meta" / "argument_specs.yml")
    found: dict[str, Any] = spec["argument_specs"]["main"]["options"]
    return found


def test_every_option_is_required_or_has_the_documented_default(role: Path) -> None:
    documented = {
        name: option["default"]
        for name, option in options(role).items()
        if not option.get("required")
    }
    assert documented == read(role / "defaults" / "main.yml")


def test_required_options_have_no_default(role: Path) -> None:
    required = {name for name, each in options(role).items() if each.get("required")}
    assert not required & read(role / "defaults" / "main.yml").keys()
    assert not any("default" in options(role)[name] for name in required)


def test_names_are_of_the_one_vocabulary(role: Path) -> None:
    assert all(name.startswith("logward_") for name in options(role))


def test_variables_can_be_checked_before_anything_is_touched(role: Path) -> None:
    entry_points = read(role / "meta" / "argument_specs.yml")["argument_specs"]
    assert entry_points["check"]["options"] == entry_points["main"]["options"]
    assert (role / "tasks" / "check.yml").exists()
