"""A fit report for scripts; docs/fit.md describes the keys."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gpumon.app.diagnosis.fit.report import FitReport
from gpumon.app.physics.geometry import CacheType, NoGeometry
from gpumon.app.physics.hardware import Band


class TokenRate(msgspec.Struct, frozen=True):
    """An estimate: nine of ten measurements lie between ``low`` and ``high``."""

    low: float
    expected: float
    high: float


class FitDocument(msgspec.Struct, frozen=True):
    """What ``gpumon fit --json`` prints; ``null`` is not known."""

    fits: bool | None = None
    required_vram_bytes: int | None = None
    available_vram_bytes: int | None = None
    weights_bytes: int | None = None
    """A projector's included."""
    kv_cache_bytes: int | None = None
    overhead_bytes: int | None = None
    """Recurrent state, compute buffers, CUDA's own, and what earlier loads have taught."""
    max_context: dict[str, int | None] | None = None
    layers_on_gpu: int | None = None
    spill_fraction: float | None = None
    decode_tokens_per_second: TokenRate | None = None


def fit_document(report: FitReport | NoGeometry) -> FitDocument:
    """Return the report as it is printed; without a geometry nothing is known."""
    if isinstance(report, NoGeometry):
        return FitDocument()
    need, placement = report.need, report.placement
    weights = need.weights_bytes + need.projector_bytes
    return FitDocument(
        fits=report.fits,
        required_vram_bytes=report.required_vram_bytes,
        available_vram_bytes=report.available_vram_bytes,
        weights_bytes=weights,
        kv_cache_bytes=need.kv_cache_bytes,
        overhead_bytes=report.required_vram_bytes - weights - need.kv_cache_bytes,
        max_context=None if report.max_context is None else _by_name(report.max_context),
        layers_on_gpu=None if placement is None else placement.layers_on_gpu,
        spill_fraction=None if placement is None else placement.spill_fraction,
        decode_tokens_per_second=_rate(report.decode),
    )


def _by_name(contexts: Mapping[CacheType, int | None]) -> dict[str, int | None]:
    return {str(kind): tokens for kind, tokens in contexts.items()}


def _rate(band: Band | None) -> TokenRate | None:
    return None if band is None else TokenRate(*(round(value, 2) for value in band))
