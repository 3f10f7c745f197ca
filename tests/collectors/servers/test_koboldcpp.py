"""KoboldCpp, which imitates Ollama: its own figures, and none of the imitated ones."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.collectors.ollama.support import PATIENT, FakeClock
from tests.fakes.koboldcpp import NAME, FakeKoboldCpp

from gpumon.collectors.http.endpoint import parse_endpoint
from gpumon.collectors.samples import LastRequest, ModelClaim, ServerSample, WorkSample
from gpumon.collectors.servers.koboldcpp import KoboldCppKind
from gpumon.collectors.servers.source import ServerSource
from gpumon.collectors.servers.talk import Asked, FoundRunner, ProcessView


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
    assert fake.asked.count(("GET", "/api/extra/true_max_context_length")) == 1
    assert fake.asked.count(("GET", "/api/ps")) == 1
    assert not [path for _, path in fake.asked if "generate" in path], "that is text"


async def test_its_last_request_is_told_with_its_number(fake: FakeKoboldCpp) -> None:
    _, [work] = await polled(fake)
    assert work.last == LastRequest(
        count=7,
        prompt_tokens=400,
        decoded_tokens=126,
        prefill_tokens_per_second=800.0,
        decode_tokens_per_second=31.5,
        seconds=4.5,
    )
    assert work.origin == "/api/extra/perf"


async def test_before_its_first_request_there_is_no_last_one(fake: FakeKoboldCpp) -> None:
    fake.perf = dict.fromkeys(fake.perf, 0)
    _, [work] = await polled(fake)
    assert work.last == LastRequest(count=0)


async def test_before_v1_94_a_speed_is_the_time_for_a_token(fake: FakeKoboldCpp) -> None:
    fake.perf = {"last_process": 2.0, "last_eval": 40.0, "last_token_count": 126, "total_gens": 3}
    _, [work] = await polled(fake)
    assert work.last == LastRequest(
        count=3, decoded_tokens=126, prefill_tokens_per_second=500.0, decode_tokens_per_second=25.0
    )


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
    assert found.settings.model_name == "a", "as it calls it itself"


@pytest.mark.parametrize("line", ["python3 serve.py", "vim koboldcpp.py", "", "python3 -m koboldcpp"])
def test_other_programs_are_not(line: str) -> None:
    assert KoboldCppKind().recognise_process(ProcessView(line.split(), dict)) is None
