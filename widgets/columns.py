"""Rows in aligned columns that appear, widen and disappear with the width, in order of need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from gpumon.widgets.fitting import line_width, padded, plain_text, shorten
from gpumon.widgets.lines import Line, Span

Draw = Callable[[int], Line]
"""Draws a cell at the width it is given."""

Forms = tuple[Line, ...]
"""The same figure said ever more fully: the shortest first."""

Cell = Forms | Draw
Row = Mapping[str, Cell]


@dataclass(frozen=True, slots=True)
class Column:
    """A column. Its sizes are granted one by one: ``needs[i]`` is the rank of size ``i`` among all columns'.

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


def fit(columns: Sequence[Column], rows: Sequence[Row], width: int) -> tuple[Fitted, ...]:
    """Choose the columns and their widths for ``rows``: together at most ``width`` cells.

    Wishes are granted in order of need until one does not fit, so a wider panel never shows less.
    """
    granted: dict[int, _Wish] = {}
    room = width
    for wish in sorted(_wishes(columns, rows)):
        before = granted.get(wish.order)
        gap = columns[wish.order].gap if before is None and granted else 0
        room -= wish.width - (before.width if before else 0) + gap
        if room < 0:
            break
        granted[wish.order] = wish
    fitted = [Fitted(columns[order], granted[order].size, granted[order].width) for order in sorted(granted)]
    return _grown(fitted, rows, width)


def draw_row(row: Row, fitted: Sequence[Fitted], ellipsis: str) -> Line:
    """Draw one row in the chosen columns, without blanks at its end."""
    spans: list[Span] = []
    for position, place in enumerate(fitted):
        if position:
            spans.append(Span(" " * place.column.gap))
        spans += padded(
            _drawn(row.get(place.column.key, ()), place, ellipsis), place.width, place.column.align
        )
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


def _wishes(columns: Sequence[Column], rows: Sequence[Row]) -> list[_Wish]:
    return [
        _Wish(need, order, size, width)
        for order, column in enumerate(columns)
        for size, need in enumerate(column.needs)
        if (width := _width_of(column, size, rows)) > 0
    ]


def _width_of(column: Column, size: int, rows: Sequence[Row]) -> int:
    cells = [row[column.key] for row in rows if column.key in row]
    if any(callable(cell) for cell in cells):
        return column.widths[size]
    natural = _natural(cells, size)
    return min(natural, column.widths[size]) if column.widths else natural


def _form(forms: Forms, size: int) -> Line:
    return forms[min(size, len(forms) - 1)] if forms else ()


def _grown(fitted: Sequence[Fitted], rows: Sequence[Row], width: int) -> tuple[Fitted, ...]:
    """Hand what is left over to the columns that can use it, in their order."""
    room = width - sum(place.width for place in fitted) - sum(place.column.gap for place in fitted[1:])
    grown = []
    for place in fitted:
        extra = max(0, min(room, _most(place, rows) - place.width))
        room -= extra
        grown.append(place._replace(width=place.width + extra))
    return tuple(grown)


def _most(place: Fitted, rows: Sequence[Row]) -> int:
    """Return the width up to which a column can use more: a name its length, a drawn cell what it may."""
    cells = [row[place.column.key] for row in rows if place.column.key in row]
    if any(callable(cell) for cell in cells):
        return place.column.grows_to
    return _natural(cells, place.size)


def _natural(cells: Sequence[Cell], size: int) -> int:
    return max((line_width(_form(cell, size)) for cell in cells if not callable(cell)), default=0)


def _drawn(cell: Cell, place: Fitted, ellipsis: str) -> Line:
    if callable(cell):
        return cell(place.width)
    form = _form(cell, place.size)
    if line_width(form) <= place.width:
        return form
    return (Span(place.column.cut(plain_text(form), place.width, ellipsis), form[0].role),)
