"""The settings file: where it is, and what it says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import platformdirs

from gpumon.app.config.entries import Entries, Entry, leaves
from gpumon.app.config.errors import ConfigError
from gpumon.app.config.locate import key_lines, line_of

_POSITION = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


def default_path() -> Path:
    """Return ``gpumon/config.toml`` in the platform's directory for settings."""
    return platformdirs.user_config_path("gpumon", appauthor=False) / "config.toml"


def read(path: Path, *, required: bool) -> Entries:
    """Return what the file says; nothing where there is no file and none is ``required``.

    Raises:
        ConfigError: the file cannot be read, or is not TOML.
    """
    try:
        text = path.read_bytes().decode()
    except FileNotFoundError:
        if required:
            raise ConfigError(f"{path}: no such file") from None
        return {}
    except OSError as error:
        raise ConfigError(f"{path}: {str(error.strerror).lower()}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text") from None
    tree = _parsed(text, path)
    lines = key_lines(text.replace("\r\n", "\n"))
    return {key: Entry(value, _origin(path, line_of(key, lines))) for key, value in leaves(tree)}


def _parsed(text: str, path: Path) -> dict[str, Any]:
    import tomllib  # noqa: PLC0415 - most have no file

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said = str(error)
        position = _POSITION.search(said)
        line = position[1] if position and position[1] else text.count("\n") + 1
        raise ConfigError(f"{path}:{line}: not TOML: {_POSITION.sub('', said).lower()}") from None


def _origin(path: Path, line: int | None) -> str:
    return str(path) if line is None else f"{path}:{line}"
