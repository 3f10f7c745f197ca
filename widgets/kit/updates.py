"""What is sent to the terminal: the cells that changed, and of their style what differs from the cell before.

Textual draws the changed part of a line from the left edge of its widget on, and names both colours of every
piece; a panel as wide as the screen then costs a line for one digit. Written over ssh, and to a recorder of
the terminal, that adds up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from rich.cells import get_character_cell_size
from rich.color import Color, ColorSystem
from rich.console import COLOR_SYSTEMS
from rich.control import Control
from rich.style import Style
from textual.strip import Strip

from gpumon.widgets.kit.lines import FILLED, Line, Role, Span, line_width

TEXTS_KEPT = 4096
GAP_CELLS = 8
"""Moving the cursor takes about as many bytes as this many cells that are the same."""


def changed_runs(before: Line, after: Line) -> list[tuple[int, int]]:
    """Return where the lines differ: runs of cells, each as its first cell and the one after its last.

    Runs with fewer than ``GAP_CELLS`` between them are one.
    """
    if before == after:
        return []
    start, end = changed_cells(before, after)
    if end - start <= GAP_CELLS or not _cells_match(before, after):
        return [(start, end)] if end > start else []
    old, new = _cells(before), _cells(after)
    runs: list[tuple[int, int]] = []
    for cell in (at for at in range(start, end) if old[at] != new[at]):
        if runs and cell - runs[-1][1] < GAP_CELLS:
            runs[-1] = (runs[-1][0], cell + 1)
        else:
            runs.append((cell, cell + 1))
    return runs


def _cells_match(before: Line, after: Line) -> bool:
    """Return whether the lines have the same cells, one to a character."""
    return _length(before) == _length(after) and _is_even_line(before) and _is_even_line(after)


def _cells(line: Line) -> list[tuple[str, Role | None]]:
    """Return each cell's character and role; the role of a blank is not seen, but for one with a ground."""
    return [
        (text, None if text == " " and role not in FILLED else role) for span, role in line for text in span
    ]


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
    for text, _ in line:  # noqa: SIM110 - a generator is slow, and this runs for every line that changes
        if not text.isascii() and not _is_even(text):
            return False
    return True


def _length(line: Line) -> int:
    return sum([len(text) for text, _ in line])


@lru_cache(TEXTS_KEPT)
def _is_even(text: str) -> bool:
    """Whether every character takes one cell."""
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


STYLES_KEPT = 512
RESET = "\x1b[0m"


class _Codes(NamedTuple):
    """The parameters of a style; empty for what it leaves to the terminal."""

    attributes: tuple[str, ...]
    foreground: tuple[str, ...]
    background: tuple[str, ...]


_PLAIN = _Codes((), (), ())


class Pen:
    """Remembers how the terminal writes now, and names what differs (ECMA-48, 8.3.117: SGR).

    ``color_system`` is Rich's name of one: ``standard``, ``256``, ``truecolor``; ``None`` counts as the last.
    """

    def __init__(self, color_system: str | None) -> None:
        self._color_system = COLOR_SYSTEMS.get(color_system or "", ColorSystem.TRUECOLOR)
        self._now = _PLAIN

    def write(self, text: str, style: Style | None) -> str:
        """Return ``text`` and what must stand before it."""
        if style is not None and style.link:
            return self.lift() + Strip.render_style(style, text, self._color_system)
        before, self._now = self._now, _PLAIN if style is None else _codes(style, self._color_system)
        return f"{_change(before, self._now)}{text}"

    def lift(self) -> str:
        """Return what leaves the terminal as it was at the start."""
        before, self._now = self._now, _PLAIN
        return _change(before, _PLAIN)


def _change(before: _Codes, after: _Codes) -> str:
    """Return the sequence that leads from one style to the next.

    Attributes and colours that end have no parameter of their own that all terminals know: all is set again.
    """
    if before == after:
        return ""
    ends = (before.foreground and not after.foreground) or (before.background and not after.background)
    if ends or before.attributes != after.attributes:
        parameters = ("0", *after.attributes, *after.foreground, *after.background)
    else:
        pairs = zip(before[1:], after[1:], strict=True)
        parameters = tuple(code for old, new in pairs if old != new for code in new)
    return RESET if parameters == ("0",) else f"\x1b[{';'.join(parameters)}m"


@lru_cache(STYLES_KEPT)
def _codes(style: Style, color_system: ColorSystem) -> _Codes:
    foreground = _color(style.color, color_system, foreground=True)
    background = _color(style.bgcolor, color_system, foreground=False)
    ansi = Strip.render_ansi(style, color_system)
    named = tuple(ansi.split(";")) if ansi else ()
    return _Codes(named[: len(named) - len(foreground) - len(background)], foreground, background)


def _color(color: Color | None, color_system: ColorSystem, *, foreground: bool) -> tuple[str, ...]:
    return () if color is None else color.downgrade(color_system).get_ansi_codes(foreground)


def update_text(
    chops: Sequence[Mapping[int, Strip | None]],
    spans: Iterable[tuple[int, int, int]],
    chop_ends: Sequence[Sequence[int]],
    color_system: str | None,
) -> str:
    """Return what to write to the terminal for a partial update of the screen.

    For each line ``chops`` maps the column at which a strip begins to the strip, and ``chop_ends`` lists the
    columns after their last cells, in the same order. ``spans`` are the changed runs of cells: line, first
    column, the one after the last.
    """
    pen = Pen(color_system)
    texts = [text for x, y, strip in _pieces(chops, spans, chop_ends) for text in _written(x, y, strip, pen)]
    return "".join((*texts, pen.lift()))


def _pieces(
    chops: Sequence[Mapping[int, Strip | None]],
    spans: Iterable[tuple[int, int, int]],
    chop_ends: Sequence[Sequence[int]],
) -> Iterator[tuple[int, int, Strip]]:
    """Yield column, line and content of every changed run of cells."""
    for y, start, stop in spans:
        for end, (x, strip) in zip(chop_ends[y], chops[y].items(), strict=False):
            first, last = max(x, start), min(end, stop)
            if strip is not None and first < last:
                yield first, y, strip.crop(first - x, last - x)


def _written(x: int, y: int, strip: Strip, pen: Pen) -> Iterator[str]:
    yield Control.move_to(x, y).segment.text
    for text, style, control in strip:
        yield text if control or not text else pen.write(text, style)
