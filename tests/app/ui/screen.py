"""A dashboard fed by hand, and the text of its screen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import takewhile

from textual.pilot import Pilot

from gpumon.app.alerts.limits import Limits
from gpumon.app.demo.scenarios import scenario_named
from gpumon.app.feeds.player import Player
from gpumon.app.monitor import Monitor
from gpumon.app.session.session import Describe, Session, Unload
from gpumon.app.ui.app import GpumonApp
from gpumon.collectors.samples import AnySample
from gpumon.collectors.source import Cadence
from gpumon.widgets.glyphs import UNICODE
from gpumon.widgets.kit.lines import Glyphs

START = 1_790_000_000.0


class HandFeed:
    """Feeds nothing by itself: tests feed the monitor."""

    def marks(self) -> tuple[str, ...]:
        return ()

    async def run(self, monitor: Monitor) -> None:
        del monitor

    async def close(self) -> None:
        pass


def dashboard(
    samples: Iterable[AnySample] = (),
    *,
    glyphs: Glyphs = UNICODE,
    player: Player | None = None,
    unload: Mapping[str, Unload] | None = None,
    describe: Mapping[str, Describe] | None = None,
) -> GpumonApp:
    """Return the app of a live session that has seen ``samples``."""
    session = Session(
        Monitor(Limits()),
        HandFeed(),
        player=player,
        cadence=None if player else Cadence(),
        unload=unload or {},
        describe=describe or {},
    )
    session.look_back()
    for sample in samples:
        session.monitor.feed(sample)
    return GpumonApp(session, glyphs)


def scenario(name: str, seconds: float) -> list[AnySample]:
    """Return the samples of the first ``seconds`` of a scenario, its prelude included."""
    samples = scenario_named(name).samples(START)
    return list(takewhile(lambda sample: sample.time < START + seconds, samples))


async def text(pilot: Pilot[int]) -> str:
    """Return what the screen shows, once it has settled."""
    await pilot.pause()
    await pilot.pause()
    strips = pilot.app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips)
