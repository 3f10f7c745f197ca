"""The pages of models and GPUs: what is where at which size, and their keys."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.app.ui.screen import START, dashboard, scenario, text
from tests.app.ui.test_draw_budget import Cells, cells, fed
from textual.pilot import Pilot

from gpumon.app.demo.story import PRELUDE_SECONDS
from gpumon.app.history.trends import Trends
from gpumon.app.ui.app import GpumonApp
from gpumon.app.ui.screens.base import Row
from gpumon.app.ui.screens.page import Page
from gpumon.app.views.charts import span_of
from gpumon.collectors.samples import NvmlSample
from gpumon.widgets import history_chart
from gpumon.widgets.page_panel import ChartColumn, PagePanel

__all__ = ["cells"]

SPILLED = scenario("spill", PRELUDE_SECONDS + 50)
FLEET = scenario("fleet", PRELUDE_SECONDS + 5)
LOADING = scenario("70b", PRELUDE_SECONDS + 20)
FIRST_CURE = "/set parameter num_ctx 6400"
SECOND_CURE = "OLLAMA_KV_CACHE_TYPE=q8_0"


def marked(screen: str) -> list[str]:
    """Return what stands beside the cursor."""
    return [line[1:].split()[1] for line in screen.splitlines() if line.startswith("▌")]


async def test_charts_stand_beside_the_figures_where_there_is_room() -> None:
    async with dashboard(SPILLED).run_test(size=(120, 40)) as pilot:
        await pilot.press("enter")
        lines = (await text(pilot)).splitlines()
    assert "WHY" in lines[1]
    assert "tok/s" in lines[1]
    [row] = [line for line in lines if "LAST REQUESTS" in line]
    assert row.index("LAST REQUESTS") > 50


@pytest.mark.parametrize("size", [(100, 60), (80, 60), (60, 80)])
async def test_narrow_panes_have_figures_first_and_then_two_charts(size: tuple[int, int]) -> None:
    async with dashboard(SPILLED).run_test(size=size) as pilot:
        await pilot.press("enter")
        screen = await text(pilot)
    places = [screen.index(words) for words in ("WHY", "CURES", "MEMORY  ", "LAST REQUESTS", "full ~47", "┤")]
    assert places == sorted(places)


async def test_a_gpus_page_begins_with_its_facts_at_80_by_24() -> None:
    async with dashboard(SPILLED).run_test(size=(80, 24)) as pilot:
        await pilot.press("g", "enter")
        screen = await text(pilot)
    assert "qwen2.5-coder:14b       9.2" in screen
    assert "2805 of 3105 MHz" in screen
    assert "of 90 °C" in screen


async def test_up_and_down_choose_a_cure_and_y_copies_it() -> None:
    app = dashboard(SPILLED)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await pilot.press("enter")
        assert marked(await text(pilot)) == ["/set"]
        await pilot.press("down")
        assert marked(await text(pilot)) == [SECOND_CURE]
        await pilot.press("y")
        assert app.clipboard == SECOND_CURE
        await pilot.press("up", "y")
        assert app.clipboard == FIRST_CURE


async def test_a_digit_copies_the_line_of_its_cure() -> None:
    app = dashboard(SPILLED)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await pilot.press("enter", "2")
        screen = await text(pilot)
        assert app.clipboard == SECOND_CURE
        assert marked(screen) == [SECOND_CURE]
        await pilot.press("1")
        assert app.clipboard == FIRST_CURE
        await pilot.press("9")
        assert app.clipboard == FIRST_CURE


async def test_a_click_on_a_cure_copies_its_line() -> None:
    app = dashboard(SPILLED)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await pilot.press("enter")
        panel = app.screen.query_one(PagePanel)
        await pilot.click(PagePanel, offset=(4, panel.cure_lines[1] + 1))
        assert app.clipboard == SECOND_CURE
        assert marked(await text(pilot)) == [SECOND_CURE]
        await pilot.click(PagePanel, offset=(4, 0))
        assert app.clipboard == SECOND_CURE


async def test_the_page_of_a_load_becomes_that_of_its_model_and_goes_with_the_next_load() -> None:
    story = scenario("spill", PRELUDE_SECONDS + 30)
    before = [sample for sample in story if sample.time < START + PRELUDE_SECONDS + 5]
    app = dashboard(before)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("enter")
        heads = []
        for sample in story[len(before) :]:
            app.session.monitor.feed(sample)
            if isinstance(sample, NvmlSample):
                app._draw()
                heads.append(" ".join((await text(pilot)).splitlines()[0].split()[1:3]))
    kinds = ["loading" if head.startswith("loading") else "model" for head in heads]
    assert {"loading qwen2.5-coder:14b:", "SPILLED qwen2.5-coder:14b"} <= set(heads)
    assert kinds[0] == kinds[-1] == "model"
    assert kinds.index("loading") > 0


async def test_the_footer_names_the_window() -> None:
    async with dashboard(SPILLED).run_test(size=(120, 40)) as pilot:
        await pilot.press("enter")
        assert "up to 5 min" in (await text(pilot)).splitlines()[-1]
        await pilot.press("w")
        assert "up to 1 h" in (await text(pilot)).splitlines()[-1]


async def test_below_the_last_cure_the_page_scrolls() -> None:
    async with dashboard(SPILLED).run_test(size=(80, 24)) as pilot:
        await pilot.press("enter")
        for _ in range(40):
            await pilot.press("j")
        screen = await text(pilot)
    assert "▲reload" in screen
    assert "WHY" not in screen


async def test_the_selected_cure_is_in_view() -> None:
    async with dashboard(SPILLED).run_test(size=(40, 12)) as pilot:
        await pilot.press("enter", "j")
        assert marked(await text(pilot)) == ["OLLAMA_KV_CACHE_TYPE=q8_0"]


async def test_the_rest_of_the_figures_is_shown_on_demand() -> None:
    async with dashboard(SPILLED).run_test(size=(120, 40)) as pilot:
        await pilot.press("enter")
        assert "digest" not in (await text(pilot)).replace("server, digest", "")
        await pilot.press("d")
        opened = await text(pilot)
        assert "81a75fe9" in opened
        assert "command line" in opened, "it is said where a figure comes from"
        await pilot.press("d")
        assert "81a75fe9" not in await text(pilot)


async def test_the_headline_says_which_of_how_many_it_is() -> None:
    async with dashboard(FLEET).run_test(size=(160, 40)) as pilot:
        await pilot.press("g", "enter")
        assert "1 of 8" in (await text(pilot)).splitlines()[0]
        await pilot.press("n", "n")
        assert "3 of 8" in (await text(pilot)).splitlines()[0]
        await pilot.press("p")
        assert "2 of 8" in (await text(pilot)).splitlines()[0]


async def test_the_window_that_was_chosen_stays_for_the_next_page() -> None:
    app = dashboard(SPILLED)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("enter", "w", "escape", "g", "enter")
        assert app.session.choices.window == 1
        charts = app.screen.query_one(ChartColumn)
        assert {chart.seconds for chart in charts._charts} == {3600.0}


async def test_a_load_shows_its_phases_and_what_is_planned() -> None:
    async with dashboard(LOADING).run_test(size=(80, 24)) as pilot:
        await pilot.press("enter")
        screen = await text(pilot)
    assert "starting   0.8 s" in screen
    assert "weights    10s so far, 48%" in screen
    assert "warm-up    to come" in screen
    [row] = [line for line in screen.splitlines() if "read so far" in line]
    assert "█┄" in row
    assert row.endswith("of 39.6")


async def test_an_event_is_marked_at_its_time() -> None:
    app = dashboard(SPILLED)
    async with app.run_test(size=(120, 40)) as pilot:
        [gpu] = app.session.monitor.pictures.gpus()
        await app.push_screen(Page(Row("gpus", gpu.uuid), app.session, app.glyphs, gpu.at - 20))
        assert "▲event" in await text(pilot)


@pytest.mark.parametrize("keys", [("enter",), ("g", "enter"), ("enter", "d")])
@pytest.mark.parametrize(
    "size", [(200, 50), (120, 40), (109, 8), (80, 24), (60, 20), (40, 12), (12, 5), (3, 2)]
)
async def test_no_size_breaks_a_page(size: tuple[int, int], keys: tuple[str, ...]) -> None:
    async with dashboard(SPILLED).run_test(size=size) as pilot:
        await pilot.press(*keys)
        lines = (await text(pilot)).splitlines()
        assert len(lines) <= size[1]
        assert all(len(line) <= size[0] for line in lines)


async def drawn_plots(pilot: Pilot[int], monkeypatch: pytest.MonkeyPatch, seconds: int) -> int:
    """Return how often plotext draws while a page is looked at for some seconds."""
    app, plots = pilot.app, 0
    assert isinstance(app, GpumonApp)
    plot = history_chart._plot

    def counted(*arguments: object) -> object:
        nonlocal plots
        plots += 1
        return plot(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(history_chart, "_plot", counted)
    for sample in scenario("spill", PRELUDE_SECONDS + 50 + seconds)[len(SPILLED) :]:
        app.session.monitor.feed(sample)
        if isinstance(sample, NvmlSample):
            app._draw()
    await pilot.pause()
    return plots


async def test_a_chart_is_plotted_every_third_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    async with dashboard(SPILLED).run_test(size=(120, 40)) as pilot:
        await pilot.press("enter")
        await pilot.pause()
        assert await drawn_plots(pilot, monkeypatch, 12) <= 2 * (12 / 3 + 1)


async def test_a_page_on_which_nothing_is_new_writes_nothing(cells: Cells) -> None:
    async with dashboard(SPILLED).run_test(size=(120, 40)) as pilot:
        await pilot.press("enter")
        await fed(pilot, cells, SPILLED[-1])
        await fed(pilot, cells, SPILLED[-1])
        assert (cells.by_line, cells.whole_screens) == ({}, 0)
        assert pilot.app.screen.query_one(PagePanel).size.height


async def test_where_a_history_is_kept_pages_go_back_a_month(tmp_path: Path) -> None:
    app = dashboard(SPILLED)
    app.session.kept = Trends(tmp_path / "history.db")
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("enter")
        shown = []
        for _ in range(5):
            await pilot.press("w")
            shown.append((await text(pilot)).splitlines()[-1].partition(" up to ")[2].partition("  ")[0])
    assert shown == ["1 h", "1 d", "a week", "30 d", "5 min"]


async def test_the_dashboard_shows_a_day_where_a_page_shows_a_month(tmp_path: Path) -> None:
    app = dashboard(SPILLED)
    app.session.kept = Trends(tmp_path / "history.db")
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("enter", "w", "w", "w", "w", "escape")
        pictures = app.session.shown.pictures
        assert span_of(pictures, app.session.choices.window, 10).window.seconds == 86_400.0
        await pilot.press("w")
        assert app.session.choices.window == 0
