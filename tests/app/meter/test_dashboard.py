"""A dashboard that is pointed at a meter shows what the meter counts, with nothing to configure."""

from __future__ import annotations

import asyncio

from tests.app.meter.support import NDJSON, chat, metering
from tests.collectors.ollama.support import PATIENT
from tests.fakes.upstream import FakeUpstream, Heard, chunk, head

from gpumon.app.alerts.limits import Limits
from gpumon.app.monitor import Monitor
from gpumon.app.snapshot.build import build_snapshot
from gpumon.collectors.http.endpoint import parse_endpoint
from gpumon.collectors.meter import MeterSource
from gpumon.collectors.samples import AnySample
from gpumon.collectors.servers.ollama.server import OllamaSource
from gpumon.collectors.servers.registry import DEFAULT
from gpumon.collectors.servers.talk import Asked
from gpumon.collectors.source import Cadence, Source, SystemClock, run_source

PS = b'{"models":[{"name":"gemma3:4b","model":"gemma3:4b","digest":"ab","size":9,"size_vram":9}]}'


async def ollama(heard: Heard, writer: asyncio.StreamWriter) -> None:
    """List one model; stream an answer that does not end."""
    await heard.body()
    if heard.target != "/api/chat":
        writer.write(head(content_type="application/json", content_length=str(len(PS))) + PS)
        return
    writer.write(head(content_type=NDJSON, transfer_encoding="chunked"))
    for piece in chat(10_000):
        writer.write(chunk(piece))
        await writer.drain()
        await asyncio.sleep(0.01)


async def test_the_rate_of_an_answer_under_way_reaches_the_snapshot() -> None:
    monitor, known = Monitor(Limits()), asyncio.Event()

    def look(_: AnySample) -> None:
        if any(model.history.decode.last for model in monitor.state.models.values()):
            known.set()

    monitor.listen(look)
    async with FakeUpstream(ollama) as upstream, metering(upstream.url) as meter:
        clock, endpoint = SystemClock(), parse_endpoint(meter.url)
        sources: list[Source] = [
            OllamaSource(DEFAULT, Asked(endpoint=endpoint, clock=clock, limits=PATIENT)),
            MeterSource(clock, [endpoint], lambda: monitor.state.metered, PATIENT),
        ]
        feeding = [
            asyncio.create_task(run_source(one, monitor.feed, Cadence(0.25), clock)) for one in sources
        ]
        waiting = asyncio.create_task(known.wait())
        async with meter.client.stream("POST", "/api/chat", json={"model": "gemma3:4b"}):
            await asyncio.wait([waiting, *feeding], return_when=asyncio.FIRST_COMPLETED)
        for task in feeding:
            task.cancel()
        await asyncio.wait(feeding)
    assert known.is_set(), "a source ended"
    [model] = build_snapshot(monitor.pictures).models
    assert model.rate_source == "meter"
    assert model.decode_tokens_per_second
    assert (model.rate_is_estimate, model.requests_running, model.activity) == (True, 1, "busy")
