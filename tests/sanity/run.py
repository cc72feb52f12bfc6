# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run all of `ansible-test sanity` on this machine; what it installs is kept.

    python tests/sanity/run.py [ARGUMENT...]    such as --test pylint

ansible-test wants a collection below ansible_collections/NAMESPACE/NAME, fetches pip
from a host of its own, keeps environments in the user's home directory and passes no
variables on. Here it gets a copy, the pip of .venv, a home of its own with the user's
pip settings, and all real interpreters that there are. Nothing else is changed.
"""

from __future__ import annotations

import ast
import configparser
import glob
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from ansible_test._internal import python_requirements
from ansible_test._util.target.common.constants import (
    CONTROLLER_PYTHON_VERSIONS,
    REMOTE_ONLY_PYTHON_VERSIONS,
)

ROOT = Path(__file__).resolve().parents[2]
PLACE = ROOT / ".cache" / "sanity"
COLLECTION = PLACE / "ansible_collections" / "logward" / "permissions"
HOME = PLACE / "home"
LOG = PLACE / "log"

# What ansible-test runs as its get-pip.py, in an environment without pip.
GET_PIP = f"""\
import subprocess, sys
packages = [each for each in sys.argv[1:] if not each.startswith("--no-")]
install = [{sys.executable!r}, "-m", "pip", "--python", sys.executable, "install"]
sys.exit(subprocess.call([*install, *packages]))
"""


def main() -> int:
    """Prepare, run, and show what matters of the output."""
    copy_collection()
    keep_pip_settings()
    provide_pip()
    interpreters = find_interpreters()
    ran = 0
    with LOG.open("w", encoding="utf-8") as log:
        tests = run_ansible_test([*interpreters.values()])
        for line in tests.stdout or ():
            log.write(line)
            ran += line.startswith("Running sanity test ")
            if re.match("ERROR|FATAL|See |WARNING: (Skipping|Required|All)", line):
                print(line, end="", flush=True)
    if tests.wait() or not ran:
        print(f"sanity: failed, after {ran} tests. All that was said: {LOG}")
        return 1
    print(f"sanity: {ran} tests passed, with Python {' '.join(interpreters)}")
    return 0


def copy_collection() -> None:
    """Copy what git knows, or would know, so that changes are tested, too."""
    files = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(files, cwd=ROOT, capture_output=True, check=True, text=True)
    shutil.rmtree(COLLECTION, ignore_errors=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (COLLECTION / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, COLLECTION / name)
    # Without it, ansible-test would ask the clone's git, which ignores this place.
    output_of("git", "init", "--quiet", str(COLLECTION))


def keep_pip_settings() -> None:
    """Write what the user told pip, in files or variables, where its home now is."""
    pip = [sys.executable, "-m", "pip"]
    settings = configparser.ConfigParser(interpolation=None)
    settings["global"] = {"cache-dir": output_of(*pip, "cache", "dir").strip()}
    # as in: global.index-url='https://…', and :env:.index-url='https://…'
    for line in output_of(*pip, "config", "list").splitlines():
        name, value = line.split("=", 1)
        section, option = name.rsplit(".", 1)
        section = "global" if section == ":env:" else section
        if not settings.has_section(section):
            settings.add_section(section)
        settings[section][option] = ast.literal_eval(value)
    file = HOME / ".config" / "pip" / "pip.conf"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8") as config:
        settings.write(config)


def provide_pip() -> None:
    """Put pip where ansible-test looks for one that it has fetched before."""
    cache = HOME / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    source = Path(python_requirements.__file__).read_text(encoding="utf-8")
    for version in re.findall(r"pip='([0-9.]+)'", source):
        name = f"get_pip_{version.replace('.', '_')}.py"
        (cache / name).write_text(GET_PIP, encoding="utf-8")


def run_ansible_test(interpreters: list[str]) -> subprocess.Popen[str]:
    """Start it; standard output carries all that it says."""
    path = [str(Path(each).parent) for each in (sys.executable, *interpreters)]
    path.append(search_path())
    return subprocess.Popen(
        ["ansible-test", "sanity", "--local", "--color=no", *sys.argv[1:]],
        cwd=COLLECTION,
        env={**os.environ, "HOME": str(HOME), "PATH": os.pathsep.join(path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def find_interpreters() -> dict[str, str]:
    """Return what there is of the versions that a host may have, those of pyenv, too."""
    found = {}
    for version in (*REMOTE_ONLY_PYTHON_VERSIONS, *CONTROLLER_PYTHON_VERSIONS):
        name = f"python{version}"
        own = os.path.expanduser(f"~/.pyenv/versions/{version}.*/bin/{name}")
        paths = [shutil.which(name, path=search_path()), *glob.glob(own)]
        if version != "3.8" and any(paths):
            found[version] = next(filter(None, paths))
    return found


def search_path() -> str:
    """Return PATH without pyenv's shims, which answer for versions that do not run."""
    path = os.environ["PATH"].split(os.pathsep)
    return os.pathsep.join(each for each in path if not each.endswith("/.pyenv/shims"))


def output_of(*argv: str) -> str:
    """Run a command, and return what it printed."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, check=True, text=True)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
