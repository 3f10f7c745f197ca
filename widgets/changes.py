"""Where two pictures of one line differ: only that is sent to the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from rich.cells import get_character_cell_size

from gpumon.widgets.fitting import line_width
from gpumon.widgets.lines import Line, Span

TEXTS_KEPT = 4096


def changed_cells(before: Line, after: Line) -> tuple[int, int]:
    """Return the first cell that differs and the one after the last; (0, 0) for the same line.

    A line with wide characters, or marks that combine with the one before, counts as changed throughout.
    """
    if before == after:
        return (0, 0)
    width_before, width_after = line_width(before), line_width(after)
    if not all(_is_even(span.text) for line in (before, after) for span in line):
        return (0, max(width_before, width_after))
    start = _common(zip(before, after, strict=False), 1)
    if width_before != width_after:
        return (start, max(width_before, width_after))
    tail = _common(zip(reversed(before), reversed(after), strict=False), -1)
    return (start, max(start, width_after - tail))


@lru_cache(TEXTS_KEPT)
def _is_even(text: str) -> bool:
    """Tell whether every character takes one cell."""
    return text.isascii() or all(get_character_cell_size(character) == 1 for character in text)


def _common(pairs: Iterable[tuple[Span, Span]], step: int) -> int:
    """Return how many cells are the same from one end on; ``step`` is -1 from the right."""
    cells = 0
    for old, new in pairs:
        if old != new:
            return cells + (_common_text(old.text[::step], new.text[::step]) if old.role == new.role else 0)
        cells += len(new.text)
    return cells


def _common_text(old: str, new: str) -> int:
    shorter = min(len(old), len(new))
    return next((at for at in range(shorter) if old[at] != new[at]), shorter)
