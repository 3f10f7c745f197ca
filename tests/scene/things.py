"""What a machine is made of: cards, programs, files, and the slots of a server at work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from msgspec.structs import replace
from tests.fakes import process_samples as process_fakes
from tests.fakes import samples as fakes

from gpumon.collectors.samples import GpuFacts, GpuReading, HolderGroup, ModelWeights, Slot

MIB = 1024**2


@dataclass
class Gpu:
    """One card, healthy and at rest unless told otherwise."""

    gib: float = 24.0
    name: str | None = None
    reserved_gib: float | None = 0.5
    state: Literal["ok", "lost", "asleep", "failing"] = "ok"
    detail: str | None = None
    utilization: int | None = 10
    temperature: int | None = 50
    throttle: tuple[str, ...] | None = ()
    lists_processes: bool = True
    unowned_gib: float = 0.0
    """Used by nobody whom the driver lists."""
    facts: GpuFacts | None = None
    more: Mapping[str, object] = field(default_factory=dict)
    """Further fields of the reading."""

    def reading(self, index: int, held: Mapping[int, float]) -> GpuReading:
        """Return what the driver says of a card on which processes hold so many GiB."""
        used = sum(held.values()) + self.unowned_gib
        reading = fakes.gpu(
            index,
            state=self.state,
            detail=self.detail,
            used_gib=used,
            reserved_gib=self.reserved_gib,
            total_gib=self.gib,
            utilization=self.utilization,
            temperature=self.temperature,
            throttle=self.throttle,
            facts=self.facts,
        )
        if self.state == "ok" and self.lists_processes:
            reading = process_fakes.holding(reading, {pid: gib for pid, gib in held.items() if gib})
        return replace(reading, **{"name": self.name, **self.more})


@dataclass
class Program:
    """Somebody else on a GPU."""

    name: str
    gib: float
    pid: int = 200
    gpu: int = 0
    group: HolderGroup = "other"
    started: float | None = None


@dataclass
class Weights:
    """A Llama-like file: 32 layers, with 8 KV heads of 128 each 128 KiB of f16 cache a token."""

    layer_mib: int = 135
    architecture: str = "llama"
    experts: int = 0
    kv_heads: int = 8
    layers: int = 32
    parameters: Mapping[str, str] = field(default_factory=dict)
    """``PARAMETER`` lines of the Modelfile."""

    def fields(self) -> dict[str, Any]:
        """Return what the server says of the file."""
        a = self.architecture
        experts = {f"{a}.expert_count": self.experts, f"{a}.expert_used_count": 2} if self.experts else {}
        return {
            "trained_context_length": 131072,
            "layer_count": self.layers,
            "embedding_length": 4096,
            "parameter_count": 8_000_000_000,
            "geometry": {
                f"{a}.attention.head_count": 32,
                f"{a}.attention.head_count_kv": self.kv_heads,
                f"{a}.attention.key_length": 128,
                f"{a}.attention.value_length": 128,
                **experts,
            },
            "weights": ModelWeights(
                layer_bytes=(self.layer_mib * MIB,) * self.layers,
                expert_bytes=((self.layer_mib * MIB * 9 // 10) if self.experts else 0,) * self.layers,
                token_embedding_bytes=280 * MIB,
                output_bytes=410 * MIB,
                element_count=round((self.layer_mib * self.layers + 690) * MIB * 8 / 4.89),
            ),
            "parameters": dict(self.parameters),
        }


def working_slot(slot_id: int, task: int, prompt: int, decoded: int) -> Slot:
    """Return a slot that has generated so many tokens of an answer."""
    return Slot(
        slot_id=slot_id,
        context_length=262144,
        processing=True,
        task_id=task,
        prompt_tokens=prompt + decoded,
        prompt_tokens_processed=prompt,
        prompt_tokens_cached=0,
        decoded_tokens=decoded,
    )


def resting_slot(slot_id: int, task: int, prompt: int, decoded: int) -> Slot:
    """Return a slot after such an answer."""
    return Slot(
        slot_id=slot_id,
        context_length=262144,
        processing=False,
        task_id=task,
        prompt_tokens=prompt + decoded,
        prompt_tokens_processed=0,
        decoded_tokens=decoded,
    )
