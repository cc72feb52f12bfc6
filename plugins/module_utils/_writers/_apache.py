# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apache as Debian lays it out: who serves requests, and what root opens."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import replace

from .._errors import OptionError
from ._apache_config import Configuration, Directive, read, short, undefined
from ._apache_envvars import Environment, evaluate
from ._daemons import account, is_of_the_system, root_itself
from ._files import below, list_names
from ._source import Found, Launch, Problem, Writer
from ._unit_files import configured_umask, places_of

#: Where Apache logs to if ErrorLog does not say, relative to ServerRoot.
_DEFAULT_ERROR_LOG = "logs/error_log"
#: What root opens before Apache becomes its user, or starts a program for that
#: is root, too.
_ROOTS_LOGS = {
    *("errorlog", "customlog", "globallog", "transferlog", "forensiclog"),
    *("jklogfile", "secauditlog", "secauditlog2", "secdebuglog"),
}
#: What PHP's module takes ``error_log`` from; the processes open that themselves.
_PHP = {"php_value", "php_admin_value"}
#: Where what is served lies: the last argument.
_SERVED = {"documentroot", "virtualdocumentroot", "alias", "scriptalias"}
#: Who runs a virtual host's requests (mpm-itk), or only its programs.
_WHOLE_HOST, _PROGRAMS = "assignuserid", "suexecusergroup"
_RELEVANT = {
    *_ROOTS_LOGS,
    *_PHP,
    *_SERVED,
    *("user", "group", "scriptlog", _WHOLE_HOST, _PROGRAMS),
}
_TAKE_TWO = {*_PHP, _WHOLE_HOST, _PROGRAMS}
#: Of these, the last one in a host counts.
_LAST_COUNTS = {
    *("errorlog", "forensiclog", "scriptlog", "documentroot", "virtualdocumentroot"),
    *(_WHOLE_HOST, _PROGRAMS),
}
#: Programs that open their first argument, with more at its end, and their
#: options that take a path.
_ROTATORS = {"rotatelogs", "cronolog"}
_OPTIONS_WITH_PATHS = {"-L", "-p", "-S", "-P", "--symlink", "--prev-symlink"}


def discover(root: str = "/") -> Found:
    """Return who writes as Apache, for each of its instances."""
    if not os.path.lexists(below(root, "/usr/sbin/apache2")):
        return Found()  # a package that was removed leaves its configuration
    writers: list[Writer] = []
    problems: list[Problem] = []
    for name in list_names(root, "/etc"):
        there = os.path.lexists(below(root, f"/etc/{name}/apache2.conf"))
        if there and (name == "apache2" or name.startswith("apache2-")):
            found = _of_instance(root, name)
            writers += found.writers
            problems += found.problems
    return Found(tuple(writers), tuple(problems))


def _of_instance(root: str, name: str) -> Found:
    directory = f"/etc/{name}"
    service = name.replace("-", "@", 1)
    envvars = f"{directory}/envvars"
    environment = Environment()
    if os.path.lexists(below(root, envvars)):
        environment = evaluate(root, envvars, {"APACHE_CONFDIR": directory})
    umask, load = environment.umask, ""
    unit = f"{service}.service"
    if umask is None:
        umask, load = configured_umask(root, unit), "systemctl daemon-reload && "
    launch = Launch(
        unit,
        # Children that a reload starts inherit the umask.
        new_umask=f"{load}systemctl restart {service}",
        new_groups=f"systemctl reload {service}",
        new_logs=f"systemctl reload {service}",
        name="apache2",
        files=(envvars, *places_of(root, unit)),
    )
    arguments = environment.variables.get("APACHE_ARGUMENTS", "")
    configuration = read(root, directory, environment.variables, _defined_by(arguments))
    server = _Server(service, umask, configuration)
    server.problems += environment.problems
    found = server.found()
    writers = tuple(replace(each, launch=launch) for each in found.writers)
    return replace(found, writers=writers)


def _defined_by(arguments: str) -> list[str]:
    """Return what ``-D`` defines on the command line."""
    given = _split(arguments)
    return [
        word if before == "-D" else word[len("-D") :]
        for before, word in zip(["", *given], given)
        if before == "-D" or word.startswith("-D")
    ]


def _split(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:  # a quotation mark without its end
        return command.split()


def _effective(
    directives: Iterable[Directive], problems: list[Problem]
) -> list[Directive]:
    """Return what matters here, and is complete."""
    relevant = [each for each in directives if _is_relevant(each)]
    for each in relevant:
        message = _incomplete(each)
        if message:
            problems.append(Problem(each.path, each.line, message))
    relevant = [each for each in relevant if not _incomplete(each)]
    last = {(each.host, each.name): each for each in relevant}
    return [
        each
        for each in relevant
        if each.name not in _LAST_COUNTS or last[each.host, each.name] is each
    ]


def _is_relevant(directive: Directive) -> bool:
    if directive.name in _PHP:
        return [each.lower() for each in directive.arguments[:1]] == ["error_log"]
    return directive.name in _RELEVANT


def _incomplete(directive: Directive) -> str | None:
    """Say what a directive lacks."""
    wanted = 2 if directive.name in _TAKE_TWO else 1
    if len(directive.arguments) < wanted:
        return f"{directive.name} says too little"
    # what follows are formats and conditions, which have a $ of their own
    unknown = undefined(" ".join(directive.arguments[:2]))
    if directive.name in _ROOTS_LOGS - {"errorlog"}:
        unknown = undefined(directive.arguments[0])
    if unknown:
        return f"{short(unknown)} is defined neither in envvars nor with Define"
    return None


class _Server:
    """One instance: a process of root, and its children."""

    def __init__(self, service: str, umask: int, configuration: Configuration) -> None:
        self._service = service
        self._umask = umask
        self._root = configuration.server_root
        self.problems = list(configuration.problems)
        #: What the main server says, be it complete or not.
        self._said = {each.name for each in configuration.directives if not each.host}
        self._directives = _effective(configuration.directives, self.problems)

    def found(self) -> Found:
        """Return the writers, root last."""
        writers: list[Writer] = []
        if self._directives:
            writers = [*self._own_user(), *self._other_users(), self._parent()]
        return Found(tuple(writers), tuple(self.problems))

    def _named(self, *names: str) -> Iterator[Directive]:
        return (each for each in self._directives if each.name in names)

    def _own_user(self) -> Iterator[Writer]:
        """Yield who serves all hosts but those that are another user's."""
        main = {each.name: each for each in self._directives if not each.host}
        user, group = main.get("user"), main.get("group")
        if "user" not in self._said:
            path = os.path.join(self._root, "apache2.conf")
            self.problems.append(Problem(path, 0, "leads to no User"))
        if user is None:
            return
        others = {each.host for each in self._named(_WHOLE_HOST)}
        hosts = set() if 0 in others else self._hosts() - others
        name = user.arguments[0]
        group_name = group.arguments[0] if group else ""
        identifier = f"{self._service}:{name.lstrip('#')}"
        yield from self._worker(identifier, user, (name, group_name), hosts, hosts)

    def _other_users(self) -> Iterator[Writer]:
        """Yield whom mpm-itk serves hosts as, and suexec runs programs as."""
        requests = self._hosts_by_user(_WHOLE_HOST)
        programs = self._hosts_by_user(_PROGRAMS)
        first: dict[tuple[str, ...], Directive] = {}
        for each in self._named(_WHOLE_HOST, _PROGRAMS):
            first.setdefault(each.arguments[:2], each)
        for (name, group), directive in first.items():
            served = requests.get((name, group), set())
            run = programs.get((name, group), set())
            identifier = f"{self._service}:{name}:{group}".replace("#", "")
            yield from self._worker(
                identifier, directive, (name, group), served, served | run
            )

    def _hosts(self) -> set[int]:
        return {each.host for each in self._directives}

    def _hosts_by_user(self, name: str) -> dict[tuple[str, ...], set[int]]:
        """Return the hosts of each user and group; all others are the main's."""
        named = {each.host: each.arguments[:2] for each in self._named(name)}
        hosts: dict[tuple[str, ...], set[int]] = {}
        for host in self._hosts():
            owner = named.get(host, named.get(0))
            if owner is not None:
                hosts.setdefault(owner, set()).add(host)
        return hosts

    def _worker(
        self,
        identifier: str,
        directive: Directive,
        names: tuple[str, str],
        served: set[int],
        mentioned: set[int],
    ) -> Iterator[Writer]:
        user, group = (name.lstrip("#") for name in names)
        try:
            identity = account(identifier, user, group, self._umask, directive.name)
        except OptionError as error:
            self.problems.append(Problem(directive.path, directive.line, str(error)))
            return
        if identity.uid == 0:
            message = "Apache refuses to serve requests as root"
            self.problems.append(Problem(directive.path, directive.line, message))
            return
        logs = (self._own_log(each) for each in self._directives if each.host in served)
        served_from = (
            self._place(each)
            for each in self._named(*_SERVED)
            if each.host in mentioned
        )
        yield Writer(
            identity,
            self._service,
            f"{directive.path}:{directive.line}",
            tuple(dict.fromkeys(filter(None, logs))),
            tuple(dict.fromkeys(filter(None, served_from))),
        )

    def _own_log(self, directive: Directive) -> str:
        """Return the file that a process of Apache opens for itself."""
        if directive.name == "scriptlog":
            return self._path(directive.arguments[0])
        if directive.name in _PHP:
            path = directive.arguments[1]
            # another one is relative to wherever PHP happens to be
            return os.path.normpath(path) if path.startswith("/") else ""
        return ""

    def _place(self, directive: Directive) -> str:
        """Return a directory that is served, as far as it is always the same."""
        path = self._path(directive.arguments[-1])
        if directive.name == "virtualdocumentroot":
            path = os.path.dirname(path.partition("%")[0])
        if directive.name.endswith("alias") and is_of_the_system(path):
            return ""
        return path if path.strip("/") else ""

    def _path(self, path: str) -> str:
        return os.path.normpath(os.path.join(self._root, path))

    def _parent(self) -> Writer:
        """Return root, who opens logs and starts programs that do."""
        logs: dict[str, str] = {}
        mentions: dict[str, None] = {}
        for each in self._named(*_ROOTS_LOGS):
            target = _target(each)
            if target.startswith("|"):
                opened, named = _of_program(target.lstrip("|").lstrip("$"))
                mentions.update(dict.fromkeys(named))
            else:
                opened = (self._path(target),) if _is_file(target) else ()
            for path in opened:
                logs.setdefault(path, f"{each.path}:{each.line}")
        if "errorlog" not in self._said:
            main = os.path.join(self._root, "apache2.conf")
            logs.setdefault(self._path(_DEFAULT_ERROR_LOG), f"{main}:0")
        return Writer(
            root_itself(f"{self._service}:root", self._umask),
            self._service,
            next(iter(logs.values()), ""),
            tuple(logs),
            tuple(mentions),
        )


def _target(directive: Directive) -> str:
    """Return the file, ``|program`` or service that a directive logs to."""
    first, *more = directive.arguments
    if directive.name != "errorlog":
        return first
    if first.startswith("syslog"):
        return ""
    if more:  # a provider, and what it is told
        return more[0] if first.lower() == "file" else ""
    return first


def _is_file(target: str) -> bool:
    return not re.match(r"$|/dev/|/proc/|journald$|[A-Za-z]+:", target)


def _of_program(command: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the files that a piped log is known to open, and other paths."""
    program, *arguments = _split(command) or [""]
    paths = [
        (before, path)
        for before, path in zip([program, *arguments], arguments)
        if path.startswith("/") and path.strip("/")
    ]
    opened: tuple[str, ...] = ()
    if os.path.basename(program) in _ROTATORS:
        opened = tuple(
            path for before, path in paths if before not in _OPTIONS_WITH_PATHS
        )[:1]
    return opened, tuple(path for _before, path in paths if path not in opened)
