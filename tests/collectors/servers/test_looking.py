"""Nothing is woken, loaded or kept alive by looking: what each kind is asked, how often, and after a refusal.

A kind that is added names its fake here, the paths that it may be asked, and how often a minute while it
rests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from tests.collectors.ollama.support import PATIENT, FakeClock
from tests.fakes.docker_model_runner import FakeDockerModelRunner
from tests.fakes.http import Listening
from tests.fakes.koboldcpp import FakeKoboldCpp
from tests.fakes.lemonade import FakeLemonade
from tests.fakes.llama_server.ik import FakeIkLlama
from tests.fakes.llama_swap import FakeLlamaSwap
from tests.fakes.lm_studio import FakeLmStudio
from tests.fakes.localai import FakeLocalAi
from tests.fakes.pictures import FakeComfyUi, FakeInvokeAi, FakeSdNext, FakeSdWebUi
from tests.fakes.routes import FakeRoutes
from tests.fakes.sglang import FakeSglang
from tests.fakes.tabbyapi import FakeTabbyApi
from tests.fakes.vllm import FakeVllm

from gpumon.collectors.http.endpoint import parse_endpoint
from gpumon.collectors.samples import ServerSample
from gpumon.collectors.servers.source import ServerSource
from gpumon.collectors.servers.talk import Asked

MINUTE_SECONDS = 60.0
TO_RECOGNISE = frozenset(
    {
        *("/", "/api/ps", "/api/version", "/api/tags", "/api/show", "/props", "/running"),
        *("/api/extra/version", "/v1/models", "/api/v1/health", "/engines/status"),
        *("/lmstudio-greeting", "/v1/model", "/system"),
    }
)


@dataclass(frozen=True)
class Manners:
    """What a server of a kind may be asked."""

    fake: Callable[[], Listening]
    asked: Callable[[Listening], list[tuple[str, str]]]
    """Returns the method and path of each request that the fake has had."""
    kind: str
    paths: frozenset[str]
    """With their queries. Those by which it is told from other kinds need not be named."""
    most_a_minute: int
    """Requests of all paths together, at one look a second."""
    to_recognise: frozenset[str] = TO_RECOGNISE
    """Asked once at most, to tell what it is."""


def _gets(name: str) -> Callable[[Listening], list[tuple[str, str]]]:
    """Return how to read a fake that notes paths alone."""
    return lambda fake: [("GET", path) for path in getattr(fake, name)]


def _with_model(fake: FakeLlamaSwap) -> FakeLlamaSwap:
    fake.run("qwen3", 9, "llama-server --port 9")
    return fake


def _drawing() -> FakeComfyUi:
    fake = FakeComfyUi()
    fake.queue()
    fake.load()
    fake.step(7)
    return fake


def _drawing_next() -> FakeSdNext:
    fake = FakeSdNext()
    fake.draw(7)
    return fake


PICTURES_TOLD = TO_RECOGNISE | {"/api/extra/version", "/system_stats", "/v1/models"}
"""Asked of an image generator before it is known which."""


def _asked(fake: Listening) -> list[tuple[str, str]]:
    """Return what a fake of fixed routes was asked, but for what an Ollama is asked of a model."""
    assert isinstance(fake, FakeRoutes)
    return [one for one in fake.asked if one != ("POST", "/api/show")]


def _asked_of_ik(fake: Listening) -> list[tuple[str, str]]:
    assert isinstance(fake, FakeIkLlama)
    return [(one.method, one.path) for one in fake.requests]


def _lemonade() -> FakeLemonade:
    fake = FakeLemonade()
    fake.load("qwen3", is_busy=True)
    return fake


def _docker_model_runner() -> FakeDockerModelRunner:
    fake = FakeDockerModelRunner()
    fake.load("ai/qwen3", in_use=True)
    return fake


def _without_statistics(fake: FakeVllm) -> FakeVllm:
    fake.statistics = False
    return fake


KINDS: dict[str, Manners] = {
    "Docker Model Runner": Manners(
        _docker_model_runner,
        _asked,
        "docker_model_runner",
        frozenset({"/engines/ps", "/models"}),
        most_a_minute=70,
    ),
    "Lemonade": Manners(
        _lemonade,
        _asked,
        "lemonade",
        frozenset({"/api/v1/health", "/api/v1/stats"}),
        most_a_minute=130,
    ),
    "ik_llama.cpp": Manners(
        FakeIkLlama,
        _asked_of_ik,
        "llama_server",
        frozenset({"/props", "/v1/models", "/slots", "/metrics"}),
        most_a_minute=100,
        to_recognise=frozenset({"/", "/api/ps", "/health"}),
    ),
    "KoboldCpp": Manners(
        FakeKoboldCpp,
        lambda fake: getattr(fake, "asked"),  # noqa: B009
        "koboldcpp",
        frozenset(
            {
                "/api/extra/version",
                "/api/v1/model",
                "/api/extra/true_max_context_length",
                "/api/extra/perf",
            }
        ),
        most_a_minute=140,
    ),
    "SGLang": Manners(
        lambda: FakeSglang(metrics=True),
        lambda fake: getattr(fake, "asked"),  # noqa: B009
        "sglang",
        frozenset({"/v1/loads?include=core,memory,queues", "/v1/models", "/metrics"}),
        most_a_minute=90,
    ),
    "LM Studio": Manners(
        FakeLmStudio,
        lambda fake: getattr(fake, "asked"),  # noqa: B009
        "lm_studio",
        frozenset({"/api/v1/models", "/lmstudio-greeting"}),
        most_a_minute=30,
    ),
    "TabbyAPI": Manners(
        FakeTabbyApi,
        lambda fake: getattr(fake, "asked"),  # noqa: B009
        "tabbyapi",
        frozenset({"/v1/model", "/metrics", "/health"}),
        most_a_minute=140,
    ),
    "LocalAI": Manners(
        FakeLocalAi,
        lambda fake: getattr(fake, "asked"),  # noqa: B009
        "localai",
        frozenset({"/system", "/version", "/backend/monitor"}),
        most_a_minute=80,
    ),
    "vLLM": Manners(
        FakeVllm,
        lambda fake: getattr(fake, "asked"),  # noqa: B009
        "vllm",
        frozenset({"/metrics", "/v1/models", "/version"}),
        most_a_minute=70,
    ),
    "vLLM without statistics": Manners(
        lambda: _without_statistics(FakeVllm()),
        lambda fake: getattr(fake, "asked"),  # noqa: B009
        "vllm",
        frozenset({"/metrics", "/v1/models", "/version", "/health"}),
        most_a_minute=130,
    ),
    "llama-swap": Manners(
        lambda: _with_model(FakeLlamaSwap()),
        _gets("paths"),
        "llama_swap",
        frozenset({"/running", "/api/version", "/api/metrics/activity"}),
        most_a_minute=200,
    ),
    "ComfyUI at rest": Manners(
        FakeComfyUi,
        _asked,
        "comfyui",
        frozenset({"/prompt", "/system_stats", "/internal/logs/raw"}),
        most_a_minute=40,
        to_recognise=PICTURES_TOLD,
    ),
    "ComfyUI at work": Manners(
        _drawing,
        _asked,
        "comfyui",
        frozenset({"/prompt", "/system_stats", "/internal/logs/raw"}),
        most_a_minute=140,
        to_recognise=PICTURES_TOLD | {"/queue"},
    ),
    "SD.Next at work": Manners(
        _drawing_next,
        _asked,
        "sdnext",
        frozenset({"/sdapi/v1/status", "/sdapi/v1/checkpoint"}),
        most_a_minute=75,
        to_recognise=PICTURES_TOLD,
    ),
    "SD WebUI": Manners(
        FakeSdWebUi,
        _asked,
        "sd_webui",
        frozenset({"/sdapi/v1/memory", "/sdapi/v1/options"}),
        most_a_minute=45,
        to_recognise=PICTURES_TOLD | {"/sdapi/v1/status"},
    ),
    "InvokeAI": Manners(
        FakeInvokeAi,
        _asked,
        "invokeai",
        frozenset({"/api/v1/queue/default/status", "/api/v1/app/version"}),
        most_a_minute=45,
        to_recognise=PICTURES_TOLD | {"/sdapi/v1/status", "/sdapi/v1/memory"},
    ),
}
"""In no row stands ``/sdapi/v1/progress``: it would decode the picture under way."""


@pytest.mark.parametrize("name", KINDS)
async def test_a_minute_of_looking_asks_only_what_changes_nothing(name: str) -> None:
    manners = KINDS[name]
    async with manners.fake() as fake:
        sample = await _look_for_a_minute(fake)
        asked = manners.asked(fake)
    assert sample.kind == manners.kind
    assert {method for method, _ in asked} == {"GET"}
    counts = Counter(path for _, path in asked)
    strange = {path: count for path, count in counts.items() if path not in manners.paths}
    assert set(strange) <= manners.to_recognise
    assert all(count <= 1 for count in strange.values()), strange
    assert len(asked) <= manners.most_a_minute


async def _look_for_a_minute(fake: Listening) -> ServerSample:
    clock = FakeClock()
    source = ServerSource(Asked(endpoint=parse_endpoint(fake.url), clock=clock, limits=PATIENT))
    end = clock.now() + MINUTE_SECONDS
    while clock.now() < end:
        first = (await source.poll())[0]
        clock.seconds += source.delay(1.0)
    await source.close()
    assert isinstance(first, ServerSample)
    return first
