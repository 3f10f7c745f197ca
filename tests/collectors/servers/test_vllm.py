"""vLLM by its URL: its model, its counters and its cache, whatever of it is kept from us."""

from __future__ import annotations

import pytest
from tests.collectors.ollama.support import PATIENT, FakeClock
from tests.fakes.http import Answer, as_json
from tests.fakes.vllm import NAME, NEW, OLD, Engine, FakeVllm

from gpumon.collectors.http.endpoint import parse_endpoint
from gpumon.collectors.samples import CachePool, ModelClaim, ServerSample, WorkCounters, WorkSample
from gpumon.collectors.servers.source import ServerSource
from gpumon.collectors.servers.talk import Asked


class Watched:
    """A source that asks a fake, with the time in our hands."""

    def __init__(self, fake: FakeVllm) -> None:
        self.clock = FakeClock()
        self.source = ServerSource(Asked(endpoint=parse_endpoint(fake.url), clock=self.clock, limits=PATIENT))

    async def look(self, times: int = 1) -> tuple[ServerSample, WorkSample | None]:
        for _ in range(times):
            first, *rest = await self.source.poll()
            self.clock.seconds += self.source.delay(1.0)
        assert isinstance(first, ServerSample)
        work = rest[0] if rest else None
        assert work is None or isinstance(work, WorkSample)
        return first, work


async def seen(fake: FakeVllm, times: int = 1) -> tuple[ServerSample, WorkSample | None]:
    async with fake:
        watched = Watched(fake)
        samples = await watched.look(times)
        await watched.source.close()
    return samples


async def counters_of(fake: FakeVllm) -> WorkCounters:
    _, work = await seen(fake)
    assert work is not None
    assert work.counters is not None
    return work.counters


@pytest.mark.parametrize("version", [OLD, NEW])
async def test_it_is_one_model_by_the_name_that_clients_use(version: str) -> None:
    sample, work = await seen(FakeVllm(version=version))
    assert (sample.kind, sample.version, sample.health.state) == ("vllm", version, "serving")
    assert sample.models == (ModelClaim(name=NAME, state="ready", context_length=32768),)
    assert work is not None
    assert (work.model, work.origin, work.facts and work.facts.build) == (NAME, "/metrics", version)


async def test_adapters_are_no_models_of_their_own() -> None:
    fake = FakeVllm()
    fake.adapters = ["sql-lora"]
    sample, _ = await seen(fake)
    assert [one.name for one in sample.models or ()] == [NAME]


async def test_a_model_in_a_folder_is_called_by_the_folder() -> None:
    fake = FakeVllm()
    fake.name = "/models/Qwen3-32B-FP8/"
    sample, work = await seen(fake)
    assert [one.name for one in sample.models or ()] == ["Qwen3-32B-FP8"]
    assert work is not None
    assert work.model == "Qwen3-32B-FP8"


async def test_its_counters_grow_with_each_token_and_what_was_cached_was_not_read() -> None:
    fake = FakeVllm()
    fake.engines = [
        Engine(
            running=3,
            waiting=2,
            waiting_by_reason={"capacity": 2, "deferred": 0},
            prompt_tokens=5_052_943,
            cached_tokens=1_000_000,
            generated=120_000,
            preemptions=4,
            looked_up=5_052_943,
            found=1_000_000,
            read_bytes=7e14,
        )
    ]
    assert await counters_of(fake) == WorkCounters(
        grows_live=True,
        prompt_tokens_total=4_052_943,
        prompt_tokens_cached_total=1_000_000,
        decoded_tokens_total=120_000,
        requests_processing=3,
        requests_deferred=2,
        deferred_by_reason={"capacity": 2},
        preemptions_total=4,
        prefix_tokens_total=5_052_943,
        prefix_tokens_found_total=1_000_000,
        read_bytes_total=7e14,
    )


async def test_several_engines_are_added_up_and_their_caches_are_one_pool() -> None:
    fake = FakeVllm(engines=2)
    fake.engines[0].running, fake.engines[0].used, fake.engines[0].generated = 1, 0.2, 10
    fake.engines[1].running, fake.engines[1].used, fake.engines[1].generated = 2, 0.6, 30
    _, work = await seen(fake)
    assert work is not None
    assert work.counters is not None
    assert (work.counters.requests_processing, work.counters.decoded_tokens_total) == (3, 40)
    assert work.pool == CachePool(used_fraction=0.4, capacity_tokens=98304, used_tokens=39322)


async def test_a_pool_whose_blocks_are_not_known_yet_has_no_size() -> None:
    fake = FakeVllm()
    fake.engine.blocks, fake.engine.used = None, 0.5
    _, work = await seen(fake)
    assert work is not None
    assert work.pool == CachePool(used_fraction=0.5)


@pytest.mark.parametrize(
    ("sleep", "words"),
    [
        ("weights_offloaded", "asleep at level 1: its weights are in RAM"),
        ("discard_all", "asleep at level 2: its weights are given up"),
    ],
)
async def test_one_that_sleeps_says_so_and_is_not_woken(sleep: str, words: str) -> None:
    fake = FakeVllm()
    fake.engine.sleep = sleep
    sample, work = await seen(fake, times=3)
    assert [one.state for one in sample.models or ()] == ["asleep"]
    assert work is not None
    assert (work.state, work.detail) == ("asleep", words)
    assert not any(path.startswith(("/wake", "/is_sleeping", "/sleep")) for _, path in fake.asked)


async def test_what_does_not_change_is_asked_once_and_again_after_a_restart() -> None:
    fake = FakeVllm()
    async with fake:
        watched = Watched(fake)
        await watched.look(5)
        assert fake.counts["GET", "/v1/models"] == 2, "once to tell what it is, once as what it is"
        assert fake.counts["GET", "/version"] == 1
        fake.restart()
        fake.name = "google/gemma-3-27b-it"
        sample, _ = await watched.look()
        await watched.source.close()
    assert [one.name for one in sample.models or ()] == ["google/gemma-3-27b-it"]


async def test_a_restart_is_seen_by_the_counter_where_several_processes_answer() -> None:
    fake = FakeVllm()
    fake.started, fake.engine.generated = None, 100
    async with fake:
        watched = Watched(fake)
        await watched.look(2)
        fake.restart()
        fake.context_length = 4096
        sample, _ = await watched.look()
        await watched.source.close()
    assert [one.context_length for one in sample.models or ()] == [4096]


async def test_a_key_guards_the_list_and_the_counters_are_told_all_the_same() -> None:
    fake = FakeVllm(key="secret")
    fake.engine.running = 1
    sample, work = await seen(fake, times=5)
    assert (sample.kind, sample.health.state) == ("vllm", "serving")
    assert [(one.name, one.context_length) for one in sample.models or ()] == [(NAME, None)]
    assert work is not None
    assert work.counters is not None
    assert work.counters.requests_processing == 1
    assert "--api-key" in (work.detail or "")
    assert fake.counts["GET", "/v1/models"] == 2, "each refusal is a line in its log"


async def test_without_statistics_its_model_is_told_and_why_there_are_no_rates() -> None:
    fake = FakeVllm()
    fake.statistics = False
    sample, work = await seen(fake, times=3)
    assert [one.name for one in sample.models or ()] == [NAME]
    assert work is not None
    assert (work.counters, work.pool) == (None, None)
    assert "--disable-log-stats" in (work.detail or "")


async def test_where_a_proxy_hides_the_counters_its_health_is_asked() -> None:
    fake = FakeVllm()
    del fake.routes["/metrics"]
    sample, work = await seen(fake, times=5)
    assert sample.health.state == "serving"
    assert work is not None
    assert work.detail == "/metrics is not served here: no rates"
    assert fake.counts["GET", "/metrics"] == 1
    assert fake.counts["GET", "/health"] == 4


async def test_a_dead_engine_is_failing() -> None:
    fake = FakeVllm()
    async with fake:
        watched = Watched(fake)
        await watched.look()
        fake.answer_all = Answer(503, b"")
        sample, _ = await watched.look()
        await watched.source.close()
    assert (sample.health.state, sample.models) == ("failing", None)


async def test_a_list_that_is_another_programs_is_not_taken_for_its_own() -> None:
    fake = FakeVllm()
    fake.routes["/v1/models"] = as_json({"object": "list", "data": [{"id": "x", "owned_by": "acme"}]})
    sample, _ = await seen(fake)
    assert sample.kind != "vllm"
    assert fake.counts["GET", "/metrics"] == 0


@pytest.mark.parametrize("body", [b'{"models": "x"}', b"<html>hello</html>"])
async def test_what_is_no_exposition_is_another_programs(body: bytes) -> None:
    fake = FakeVllm()
    async with fake:
        watched = Watched(fake)
        await watched.look()
        fake.routes["/metrics"] = Answer(200, body)
        fake.routes["/v1/models"] = Answer(200, body)
        sample, _ = await watched.look()
        await watched.source.close()
    assert sample.health.state == "foreign"
