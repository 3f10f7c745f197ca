"""LocalAI: which models are loaded and whether their backends work, of those that say so."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.collectors.servers.asking import Asking, heard
from tests.fakes.localai import BUSY, NAME, READY, UNINITIALIZED, FakeLocalAi

from gpumon.collectors.http.endpoint import parse_endpoint
from gpumon.collectors.samples import CachePool, LoadFacts
from gpumon.collectors.servers.localai.kind import LocalAiKind
from gpumon.collectors.servers.talk import FoundRunner, FoundServer, ProcessView

KIND = LocalAiKind()


@pytest.fixture
async def fake() -> AsyncIterator[FakeLocalAi]:
    async with FakeLocalAi() as server:
        server.models[NAME] = READY
        yield server


async def test_it_is_known_before_the_ollama_that_it_imitates_is_believed(fake: FakeLocalAi) -> None:
    said = await heard(fake)
    assert (said.server.kind, said.server.version) == ("localai", "v4.9.0 (abc)")
    assert (said.model.name, said.model.family, said.model.size_bytes) == (NAME, "llama-cpp", None)


async def test_without_a_model_it_is_known_as_well(fake: FakeLocalAi) -> None:
    fake.models.clear()
    said = await heard(fake)
    assert (said.server.kind, said.state) == ("localai", "idle")


@pytest.mark.parametrize(("state", "said_state", "running"), [(BUSY, "busy", None), (READY, "ready", 0)])
async def test_a_backend_that_says_how_it_is_is_asked_at_each_look(
    fake: FakeLocalAi, state: int, said_state: str, running: int | None
) -> None:
    fake.models[NAME] = state
    work = (await heard(fake, times=3)).work
    assert work.state == said_state
    assert (work.counters.requests_processing if work.counters else None) == running
    assert fake.counts["GET", f"/backend/monitor?model={NAME}"] == 3


@pytest.mark.parametrize("state", [None, UNINITIALIZED])
async def test_a_backend_that_says_nothing_is_asked_once_a_load(fake: FakeLocalAi, state: int | None) -> None:
    """Each such question is an error in LocalAI's log."""
    fake.models[NAME] = state
    async with Asking(fake) as asking:
        for _ in range(3):
            said = await asking.look()
        assert fake.counts["GET", f"/backend/monitor?model={NAME}"] == 1
        del fake.models[NAME]
        await asking.look()
        fake.models[NAME] = state
        await asking.look()
    assert fake.counts["GET", f"/backend/monitor?model={NAME}"] == 2
    assert said.work.detail == "its backend does not say whether it works"


async def test_parts_of_memory_are_taken_where_they_are_told(fake: FakeLocalAi) -> None:
    fake.memory = {"total": 9, "breakdown": {"weights": 5_000_000_000, "kv_cache": 1_000_000_000}}
    work = (await heard(fake)).work
    assert work.facts == LoadFacts(weights_bytes=5_000_000_000)
    assert work.pool == CachePool(size_bytes=1_000_000_000)


async def test_where_it_wants_a_key_it_is_known_by_how_it_asks_for_one() -> None:
    async with FakeLocalAi(key="sesame") as fake:
        fake.models[NAME] = READY
        refused = await heard(fake)
        let_in = await heard(fake, headers={"Authorization": "Bearer sesame"})
    assert (refused.server.kind, refused.state) == ("localai", "forbidden")
    assert let_in.model.name == NAME


async def test_a_model_is_unloaded_as_its_own_page_does_it(fake: FakeLocalAi) -> None:
    fake.routes["/backend/shutdown"] = {}
    assert await KIND.unload(parse_endpoint(fake.url), NAME) is None
    assert fake.asked[-1] == ("POST", "/backend/shutdown")
    assert KIND.stop("http://127.0.0.1:8080", "a 'b'") == (
        "curl -X POST http://127.0.0.1:8080/backend/shutdown -H 'Content-Type: application/json' "
        """-d '{"model":"a '"'"'b'"'"'"}'"""
    )


@pytest.mark.parametrize("line", ["local-ai run --address :8081", "/usr/bin/local-ai", "local-ai"])
def test_its_process_is_a_server(line: str) -> None:
    assert KIND.recognise_process(ProcessView(tuple(line.split()), dict)) == FoundServer("localai")


@pytest.mark.parametrize(
    "line",
    [
        "/data/backends/cuda12-llama-cpp/llama-cpp-avx2 --addr 127.0.0.1:40001",
        "/data/backends/llama-cpp/lib/ld.so /data/backends/llama-cpp/llama-cpp-fallback --addr a:1",
        "/data/backends/vllm/venv/bin/python /data/backends/vllm/backend.py --addr 127.0.0.1:40002",
    ],
)
def test_its_backends_hold_models_and_are_asked_nothing(line: str) -> None:
    found = KIND.recognise_process(ProcessView(tuple(line.split()), dict))
    assert isinstance(found, FoundRunner)
    assert (found.kind, found.settings.port) == ("localai_backend", None), "that port speaks gRPC"


@pytest.mark.parametrize("line", ["llama-server --addr x", "local-ai backends list", "vi /backends/a"])
def test_other_programs_are_neither(line: str) -> None:
    assert KIND.recognise_process(ProcessView(tuple(line.split()), dict)) is None


@pytest.mark.parametrize(
    ("line", "environ", "url"),
    [
        ("local-ai", {}, "http://127.0.0.1:8080"),
        ("local-ai run --address :8081", {}, "http://127.0.0.1:8081"),
        ("local-ai --address=0.0.0.0:8082", {"ADDRESS": ":1"}, "http://127.0.0.1:8082"),
        ("local-ai", {"LOCALAI_ADDRESS": ":8083"}, "http://127.0.0.1:8083"),
    ],
)
def test_it_is_asked_where_it_was_told_to_listen(line: str, environ: dict[str, str], url: str) -> None:
    assert KIND.told_url(tuple(line.split()), environ) == url
