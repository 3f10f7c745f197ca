"""The settings in effect, as TOML, each with the place that set it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

from gpumon.app.config.keys import HEADERS, KeyPath, keys
from gpumon.app.config.load import Loaded
from gpumon.app.config.masking import MASK, without_password
from gpumon.app.config.settings import Settings
from gpumon.app.config.toml import toml_key, toml_value

_URLS: KeyPath = ("urls",)


class _Line(NamedTuple):
    path: KeyPath
    value: object
    origin: str


def shown(loaded: Loaded) -> str:
    """Return TOML text that holds no secret."""
    state = "" if loaded.path.exists() else " (not there)"
    tables = groupby((*_known(loaded), *_headers(loaded)), key=lambda line: line.path[:-1])
    return f"# {loaded.path}{state}\n" + "\n".join(_table(path, lines) for path, lines in tables)


def _known(loaded: Loaded) -> Iterator[_Line]:
    for key in keys():
        if key.path != HEADERS:
            entry = loaded.entries.get(key.path)
            yield _Line(key.path, _value(loaded.settings, key.path), entry.origin if entry else "default")


def _value(settings: Settings, path: KeyPath) -> object:
    if path == _URLS:
        return [without_password(url) for url in settings.urls]
    value: object = settings
    for name in path:
        value = getattr(value, name)
    return value


def _headers(loaded: Loaded) -> Iterator[_Line]:
    for path, entry in sorted(loaded.entries.items()):
        if path[:1] == HEADERS:
            _, url, name = path
            yield _Line((*HEADERS, without_password(url), name), MASK, entry.origin)


def _table(path: KeyPath, lines: Iterator[_Line]) -> str:
    heading = f"[{'.'.join(map(toml_key, path))}]\n" if path else ""
    return heading + "".join(map(_assignment, lines))


def _assignment(line: _Line) -> str:
    name = toml_key(line.path[-1])
    if line.value is None:
        return f"# {name} is not set\n"
    return f"{name} = {toml_value(line.value)}  # {line.origin}\n"
