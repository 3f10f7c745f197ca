"""The mouse: hints are buttons, titles hide panels, the wheel scrolls; moving it costs next to nothing."""

from __future__ import annotations

import pytest
from tests.app.ui.screen import dashboard, scenario, text
from tests.app.ui.test_draw_budget import Cells
from textual import events
from textual.pilot import Pilot
from textual.widget import Widget

from gpumon.app.demo.story import PRELUDE_SECONDS
from gpumon.app.ui.screens.base import ListScreen
from gpumon.app.ui.screens.help import HelpScreen
from gpumon.app.ui.screens.page import Page
from gpumon.widgets.gpu_panel import GpuPanel
from gpumon.widgets.hints import HintBar
from gpumon.widgets.kit.mouse import REST_SECONDS
from gpumon.widgets.model_panel import ModelPanel
from gpumon.widgets.notices import AlertFeed

SPILLED = scenario("spill", PRELUDE_SECONDS + 70)
FLEET = scenario("fleet", PRELUDE_SECONDS + 20)


@pytest.fixture
def cells(monkeypatch: pytest.MonkeyPatch) -> Cells:
    return Cells(monkeypatch)


async def column_of(pilot: Pilot[int], words: str) -> int:
    """Return the cell of the last line at which ``words`` begin."""
    return (await text(pilot)).splitlines()[-1].index(words)


async def press(pilot: Pilot[int], words: str) -> None:
    """Click on a hint."""
    await pilot.click(HintBar, offset=(await column_of(pilot, words) + 1, 0))
    await pilot.pause()


async def turn(pilot: Pilot[int], panel: type[Widget], step: int, times: int = 1) -> None:
    """Turn the wheel over a panel."""
    kind = events.MouseScrollDown if step > 0 else events.MouseScrollUp
    for _ in range(times):
        await pilot._post_mouse_events([kind], panel, offset=(5, 2))
    await pilot.pause()


def cursor_of(pilot: Pilot[int]) -> str:
    assert isinstance(pilot.app.screen, ListScreen)
    row = pilot.app.screen.cursor.row
    assert row is not None
    return row.key


class TestHints:
    async def test_a_click_does_what_the_key_does_on_the_app_and_on_the_screen(self) -> None:
        async with dashboard(SPILLED).run_test(size=(120, 40)) as pilot:
            await press(pilot, "? help")
            assert isinstance(pilot.app.screen, HelpScreen)
            await pilot.press("escape")
            await press(pilot, "Enter page")
            assert isinstance(pilot.app.screen, Page)
            await press(pilot, "Esc back")
            await press(pilot, "Space pause")
            assert "PAUSED" in await text(pilot)

    async def test_between_two_hints_there_is_no_button(self) -> None:
        async with dashboard(SPILLED).run_test(size=(120, 40)) as pilot:
            before = await text(pilot)
            await pilot.click(HintBar, offset=(await column_of(pilot, "Enter page") - 1, 0))
            assert await text(pilot) == before

    async def test_the_switches_at_the_right_show_and_hide_panels(self) -> None:
        async with dashboard(SPILLED).run_test(size=(120, 40)) as pilot:
            await press(pilot, "4 ram")
            assert " RAM ▒" not in await text(pilot)
            await press(pilot, "4 ram")
            assert " RAM ▒" in await text(pilot)

    async def test_the_filter_is_dropped_by_a_click(self) -> None:
        async with dashboard(SPILLED).run_test(size=(120, 40)) as pilot:
            await pilot.press("slash", *"coder", "enter")
            await press(pilot, "Esc filter")
            assert "filter:" not in await text(pilot)

    async def test_the_one_under_the_mouse_is_reversed_and_costs_its_own_cells(self, cells: Cells) -> None:
        async with dashboard(SPILLED).run_test(size=(120, 40)) as pilot:
            bar, start = pilot.app.screen.query_one(HintBar), await column_of(pilot, "Enter page")
            await pilot.hover(HintBar, offset=(start, 0))
            await text(pilot)
            reversed_ = [part.text for part in bar.render_line(0) if part.style and part.style.reverse]
            assert "".join(reversed_) == "Enter page"
            cells.clear()
            await pilot.hover(HintBar, offset=(start + 3, 0))
            await text(pilot)
            assert cells.by_line == {}, "it is the same hint"

    async def test_only_what_works_is_named(self) -> None:
        async with dashboard(SPILLED).run_test(size=(120, 40)) as pilot:
            last = (await text(pilot)).splitlines()[-1]
            assert "unload" not in last, "nobody can be asked"
            assert "find" not in last, "there is one model"
            assert "y copy" in last
            await pilot.press("tab")
            assert "y copy" not in (await text(pilot)).splitlines()[-1], "a GPU has no command"


class TestTitles:
    @pytest.mark.parametrize(
        ("panel", "title"), [(ModelPanel, "Models"), (GpuPanel, "GPUs"), (AlertFeed, "Alerts")]
    )
    async def test_a_click_on_a_title_hides_its_panel(self, panel: type[Widget], title: str) -> None:
        async with dashboard(SPILLED).run_test(size=(120, 40)) as pilot:
            await pilot.click(panel, offset=(4, 0))
            assert f"─ {title}" not in await text(pilot)

    async def test_where_it_is_narrow_only_the_switch_of_the_hidden_panel_stays(self) -> None:
        async with dashboard(SPILLED).run_test(size=(60, 24)) as pilot:
            assert "2 models" not in await text(pilot)
            await pilot.click(ModelPanel, offset=(4, 0))
            last = (await text(pilot)).splitlines()[-1]
            assert last.endswith("2 models")
            assert "3 charts" not in last
            await press(pilot, "2 models")
            assert " Models " in await text(pilot)


class TestWheel:
    async def test_it_brings_other_models_into_view_and_takes_the_cursor_along_at_the_edge(self) -> None:
        async with dashboard(FLEET).run_test(size=(80, 24)) as pilot:
            panel = pilot.app.screen.query_one(ModelPanel)
            first, cursor = panel.key_at(0 if not panel.has_heading(0) else 1), cursor_of(pilot)
            assert cursor == first
            await turn(pilot, ModelPanel, 1, times=2)
            top = panel.key_at(0 if not panel.has_heading(0) else 1)
            assert top == panel.keys[2]
            assert cursor_of(pilot) == top
            await turn(pilot, ModelPanel, -1, times=5)
            assert panel.key_at(0 if not panel.has_heading(0) else 1) == first
            assert cursor_of(pilot) == top, "it stays on its model as long as that is in view"

    async def test_a_page_is_scrolled(self) -> None:
        async with dashboard(SPILLED).run_test(size=(80, 12)) as pilot:
            await pilot.press("enter")
            before = await text(pilot)
            await pilot._post_mouse_events([events.MouseScrollDown], offset=(5, 5))
            await pilot.pause(0.2)
            assert await text(pilot) != before

    async def test_where_all_is_in_view_nothing_moves(self) -> None:
        async with dashboard(SPILLED).run_test(size=(120, 40)) as pilot:
            before = await text(pilot)
            await turn(pilot, ModelPanel, 1)
            assert await text(pilot) == before


async def rest(pilot: Pilot[int], offset: tuple[int, int]) -> None:
    """Let the mouse rest on a cell of the models."""
    await pilot.hover(ModelPanel, offset=offset)
    await pilot.pause(2 * REST_SECONDS)
    await text(pilot)


class TestHover:
    async def test_the_row_under_the_mouse_lights_up_and_moving_costs_two_rows(self, cells: Cells) -> None:
        async with dashboard(FLEET).run_test(size=(80, 40)) as pilot:
            panel = pilot.app.screen.query_one(ModelPanel)
            await rest(pilot, (5, 4))
            assert panel._grounds[4] == "hover"
            cells.clear()
            await rest(pilot, (40, 4))
            assert cells.by_line == {}, "it is the same row"
            await rest(pilot, (40, 5))
            assert len(cells.by_line) == 2
            assert sum(cells.by_line.values()) <= 2 * 80
            assert cells.whole_screens == 0

    async def test_it_computes_no_line_anew(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with dashboard(FLEET).run_test(size=(80, 40)) as pilot:
            await text(pilot)
            monkeypatch.setattr(ModelPanel, "row_lines", None)
            for y in range(1, 6):
                await rest(pilot, (y, y))

    async def test_rows_that_are_crossed_are_not_drawn(
        self, cells: Cells, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gpumon.widgets.kit.mouse.REST_SECONDS", 30.0)
        async with dashboard(FLEET).run_test(size=(80, 40)) as pilot:
            await text(pilot)
            cells.clear()
            for y in range(1, 9):
                await pilot.hover(ModelPanel, offset=(y, y))
            await text(pilot)
            assert cells.by_line == {}

    async def test_it_goes_out_when_the_mouse_leaves(self) -> None:
        async with dashboard(FLEET).run_test(size=(80, 40)) as pilot:
            panel = pilot.app.screen.query_one(ModelPanel)
            await rest(pilot, (5, 4))
            assert "hover" in panel._grounds.values()
            await pilot.hover(HintBar, offset=(1, 0))
            await pilot.pause(2 * REST_SECONDS)
            await text(pilot)
            assert "hover" not in panel._grounds.values()

    async def test_the_selected_row_has_ground_and_marker(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("NO_COLOR", raising=False)
        async with dashboard(SPILLED).run_test(size=(80, 40)) as pilot:
            pilot.app.theme = "textual-dark"
            panel = pilot.app.screen.query_one(ModelPanel)
            await text(pilot)
            line = next(y for y, ground in panel._grounds.items() if ground == "selected")
            ground = {part.style.bgcolor for part in panel.render_line(line) if part.style}
            beside = {part.style.bgcolor for part in panel.render_line(0) if part.style}
            assert len(ground) == 1
            assert ground != beside
            assert panel.render_line(line).text.startswith("▌")

    async def test_without_colour_the_marker_is_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NO_COLOR", "1")
        async with dashboard(SPILLED).run_test(size=(80, 40)) as pilot:
            panel = pilot.app.screen.query_one(ModelPanel)
            await text(pilot)
            line = next(iter(panel._grounds))
            assert not any(
                part.style.underline or part.style.reverse for part in panel.render_line(line) if part.style
            )
            assert panel.render_line(line).text.startswith("▌")
