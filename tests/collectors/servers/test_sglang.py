"""SGLang by ``/v1/loads``: what runs and waits, its pool, and a rate only while it is of now."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.collectors.servers.asking import Asking, heard
from tests.fakes.samples import GIB
from tests.fakes.sglang import NAME, FakeSglang, without_loads

from gpumon.collectors.samples import CachePool, ModelClaim, Reserve
from gpumon.collectors.servers.sglang.kind import SglangKind
from gpumon.collectors.servers.talk import FoundRunner, ProcessView


@pytest.fixture
async def fake() -> AsyncIterator[FakeSglang]:
    async with FakeSglang() as server:
        yield server


async def test_it_is_one_model_with_its_context_and_adapters_are_none(fake: FakeSglang) -> None:
    said = await heard(fake)
    assert (said.server.kind, said.server.version, said.state) == ("sglang", "0.5.23", "serving")
    assert said.model == ModelClaim(name=NAME, state="ready", context_length=32768)


async def test_a_model_of_a_folder_has_its_last_part_for_a_name(fake: FakeSglang) -> None:
    fake.model = "/models/Qwen3-32B-FP8/"
    assert (await heard(fake)).model.name == "Qwen3-32B-FP8"


async def test_its_load_tells_what_runs_and_waits_and_what_for(fake: FakeSglang) -> None:
    fake.running, fake.waiting, fake.grammar = 3, 2, 1
    counters = (await heard(fake)).work.counters
    assert counters is not None
    assert (counters.requests_processing, counters.requests_deferred) == (3, 2)
    assert counters.deferred_by_reason == {"grammar": 1}
    assert (counters.prompt_tokens_total, counters.prompt_seconds_total) == (1000, 0.5)


async def test_its_pool_and_weights_are_those_of_all_gpus(fake: FakeSglang) -> None:
    fake.used = 40_000
    work = (await heard(fake)).work
    assert work.pool == CachePool(
        used_fraction=0.4, capacity_tokens=100_000, used_tokens=40_000, size_bytes=2 * 4 * GIB
    )
    assert work.facts is not None
    assert work.facts.weights_bytes == 31 * GIB


async def test_ranks_of_data_parallelism_add_up() -> None:
    async with FakeSglang(ranks=2) as fake:
        fake.running, fake.used = 3, 40_000
        work = (await heard(fake)).work
    assert work.counters is not None
    assert work.counters.requests_processing == 6
    assert work.pool == CachePool(
        used_fraction=0.4, capacity_tokens=200_000, used_tokens=80_000, size_bytes=4 * 4 * GIB
    )


async def test_a_throughput_that_stood_there_before_the_request_is_no_rate(fake: FakeSglang) -> None:
    fake.throughput = 41.5
    async with Asking(fake) as asking:
        rates = []
        for running, throughput in (
            (0, 41.5),
            (1, 41.5),
            (1, 38.0),
            (1, 38.0),
            (0, 38.0),
            (1, 38.0),
            (1, 52.0),
        ):
            fake.running, fake.throughput = running, throughput
            work = (await asking.look()).work
            rates.append(work.decode_tokens_per_second)
    assert rates == [None, None, 38.0, 38.0, None, None, 52.0]
    assert work.origin == "/v1/loads"


async def test_at_the_first_look_a_throughput_may_be_an_old_one(fake: FakeSglang) -> None:
    fake.running, fake.throughput = 1, 41.5
    assert (await heard(fake)).work.decode_tokens_per_second is None


async def test_counters_of_metrics_are_read_seldom_and_ranks_of_a_tensor_do_not_add_up() -> None:
    async with FakeSglang(metrics=True) as fake, Asking(fake) as asking:
        for _ in range(5):
            said = await asking.look()
        assert fake.counts["GET", "/metrics"] == 1
        await asking.look(after=5.0)
        assert fake.counts["GET", "/metrics"] == 2
    counters = said.work.counters
    assert counters is not None
    assert counters.preemptions_total == 3
    assert (counters.prefix_tokens_total, counters.prefix_tokens_found_total) == (9000, 6500)
    assert counters.requests_processing == 0, "of the load"


async def test_metrics_that_are_off_are_asked_once(fake: FakeSglang) -> None:
    async with Asking(fake) as asking:
        for _ in range(4):
            said = await asking.look(after=6.0)
    assert fake.counts["GET", "/metrics"] == 1
    assert said.work.counters is not None
    assert said.work.counters.preemptions_total is None


async def test_a_version_that_tells_no_load_is_a_model_all_the_same() -> None:
    async with without_loads(FakeSglang()) as fake:
        said = await heard(fake, times=3)
    assert said.model.name == NAME
    assert (said.work.counters, said.work.pool) == (None, None)
    assert said.work.detail == "/v1/loads is not served by this version: no figures"
    assert sum(path.startswith("/v1/loads") for _, path in fake.asked) == 1


async def test_a_key_guards_all_that_would_tell_what_it_is() -> None:
    async with FakeSglang(key="sesame") as fake:
        assert (await heard(fake)).state == "forbidden"
        assert (await heard(fake, headers={"Authorization": "Bearer sesame"})).model.name == NAME
        async with Asking(fake, expected=SglangKind()) as asking:
            said = await asking.look()
    assert (said.server.kind, said.server.health.detail) == ("sglang", SglangKind.key_words)


@pytest.mark.parametrize(
    ("line", "name", "port"),
    [
        (
            "python -m sglang.launch_server --model-path Qwen/Qwen3-32B --port 30001 --tp 2",
            "Qwen/Qwen3-32B",
            30001,
        ),
        ("/venv/bin/python3 -m sglang.launch_server --model /m/Qwen3 --tp-size=2", "Qwen3", None),
        ("/venv/bin/python /venv/bin/sglang serve --model-path a --served-model-name q --tp 2", "q", None),
        ("sglang serve --model-path a/b --tensor-parallel-size 2", "a/b", None),
        ("python /opt/sglang/launch_server.py --model-path a/b --tp 2", "a/b", None),
    ],
)
def test_its_process_is_known(line: str, name: str, port: int | None) -> None:
    found = SglangKind().recognise_process(ProcessView(tuple(line.split()), dict))
    assert isinstance(found, FoundRunner)
    assert (found.settings.model_name, found.settings.port) == (name, port)
    assert found.settings.reserve.gpu_count == 2


def test_its_settings_are_read() -> None:
    line = (
        "python -m sglang.launch_server --model-path a --context-length 8192 --max-running-requests 16 "
        "--mem-fraction-static 0.85 --kv-cache-dtype fp8_e5m2 --quantization awq --tp 2 --dp 2 "
        "--disable-cuda-graph --api-key secret"
    )
    found = SglangKind().recognise_process(ProcessView(tuple(line.split()), dict))
    assert isinstance(found, FoundRunner)
    settings = found.settings
    assert (settings.context_length, settings.parallel, settings.cache_type_k) == (8192, 16, "fp8_e5m2")
    assert settings.reserve == Reserve(gpu_share=0.85, gpu_count=4, graphs=False)
    assert "secret" not in repr(found)


@pytest.mark.parametrize(
    "line",
    [
        "sglang::scheduler_TP0",
        "sglang::detokenizer",
        "python -m sglang.bench_serving",
        "sglang generate",
        "vi sglang",
    ],
)
def test_its_workers_and_its_other_programs_are_no_servers(line: str) -> None:
    assert SglangKind().recognise_process(ProcessView(tuple(line.split()), dict)) is None
