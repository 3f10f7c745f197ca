"""Samples of processes for tests: one server at the usual port unless told otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace
from tests.fakes.samples import GIB, OLLAMA, START

from gpumon.collectors.samples import (
    BlobNames,
    GpuProcess,
    GpuReading,
    HolderProcess,
    ModelFacts,
    ModelState,
    ProcessSample,
    RunnerProcess,
    RunnerSettings,
    ServerProcess,
    Slot,
    WorkSample,
)

BLOB = "sha256-" + 64 * "a"
OTHER_BLOB = "sha256-" + 64 * "b"
STARTED = START - 60.0
SERVER_PID = 10


def settings(
    blob: str | None = BLOB, name: str | None = None, gpu_layers: int | None = None
) -> RunnerSettings:
    return RunnerSettings(blob=blob, model_name=name, gpu_layers=gpu_layers, port=40001)


def runner(
    pid: int = 100,
    blob: str | None = BLOB,
    *,
    name: str | None = None,
    kind: str = "llama_server",
    server_pid: int | None = SERVER_PID,
    started: float = STARTED,
    cpu_percent: float | None = None,
    gpu_layers: int | None = None,
) -> RunnerProcess:
    return RunnerProcess(
        pid=pid,
        started=started,
        kind=kind,
        settings=settings(blob, name, gpu_layers),
        server_pid=server_pid,
        cpu_percent=cpu_percent,
    )


def server(
    pid: int = SERVER_PID,
    *urls: str,
    other_namespace: bool = False,
    published: tuple[str, ...] = (),
    settings: Mapping[str, str] | None = None,
) -> ServerProcess:
    return ServerProcess(
        settings=dict(settings or {}),
        pid=pid,
        started=START - 3600,
        kind="ollama",
        urls=urls or (OLLAMA,),
        other_namespace=other_namespace,
        published=published,
    )


def processes(
    at: float,
    *runners: RunnerProcess,
    servers: Sequence[ServerProcess] | None = None,
    holders: Sequence[HolderProcess] = (),
) -> ProcessSample:
    return ProcessSample(
        time=START + at,
        source="processes",
        servers=(server(),) if servers is None else tuple(servers),
        runners=runners,
        holders=tuple(holders),
    )


def holding(reading: GpuReading, gib_by_pid: Mapping[int, float | None]) -> GpuReading:
    """Return the reading with a list of processes, all of this machine."""
    entries = (
        GpuProcess(
            pid=pid, vram_bytes=None if gib is None else int(gib * GIB), kinds=("compute",), name=f"p{pid}"
        )
        for pid, gib in gib_by_pid.items()
    )
    return replace(reading, processes=tuple(entries))


def facts(
    at: float,
    name: str = "llama3:70b",
    *blobs: str,
    source: str = OLLAMA,
    architecture: str | None = None,
    capabilities: tuple[str, ...] = (),
) -> ModelFacts:
    return ModelFacts(
        time=START + at,
        source=source,
        name=name,
        digest=f"sha-{name}",
        blobs=blobs or (BLOB,),
        architecture=architecture,
        capabilities=capabilities,
    )


def blob_names(at: float, names: Mapping[str, Sequence[str]], *, source: str = "models /m") -> BlobNames:
    """Return manifests: blob to the names that have it."""
    every = {name for found in names.values() for name in found}
    return BlobNames(
        time=START + at,
        source=source,
        names={blob: tuple(found) for blob, found in names.items()},
        digests={name: f"sha-{name}" for name in every},
    )


def answer(
    at: float,
    state: ModelState = "ready",
    *,
    pid: int = 100,
    started: float = STARTED,
    processing: bool | None = None,
    progress: float | None = None,
) -> WorkSample:
    slots = None if processing is None else (Slot(slot_id=0, processing=processing),)
    return WorkSample(
        time=START + at,
        source=f"runner {pid}",
        pid=pid,
        started=started,
        state=state,
        slots=slots,
        progress=progress,
    )
