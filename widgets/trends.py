"""Trends: one row of small bars on a fixed scale, newest at the right."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from gpumon.widgets.glyphs import Glyphs
from gpumon.widgets.lines import Line, Role, Span
from gpumon.widgets.views import Trend

Reduce = Callable[[Sequence[float]], float]


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
    return tuple(_reduced(trend[low:high], reduce) for low, high in pairwise(edges))


def trend_text(trend: Trend, width: int, ceiling: float | None, glyphs: Glyphs, reduce: Reduce = max) -> str:
    """Draw ``trend`` in exactly ``width`` cells on a scale from 0 to ``ceiling``; gaps are blank.

    A known 0 is the lowest step, so it differs from a gap. Without a ceiling the largest value is the top.
    """
    values = resample(trend, width, reduce)
    top = ceiling or max((value for value in values if value is not None), default=0.0)
    return "".join(_cell(value, top, glyphs) for value in values).rjust(max(0, width))


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
