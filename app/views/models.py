"""Model rows from the state."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from gpumon.app.insight.activity import activity
from gpumon.app.insight.agreement import Agreement, agreement_of
from gpumon.app.insight.expiry import FOREVER_YEARS, seconds_left
from gpumon.app.insight.wording import model_id
from gpumon.app.state.measured import measured_vram_bytes, runner_of
from gpumon.app.state.rate_values import RunnerRates
from gpumon.app.state.records import ModelRecord
from gpumon.app.state.state import State
from gpumon.app.views.gpus import trend
from gpumon.app.views.levels import Levels
from gpumon.text import units
from gpumon.widgets.views import ModelRow

NO_RATES = RunnerRates()

SortKey = Literal["name", "vram", "spill", "loaded"]
SORT_KEYS: tuple[SortKey, ...] = ("name", "vram", "spill", "loaded")

FOREVER_SECONDS = FOREVER_YEARS * 365 * 86400.0


def model_rows(
    state: State,
    levels: Levels,
    sort: SortKey = "name",
    descending: bool = False,
    filter_text: str = "",
) -> tuple[ModelRow, ...]:
    """Return one row per loaded model whose name contains ``filter_text``, in the asked order."""
    wanted = filter_text.casefold()
    records = [record for record in state.models.values() if wanted in record.claim.name.casefold()]
    records.sort(key=lambda record: record.claim.name)
    records.sort(key=_SORTS[sort], reverse=descending)
    return tuple(model_row(record, state, levels) for record in records)


_SORTS: dict[SortKey, Callable[[ModelRecord], float | str]] = {
    "name": lambda record: record.claim.name.casefold(),
    "vram": lambda record: -(record.split.gpu_bytes or 0),
    "spill": lambda record: -(record.split.spill_fraction or 0.0),
    "loaded": lambda record: -record.first_seen,
}


def model_row(record: ModelRecord, state: State, levels: Levels) -> ModelRow:
    """Return the row of one model."""
    claim, split = record.claim, record.split
    source = state.sources.get(record.key.source)
    remaining = seconds_left(record, state)
    runner = runner_of(record, state)
    rates = runner.rates if runner else NO_RATES
    return ModelRow(
        key=model_id(record.key),
        name=claim.name,
        level=levels.of(model_id(record.key), known=split.spill_fraction is not None),
        runtime="Ollama",
        quantization=claim.quantization,
        parameter_size=claim.parameter_size,
        gpu_bytes=split.gpu_bytes,
        ram_bytes=split.ram_bytes,
        processor=record.processor,
        spill_fraction=split.spill_fraction,
        measured_vram_bytes=measured_vram_bytes(record, state),
        context_length=claim.context_length,
        context_used_tokens=rates.context_tokens,
        decode_tokens_per_second=rates.decode_rate,
        rate_trend=trend(record.decode, state.now),
        spill_trend=trend(record.spill, state.now),
        state=activity(record, state) or state_words(remaining),
        expires=expiry_words(remaining),
        notes=agreement_notes(agreement_of(record, state)),
        age_seconds=source.age(state.now) if source else None,
    )


def agreement_notes(agreement: Agreement) -> tuple[str, ...]:
    """Say by how much the driver differs from the claim, and why where that is known."""
    if agreement.difference_bytes is None or agreement.kind in {"agrees", "unknown"}:
        return ()
    sees = "more" if agreement.kind == "driver_sees_more" else "less"
    because = f": {agreement.cause}" if agreement.cause else ""
    return (f"driver sees {units.size(abs(agreement.difference_bytes))} {sees} than claimed{because}",)


def state_words(remaining: float | None) -> str:
    """Name the state as far as ``/api/ps`` tells it.

    An expiry in the past is what Ollama shows for a request that outlasts the keep-alive as well as for a
    model that is being stopped.
    """
    if remaining is None:
        return ""
    return "busy or stopping" if remaining < 0 else "loaded"


def expiry_words(remaining: float | None) -> str:
    """Write the time until unloading."""
    if remaining is None or math.isnan(remaining):
        return units.UNKNOWN
    if remaining > FOREVER_SECONDS:
        return "never"
    return units.duration(remaining) if remaining >= 0 else "now"
