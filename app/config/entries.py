"""One place's settings, flat: each key path with its value, where it was said, and what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from gpumon.app.config.schema import KeyPath, Setting, setting_at, table_keys, without_password
from gpumon.app.config.settings import Settings
from gpumon.app.errors import GpumonError, did_you_mean
from gpumon.text.safe import visible


class ConfigError(GpumonError):
    """A setting that cannot be used; names its place and its key."""


class Entry(NamedTuple):
    """A value and its origin."""

    value: object
    origin: str
    """``/home/me/.config/gpumon/config.toml:3``, ``GPUMON_THEME`` or ``--theme``."""
    is_text: bool = False
    """The value is text that stands for a number or a switch, as in the environment."""


Entries = dict[KeyPath, Entry]

OLLAMA_VARIABLE = "OLLAMA_HOST"
"""Ollama's own variable: the server to ask where neither file, environment nor flag names one."""

_STANDS_FOR_KEY = ("--", "GPUMON_", OLLAMA_VARIABLE)
"""How the origins begin that are not places in a file."""
_KINDS = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "text in quotes",
    "array": "a list",
    "object": "a table",
}
_BOUNDS = {">=": "at least", "<=": "at most"}


def leaves(tree: Mapping[str, Any], prefix: KeyPath = ()) -> Iterable[tuple[KeyPath, object]]:
    """Yield the values of nested tables, each with its key path."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, (*prefix, name))
        else:
            yield (*prefix, name), value


def checked(entries: Entries, root: type[Settings] = Settings) -> Entries:
    """Return ``entries``.

    Raises:
        ConfigError: a key does not exist, or its value cannot be used.
    """
    for path, entry in entries.items():
        _check_key(path, entry, root)
        _check_value(path, entry, root)
    return entries


def settings_from(entries: Entries, root: type[Settings] = Settings) -> Settings:
    """Return the settings that checked ``entries`` amount to; the rest keep their defaults."""
    return msgspec.convert(_nested(entries), root, strict=False)


def dotted(path: KeyPath) -> str:
    """Return a key path as it is shown: a URL in it without its password."""
    return visible(".".join(map(without_password, path)))


def problem(said: str) -> str:
    """Return in plain words what msgspec's validation ``said`` about a value."""
    if found := re.match(r"Expected `([^`]+)`, got `(\w+)`", said):
        return f"expected {_kind(found[1])}, got {_kind(found[2])}"
    if found := re.match(r"Expected `\w+` (>=|<=) (\S+)", said):
        return f"must be {_BOUNDS[found[1]]} {found[2]}"
    if "of length" in said:
        return "must not be empty"
    return said.split(" - at ", maxsplit=1)[0]


def _kind(types: str) -> str:
    first = types.split(" | ", maxsplit=1)[0]
    return _KINDS.get(first, first)


def _check_key(path: KeyPath, entry: Entry, root: type[Settings]) -> None:
    for depth, name in enumerate(path):
        known = table_keys(root, path[:depth])
        if known is not None and name not in known:
            shown = dotted(path[: depth + 1])
            raise ConfigError(f'{entry.origin}: unknown key "{shown}"{did_you_mean(name, known)}')


def _check_value(path: KeyPath, entry: Entry, root: type[Settings]) -> None:
    setting = setting_at(root, path)
    try:
        msgspec.convert(_nested({path: entry}), root, strict=not entry.is_text)
    except msgspec.ValidationError as error:
        said = _wrong(setting, entry, str(error))
        raise ConfigError(f"{_place(path, entry)}: {said}") from None
    wrong = _not_told_by_type(setting, entry)
    if wrong is not None:
        raise ConfigError(f"{_place(path, entry)}: {wrong}")


def _place(path: KeyPath, entry: Entry) -> str:
    """Name what cannot be used: a flag or a variable says itself which key it sets."""
    return entry.origin if entry.origin.startswith(_STANDS_FOR_KEY) else f"{entry.origin}: {dotted(path)}"


def _not_told_by_type(setting: Setting | None, entry: Entry) -> str | None:
    """Return what is wrong with a value though its type and pattern are right.

    Ollama's own variable is taken by Ollama's own rules, by which any text is an address.
    """
    check = setting.about.check if setting else None
    if check is None or entry.origin == OLLAMA_VARIABLE:
        return None
    texts = entry.value if isinstance(entry.value, list | tuple) else (entry.value,)
    return next((wrong for text in texts if (wrong := check(str(text))) is not None), None)


def _wrong(setting: Setting | None, entry: Entry, said: str) -> str:
    words = setting.words if setting else ()
    if words and isinstance(entry.value, str):
        return f"must be one of {', '.join(words)}{did_you_mean(entry.value, words)}"
    if "matching regex" in said:
        look = setting.about.look if setting else None
        return f"expected {look}" if look else "holds a character that cannot be used"
    if entry.is_text:
        return problem(said).replace("got text in quotes", f'got "{visible(str(entry.value))}"')
    return problem(said)


def _nested(entries: Entries) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, entry in entries.items():
        table = tree
        for name in path[:-1]:
            table = table.setdefault(name, {})
        table[path[-1]] = entry.value
    return tree
