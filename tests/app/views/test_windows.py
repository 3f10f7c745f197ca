"""The spans of time that charts show, and their cells."""

from __future__ import annotations

import pytest
from tests.scene import Gpu, Machine

from gpumon.app.state.series import Series
from gpumon.app.views.gpu_page import gpu_charts
from gpumon.app.views.models import trend
from gpumon.app.views.page import (
    Window,
    area,
    window_of,
)
from gpumon.widgets.views import Trend


def newest(values: Trend) -> float | None:
    return next((value for value in reversed(values) if value is not None), None)


class TestWindows:
    """The span of time that charts show."""

    def series(self, *times: float) -> Series:
        series = Series()
        for at in times:
            series.add(at, 1.0)
        return series

    @pytest.mark.parametrize(
        ("age", "chosen", "shown"),
        [(10, 300, 60), (44, 300, 60), (70, 300, 120), (200, 300, 300), (900, 300, 300), (900, 3600, 3600)],
    )
    def test_it_is_the_shortest_with_all_there_is_but_no_longer_than_chosen(
        self, age: float, chosen: float, shown: float
    ) -> None:
        now = 1_000_800.0
        known = self.series(*(now - age + at for at in range(0, int(age) + 1, 10)))
        assert window_of((known,), now, chosen).seconds == shown

    def test_nothing_known_is_a_minute(self) -> None:
        assert window_of((Series(),), 1_000_800.0, 300.0).seconds == 60.0

    def test_an_event_is_always_in_it(self) -> None:
        now = 1_000_800.0
        assert window_of((self.series(now),), now, 300.0, now - 1000).seconds == 3600.0

    def test_its_right_edge_stands_still_for_a_quarter_of_a_minute(self) -> None:
        ends = [window_of((), 1_000_800.0 + at, 300.0).end for at in (1, 7, 14, 15, 16)]
        assert ends == [1_000_815.0] * 4 + [1_000_830.0]

    def test_a_chart_is_drawn_on_every_third_second(self) -> None:
        series = self.series(*(1_000_800.0 + at for at in range(13)))
        drawn = [area("x", series, window_of((series,), 1_000_800.0 + at, 300.0)) for at in (9, 11, 12)]
        assert drawn[0] == drawn[1]
        assert drawn[1] != drawn[2]
        assert sum(value is not None for value in drawn[1].values) == 9


class TestCharts:
    """Curves and their cells."""

    def test_peaks_are_drawn_from_half_an_hour_on(self) -> None:
        [found] = Machine().look("driver").pictures.gpus()
        long = Window(found.at, 1800.0, found.at)
        assert [bool(chart.series[0].maxima) for chart in gpu_charts(found, long)] == 4 * [True]
        less = gpu_charts(found, long._replace(seconds=1799.0))
        assert [bool(chart.series[0].maxima) for chart in less] == 4 * [False]

    @pytest.mark.parametrize(("seconds", "cells"), [(60.0, 60), (150.0, 150), (300.0, 150)])
    def test_a_cell_is_never_shorter_than_a_second(self, seconds: float, cells: int) -> None:
        [found] = Machine().look("driver").pictures.gpus()
        charts = gpu_charts(found, Window(found.at, seconds, found.at))
        assert len(charts[0].series[0].values) == cells

    def test_means_and_peaks_are_of_the_same_samples(self) -> None:
        machine = Machine(card := Gpu(utilization=10)).look("driver")
        card.utilization = 30
        [found] = machine.look("driver", at=0.5).pictures.gpus()
        line = gpu_charts(found, Window(found.at + 60, 3600.0, found.at + 60))[1].series[0]
        assert (newest(line.values), newest(line.maxima)) == (20.0, 30)

    def test_a_trend_is_two_minutes_in_cells_of_five_seconds(self) -> None:
        series = Series()
        for at, value in ((1000.0, 4.0), (1121.0, 2.0), (1122.0, 4.0)):
            series.add(at, value)
        assert trend(series, 1122.0) == (*23 * [None], 3.0)
