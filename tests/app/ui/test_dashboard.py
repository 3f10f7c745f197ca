"""The dashboard's keys, and what it shows."""

from __future__ import annotations

import re
from typing import cast

import pytest
from tests.app.ui.screen import dashboard, scenario, text
from tests.fakes.samples import gpu, nvml, ollama_down, system
from textual.pilot import Pilot

from gpumon.app.demo.story import PRELUDE_SECONDS
from gpumon.app.ui.app import GpumonApp
from gpumon.app.ui.screens.dashboard import DashboardScreen
from gpumon.app.ui.screens.page import Page
from gpumon.collectors.samples import AnySample, ServerSample

PANELS = {"1": " GPUs ", "2": " Models ", "3": "tok/s of", "4": " RAM ▒", "5": "─ Events"}
SPILLED = scenario("spill", PRELUDE_SECONDS + 70)
FLEET = scenario("fleet", PRELUDE_SECONDS + 5)


def models_part(screen: str) -> str:
    """Return the lines from the names of the models' columns to those of the next panels."""
    return screen.partition("\n Models")[2].partition("● RAM")[0]


async def test_the_frame_is_there_before_the_first_sample() -> None:
    async with dashboard().run_test(size=(80, 24)) as pilot:
        assert "Models" in await text(pilot)


async def test_a_spill_is_in_the_verdict_the_row_and_the_feed() -> None:
    async with dashboard(SPILLED).run_test(size=(120, 40)) as pilot:
        screen = await text(pilot)
    verdict, cure, *_ = screen.splitlines()
    assert "SPILLED  qwen2.5-coder:14b · 38% in RAM · 7.0 tok/s, 47 if it fitted" in verdict
    assert "its context is too large" in cure
    assert "▸ /set parameter num_ctx 6400" in cure
    assert screen.count("its context is too large") == 1, "nothing is said twice"
    assert "9.1+5.5" in screen
    assert "ongoing" in screen


async def test_enter_opens_the_page_of_the_selected_model_and_escape_leaves_it() -> None:
    async with dashboard(SPILLED).run_test(size=(120, 60)) as pilot:
        await pilot.press("enter")
        assert "CURES" in await text(pilot)
        await pilot.press("escape")
        assert "Models" in await text(pilot)


async def test_enter_on_a_gpu_opens_its_page() -> None:
    async with dashboard(SPILLED).run_test(size=(120, 60)) as pilot:
        await pilot.press("g", "enter")
        screen = await text(pilot)
        await pilot.press("d")
        opened = await text(pilot)
    assert "HELD BY" in screen
    assert "GPU-74e9aacd" not in screen
    assert "GPU-74e9aacd" in opened
    assert "memory bus" in opened


async def test_tab_moves_the_cursor_from_models_to_events_to_gpus_and_shift_tab_back() -> None:
    async with dashboard(SPILLED).run_test(size=(120, 40)) as pilot:
        screens = [await text(pilot)]
        for key in ("tab", "tab", "shift+tab"):
            await pilot.press(key)
            screens.append(await text(pilot))
    marked = [[line for line in screen.splitlines() if line.startswith("▌")] for screen in screens]
    assert "9.1+5.5" in marked[0][0]
    assert " spilled: " in marked[1][0]
    assert "RTX" in marked[2][0]
    assert marked[3] == marked[1]


async def test_enter_on_an_event_opens_what_it_is_about_and_tells_when() -> None:
    app = dashboard(SPILLED)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("tab", "enter")
        screen = await text(pilot)
        assert isinstance(app.screen, Page)
        assert app.screen.at is not None
    assert "SPILLED  qwen2.5-coder:14b" in screen.splitlines()[0]


async def test_enter_on_a_reload_that_goes_on_opens_the_load() -> None:
    async with dashboard(scenario("spill", PRELUDE_SECONDS + 13)).run_test(size=(120, 40)) as pilot:
        assert "reloads: " in await text(pilot)
        await pilot.press("tab", "enter")
        assert "loading qwen2.5-coder:14b" in (await text(pilot)).splitlines()[0]


async def test_enter_on_an_event_of_a_card_opens_the_card() -> None:
    app = dashboard(scenario("gpu-lost", 320))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("tab", "enter")
        assert "GPU 1" in (await text(pilot)).splitlines()[0]


async def test_enter_on_an_event_of_the_machine_opens_nothing() -> None:
    app = dashboard(scenario("restart", 330))
    async with app.run_test(size=(120, 40)) as pilot:
        before = app.screen
        await pilot.press("tab", "enter")
        assert app.screen is before


async def test_keys_for_a_model_act_on_that_of_the_event() -> None:
    app = dashboard(SPILLED)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("tab")
        assert isinstance(app.screen, DashboardScreen)
        assert app.screen.selected is not None
        assert app.screen.selected.panel == "models"


async def test_without_events_there_is_no_panel_and_nothing_is_said_to_be_folded() -> None:
    async with dashboard([system(0)]).run_test(size=(120, 40)) as pilot:
        screen = await text(pilot)
    assert "Events" not in screen
    assert "none so far" not in screen
    assert "folded" not in screen


async def test_the_cursor_follows_its_model_through_a_change_of_order() -> None:
    async with dashboard(FLEET).run_test(size=(120, 60)) as pilot:
        await pilot.press("G")
        before = next(line for line in (await text(pilot)).splitlines() if line.startswith("▌"))
        await pilot.press("S")
        after = next(line for line in (await text(pilot)).splitlines() if line.startswith("▌"))
    assert before.split()[1] == after.split()[1]


async def test_slash_filters_the_models_and_escape_shows_all_again() -> None:
    async with dashboard(FLEET).run_test(size=(120, 60)) as pilot:
        await pilot.press("slash", *"coder", "enter")
        narrowed = models_part(await text(pilot))
        assert "qwen2.5-coder:7b" in narrowed
        assert "codestral" not in narrowed
        await pilot.press("escape")
        assert "codestral" in models_part(await text(pilot))


async def test_keys_typed_into_the_filter_are_text_and_no_commands() -> None:
    async with dashboard(FLEET).run_test(size=(120, 60)) as pilot:
        await pilot.press("slash", *"qa", "space", "enter")
        assert "no model matches" in await text(pilot)
        assert pilot.app.return_code is None, "q in the filter must not quit"


@pytest.mark.parametrize(("key", "title"), PANELS.items())
async def test_a_digit_hides_a_panel_and_shows_it_again(key: str, title: str) -> None:
    async with dashboard(SPILLED).run_test(size=(120, 40)) as pilot:
        assert title in await text(pilot)
        await pilot.press(key)
        assert title not in await text(pilot)
        await pilot.press(key)
        assert title in await text(pilot)


async def test_space_freezes_the_picture_while_samples_go_on() -> None:
    app = dashboard(SPILLED[:-200])
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("space")
        frozen = await text(pilot)
        assert "PAUSED" in frozen
        for sample in SPILLED[-200:]:
            app.session.monitor.feed(sample)
        await pilot.pause(0.1)
        assert await text(pilot) == frozen
        await pilot.press("space")
        assert await text(pilot) != frozen


async def test_plus_and_minus_change_the_interval() -> None:
    async with dashboard(SPILLED).run_test(size=(120, 40)) as pilot:
        assert "every" not in await text(pilot), "what is always so is not said"
        await pilot.press("plus")
        assert "every 2 s" in await text(pilot)
        await pilot.press("minus", "minus")
        assert "every 0.5 s" in await text(pilot)


async def test_a_acknowledges_the_alerts() -> None:
    app = dashboard(SPILLED)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("a")
        await text(pilot)
        assert all(alert.acknowledged for alert in app.session.monitor.alerts.active)


async def test_the_help_goes_to_its_end_and_back() -> None:
    async with dashboard(SPILLED).run_test(size=(40, 12)) as pilot:
        await pilot.press("question_mark", "end")
        assert "costs speed now" in await text(pilot)
        await pilot.press("g")
        assert "page of the selected row" in await text(pilot)


async def test_question_mark_lists_every_key() -> None:
    async with dashboard(SPILLED).run_test(size=(120, 100)) as pilot:
        await pilot.press("question_mark")
        screen = await text(pilot)
        assert "acknowledge the alerts" in screen
        await pilot.press("escape")
        assert "acknowledge the alerts" not in await text(pilot)


async def test_s_names_the_order_in_the_hints() -> None:
    async with dashboard(FLEET).run_test(size=(200, 50)) as pilot:
        assert "by trouble" in await text(pilot)
        await pilot.press("s")
        assert "by spill" in await text(pilot)
        await pilot.press("s")
        assert "by name" in await text(pilot)


async def test_a_smaller_pane_folds_and_a_larger_one_unfolds() -> None:
    async with dashboard(SPILLED).run_test(size=(120, 40)) as pilot:
        assert "VRAM of GPU 0" in await text(pilot)
        await pilot.resize_terminal(40, 12)
        small = await text(pilot)
        assert "VRAM of GPU 0" not in small
        assert "SPILLED 38%" in small
        await pilot.resize_terminal(120, 40)
        assert "VRAM of GPU 0" in await text(pilot)


QUANTITIES = ("tok/s", "VRAM", "utilisation", "power", "temperature", "context")


async def test_c_charts_the_next_quantity_and_keeps_it() -> None:
    async with dashboard(SPILLED).run_test(size=(80, 24)) as pilot:
        for quantity in (*QUANTITIES, "tok/s"):
            starts = [line.partition(" of ")[0].strip() for line in (await text(pilot)).splitlines()]
            assert quantity in starts
            await pilot.press("c")


async def test_two_charts_stand_side_by_side_and_one_is_always_the_rate() -> None:
    async with dashboard(SPILLED).run_test(size=(120, 40)) as pilot:
        for left in (
            "VRAM of GPU 0",
            "utilisation of GPU 0",
            "power of GPU 0",
            "temperature of GPU 0",
            "context of qwen2.5-coder:14b",
            "VRAM of GPU 0",
        ):
            [line] = [
                line for line in (await text(pilot)).splitlines() if "tok/s of qwen2.5-coder:14b" in line
            ]
            assert line.startswith(f" {left}")
            await pilot.press("c")


@pytest.mark.parametrize("size", [(200, 50), (120, 40), (80, 24), (60, 12), (40, 12), (20, 6), (1, 1)])
async def test_no_size_breaks_it(size: tuple[int, int]) -> None:
    async with dashboard(FLEET).run_test(size=size) as pilot:
        lines = (await text(pilot)).splitlines()
        assert len(lines) <= size[1]


async def test_without_a_server_that_answers_nothing_is_said_of_models() -> None:
    async with dashboard().run_test(size=(80, 24)) as pilot:
        assert "not known: no server answers" in await text(pilot)


@pytest.mark.parametrize("width", [120, 40])
async def test_an_empty_machine_is_shown_the_way_to_the_demo(width: int) -> None:
    nothing: list[AnySample] = [nvml(0), ollama_down(0.1, "not_running")]
    async with dashboard(nothing).run_test(size=(width, 24)) as pilot:
        assert "gpumon demo" in await text(pilot)
    async with dashboard([nvml(0, gpu()), nothing[1]]).run_test(size=(width, 24)) as pilot:
        assert "gpumon demo" not in await text(pilot), "a GPU is something to watch"


async def test_the_next_page_is_that_of_the_next_row_in_the_order_of_the_list() -> None:
    async with dashboard(FLEET).run_test(size=(120, 60)) as pilot:
        await pilot.press("s", "S")  # by name, reversed
        listed = names(models_part(await text(pilot)))
        await pilot.press("g", "tab", "enter")  # the first model
        seen = [await page_name(pilot)]
        for _ in listed[1:]:
            await pilot.press("n")
            seen.append(await page_name(pilot))
    assert seen == listed


async def test_the_pages_are_those_that_the_filter_lists() -> None:
    async with dashboard(FLEET).run_test(size=(120, 60)) as pilot:
        await pilot.press("slash", *"coder", "enter", "enter")
        first = await page_name(pilot)
        await pilot.press("n")
        second = await page_name(pilot)
        await pilot.press("p")
        assert "coder" in first
        assert "coder" in second
        assert await page_name(pilot) == first


def names(models: str) -> list[str]:
    """Return the names of the models in the rows of the list."""
    return re.findall(r"^[▌ ][●▲■○] (\S+)", models, flags=re.MULTILINE)


async def page_name(pilot: Pilot[int]) -> str:
    """Return the model that the first line of a page speaks of."""
    return (await text(pilot)).split()[1]


async def test_the_cursor_stays_on_its_model_while_that_is_loaded_again() -> None:
    opened = []
    samples = scenario("spill", PRELUDE_SECONDS + 30)
    start = samples[0].time
    async with dashboard([one for one in samples if one.time - start <= PRELUDE_SECONDS]).run_test() as pilot:
        app = pilot.app
        assert isinstance(app, GpumonApp)
        for sample in samples:
            if sample.time - start > PRELUDE_SECONDS:
                app.session.monitor.feed(sample)
                if isinstance(sample, ServerSample):
                    app._draw()
                    opened.append(cast("DashboardScreen", app.screen).selected)
    assert len(opened) > 20
    assert len(set(opened)) == 1


@pytest.mark.parametrize("size", [(200, 8), (120, 40), (80, 24), (60, 20), (60, 12), (40, 12), (40, 5)])
@pytest.mark.parametrize("samples", [SPILLED, FLEET], ids=["spill", "fleet"])
async def test_the_footer_is_the_last_line(samples: list[AnySample], size: tuple[int, int]) -> None:
    async with dashboard(samples).run_test(size=size) as pilot:
        for keys in ((), ("enter",), ("escape", "f"), ("escape", "slash")):
            await pilot.press(*keys)
            lines = (await text(pilot)).splitlines()
            assert len(lines) == size[1]
            assert "help" in lines[-1] or "quit" in lines[-1], (keys, lines[-1])
