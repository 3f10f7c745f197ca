"""The live feed: the collectors of this machine and of the configured servers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from gpumon.app.monitor import Monitor
from gpumon.collectors.clock import Clock
from gpumon.collectors.source import Cadence, Source, run_source

SPEAK_WHEN_FOUND = frozenset({"runners", "server log"})


class LiveFeed:
    """Runs every source at the shared cadence until it is cancelled."""

    def __init__(self, sources: Sequence[Source], cadence: Cadence, clock: Clock) -> None:
        self._sources = sources
        self._clock = clock
        self.cadence = cadence

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the sources that always answer something; the others speak of what is found."""
        return tuple(source.name for source in self._sources if source.name not in SPEAK_WHEN_FOUND)

    def marks(self) -> tuple[str, ...]:
        """Return nothing: live is what a dashboard is expected to be."""
        return ()

    async def run(self, monitor: Monitor) -> None:
        """Feed samples into ``monitor`` until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for source in self._sources:
                tasks.create_task(
                    run_source(source, monitor.feed, self.cadence, self._clock), name=f"source {source.name}"
                )

    async def close(self) -> None:
        """Release nothing: each source is closed when its loop ends."""
