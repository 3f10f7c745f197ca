"""How the sources of this machine tell each other when to ask, in virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.ollama.catalog import Catalog, rfc3339
from tests.fakes.process_samples import answer, processes, runner, server
from tests.fakes.samples import OLLAMA, START
from tests.fakes.virtual_time import LoopClock, run

from gpumon.app.alerts.limits import Limits
from gpumon.app.feeds.live import LiveFeed
from gpumon.app.monitor import Monitor
from gpumon.app.session.whom import known_runners
from gpumon.collectors.http.client import HttpClient, Reply
from gpumon.collectors.http.endpoint import parse_endpoint
from gpumon.collectors.samples import AnySample, RunnerProcess, ServerProcess, ServerSample, SourceHealth
from gpumon.collectors.servers.ollama.server import OllamaSource
from gpumon.collectors.servers.registry import DEFAULT
from gpumon.collectors.servers.talk import Asked
from gpumon.collectors.source import Cadence, Source

LOADED = "llama3:8b"
SPILLED = "llama3:70b"


class MemoryClient(HttpClient):
    """Answers from a catalog at once, and notes when it is asked for the list of what is loaded."""

    def __init__(self, catalog: Catalog) -> None:
        super().__init__(parse_endpoint(OLLAMA))
        self.asked_at: list[float] = []
        self.expiries: dict[str, float] = {}
        """By name; other models never expire."""
        self._catalog = catalog

    async def get(self, path: str, max_bytes: int) -> Reply:
        if path != "/api/ps":
            return Reply(200, {}, json.dumps(self._catalog.tags()).encode())
        self.asked_at.append(asyncio.get_running_loop().time())
        body = self._catalog.ps()
        for row in body["models"]:
            if row["name"] in self.expiries:
                row["expires_at"] = rfc3339(self.expiries[row["name"]])
        return Reply(200, {}, json.dumps(body).encode())

    async def probe(self, path: str) -> Reply:
        return Reply(200, {}, b'{"version": "0.33.0"}')

    async def post(self, path: str, body: bytes, max_bytes: int) -> Reply:
        return Reply(404, {}, b"")


class Processes:
    """The source of processes, and the ports of runners, which are ready at once."""

    name = "processes"

    def __init__(self) -> None:
        self.runners: list[RunnerProcess] = []

    async def poll(self) -> Sequence[AnySample]:
        at = LoopClock().now() - START
        ready = [answer(at, pid=one.pid, started=one.started) for one in self.runners]
        return [processes(at, *self.runners), *ready]

    def delay(self, interval: float) -> float:
        return interval

    async def close(self) -> None:
        pass


class Machine:
    """An Ollama with a busy model that is loaded for good, watched for some time of a virtual clock."""

    def __init__(self) -> None:
        self.catalog = Catalog()
        self.client = MemoryClient(self.catalog)
        self.processes = Processes()
        self.monitor = Monitor(Limits())
        self.seen_at: dict[str, float] = {}
        self.gone_at: dict[str, float] = {}
        self.start(LOADED, pid=100)

    def start(self, name: str, pid: int) -> None:
        """Load a model; its process works, or everything would be asked more seldom."""
        self.catalog.load(name, forever=True)
        started = LoopClock.START - 1000.0 + pid
        self.processes.runners.append(runner(pid, blob=None, name=name, started=started, cpu_percent=80.0))

    def watch(self, seconds: float, *events: tuple[float, Callable[[], object]]) -> None:
        """Let ``events`` happen at their times; note when the monitor shows models, and no more."""
        run(self._watch(seconds, events))

    async def _watch(self, seconds: float, events: Sequence[tuple[float, Callable[[], object]]]) -> None:
        loop = asyncio.get_running_loop()
        for time, event in events:
            loop.call_at(time, event)
        self.monitor.listen(lambda _sample: self._note(loop.time()))
        ollama = OllamaSource(
            DEFAULT,
            Asked(
                endpoint=parse_endpoint(OLLAMA),
                clock=LoopClock(),
                runners=partial(known_runners, self.monitor.state, OLLAMA),
            ),
        )
        ollama._client = ollama._errands._client = self.client
        sources: list[Source] = [self.processes, ollama]
        feed = LiveFeed([], lambda: sources, Cadence(1.0), LoopClock())
        try:
            async with asyncio.timeout(seconds):
                await feed.run(self.monitor)
        except TimeoutError:
            pass

    def _note(self, now: float) -> None:
        names = {model.claim.name for model in self.monitor.state.models.values()}
        for name in names - self.seen_at.keys():
            self.seen_at[name] = now
        for name in self.seen_at.keys() - names - self.gone_at.keys():
            self.gone_at[name] = now

    def asked(self, begin: float, end: float) -> int:
        """Count the lists that were asked for in a span of time."""
        return sum(begin <= time < end for time in self.client.asked_at)


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_a_minute_of_one_busy_model_on_this_machine_costs_twenty_lists(machine: Machine) -> None:
    machine.watch(90)
    assert machine.asked(20, 80) == 20


@given(st.floats(12.0, 20.0))
def test_a_spill_is_noticed_within_a_second_of_its_runner(appears: float) -> None:
    machine = Machine()
    machine.watch(40, (appears, lambda: machine.start(SPILLED, pid=200)))
    assert machine.seen_at[SPILLED] - appears <= 1.001


@given(st.floats(12.0, 20.0))
def test_an_unload_is_noticed_within_a_second_of_its_runners_end(ends: float) -> None:
    machine = Machine()
    machine.start(SPILLED, pid=200)

    def unload() -> None:
        machine.catalog.unload(SPILLED)
        del machine.processes.runners[1]

    machine.watch(40, (ends, unload))
    assert machine.gone_at[SPILLED] - ends <= 1.001


@given(st.floats(12.0, 20.0))
def test_an_expiry_is_noticed_within_a_second_though_the_runner_stays(expires: float) -> None:
    machine = Machine()
    machine.start(SPILLED, pid=200)
    machine.client.expiries[SPILLED] = LoopClock.START + expires
    machine.watch(40, (expires, lambda: machine.catalog.unload(SPILLED)))
    assert machine.gone_at[SPILLED] - expires <= 1.001


def test_a_new_runner_is_asked_about_for_ten_seconds_at_every_interval(machine: Machine) -> None:
    machine.watch(60, (20.5, lambda: machine.start(SPILLED, pid=200)))
    assert machine.asked(21, 31) == 10
    assert machine.asked(35, 50) == 5


class Silent:
    """A server that says nothing."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def poll(self) -> Sequence[AnySample]:
        return []

    def delay(self, interval: float) -> float:
        return interval

    async def close(self) -> None:
        pass


class Found:
    """Servers that nobody has named, until they end."""

    def __init__(self, *urls: str) -> None:
        self.urls = urls

    def found(self) -> dict[str, ServerProcess]:
        return {url: server(100, url) for url in self.urls}

    def may_start(self) -> bool:
        return True

    def source(self, url: str, server: ServerProcess) -> Source:
        del server
        return Silent(url)


def test_servers_that_end_in_the_same_moment_end_nothing_else() -> None:
    urls = tuple(f"http://127.0.0.1:{port}" for port in (8001, 8002, 8003))
    found, monitor = Found(*urls), Monitor(Limits())

    async def story() -> float:
        feed = LiveFeed([Processes()], list, Cadence(1.0), LoopClock(), found)
        running = asyncio.create_task(feed.run(monitor))
        await asyncio.sleep(3)
        found.urls = ()
        await asyncio.sleep(10)
        assert not running.done(), running
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return monitor.state.now

    assert run(story()) > 6, "the processes are looked at all the time"


class Fickle(Found):
    """Finds a server only while nobody speaks of it, as one that may be another server by another name."""

    def __init__(self, monitor: Monitor, url: str) -> None:
        super().__init__(url)
        self._monitor = monitor
        self.made = 0

    def found(self) -> dict[str, ServerProcess]:
        is_told = any(url in self._monitor.state.sources for url in self.urls)
        return {} if is_told else super().found()

    def source(self, url: str, server: ServerProcess) -> Source:
        self.made += 1
        assert self.made < 1000, "started again and again without end"
        return Talking(url)


class Talking(Silent):
    """A server without models."""

    async def poll(self) -> Sequence[AnySample]:
        health = SourceHealth(state="idle")
        return [ServerSample(time=LoopClock().now(), source=self.name, kind="ollama", health=health)]


def test_a_server_that_is_found_only_while_it_is_not_asked_ends_in_no_loop() -> None:
    monitor = Monitor(Limits())
    found = Fickle(monitor, "http://10.4.0.2:8000")

    async def story() -> float:
        feed = LiveFeed([Processes()], list, Cadence(1.0), LoopClock(), found)
        running = asyncio.create_task(feed.run(monitor))
        await asyncio.sleep(10)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return monitor.state.now

    assert run(story()) > 3
    assert found.made <= 6, "with a pause each time"
