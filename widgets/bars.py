"""Memory bars on a fixed scale from nothing to the total."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from gpumon.widgets.fitting import text_line
from gpumon.widgets.glyphs import Glyphs
from gpumon.widgets.lines import Line, Role, Span


class BarPart(NamedTuple):
    """A segment of a split bar: its size in any unit, and what it stands for."""

    size: float
    role: Role


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
    """Give or take single units until the shares add up, where that brings them nearest to ``exact``."""
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
