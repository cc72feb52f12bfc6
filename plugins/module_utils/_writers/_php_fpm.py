# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""PHP-FPM: each pool's processes, and the master, which opens logs as root."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from .._errors import OptionError
from .._names import display
from ._daemons import account, is_of_the_system, root_itself
from ._files import below, list_names, matching, read_lines, unread
from ._source import Found, Launch, Problem, Writer
from ._unit_files import configured_umask, places_of

#: What Debian's php-fpm was built with.
_PREFIX = "/usr"
_STATE = "/var"
#: php-fpm refuses more levels of include, and nobody has that many lines.
_MAX_DEPTH = 5
_MAX_LINES = 200_000
#: The master makes its logs for itself alone.
_LOG_MODE = 0o600

_SECTION = re.compile(r"\[([^\]]*)\]\s*(?:;.*)?")
_KEY = re.compile(r"([^\[\];\"']+)(?:\[([^\]]*)\])?")
_PIECE = re.compile(
    r"""
      "(?P<double>(?:[^"\\]|\\.)*)"
    | '(?P<single>[^']*)'
    | \$\{(?P<variable>[^}]*)\}
    | (?P<comment>;)
    | (?P<text>[^"';${}()]+|\$(?!\{))
    """,
    re.VERBOSE,
)
#: Often among what open_basedir allows, and of no application.
_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108
#: Words that PHP replaces where they stand without quotes.
_WORDS = {
    **dict.fromkeys(("on", "true", "yes"), "1"),
    **dict.fromkeys(("off", "false", "no", "none", "null"), ""),
}


@dataclass(frozen=True)
class Section:
    """``[name]``."""

    name: str


@dataclass(frozen=True)
class Entry:
    """``key = value``, or ``key[item] = value``."""

    key: str
    item: str
    value: str


@dataclass(frozen=True)
class _Setting:
    value: str
    path: str
    line: int


@dataclass
class _Pool:
    """A section: the global one has no name."""

    name: str
    path: str = ""
    line: int = 0
    settings: dict[str, _Setting] = field(default_factory=dict)

    def get(self, key: str) -> str:
        setting = self.settings.get(key)
        return setting.value if setting else ""

    def php(self, key: str) -> str:
        """Return a setting of PHP; what the administrator fixed wins."""
        return self.get(f"php_admin_value[{key}]") or self.get(f"php_value[{key}]")


@dataclass
class _Configuration:
    globals: _Pool
    pools: dict[str, _Pool]
    #: As keys, each once: a file may be included many times.
    problems: dict[Problem, None]


def parse_line(text: str) -> Section | Entry | None:
    """Understand a line of php-fpm.conf; ValueError says what is wrong."""
    text = text.strip()
    if not text or text.startswith(";"):
        return None
    if "\0" in text:
        raise ValueError("contains a NUL byte")
    if text.startswith("["):
        section = _SECTION.fullmatch(text)
        if section is None:
            raise ValueError("a section has no ]")
        return Section(section[1].strip().strip("\"'"))
    left, equals, right = text.partition("=")
    key = _KEY.fullmatch(left.strip())
    if key is None or not equals:
        raise ValueError("is not as a setting is: key = value")
    return Entry(key[1].strip(), key[2] or "", _value(right))


def _value(text: str) -> str:
    """Return a value as zend_parse_ini_string() reads it."""
    text = text.strip()
    word = text.partition(";")[0].strip().lower()
    if word in _WORDS:
        return _WORDS[word]
    parts: list[str] = []
    position = 0
    while position < len(text):
        piece = _PIECE.match(text, position)
        if piece is None:
            raise ValueError(f"cannot be understood from {text[position]} on")
        if piece.lastgroup == "comment":
            break
        if piece.lastgroup == "variable":
            raise ValueError(f"the value of {display(piece[0])} is not known")
        found = piece[str(piece.lastgroup)]
        if piece.lastgroup == "double":
            found = re.sub(r"\\([\"\\])", r"\1", found)
        parts.append(found)
        position = piece.end()
    return "".join(parts).rstrip()


def discover(root: str = "/") -> Found:
    """Return the pools of every version that is installed, and their masters."""
    writers: list[Writer] = []
    problems: list[Problem] = []
    for version in list_names(root, "/etc/php"):
        main = f"/etc/php/{version}/fpm/php-fpm.conf"
        # A package that was removed leaves its configuration behind.
        program = below(root, f"/usr/sbin/php-fpm{version}")
        if os.path.lexists(program) and os.path.lexists(below(root, main)):
            service = f"php{version}-fpm"
            found = _found(_read(root, main), service, main, root)
            launch = _launch(root, service, f"php-fpm{version}")
            writers += (replace(each, launch=launch) for each in found.writers)
            problems += found.problems
    return Found(tuple(writers), tuple(problems))


def _launch(root: str, service: str, name: str) -> Launch:
    unit = f"{service}.service"
    return Launch(
        unit,
        # The master that a reload starts inherits the umask.
        new_umask=f"systemctl daemon-reload && systemctl restart {service}",
        new_groups=f"systemctl reload {service}",
        new_logs=f"systemctl reload {service}",
        name=name,
        files=places_of(root, unit),
    )


def _read(root: str, main: str) -> _Configuration:
    """Read a configuration and what it includes."""
    configuration = _Configuration(_Pool(""), {}, {})
    current = configuration.globals
    for path, line, text in _Lines(root, configuration.problems).of(main, 1):
        try:
            parsed = parse_line(text)
        except ValueError as error:
            configuration.problems[Problem(path, line, str(error))] = None
            continue
        if isinstance(parsed, Section):
            current = _section(configuration, parsed.name, path, line)
        elif parsed is not None:
            key = parsed.key.lower()
            key = f"{key}[{parsed.item}]" if parsed.item else key
            value = parsed.value.replace("$pool", current.name or "$pool")
            setting = _Setting(value, path, line)
            if parsed.item:  # php-fpm applies these last to first
                current.settings.setdefault(key, setting)
            else:
                current.settings[key] = setting
    return configuration


def _section(configuration: _Configuration, name: str, path: str, line: int) -> _Pool:
    if name.lower() == "global":
        return configuration.globals
    return configuration.pools.setdefault(name.lower(), _Pool(name, path, line))


class _Lines:
    """The lines of a file, each ``include`` followed where it stands."""

    def __init__(self, root: str, problems: dict[Problem, None]) -> None:
        self._root = root
        self._problems = problems
        self._left = _MAX_LINES

    def of(self, path: str, depth: int) -> Iterator[tuple[str, int, str]]:
        try:
            lines = read_lines(below(self._root, path))
        except OSError as error:
            self._problems[unread(path, error)] = None
            return
        for number, text in enumerate(lines, 1):
            if not self._left:
                return
            self._left -= 1
            if not self._left:
                message = f"is not read on: there are more than {_MAX_LINES} lines"
                self._problems[Problem(path, number, message)] = None
            yield path, number, text
            yield from self._included(path, number, text, depth)

    def _included(
        self, path: str, number: int, text: str, depth: int
    ) -> Iterator[tuple[str, int, str]]:
        try:
            parsed = parse_line(text)
        except ValueError:
            return
        if not isinstance(parsed, Entry) or parsed.key != "include":
            return
        pattern = os.path.join(_PREFIX, parsed.value)
        if not os.path.isdir(below(self._root, os.path.dirname(pattern))):
            message = f"includes from {display(pattern)}, where there is no directory"
            self._problems[Problem(path, number, message)] = None
        for name in matching(self._root, pattern):
            if depth == _MAX_DEPTH:
                message = f"includes {display(name)} in itself, or too deeply"
                self._problems[Problem(path, number, message)] = None
            elif not os.path.isdir(below(self._root, name)):
                yield from self.of(name, depth + 1)


def _found(configuration: _Configuration, service: str, main: str, root: str) -> Found:
    umask = configured_umask(root, f"{service}.service")
    pools = list(configuration.pools.values())
    writers: list[Writer] = []
    problems = list(configuration.problems)
    for pool in pools:
        try:
            writers.append(_writer(pool, service, umask))
        except OptionError as error:
            setting = pool.settings.get("user", _Setting("", pool.path, pool.line))
            problems.append(Problem(setting.path, setting.line, str(error)))
    logs = dict(_masters_logs(configuration.globals, pools, main))
    if not pools:
        problems.append(Problem(main, 0, "leads to no pool: php-fpm does not start"))
    elif logs:
        master = root_itself(service, umask, _LOG_MODE)
        origin = next(iter(logs.values()))
        writers.append(Writer(master, "php-fpm", origin, tuple(logs)))
    return Found(tuple(writers), tuple(problems))


def _writer(pool: _Pool, service: str, umask: int) -> Writer:
    name = display(pool.name)
    setting = pool.settings.get("user", _Setting("", pool.path, pool.line))
    if not setting.value:
        raise OptionError(
            "user", setting.value, f"is no user of pool {name}", "Name one"
        )
    identity = account(
        f"{service}:{name}",
        setting.value,
        pool.get("group"),
        umask,
        "user",
        numbers=True,
    )
    return Writer(
        identity,
        f"php-fpm:{name}",
        f"{setting.path}:{setting.line}",
        tuple(_errors_of_php(pool)),
        tuple(dict.fromkeys(_mentions(pool))),
    )


def _errors_of_php(pool: _Pool) -> Iterator[str]:
    """Yield the file that a pool's processes log PHP's errors to themselves."""
    path = pool.php("error_log")
    if _is_file(path) and pool.get("chroot"):
        yield os.path.normpath(f"{_full(pool, 'chroot')}/{path}")
    elif _is_file(path):
        yield _beneath(_prefix(pool), path)


def _mentions(pool: _Pool) -> Iterator[str]:
    """Yield where a pool's application is."""
    jail = _full(pool, "chroot").rstrip("/") if pool.get("chroot") else ""
    directory = _full(pool, "chdir") if pool.get("chdir") else ""
    allowed = pool.php("open_basedir").split(":")
    for path in ("/", directory, pool.php("doc_root"), *allowed):
        full = jail + os.path.normpath(path)
        if path.startswith("/") and _is_of_application(full):
            yield full.rstrip("/")


def _is_of_application(path: str) -> bool:
    shared = path in _TEMPORARY or is_of_the_system(path)
    return bool(path.strip("/")) and not shared


def _masters_logs(
    defaults: _Pool, pools: Iterable[_Pool], main: str
) -> Iterator[tuple[str, str]]:
    """Yield the files that the master opens, and the lines that name them."""
    unset = _Setting("log/php-fpm.log", main, 0)
    log = defaults.settings.get("error_log", unset)
    if _is_file(log.value):
        yield _beneath(_STATE, log.value), f"{log.path}:{log.line}"
    for pool in pools:
        keys = ["access.log"]
        if re.match(r"\s*0*[1-9]", pool.get("request_slowlog_timeout")):
            keys.append("slowlog")  # otherwise it is never opened
        for key in keys:
            setting = pool.settings.get(key)
            if setting and _is_file(setting.value):
                path = _full(pool, key)
                yield path, f"{setting.path}:{setting.line}"


def _is_file(path: str) -> bool:
    other = path in {"", "syslog"} or path.startswith(("/dev/", "/proc/"))
    return not other


def _full(pool: _Pool, key: str) -> str:
    prefix = _prefix(pool)
    return _beneath(prefix, pool.get(key).replace("$prefix", prefix))


def _prefix(pool: _Pool) -> str:
    return _beneath(_PREFIX, pool.get("prefix"))


def _beneath(directory: str, path: str) -> str:
    return os.path.normpath(os.path.join(directory, path))
