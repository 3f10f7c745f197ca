"""History charts with axes. The only module that knows plotext, and imports it only to draw."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import groupby

from rich.text import Text

from gpumon.text import units
from gpumon.widgets.kit.gauges import area_lines, mean, resample, trend_text
from gpumon.widgets.kit.lines import Glyphs, Line, Part, Role, Span, join_parts, shorten_words, text_line
from gpumon.widgets.kit.panels import LinePanel, title_line
from gpumon.widgets.views import ChartSeries, ChartView, Trend

SMALLEST_WIDTH, SMALLEST_HEIGHT = 20, 5
SERIES_ROLES: tuple[Role, ...] = ("model", "ram", "process")
MAXIMA_COLOUR = 9
"""Stands for the role ``dim`` on the way through plotext; series have 1, 2, 3."""
NEXT_TO_NOTHING = 1e-9
"""A smaller value has no scale of its own: that would end at 0 by rounding."""
ASCII_AXES = str.maketrans("─│┌┐└┘├┤┬┴┼", "-|++++++++|")


def chart_lines(view: ChartView, width: int, height: int, glyphs: Glyphs) -> list[Line]:
    """Draw ``view``: a title with the legend, then the chart, or a trend where there is no room for axes."""
    if height < 1 or width < 1:
        return []
    title = title_line(f"{view.title} ({view.unit})" if view.unit else view.title, "", width, glyphs)
    head = [title, _legend(view, width, glyphs)] if len(view.series) > 1 else [title]
    top = top_of(view)
    if top is None:
        return [title, text_line(shorten_words("  no data yet", width, glyphs.ellipsis), "dim")][:height]
    room = height - len(head)
    if width < SMALLEST_WIDTH or room < SMALLEST_HEIGHT:
        return _trends(view, top, width, height, glyphs)[:height]
    return [*head, *_plot(view, top, width, room, glyphs)]


def top_of(view: ChartView) -> float | None:
    """Return the top of the scale: the ceiling, or a round number above all values; ``None`` without any."""
    values = [
        value for series in view.series for value in (*series.values, *series.maxima) if value is not None
    ]
    if not values:
        return None
    return view.ceiling or round_up(max(values))


def round_up(value: float) -> float:
    """Return the next 1, 2 or 5 times a power of ten; 1 for a value that is 0 on any scale."""
    if value < NEXT_TO_NOTHING or not math.isfinite(value):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((step * power for step in (1, 2, 5) if step * power >= value), 10 * power)


def runs(values: Trend) -> list[tuple[list[int], list[float]]]:
    """Split ``values`` at its gaps into positions and values, so that no line is drawn across a gap."""
    found = []
    for known, group in groupby(enumerate(values), key=lambda item: item[1] is not None):
        points = [(position, value) for position, value in group if value is not None]
        if known:
            found.append(([position for position, _ in points], [value for _, value in points]))
    return found


def _trends(view: ChartView, top: float, width: int, height: int, glyphs: Glyphs) -> list[Line]:
    """Draw one series below the other without axes: as areas where there are rows enough, else as trends."""
    rows = height // len(view.series)
    if rows < 2:
        return [
            text_line(trend_text(series.values, width, top, glyphs, mean), _role(index))
            for index, series in enumerate(view.series)
        ]
    return [
        line
        for index, series in enumerate(view.series)
        for line in area_lines(series.values, width, rows, top, glyphs, _role(index), mean)
    ]


def _legend(view: ChartView, width: int, glyphs: Glyphs) -> Line:
    parts = [
        Part((Span(f" {_swatch(index, glyphs)} ", _role(index)), Span(glyphs.written(series.label))), index)
        for index, series in enumerate(view.series)
    ]
    return join_parts(parts, width)


def _plot(view: ChartView, top: float, width: int, height: int, glyphs: Glyphs) -> list[Line]:
    import plotext  # noqa: PLC0415 - costs 15 ms, and most sessions never open a chart

    plotext.clear_figure()
    plotext.limit_size(False, False)
    plotext.plotsize(width, height)
    plotext.theme("clear")
    plotext.xaxes(True, False)
    plotext.yaxes(True, False)
    columns = max((len(series.values) for series in view.series), default=1)
    points = max(2, min(columns, width * 2))
    for index, series in enumerate(view.series):
        for values, marker, colour in _drawn(index, series, points, glyphs):
            for positions, known in runs(values):
                plotext.plot(positions, [clipped(value, top) for value in known], marker=marker, color=colour)
    plotext.xlim(0, points - 1)
    plotext.ylim(0, top)
    plotext.xticks([0, (points - 1) / 2, points - 1], _times(view.seconds))
    plotext.yticks([0, top / 2, top], [_number(value, top) for value in (0, top / 2, top)])
    return _lines_of(plotext.build(), width, height, glyphs)


def _drawn(index: int, series: ChartSeries, points: int, glyphs: Glyphs) -> Iterable[tuple[Trend, str, int]]:
    """Yield what is plotted for a series: its maxima first, so that its values lie on top."""
    if series.maxima:
        yield _stretched(resample(series.maxima, points, max), points), _dot(glyphs), MAXIMA_COLOUR
    yield _stretched(resample(series.values, points, mean), points), _marker(index, glyphs), index % 3 + 1


def clipped(value: float, top: float) -> float:
    """Keep a value on the scale: plotext takes time in proportion to how far off it a line runs."""
    return min(top, max(0.0, value))


def _stretched(values: Trend, points: int) -> Trend:
    """Put a shorter series at the right, where now is."""
    return (None,) * (points - len(values)) + tuple(values)


def _marker(index: int, glyphs: Glyphs) -> str:
    """Return the marker that tells a series from the others without colour."""
    markers = ("braille", "•", "x") if glyphs.braille else ("*", "+", "o")
    return markers[index % len(markers)]


def _dot(glyphs: Glyphs) -> str:
    return "." if glyphs.ascii_only else "·"


def _swatch(index: int, glyphs: Glyphs) -> str:
    return glyphs.solid if _marker(index, glyphs) == "braille" else _marker(index, glyphs)


def _role(index: int) -> Role:
    return SERIES_ROLES[index % len(SERIES_ROLES)]


def _times(seconds: float) -> list[str]:
    return [f"-{_brief(seconds)}", f"-{_brief(seconds / 2)}", "now"]


def _brief(seconds: float) -> str:
    """Write a duration in its largest unit if that is exact: ``10m``."""
    return units.duration(seconds).replace(" 00s", "").replace(" 00m", "").replace(" 00h", "")


def _number(value: float, top: float) -> str:
    """Write a figure of the scale: whole where that is exact, or where a tenth no longer counts."""
    is_whole = top >= 10 and float(round(value, 1)).is_integer()
    return f"{value:.0f}" if is_whole or top >= 100 else f"{value:.1f}"


def _lines_of(ansi: str, width: int, height: int, glyphs: Glyphs) -> list[Line]:
    axes = {} if glyphs.rule == "─" else ASCII_AXES
    rows = ansi.rstrip("\n").split("\n")[:height]
    return [_line_of(Text.from_ansi(row), width, axes) for row in rows]


def _line_of(text: Text, width: int, axes: dict[int, int]) -> Line:
    text.truncate(width)
    plain = text.plain.translate(axes)
    roles: list[Role] = ["dim"] * len(plain)
    for span in text.spans:
        roles[span.start : span.end] = [_role_of(span.style)] * (min(span.end, len(plain)) - span.start)
    return _grouped(plain, roles)


def _grouped(plain: str, roles: Sequence[Role]) -> Line:
    spans, start = [], 0
    for role, group in groupby(roles):
        end = start + len(list(group))
        spans.append(Span(plain[start:end], role))
        start = end
    return tuple(spans)


def _role_of(style: object) -> Role:
    number = getattr(getattr(style, "color", None), "number", None)
    return SERIES_ROLES[number - 1] if number in {1, 2, 3} else "dim"


class HistoryChart(LinePanel):
    """A chart that fills its widget; redrawn only for a new view or size."""

    DEFAULT_CSS = "HistoryChart { height: 1fr; }"
    _view: ChartView | None = None
    _drawn_for: tuple[ChartView, int, int] | None = None
    _drawn_lines: tuple[Line, ...] = ()

    def show(self, view: ChartView) -> None:
        """Draw ``view``."""
        if view != self._view:
            self._view = view
            self.redraw()

    def lines_for(self, width: int, height: int | None) -> list[Line]:
        """Return the chart's lines; ten high where the height is open."""
        if self._view is None:
            return []
        wanted = (self._view, width, 10 if height is None else height)
        if wanted != self._drawn_for:
            self._drawn_for = wanted
            self._drawn_lines = tuple(chart_lines(self._view, wanted[1], wanted[2], self.glyphs))
        return list(self._drawn_lines)
