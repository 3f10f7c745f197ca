"""KoboldCpp, which imitates Ollama: its own figures, and none of the imitated ones."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from tests.collectors.ollama.support import PATIENT, FakeClock
from tests.fakes.http import Answer, Listening, read_request, text

from gpumon.collectors.http.endpoint import parse_endpoint
from gpumon.collectors.samples import ModelClaim, ServerSample, WorkSample
from gpumon.collectors.servers.koboldcpp import KoboldCppKind
from gpumon.collectors.servers.source import ServerSource
from gpumon.collectors.servers.talk import Asked, FoundRunner, ProcessView

NAME = "gemma-3-27b-it-Q4_K_M"
ROW = {
    "name": "koboldcpp",
    "model": "koboldcpp",
    "digest": "0",
    "size": 394998579,
    "size_vram": 394998579,
    "details": {"parameter_size": "128M", "quantization_level": "Q4_0"},
}


class FakeKoboldCpp(Listening):
    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.imitates = True
        self.idle = 1
        self.model = f"koboldcpp/{NAME}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await read_request(reader):
                self.asked.append(request.path)
                writer.write(self._answer(request.path).encoded())
                await writer.drain()
        finally:
            writer.close()

    def _answer(self, path: str) -> Answer:
        bodies: dict[str, object] = {
            "/api/extra/version": {"result": "KoboldCpp", "version": "1.101", "llm": True},
            "/api/v1/model": {"result": self.model},
            "/api/extra/true_max_context_length": {"value": 8192},
            "/api/extra/perf": {"idle": self.idle, "queue": 2, "last_eval_speed": 31.5, "total_gens": 7},
        }
        if self.imitates:
            bodies |= {"/api/ps": {"models": [ROW, ROW]}, "/api/version": {"version": "0.7.0"}}
        return Answer(body=json.dumps(bodies[path]).encode()) if path in bodies else text(404, "no")


@pytest.fixture
async def fake() -> AsyncIterator[FakeKoboldCpp]:
    async with FakeKoboldCpp() as server:
        yield server


async def polled(fake: FakeKoboldCpp, times: int = 1) -> tuple[ServerSample, list[WorkSample]]:
    source = ServerSource(Asked(endpoint=parse_endpoint(fake.url), clock=FakeClock(), limits=PATIENT))
    for _ in range(times):
        first, *rest = await source.poll()
    await source.close()
    assert isinstance(first, ServerSample)
    return first, [sample for sample in rest if isinstance(sample, WorkSample)]


@pytest.mark.parametrize("imitates", [True, False])
async def test_it_is_one_model_by_its_own_name_and_claims_nothing(
    fake: FakeKoboldCpp, imitates: bool
) -> None:
    fake.imitates = imitates
    sample, _ = await polled(fake)
    assert (sample.kind, sample.version) == ("koboldcpp", "1.101")
    claim = ModelClaim(name=NAME, state="ready", context_length=8192, format="gguf")
    assert sample.models == (claim,), "nothing of the imitated rows"


@pytest.mark.parametrize(("idle", "running"), [(1, 0), (0, 1)])
async def test_it_says_whether_it_works_and_the_rate_of_the_last_request_is_none_of_now(
    fake: FakeKoboldCpp, idle: int, running: int
) -> None:
    fake.idle = idle
    _, [work] = await polled(fake)
    assert work.counters is not None
    assert (work.counters.requests_processing, work.counters.requests_deferred) == (running, 2)
    assert work.decode_tokens_per_second is None


async def test_without_a_model_it_is_idle(fake: FakeKoboldCpp) -> None:
    fake.model = "inactive"
    sample, work = await polled(fake)
    assert (sample.health.state, sample.models, work) == ("idle", (), [])


async def test_what_does_not_change_is_asked_once(fake: FakeKoboldCpp) -> None:
    await polled(fake, times=3)
    assert fake.asked.count("/api/extra/true_max_context_length") == 1
    assert fake.asked.count("/api/ps") == 1
    assert "/api/extra/generate/check" not in fake.asked, "that is text"


@pytest.mark.parametrize(
    "line",
    [
        "koboldcpp --model /m/a.gguf --port 5002 --contextsize 8192 --gpulayers 99",
        "/opt/koboldcpp-linux-x64 --model /m/a.gguf --port 5002 --contextsize 8192 --gpulayers 99",
        "python3 /opt/koboldcpp.py --model /m/a.gguf --port 5002 --contextsize 8192 --gpulayers 99",
    ],
)
def test_its_process_is_known(line: str) -> None:
    found = KoboldCppKind().recognise_process(ProcessView(line.split(), dict))
    assert isinstance(found, FoundRunner)
    assert (found.settings.model_path, found.settings.port, found.settings.context_length) == (
        "/m/a.gguf",
        5002,
        8192,
    )


@pytest.mark.parametrize("line", ["python3 serve.py", "vim koboldcpp.py", "", "python3 -m koboldcpp"])
def test_other_programs_are_not(line: str) -> None:
    assert KoboldCppKind().recognise_process(ProcessView(line.split(), dict)) is None
