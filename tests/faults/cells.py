"""One cell of the matrix: two faults at once, what is shown of them, what stays live, and the way back."""

from __future__ import annotations

from tests.faults.drivers import DRIVER_FAULTS, DriverFault, well
from tests.faults.hurry import INTERVAL_SECONDS, POLLS
from tests.faults.servers import SERVER_FAULTS, ServerFault, shown
from tests.faults.world import World, resources

from gpumon.collectors.samples import AnySample, NvmlSample, ServerSample

POLLS_TO_RECOVER = 2
ANSWERS_OF_THE_LIVE = 2
SECOND_CONNECTION = {"tasks": 1, "threads": 0, "descriptors": 2}
"""The client keeps up to two connections open, of which the fake holds the other ends; the second comes with
the first errand. What is held before is measured once a row, so that a leak in each cell would add up."""


class Cell:
    """A driver's fault and a server's at the same time."""

    def __init__(self, world: World, driver: DriverFault, server: ServerFault) -> None:
        self._world = world
        self._driver = driver
        self._server = server

    async def run(self) -> None:
        """Make both faults, end them; raise ``AssertionError`` where something is not as it must be."""
        await self._begin()
        await self._see()
        await self._others_live()
        await self._end()

    async def _begin(self) -> None:
        self._world.change_interval(self._server.interval_seconds)
        if not self._driver.lasting:
            self._driver.begin(self._world.driver)
        await self._server.begin(self._world.ollama)

    async def _see(self) -> None:
        await self._world.until(self._is_shown, "shown as it is")
        await self._world.until_screen(*self._driver.words, *self._server.words)

    def _is_shown(self) -> bool:
        snapshot = self._world.snapshot
        told = self._driver.shown(snapshot) and shown(self._server, snapshot, self._world.ollama.url)
        return told and self._server.version in {None, self._world.version()}

    async def _others_live(self) -> None:
        """Wait until all that has no fault has gone on, and the truth is still told."""
        live = ["system"]
        if self._driver.source_live and self._driver is not DRIVER_FAULTS["absent"]:
            live.append("nvml")
        if self._server is SERVER_FAULTS["well"]:
            live.append(self._world.ollama.url)
        before = self._world.answers.copy()
        await self._world.until(
            lambda: all(self._world.answers[name] - before[name] >= ANSWERS_OF_THE_LIVE for name in live),
            f"live: {live}",
        )
        await self._world.until(self._is_shown, "still shown as it is")

    async def _end(self) -> None:
        """End both faults and count the polls that are begun until each source is well."""
        needed: dict[str, int] = {}
        before = POLLS.copy()

        def watch(sample: AnySample) -> None:
            if _is_well(sample) and sample.source not in needed:
                needed[sample.source] = POLLS[sample.source] - before[sample.source]

        if not self._driver.lasting:
            self._driver.end(self._world.driver)
        await self._server.end(self._world.ollama)
        self._world.watch(watch)
        wanted = {self._world.ollama.url} | ({"nvml"} if self._recovers() else set())
        await self._world.until(lambda: needed.keys() >= wanted, f"well again: {wanted}")
        self._world.unwatch()
        late = {name: polls for name, polls in needed.items() if polls > POLLS_TO_RECOVER}
        assert not late, f"recovered after {late} polls"
        await self._world.until(self._all_well, "well as a whole")
        self._world.change_interval(INTERVAL_SECONDS)

    def _recovers(self) -> bool:
        return not self._driver.lasting or self._driver.well

    def _all_well(self) -> bool:
        snapshot = self._world.snapshot
        driver_well = well(snapshot) or not self._recovers()
        return driver_well and shown(SERVER_FAULTS["well"], snapshot, self._world.ollama.url)


def _is_well(sample: AnySample) -> bool:
    match sample:
        case NvmlSample():
            return sample.health.state == "serving" and [gpu.state for gpu in sample.gpus] == ["ok", "ok"]
        case ServerSample(
            kind="ollama",
        ):
            return sample.health.state == "serving" and len(sample.models or ()) == 1
    return False


async def returns(world: World, before: dict[str, int]) -> None:
    """Wait until no more is held than before; raise ``AssertionError`` where it stays more."""
    try:
        await world.until(lambda: not _more(before), "back to what was held before")
    except AssertionError as problem:
        raise AssertionError(f"more than {before} is held: {_more(before)}; {problem}") from None


def _more(before: dict[str, int]) -> dict[str, int]:
    return {what: now for what, now in resources().items() if now > before[what] + SECOND_CONNECTION[what]}
