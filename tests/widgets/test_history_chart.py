from __future__ import annotations

import subprocess
import sys

import pytest
from tests.widgets import sample_views as views

from gpumon.widgets.glyphs import ASCII, UNICODE
from gpumon.widgets.history_chart import HistoryChart, chart_lines, round_up, runs, top_of
from gpumon.widgets.kit.lines import Glyphs, Line, line_width, plain_text
from gpumon.widgets.views import ChartSeries, ChartView

EMPTY = ChartView("VRAM", "GiB", 600.0, (ChartSeries("a", (None, None)),))


def test_a_series_is_split_at_its_gaps() -> None:
    assert runs((1.0, None, None, 2.0, 3.0)) == [([0], [1.0]), ([3, 4], [2.0, 3.0])]


def test_no_line_is_drawn_across_a_gap() -> None:
    view = ChartView("x", "", 60.0, (ChartSeries("a", (5.0, *[None] * 18, 5.0)),), 10.0)
    marks = [plain_text(line).count("*") for line in chart_lines(view, 60, 12, ASCII)]
    assert sum(marks) == 2


def test_the_time_axis_ends_now() -> None:
    assert plain_text(chart_lines(views.CHART, 60, 12, UNICODE)[-1]).split() == ["-10m", "-5m", "now"]


def test_no_data_is_said_in_words() -> None:
    assert "no data yet" in plain_text(chart_lines(EMPTY, 60, 12, UNICODE)[1])


@pytest.mark.parametrize("height", range(1, 12))
@pytest.mark.parametrize("width", [1, 5, 19, 20, 21, 60])
def test_a_chart_fits_any_size(width: int, height: int) -> None:
    lines = chart_lines(views.CHART, width, height, UNICODE)
    assert 0 < len(lines) <= height
    assert all(line_width(line) <= width for line in lines)


def test_a_chart_without_room_for_axes_is_a_trend() -> None:
    lines = chart_lines(views.CHART, 18, 6, UNICODE)
    assert set(plain_text(lines[0])) <= {*UNICODE.steps, " "}


@pytest.mark.parametrize(("value", "top"), [(0, 1), (0.3, 0.5), (1, 1), (17, 20), (21, 50), (700, 1000)])
def test_an_open_scale_ends_at_a_round_number(value: float, top: float) -> None:
    assert round_up(value) == top


@pytest.mark.parametrize(("value", "top"), [(5e-324, 1.0), (0.9e-9, 1.0), (1.1e-9, 2e-9)])
def test_a_scale_of_next_to_nothing_is_none(value: float, top: float) -> None:
    assert round_up(value) == pytest.approx(top)


@pytest.mark.parametrize(
    ("top", "scale"),
    [
        (24.0, ["24", "12", "0"]),
        (14.6, ["14.6", "7.3", "0"]),
        (95.0, ["95", "47.5", "0"]),
        (5.0, ["5.0", "2.5", "0.0"]),
    ],
)
def test_the_figures_of_the_scale_are_those_of_the_chart(top: float, scale: list[str]) -> None:
    view = ChartView("x", "", 60.0, (ChartSeries("a", (1.0, 2.0)),), top)
    lines = [plain_text(line) for line in chart_lines(view, 60, 12, UNICODE)]
    assert [line.split("┤")[0].strip() for line in lines if "┤" in line] == scale


def test_a_ceiling_is_the_top_of_the_scale() -> None:
    assert top_of(views.CHART) == 24.0


def test_two_series_differ_without_colour() -> None:
    legend = plain_text(chart_lines(views.CHART, 60, 12, ASCII)[1])
    assert legend.split()[0] != legend.split()[2]


def test_the_chart_is_drawn_once_for_a_view_and_size(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[int, int]] = []

    def draw(_view: ChartView, width: int, height: int, _glyphs: Glyphs) -> list[Line]:
        drawn.append((width, height))
        return []

    monkeypatch.setattr("gpumon.widgets.history_chart.chart_lines", draw)
    chart = HistoryChart()
    chart.show(views.CHART)
    for size in [(60, 12), (60, 12), (70, 12)]:
        chart.lines_for(*size)
    assert drawn == [(60, 12), (70, 12)]


def test_plotext_is_not_imported_before_a_chart_is_drawn() -> None:
    program = "import sys, gpumon.widgets.history_chart; sys.exit('plotext' in sys.modules)"
    path = ["-c", f"import sys; sys.path.insert(0, '.dev'); {program}"]
    assert subprocess.run([sys.executable, *path], check=False).returncode == 0
