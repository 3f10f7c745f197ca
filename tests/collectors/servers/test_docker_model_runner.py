"""Docker Model Runner: told from the Ollama that it imitates; what it has loaded, and what is never asked."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.collectors.ollama.support import PATIENT, FakeClock
from tests.fakes.docker_model_runner import HEX, FakeDockerModelRunner, child, plain

from gpumon.collectors.http.endpoint import parse_endpoint
from gpumon.collectors.runners.target import target_of
from gpumon.collectors.samples import ModelClaim, RunnerProcess, ServerSample, WorkSample
from gpumon.collectors.servers.docker_model_runner import DockerModelRunnerKind, loaded_models
from gpumon.collectors.servers.llama_server.command_line import settings_of
from gpumon.collectors.servers.source import ServerSource
from gpumon.collectors.servers.talk import Asked, FoundServer, ProcessView


@pytest.fixture
async def fake() -> AsyncIterator[FakeDockerModelRunner]:
    async with FakeDockerModelRunner() as server:
        yield server


@pytest.fixture
async def source(fake: FakeDockerModelRunner) -> AsyncIterator[ServerSource]:
    one = ServerSource(Asked(endpoint=parse_endpoint(fake.url), clock=FakeClock(), limits=PATIENT))
    yield one
    await one.close()


async def polled(source: ServerSource) -> tuple[ServerSample, list[WorkSample]]:
    first, *rest = await source.poll()
    assert isinstance(first, ServerSample)
    return first, [one for one in rest if isinstance(one, WorkSample)]


@pytest.mark.parametrize("names", [(), ("ai/smollm2",)])
async def test_it_is_no_ollama(
    fake: FakeDockerModelRunner, source: ServerSource, names: tuple[str, ...]
) -> None:
    for name in names:
        fake.load(name)
    sample, _ = await polled(source)
    assert sample.kind == "docker_model_runner"
    assert tuple(claim.name for claim in sample.models or ()) == names


async def test_a_model_tells_its_digest_and_what_its_file_is(
    fake: FakeDockerModelRunner, source: ServerSource
) -> None:
    fake.load("docker.io/ai/smollm2:latest")
    sample, _ = await polled(source)
    assert sample.models == (
        ModelClaim(
            name="ai/smollm2:latest",
            digest=HEX,
            state="ready",
            format="gguf",
            parameter_size="361.82M",
            quantization="Q4_K_M",
        ),
    )


async def test_one_that_loads_and_one_that_works(fake: FakeDockerModelRunner, source: ServerSource) -> None:
    fake.load("ai/one", in_use=True)
    fake.load("ai/two", "b" * 64, loading=True)
    sample, work = await polled(source)
    assert [claim.state for claim in sample.models or ()] == ["ready", "loading"]
    assert [one.counters and one.counters.requests_processing for one in work] == [1, 0]
    assert [one.decode_tokens_per_second for one in work] == [None, None]
    assert "Unix socket" in (work[0].detail or "")


async def test_what_is_stored_is_asked_when_a_model_is_new(
    fake: FakeDockerModelRunner, source: ServerSource
) -> None:
    fake.load("ai/one")
    for _ in range(4):
        await polled(source)
    assert fake.counts[("GET", "/models")] == 1
    fake.load("ai/two", "b" * 64)
    await polled(source)
    assert fake.counts[("GET", "/models")] == 2


async def test_no_prompt_is_ever_asked_for(fake: FakeDockerModelRunner, source: ServerSource) -> None:
    fake.load("ai/one", in_use=True)
    for _ in range(5):
        await polled(source)
    asked = {path for _, path in fake.asked}
    assert "/engines/requests" not in asked
    assert {"/engines/ps", "/engines/status"} <= asked


@pytest.mark.parametrize("body", [b"{}", b"", b"5", b'"x"'])
def test_what_is_no_list_is_none(body: bytes) -> None:
    assert loaded_models(body) is None


def test_null_is_no_model_and_a_bad_row_costs_itself() -> None:
    assert loaded_models(b"null") == ()
    [(claim, _)] = loaded_models(b'[5, {}, {"model_name": 7}, {"model_name": "ai/a", "in_use": "x"}]') or ()
    assert claim.name == "ai/a"


@pytest.mark.parametrize(
    ("short", "full"),
    [
        ("smollm2", "ai/smollm2:latest"),
        ("ai/smollm2", "ai/smollm2:latest"),
        ("docker.io/ai/smollm2:360M", "ai/smollm2:360M"),
        ("hf.co/bartowski/a", "hf.co/bartowski/a:latest"),
    ],
)
def test_two_spellings_of_a_name_are_one(short: str, full: str) -> None:
    assert DockerModelRunnerKind().full_name(short) == full


def test_its_process_and_whose_a_child_is() -> None:
    kind = DockerModelRunnerKind()
    found = kind.recognise_process(ProcessView(["/app/model-runner"], dict))
    assert found == FoundServer("docker_model_runner")
    settings = settings_of(child(HEX))
    assert settings is not None
    assert kind.holds(ModelClaim(name="ai/smollm2", digest=HEX), settings)
    assert not kind.holds(ModelClaim(name="ai/other", digest="b" * 64), settings)
    assert not kind.holds(ModelClaim(name="ai/other"), settings)


def test_of_a_child_on_a_unix_socket_it_is_said_why_it_is_not_asked() -> None:
    settings = settings_of(child(HEX))
    assert settings is not None
    process = RunnerProcess(pid=7, started=1.0, kind="llama_server", settings=settings, server_pid=5)
    assert target_of(process).obstacle == "listens on a Unix socket, not on a port"


def test_docker_desktops_own_build_is_a_llama_server() -> None:
    settings = settings_of(["/x/com.docker.llama-server", *child(HEX)[1:]])
    assert settings is not None
    assert (settings.context_length, settings.gpu_layers) == (4096, 999)


async def test_another_answer_in_its_place_is_nonsense(
    fake: FakeDockerModelRunner, source: ServerSource
) -> None:
    fake.load("ai/one")
    await polled(source)
    fake.routes["/engines/ps"] = lambda: plain({"running": "x"})
    sample, _ = await polled(source)
    assert sample.health.state == "nonsense"
