"""The feed of a demonstration: a scenario played by the player of recordings."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from gpumon.app.demo.scenarios import list_scenarios, scenario_named
from gpumon.app.demo.story import PRELUDE_SECONDS, Event, Unload
from gpumon.app.feeds.player import Player, Wait, play_marks, wait_for_change
from gpumon.app.monitor import Monitor
from gpumon.collectors.samples import AnySample

ORDER_SECONDS = 2
"""After the second that is shown an order takes effect: the player has asked for the next one already."""


class DemoFeed:
    """Plays the scenario called ``name``: five minutes of history at once, then the story, for ever.

    The story opens at ``now`` (seconds since the epoch); with ``skip_seconds`` that much of it is then past.

    Raises:
        GpumonError: there is no such scenario.
    """

    def __init__(
        self,
        name: str,
        now: float,
        *,
        skip_seconds: float = 0.0,
        speed: float = 1.0,
        wait: Wait = wait_for_change,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        self.scenario = scenario_named(name)
        self._start = now - PRELUDE_SECONDS - skip_seconds
        self._orders: dict[int, list[Event]] = {}
        self.player = Player(self._samples, open_at=now, speed=speed, wait=wait, elapsed=elapsed)
        """Pause, step, seek and speed."""

    def _samples(self) -> Iterator[AnySample]:
        return self.scenario.samples(self._start, self._orders)

    def marks(self) -> tuple[str, ...]:
        """Return ``DEMO`` with the scenario's name, and how it is played."""
        return play_marks(f"DEMO {self.scenario.name}", self.player)

    def change(self, step: int) -> None:
        """Begin the scenario that is ``step`` further in the list at its opening, round and round.

        It opens at the time that it is now in the one before. The monitor is reset before the first sample.
        """
        scenarios, opened = list_scenarios(), self._start + PRELUDE_SECONDS
        now = max(opened, self.player.position or opened)
        self.scenario = scenarios[(scenarios.index(self.scenario) + step) % len(scenarios)]
        self._orders, self._start = {}, now - PRELUDE_SECONDS
        self.player.play_anew(now)

    def caption(self) -> str:
        """Say what to look at now; nothing where the figures are left to speak for themselves."""
        position = self.player.position
        return "" if position is None else self.scenario.caption(round(position - self._start))

    async def unload(self, name: str) -> str | None:
        """Have the server of the simulated machine unload a model; sought again, it happens again."""
        if self.player.position is None:
            return "the demonstration has not begun"
        second = round(self.player.position - self._start) + ORDER_SECONDS
        self._orders.setdefault(second, []).append(Unload(name))
        self.player.forget_stops()
        return None

    async def run(self, monitor: Monitor) -> None:
        """Feed samples into ``monitor`` until cancelled."""
        await self.player.run(monitor)

    async def close(self) -> None:
        """Release nothing."""
