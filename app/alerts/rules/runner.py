"""Rules about what a server claims of a model and what its process really does."""

from __future__ import annotations

from gpumon.app.alerts.finding import CLEAR, UNKNOWN, Finding
from gpumon.app.alerts.limits import Limits
from gpumon.app.insight.agreement import Loaded, may_load, shortfall
from gpumon.app.insight.wording import amount

BUSY_CPU_PERCENT = 100.0
"""One core at work all the time."""


def silent_fallback(loaded: Loaded, limits: Limits, _active: bool) -> Finding:
    """Find a model that is claimed on the GPU of which little or nothing is there."""
    found = shortfall(loaded)
    if found != "silent_fallback":
        return UNKNOWN if found == "unknown" else CLEAR
    if may_load(loaded, limits.unsure_load_seconds):
        return UNKNOWN
    name, server = loaded.label, loaded.model.kind.label
    seen = (
        f"the driver sees {amount(loaded.measured_bytes)}"
        if loaded.measured_bytes
        else "the driver sees nothing"
    )
    busy = ", and it is busy on the CPU" if _cpu_percent(loaded) >= BUSY_CPU_PERCENT else ""
    return Finding(
        level="bad",
        subject=name,
        message=f"{name} silent fallback: {server} claims {_claimed(loaded)} on GPU, {seen}{busy}",
    )


def hidden_spill(loaded: Loaded, limits: Limits, _active: bool) -> Finding:
    """Find a model of which a part is claimed on the GPU and is not there."""
    found = shortfall(loaded)
    if found != "hidden_spill":
        return UNKNOWN if found == "unknown" else CLEAR
    if may_load(loaded, limits.unsure_load_seconds):
        return UNKNOWN
    name = loaded.label
    seen = f"the driver sees {amount(loaded.measured_bytes or 0)} of the {_claimed(loaded)}"
    return Finding(
        level="bad",
        subject=name,
        message=f"{name} hidden spill: {seen} that {loaded.model.kind.label} claims on GPU",
        hold_seconds=limits.hold_seconds,
    )


def stuck(loaded: Loaded, _limits: Limits, _active: bool) -> Finding:
    """Find a model that should have been unloaded, does nothing, and does not go (ollama#7779, #13234)."""
    if loaded.activity is None:
        return UNKNOWN
    if loaded.activity != "stuck":
        return CLEAR
    name, held = loaded.label, loaded.measured_bytes
    process = f"; process {loaded.runner.key.pid}" if loaded.runner else ""
    return Finding(
        level="watch",
        subject=name,
        message=f"{name} is stuck: it should have been unloaded and does nothing{process}"
        + (f" holds {amount(held)} of VRAM" if process and held else ""),
    )


def _claimed(loaded: Loaded) -> str:
    return amount(loaded.model.split.gpu_bytes or 0)


def _cpu_percent(loaded: Loaded) -> float:
    percent = loaded.runner.process.cpu_percent if loaded.runner else None
    return percent or 0.0
