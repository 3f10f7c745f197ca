"""The columns of the matrix of kinds: each kind of server, and some of the set-ups around one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.fakes import sglang, tabbyapi
from tests.fakes.docker_model_runner import FakeDockerModelRunner
from tests.fakes.http import Listening
from tests.fakes.koboldcpp import FakeKoboldCpp
from tests.fakes.lemonade import FakeLemonade
from tests.fakes.llama_server.ik import FakeIkLlama
from tests.fakes.llama_server.router import Child, FakeRouter
from tests.fakes.llama_server.server import FakeLlamaServer
from tests.fakes.llama_swap import FakeLlamaSwap
from tests.fakes.lm_studio import FakeLmStudio
from tests.fakes.localai import READY, FakeLocalAi
from tests.fakes.ollama.server import FakeOllama
from tests.fakes.pictures import GENERATORS
from tests.fakes.vllm import FakeVllm

MODEL = "qwen3:8b"


@dataclass(frozen=True)
class Kind:
    """A column: what stands behind the gate, and what is around it."""

    serve: Callable[[], Listening]
    name: str = MODEL
    """Of its model."""
    second: bool = False
    """Whether another server stands beside it, which nothing may touch."""
    process: str | None = None
    """Whether its process is seen: ``contained`` in other namespaces, ``closed`` to a plain user."""


def _ollama() -> FakeOllama:
    server = FakeOllama()
    server.catalog.load(MODEL)
    return server


def _llama_server(server: FakeLlamaServer) -> FakeLlamaServer:
    server.alias = MODEL
    return server


def _router() -> FakeRouter:
    server = FakeRouter()
    server.children[MODEL] = Child(status="loaded")
    return server


def _llama_swap() -> FakeLlamaSwap:
    server = FakeLlamaSwap()
    server.run(MODEL, 9, "llama-server --model /m/a.gguf --port 9")
    return server


def _koboldcpp() -> FakeKoboldCpp:
    server = FakeKoboldCpp()
    server.model = f"koboldcpp/{MODEL}"
    return server


def _loaded(server: FakeLemonade | FakeDockerModelRunner) -> Listening:
    server.load(MODEL)
    return server


def _vllm() -> FakeVllm:
    server = FakeVllm()
    server.name = MODEL
    return server


KINDS: dict[str, Kind] = {
    "Ollama": Kind(_ollama),
    "llama-server": Kind(lambda: _llama_server(FakeLlamaServer())),
    "router": Kind(_router),
    "llama-swap": Kind(_llama_swap),
    "KoboldCpp": Kind(_koboldcpp),
    "vLLM": Kind(_vllm),
    "SGLang": Kind(sglang.FakeSglang, name=sglang.NAME),
    "LM Studio": Kind(lambda: FakeLmStudio(loaded={MODEL: 4096})),
    "TabbyAPI": Kind(tabbyapi.FakeTabbyApi, name=tabbyapi.NAME),
    "LocalAI": Kind(lambda: FakeLocalAi(models={MODEL: READY})),
    "ik_llama.cpp": Kind(lambda: _llama_server(FakeIkLlama())),
    "Lemonade": Kind(lambda: _loaded(FakeLemonade())),
    "Docker Model Runner": Kind(lambda: _loaded(FakeDockerModelRunner())),
    **{label: Kind(fake, name=model) for label, (fake, model) in GENERATORS.items()},
    "second server beside it": Kind(_ollama, second=True),
    "in a container": Kind(_ollama, process="contained"),
    "plain user beside a service": Kind(_ollama, process="closed"),
}
