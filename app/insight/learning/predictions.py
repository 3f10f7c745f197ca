"""What each load was expected to take beside what it was measured to take; the error corrects the next.

Everything but the number of GPUs is known before the load: the shape of the file, the options, and what
earlier loads and requests on this machine have taught. A prediction is made from those as soon as the server
has described the file, which it does once; what is measured of the same load never enters it.
"""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from gpumon.app.insight.learning.baselines import gpus_in_use
from gpumon.app.insight.shapes import load_options, shape_of
from gpumon.app.physics.geometry import NoGeometry
from gpumon.app.physics.memory import memory_need
from gpumon.app.state.holders.measured import hidden_spill_fraction
from gpumon.app.state.records import (
    LearnedRecord,
    MemoryKey,
    ModelKey,
    ModelRecord,
    Prediction,
    RunnerRecord,
)
from gpumon.app.state.state import State
from gpumon.collectors.samples import UNSETTLED_STATES, MemoryCorrection

OBSERVATIONS_KEPT = 20
"""A correction is the median of so many of the last loads."""
PLAUSIBLE_SHARE = 0.5
"""Of the prediction; a larger difference is no property of the machine, and teaches nothing."""


def follow_predictions(state: State, touched: Iterable[ModelKey]) -> None:
    """Estimate the loads of ``touched`` models of which enough is known, and compare those that are over."""
    for key in touched:
        model = state.models.get(key)
        runner = state.runner_of(model) if model else None
        if model is None or model.facts is None or runner is None:
            continue
        if _is_done(runner, model) or not _is_loaded(runner):
            continue
        if runner.described is not model.facts:
            runner.described = model.facts
            runner.prediction = _predicted(state, model, runner)
        if runner.prediction is not None and runner.prediction.measured_vram_bytes is None:
            _compare(state, model, runner, runner.prediction)


def memory_correction(learned: LearnedRecord, digest: str, gpu_uuids: tuple[str, ...]) -> int:
    """Return the bytes by which predictions for a model on these GPUs were too small; 0 before any load."""
    correction = learned.memory.get(MemoryKey(digest, gpu_uuids))
    return correction.difference_bytes if correction else 0


def _is_done(runner: RunnerRecord, model: ModelRecord) -> bool:
    """Return whether all that can be has been estimated of a load, and compared."""
    prediction = runner.prediction
    compared = prediction is None or prediction.measured_vram_bytes is not None
    return compared and runner.described is model.facts


def _is_loaded(runner: RunnerRecord) -> bool:
    """Return whether its memory is all there, and the driver has said so twice."""
    if runner.vram_confirmed is None or runner.claimed_since is None:
        return False
    if runner.answer is not None and runner.answer.state in UNSETTLED_STATES:
        return False
    return runner.vram_confirmed >= max(runner.claimed_since, runner.ready_since or 0.0)


def _predicted(state: State, model: ModelRecord, runner: RunnerRecord) -> Prediction | None:
    geometry, options = shape_of(model, state), load_options(model, runner, state)
    uuids = gpus_in_use(state, model, runner)
    if isinstance(geometry, NoGeometry) or options is None or not uuids:
        return None
    need = memory_need(geometry, options, len(uuids))
    correction = memory_correction(state.learned, model.key.digest, uuids)
    expected_bytes = max(0.0, need.total.expected + correction)
    return Prediction(uuids, need.total_bytes, expected_bytes)


def _compare(state: State, model: ModelRecord, runner: RunnerRecord, prediction: Prediction) -> None:
    measured = runner.measured_vram_bytes
    if not measured or model.split.spill_fraction != 0 or hidden_spill_fraction(model, runner):
        return
    prediction.measured_vram_bytes = measured
    difference, learned = measured - prediction.uncorrected_vram_bytes, state.learned
    if abs(difference) > PLAUSIBLE_SHARE * prediction.uncorrected_vram_bytes:
        return
    key = MemoryKey(model.key.digest, prediction.gpu_uuids)
    learned.memory[key] = _renewed(learned.memory.get(key), key, difference, state.now)
    state.touched.learned = True
    learned.bound()


def _renewed(
    before: MemoryCorrection | None, key: MemoryKey, difference_bytes: int, now: float
) -> MemoryCorrection:
    recent = (*(before.recent_bytes if before else ()), difference_bytes)[-OBSERVATIONS_KEPT:]
    return MemoryCorrection(
        digest=key.digest,
        gpu_uuids=key.gpu_uuids,
        difference_bytes=round(median(recent)),
        observation_count=(before.observation_count if before else 0) + 1,
        updated=max(now, before.updated) if before else now,
        recent_bytes=recent,
    )
