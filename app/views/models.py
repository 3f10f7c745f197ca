"""Rows of loaded models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from gpumon.app.picture.model import ModelPicture
from gpumon.app.picture.pictures import Pictures
from gpumon.app.views.page import trend
from gpumon.text import units
from gpumon.widgets.views import ModelRow

SortKey = Literal["spill", "name", "vram", "loaded"]
SORT_KEYS: tuple[SortKey, ...] = ("spill", "name", "vram", "loaded")


def model_rows(
    pictures: Pictures, sort: SortKey = "name", descending: bool = False, filter_text: str = ""
) -> tuple[ModelRow, ...]:
    """Return one row per loaded model whose name contains ``filter_text``, in the asked order."""
    wanted = filter_text.casefold()
    models = [model for model in pictures.models() if wanted in model.claim.name.casefold()]
    models.sort(key=_SORTS[sort], reverse=descending)
    return tuple(map(model_row, models))


_SORTS: dict[SortKey, Callable[[ModelPicture], float | str]] = {
    "name": lambda model: model.claim.name.casefold(),
    "vram": lambda model: -(model.gpu_bytes or 0),
    "spill": lambda model: -(model.placement.spill_fraction or 0.0),
    "loaded": lambda model: -model.first_seen,
}


def model_row(model: ModelPicture) -> ModelRow:
    """Return the row of one model."""
    claim, rates = model.claim, model.rates
    return ModelRow(
        key=model.id,
        name=model.label,
        level=model.level,
        runtime=model.runtime_label,
        quantization=claim.quantization,
        parameter_size=claim.parameter_size,
        gpu_bytes=model.gpu_bytes,
        gpu_is_measured=not model.claims_memory,
        ram_bytes=model.ram_bytes,
        processor=model.processor,
        spill_percent=model.spill_percent,
        measured_vram_bytes=model.measured_vram_bytes,
        context_length=claim.context_length,
        context_used_tokens=rates.context_tokens,
        decode_tokens_per_second=rates.decode_rate,
        rate_is_estimate=rates.is_estimate,
        rate_trend=trend(model.series.decode, model.at),
        spill_trend=trend(model.series.spill, model.at),
        state=model.doing,
        until=_until(model),
        time_left=model.time_left,
        notes=model.notes,
        age_seconds=model.age_seconds,
    )


def _until(model: ModelPicture) -> str:
    """Write when it is to be unloaded; nothing where that only repeats what it does."""
    words = model.until or units.UNKNOWN
    return "" if words.rstrip(".").casefold() == model.doing else words
