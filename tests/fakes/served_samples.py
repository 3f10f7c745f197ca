"""Samples of llama-servers that Ollama has not started, found as processes or asked by URL."""

from __future__ import annotations

from msgspec.structs import replace
from tests.fakes.process_samples import STARTED
from tests.fakes.samples import GIB, START

from gpumon.collectors.samples import (
    LoadFacts,
    ModelClaim,
    ModelState,
    RunnerProcess,
    RunnerSettings,
    ServerProcess,
    ServerSample,
    Slot,
    SourceHealth,
    SourceState,
    WorkCounters,
    WorkSample,
)

LLAMA = "http://127.0.0.1:8080"
FILE = "/models/llama-3-8b.gguf"
FACTS = LoadFacts(
    model_path=FILE,
    build="b11434",
    slot_count=2,
    context_length=4096,
    parameter_count=8_000_000_000,
    weights_bytes=5 * GIB,
    quantization="Q4_K - Medium",
)


def alone(
    pid: int = 500,
    *,
    port: int | None = 8080,
    alias: str | None = "llama-3-8b",
    server_pid: int | None = None,
    started: float = STARTED,
    host: str | None = None,
    contained: bool = False,
    gpu_layers: int | None = None,
) -> RunnerProcess:
    """Return a llama-server process."""
    settings = RunnerSettings(
        model_path=FILE,
        model_name=alias,
        port=port,
        host=host,
        context_length=4096,
        parallel=2,
        gpu_layers=gpu_layers,
    )
    return RunnerProcess(
        pid=pid,
        started=started,
        kind="llama_server",
        settings=settings,
        server_pid=server_pid,
        other_namespace=contained,
    )


def router(pid: int = 400, *urls: str) -> ServerProcess:
    return ServerProcess(pid=pid, started=STARTED, kind="llama_server", urls=urls or (LLAMA,))


def served(
    at: float,
    *models: ModelClaim | str,
    source: str = LLAMA,
    state: SourceState | None = None,
    detail: str | None = None,
) -> ServerSample:
    """Return one look at a URL; the list is unknown where ``state`` is given."""
    listed = tuple(ModelClaim(name=one, state="ready") if isinstance(one, str) else one for one in models)
    health = SourceHealth(state=state or ("serving" if models else "idle"), detail=detail)
    return ServerSample(
        kind="llama_server",
        time=START + at,
        source=source,
        health=health,
        version="b11434",
        models=listed if state is None else None,
    )


def statistics(
    at: float,
    decoded: int | None = None,
    *,
    name: str = "llama-3-8b",
    source: str = LLAMA,
    state: ModelState = "ready",
    facts: LoadFacts | None = None,
    counted: float | None = None,
) -> WorkSample:
    """Return one poll of a model; ``decoded`` tokens of a request under way, ``None`` where it is idle."""
    slot = Slot(slot_id=0, context_length=4096)
    if decoded is not None:
        slot = replace(slot, processing=True, task_id=1, prompt_tokens=10 + decoded, decoded_tokens=decoded)
    return WorkSample(
        time=START + at,
        source=source,
        model=name,
        state=state,
        facts=facts,
        slots=(slot,) if state == "ready" else None,
        counters=None if counted is None else WorkCounters(decoded_tokens_total=counted),
    )
