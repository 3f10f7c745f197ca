"""The settings in effect: Ollama's variable, theme file, settings file, environment, flags; the last wins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from gpumon.app.config.entries import Entries, checked, settings_from
from gpumon.app.config.environment import CONFIG_VARIABLE, environment_entries, ollama_entries
from gpumon.app.config.file import default_path, read
from gpumon.app.config.settings import Settings

THEME_FILE = "theme.toml"
"""Beside the settings file: the keys of ``[colors]`` without the table, to be shared as a file."""


class Loaded(NamedTuple):
    """Settings, and which place set each one."""

    settings: Settings
    entries: Entries
    """The keys that were set, each with its origin; any other is at its default."""
    path: Path
    """The settings file, whether or not it is there."""


def load(flags: Entries, environ: Mapping[str, str], config: Path | None = None) -> Loaded:
    """Return the settings in effect; ``config`` is the file that the command line names.

    Raises:
        ConfigError: a file that was named is missing, or something in it, in the environment or among the
            flags is not a setting.
    """
    path, named = config_path(environ, config)
    entries: Entries = {}
    theme = {
        ("colors", *key): entry for key, entry in read(path.with_name(THEME_FILE), required=False).items()
    }
    places = (
        ollama_entries(environ),
        theme,
        read(path, required=named),
        environment_entries(environ),
        flags,
    )
    for place in places:
        entries |= checked(place)
    return Loaded(settings_from(entries), entries, path)


def config_path(environ: Mapping[str, str], config: Path | None = None) -> tuple[Path, bool]:
    """Return the path of the settings file, and whether the user named it."""
    named = config or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    return (named.expanduser(), True) if named else (default_path(), False)
