"""The schema as key paths: which keys exist, and what is known of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct, inspect

from gpumon.app.config.settings import Settings

KeyPath = tuple[str, ...]

HEADERS: KeyPath = ("headers",)
"""The one setting that is a table with free keys."""


class Key(NamedTuple):
    """One setting."""

    path: KeyPath
    default: object
    description: str
    example: object
    """A value to show where the default is none."""


def keys(table: type[Struct] = Settings, prefix: KeyPath = ()) -> Iterator[Key]:
    """Yield every key, those of a table after those of the tables above it."""
    info = inspect.type_info(table)
    assert isinstance(info, inspect.StructType)  # noqa: S101  a Struct's info is one, and mypy cannot know
    for entry in info.fields:
        kind = _bare(entry.type)
        if isinstance(kind, inspect.StructType):
            yield from keys(kind.cls, (*prefix, entry.name))
        else:
            yield Key((*prefix, entry.name), _default(entry), *_words(entry.type))


def table_keys(path: KeyPath) -> tuple[str, ...] | None:
    """Return the keys a table at ``path`` may have, or ``None`` where they are free or it is no table."""
    table: type[Struct] = Settings
    for name in path:
        kind = _kind_of(table, name)
        if not isinstance(kind, inspect.StructType):
            return None
        table = kind.cls
    return tuple(entry.name for entry in msgspec.structs.fields(table))


def choices(path: KeyPath) -> tuple[str, ...]:
    """Return the words a key may take, or none where it takes more than words."""
    table: type[Struct] = Settings
    for name in path:
        kind = _kind_of(table, name)
        if isinstance(kind, inspect.LiteralType):
            return tuple(str(value) for value in kind.values)
        if not isinstance(kind, inspect.StructType):
            return ()
        table = kind.cls
    return ()


def _kind_of(table: type[Struct], name: str) -> inspect.Type | None:
    for entry in msgspec.structs.fields(table):
        if entry.name == name:
            return _bare(inspect.type_info(entry.type))
    return None


def _bare(kind: inspect.Type) -> inspect.Type:
    return _bare(kind.type) if isinstance(kind, inspect.Metadata) else kind


def _default(entry: inspect.Field) -> object:
    if entry.default_factory is not msgspec.NODEFAULT:
        return entry.default_factory()
    return entry.default


def _words(kind: inspect.Type) -> tuple[str, object]:
    schema: dict[str, Any] = (kind.extra_json_schema or {}) if isinstance(kind, inspect.Metadata) else {}
    examples = schema.get("examples", [None])
    return schema.get("description", ""), examples[0]
