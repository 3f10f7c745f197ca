from __future__ import annotations

import subprocess
import sys
import time

import pytest
from msgspec.structs import replace
from tests.widgets import sample_views as views

from gpumon.widgets.glyphs import ASCII, UNICODE
from gpumon.widgets.history_chart import HistoryChart, Plots, chart_lines, round_up, runs, top_of
from gpumon.widgets.kit.lines import Glyphs, Line, line_width, plain_text
from gpumon.widgets.views import ChartSeries, ChartView

EMPTY = ChartView("VRAM", "GiB", 600.0, (ChartSeries("a", (None, None)),))


def test_a_series_is_split_at_its_gaps() -> None:
    assert runs((1.0, None, None, 2.0, 3.0)) == [([0], [1.0]), ([3, 4], [2.0, 3.0])]


def test_nothing_is_drawn_across_a_gap() -> None:
    view = ChartView("x", "", 60.0, (ChartSeries("a", (5.0, *[None] * 18, 5.0)),), 10.0)
    rows = [plain_text(line)[4:] for line in chart_lines(view, 60, 12, ASCII)[1:-1]]
    inked = {at for row in rows for at, character in enumerate(row) if character == "#"}
    assert inked == {0, 1, 2, 53, 54, 55}


def test_an_area_is_filled_down_to_nothing() -> None:
    view = ChartView("x", "", 60.0, (ChartSeries("a", (5.0,) * 20),), 10.0)
    rows = [plain_text(line)[4:] for line in chart_lines(view, 60, 12, ASCII)[1:-1]]
    assert [set(row) for row in rows] == 4 * [{" "}] + 6 * [{"#"}]


def stacked(*, marks: tuple[tuple[float, str], ...] = (), end: float | None = None) -> ChartView:
    """Return a model that spills in the second half of the window: 8 GiB on a card of 12, 8 in RAM."""
    on_gpu = ChartSeries("on GPU", (8.0,) * 40, value="8.0")
    in_ram = ChartSeries("in RAM", (*[0.0] * 20, *[8.0] * 20), role="ram", value="8.0")
    return ChartView("memory", "GiB", 60.0, (on_gpu, in_ram), None, "", 12.0, "GPU 0 12.0", True, end, marks)


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
def test_a_spill_stands_above_the_line_of_the_card_in_a_character_of_its_own(glyphs: Glyphs) -> None:
    rows = [plain_text(line)[4:] for line in chart_lines(stacked(), 60, 10, glyphs)[1:-1]]
    [line] = [row for row in rows if row.startswith(glyphs.limit)]
    assert line == glyphs.limit * 28 + glyphs.ram * 28
    assert rows[0] == " " * 28 + glyphs.ram * 28
    full = "⣿" if glyphs.braille else "#"
    assert rows[-1] == full * 56


def test_the_newest_values_stand_beside_the_title() -> None:
    title = plain_text(chart_lines(stacked(), 60, 10, UNICODE)[0])
    assert title.split() == [
        "memory",
        "╌",
        "GPU",
        "0",
        "12.0",
        "⣿",
        "on",
        "GPU",
        "8.0",
        "▒",
        "in",
        "RAM",
        "8.0",
        "GiB",
    ]
    one = ChartView("tok/s", "", 60.0, (ChartSeries("a", (1.0,)),), value="7.0", limit_words="full ~47")
    assert plain_text(chart_lines(one, 60, 10, UNICODE)[0]).split() == ["tok/s", "╌", "full", "~47", "7.0"]


def test_the_axis_is_one_row_of_round_clock_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Kathmandu")  # 5 h 45 min ahead
    time.tzset()
    lines = [plain_text(line) for line in chart_lines(stacked(end=1_790_000_340.0), 60, 10, UNICODE)]
    assert len(lines) == 10
    assert lines[-1].replace("─", " ").split() == ["└20:03:00", "20:03:15", "20:03:30", "20:03:45"]
    monkeypatch.undo()
    time.tzset()


def test_the_axis_of_a_week_is_of_days(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    week = replace(stacked(end=1_790_000_340.0), seconds=7 * 86_400.0)
    axis = plain_text(chart_lines(week, 120, 10, UNICODE)[-1])
    assert axis.replace("─", " ").split()[1:5] == ["15", "Sep", "16", "Sep"]
    monkeypatch.undo()
    time.tzset()


def test_what_happened_is_marked_on_the_axis_and_goes_before_times() -> None:
    axis = plain_text(chart_lines(stacked(marks=((30.0, "reload"),)), 60, 10, UNICODE)[-1])
    assert axis.index("▲reload") == 4 + 28
    assert axis.endswith("now")
    assert "-30s" not in axis


def test_a_mark_outside_the_window_is_left_out() -> None:
    axis = plain_text(chart_lines(stacked(marks=((61.0, "reload"), (-1.0, "reload"))), 60, 10, UNICODE)[-1])
    assert "reload" not in axis


def test_only_the_title_is_drawn_anew_while_only_the_newest_value_is_different(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[ChartView] = []

    def plot(view: ChartView, _width: int, _height: int, _glyphs: Glyphs) -> list[Line]:
        drawn.append(view)
        return []

    monkeypatch.setattr("gpumon.widgets.history_chart.plot_lines", plot)
    plots = Plots()
    for value in ("1", "2", "3"):
        view = replace(views.CHART, series=views.CHART.series[:1], value=value)
        assert value in plain_text(plots.drawn(view, 60, 12, UNICODE)[0]).split()
        plots.settle()
    assert len(drawn) == 1


def test_the_time_axis_ends_now() -> None:
    axis = plain_text(chart_lines(views.CHART, 60, 12, UNICODE)[-1])
    assert axis.replace("─", " ").split() == ["└-10m", "-5m", "now"]


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


@pytest.mark.parametrize(
    ("value", "top"),
    [(0, 1), (0.3, 0.3), (1, 1), (14.6, 16), (17, 20), (21, 24), (47, 48), (95, 100), (700, 800)],
)
def test_an_open_scale_ends_at_a_round_number(value: float, top: float) -> None:
    assert round_up(value) == pytest.approx(top)


@pytest.mark.parametrize(("value", "top"), [(5e-324, 1.0), (0.9e-9, 1.0), (1.1e-9, 1.2e-9)])
def test_a_scale_of_next_to_nothing_is_none(value: float, top: float) -> None:
    assert round_up(value) == pytest.approx(top)


@pytest.mark.parametrize(
    ("top", "scale"),
    [
        (24.0, ["24", "12", "0"]),
        (14.6, ["16", "8", "0"]),
        (95.0, ["100", "50", "0"]),
        (5.0, ["6", "3", "0"]),
        (2.7, ["3", "1.5", "0"]),
    ],
)
def test_the_figures_of_the_scale_are_round(top: float, scale: list[str]) -> None:
    view = ChartView("x", "", 60.0, (ChartSeries("a", (1.0, 2.0)),), top)
    lines = [plain_text(line) for line in chart_lines(view, 60, 12, UNICODE)]
    assert [line.split("┤")[0].strip() for line in lines if "┤" in line] == scale


def test_a_ceiling_is_the_top_of_the_scale() -> None:
    assert top_of(views.CHART) == 24.0


def test_nothing_stands_above_the_scale() -> None:
    assert top_of(stacked()) == 16.0
    assert top_of(ChartView("x", "", 60.0, (ChartSeries("a", (1.0,)),), limit=47.0)) == 48.0


def test_two_series_differ_without_colour() -> None:
    title = plain_text(chart_lines(views.CHART, 60, 12, ASCII)[0])
    _, first, _, second, *_ = title.split()
    assert {first, second} == {"#", "="}
    ink = {
        character for line in chart_lines(views.CHART, 60, 12, ASCII)[1:-1] for character in plain_text(line)
    }
    assert {first, second} <= ink


def test_the_chart_is_drawn_once_for_a_view_and_size(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[int, int]] = []

    def draw(_view: ChartView, width: int, height: int, _glyphs: Glyphs) -> list[Line]:
        drawn.append((width, height))
        return [()]

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
