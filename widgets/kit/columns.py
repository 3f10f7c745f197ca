"""Rows in aligned columns that appear, widen and disappear with the width, in order of need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from gpumon.widgets.kit.lines import Line, Span, line_width, padded, plain_text, shorten

Draw = Callable[[int], Line]
"""Draws a cell at the width it is given."""

Forms = tuple[Line, ...]
"""The same figure said ever more fully: the shortest first."""

Cell = Forms | Draw
Row = Mapping[str, Cell]

FITS_KEPT = 64


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A column, equal to itself alone.

    Its sizes are granted one by one: ``needs[i]`` is the rank of size ``i`` among all columns'.

    Without ``widths`` size ``i`` is form ``i`` of its cells. With ``widths`` a drawn cell takes that many
    cells, and a name is shortened to them.
    """

    key: str
    needs: tuple[int, ...]
    widths: tuple[int, ...] = ()
    align: Literal["left", "right"] = "left"
    gap: int = 2
    """Blanks before it."""
    cut: Callable[[str, int, str], str] = shorten
    """Shortens a name or words."""
    grows_to: int = 0
    """A drawn column takes up to this width of what is left over."""


def aligned(line: Line, align: str = "right") -> Draw:
    """Return a cell that shows a figure whole, at one side of its column, or not at all."""
    return lambda width: padded(line, width, align) if line_width(line) <= width else ()


class Fitted(NamedTuple):
    """A column as it is drawn at one width."""

    column: Column
    size: int
    width: int


class _Wish(NamedTuple):
    need: int
    order: int
    size: int
    width: int


class _Measure(NamedTuple):
    """A size of a column, as its cells are: the width that it asks for, and what it can use beyond that."""

    width: int
    most: int


def fit(columns: Sequence[Column], rows: Sequence[Row], width: int) -> tuple[Fitted, ...]:
    """Choose the columns and their widths for ``rows``: together at most ``width`` cells.

    Wishes are granted in order of need until one does not fit, so a wider panel never shows less.
    """
    return _fitted(tuple(columns), tuple(_measures(column, rows) for column in columns), width)


def draw_row(row: Row, fitted: Sequence[Fitted], ellipsis: str) -> Line:
    """Draw one row in the chosen columns, without blanks at its end."""
    spans: list[Span] = []
    blanks = 0
    for position, place in enumerate(fitted):
        cell = _drawn(row.get(place.column.key, ()), place, ellipsis)
        spare = place.width - line_width(cell)
        blanks += place.column.gap if position else 0
        before, after = (spare, 0) if place.column.align == "right" else (0, spare)
        if cell:
            if blanks + before:
                spans.append(Span(" " * (blanks + before)))
            spans += cell
            blanks = after
        else:
            blanks += spare
    while spans and not spans[-1].text.strip():
        spans.pop()
    return tuple(spans)


def offset_of(key: str, fitted: Sequence[Fitted]) -> int | None:
    """Return the cell in which the column ``key`` starts, ``None`` if it is not shown."""
    start = 0
    for position, place in enumerate(fitted):
        start += place.column.gap if position else 0
        if place.column.key == key:
            return start
        start += place.width
    return None


def _measures(column: Column, rows: Sequence[Row]) -> tuple[_Measure, ...]:
    """Measure each size: a drawn column takes what it may, a name up to its length, words what they are."""
    cells = [row[column.key] for row in rows if column.key in row]
    if any(map(callable, cells)):
        return tuple(_Measure(width, column.grows_to) for width in column.widths)
    widths = [[line_width(form) for form in cell] for cell in cells if cell and not callable(cell)]
    naturals = [
        max((forms[min(size, len(forms) - 1)] for forms in widths), default=0)
        for size in range(len(column.needs))
    ]
    limits = column.widths or naturals
    return tuple(_Measure(min(pair), pair[0]) for pair in zip(naturals, limits, strict=True))


@lru_cache(FITS_KEPT)
def _fitted(
    columns: tuple[Column, ...], measures: tuple[tuple[_Measure, ...], ...], width: int
) -> tuple[Fitted, ...]:
    """Grant the wishes. Figures change each second, their widths seldom: the answer is mostly known."""
    granted: dict[int, _Wish] = {}
    room = width
    for wish in sorted(_wishes(columns, measures)):
        before = granted.get(wish.order)
        gap = columns[wish.order].gap if before is None and granted else 0
        room -= wish.width - (before.width if before else 0) + gap
        if room < 0:
            break
        granted[wish.order] = wish
    places = [Fitted(columns[order], granted[order].size, granted[order].width) for order in sorted(granted)]
    mosts = [measures[order][granted[order].size].most for order in sorted(granted)]
    return _grown(places, mosts, width)


def _wishes(columns: Sequence[Column], measures: Sequence[Sequence[_Measure]]) -> Iterator[_Wish]:
    for order, (column, sizes) in enumerate(zip(columns, measures, strict=True)):
        for size, (need, measure) in enumerate(zip(column.needs, sizes, strict=True)):
            if measure.width > 0:
                yield _Wish(need, order, size, measure.width)


def _form(forms: Forms, size: int) -> Line:
    return forms[min(size, len(forms) - 1)] if forms else ()


def _grown(places: Sequence[Fitted], mosts: Sequence[int], width: int) -> tuple[Fitted, ...]:
    """Hand what is left over to the columns that can use it, in their order."""
    room = width - sum(place.width for place in places) - sum(place.column.gap for place in places[1:])
    grown = []
    for place, most in zip(places, mosts, strict=True):
        extra = max(0, min(room, most - place.width))
        room -= extra
        grown.append(place._replace(width=place.width + extra))
    return tuple(grown)


def _drawn(cell: Cell, place: Fitted, ellipsis: str) -> Line:
    if callable(cell):
        return cell(place.width)
    form = _form(cell, place.size)
    if line_width(form) <= place.width:
        return form
    return (Span(place.column.cut(plain_text(form), place.width, ellipsis), form[0].role),)
