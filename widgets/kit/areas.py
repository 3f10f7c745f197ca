"""A chart of one or more quantities over time as filled areas, one upon the other, that stands still.

Its window moves by a quarter at a time, so that a second costs the cells of its newest column and no others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from msgspec import Struct

from gpumon.widgets.kit.gauges import Trend
from gpumon.widgets.kit.lines import (
    Glyphs,
    Line,
    Role,
    Span,
    line_width,
    shorten,
    text_line,
)

SAMPLES_PER_CELL = 2
DOTS_PER_CELL = 4
STEPS = 4
"""The window moves by its fourth part."""
FRAME_LINES = 2
"""Title and time axis."""

_LEFT = (0x40, 0x04, 0x02, 0x01)
_RIGHT = (0x80, 0x20, 0x10, 0x08)
"""Dots of a braille cell's two columns from the lowest up (Unicode, block Braille Patterns)."""


class Layer(NamedTuple):
    """One of the areas; ``values`` are evenly spaced, oldest first, ``None`` is a gap."""

    values: Trend
    role: Role


class AreaView(Struct, frozen=True):
    """What a chart shows. Layers stand one upon the other, the first at the bottom."""

    title: str
    value: str = ""
    """The newest value in words, at the right of the title."""
    layers: tuple[Layer, ...] = ()
    top: float = 1.0
    """Value at the upper edge; the lower is 0."""
    limit: float | None = None
    """A dashed line: a capacity, or what could be."""
    marks: tuple[tuple[float, str], ...] = ()
    """What happened: the share of the window that had passed, 0 to 1, and a word."""
    times: tuple[str, ...] = ()
    """Clock times, evenly spaced from the window's start on."""


class Window(NamedTuple):
    """A span of time of which the start does not move with each sample."""

    start: float
    seconds: float

    @property
    def end(self) -> float:
        """Where it ends, at or after the newest sample."""
        return self.start + self.seconds


def window_at(now: float, first: float | None, lengths: Sequence[float]) -> Window:
    """Return the shortest window of ``lengths`` that shows all since ``first``, else the longest, stepped on.

    Starts lie on multiples of a fourth of the length.
    """
    begun = now if first is None else min(first, now)
    for seconds in lengths:
        step = seconds / STEPS
        start = math.floor(begun / step) * step
        if now < start + seconds:
            return Window(start, seconds)
    step = lengths[-1] / STEPS
    return Window((math.floor(now / step) + 1) * step - lengths[-1], lengths[-1])


def chart_cells(width: int, label_width: int) -> int:
    """Return how many cells the areas of a chart are wide: an even number, so that steps are whole cells."""
    return max(0, (width - label_width - 1) // 2 * 2)


def chart_lines(view: AreaView, width: int, height: int, glyphs: Glyphs, label_width: int = 3) -> list[Line]:
    """Draw a chart of ``width`` by ``height`` cells: title, areas with two figures beside them, times."""
    cells, rows = chart_cells(width, label_width), height - FRAME_LINES
    if cells < 2 or rows < 1:
        return [title_line(view, width, glyphs)][: max(0, height)]
    return [title_line(view, width, glyphs), *body_lines(view, cells, rows, glyphs, label_width)]


def body_lines(view: AreaView, cells: int, rows: int, glyphs: Glyphs, label_width: int = 3) -> list[Line]:
    """Draw all but the title: areas of ``cells`` by ``rows``, and the time axis."""
    drawn = _areas(view, cells, rows, glyphs)
    labels = _labels(view.top, rows)
    left = [
        (Span(f"{labels.get(row, ''):>{label_width}}", "dim"), _edge(row in labels, glyphs))
        for row in range(rows)
    ]
    body = [(*label, *line) for label, line in zip(left, drawn, strict=True)]
    return [*body, _axis(view, cells, label_width, glyphs)]


def title_line(view: AreaView, width: int, glyphs: Glyphs) -> Line:
    """Draw what is charted, and its newest value at the right."""
    value = text_line(view.value, "title")
    room = width - line_width(value) - 3
    title = shorten(glyphs.written(view.title), max(0, room), glyphs.ellipsis)
    gap = width - 1 - len(title) - line_width(value)
    return (Span(f" {title}", "dim"), Span(" " * gap), *value) if gap > 0 else (Span(f" {title}", "dim"),)


def _edge(is_tick: bool, glyphs: Glyphs) -> Span:
    if glyphs.ascii_only:
        return Span("+" if is_tick else "|", "track")
    return Span("┤" if is_tick else "│", "track")


def _labels(top: float, rows: int) -> dict[int, str]:
    """Return the figures at the upper edge and in the middle, by row."""
    labels = {0: f"{top:.0f}" if top >= 10 else f"{top:g}"}
    middle = rows // 2
    if rows >= 4 and rows % 2 == 0:
        labels[middle] = f"{top / 2:g}"
    return {row: label for row, label in labels.items() if len(label) <= 3}


def _placed(texts: Iterable[tuple[str, int, bool]], cells: int) -> list[tuple[int, Span]]:
    """Return where texts stand that want to begin at a cell each; those that find no room are left out.

    The last of the three says whether it is what happened, and not a time.
    """
    placed: list[tuple[int, Span]] = []
    for text, at, has_happened in texts:
        start = max(0, min(at, cells - len(text)))
        if _is_free(placed, start, start + len(text), cells):
            placed.append((start, Span(text, "plain" if has_happened else "dim")))
    return placed


def _axis(view: AreaView, cells: int, label_width: int, glyphs: Glyphs) -> Line:
    """Draw the time axis: what happened, then clock times where they still fit."""
    up = "^" if glyphs.ascii_only else "▲"
    marks = [(f"{up}{glyphs.written(word)}", at) for at, word in view.marks if 0 <= at < 1]
    last = max(1, len(view.times) - 1)
    texts = [
        *((word, int(at * cells), True) for word, at in reversed(marks)),
        *((time, round(index * cells / last), False) for index, time in enumerate(view.times)),
    ]
    placed = _placed(texts, cells)
    corner = "+" if glyphs.ascii_only else "└"
    spans, end = [Span(" " * label_width), Span(corner, "track")], 0
    for start, span in sorted(placed):
        spans += (Span(glyphs.rule * (start - end), "track"), span)
        end = start + len(span.text)
    return tuple(span for span in (*spans, Span(glyphs.rule * (cells - end), "track")) if span.text)


def _is_free(placed: Sequence[tuple[int, Span]], start: int, end: int, cells: int) -> bool:
    """Return whether nothing stands from ``start`` to ``end``, nor close to it."""
    return end <= cells and all(end < at or at + len(span.text) < start for at, span in placed)


def _areas(view: AreaView, cells: int, rows: int, glyphs: Glyphs) -> list[Line]:
    dots = rows * DOTS_PER_CELL
    columns = [_stack(view, sample, dots) for sample in range(cells * SAMPLES_PER_CELL)]
    limit = None if view.limit is None or view.top <= 0 else min(1.0, view.limit / view.top) * dots
    limit_row = (
        None if limit is None else rows - 1 - min(rows - 1, max(0, math.ceil(limit / DOTS_PER_CELL) - 1))
    )
    column = _columns(tuple(layer.role for layer in view.layers), rows, limit_row, glyphs)
    drawn = [column(*columns[at : at + SAMPLES_PER_CELL]) for at in range(0, len(columns), SAMPLES_PER_CELL)]
    return [_run_on(row) for row in zip(*drawn, strict=True)]


def _stack(view: AreaView, sample: int, dots: int) -> tuple[int, ...]:
    """Return up to which dot each layer goes at one sample; a value above 0 shows at least one."""
    heights, sum_so_far, before = [], 0.0, 0
    for layer in view.layers:
        value = layer.values[sample] if sample < len(layer.values) else None
        if value is not None and math.isfinite(value) and value > 0 and view.top > 0:
            sum_so_far += value
            before = min(dots, max(round(min(1.0, sum_so_far / view.top) * dots), min(dots, before + 1)))
        heights.append(before)
    return tuple(heights)


Heights = tuple[int, ...]
Cell = tuple[str, Role]


@lru_cache(maxsize=8)
def _columns(
    roles: tuple[Role, ...], rows: int, limit_row: int | None, glyphs: Glyphs
) -> Callable[[Heights, Heights], tuple[Cell, ...]]:
    """Return what draws a column of cells, the highest first, and keeps it.

    Of a chart that is drawn anew nearly all columns are those of the last time.
    """

    @lru_cache(maxsize=512)
    def column(left: Heights, right: Heights) -> tuple[Cell, ...]:
        empties = [glyphs.limit if row == limit_row else " " for row in range(rows)]
        bases = range((rows - 1) * DOTS_PER_CELL, -1, -DOTS_PER_CELL)
        return tuple(
            _cell(left, right, base, roles, empty, glyphs) for base, empty in zip(bases, empties, strict=True)
        )

    return column


def _run_on(cells: Iterable[Cell]) -> Line:
    """Put cells side by side, in runs of one role."""
    spans: list[Span] = []
    texts: list[str] = []
    run: Role | None = None
    for text, role in cells:
        if role != run:
            if run is not None:
                spans.append(Span("".join(texts), run))
            texts, run = [], role
        texts.append(text)
    return (*spans, Span("".join(texts), run)) if run is not None else ()


def _cell(
    left: tuple[int, ...],
    right: tuple[int, ...],
    base: int,
    roles: Sequence[Role],
    empty: str,
    glyphs: Glyphs,
) -> tuple[str, Role]:
    """Return the character of a cell and the role of the layer that has most of it."""
    low = max(0, min(DOTS_PER_CELL, (left[-1] if left else 0) - base))
    high = max(0, min(DOTS_PER_CELL, (right[-1] if right else 0) - base))
    if not low and not high:
        return empty, "dim" if empty.strip() else "plain"
    role = _main(left, right, base, roles)
    is_half = low + high >= DOTS_PER_CELL
    if not glyphs.braille:
        return (glyphs.fill(role) if is_half else glyphs.steps[0]), role
    if role == "ram" and is_half:
        return glyphs.ram, role
    return chr(0x2800 + sum(_LEFT[:low]) + sum(_RIGHT[:high])), role


def _main(left: tuple[int, ...], right: tuple[int, ...], base: int, roles: Sequence[Role]) -> Role:
    shares = [0] * len(roles)
    for heights in (left, right):
        lower = base
        for index, upper in enumerate(heights):
            end = min(upper, base + DOTS_PER_CELL)
            if end > lower:
                shares[index] += end - lower
                lower = end
    return roles[max(range(len(roles)), key=shares.__getitem__)]


def beside(charts: Sequence[Sequence[Line]], width: int, glyphs: Glyphs) -> list[Line]:
    """Put charts of equal height side by side, each in ``width`` cells, with a rule between them."""
    divider = Span("|" if glyphs.ascii_only else "│", "track")
    lines: list[Line] = []
    for row in zip(*charts, strict=True):
        spans: list[Span] = []
        for line in row:
            if spans:
                spans += (Span(" "), divider)
            spans += (*line, Span(" " * (width - line_width(line))))
        lines.append(tuple(spans))
    return lines
