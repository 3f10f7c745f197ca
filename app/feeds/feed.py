"""The contract of a feed: where the samples come from, live, recorded or made up."""

from __future__ import annotations

from typing import Protocol

from gpumon.app.monitor import Monitor


class Feed(Protocol):
    """Something that feeds a monitor. A source that fails is data; only what ends the program is raised."""

    def marks(self) -> tuple[str, ...]:
        """Return the words that tell a viewer that this is not live: ``DEMO spill``, ``REPLAY 4x``."""
        ...

    async def run(self, monitor: Monitor) -> None:
        """Feed samples into ``monitor`` until they end or the task is cancelled."""
        ...

    async def close(self) -> None:
        """Release what is held; called once, after ``run``."""
        ...
