"""What there is to tell stands in the last line for a moment, and nowhere else."""

from __future__ import annotations

import asyncio

import pytest
from tests.app.ui.screen import dashboard, scenario, text
from textual.pilot import Pilot

from gpumon.app.demo.story import PRELUDE_SECONDS
from gpumon.app.ui import notices
from gpumon.app.ui.notices import Notice
from gpumon.widgets.glyphs import ASCII, UNICODE
from gpumon.widgets.hints import notice_lines
from gpumon.widgets.kit.lines import plain_text

SPILLED = scenario("spill", PRELUDE_SECONDS + 70)


async def last_line(pilot: Pilot[int]) -> str:
    return (await text(pilot)).splitlines()[-1]


@pytest.mark.parametrize("size", [(200, 50), (120, 40), (80, 24), (60, 12), (40, 12), (40, 6)])
async def test_it_takes_the_last_line_and_no_other(size: tuple[int, int]) -> None:
    async with dashboard(SPILLED).run_test(size=size) as pilot:
        await pilot.press("g")
        before = (await text(pilot)).splitlines()
        await pilot.press("y")
        after = (await text(pilot)).splitlines()
        assert "no model is selected" in after[-1]
        assert after[:-1] == before[:-1]


async def test_it_goes_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "NOTICE_SECONDS", 1.5)
    async with dashboard(SPILLED).run_test(size=(80, 24)) as pilot, asyncio.timeout(30):
        hints = await last_line(pilot)
        pilot.app.notify("done")
        assert "done" in await last_line(pilot)
        while await last_line(pilot) != hints:
            await pilot.pause(0.05)


async def test_what_is_longer_than_the_line_is_told_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "NOTICE_SECONDS", 1.5)
    async with dashboard(SPILLED).run_test(size=(40, 12)) as pilot, asyncio.timeout(30):
        pilot.app.notify("asked 127.0.0.1:11434 to unload qwen2.5-coder:14b-instruct-q8_0")
        assert "asked 127.0.0.1:11434" in await last_line(pilot)
        while "instruct-q8_0" not in await last_line(pilot):
            await pilot.pause(0.05)


async def test_under_a_dialogue_it_waits_until_it_can_be_seen() -> None:
    async with dashboard(SPILLED).run_test(size=(80, 24)) as pilot:
        await pilot.press("question_mark")
        pilot.app.notify("the hook has failed", severity="error")
        assert "hook" not in await text(pilot)
        await pilot.press("escape")
        assert "the hook has failed" in await last_line(pilot)


async def test_it_is_told_on_the_screen_in_front() -> None:
    async with dashboard(SPILLED).run_test(size=(80, 24)) as pilot:
        await pilot.press("enter")
        pilot.app.notify("done")
        assert "done" in await last_line(pilot)
        await pilot.press("escape")
        assert "done" not in await last_line(pilot)


def test_an_error_stays_long_enough_to_be_read() -> None:
    assert (Notice("", "ok").seconds, Notice("", "watch").seconds, Notice("", "bad").seconds) == (3, 3, 6)


def test_names_from_outside_do_no_harm() -> None:
    [line] = notice_lines("unloaded a\x1b[31mb\nc", "ok", 80, UNICODE)
    assert "\x1b" not in plain_text(line)
    [line] = notice_lines("unloaded é", "bad", 80, ASCII)
    assert plain_text(line).isascii()
