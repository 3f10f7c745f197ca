"""Rules about loaded models."""

from __future__ import annotations

from gpumon.app.alerts.finding import CLEAR, UNKNOWN, Finding
from gpumon.app.alerts.limits import Limits
from gpumon.app.insight.agreement import Loaded
from gpumon.app.insight.faults import spill_fault
from gpumon.app.insight.wording import amount, placement_words


def spill(loaded: Loaded, limits: Limits, _active: bool) -> Finding:
    """Find model bytes in RAM, by the server's claim. To be asked only where a GPU is present."""
    model, split = loaded.model, loaded.model.split
    level = spill_fault(model, limits.spill_bad_percent, by_choice=loaded.by_choice)
    if split.spill_fraction is None:
        return UNKNOWN
    if level is None:
        return CLEAR
    name = loaded.label
    placement = f"{placement_words(split)}{_no_gpu_words(loaded)}"
    return Finding(
        level=level,
        subject=name,
        message=f"{name} spill: {placement}",
        further=f"{name} spilled further: {placement}",
        measure=split.spill_fraction * 100,
        step=limits.spill_further_percent,
    )


def likely_spill(loaded: Loaded, limits: Limits, _active: bool) -> Finding:
    """Find weights that cannot be on a GPU, of a server that says nothing of it: an estimate."""
    found = loaded.left_out
    if found is None:
        return UNKNOWN
    if found.bytes == 0 or loaded.by_choice:
        return CLEAR
    name = loaded.label
    weights = f"about {amount(found.bytes)} of {amount(found.weights_bytes)} of weights in RAM"
    seen = f"estimate: the driver sees {amount(found.measured_bytes)}"
    return Finding(
        level="watch",
        subject=name,
        message=f"{name} likely spill: {weights} ({seen})",
        hold_seconds=limits.hold_seconds,
        measure=found.bytes / found.weights_bytes * 100,
    )


def _no_gpu_words(loaded: Loaded) -> str:
    """Say why nothing is on a GPU, where the process tells."""
    if loaded.model.split.gpu_bytes != 0:
        return ""
    if loaded.by_choice:
        return "; on the CPU by choice (num_gpu 0)"
    return "; its process is on no GPU" if loaded.measured_bytes == 0 else ""
