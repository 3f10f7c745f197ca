"""How much room text takes in a terminal or a fixed-width font: its cells, cut and wrapped to them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

ELLIPSIS = "…"
_WIDE = {"W", "F"}
_NO_CELL = {"Mn", "Me", "Cf"}


def width(text: str) -> int:
    """Return the number of cells that ``text`` takes on one line."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def cut(text: str, cells: int) -> str:
    """Return ``text`` in at most ``cells``, with an ellipsis where something is left out."""
    if width(text) <= cells:
        return text
    if cells < 1:
        return ""
    return f"{_head(text, cells - 1).rstrip()}{ELLIPSIS}"


def padded(text: str, cells: int) -> str:
    """Return ``text`` with spaces up to ``cells``."""
    return text + " " * (cells - width(text))


def wrapped(text: str, cells: int, last: str = "") -> Iterator[str]:
    """Yield ``text`` in lines of at most ``cells``, broken between words, and within one only if it must be.

    ``last`` ends each line but the last one: a backslash for what goes into a shell.
    """
    room, line = cells - width(last), ""
    for word in _fitting(text.split(), room):
        if line and width(line) + 1 + width(word) > room:
            yield line + last
            line = word
        else:
            line = f"{line} {word}" if line else word
    yield line


def _fitting(words: list[str], cells: int) -> Iterator[str]:
    """Yield words, those that are longer than a line in pieces."""
    for word in words:
        rest = word
        while width(rest) > cells:
            piece = _head(rest, cells) or rest[0]
            yield piece
            rest = rest[len(piece) :]
        if rest:
            yield rest


def _head(text: str, cells: int) -> str:
    """Return as much of the beginning as takes at most ``cells``."""
    taken = 0
    for place, character in enumerate(text):
        taken += _cells(character)
        if taken > cells:
            return text[:place]
    return text


def _cells(character: str) -> int:
    if unicodedata.east_asian_width(character) in _WIDE:
        return 2
    return 0 if unicodedata.category(character) in _NO_CELL else 1
