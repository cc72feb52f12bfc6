# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Laravel's config/logging.php: which channels log to files, with what mode.

https://laravel.com/docs/logging; ``LogManager`` passes ``permission`` to Monolog.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from ._laravel_env import env_words
from ._php import UNKNOWN, Call, Unknown, Value, returned_array
from ._writers._files import read_text

CONFIGURATION = "config/logging.php"
#: What `artisan config:cache` writes; then neither .env nor config/ is read.
CACHE = "bootstrap/cache/config.php"
_FILES = ("single", "daily")
#: More is no configuration that somebody wrote.
_MAX_CHANNELS = 100
_DECIMAL = re.compile(r"\s*[0-9]{1,9}\s*")


@dataclass(frozen=True)
class Channel:
    """A channel that logs to a file; ``permission`` is None where none is set.

    ``key`` is the key in ``.env`` that the permission is from, if it is. It is
    ``quoted`` where a text stands for it, which PHP takes to be decimal, and
    ``unclear`` where a permission is set that cannot be told.
    """

    name: str
    path: str
    permission: int | None
    source: str
    key: str | None = None
    quoted: str = ""
    unclear: bool = False


def file_channels(application: str) -> list[Channel]:
    """Return the channels that the application logs to; all, if that is not known.

    Raises OSError where the configuration cannot be read, and ValueError where
    it cannot be understood.
    """
    cached = os.path.join(application, CACHE)
    source = cached if os.path.lexists(cached) else None
    source = source or os.path.join(application, CONFIGURATION)
    values = returned_array(read_text(source))
    if source == cached:
        logging = values.get("logging")
        values = logging if isinstance(logging, Mapping) else {}
    reader = _Reader(application, source, values, uses_env=source != cached)
    channels = list(itertools.islice(reader.channels(), _MAX_CHANNELS + 1))
    if len(channels) > _MAX_CHANNELS:
        raise ValueError(f"has more than {_MAX_CHANNELS} channels that log to files")
    return channels


class _Reader:
    def __init__(
        self,
        application: str,
        source: str,
        values: Mapping[str | int, Value],
        *,
        uses_env: bool,
    ) -> None:
        self._application = application
        self._source = source
        self._uses_env = uses_env
        self._default = values.get("default")
        channels = values.get("channels")
        self._channels = channels if isinstance(channels, Mapping) else {}

    def channels(self) -> Iterator[Channel]:
        used = self._used(self._known(self._default))
        for name, value in self._channels.items():
            if isinstance(value, Mapping) and (used is None or name in used):
                channel = self._channel(str(name), value)
                if channel is not None:
                    yield channel

    def _used(self, default: object) -> set[str] | None:
        """Return the channels that one leads to; None if that is not known."""
        found: set[str] = set()
        left = [default]
        while left:
            name = left.pop()
            if not isinstance(name, str):
                return None
            channel = None if name in found else self._channels.get(name)
            found.add(name)
            if isinstance(channel, Mapping) and channel.get("driver") == "stack":
                inner = self._list(channel.get("channels"))
                left += [None] if inner is None else inner
        return found

    def _list(self, value: Value) -> list[object] | None:
        if isinstance(value, Mapping):
            return [self._known(each) for each in value.values()]
        if isinstance(value, Call) and value.name == "explode":
            text = self._known(value.arguments[1]) if len(value.arguments) > 1 else None
            return list(text.split(",")) if isinstance(text, str) else None
        return None

    @cached_property
    def _environment(self) -> Mapping[str, str]:
        return env_words(self._application)

    def _known(self, value: Value) -> Value:
        """Return a value that may come from ``.env``, or UNKNOWN."""
        if not isinstance(value, Call):
            return value
        if value.name == "env" and value.arguments and self._uses_env:
            key = value.arguments[0]
            found = self._environment.get(key) if isinstance(key, str) else None
            default = value.arguments[1] if len(value.arguments) > 1 else None
            return found if found is not None else self._known(default)
        if value.name in ("storage_path", "base_path") and value.arguments:
            inner = self._known(value.arguments[0])
            below = "storage/" if value.name == "storage_path" else ""
            if isinstance(inner, str):
                return f"{self._application}/{below}{inner}"
        return UNKNOWN

    def _channel(self, name: str, value: Mapping[str | int, Value]) -> Channel | None:
        path = self._known(value.get("path"))
        if value.get("driver") not in _FILES or not isinstance(path, str):
            return None
        written = value.get("permission")
        key = written.arguments[0] if isinstance(written, Call) else None
        permission = self._known(written)
        number = _as_php_int(permission)
        return Channel(
            name,
            os.path.normpath(path),
            number,
            self._source,
            str(key) if isinstance(key, str) else None,
            permission if isinstance(permission, str) else "",
            unclear=number is None and permission is not None,
        )


def _as_php_int(value: Value) -> int | None:
    """Return what PHP makes of a value for an int: of "0664", decimal 664."""
    if isinstance(value, (bool, Unknown)):
        return None
    if isinstance(value, int):
        return value & 0o7777
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return int(value) & 0o7777
    return None
