"""A session of an hour: what was drawn at its twentieth minute is drawn again from its fifty-fifth."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import takewhile

import pytest
from msgspec.structs import replace
from tests.app.ui.screen import START, dashboard, text
from textual.pilot import Pilot

from gpumon.app.demo.scenarios import scenario_named
from gpumon.app.demo.story import PRELUDE_SECONDS
from gpumon.app.ui.app import GpumonApp
from gpumon.collectors.samples import AnySample

SPILLED_MINUTE, BACK_FROM_MINUTE = 20, 55
LATER_SECONDS = 12
"""So long after the spill the screen is looked at."""


def hour() -> Iterator[AnySample]:
    """Yield an hour of a machine whose model spills at minute 20 and stays so for two minutes."""
    spill = scenario_named("spill")
    first = min(happening.at for happening in spill.story)
    later = SPILLED_MINUTE * 60 - PRELUDE_SECONDS - first
    story = tuple(replace(happening, at=happening.at + later) for happening in spill.story)
    return replace(spill, story=story, story_seconds=3600).samples(START)


class Fed:
    """A dashboard that is fed an hour in simulated time."""

    def __init__(self, pilot: Pilot[int]) -> None:
        assert isinstance(pilot.app, GpumonApp)
        self.app = pilot.app
        self._pilot = pilot
        self._samples = hour()

    async def until(self, seconds: float) -> str:
        """Feed up to a second of the session, and return what is drawn then."""
        for sample in takewhile(lambda one: one.time < START + seconds, self._samples):
            self.app.session.monitor.feed(sample)
        self.app._draw()
        return await text(self._pilot)


def body(screen: str) -> list[str]:
    """Return the screen without its first line, where the mark is, and without the keys, of which some are of
    now alone."""
    return [re.sub("(y copy|Enter why)$", "", line).rstrip() for line in screen.splitlines()[1:-1]]


@pytest.mark.parametrize("size", [(120, 40), (80, 24)], ids=lambda size: f"{size[0]}x{size[1]}")
async def test_the_spill_of_minute_20_is_seen_again_from_minute_55_by_key(size: tuple[int, int]) -> None:
    async with dashboard().run_test(size=size, notifications=True) as pilot:
        fed = Fed(pilot)
        then = await fed.until(SPILLED_MINUTE * 60 + LATER_SECONDS)
        now = await fed.until(BACK_FROM_MINUTE * 60 + LATER_SECONDS)
        await pilot.press(*["shift+left"] * (BACK_FROM_MINUTE - SPILLED_MINUTE))
        again = await text(pilot)
        assert "35 min ago · " in again.splitlines()[0]
        assert body(again) == body(then)
        assert body(again) != body(now)
        await pilot.press("end")
        assert await text(pilot) == now
