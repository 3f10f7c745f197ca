"""Where two pictures of one line differ: only that is sent to the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from rich.cells import get_character_cell_size

from gpumon.widgets.fitting import line_width
from gpumon.widgets.lines import Line, Role, Span

TEXTS_KEPT = 4096
GAP_CELLS = 8
"""Moving the cursor takes about as many bytes as this many cells that are the same."""


def changed_runs(before: Line, after: Line) -> list[tuple[int, int]]:
    """Return where the lines differ: runs of cells, each as its first cell and the one after its last.

    Runs with fewer than ``GAP_CELLS`` between them are one.
    """
    start, end = changed_cells(before, after)
    cells_match = _length(before) == _length(after) and _is_even_line(before) and _is_even_line(after)
    if end - start <= GAP_CELLS or not cells_match:
        return [(start, end)] if end > start else []
    old, new = _cells(before), _cells(after)
    runs: list[tuple[int, int]] = []
    for cell in (at for at in range(start, end) if old[at] != new[at]):
        if runs and cell - runs[-1][1] < GAP_CELLS:
            runs[-1] = (runs[-1][0], cell + 1)
        else:
            runs.append((cell, cell + 1))
    return runs


def _cells(line: Line) -> list[tuple[str, Role | None]]:
    """Return each cell's character and role; the role of a blank is not seen."""
    return [(text, None if text == " " else role) for span, role in line for text in span]


def changed_cells(before: Line, after: Line) -> tuple[int, int]:
    """Return the first cell that differs and the one after the last; (0, 0) for the same line.

    A line with wide characters, or marks that combine with the one before, counts as changed throughout.
    """
    if before == after:
        return (0, 0)
    if not (_is_even_line(before) and _is_even_line(after)):
        return (0, max(line_width(before), line_width(after)))
    width_before, width_after = _length(before), _length(after)
    start = _common(zip(before, after, strict=False), 1)
    if width_before != width_after:
        return (start, max(width_before, width_after))
    tail = _common(zip(reversed(before), reversed(after), strict=False), -1)
    return (start, max(start, width_after - tail))


def _is_even_line(line: Line) -> bool:
    return all(text.isascii() or _is_even(text) for text, _ in line)


def _length(line: Line) -> int:
    return sum(len(text) for text, _ in line)


@lru_cache(TEXTS_KEPT)
def _is_even(text: str) -> bool:
    """Tell whether every character takes one cell."""
    return all(get_character_cell_size(character) == 1 for character in text)


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
