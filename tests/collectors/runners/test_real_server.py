"""The collector and the meter against a real llama-server: its own timings are the truth."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from tests.collectors.ollama.support import PATIENT, FakeClock
from tests.fakes.llama_server.running import MISSING, RealServer, assembled_model, completed, real_server

from gpumon.app.state.rates.figures import FinishedRequest
from gpumon.app.state.rates.meter import RateMeter
from gpumon.collectors.runners.source import RunnersSource
from gpumon.collectors.runners.target import RunnerTarget
from gpumon.collectors.samples import AnySample, WorkSample
from gpumon.collectors.source import Cadence, Clock, SystemClock, run_source

pytestmark = [
    pytest.mark.real_server,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    file = assembled_model(tmp_path_factory.mktemp("llama"))
    yield file
    file.unlink()


@pytest.fixture(scope="module")
def server(model: Path) -> Iterator[RealServer]:
    with real_server(model) as running:
        yield running


def target(server: RealServer) -> RunnerTarget:
    return RunnerTarget(server.pid, 1.0, "llama_server", "127.0.0.1", server.port)


def source(server: RealServer, clock: Clock) -> RunnersSource:
    return RunnersSource(clock, lambda: [target(server)], limits=PATIENT)


class Listener:
    """Feeds a meter with everything that is said, and one that never sees a counter."""

    def __init__(self) -> None:
        self.meter = RateMeter()
        self.meter_of_slots = RateMeter()
        self.finished: list[FinishedRequest] = []
        self.finished_by_slots: list[FinishedRequest] = []
        self.idle = asyncio.Event()
        self.busy = asyncio.Event()

    def hear(self, sample: AnySample) -> None:
        assert isinstance(sample, WorkSample), sample
        self.finished += self.meter.feed(sample)
        bare = msgspec.structs.replace(sample, counters=None)
        self.finished_by_slots += self.meter_of_slots.feed(bare)
        if self.meter.rates.running:
            self.busy.set()
            self.idle.clear()
        elif self.meter.rates.running == 0:
            self.idle.set()


@contextlib.asynccontextmanager
async def listening(servers: list[RealServer]) -> AsyncIterator[Listener]:
    """Poll four times a second until the end of the context, and then until nothing is at work."""
    listener = Listener()
    polled = RunnersSource(SystemClock(), lambda: [target(one) for one in servers], limits=PATIENT)
    polling = asyncio.create_task(run_source(polled, listener.hear, Cadence(0.25), SystemClock()))
    try:
        yield listener
        listener.idle.clear()
        await listener.idle.wait()
    finally:
        polling.cancel()
        await asyncio.wait({polling})


async def at_work(server: RealServer) -> None:
    """Wait until a request has begun: a server found idle is left alone for ten seconds."""
    async with httpx.AsyncClient(timeout=60, trust_env=False, base_url=server.url) as client:
        while not any(  # noqa: ASYNC110 - the server does not call back
            slot["is_processing"] for slot in (await client.get("/slots")).json()
        ):
            await asyncio.sleep(0.02)


async def watched(server: RealServer, *tokens: int) -> tuple[Listener, list[dict[str, Any]]]:
    """Have requests answered at once, polled to their end."""
    requests = [asyncio.create_task(completed(server.url, each)) for each in tokens]
    await at_work(server)
    async with listening([server]) as listener:
        timings = [await request for request in requests]
    return listener, timings


async def hang_up(server: RealServer, after_pieces: int) -> None:
    """Ask for a long answer and close the connection after some of it."""
    request = {"prompt": "Once upon a time", "n_predict": 500, "ignore_eos": True, "stream": True}
    async with (
        httpx.AsyncClient(timeout=120, trust_env=False) as client,
        client.stream("POST", f"{server.url}/completion", json=request) as reply,
    ):
        lines = reply.aiter_lines()
        for _ in range(2 * after_pieces):  # each piece is followed by an empty line
            await anext(lines)


async def generated_total(server: RealServer) -> int:
    async with httpx.AsyncClient(timeout=60, trust_env=False) as client:
        metrics = (await client.get(f"{server.url}/metrics")).text
    [line] = [line for line in metrics.splitlines() if line.startswith("llamacpp:tokens_predicted_total ")]
    return int(line.split()[1])


async def test_one_long_request_is_measured_as_the_server_measures_it(server: RealServer) -> None:
    listener, [timings] = await watched(server, 180)
    assert timings["predicted_ms"] > 2000, "too short to compare"
    [by_slots] = listener.finished_by_slots
    [finished] = listener.finished
    assert by_slots.decode_tokens_per_second == pytest.approx(timings["predicted_per_second"], rel=0.03)
    assert finished.decode_tokens_per_second == pytest.approx(timings["predicted_per_second"], rel=0.03)
    assert by_slots.decoded_tokens == finished.decoded_tokens == timings["predicted_n"] == 180
    assert not by_slots.decoded_is_lower_bound
    assert finished.prompt_tokens == timings["prompt_n"]


async def test_every_token_of_overlapping_requests_is_in_the_total(server: RealServer) -> None:
    before = await generated_total(server)
    listener, timings = await watched(server, 40, 25, 60)
    assert listener.meter.rates.decoded_total == before + 125
    assert sum(one["predicted_n"] for one in timings) == 125


async def test_a_minute_of_idling_is_six_lines_in_the_log(server: RealServer) -> None:
    clock = FakeClock()
    polled = source(server, clock)
    while not await polled.poll():
        pass
    before = server.idle_lines()
    for _ in range(240):
        clock.seconds += 0.25
        await polled.poll()
    await polled.close()
    await completed(server.url, 1)  # by then the log is written; it ends with a line of its own
    assert 1 <= server.idle_lines() - before <= 6 + 1


async def test_requests_side_by_side_are_each_measured_as_the_server_measures_them(
    server: RealServer,
) -> None:
    listener, timings = await watched(server, 90, 90)
    assert min(one["predicted_ms"] for one in timings) > 2000, "too short to compare"
    found = sorted(request.decode_tokens_per_second or 0.0 for request in listener.finished_by_slots)
    assert found == pytest.approx(sorted(one["predicted_per_second"] for one in timings), rel=0.03)
    assert [request.decoded_tokens for request in listener.finished_by_slots] == [90, 90]


async def test_what_was_generated_before_a_client_hung_up_is_in_the_total(server: RealServer) -> None:
    before = await generated_total(server)
    request = asyncio.create_task(hang_up(server, after_pieces=40))
    await at_work(server)
    async with listening([server]) as listener:
        await request
    counted = await generated_total(server) - before
    assert counted >= 40
    assert listener.meter.rates.decoded_total == before + counted
    assert len(listener.finished) == 1


async def test_a_long_prompt_is_counted_and_measured_as_the_server_does(server: RealServer) -> None:
    request = asyncio.create_task(completed(server.url, 8, prompt="one two three four " * 350))
    await at_work(server)
    async with listening([server]) as listener:
        timings = await request
    [finished] = listener.finished
    assert timings["prompt_n"] > 1000, "too short to be seen on its way"
    assert finished.prompt_tokens == timings["prompt_n"]
    # Its first and last batch begin and end between two polls.
    assert finished.prefill_tokens_per_second == pytest.approx(timings["prompt_per_second"], rel=0.10)
    assert finished.decoded_tokens == 8


async def test_after_a_restart_under_load_every_token_of_the_new_server_is_counted(model: Path) -> None:
    with contextlib.ExitStack() as running:
        first = running.enter_context(real_server(model))
        servers = [first]
        lost = asyncio.create_task(completed(first.url, 400))
        await at_work(first)
        async with listening(servers) as listener:
            await listener.busy.wait()
            first.process.kill()
            with pytest.raises(httpx.HTTPError):
                await lost
            servers[:] = [running.enter_context(real_server(model, port=first.port))]
            await completed(first.url, 12)
    assert listener.meter.rates.decoded_total == 12
    assert listener.finished[-1].decoded_tokens == 12
