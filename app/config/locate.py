"""On which line of a TOML file each key stands: tomllib does not say.

Works on text that tomllib has accepted, so it only needs to tell keys from values.
"""

from __future__ import annotations

import re
from typing import Any

from gpumon.app.config.keys import KeyPath

_PART = r"""(?:"(?:\\.|[^"\\\n])*"|'[^'\n]*'|[A-Za-z0-9_-]+)"""
_DOTTED = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
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


def key_lines(text: str) -> dict[KeyPath, int]:
    """Return the line, from 1, of each table header and key; keys inside inline tables are left out."""
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    at = _after_blank(text, 0)
    while at < len(text):
        line = text.count("\n", 0, at) + 1
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
    import tomllib  # noqa: PLC0415 - most have no file

    parts: list[str] = []
    tree: Any = tomllib.loads(f"{dotted} = 0")
    while isinstance(tree, dict):
        name, tree = next(iter(tree.items()))
        parts.append(name)
    return tuple(parts)
