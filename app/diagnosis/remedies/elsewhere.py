"""Remedies outside the load itself: others that leave the GPU, a smaller file, experts in RAM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec.structs import replace

from gpumon.app.diagnosis.arithmetic import Arithmetic
from gpumon.app.diagnosis.diagnosis import Remedy
from gpumon.app.diagnosis.rates import expected_fitting
from gpumon.app.diagnosis.remedies import commands
from gpumon.app.diagnosis.remedies.quantizations import smaller_files
from gpumon.app.diagnosis.room import Occupant
from gpumon.app.diagnosis.subject import Subject
from gpumon.app.diagnosis.words import needs_words, occupant_words
from gpumon.app.insight.wording import amount
from gpumon.app.physics.geometry import Geometry, Layer


def unload_model(subject: Subject, arithmetic: Arithmetic) -> Remedy | None:
    """Unload other models, and this one, so that it is loaded anew."""
    models = [one for one in arithmetic.room.occupants if one.kind == "model" and one.model is not None]
    enough = _fewest(models, arithmetic)
    if not enough:
        return None
    records = [subject.state.models[one.model] for one in enough if one.model in subject.state.models]
    command = commands.stop(*records, subject.model)
    words = f"unload {occupant_words(enough)}, then load it anew"
    return _freed("unload_model", words, command.line, enough, subject, arithmetic)


def free_process(subject: Subject, arithmetic: Arithmetic) -> Remedy | None:
    """End other processes, and load the model anew."""
    processes = [one for one in arithmetic.room.occupants if one.kind == "process"]
    enough = _fewest(processes, arithmetic)
    if not enough:
        return None
    words = f"end {occupant_words(enough)}, then load it anew"
    return _freed("free_process", words, None, enough, subject, arithmetic)


def smaller_quantization(subject: Subject, arithmetic: Arithmetic) -> Remedy | None:
    """Take the largest smaller file of the same model that fits."""
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
    )


def _has_whole_layers_in_ram(subject: Subject) -> bool:
    """Tell by the log that layers are in RAM as a whole: newer runtimes move experts first by themselves."""
    placement = subject.runner.placement if subject.runner else None
    if placement is None or placement.layers_on_gpu is None or placement.layer_count is None:
        return False
    return placement.layers_on_gpu < placement.layer_count and not placement.layers_overflowing


def _without_experts(geometry: Geometry, count: int) -> Geometry:
    lighter = tuple(_without_own(layer) for layer in geometry.layers[:count])
    return replace(geometry, layers=(*lighter, *geometry.layers[count:]))


def _without_own(layer: Layer) -> Layer:
    return replace(layer, weights_bytes=layer.weights_bytes - layer.expert_bytes, expert_bytes=0)
