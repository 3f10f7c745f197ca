"""The settings in effect: Ollama's variable, theme file, settings file, environment, flags; the last wins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gpumon.app.config.entries import (
    OLLAMA_VARIABLE,
    ConfigError,
    Entries,
    Entry,
    checked,
    settings_from,
)
from gpumon.app.config.file import default_path, read
from gpumon.app.config.keys import with_keys
from gpumon.app.config.schema import KeyPath, Setting, settings_of
from gpumon.app.config.settings import EVERY_URL, Settings

CONFIG_VARIABLE = "GPUMON_CONFIG"
"""Path of the settings file."""
THEME_FILE = "theme.toml"
"""Beside the settings file: the keys of ``[colors]`` without the table, to be shared as a file."""


class Loaded(NamedTuple):
    """Settings, and which place set each one."""

    settings: Settings
    entries: Entries
    """The keys that were set, each with its origin; any other is at its default."""
    path: Path
    """The settings file, whether or not it is there."""


def load(
    flags: Entries, environ: Mapping[str, str], config: Path | None = None, root: type[Settings] = Settings
) -> Loaded:
    """Return the settings in effect; ``config`` is the file that the command line names.

    Raises:
        ConfigError: a file that was named is missing, or something in it, in the environment or among the
            flags is not a setting.
    """
    path, named = config_path(environ, config)
    theme = {
        ("colors", *key): entry for key, entry in read(path.with_name(THEME_FILE), required=False).items()
    }
    entries: Entries = {}
    for place in (
        ollama_entries(environ),
        theme,
        with_keys(read(path, required=named), environ, path.parent),
        environment_entries(environ, root),
        flags,
    ):
        entries = _over(entries, checked(place, root)) if place else entries
    return Loaded(settings_from(entries, root), entries, path)


def config_path(environ: Mapping[str, str], config: Path | None = None) -> tuple[Path, bool]:
    """Return the path of the settings file, and whether the user named it."""
    named = config or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    return (named.expanduser(), True) if named else (default_path(), False)


def ollama_entries(environ: Mapping[str, str]) -> Entries:
    """Return the server that Ollama's own programs would ask, if one is named."""
    text = environ.get(OLLAMA_VARIABLE, "").strip().strip("\"'").strip()
    return {("urls",): Entry([text], OLLAMA_VARIABLE)} if text else {}


def environment_entries(environ: Mapping[str, str], root: type[Settings] = Settings) -> Entries:
    """Return what the environment says; a variable that is empty counts as not set.

    A variable of a list holds its items, apart by spaces or commas, and one of a table holds a header a line:
    out of the reach of ``ps``, unlike a flag.

    Raises:
        ConfigError: a header is not written as one.
    """
    entries: Entries = {}
    if not any(name.startswith("GPUMON_") for name in environ):
        return entries
    for setting in settings_of(root):
        variable = setting.about.variable
        if variable is not None and (text := environ.get(variable)):
            entries |= _from_text(setting, text, variable)
    return entries


def flag_entries(given: Mapping[str, Any], root: type[Settings] = Settings) -> Entries:
    """Return the settings among the ``given`` flags, which are known by the parser's names for them.

    Raises:
        ConfigError: a header is not written as one.
    """
    entries: Entries = {}
    if not given:
        return entries
    for setting in settings_of(root):
        flag = setting.about.flag
        if flag is not None and flag.attribute in given:
            entries |= _from_flag(setting, given[flag.attribute], " or ".join(flag.origins))
    return entries


def _from_flag(setting: Setting, value: str | bool | list[str], origin: str) -> Entries:
    if setting.form == "table" and isinstance(value, list):
        return _headers(setting.path, value, origin)
    return {setting.path: Entry(value, origin, is_text=isinstance(value, str))}


def _from_text(setting: Setting, text: str, origin: str) -> Entries:
    if setting.form == "table":
        return _headers(setting.path, text.splitlines(), origin)
    if setting.form == "list":
        items = text.replace(",", " ").split()
        return {setting.path: Entry(items, origin)} if items else {}
    return {setting.path: Entry(text, origin, is_text=True)}


def _headers(path: KeyPath, lines: Iterable[str], origin: str) -> Entries:
    """Return the entries for lines of ``[URL] Name: value``; one without a URL goes to every server.

    Raises:
        ConfigError: a line has no colon. The line itself may be a secret and is not repeated.
    """
    entries: Entries = {}
    for line in lines:
        url, header = _split_url(line.strip())
        name, colon, value = header.partition(":")
        if not colon:
            raise ConfigError(f'{origin}: a header is written "Name: value"')
        entries[*path, url, name.strip()] = Entry(value.strip(), origin)
    return entries


def _split_url(line: str) -> tuple[str, str]:
    first, _, rest = line.partition(" ")
    return (first, rest) if first.startswith(("http://", "https://")) else (EVERY_URL, line)


def _over(weaker: Entries, stronger: Entries) -> Entries:
    """Return both, without the ``weaker`` of two spellings of a header's name that differ in case."""
    spelled = {_as_compared(path): path for path in stronger}
    kept = {path: entry for path, entry in weaker.items() if spelled.get(_as_compared(path), path) == path}
    return kept | stronger


def _as_compared(path: KeyPath) -> KeyPath:
    return (*path[:-1], path[-1].lower()) if path[0] == "headers" else path
