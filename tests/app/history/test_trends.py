"""What charts of days and weeks show: out of the file, live since, and gaps as gaps."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.app.history.rows import GPU, LLAMA, MINUTE, model_minute, written
from tests.scene import Model, loaded

from gpumon.app.history.file import NewRow
from gpumon.app.history.reader import History
from gpumon.app.history.rows import Span
from gpumon.app.history.tallies import model_name
from gpumon.app.history.trends import KeptSeries, Trends
from gpumon.app.state.series import Bucket, Series
from gpumon.app.views.model_page import model_page

DAY, WEEK = 86_400.0, 7 * 86_400.0


class TestSteps:
    def test_a_rate_is_weighed_by_how_long_there_was_one(self, tmp_path: Path) -> None:
        slow = model_minute(0)
        fast = model_minute(1)
        rates = {
            "decode_tokens_per_second": 10.0,
            "decode_tokens_per_second_peak": 12.0,
            "decoding_seconds": 30.0,
        }
        written(tmp_path / "h.db", [slow._replace(values={**slow.values, **rates}), fast])
        with History.open(tmp_path / "h.db") as history:
            [one] = history.trend(Span(MINUTE, MINUTE + 600), LLAMA, 600)
        rate = one.figures["decode_tokens_per_second"]
        assert rate.mean == pytest.approx((10.0 * 30 + 25.0 * 4) / 34)
        assert (rate.minimum, rate.maximum) == (10.0, 30.0)

    def test_what_is_unknown_of_a_step_is_left_out(self, tmp_path: Path) -> None:
        written(tmp_path / "h.db", [model_minute()])
        with History.open(tmp_path / "h.db") as history:
            [one] = history.trend(Span(MINUTE, MINUTE + 600), LLAMA, 600)
        assert "context_tokens" not in one.figures

    def test_of_a_gpu_the_peaks_of_its_minutes(self, tmp_path: Path) -> None:
        values = {
            "minute": MINUTE,
            "number": 1,
            "monotonic_seconds": 1.0,
            "watched_seconds": 60.0,
            "power_watts": 100.0,
            "power_watts_peak": 190.0,
            "throttled_seconds": 0.0,
            "level": "ok",
        }
        written(tmp_path / "h.db", [NewRow("gpu_minute_rows", values, gpu=GPU)])
        with History.open(tmp_path / "h.db") as history:
            [one] = history.trend(Span(MINUTE, MINUTE + 600), "GPU-0", 600)
        assert one.figures["power_watts"] == Bucket(100.0, 100.0, 190.0)


class TestSeries:
    def test_cells_hold_the_points_within_them_and_others_are_gaps(self) -> None:
        points = [(0.0, Bucket(1, 2, 3)), (60.0, Bucket(3, 4, 9)), (600.0, Bucket(5, 5, 5))]
        kept = KeptSeries(points, 60.0, Series())
        assert kept.window(899.0, 900.0, 3) == [Bucket(1, 3, 9), None, Bucket(5, 5, 5)]

    def test_what_the_history_does_not_know_yet_is_live(self) -> None:
        live = Series()
        live.add(890.0, 7.0)
        kept = KeptSeries([(0.0, Bucket(1, 1, 1))], 60.0, live)
        assert kept.window(899.0, 900.0, 3)[-1] == Bucket(7, 7, 7)
        assert (kept.last, kept.last_time) == (7.0, 890.0)

    def test_in_finer_cells_than_were_read_what_is_live_is_drawn(self) -> None:
        live = Series()
        live.add(100.0, 7.0)
        kept = KeptSeries([(0.0, Bucket(1, 1, 1))], 120.0, live)
        cells = kept.window(119.0, 120.0, 6)
        assert cells == [Bucket(1, 1, 1)] * 5 + [Bucket(7, 7, 7)]

    def test_without_anything_it_has_no_time(self) -> None:
        assert KeptSeries([], 60.0, Series()).last_time is None


@pytest.fixture
def desk() -> Model:
    model = loaded()
    model.machine.run(2)
    return model


async def test_a_week_is_drawn_once_it_was_read(desk: Model, tmp_path: Path) -> None:
    now = desk.machine.state.now
    first = round(now - MINUTE) // 60 - 3 * 1440
    rows = [model_minute(first + hour * 60, number=hour, model=model_name(desk.record)) for hour in range(24)]
    written(tmp_path / "h.db", rows)
    trends = Trends(tmp_path / "h.db")
    [model] = desk.machine.pictures.models()
    assert trends.of_model(model, WEEK) is model.series, "nothing waits for the disk"
    await trends._errand.settle()
    series = trends.of_model(model, WEEK)
    cells = series.decode.window(model.at, WEEK, 168)
    assert sum(cell is not None for cell in cells) == pytest.approx(24, abs=2)
    assert cells[-2] is None, "a day without it is a gap"
    page = model_page(model.id, desk.machine.pictures, WEEK, None, trends)
    assert {chart.seconds for chart in page.charts} == {WEEK}
    trends.close()


async def test_short_windows_read_nothing(desk: Model, tmp_path: Path) -> None:
    trends = Trends(tmp_path / "h.db")
    [model] = desk.machine.pictures.models()
    assert trends.of_model(model, 3600.0) is model.series
    assert not trends._errand.is_running
    trends.close()


async def test_it_is_read_again_after_a_minute_and_not_before(desk: Model, tmp_path: Path) -> None:
    trends = Trends(tmp_path / "h.db")
    for seconds, is_read in ((0, True), (30, False), (40, True)):
        desk.machine.run(seconds)
        [model] = desk.machine.pictures.models()
        trends.of_model(model, DAY)
        assert trends._errand.is_running == is_read
        await trends._errand.settle()
        trends.of_model(model, DAY)
    trends.close()


async def test_a_history_that_cannot_be_read_leaves_what_is_live(desk: Model, tmp_path: Path) -> None:
    (tmp_path / "h.db").write_bytes(b"no database" * 100)
    trends = Trends(tmp_path / "h.db")
    desk.machine.run(5)
    [model] = desk.machine.pictures.models()
    trends.of_model(model, WEEK)
    await trends._errand.settle()
    found = trends.of_model(model, WEEK).claimed_vram.window(model.at, WEEK, 10)
    assert found == model.series.claimed_vram.window(model.at, WEEK, 10)
    trends.close()
