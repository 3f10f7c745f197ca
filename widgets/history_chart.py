"""History charts, for which there is room on a page: filled areas by plotext, drawn again only when changed.

plotext fills the areas; title, scale and the one row of clock times are ours.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import groupby, pairwise
from typing import NamedTuple

from msgspec.structs import replace
from rich.text import Text

from gpumon.widgets.kit.gauges import area_lines, mean, resample, trend_text
from gpumon.widgets.kit.lines import (
    Glyphs,
    Line,
    Part,
    Role,
    Span,
    join_parts,
    line_width,
    shorten,
    shorten_words,
    spread,
    text_line,
)
from gpumon.widgets.kit.panels import LinePanel
from gpumon.widgets.time_axis import grouped, time_axis
from gpumon.widgets.views import ChartView, Trend

SMALLEST_WIDTH, SMALLEST_HEIGHT = 20, 4
"""Of what lies below the title; where there is less room, trends without axes are drawn."""
SAMPLES_PER_CELL, DOTS_PER_CELL = 2, 4
SECOND_ROLE: dict[Role, Role] = {"model": "model2"}
"""Roles of every other area among several that stand for the same."""
LINE_COLOUR, FIRST_COLOUR = 9, 20
"""Stand for roles on the way through plotext: of lines and dots, and of the first area."""
NEXT_TO_NOTHING = 1e-9
"""A smaller value has no scale of its own: that would end at 0 by rounding."""
ROUND = (1.0, 1.2, 1.6, 2.0, 2.4, 3.0, 4.0, 4.8, 6.0, 8.0, 10.0)
"""Tops of a scale of which the half is round as well."""
LABEL_WIDTH = 3
ASCII_AXES = str.maketrans("─│┌┐└┘├┤┬┴┼", "-|++++++++|")


def chart_lines(view: ChartView, width: int, height: int, glyphs: Glyphs) -> list[Line]:
    """Draw ``view``: a title with the values, then the chart, or trends where there is no room for axes."""
    if height < 1 or width < 1:
        return []
    title = chart_title(view, width, glyphs)
    if has_axes(width, height):
        return [title, *plot_lines(view, width, height - 1, glyphs)]
    top = top_of(view)
    if top is None:
        return [title, *plot_lines(view, width, height - 1, glyphs)][:height]
    return _trends(view, top, width, height, glyphs)[:height]


def has_axes(width: int, height: int) -> bool:
    """Return whether there is room for a title and axes."""
    return width >= SMALLEST_WIDTH and height > SMALLEST_HEIGHT


def chart_title(view: ChartView, width: int, glyphs: Glyphs) -> Line:
    """Draw what is charted and, at the right, the line that stands for a limit and the newest values."""
    right = join_parts(list(_values(view, glyphs)), max(0, width * 3 // 4))
    room = max(1, width - line_width(right) - 3)
    unit = _unit(view, glyphs)
    words = f"{view.title} {unit}" if unit and not right else view.title
    title = text_line(shorten(glyphs.written(words), room, glyphs.ellipsis), "title")
    return spread((Span(" "), *title), right, width) if width > 2 else title[:1]


def _values(view: ChartView, glyphs: Glyphs) -> Iterator[Part]:
    unit = _unit(view, glyphs)
    if view.limit_words:
        yield Part((Span(f"{glyphs.limit} {glyphs.written(view.limit_words)}", "dim"),), 9)
    if len(view.series) == 1 and view.value:
        yield Part((Span(f"{glyphs.written(view.value)} {unit}".rstrip(), "title"),), 0)
    for index, series in enumerate(view.series if len(view.series) > 1 else ()):
        value = text_line(f" {glyphs.written(series.value)}" if series.value else "", "title")
        swatch = Span(f"{_fill(view, index, glyphs)} ", _role(view, index))
        yield Part((swatch, Span(glyphs.written(series.label), "dim"), *value), index)
    if len(view.series) > 1 and unit:
        yield Part((Span(unit, "dim"),), 8)


def _unit(view: ChartView, glyphs: Glyphs) -> str:
    return glyphs.written(view.unit.replace("°", glyphs.degree))


def plot_lines(view: ChartView, width: int, height: int, glyphs: Glyphs) -> list[Line]:
    """Draw what lies below the title of a chart that has axes."""
    top = top_of(view)
    if top is None:
        return [text_line(shorten_words("  no data yet", width, glyphs.ellipsis), "dim")]
    return _plot(view, top, width, height, glyphs)


def top_of(view: ChartView) -> float | None:
    """Return the top of the scale, a round number that holds all; ``None`` without any value."""
    heights = [value for values in _heights(view) for value in values if value is not None]
    if not heights:
        return None
    maxima = [value for series in view.series for value in series.maxima if value is not None]
    known = (value for value in (view.ceiling, view.limit) if value is not None and math.isfinite(value))
    return round_up(max([*heights, *maxima, *known]))


def round_up(value: float) -> float:
    """Return the next number that is round, as its half is; 1 for a value that is 0 on any scale."""
    if value < NEXT_TO_NOTHING or not math.isfinite(value):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((step * power for step in ROUND if step * power >= value * (1 - 1e-9)), 10 * power)


def _heights(view: ChartView) -> list[Trend]:
    """Return where the upper edge of each area is."""
    if not view.stacked:
        return [series.values for series in view.series]
    edges: list[Trend] = []
    for series in view.series:
        below: Trend = edges[-1] if edges else (None,) * len(series.values)
        edges.append(tuple(_sum(low, value) for low, value in zip(below, series.values, strict=False)))
    return edges


def _sum(below: float | None, value: float | None) -> float | None:
    return below if value is None else value + (below or 0.0)


def runs(values: Trend) -> list[tuple[list[int], list[float]]]:
    """Split ``values`` at its gaps into positions and values, so that nothing is drawn across a gap."""
    found = []
    for known, group in groupby(enumerate(values), key=lambda item: item[1] is not None):
        points = [(position, value) for position, value in group if value is not None]
        if known:
            found.append(([position for position, _ in points], [value for _, value in points]))
    return found


def _trends(view: ChartView, top: float, width: int, height: int, glyphs: Glyphs) -> list[Line]:
    """Draw one series below the other without axes: as areas where there are rows enough, else as trends."""
    rows = height // max(1, len(view.series))
    if rows < 2:
        return [
            text_line(trend_text(series.values, width, top, glyphs, mean), _role(view, index))
            for index, series in enumerate(view.series)
        ]
    return [
        line
        for index, series in enumerate(view.series)
        for line in area_lines(series.values, width, rows, top, glyphs, _role(view, index), mean)
    ]


class Area(NamedTuple):
    """What is given to plotext: a value for each column of dots, and what it is drawn with."""

    values: Trend
    marker: str
    colour: int
    filled: bool = True


def _plot(view: ChartView, top: float, width: int, height: int, glyphs: Glyphs) -> list[Line]:
    import plotext  # noqa: PLC0415 - costs 15 ms, and most sessions never open a chart

    labels = [_number(value, top) for value in (0, top / 2, top)]
    label_width = max(LABEL_WIDTH, *map(len, labels))
    columns = width - label_width - 1
    plotext.clear_figure()
    plotext.limit_size(False, False)
    plotext.plotsize(width, height - 1)
    plotext.theme("clear")
    plotext.xaxes(False, False)
    plotext.yaxes(True, False)
    for area in _areas(view, top, columns * SAMPLES_PER_CELL, height - 1, glyphs):
        for positions, known in runs(area.values):
            heights = [clipped(value, top) for value in known]
            plotext.scatter(positions, heights, marker=area.marker, color=area.colour, fillx=area.filled)
    plotext.xlim(0, columns * SAMPLES_PER_CELL - 1)
    plotext.ylim(0, top)
    plotext.xticks([])
    plotext.yticks([0, top / 2, top], [label.rjust(label_width) for label in labels])
    lines = _lines_of(plotext.build(), view, width, height - 1, glyphs)
    return [*lines, time_axis(view, columns, label_width, glyphs)]


def _areas(view: ChartView, top: float, points: int, rows: int, glyphs: Glyphs) -> Iterator[Area]:
    """Yield what is drawn, the hindmost first: a limit, peaks, areas, what hides others after them."""
    if view.limit is not None:
        yield Area((view.limit,) * points, glyphs.limit, LINE_COLOUR, filled=False)
    for series in view.series:
        if series.maxima and not view.stacked:
            yield Area(_spread(series.maxima, points, is_peak=True), _dot(glyphs), LINE_COLOUR, filled=False)
    edges = [(index, _spread(values, points)) for index, values in enumerate(_heights(view))]
    if view.stacked:
        edges = [
            (at, _meeting(low, above, top, rows)) for (at, low), (_, above) in pairwise([*edges, (0, ())])
        ]
    hindmost = reversed(edges) if view.stacked else sorted(edges, key=lambda edge: -_average(edge[1]))
    for index, values in hindmost:
        fill = _fill(view, index, glyphs)
        marker = "braille" if fill == BRAILLE else fill
        yield Area(values, marker, FIRST_COLOUR + index)


def _meeting(values: Trend, above: Trend, top: float, rows: int) -> Trend:
    """End an area at whole cells wherever another one stands upon it: else a gap is seen between them."""

    def met(value: float | None, higher: float | None) -> float | None:
        if value is None or higher is None or higher <= value or top <= 0:
            return value
        cells = round(clipped(value, top) / top * rows)
        return (cells * DOTS_PER_CELL - 1) / (rows * DOTS_PER_CELL - 1) * top if cells else None

    return tuple(met(*pair) for pair in zip(values, above, strict=True)) if above else values


def _average(values: Trend) -> float:
    known = [value for value in values if value is not None]
    return mean(known) if known else 0.0


def clipped(value: float, top: float) -> float:
    """Keep a value on the scale: plotext takes time in proportion to how far off it a line runs."""
    return min(top, max(0.0, value))


def _spread(values: Trend, points: int, *, is_peak: bool = False) -> Trend:
    """Give each column of dots its value: the mean or peak of several, or one for several columns."""
    count = len(values)
    if count > points:
        return resample(values, points, max if is_peak else mean)
    return tuple(values[index * count // points] for index in range(points)) if count else ()


BRAILLE = "⣿"


def _fill(view: ChartView, index: int, glyphs: Glyphs) -> str:
    """Return what fills an area: a character of its own, so that areas are told apart without colour."""
    role, solid = view.series[index].role, BRAILLE if glyphs.braille else glyphs.solid
    fills = (solid, glyphs.process, glyphs.reserved)
    alike = [one for one in view.series[:index] if one.role == role]
    return glyphs.fill(role) if role == "ram" else fills[len(alike) % len(fills)]


def _dot(glyphs: Glyphs) -> str:
    return "." if glyphs.ascii_only else "·"


def _role(view: ChartView, index: int) -> Role:
    """Return the role of an area: of several that stand for the same, neighbours differ."""
    role = view.series[index].role
    alike = sum(1 for one in view.series[:index] if one.role == role)
    return SECOND_ROLE.get(role, role) if alike % 2 else role


def _number(value: float, top: float) -> str:
    """Write a figure of the scale: whole where that is exact, or where a tenth no longer counts."""
    is_whole = float(round(value, 1)).is_integer()
    return f"{value:.0f}" if is_whole or top >= 100 else f"{value:.2g}" if top < 1 else f"{value:.1f}"


def _lines_of(ansi: str, view: ChartView, width: int, height: int, glyphs: Glyphs) -> list[Line]:
    axes = {} if glyphs.rule == "─" else ASCII_AXES
    roles = {FIRST_COLOUR + index: _role(view, index) for index in range(len(view.series))}
    rows = ansi.rstrip("\n").split("\n")[:height]
    return [_line_of(Text.from_ansi(row), width, axes, roles) for row in rows]


def _line_of(text: Text, width: int, axes: dict[int, int], colours: dict[int, Role]) -> Line:
    text.truncate(width)
    plain = text.plain.translate(axes)
    roles: list[Role] = ["dim"] * len(plain)
    for span in text.spans:
        number = getattr(getattr(span.style, "color", None), "number", None)
        role = colours.get(number, "dim") if number is not None else "dim"
        roles[span.start : span.end] = [role] * (min(span.end, len(plain)) - span.start)
    return grouped(plain, roles)


class Plots:
    """Keeps what plotext has drawn for the views and sizes that were last asked for."""

    def __init__(self) -> None:
        self._kept: dict[tuple[ChartView, int, int], list[Line]] = {}
        self._asked: dict[tuple[ChartView, int, int], list[Line]] = {}

    def drawn(self, view: ChartView, width: int, height: int, glyphs: Glyphs) -> list[Line]:
        """Return the lines of a chart; only its title is drawn anew while nothing else is different."""
        key = (_without_values(view), width, height)
        lines = self._kept.get(key) or chart_lines(view, width, height, glyphs)
        self._asked[key] = lines
        return [chart_title(view, width, glyphs), *lines[1:]] if has_axes(width, height) else lines

    def settle(self) -> None:
        """Forget what has not been asked for since the time before."""
        self._kept, self._asked = self._asked, {}


def _without_values(view: ChartView) -> ChartView:
    return replace(view, value="", series=tuple(replace(series, value="") for series in view.series))


class HistoryChart(LinePanel):
    """A chart that fills its widget; redrawn only for a new view or size."""

    DEFAULT_CSS = "HistoryChart { height: 1fr; }"
    _view: ChartView | None = None
    _plots: Plots | None = None

    def show(self, view: ChartView) -> None:
        """Draw ``view``."""
        if view != self._view:
            self._view = view
            self.redraw()

    def lines_for(self, width: int, height: int | None) -> list[Line]:
        """Return the chart's lines; ten high where the height is open."""
        if self._view is None:
            return []
        plots = self._plots = self._plots or Plots()
        lines = plots.drawn(self._view, width, 10 if height is None else height, self.glyphs)
        plots.settle()
        return lines
