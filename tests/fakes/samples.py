"""Samples for tests, with everything healthy unless told otherwise. Times are seconds after ``START``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gpumon.collectors.samples import (
    GpuFacts,
    GpuMemory,
    GpuReading,
    GpuSlow,
    GpuState,
    InstalledModel,
    InstalledModels,
    LogEvent,
    LogSample,
    ModelClaim,
    ModelFacts,
    NvmlSample,
    ServerSample,
    SourceHealth,
    SourceSilent,
    SourceState,
    SystemSample,
)

START = 1_700_000_000.0
GIB = 1024**3
OLLAMA = "http://127.0.0.1:11434"


def gpu(
    index: int = 0,
    *,
    state: GpuState = "ok",
    detail: str | None = None,
    used_gib: float | None = 4.0,
    reserved_gib: float | None = 0.5,
    total_gib: float = 24.0,
    unified: bool = False,
    utilization: int | None = 10,
    temperature: int | None = 50,
    throttle: tuple[str, ...] | None = (),
    facts: GpuFacts | None = None,
    slow: GpuSlow | None = None,
) -> GpuReading:
    memory = GpuMemory(
        total_bytes=int(total_gib * GIB),
        used_bytes=None if used_gib is None else int(used_gib * GIB),
        reserved_bytes=None if reserved_gib is None else int(reserved_gib * GIB),
        unified=unified,
    )
    known = state == "ok"
    return GpuReading(
        uuid=f"GPU-{index}",
        index=index,
        state=state,
        detail=detail,
        memory=memory if known else None,
        utilization_percent=utilization if known else None,
        temperature_celsius=temperature if known else None,
        throttle_reasons=throttle if known else None,
        facts=facts,
        slow=slow,
    )


def nvml(
    at: float, *gpus: GpuReading, state: SourceState = "serving", detail: str | None = None
) -> NvmlSample:
    return NvmlSample(
        time=START + at, source="nvml", health=SourceHealth(state=state, detail=detail), gpus=gpus
    )


def claim(
    name: str = "llama3:70b",
    *,
    ram_gib: float | None = 0.0,
    gpu_gib: float = 10.0,
    digest: str | None = "",
) -> ModelClaim:
    """Build a row of ``/api/ps``; the digest is made from the name unless given."""
    gpu_bytes = int(gpu_gib * GIB)
    size_bytes = None if ram_gib is None else gpu_bytes + int(ram_gib * GIB)
    return ModelClaim(
        name=name,
        digest=f"sha-{name}" if digest == "" else digest,
        size_bytes=size_bytes,
        size_vram_bytes=gpu_bytes,
    )


def ollama(
    at: float,
    models: Sequence[ModelClaim] | None = (),
    *,
    source: str = OLLAMA,
    state: SourceState | None = None,
    detail: str | None = None,
) -> ServerSample:
    healthy: SourceState = "serving" if models else "idle"
    return ServerSample(
        kind="ollama",
        time=START + at,
        source=source,
        health=SourceHealth(state=state or healthy, detail=detail),
        models=None if models is None else tuple(models),
    )


def ollama_down(at: float, state: SourceState, detail: str | None = None) -> ServerSample:
    return ollama(at, None, state=state, detail=detail)


def shown(at: float, name: str = "llama3:70b", *, layers: int = 80, source: str = OLLAMA) -> ModelFacts:
    return ModelFacts(time=START + at, source=source, name=name, digest=f"sha-{name}", layer_count=layers)


def installed(at: float, sizes_gib: Mapping[str, float | None], *, source: str = OLLAMA) -> InstalledModels:
    """Return the list of all that could be loaded."""
    models = (
        InstalledModel(name=name, digest=f"sha-{name}", size_bytes=None if gib is None else int(gib * GIB))
        for name, gib in sizes_gib.items()
    )
    return InstalledModels(time=START + at, source=source, models=tuple(models))


def log(
    at: float,
    *events: LogEvent,
    source: str = "log /l",
    state: SourceState = "serving",
    detail: str | None = None,
    hint: str | None = None,
    unknown_format: bool = False,
) -> LogSample:
    health = SourceHealth(state=state, detail=detail, hint=hint)
    return LogSample(
        time=START + at, source=source, health=health, events=events, unknown_format=unknown_format
    )


def system(
    at: float,
    *,
    available_gib: float = 32.0,
    total_gib: float = 64.0,
    swap_in: float | None = 0.0,
    swap_out: float | None = 0.0,
) -> SystemSample:
    return SystemSample(
        time=START + at,
        source="system",
        host="box",
        ram_total_bytes=int(total_gib * GIB),
        ram_used_bytes=int((total_gib - available_gib) * GIB),
        ram_available_bytes=int(available_gib * GIB),
        swap_in_bytes_per_second=swap_in,
        swap_out_bytes_per_second=swap_out,
    )


def silent(at: float, source: str = OLLAMA, *, seconds: float = 2.0) -> SourceSilent:
    return SourceSilent(time=START + at, source=source, seconds=seconds)
