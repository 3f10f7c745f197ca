"""Draws the pictures in this folder from the built-in scenarios: ``make screenshots``.

Headless, at a fixed time, so that the same code gives the same pictures.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import resvg_py
from screenshots.motion import draw_motion

from gpumon.app.alerts.limits import Limits
from gpumon.app.demo.scenarios import scenario_named
from gpumon.app.demo.story import PRELUDE_SECONDS
from gpumon.app.monitor import Monitor
from gpumon.app.session.session import Session
from gpumon.app.ui.app import GpumonApp
from gpumon.app.ui.themes import DARK
from gpumon.widgets.glyphs import ASCII, UNICODE

FOLDER = Path(__file__).parent
START = 1_790_000_000.0
FONT = "DejaVu Sans Mono"
"""Textual's SVG names a font by URL; this one is installed nearly everywhere."""


@dataclass(frozen=True)
class Picture:
    """One picture: a scenario, ``seconds`` into its story, after some keys."""

    name: str
    scenario: str
    seconds: float
    size: tuple[int, int] = (120, 36)
    keys: tuple[str, ...] = ()
    ascii: bool = False


PICTURES = (
    Picture("dashboard", "spill", 75),
    Picture("fleet", "fleet", 30, (140, 44)),
    Picture("model", "spill", 75, keys=("enter",)),
    Picture("gpu", "throttle", 120, keys=("g", "enter")),
    Picture("gpu-lost", "gpu-lost", 45, (100, 24)),
    Picture("load", "fits", 9, (120, 30)),
    Picture("small", "spill", 75, (40, 12)),
    Picture("ascii", "70b", 60, (80, 24), ascii=True),
)


class StillFeed:
    """Feeds what the scenario says up to one moment, and stops there."""

    def __init__(self, picture: Picture) -> None:
        self._picture = picture

    def marks(self) -> tuple[str, ...]:
        """Mark the picture as a demonstration."""
        return (f"DEMO {self._picture.scenario}",)

    async def run(self, monitor: Monitor) -> None:
        """Feed everything at once."""
        end = START + PRELUDE_SECONDS + self._picture.seconds
        samples = scenario_named(self._picture.scenario).samples(START)
        for sample in takewhile(lambda sample: sample.time < end, samples):
            monitor.feed(sample)

    async def close(self) -> None:
        """Release nothing."""


async def draw(picture: Picture) -> str:
    """Return the SVG of one picture."""
    session = Session(Monitor(Limits()), StillFeed(picture))
    app = GpumonApp(session, ASCII if picture.ascii else UNICODE, theme=DARK)
    async with app.run_test(size=picture.size) as pilot:
        await pilot.pause(0.3)
        for key in picture.keys:
            await pilot.press(key)
        await pilot.pause(0.3)
        return app.export_screenshot(title="gpumon").replace("Fira Code", FONT)


def main() -> None:
    """Draw every picture as SVG and PNG, and the one that moves as SVG."""
    os.environ["TZ"] = "UTC"
    time.tzset()
    for picture in PICTURES:
        svg = asyncio.run(draw(picture))
        FOLDER.joinpath(f"{picture.name}.svg").write_text(svg, encoding="utf-8")
        FOLDER.joinpath(f"{picture.name}.png").write_bytes(bytes(resvg_py.svg_to_bytes(svg_string=svg)))
    FOLDER.joinpath("motion.svg").write_text(asyncio.run(draw_motion()), encoding="utf-8")


if __name__ == "__main__":
    main()
