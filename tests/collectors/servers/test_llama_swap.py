"""llama-swap: names and states of what it runs, and the requests that its children cannot be asked about."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.collectors.ollama.support import PATIENT, FakeClock
from tests.fakes.llama_swap import FakeLlamaSwap, recorded

from gpumon.collectors.http.endpoint import parse_endpoint
from gpumon.collectors.samples import LastRequest, ServerSample, WorkSample
from gpumon.collectors.servers.llama_swap import LlamaSwapKind, running_models
from gpumon.collectors.servers.source import ServerSource
from gpumon.collectors.servers.talk import Asked, FoundServer, KnownRunners, ProcessView

COMMAND = "llama-server --model '/models/my model.gguf' --port 5801 -c 4096 -np 2 --api-key sesame"


@pytest.fixture
async def fake() -> AsyncIterator[FakeLlamaSwap]:
    async with FakeLlamaSwap() as server:
        yield server


def asked(fake: FakeLlamaSwap, seen: KnownRunners | None = None) -> Asked:
    return Asked(endpoint=parse_endpoint(fake.url), clock=FakeClock(), limits=PATIENT, runners=lambda: seen)


async def polled(source: ServerSource) -> tuple[ServerSample, list[WorkSample]]:
    first, *rest = await source.poll()
    assert isinstance(first, ServerSample)
    return first, [sample for sample in rest if isinstance(sample, WorkSample)]


def test_what_a_real_one_runs_is_read() -> None:
    [starting] = running_models(recorded("running-starting.txt", "/running")) or ()
    assert (starting.name, starting.state) == ("gem-b", "loading")
    [ready] = running_models(recorded("busy-model.txt", "/running")) or ()
    assert (ready.state, ready.context_length) == ("ready", 2048)
    assert ready.settings is not None
    assert (ready.settings.port, ready.settings.model_path) == (5801, "/models/gemmb270.gguf")
    assert running_models(recorded("idle.txt", "/running")) == ()


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"running":"x"}', b'{"running":{}}', recorded("idle.txt", "/v1/models")]
)
def test_what_is_no_such_list_is_none(body: bytes) -> None:
    assert running_models(body) is None


@pytest.mark.parametrize("cmd", ["'", "docker run --rm vllm", "llama-server", "", "\\"])
def test_a_command_that_tells_nothing_leaves_the_port(fake: FakeLlamaSwap, cmd: str) -> None:
    fake.run("a", 5801, cmd)
    [claim] = running_models(fake._answer("/running").body) or ()
    assert claim.settings is not None
    assert (claim.settings.port, claim.settings.model_path) == (5801, None)


async def test_it_is_recognised_and_nothing_is_loaded_by_asking(fake: FakeLlamaSwap) -> None:
    fake.run("gem-b", 5801, COMMAND)
    source = ServerSource(asked(fake))
    for _ in range(3):
        sample, _ = await polled(source)
    await source.close()
    assert (sample.kind, sample.version, sample.health.state) == ("llama_swap", "0", "serving")
    assert [claim.name for claim in sample.models or ()] == ["gem-b"]
    assert fake.careless == []
    assert fake.paths.count("/api/ps") == 1
    assert fake.paths.count("/api/version") == 1
    assert b"sesame" not in repr(sample).encode()


async def test_one_that_is_seen_as_a_process_is_asked_as_itself_from_the_start(fake: FakeLlamaSwap) -> None:
    source = ServerSource(asked(fake), expected=LlamaSwapKind())
    sample, _ = await polled(source)
    await source.close()
    assert (sample.kind, sample.health.state) == ("llama_swap", "idle")
    assert set(fake.paths) == {"/running", "/api/version"}


async def test_where_its_children_are_seen_one_line_in_its_log_is_a_look(fake: FakeLlamaSwap) -> None:
    fake.run("gem-b", 5801, COMMAND)
    source = ServerSource(asked(fake, KnownRunners(frozenset({(7, 1.0)}))), expected=LlamaSwapKind())
    await polled(source)
    fake.paths.clear()
    sample, work = await polled(source)
    assert (fake.paths, work) == (["/running"], [])
    assert [claim.name for claim in sample.models or ()] == ["gem-b"]
    assert source.delay(1.0) == 3.0
    await source.close()


async def test_where_they_are_not_each_request_that_has_ended_is_counted_once(fake: FakeLlamaSwap) -> None:
    fake.run("gem-b", 5801, COMMAND)
    fake.finish("gem-b", 60, 20.0)
    source = ServerSource(asked(fake), expected=LlamaSwapKind())
    await polled(source)
    fake.finish("other", 1000, 5.0)
    fake.finish("gem-b", 90, 30.0)
    for _ in range(2):
        _, [work] = await polled(source)
    assert work.counters is not None
    assert (work.model, work.counters.decoded_tokens_total, work.counters.decoded_seconds_total) == (
        "gem-b",
        150,
        6.0,
    )
    assert work.origin == "/api/metrics/activity"
    fake.activity.clear()
    fake.finish("gem-b", 10, 10.0)
    _, [work] = await polled(source)
    await source.close()
    assert work.counters is not None
    assert work.counters.decoded_tokens_total == 10, "it was restarted"


async def test_the_last_request_of_each_model_is_told_with_what_was_in_the_cache(fake: FakeLlamaSwap) -> None:
    fake.run("gem-b", 5801, COMMAND)
    fake.run("vllm", 5802, "docker run --rm vllm/vllm-openai --port 5802")
    source = ServerSource(asked(fake), expected=LlamaSwapKind())
    for name in ("gem-b", "vllm"):
        fake.finish(name, 60, 20.0, prompt=100)
        fake.activity[0]["tokens"] |= {"cache_tokens": 30, "prompt_per_second": 500.0}
        fake.activity[0]["duration_ms"] = 3200
    _, work = await polled(source)
    said = {one.model: one.last for one in work}
    assert said["gem-b"] == LastRequest(
        count=1,
        prompt_tokens=130,
        cached_tokens=30,
        decoded_tokens=60,
        prefill_tokens_per_second=500.0,
        decode_tokens_per_second=20.0,
        seconds=3.2,
    )
    assert said["vllm"] is not None
    assert said["vllm"].prompt_tokens == 100, "only llama-server leaves out what was in the cache"
    await source.close()


async def test_what_was_not_told_of_a_request_is_not_shown(fake: FakeLlamaSwap) -> None:
    fake.run("gem-b", 5801, COMMAND)
    fake.finish("gem-b", 60, -1, prompt=0)
    fake.activity[0]["tokens"] |= {"cache_tokens": -1, "prompt_per_second": -1}
    source = ServerSource(asked(fake), expected=LlamaSwapKind())
    _, [work] = await polled(source)
    await source.close()
    assert work.last is not None
    assert (work.last.cached_tokens, work.last.prompt_tokens) == (None, None)
    assert (work.last.decode_tokens_per_second, work.last.prefill_tokens_per_second) == (None, None)


async def test_an_older_build_that_tells_of_no_requests_is_asked_for_them_once(fake: FakeLlamaSwap) -> None:
    fake.run("gem-b", 5801, COMMAND)
    fake.lacks = {"/api/metrics/activity", "/api/version"}
    source = ServerSource(asked(fake), expected=LlamaSwapKind())
    for _ in range(4):
        sample, work = await polled(source)
    await source.close()
    assert (sample.health.state, sample.version, work) == ("serving", None, [])
    assert (fake.paths.count("/api/metrics/activity"), fake.paths.count("/api/version")) == (1, 1)


def test_a_model_on_another_machine_is_no_port_of_this_one(fake: FakeLlamaSwap) -> None:
    fake.run("far", 5801, "llama-server --port 5801")
    fake.running[0]["proxy"] = "http://192.0.2.7:5801"
    [claim] = running_models(fake._answer("/running").body) or ()
    assert claim.settings is not None
    assert claim.settings.port is None


@pytest.mark.parametrize(("cmd", "format_name"), [(COMMAND, "gguf"), ("python main.py --port 8188", None)])
def test_only_what_a_llama_server_loads_is_known_to_be_gguf(
    fake: FakeLlamaSwap, cmd: str, format_name: str | None
) -> None:
    fake.run("a", 5801, cmd)
    [claim] = running_models(fake._answer("/running").body) or ()
    assert claim.format == format_name


async def test_what_under_way_is_told_with_both_logs_is_not_asked(fake: FakeLlamaSwap) -> None:
    fake.run("gem-b", 5801, COMMAND)
    source = ServerSource(asked(fake))
    for _ in range(3):
        await polled(source)
    await source.close()
    assert "/api/events" not in fake.paths


async def test_a_key_that_it_wants_is_said(fake: FakeLlamaSwap) -> None:
    fake.key = "sesame"
    source = ServerSource(asked(fake), expected=LlamaSwapKind())
    sample, _ = await polled(source)
    assert (sample.health.state, sample.kind) == ("forbidden", "llama_swap")
    assert "apiKeys" in (sample.health.hint or "")
    assert source.delay(1.0) == 900.0
    await source.close()


@pytest.mark.parametrize(
    ("line", "url"),
    [
        ("llama-swap --config a.yaml --listen :9292", "http://127.0.0.1:9292"),
        ("/opt/llama-swap -listen=127.0.0.1:9292", "http://127.0.0.1:9292"),
        ("llama-swap --config a.yaml", "http://127.0.0.1:8080"),
        ("llama-swap-linux-amd64 --listen", "http://127.0.0.1:8080"),
    ],
)
def test_its_process_says_where_it_listens(line: str, url: str) -> None:
    kind = LlamaSwapKind()
    assert kind.recognise_process(ProcessView(line.split(), dict)) == FoundServer("llama_swap")
    assert kind.told_url(line.split(), None) == url
