"""Lemonade: told from the Ollama that it imitates; its models, their ports, and whose a request was."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest
from tests.collectors.ollama.support import PATIENT, FakeClock
from tests.fakes.http import as_json
from tests.fakes.lemonade import FakeLemonade, plain
from tests.fakes.ollama.server import FakeOllama

from gpumon.collectors.http.endpoint import parse_endpoint
from gpumon.collectors.samples import LastRequest, ServerSample, WorkSample
from gpumon.collectors.servers.lemonade import HEALTH, LemonadeKind, served_models
from gpumon.collectors.servers.source import ServerSource
from gpumon.collectors.servers.talk import Asked, FoundServer, ProcessView


@pytest.fixture
async def fake() -> AsyncIterator[FakeLemonade]:
    async with FakeLemonade() as server:
        yield server


@pytest.fixture
async def source(fake: FakeLemonade) -> AsyncIterator[ServerSource]:
    one = ServerSource(Asked(endpoint=parse_endpoint(fake.url), clock=FakeClock(), limits=PATIENT))
    yield one
    await one.close()


async def polled(source: ServerSource) -> tuple[ServerSample, dict[str, WorkSample]]:
    first, *rest = await source.poll()
    assert isinstance(first, ServerSample)
    return first, {str(one.model): one for one in rest if isinstance(one, WorkSample)}


@pytest.mark.parametrize("names", [(), ("qwen",), ("qwen", "gemma")])
async def test_it_is_no_ollama(fake: FakeLemonade, source: ServerSource, names: tuple[str, ...]) -> None:
    for at, name in enumerate(names):
        fake.load(name, 8001 + at)
    sample, _ = await polled(source)
    assert (sample.kind, sample.version) == ("lemonade", "10.2.0")
    assert tuple(claim.name for claim in sample.models or ()) == names
    assert all(claim.size_bytes is None for claim in sample.models or ())


async def test_an_ollama_without_a_model_is_not_asked_for_it() -> None:
    async with FakeOllama() as ollama:
        source = ServerSource(Asked(endpoint=parse_endpoint(ollama.url), clock=FakeClock(), limits=PATIENT))
        sample, _ = await polled(source)
        await source.close()
    assert sample.kind == "ollama"
    assert HEALTH not in {request.path for request in ollama.requests}


async def test_one_without_ollamas_routes_is_recognised_too(fake: FakeLemonade, source: ServerSource) -> None:
    del fake.routes["/api/ps"], fake.routes["/api/version"]
    fake.load("qwen")
    assert (await polled(source))[0].kind == "lemonade"


async def test_a_model_tells_its_port_and_what_it_was_told_and_no_key(
    fake: FakeLemonade, source: ServerSource
) -> None:
    fake.load("qwen", 8005)
    sample, _ = await polled(source)
    [claim] = sample.models or ()
    assert claim.settings is not None
    assert (claim.settings.port, claim.settings.model_path) == (8005, "/m/qwen.gguf")
    assert (claim.context_length, claim.state, claim.format) == (4096, "ready", "gguf")
    assert b"sesame" not in msgspec.json.encode(sample)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("loading", "loading"),
        ("ready", "ready"),
        ("in_use", "ready"),
        ("evicting", "ready"),
        ("new", "ready"),
    ],
)
async def test_its_states(fake: FakeLemonade, status: str, state: str) -> None:
    fake.load("qwen", status=status)
    [one] = served_models(fake._health().body) or ()
    assert one.claim.state == state


async def test_what_takes_nothing_here_is_no_model(fake: FakeLemonade) -> None:
    fake.load("gpt-5", recipe="cloud", slot_pool="unmetered", device="none")
    fake.load("gone", status="unloaded")
    assert served_models(fake._health().body) == ()


async def test_a_model_on_the_npu_says_so(fake: FakeLemonade, source: ServerSource) -> None:
    fake.load("llama-npu", recipe="flm", device="npu", launch_command=["flm", "serve"])
    sample, work = await polled(source)
    assert work["llama-npu"].detail == "on the NPU, which no GPU driver sees"
    assert [(claim.format, claim.on_npu) for claim in sample.models or ()] == [(None, True)]


async def test_a_backend_that_hung_says_so(fake: FakeLemonade, source: ServerSource) -> None:
    fake.load("qwen", backend_health="watchdog_reset")
    _, work = await polled(source)
    assert work["qwen"].detail == "Lemonade has started its backend anew: it hung"


async def test_a_request_under_way_is_work(fake: FakeLemonade, source: ServerSource) -> None:
    fake.load("qwen", is_busy=True)
    _, work = await polled(source)
    counters = work["qwen"].counters
    assert counters is not None
    assert counters.requests_processing == 1
    assert work["qwen"].decode_tokens_per_second is None, "of now it tells no rate"


async def test_the_last_request_is_that_of_the_only_model(fake: FakeLemonade, source: ServerSource) -> None:
    fake.load("qwen")
    _, work = await polled(source)
    assert work["qwen"].last is None
    fake.finish("qwen", 200, 41.5)
    _, work = await polled(source)
    assert work["qwen"].last == LastRequest(
        count=1,
        prompt_tokens=100,
        cached_tokens=40,
        decoded_tokens=200,
        decode_tokens_per_second=41.5,
        first_token_seconds=0.5,
    )
    assert work["qwen"].origin == "/api/v1/stats"


async def test_of_two_models_it_is_that_of_the_one_that_was_used(
    fake: FakeLemonade, source: ServerSource
) -> None:
    fake.load("qwen", 8001)
    fake.load("gemma", 8002)
    fake.finish("gemma", 50, 20.0)
    _, work = await polled(source)
    assert (work["qwen"].last, work["gemma"].last) == (None, None), "whose it was cannot be told"
    fake.finish("qwen", 200, 41.5)
    _, work = await polled(source)
    assert work["gemma"].last is None
    assert work["qwen"].last is not None
    assert work["qwen"].last.decode_tokens_per_second == 41.5


async def test_where_both_were_used_nobody_is_given_it(fake: FakeLemonade, source: ServerSource) -> None:
    fake.load("qwen", 8001)
    fake.load("gemma", 8002)
    await polled(source)
    fake.finish("gemma", 50, 20.0)
    fake.finish("qwen", 200, 41.5)
    _, work = await polled(source)
    assert (work["qwen"].last, work["gemma"].last) == (None, None)


async def test_while_nothing_is_used_the_last_request_is_not_asked_for_again(
    fake: FakeLemonade, source: ServerSource
) -> None:
    fake.load("qwen")
    for _ in range(5):
        await polled(source)
    assert fake.counts[("GET", "/api/v1/stats")] == 1


async def test_what_counts_as_a_use_is_never_asked(fake: FakeLemonade, source: ServerSource) -> None:
    """``/slots`` puts off what it unloads; ``/metrics`` empties gauges that others read."""
    fake.load("qwen", is_busy=True)
    for _ in range(5):
        await polled(source)
    as_ollama = {"/api/ps", "/api/version", "/api/tags", "/api/show"}
    assert {path for _, path in fake.asked} - as_ollama == {HEALTH, "/api/v1/stats"}


@pytest.mark.parametrize("is_found", [True, False])
async def test_a_key_that_it_wants_is_said(fake: FakeLemonade, is_found: bool) -> None:
    fake.key = "sesame"
    asked = Asked(endpoint=parse_endpoint(fake.url), clock=FakeClock(), limits=PATIENT)
    source = ServerSource(asked, expected=LemonadeKind() if is_found else None)
    sample, _ = await polled(source)
    assert (sample.kind, sample.health.state) == ("lemonade", "forbidden")
    assert "LEMONADE_API_KEY" in (sample.health.hint or "")
    assert source.delay(1.0) >= 60.0
    await source.close()


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"all_models_loaded":5}', b'{"status":"ok"}'])
def test_what_is_no_list_of_models_is_none(body: bytes) -> None:
    assert served_models(body) is None


@pytest.mark.parametrize(
    "row", ["5", "{}", '{"model_name":7}', '{"model_name":"a","backend_url":[],"pid":{}}']
)
def test_a_bad_row_costs_nothing_but_itself(row: str) -> None:
    body = f'{{"all_models_loaded":[{row},{{"model_name":"qwen"}}]}}'.encode()
    assert "qwen" in [one.claim.name for one in served_models(body) or ()]


async def test_it_is_asked_to_unload_one_model_by_its_name(fake: FakeLemonade) -> None:
    fake.routes["/api/v1/unload"] = lambda: plain({"status": "success"})
    assert await LemonadeKind().unload(parse_endpoint(fake.url), "qwen") is None
    assert ("POST", "/api/v1/unload") in fake.asked
    fake.routes["/api/v1/unload"] = as_json({"error": "Model not loaded: qwen"}, 404)
    assert await LemonadeKind().unload(parse_endpoint(fake.url), "qwen") == "HTTP 404"


@pytest.mark.parametrize(
    ("line", "url"),
    [
        ("lemond --port 9000 --host 0.0.0.0", "http://127.0.0.1:9000"),
        ("/usr/bin/lemond", "http://127.0.0.1:13305"),
        ("lemonade-server serve", "http://127.0.0.1:8000"),
    ],
)
def test_its_process_says_where_it_listens(line: str, url: str) -> None:
    kind = LemonadeKind()
    assert kind.recognise_process(ProcessView(line.split(), dict)) == FoundServer("lemonade")
    assert kind.told_url(line.split(), None) == url
