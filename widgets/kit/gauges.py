"""Figures as pictures, in characters: bars and split bars, trends of one row, areas of several.

All stand on a scale from nothing to a total; nothing that is unknown is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from rich.cells import cell_len

from gpumon.widgets.kit.lines import Glyphs, Line, Role, Span, shorten, text_line


class BarPart(NamedTuple):
    """A segment of a split bar: its size in any unit, and what it stands for."""

    size: float
    role: Role
    label: str = ""
    """What is written on it in a named bar where it is long enough: a name."""
    figure: str = ""
    """What follows the name: ``9.2``."""


def bar(value: float | None, total: float | None, width: int, glyphs: Glyphs, role: Role = "model") -> Line:
    """Draw ``value`` out of ``total`` in exactly ``width`` cells, in steps of the thinnest block.

    A value above 0 shows at least one step. Blank if either figure is unknown or the total is not above 0.
    """
    known = value is not None and total is not None and math.isfinite(value) and math.isfinite(total)
    if value is None or total is None or not known or total <= 0 or width <= 0:
        return text_line(" " * width)
    filled = _solid(min(1.0, max(0.0, value / total)) * width, width, glyphs)
    return _joined((Span(filled, role), Span(glyphs.free * (width - len(filled)), "track")))


def split_bar(parts: Sequence[BarPart], width: int, glyphs: Glyphs) -> Line:
    """Draw ``parts`` side by side, together exactly ``width`` cells.

    Each part gets whole cells, so that fills never mix within one, and a part that is not nothing gets at
    least one as long as there are as many cells as parts. The last cell of a solid part shows its remainder.
    """
    sizes = _relative([part.size for part in parts])
    cells = allot(sizes, width)
    total = sum(sizes)
    if not any(cells):
        return text_line(" " * width)
    shown = [item for item in zip(parts, sizes, cells, strict=True) if item[2]]
    spans = []
    for position, (part, size, count) in enumerate(shown):
        neighbour = shown[position + 1][0].role if position + 1 < len(shown) else None
        text = _fill(part.role, count, size / total * width, glyphs)
        spans.append(Span(_divided(text, glyphs) if part.role == neighbour else text, part.role))
    return _joined(spans)


def scale_bar(parts: Sequence[BarPart], scale: float, width: int, glyphs: Glyphs) -> Line:
    """Draw ``parts`` side by side on a scale that is ``width`` cells long and ends at ``scale``.

    What is not nothing has at least one cell. Nothing is drawn beyond the last part.
    """
    whole = math.fsum(part.size for part in parts)
    if whole <= 0 or scale <= 0 or width <= 0:
        return ()
    return split_bar(parts, max(1, min(width, round(whole / scale * width))), glyphs)


NAMED: dict[Role, Role] = {"model": "block", "model2": "block2", "process": "block_process"}
"""Roles of segments on which a name can be written, and of such a name."""
NAME_CELLS = 6
"""The shortest segment with a name on it."""


def named_bar(parts: Sequence[BarPart], width: int, glyphs: Glyphs) -> Line:
    """Draw ``parts`` as ``split_bar`` does, each name on its segment where that is long enough."""
    sizes = _relative([part.size for part in parts])
    cells = allot(sizes, width)
    if not any(cells):
        return text_line(" " * width)
    shown = [pair for pair in zip(parts, cells, strict=True) if pair[1]]
    spans: list[Span] = []
    for part, count in shown:
        if part.label and part.role in NAMED and count >= NAME_CELLS:
            spans.append(Span(_named(part, count, glyphs), NAMED[part.role]))
        else:
            text = glyphs.fill(part.role) * count
            is_run_on = bool(spans) and spans[-1].role == part.role
            spans.append(Span(_divided(text, glyphs) if is_run_on else text, part.role))
    return _joined(spans)


def _named(part: BarPart, count: int, glyphs: Glyphs) -> str:
    """Write a name and, where there is room, a figure in ``count`` cells, each end told from a neighbour."""
    left, right = ("[", "]") if glyphs.ascii_only else (" ", " ")
    room = count - 2
    figure = f" {part.figure}" if part.figure and room >= len(part.figure) + 1 + NAME_CELLS else ""
    name = shorten(part.label, room - len(figure), glyphs.ellipsis)
    return f"{left}{name}{' ' * (room - cell_len(name) - len(figure))}{figure}{right}"


def allot(sizes: Sequence[float], units: int) -> list[int]:
    """Share ``units`` out in proportion to ``sizes`` by largest remainder; the shares add up to ``units``.

    A size above 0 gets at least 1, unless there are fewer units than such sizes: then the largest get 1 each.
    All shares are 0 if no size is above 0.
    """
    wanted = [index for index, size in enumerate(sizes) if size > 0]
    shares = [0] * len(sizes)
    if not wanted or units <= 0:
        return shares
    if len(wanted) >= units:
        for index in sorted(wanted, key=lambda index: -sizes[index])[:units]:
            shares[index] = 1
        return shares
    total = math.fsum(sizes[index] for index in wanted)
    exact = {index: sizes[index] / total * units for index in wanted}
    for index in wanted:
        shares[index] = max(1, math.floor(exact[index]))
    _settle(shares, exact, units)
    return shares


def _relative(sizes: Sequence[float]) -> list[float]:
    """Return the sizes relative to the largest; what is no size at all counts as nothing."""
    known = [size if math.isfinite(size) and size > 0 else 0.0 for size in sizes]
    largest = max(known, default=0.0)
    return [size / largest for size in known] if largest else known


def _settle(shares: list[int], exact: dict[int, float], units: int) -> None:
    """Add or remove single units until the shares add up, each where it brings them nearest to ``exact``."""
    while (missing := units - sum(shares)) != 0:
        step = 1 if missing > 0 else -1
        able = [index for index in exact if shares[index] + step >= 1]
        nearest = max(able, key=lambda index: (exact[index] - shares[index]) * step)
        shares[nearest] += step


def _fill(role: Role, cells: int, exact_cells: float, glyphs: Glyphs) -> str:
    fill = glyphs.fill(role)
    if fill != glyphs.solid:
        return fill * cells
    text = _solid(max(exact_cells, cells - 1), cells, glyphs)
    return text + glyphs.partials[0] * (cells - len(text))


def _solid(cells: float, limit: int, glyphs: Glyphs) -> str:
    """Write a solid run of ``cells`` cells, its end in the glyphs' steps, at most ``limit`` cells long."""
    per_cell = len(glyphs.partials)
    steps = min(limit * per_cell, round(cells * per_cell))
    if cells > 0 and limit > 0:
        steps = max(1, steps)
    full, rest = divmod(steps, per_cell)
    return glyphs.solid * full + (glyphs.partials[rest - 1] if rest else "")


def _divided(text: str, glyphs: Glyphs) -> str:
    """End ``text`` so that it does not run into a neighbour of the same fill."""
    return text[:-1] + glyphs.divider if len(text) > 1 and text[-1] == glyphs.solid else text


def _joined(spans: Sequence[Span]) -> Line:
    return tuple(span for span in spans if span.text)


Trend = tuple[float | None, ...]
"""One value per cell, oldest first; ``None`` is a gap."""

Reduce = Callable[[Sequence[float]], float]
"""Makes one value of those that share a cell."""


def mean(values: Sequence[float]) -> float:
    """Return the arithmetic mean of one or more values."""
    return sum(values) / len(values)


def resample(trend: Trend, width: int, reduce: Reduce = max) -> Trend:
    """Return at most ``width`` values: each the ``reduce`` of its share, or a gap if all of that are gaps."""
    count = len(trend)
    if width <= 0:
        return ()
    if count <= width:
        return trend
    edges = [index * count // width for index in range(width + 1)]
    return tuple([_reduced(trend[low:high], reduce) for low, high in pairwise(edges)])


def trend_text(trend: Trend, width: int, ceiling: float | None, glyphs: Glyphs, reduce: Reduce = max) -> str:
    """Draw ``trend`` in exactly ``width`` cells on a scale from 0 to ``ceiling``; gaps are blank.

    A known 0 is the lowest step, so it differs from a gap. Without a ceiling the largest value is the top.
    """
    values = resample(trend, width, reduce)
    top = _top(values, ceiling)
    return "".join([_cell(value, top, glyphs) for value in values]).rjust(max(0, width))


def trend_line(
    trend: Trend,
    width: int,
    ceiling: float | None,
    glyphs: Glyphs,
    role: Role = "model",
    reduce: Reduce = max,
) -> Line:
    """Draw ``trend_text`` in one role."""
    return (Span(trend_text(trend, width, ceiling, glyphs, reduce), role),)


def area_lines(
    trend: Trend,
    width: int,
    height: int,
    ceiling: float | None,
    glyphs: Glyphs,
    role: Role = "model",
    reduce: Reduce = max,
) -> list[Line]:
    """Draw ``trend`` as a filled area of exactly ``width`` by ``height`` cells, the top row first.

    The scale is that of ``trend_text``: from 0 to ``ceiling``, or to the largest value; gaps are blank.
    """
    values = resample(trend, width, reduce)
    top = _top(values, ceiling)
    rows = reversed(range(height))
    return [
        (Span("".join(_area_cell(value, top, row, height, glyphs) for value in values).rjust(width), role),)
        for row in rows
        if width > 0
    ]


def _top(values: Trend, ceiling: float | None) -> float:
    """Return the top of the scale."""
    return ceiling or max([value for value in values if value is not None], default=0.0)


def _area_cell(value: float | None, top: float, row: int, height: int, glyphs: Glyphs) -> str:
    """Return the cell of ``row`` (0 is the lowest); a known 0 shows the lowest step of the lowest row."""
    if value is None or not math.isfinite(value):
        return " "
    levels = glyphs.steps if glyphs.steps[-1] == glyphs.solid else (*glyphs.steps, glyphs.solid)
    share = min(1.0, max(0.0, value / top)) if top > 0 else 0.0
    filled = round(share * height * len(levels)) - row * len(levels)
    if filled <= 0:
        return levels[0] if row == 0 else " "
    return levels[min(filled, len(levels)) - 1]


def _reduced(values: Trend, reduce: Reduce) -> float | None:
    known = [value for value in values if value is not None]
    return reduce(known) if known else None


def _cell(value: float | None, top: float, glyphs: Glyphs) -> str:
    if value is None or not math.isfinite(value):
        return " "
    if top <= 0:
        return glyphs.steps[0]
    share = min(1.0, max(0.0, value / top))
    return glyphs.steps[min(len(glyphs.steps) - 1, int(share * len(glyphs.steps)))]
