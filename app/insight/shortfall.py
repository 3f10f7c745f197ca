"""A model of which less is on the GPU than its server claims: what is missing, and how sure that is."""

from __future__ import annotations

from typing import Literal

from gpumon.app.insight.loaded import Loaded
from gpumon.app.state.holders.measured import TOLERANCE_BYTES
from gpumon.app.state.records import ModelRecord, RunnerRecord

Shortfall = Literal[
    "none",
    "unknown",
    "hidden_spill",  # a part that is claimed on the GPU is not there
    "silent_fallback",  # little or nothing of it is there
]

LITTLE_SHARE = 0.25
"""Below this share of the claim the driver sees little or nothing of the model."""

UNSURE_LOAD_SECONDS = 60.0
"""How long memory must stay below the claim where a model may still be loading, for all that is told."""

UNSETTLED_STATES = frozenset({"starting", "loading", "asleep"})
"""States of a runner in which its memory is not all there, and need not be."""


def shortfall(loaded: Loaded) -> Shortfall:
    """Tell what is missing on the GPU of what is claimed; an estimate must be far off to count."""
    claimed, measured = loaded.model.split.gpu_bytes, loaded.measured_bytes
    if claimed is None or measured is None or loaded.runner is None or loaded.agreement.kind == "unknown":
        return "unknown"
    if claimed < TOLERANCE_BYTES or loaded.agreement.kind != "driver_sees_less":
        return "none"
    if not _is_settled(loaded.model, loaded.runner):
        return "unknown"
    is_estimate = loaded.runner.kind.claim == "estimate"
    if measured >= claimed * LITTLE_SHARE:
        return "none" if is_estimate else "hidden_spill"
    return "none" if is_estimate and measured >= TOLERANCE_BYTES else "silent_fallback"


def is_load_over(runner: RunnerRecord) -> bool:
    """Whether a claimed runner is certain to be loaded: some kinds are claimed only then."""
    return runner.ready_since is not None or runner.kind.claimed_when_loaded


def may_load(loaded: Loaded, unsure_seconds: float = UNSURE_LOAD_SECONDS) -> bool:
    """Tell whether the model may still be loading: older servers claim it from the start of the load."""
    runner = loaded.runner
    if runner is None or is_load_over(runner):
        return False
    return runner.claimed_since is None or runner.seen - runner.claimed_since < unsure_seconds


def _is_settled(model: ModelRecord, runner: RunnerRecord) -> bool:
    """Tell whether claim and process were there when the driver measured, and it says so twice.

    While a model is loaded, unloaded or loaded anew with other options, the three are apart for a moment. The
    driver is asked more often than the server: any time since both have said the same will do.
    """
    claimed_since, confirmed = runner.claimed_since, runner.vram_confirmed
    steady_since = runner.vram_steady_since
    if claimed_since is None or steady_since is None or confirmed is None:
        return False
    if runner.answer is not None and runner.answer.state in UNSETTLED_STATES:
        return False
    since = claimed_since if runner.ready_since is None else max(claimed_since, runner.ready_since)
    return max(since, steady_since) <= min(model.seen, runner.seen, confirmed)
