"""The meter before a real llama-server: the figures that the client is told are the truth."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.app.meter.support import Meter, metering
from tests.fakes.llama_server.running import MISSING, assembled_model, real_server

pytestmark = [
    pytest.mark.real_server,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]

CHAT = {"messages": [{"role": "user", "content": "Tell a story."}], "model": "gemma", "seed": 1}
COMPLETION = {"prompt": "Once upon a time", "seed": 1, "cache_prompt": False, "ignore_eos": True}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A URL of a server with a loaded model."""
    model = assembled_model(tmp_path_factory.mktemp("llama"))
    with real_server(model) as running:
        yield running.url
    model.unlink()


async def streamed(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the events of a stream, the last mark left out."""
    raw = await client.post(path, json={**body, "stream": True})
    found = [line.removeprefix("data: ") for line in raw.text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in found if line != "[DONE]"]


async def idle(meter: Meter) -> None:
    """Wait until the server works on nothing."""
    while any(slot["is_processing"] for slot in (await meter.client.get("/slots")).json()):
        pass


async def test_a_streamed_chat_is_counted_as_the_server_counts_it(server: str) -> None:
    body = {**CHAT, "max_tokens": 40, "ignore_eos": True, "stream_options": {"include_usage": True}}
    async with metering(server) as meter:
        *_, last = await streamed(meter.client, "/v1/chat/completions", body)
        [request] = (await meter.ended()).requests
    timings, usage = last["timings"], last["usage"]
    assert (request.decoded_tokens, request.prompt_tokens) == (40, usage["prompt_tokens"])
    assert timings["predicted_n"] == 40
    assert request.decode_tokens_per_second == pytest.approx(timings["predicted_per_second"])
    assert request.prefill_tokens_per_second == pytest.approx(timings["prompt_per_second"])
    assert not request.decoded_is_estimate


async def test_a_streamed_completion_is_counted_as_the_server_counts_it(server: str) -> None:
    async with metering(server) as meter:
        *_, last = await streamed(meter.client, "/completion", {**COMPLETION, "n_predict": 50})
        [request] = (await meter.ended()).requests
    assert (request.decoded_tokens, last["timings"]["predicted_n"]) == (50, 50)
    assert request.decode_tokens_per_second == pytest.approx(last["timings"]["predicted_per_second"])


async def test_a_whole_completion_is_counted_as_the_server_counts_it(server: str) -> None:
    async with metering(server) as meter:
        said = (await meter.client.post("/completion", json={**COMPLETION, "n_predict": 5})).json()
        [request] = (await meter.ended()).requests
    assert (request.decoded_tokens, said["timings"]["predicted_n"]) == (5, 5)
    assert request.prompt_tokens == said["tokens_evaluated"]


async def test_a_stream_without_usage_is_estimated_within_two_tokens(server: str) -> None:
    body = {**CHAT, "max_tokens": 30, "ignore_eos": True, "stream_options": {"include_usage": False}}
    async with metering(server) as meter:
        await streamed(meter.client, "/v1/chat/completions", body)
        model = await meter.ended()
    assert model.decoded_tokens_total == pytest.approx(30, abs=2)


async def test_the_rate_is_seen_while_the_answer_is_made(server: str) -> None:
    async with metering(server) as meter:
        body = {**COMPLETION, "n_predict": 120}
        asked = asyncio.create_task(streamed(meter.client, "/completion", body))
        rates = []
        while not asked.done():
            rates += [model.decode_tokens_per_second for model in await meter.models()]
            await asyncio.wait({asked}, timeout=0.1)
        [request] = (await meter.ended()).requests
    seen = [rate for rate in rates if rate is not None]
    told = request.decode_tokens_per_second
    assert told is not None
    # A machine that is busy with something else speeds up and slows down on the way.
    assert 0.7 * min(seen) <= told <= 1.5 * max(seen)


async def test_a_client_that_leaves_ends_the_generation(server: str) -> None:
    async with metering(server) as meter:
        body = {**COMPLETION, "n_predict": 3000, "stream": True}
        async with meter.client.stream("POST", "/completion", json=body) as response:
            await anext(response.aiter_raw())
        await idle(meter)
        [request] = (await meter.ended()).requests
    assert request.outcome == "cancelled"
    assert request.decoded_tokens is not None
    assert request.decoded_tokens < 3000
