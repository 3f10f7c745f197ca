"""Settings as TOML text: those in effect, each with the place that set it, and a file to start from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any, NamedTuple

from msgspec import Struct
from msgspec.structs import asdict

from gpumon.app.config.load import Loaded
from gpumon.app.config.schema import KeyPath, Setting, settings_of, table_description, without_password
from gpumon.app.config.settings import Settings

_BARE = re.compile(r"[A-Za-z0-9_-]+")


class _Line(NamedTuple):
    path: KeyPath
    value: object
    origin: str


def shown(loaded: Loaded) -> str:
    """Return the settings in effect as TOML text that holds no secret."""
    state = "" if loaded.path.exists() else " (not there)"
    lines = (line for setting in _tables_last(type(loaded.settings)) for line in _lines(setting, loaded))
    tables = groupby(lines, key=lambda line: line.path[:-1])
    return f"# {loaded.path}{state}\n" + "\n".join(_table(path, lines) for path, lines in tables)


def template(root: type[Settings] = Settings) -> str:
    """Return a settings file with every key and its description, all of them commented out."""
    tables = groupby(_tables_last(root), key=_table_of)
    body = "\n".join(_table_to_fill(root, path, list(settings)) for path, settings in tables)
    return "# Settings of gpumon. Remove the # before a key to set it.\n\n" + body


def toml_key(name: str) -> str:
    """Return a key, in quotes where it needs them."""
    return name if _BARE.fullmatch(name) else toml_value(name)


def toml_value(value: object) -> str:
    """Return a switch, a number, a text, or a list or an inline table of these."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{"".join(map(_escaped, value))}"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, Struct):
        return toml_value(asdict(value))
    if isinstance(value, Mapping):
        pairs = (f"{toml_key(name)} = {toml_value(one)}" for name, one in value.items())
        return f"{{ {', '.join(pairs)} }}"
    return repr(value)


def _tables_last(root: type[Settings]) -> list[Setting]:
    """Return the settings in an order that TOML allows: tables with free keys after all others."""
    return sorted(settings_of(root), key=lambda setting: setting.form == "table")


def _table_of(setting: Setting) -> KeyPath:
    """Return the table under which a setting is written; one with free keys is a table itself."""
    return setting.path if setting.form == "table" else setting.path[:-1]


def _lines(setting: Setting, loaded: Loaded) -> Iterator[_Line]:
    if setting.form == "table":
        yield from _free_lines(setting, loaded)
        return
    value: Any = loaded.settings
    for name in setting.path:
        value = getattr(value, name)
    entry = loaded.entries.get(setting.path)
    yield _Line(setting.path, _without_secret(setting, value), entry.origin if entry else "default")


def _free_lines(setting: Setting, loaded: Loaded) -> Iterator[_Line]:
    depth = len(setting.path)
    for path, entry in sorted(loaded.entries.items()):
        if path[:depth] == setting.path:
            shown_path = (*path[:depth], *map(without_password, path[depth:]))
            yield _Line(shown_path, _without_secret(setting, entry.value), entry.origin)


def _without_secret(setting: Setting, value: object) -> object:
    mask = setting.about.secret
    if mask is None or value is None:
        return value
    if isinstance(value, list | tuple):
        return [mask(str(text)) for text in value]
    return mask(str(value))


def _table(path: KeyPath, lines: Iterator[_Line]) -> str:
    heading = f"[{'.'.join(map(toml_key, path))}]\n" if path else ""
    return heading + "".join(map(_assignment, lines))


def _assignment(line: _Line) -> str:
    name = toml_key(line.path[-1])
    if line.value is None:
        return f"# {name} is not set\n"
    return f"{name} = {toml_value(line.value)}  # {line.origin}\n"


def _table_to_fill(root: type[Settings], path: KeyPath, settings: list[Setting]) -> str:
    if settings[0].form == "table":
        return "".join(map(_free_table_to_fill, settings))
    heading = f"# {table_description(root, path)}\n#[{'.'.join(path)}]\n" if path else ""
    return heading + "".join(map(_key_to_fill, settings))


def _key_to_fill(setting: Setting) -> str:
    value = setting.default if setting.example is None else setting.example
    return f"# {setting.description}\n#{setting.path[-1]} = {toml_value(value)}\n"


def _free_table_to_fill(setting: Setting) -> str:
    tables: Any = setting.example if isinstance(setting.example, Mapping) else {}
    lines = [f"# {setting.description}"]
    for name, table in tables.items():
        lines.append(f"#[{'.'.join(map(toml_key, (*setting.path, name)))}]")
        lines += [f"#{toml_key(key)} = {toml_value(value)}" for key, value in table.items()]
    return "\n".join([*lines, ""])


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
