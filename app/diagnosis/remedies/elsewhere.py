"""Remedies outside the load itself: others that leave the GPU, a smaller file, experts in RAM, the machine.

Sizes of smaller files go by the bits per weight of whole files, measured over Llama-3.1-8B; other models
differ by some percent, so they are "about".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from msgspec.structs import replace

from gpumon.app.diagnosis.arithmetic import Arithmetic
from gpumon.app.diagnosis.diagnosis import Cause, Remedy, Verdict, VerdictKind
from gpumon.app.diagnosis.remedies import commands
from gpumon.app.diagnosis.room import Occupant
from gpumon.app.diagnosis.subject import Subject, expected_fitting
from gpumon.app.diagnosis.words import closed_words, needs_words, occupant_words
from gpumon.app.insight.falls import costly_reasons
from gpumon.app.insight.wording import amount
from gpumon.app.physics.geometry import Geometry, Layer
from gpumon.app.state.records import GpuRecord
from gpumon.text import units

FILE_BITS: dict[str, float] = {
    "F16": 16.0,
    "Q8_0": 8.50,
    "Q6_K": 6.56,
    "Q5_K_M": 5.70,
    "Q4_K_M": 4.89,
    "IQ4_XS": 4.46,
    "Q3_K_M": 4.02,
    "Q3_K_S": 3.64,
    "IQ3_XXS": 3.25,
    "Q2_K": 3.16,
    "IQ2_XXS": 2.38,
}
"""Bits per weight of whole files, the largest first; below these a model loses too much to be advised."""
LEAST_STEP = 0.97
"""A file that is not smaller by this factor is the same size."""


class Smaller(NamedTuple):
    """A smaller file of a model."""

    name: str
    geometry: Geometry


def smaller_files(geometry: Geometry, present: str | None) -> Iterator[Smaller]:
    """Yield the smaller files of a model, the largest first; none where its bits per weight are not known."""
    bits = geometry.weight_bits or FILE_BITS.get((present or "").upper())
    if bits is None:
        return
    for name, wanted in FILE_BITS.items():
        if wanted < bits * LEAST_STEP:
            yield Smaller(name, _scaled(geometry, wanted / bits, wanted))


def _scaled(geometry: Geometry, factor: float, bits: float) -> Geometry:
    return replace(
        geometry,
        layers=tuple(_scaled_layer(layer, factor) for layer in geometry.layers),
        token_embedding_bytes=round(geometry.token_embedding_bytes * factor),
        output_bytes=None if geometry.output_bytes is None else round(geometry.output_bytes * factor),
        other_bytes=round(geometry.other_bytes * factor),
        host_bytes=round(geometry.host_bytes * factor),
        kept_output_bytes=round(geometry.kept_output_bytes * factor),
        draft_bytes=round(geometry.draft_bytes * factor),
        weight_bits=bits,
    )


def _scaled_layer(layer: Layer, factor: float) -> Layer:
    return replace(
        layer,
        weights_bytes=round(layer.weights_bytes * factor),
        expert_bytes=round(layer.expert_bytes * factor),
        kept_bytes=round(layer.kept_bytes * factor),
        kept_expert_bytes=round(layer.kept_expert_bytes * factor),
    )


def unload_model(subject: Subject, arithmetic: Arithmetic) -> Remedy | None:
    """Unload other models, and this one, so that it is loaded again."""
    models = [one for one in arithmetic.room.occupants if one.kind == "model" and one.model is not None]
    enough = _fewest(models, arithmetic)
    if not enough:
        return None
    records = [subject.state.models[one.model] for one in enough if one.model in subject.state.models]
    command = commands.stop(*records, subject.model)
    words = f"unload {occupant_words(enough)}, then load it again"
    return _freed("unload_model", words, command.line, enough, subject, arithmetic)


def free_process(subject: Subject, arithmetic: Arithmetic) -> Remedy | None:
    """End other processes, and load the model again."""
    processes = [one for one in arithmetic.room.occupants if one.kind == "process"]
    enough = _fewest(processes, arithmetic)
    if not enough:
        return None
    words = f"close {closed_words(enough)}, then load it again"
    return _freed("free_process", words, None, enough, subject, arithmetic)


def smaller_quantization(subject: Subject, arithmetic: Arithmetic) -> Remedy | None:
    """Suggest the largest smaller file of the same model that fits."""
    free = arithmetic.room.free_bytes
    candidates = smaller_files(arithmetic.geometry, subject.model.claim.quantization)
    found = next((one for one in candidates if arithmetic.fits(free, geometry=one.geometry)), None)
    if found is None:
        return None
    need = arithmetic.need_bytes(geometry=found.geometry)
    return Remedy(
        "smaller_quantization",
        f"take a smaller quantisation of it, {found.name}: about {amount(found.geometry.file_bytes)}",
        None,
        needs_words(need, arithmetic.room.free_total_bytes),
        frees_bytes=arithmetic.need_bytes() - need,
        need_bytes=need,
        expected_tokens_per_second=expected_fitting(
            arithmetic, subject.rates.usual_context_tokens, geometry=found.geometry
        ),
    )


def experts_to_cpu(subject: Subject, arithmetic: Arithmetic) -> Remedy | None:
    """Keep the experts of the fewest layers in RAM in place of whole layers, where the runtime does not."""
    geometry = arithmetic.geometry
    if not geometry.is_moe or not _has_whole_layers_in_ram(subject):
        return None
    for count in range(1, len(geometry.layers) + 1):
        lighter = _without_experts(geometry, count)
        if arithmetic.fits(arithmetic.room.free_bytes, geometry=lighter):
            command = subject.model.kind.set_expert_layers(count)
            need = arithmetic.need_bytes(geometry=lighter)
            return Remedy(
                "experts_to_cpu",
                f"keep the experts of {count} layers in RAM, and all else on the GPU",
                command.line,
                needs_words(need, arithmetic.room.free_total_bytes),
                frees_bytes=arithmetic.need_bytes() - need,
                where=command.where,
                need_bytes=need,
            )
    return None


def _fewest(occupants: Sequence[Occupant], arithmetic: Arithmetic) -> list[Occupant]:
    """Return the smallest one that is enough, else the fewest; none where all of them are not enough."""
    room = arithmetic.room
    if not occupants or arithmetic.fits(room.free_bytes):
        return []
    single = next((one for one in reversed(occupants) if arithmetic.fits(room.without([one]))), None)
    if single is not None:
        return [single]
    counts = range(2, len(occupants) + 1)
    enough = next((count for count in counts if arithmetic.fits(room.without(occupants[:count]))), 0)
    return list(occupants[:enough])


def _freed(
    action: Literal["unload_model", "free_process"],
    words: str,
    line: str | None,
    occupants: Sequence[Occupant],
    subject: Subject,
    arithmetic: Arithmetic,
) -> Remedy:
    return Remedy(
        action,
        words,
        line,
        needs_words(arithmetic.need_bytes(), sum(arithmetic.room.without(occupants))),
        frees_bytes=sum(one.vram_bytes for one in occupants),
        expected_tokens_per_second=expected_fitting(arithmetic, subject.rates.usual_context_tokens),
        need_bytes=arithmetic.need_bytes(),
    )


def _has_whole_layers_in_ram(subject: Subject) -> bool:
    """Return whether the log places whole layers in RAM: newer runtimes move experts first."""
    placement = subject.runner.placement if subject.runner else None
    if placement is None or placement.layers_on_gpu is None or placement.layer_count is None:
        return False
    return placement.layers_on_gpu < placement.layer_count and not placement.layers_overflowing


def _without_experts(geometry: Geometry, count: int) -> Geometry:
    lighter = tuple(_without_own(layer) for layer in geometry.layers[:count])
    return replace(geometry, layers=(*lighter, *geometry.layers[count:]))


def _without_own(layer: Layer) -> Layer:
    return replace(layer, weights_bytes=layer.weights_bytes - layer.expert_bytes, expert_bytes=0)


WITHOUT_GPU: frozenset[VerdictKind] = frozenset({"silent_fallback", "lost_gpu", "no_gpu_found"})
"""Verdicts after which no setting helps: the server has to find its GPU again."""


class MachineRemedies(NamedTuple):
    """Remedies, and whether nothing else would help."""

    remedies: tuple[Remedy, ...] = ()
    is_final: bool = False


def machine_remedies(subject: Subject, verdicts: tuple[Verdict, ...], cause: Cause | None) -> MachineRemedies:
    """Return what helps against what the machine does."""
    kinds = {verdict.kind for verdict in verdicts}
    if kinds & WITHOUT_GPU or (cause is not None and cause.kind == "gpu_not_used"):
        return MachineRemedies((_restart(subject),), is_final=True)
    found = [_cool_or_power(subject)] if "throttled" in kinds else []
    return MachineRemedies(tuple(remedy for remedy in found if remedy is not None))


def _restart(subject: Subject) -> Remedy:
    command = subject.model.kind.restart
    return Remedy(
        "restart_server",
        "restart the server, so that it looks for the GPU again",
        command.line,
        "the driver shows the GPU; the server looks for it only when it starts",
        frees_bytes=subject.split.ram_bytes,
        expected_tokens_per_second=subject.expected_fitting,
        where=command.where,
    )


def _cool_or_power(subject: Subject) -> Remedy | None:
    held = subject.runner.vram_by_gpu if subject.runner else {}
    gpus = [gpu for uuid, gpu in subject.state.gpus.items() if held.get(uuid)]
    slowed = next((gpu for gpu in gpus if costly_reasons(gpu.reading)), None)
    if slowed is None:
        return None
    return _raise_power(slowed) or _cool(slowed)


def _raise_power(gpu: GpuRecord) -> Remedy | None:
    """Advise the card's own power limit, where it is set lower and holds the clocks down."""
    limit, usual = gpu.reading.power_limit_watts, gpu.facts.power_limit_default_watts
    reasons = costly_reasons(gpu.reading) or ()
    if limit is None or usual is None or limit >= usual or not any("power" in one.lower() for one in reasons):
        return None
    return Remedy(
        "cool_or_power",
        f"raise the power limit to the card's own {units.watts(usual)}",
        f"sudo nvidia-smi -i {gpu.reading.index} -pl {usual:.0f}",
        f"the limit is {units.watts(limit)}, the card's own is {units.watts(usual)}",
    )


def _cool(gpu: GpuRecord) -> Remedy:
    now, slowdown = gpu.reading.temperature_celsius, gpu.facts.slowdown_celsius
    heat = f"it is at {units.celsius(now)}" if now is not None else "its clocks are held down"
    limit = f", it slows down at {units.celsius(slowdown)}" if slowdown is not None else ""
    words = f"improve the cooling or the power supply of GPU {gpu.reading.index}"
    return Remedy("cool_or_power", words, None, f"{heat}{limit}")
