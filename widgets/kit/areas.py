"""A chart of one or more quantities over time as filled areas, one upon the other, that stands still.

Its window moves by a quarter at a time, so that a second costs the cells of its newest column and no others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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
LEAST_HEIGHT = FRAME_LINES + 3

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
        return [_title(view, width, glyphs)][: max(0, height)]
    drawn = _areas(view, cells, rows, glyphs)
    labels = _labels(view.top, rows)
    left = [
        (Span(f"{labels.get(row, ''):>{label_width}}", "dim"), _edge(row in labels, glyphs))
        for row in range(rows)
    ]
    body = [(*label, *line) for label, line in zip(left, drawn, strict=True)]
    return [_title(view, width, glyphs), *body, _axis(view, cells, label_width, glyphs)]


def _title(view: AreaView, width: int, glyphs: Glyphs) -> Line:
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


def _axis(view: AreaView, cells: int, label_width: int, glyphs: Glyphs) -> Line:
    """Draw the time axis: clock times where they fit, and what happened, which goes before them."""
    rule, corner = glyphs.rule, "+" if glyphs.ascii_only else "└"
    axis = [rule] * cells
    taken = [False] * cells
    words = [
        (f"{_up(glyphs)}{word}", min(cells - 1, int(at * cells))) for at, word in view.marks if 0 <= at < 1
    ]
    spots = len(view.times)
    clocks = [(time, round(index * cells / max(1, spots - 1))) for index, time in enumerate(view.times)]
    for text, at in (*reversed(words), *((time, min(at, cells - len(time))) for time, at in clocks)):
        _put(axis, taken, glyphs.written(text), at)
    return (Span(" " * label_width), Span(corner + "".join(axis), "track"))


def _up(glyphs: Glyphs) -> str:
    return "^" if glyphs.ascii_only else "▲"


def _put(axis: list[str], taken: list[bool], text: str, at: int) -> None:
    """Write ``text`` at a cell, or before it where the axis ends, unless something stands there."""
    start = max(0, min(at, len(axis) - len(text)))
    end = start + len(text)
    if end > len(axis) or any(taken[max(0, start - 1) : end + 1]):
        return
    axis[start:end] = text
    taken[start:end] = [True] * len(text)


def _areas(view: AreaView, cells: int, rows: int, glyphs: Glyphs) -> list[Line]:
    dots = rows * DOTS_PER_CELL
    columns = [_stack(view, sample, dots) for sample in range(cells * SAMPLES_PER_CELL)]
    limit = None if view.limit is None or view.top <= 0 else min(1.0, view.limit / view.top) * dots
    limit_row = (
        None if limit is None else rows - 1 - min(rows - 1, max(0, math.ceil(limit / DOTS_PER_CELL) - 1))
    )
    roles = [layer.role for layer in view.layers]
    return [
        _row(columns, rows - 1 - row, roles, glyphs.limit if row == limit_row else " ", glyphs)
        for row in range(rows)
    ]


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


def _row(
    columns: Sequence[tuple[int, ...]], row: int, roles: Sequence[Role], empty: str, glyphs: Glyphs
) -> Line:
    """Draw one row of cells, 0 the lowest, in runs of one role."""
    spans: list[Span] = []
    for at in range(0, len(columns), SAMPLES_PER_CELL):
        text, role = _cell(columns[at], columns[at + 1], row * DOTS_PER_CELL, roles, empty, glyphs)
        if spans and spans[-1].role == role:
            spans[-1] = Span(spans[-1].text + text, role)
        else:
            spans.append(Span(text, role))
    return tuple(spans)


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
