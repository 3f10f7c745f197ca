"""One model on one GPU, or two, and whoever else is there: a state for diagnoses, from samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from tests.app.state.states import state_of
from tests.fakes.samples import GIB, OLLAMA, START

from gpumon.app.diagnosis.diagnose import diagnose
from gpumon.app.diagnosis.diagnosis import Cause, Diagnosis, Remedy, Verdict
from gpumon.app.state.state import State
from gpumon.collectors.samples import (
    AnySample,
    GpuFacts,
    GpuMemory,
    GpuProcess,
    GpuReading,
    HolderGroup,
    HolderProcess,
    InstalledModels,
    LogEvent,
    LogSample,
    ModelClaim,
    ModelFacts,
    ModelWeights,
    NvmlSample,
    ProcessSample,
    RunnerProcess,
    RunnerSettings,
    ServerProcess,
    ServerSample,
    Slot,
    SourceHealth,
    WorkSample,
)

MIB = 1024**2
NAME = "llama3.1:8b"
BLOB = "sha256-" + 64 * "a"
PID = 100
LOADED = START - 60.0
SERVING = SourceHealth(state="serving")
RESERVED_BYTES = 256 * MIB


@dataclass(frozen=True)
class Other:
    """Someone else on the first GPU: a model if it has a name with a colon, else a process."""

    name: str
    gib: float
    pid: int = 200
    started: float = LOADED - 600.0
    group: HolderGroup = "other"

    @property
    def is_model(self) -> bool:
        return ":" in self.name

    @property
    def vram_bytes(self) -> int:
        return int(self.gib * GIB)


@dataclass(frozen=True)
class Scene:
    """Llama-like geometry: 32 layers, with 8 KV heads of 128 each 128 KiB of f16 cache a token."""

    name: str = NAME
    total_gib: float = 12.0
    second_gib: float = 0.0
    """Of a second GPU, on which nothing is; there is none unless told otherwise."""
    layer_mib: int = 135
    context: int = 8192
    parallel: int = 1
    cache_type: str | None = None
    gpu_layers: int | None = None
    flash_attention: str | None = "auto"
    on_gpu_gib: float = 6.0
    in_ram_gib: float = 2.0
    measured_gib: float | None = None
    """What the driver sees for the process; what is claimed unless told otherwise."""
    others: Sequence[Other] = ()
    described: bool = True
    architecture: str = "llama"
    experts: int = 0
    kv_heads: int = 8
    parameters: Mapping[str, str] = field(default_factory=dict)
    log: Sequence[LogEvent] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    """Of the server's process."""
    reading: Mapping[str, object] = field(default_factory=dict)
    facts: Mapping[str, object] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        return f"digest-{self.name}"

    def samples(self, at: float = 0.0) -> list[AnySample]:
        """Return one look of every source, ``at`` seconds after the start."""
        looks: list[AnySample] = [self._tags(at), self._processes(at), self._nvml(at), self._ps(at)]
        if self.described:
            looks.insert(0, self._shown(at))
        if self.log:
            looks.append(LogSample(time=START + at, source="log x", health=SERVING, events=tuple(self.log)))
        return looks

    def state(self, *more: AnySample) -> State:
        """Return the state after two looks and ``more``."""
        return state_of(*self.samples(0.0), *self.samples(1.0), *more)

    def _shown(self, at: float) -> ModelFacts:
        a = self.architecture
        experts = {f"{a}.expert_count": self.experts, f"{a}.expert_used_count": 2} if self.experts else {}
        return ModelFacts(
            time=START + at,
            source=OLLAMA,
            name=self.name,
            digest=self.digest,
            architecture=a,
            blobs=(BLOB,),
            trained_context_length=131072,
            layer_count=32,
            embedding_length=4096,
            parameter_count=8_000_000_000,
            geometry={
                f"{a}.attention.head_count": 32,
                f"{a}.attention.head_count_kv": self.kv_heads,
                f"{a}.attention.key_length": 128,
                f"{a}.attention.value_length": 128,
                **experts,
            },
            weights=ModelWeights(
                layer_bytes=(self.layer_mib * MIB,) * 32,
                expert_bytes=((self.layer_mib * MIB * 9 // 10) if self.experts else 0,) * 32,
                token_embedding_bytes=280 * MIB,
                output_bytes=410 * MIB,
                element_count=round((self.layer_mib * 32 + 690) * MIB * 8 / 4.89),
            ),
            parameters=dict(self.parameters),
        )

    def _tags(self, at: float) -> InstalledModels:
        return InstalledModels(time=START + at, source=OLLAMA, models=())

    def _processes(self, at: float) -> ProcessSample:
        settings = RunnerSettings(
            blob=BLOB,
            model_path=f"/m/{BLOB}",
            port=40001,
            context_length=self.context,
            parallel=self.parallel,
            gpu_layers=self.gpu_layers,
            micro_batch_size=512,
            cache_type_k=self.cache_type,
            cache_type_v=self.cache_type,
            flash_attention=self.flash_attention,
        )
        return ProcessSample(
            time=START + at,
            source="processes",
            servers=(
                ServerProcess(
                    kind="ollama",
                    pid=10,
                    started=START - 3600,
                    urls=(OLLAMA,),
                    settings=dict(self.environment),
                ),
            ),
            runners=(
                _runner(PID, LOADED, settings),
                *(
                    _runner(one.pid, one.started, RunnerSettings(model_name=one.name))
                    for one in self.others
                    if one.is_model
                ),
            ),
            holders=tuple(
                HolderProcess(pid=one.pid, name=one.name, started=one.started, group=one.group)
                for one in self.others
                if not one.is_model
            ),
        )

    def _nvml(self, at: float) -> NvmlSample:
        total = int(self.total_gib * GIB)
        measured = self.on_gpu_gib if self.measured_gib is None else self.measured_gib
        held = {PID: int(measured * GIB)} | {one.pid: one.vram_bytes for one in self.others}
        used = sum(held.values())
        reading: dict[str, object] = {
            "uuid": "GPU-0",
            "index": 0,
            "name": "NVIDIA GeForce RTX 4070",
            "memory": GpuMemory(
                total_bytes=total,
                used_bytes=used,
                reserved_bytes=RESERVED_BYTES,
                free_bytes=total - RESERVED_BYTES - used,
            ),
            "utilization_percent": 60,
            "throttle_reasons": (),
            "processes": tuple(
                GpuProcess(pid=pid, vram_bytes=size, name=f"p{pid}") for pid, size in held.items() if size
            ),
            "facts": GpuFacts(
                **{"memory_bus_width_bits": 192, "max_memory_clock_mhz": 10501, **self.facts}  # type: ignore[arg-type]
            ),
        }
        gpu = GpuReading(**{**reading, **self.reading})  # type: ignore[arg-type]
        gpus = (gpu, self._second(gpu)) if self.second_gib else (gpu,)
        return NvmlSample(time=START + at, source="nvml", health=SERVING, gpus=gpus)

    def _second(self, first: GpuReading) -> GpuReading:
        total = int(self.second_gib * GIB)
        memory = GpuMemory(
            total_bytes=total,
            used_bytes=0,
            reserved_bytes=RESERVED_BYTES,
            free_bytes=total - RESERVED_BYTES,
        )
        return msgspec.structs.replace(first, uuid="GPU-1", index=1, memory=memory, processes=())

    def _ps(self, at: float) -> ServerSample:
        on_gpu, in_ram = int(self.on_gpu_gib * GIB), int(self.in_ram_gib * GIB)
        own = ModelClaim(
            name=self.name,
            digest=self.digest,
            size_bytes=on_gpu + in_ram,
            size_vram_bytes=on_gpu,
            context_length=self.context,
            quantization="Q4_K_M",
        )
        others = tuple(
            ModelClaim(
                name=one.name,
                digest=f"digest-{one.name}",
                size_bytes=one.vram_bytes,
                size_vram_bytes=one.vram_bytes,
            )
            for one in self.others
            if one.is_model
        )
        return ServerSample(
            kind="ollama", time=START + at, source=OLLAMA, health=SERVING, models=(own, *others)
        )


def _runner(pid: int, started: float, settings: RunnerSettings) -> RunnerProcess:
    return RunnerProcess(pid=pid, started=started, kind="llama_server", settings=settings, server_pid=10)


def answering(at: float, *slots: Slot) -> WorkSample:
    """Return an answer of the model's own port."""
    return WorkSample(
        time=START + at,
        source=f"runner {PID}",
        pid=PID,
        started=LOADED,
        port=40001,
        state="ready",
        slots=slots,
    )


def decoding(rate: float, context_tokens: int = 500, slots: int = 1, seconds: int = 4) -> list[AnySample]:
    """Return answers of a port while ``slots`` requests generate ``rate`` tokens per second each."""
    return [
        answering(
            1.0 + second,
            *(
                Slot(
                    slot_id=number,
                    processing=True,
                    task_id=7 + number,
                    context_length=131072,
                    prompt_tokens=context_tokens + round(second * rate),
                    prompt_tokens_processed=context_tokens,
                    decoded_tokens=1 + round(second * rate),
                )
                for number in range(slots)
            ),
        )
        for second in range(seconds)
    ]


def diagnosed(scene: Scene, *more: AnySample) -> Diagnosis:
    """Return the diagnosis of the scene's model."""
    state = scene.state(*more)
    return diagnose(next(one for one in state.models.values() if one.claim.name == scene.name), state)


def cause(scene: Scene, *more: AnySample) -> Cause:
    """Return the cause of the spill, which there must be."""
    found = diagnosed(scene, *more).cause
    assert found is not None, "no cause"
    return found


def remedy(scene: Scene, action: str) -> Remedy | None:
    """Return the remedy of one kind, if it is advised."""
    return next((one for one in diagnosed(scene).remedies if one.action == action), None)


def verdict(found: Diagnosis, kind: str) -> Verdict | None:
    """Return the verdict of one kind, if it is given."""
    return next((one for one in found.verdicts if one.kind == kind), None)
