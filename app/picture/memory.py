"""Where a model's memory is, and how its figures went, in the picture of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from msgspec import Struct

from gpumon.app.insight.agreement import Agreement, beyond_choice, placement_of
from gpumon.app.insight.left_out import LeftOut
from gpumon.app.insight.loaded import Loaded
from gpumon.app.insight.wording import processor_words, spill_percent
from gpumon.app.state.records import History
from gpumon.app.state.records.model import UNKNOWN_SPLIT, Split
from gpumon.app.state.series import Series
from gpumon.app.state.state import State
from gpumon.collectors.samples import NO_RESERVE, ModelClaim
from gpumon.text import units


class ModelSeries(NamedTuple):
    """How the figures of a model went, in its loads before too; series grow while they are looked at."""

    claimed_vram: Series
    claimed_ram: Series
    measured_vram: Series
    decode: Series
    prefill: Series
    context: Series
    """Tokens in the fullest slot."""


def series_of(history: History) -> ModelSeries:
    """Return the series of a model."""
    one = history
    return ModelSeries(one.vram, one.ram, one.measured_vram, one.decode, one.prefill, one.context)


class ModelMemory(Struct, frozen=True, kw_only=True, gc=False):
    """Where a model's memory is: by the claim, by the driver, and what the two amount to.

    ``None`` is unknown.
    """

    claims_memory: bool
    """Whether the server says where the model's memory is; else only the driver does."""
    gpu_bytes: int | None
    """On GPUs: by the claim or, where nothing is claimed, by the driver."""
    ram_bytes: int | None
    """In RAM: by the claim, else what its process holds without a GPU, else what its user keeps there."""
    ram_is_estimate: bool
    """Whether ``ram_bytes`` are reckoned, of what the user keeps there."""
    measured_vram_bytes: int | None
    """What the driver measures for its process over all GPUs."""
    measured_vram_by_gpu: dict[str, int] | None
    """The same by GPU UUID; ``None`` where the process is not known or nothing can be measured."""
    measurable: bool
    """Whether the driver can measure processes at all: not where MIG is on."""
    placement: Split
    """GPU and RAM part: claimed, or estimated of a server that claims nothing."""
    left_out: LeftOut | None
    """Weights that are on no GPU, of a server that claims nothing: an estimate."""
    agreement: Agreement
    """How claim and measurement compare."""
    spill_fraction: float | None
    """RAM part of the claim, 0 to 1."""
    spill_percent: str
    """How much of it is spilled, as every surface writes it: ``13%``, ``<1%``, ``~57%`` where estimated.

    Empty where nothing is, where the user chose the CPU, and where there is no GPU.
    """
    can_spill: bool
    """Whether a part in RAM is a spill: there is a GPU, and the user has not asked for the CPU."""
    has_no_gpu: bool
    """Whether it is on this machine, and that has none."""
    processor: str
    """As ``ollama ps`` prints it, but for traces: ``38%/62% CPU/GPU``, ``<1%/>99% CPU/GPU``."""
    by_choice: bool
    """Whether the user has asked for the CPU."""
    counts_weights_alone: bool = False
    """Whether what is claimed are weights alone, so that ``gpu_bytes`` are the driver's where it measures."""

    @property
    def gpu_is_measured(self) -> bool:
        """Whether ``gpu_bytes`` are those of the driver."""
        return not self.claims_memory or (self.counts_weights_alone and self.measured_vram_bytes is not None)


def _weights_in_ram(known: Loaded) -> int | None:
    """Return the weights that its server was told to keep in RAM, for all GPUs together."""
    reserve = known.runner.process.settings.reserve if known.runner else NO_RESERVE
    return (reserve.weights_in_ram_bytes or 0) * reserve.gpu_count or None


def model_memory(known: Loaded, state: State, measurable: bool) -> ModelMemory:
    """Put together where the memory of one model is."""
    record, runner, claims = known.model, known.runner, known.model.claims_memory
    split = UNKNOWN_SPLIT if known.activity == "gone" else record.split
    in_ram = not claims and state.holds_all_in_ram(record.key.source)
    is_told = in_ram or (known.by_choice and not claims)
    measured, placement = known.measured_bytes, placement_of(record, state)
    can_spill = known.gpu_known and not known.by_choice
    kept = None if claims or is_told else _weights_in_ram(known)
    on_gpu = split.gpu_bytes if claims else placement.gpu_bytes
    by_driver = record.kind.makes_pictures and measured is not None  # what is claimed are weights alone
    spilled = beyond_choice(placement, known.left_out) if can_spill else UNKNOWN_SPLIT
    return ModelMemory(
        claims_memory=claims,
        gpu_bytes=measured if by_driver or not (claims or is_told) else on_gpu,
        ram_bytes=placement.ram_bytes if is_told else kept if split.ram_bytes is None else split.ram_bytes,
        ram_is_estimate=(is_told and not in_ram) or bool(kept),
        measured_vram_bytes=measured,
        measured_vram_by_gpu=dict(runner.vram_by_gpu) if runner and measurable else None,
        measurable=measurable,
        placement=placement,
        left_out=known.left_out,
        agreement=known.agreement,
        spill_fraction=split.spill_fraction,
        spill_percent=spill_percent(spilled, estimated=not claims),
        processor="Unknown" if placement.spill_fraction is None and claims else processor_words(record),
        can_spill=can_spill,
        has_no_gpu=state.lacks_gpu_at(record.key.source),
        by_choice=known.by_choice,
        counts_weights_alone=record.kind.makes_pictures,
    )


def claim_notes(claim: ModelClaim) -> Iterator[str]:
    """Say so where a claim makes no sense: more on the GPU than there is of the model."""
    size, on_gpu = claim.size_bytes, claim.size_vram_bytes
    if size is not None and on_gpu is not None and on_gpu > size:
        yield f"claim not plausible: {units.size(on_gpu)} on GPU of {units.size(size)} in all"


def agreement_notes(agreement: Agreement) -> Iterator[str]:
    """Say by how much the driver differs from the claim, and why where that is known."""
    if agreement.difference_bytes is None or agreement.kind in {"agrees", "unknown"}:
        return
    sees = "more" if agreement.kind == "driver_sees_more" else "less"
    because = f": {agreement.cause}" if agreement.cause else ""
    yield f"driver sees {units.size(abs(agreement.difference_bytes))} {sees} than claimed{because}"
