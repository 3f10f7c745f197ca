"""Rules about loaded models."""

from __future__ import annotations

from gpumon.app.alerts.rules import CLEAR, UNKNOWN, Finding, Limits
from gpumon.app.insight.faults import spill_fault
from gpumon.app.insight.wording import placement_words
from gpumon.app.state.records import ModelRecord
from gpumon.text.safe import visible


def spill(model: ModelRecord, limits: Limits, _active: bool) -> Finding:
    """Find model bytes in RAM, by the server's claim. To be asked only where a GPU is present."""
    split, level = model.split, spill_fault(model, limits.spill_bad_percent)
    if split.spill_fraction is None:
        return UNKNOWN
    if level is None:
        return CLEAR
    name = visible(model.claim.name)
    placement = placement_words(split)
    return Finding(
        level=level,
        subject=name,
        message=f"{name} spill: {placement}",
        further=f"{name} spilled further: {placement}",
        measure=split.spill_fraction * 100,
        step=limits.spill_further_percent,
    )
