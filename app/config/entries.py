"""One place's settings, flat: each key path with its value and where exactly it was said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from gpumon.app.config.appearance import color_problem, theme_problem
from gpumon.app.config.errors import ConfigError, did_you_mean, problem
from gpumon.app.config.keys import KeyPath, choices, table_keys
from gpumon.app.config.masking import without_password
from gpumon.app.config.settings import Settings
from gpumon.text.safe import visible


class Entry(NamedTuple):
    """A value and its origin."""

    value: object
    origin: str
    """``/home/me/.config/gpumon/config.toml:3``, ``GPUMON_THEME`` or ``--theme``."""
    is_text: bool = False
    """The value is text that stands for a number or a switch, as in the environment."""


Entries = dict[KeyPath, Entry]

STANDS_FOR_KEY = ("--", "GPUMON_", "OLLAMA_")
"""How the origins begin that are not places in a file."""

_FORMS = {
    "urls": 'expected a URL such as "http://box:11434"',
    "colors": 'expected a colour such as "#88c0d0" or "red"',
    "headers": "expected tables of URLs with header names and values, without control characters",
}
"""What to write, for the keys whose values have a form."""


def leaves(tree: Mapping[str, Any], prefix: KeyPath = ()) -> Iterable[tuple[KeyPath, object]]:
    """Yield the values of nested tables, each with its key path."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, (*prefix, name))
        else:
            yield (*prefix, name), value


def checked(entries: Entries) -> Entries:
    """Return ``entries``.

    Raises:
        ConfigError: a key does not exist, or its value cannot be used.
    """
    for path, entry in entries.items():
        _check_key(path, entry)
        _check_value(path, entry)
    return entries


def settings_from(entries: Entries) -> Settings:
    """Return the settings that checked ``entries`` amount to; the rest keep their defaults."""
    return msgspec.convert(_nested(entries), Settings, strict=False)


def dotted(path: KeyPath) -> str:
    """Return a key path as it is shown: a URL in it without its password."""
    return visible(".".join(map(without_password, path)))


def _check_key(path: KeyPath, entry: Entry) -> None:
    for depth, name in enumerate(path):
        known = table_keys(path[:depth])
        if known is not None and name not in known:
            shown = dotted(path[: depth + 1])
            raise ConfigError(f'{entry.origin}: unknown key "{shown}"{did_you_mean(name, known)}')


def _check_value(path: KeyPath, entry: Entry) -> None:
    try:
        msgspec.convert(_nested({path: entry}), Settings, strict=not entry.is_text)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{_place(path, entry)}: {_wrong(path, entry, str(error))}") from None
    wrong = _wrong_look(path, entry.value)
    if wrong is not None:
        raise ConfigError(f"{_place(path, entry)}: {wrong}")


def _place(path: KeyPath, entry: Entry) -> str:
    """Name what cannot be used: a flag or a variable says itself which key it sets."""
    return entry.origin if entry.origin.startswith(STANDS_FOR_KEY) else f"{entry.origin}: {dotted(path)}"


def _wrong_look(path: KeyPath, value: object) -> str | None:
    """Return what is wrong with a theme or a colour that is written as one."""
    if path == ("theme",):
        return theme_problem(str(value))
    return color_problem(str(value)) if path[0] == "colors" else None


def _wrong(path: KeyPath, entry: Entry, said: str) -> str:
    words = choices(path)
    if words and isinstance(entry.value, str):
        return f"must be one of {', '.join(words)}{did_you_mean(entry.value, words)}"
    if "matching regex" in said:
        return _FORMS.get(path[0], "holds a character that cannot be used")
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
