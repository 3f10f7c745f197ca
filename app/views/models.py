"""Model rows from the state."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from typing import TYPE_CHECKING, Literal

from gpumon.app.insight.activity import FOREVER_SECONDS, seconds_left, state_words, until_words
from gpumon.app.insight.agreement import Agreement, agreement_of, logged_in_ram
from gpumon.app.insight.left_out import LeftOut, left_out, placement_of
from gpumon.app.insight.wording import model_id, model_label, runtime_name, shared_names
from gpumon.app.state.holders.measured import measured_vram_bytes
from gpumon.app.state.records import ModelRecord
from gpumon.app.state.state import State
from gpumon.app.state.work import rates_of
from gpumon.app.views.facts.spill import spill_notes
from gpumon.app.views.gpus import trend
from gpumon.app.views.levels import Levels
from gpumon.text import units
from gpumon.widgets.views import ModelRow

if TYPE_CHECKING:
    from gpumon.app.diagnosis.diagnosis import Diagnosis

    Diagnose = Callable[[ModelRecord], Diagnosis | None]
    """Gives the diagnosis of a model that spills."""

SortKey = Literal["spill", "name", "vram", "loaded"]
SORT_KEYS: tuple[SortKey, ...] = ("spill", "name", "vram", "loaded")


def model_rows(
    state: State,
    levels: Levels,
    sort: SortKey = "name",
    descending: bool = False,
    filter_text: str = "",
    diagnosis: Diagnose = lambda _record: None,
) -> tuple[ModelRow, ...]:
    """Return one row per loaded model whose name contains ``filter_text``, in the asked order."""
    wanted = filter_text.casefold()
    records = [record for record in state.models.values() if wanted in record.claim.name.casefold()]
    records.sort(key=lambda record: record.claim.name)
    records.sort(key=lambda record: _SORTS[sort](record, state), reverse=descending)
    shared = shared_names(state.models.values())
    return tuple(model_row(record, state, levels, shared, diagnosis(record)) for record in records)


_SORTS: dict[SortKey, Callable[[ModelRecord, State], float | str]] = {
    "name": lambda record, _: record.claim.name.casefold(),
    "vram": lambda record, state: -(_gpu_bytes(record, state) or 0),
    "spill": lambda record, state: -(placement_of(record, state).spill_fraction or 0.0),
    "loaded": lambda record, _: -record.first_seen,
}


def model_row(
    record: ModelRecord,
    state: State,
    levels: Levels,
    shared: Container[str],
    diagnosis: Diagnosis | None = None,
) -> ModelRow:
    """Return the row of one model; ``shared`` names stand with the server."""
    claim, split = record.claim, record.split
    source = state.sources.get(record.key.source)
    doing = state_words(record, state)
    rates = rates_of(record, state)
    return ModelRow(
        key=model_id(record.key),
        name=model_label(record, shared),
        level=levels.of(model_id(record.key), known=placement_of(record, state).spill_fraction is not None),
        runtime=runtime_name(record.runtime),
        quantization=claim.quantization,
        parameter_size=claim.parameter_size,
        gpu_bytes=_gpu_bytes(record, state),
        gpu_is_measured=not record.claims_memory,
        ram_bytes=split.ram_bytes,
        processor=record.processor,
        spill_fraction=split.spill_fraction,
        measured_vram_bytes=measured_vram_bytes(record, state),
        context_length=claim.context_length,
        context_used_tokens=rates.context_tokens,
        decode_tokens_per_second=rates.decode_rate,
        rate_is_estimate=rates.is_estimate,
        rate_trend=trend(record.decode, state.now),
        spill_trend=trend(record.spill, state.now),
        state=doing,
        until=_until(record, state, doing),
        time_left=_time_left(record, state),
        notes=(*_notes(record, state), *spill_notes(diagnosis)),
        age_seconds=source.age(state.now) if source else None,
    )


def _notes(record: ModelRecord, state: State) -> Iterator[str]:
    yield from claim_notes(record)
    yield from agreement_notes(agreement_of(record, state))
    if logged_in_ram(record, state):
        yield "all of it in RAM by the server's log"
    yield from left_out_notes(left_out(record, state))


def _until(record: ModelRecord, state: State, doing: str) -> str:
    """Write when it is to be unloaded; nothing where that only repeats what it does."""
    words = until_words(record, state) or units.UNKNOWN
    return "" if words.rstrip(".").casefold() == doing else words


def claim_notes(record: ModelRecord) -> tuple[str, ...]:
    """Say so where a claim makes no sense: more on the GPU than there is of the model."""
    size, on_gpu = record.claim.size_bytes, record.claim.size_vram_bytes
    if size is None or on_gpu is None or on_gpu <= size:
        return ()
    return (f"claim not plausible: {units.size(on_gpu)} on GPU of {units.size(size)} in all",)


def _gpu_bytes(record: ModelRecord, state: State) -> int | None:
    """Return what is on GPUs: by the claim, of a server that claims nothing by the driver."""
    if record.claims_memory:
        return record.split.gpu_bytes
    return measured_vram_bytes(record, state)


def left_out_notes(found: LeftOut | None) -> tuple[str, ...]:
    """Say what seems to be in RAM of a model whose server does not tell."""
    if found is None or not found.bytes:
        return ()
    return (f"about {units.size(found.bytes)} of its {units.size(found.weights_bytes)} in RAM (estimate)",)


def _time_left(record: ModelRecord, state: State) -> str:
    remaining = seconds_left(record, state)
    return units.countdown(remaining) if remaining is not None and 0 <= remaining < FOREVER_SECONDS else ""


def agreement_notes(agreement: Agreement) -> tuple[str, ...]:
    """Say by how much the driver differs from the claim, and why where that is known."""
    if agreement.difference_bytes is None or agreement.kind in {"agrees", "unknown"}:
        return ()
    sees = "more" if agreement.kind == "driver_sees_more" else "less"
    because = f": {agreement.cause}" if agreement.cause else ""
    return (f"driver sees {units.size(abs(agreement.difference_bytes))} {sees} than claimed{because}",)
