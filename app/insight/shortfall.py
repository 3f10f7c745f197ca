"""A model of which less is on the GPU than its server claims: what is missing, and how sure that is."""

from __future__ import annotations

from typing import Literal

from gpumon.app.insight.agreement import ESTIMATING_RUNNERS, TOLERANCE_BYTES
from gpumon.app.insight.loaded import Loaded
from gpumon.app.state.records import ModelRecord, RunnerRecord

Shortfall = Literal[
    "none",
    "unknown",
    "hidden_spill",  # a part that is claimed on the GPU is not there
    "silent_fallback",  # little or nothing of it is there
]

LITTLE_SHARE = 0.25
"""Below this share of the claim the driver sees little or nothing of the model."""

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
    is_estimate = loaded.runner.process.kind in ESTIMATING_RUNNERS
    if measured >= claimed * LITTLE_SHARE:
        return "none" if is_estimate else "hidden_spill"
    return "none" if is_estimate and measured >= TOLERANCE_BYTES else "silent_fallback"


def is_load_over(runner: RunnerRecord) -> bool:
    """Tell whether a claimed runner is certain to be loaded: a llama-server is claimed only then."""
    return runner.ready_since is not None or runner.process.kind == "llama_server"


def _is_settled(model: ModelRecord, runner: RunnerRecord) -> bool:
    """Tell whether claim and process were there when the driver measured, and it says so twice.

    While a model is loaded, unloaded or loaded anew with other options, the three are apart for a moment.
    """
    claimed_since, measured_at = runner.claimed_since, runner.vram_confirmed
    if claimed_since is None or measured_at is None:
        return False
    if runner.answer is not None and runner.answer.state in UNSETTLED_STATES:
        return False
    since = claimed_since if runner.ready_since is None else max(claimed_since, runner.ready_since)
    return since <= measured_at <= min(model.seen, runner.seen)
