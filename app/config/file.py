"""The settings file: where it is, what it says, and on which line: tomllib does not say."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any

import platformdirs

from gpumon.app.config.entries import ConfigError, Entries, Entry, leaves
from gpumon.app.config.schema import KeyPath

MAX_BYTES = 256 * 2**10
"""A file of settings is some hundred lines; what is longer is another file."""
MAX_DOTS = 200
"""In a line: the time that tomllib takes for a dotted key grows with the square of its parts."""

_POSITION = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
_PART = r"""(?:"(?:\\.|[^"\\\n])*"|'[^'\n]*'|[A-Za-z0-9_-]+)"""
_DOTTED = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_HEADER = re.compile(rf"\[\[?[ \t]*({_DOTTED})[ \t]*\]\]?")
_ASSIGNMENT = re.compile(rf"({_DOTTED})[ \t]*=")
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|#[^\n]*"
    r"|.",
    re.DOTALL,
)


def default_path() -> Path:
    """Return ``gpumon/config.toml`` in the platform's directory for settings."""
    return platformdirs.user_config_path("gpumon", appauthor=False) / "config.toml"


def read(path: Path, *, required: bool) -> Entries:
    """Return what the file says; nothing where there is no file and none is ``required``.

    Raises:
        ConfigError: the file cannot be read, or is not TOML.
    """
    try:
        text = _bytes_of(path).decode()
    except FileNotFoundError:
        if required:
            raise ConfigError(f"{path}: no such file") from None
        return {}
    except OSError as error:
        raise ConfigError(f"{path}: {str(error.strerror).lower()}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text") from None
    try:
        return _entries_of(text, path)
    except RecursionError:
        raise ConfigError(f"{path}: nested too deeply to be a settings file") from None


def _bytes_of(path: Path) -> bytes:
    """Return what is in a regular file of at most ``MAX_BYTES``; a pipe without a writer is not waited for.

    Raises:
        ConfigError: it is no such file.
        OSError: it cannot be read.
    """
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # opening a directory says itself what is wrong
        raise ConfigError(f"{path}: not a regular file")
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_BYTES // 2**10} KiB, which no settings file is")
    return content


def _entries_of(text: str, path: Path) -> Entries:
    for number, line in enumerate(text.splitlines(), 1):
        if line.count(".") > MAX_DOTS and not line.lstrip().startswith("#"):
            raise ConfigError(f"{path}:{number}: more than {MAX_DOTS} dots in a line, which no setting has")
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


def key_lines(text: str) -> dict[KeyPath, int]:
    """Return the line, from 1, of each table header and key; keys inside inline tables are left out.

    ``text`` is TOML that tomllib has accepted: all there is to do is to tell keys from values.
    """
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    line, counted = 1, 0
    at = _after_blank(text, 0)
    while at < len(text):
        line, counted = line + text.count("\n", counted, at), at
        if header := _HEADER.match(text, at):
            table = path = _parts(header[1])
            at = header.end()
        elif assignment := _ASSIGNMENT.match(text, at):
            path = (*table, *_parts(assignment[1]))
            at = _after_value(text, assignment.end())
        else:
            break
        lines.setdefault(path, line)
        at = _after_blank(text, at)
    return lines


def line_of(path: KeyPath, lines: dict[KeyPath, int]) -> int | None:
    """Return the line of ``path``, or of the nearest table or key that holds it."""
    for length in range(len(path), 0, -1):
        if (line := lines.get(path[:length])) is not None:
            return line
    return None


def _after_blank(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    return blank.end() if blank else at


def _after_value(text: str, at: int) -> int:
    depth = 0
    for token in _TOKEN.finditer(text, at):
        if token[0] in ("[", "{"):
            depth += 1
        elif token[0] in ("]", "}"):
            depth -= 1
        elif token[0] == "\n" and depth == 0:
            return token.end()
    return len(text)


def _parts(dotted: str) -> KeyPath:
    """Return a dotted key's parts; tomllib itself undoes the quoting."""
    if _BARE.fullmatch(dotted):
        return (dotted,)
    import tomllib  # noqa: PLC0415 - most have no file

    parts: list[str] = []
    tree: Any = tomllib.loads(f"{dotted} = 0")
    while isinstance(tree, dict):
        name, tree = next(iter(tree.items()))
        parts.append(name)
    return tuple(parts)
