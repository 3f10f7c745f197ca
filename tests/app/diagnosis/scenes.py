"""One model on one GPU, or two, and whoever else is there: a machine for diagnoses, in one line each."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace
from tests import scene
from tests.fakes.process_samples import answer
from tests.fakes.samples import START
from tests.scene import Gpu, Machine, Model, Program, Weights, after

from gpumon.app.diagnosis.diagnose import diagnose
from gpumon.app.diagnosis.diagnosis import Cause, Diagnosis, Remedy, Verdict
from gpumon.app.state.state import State
from gpumon.collectors.samples import (
    AnySample,
    GpuFacts,
    HolderGroup,
    LogEvent,
    Slot,
)

NAME = "llama3.1:8b"
BLOB = scene.BLOB
PID = 100
LOADED = START - 60.0
CARD = {"memory_bus_width_bits": 192, "max_memory_clock_mhz": 10501}


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

    def model(self) -> Model:
        settings = {"model_name": self.name, "port": None}
        return Model(
            self.name,
            gpu_gib=self.gib,
            pid=self.pid,
            started=self.started,
            blob=None,
            is_described=False,
            settings=settings,
        )


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

    def samples(self, at: float = 0.0) -> list[AnySample]:
        """Return one look of every source, ``at`` seconds after the start."""
        machine = self.machine()
        machine.now = at
        looks = machine.samples()
        if self.log:
            machine.logs(*self.log)
        return [*looks, *machine.sent]

    def state(self, *more: AnySample) -> State:
        """Return the state after two looks and ``more``."""
        return after(*self.samples(0.0), *self.samples(1.0), *more).state

    def machine(self) -> Machine:
        """Return the machine on which all this is so."""
        card = Gpu(
            gib=self.total_gib,
            name="NVIDIA GeForce RTX 4070",
            reserved_gib=0.25,
            utilization=60,
            facts=GpuFacts(**{**CARD, **self.facts}),  # type: ignore[arg-type]
            more=self.reading,
        )
        machine = Machine(card, *([replace_total(card, self.second_gib)] if self.second_gib else []))
        server = machine.ollama(settings=self.environment)
        server.load(self._model())
        for other in self.others:
            if other.is_model:
                server.load(other.model())
            else:
                machine.starts(
                    Program(other.name, other.gib, other.pid, group=other.group, started=other.started)
                )
        return machine

    def _model(self) -> Model:
        settings = {
            "model_path": f"/m/{BLOB}",
            "context_length": self.context,
            "parallel": self.parallel,
            "gpu_layers": self.gpu_layers,
            "micro_batch_size": 512,
            "cache_type_k": self.cache_type,
            "cache_type_v": self.cache_type,
            "flash_attention": self.flash_attention,
        }
        weights = Weights(
            self.layer_mib, self.architecture, self.experts, self.kv_heads, parameters=self.parameters
        )
        return Model(
            self.name,
            gpu_gib=self.on_gpu_gib,
            ram_gib=self.in_ram_gib,
            measured_gib=self.measured_gib,
            pid=PID,
            started=LOADED,
            context=self.context,
            is_described=self.described,
            quantization="Q4_K_M",
            weights=weights,
            settings=settings,
        )


def replace_total(card: Gpu, gib: float) -> Gpu:
    """Return a second card like the first, of another size."""
    return dataclasses.replace(card, gib=gib, more={})


def answering(at: float, *slots: Slot) -> AnySample:
    """Return an answer of the model's own port."""
    return replace(answer(at, pid=PID, started=LOADED), slots=slots)


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
