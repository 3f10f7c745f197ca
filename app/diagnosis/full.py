"""How fast a model is where all of it is on GPUs: an estimate, or what was measured where that is more."""

from __future__ import annotations

from typing import NamedTuple

from gpumon.app.diagnosis.subject import subject_of
from gpumon.app.insight.agreement import Loaded
from gpumon.app.insight.learning.baselines import usual_on_gpu
from gpumon.app.insight.shapes import Shapes
from gpumon.app.physics.hardware import Band
from gpumon.app.state.state import State

BAND_SPREADS = 3.0
"""Median absolute deviations in which about nine of ten rates lie, with some room: 2 standard deviations."""


class FullRate(NamedTuple):
    """In tokens per second, with the range in which about nine of ten measurements lie."""

    tokens_per_second: float
    low: float
    high: float
    is_measured: bool
    """Whether it is a rate that was seen; else it is an estimate."""


def estimated_full(known: Loaded, state: State, shapes: Shapes) -> Band | None:
    """Estimate the rate of one request: by arithmetic, or where that cannot be done by what is usual."""
    subject = subject_of(known, state, shapes.of(known.model, state))
    if subject.expected_fitting is not None:
        return subject.expected_fitting
    usual = usual_on_gpu(state, known.model)
    if usual is None:
        return None
    rate, spread = usual.decode_tokens_per_second, BAND_SPREADS * usual.spread_tokens_per_second
    return Band(max(0.0, rate - spread), rate, rate + spread)


def full_rate(
    estimate: Band | None, now: float | None, best: float | None, *, on_gpu: bool
) -> FullRate | None:
    """Return the best of what is estimated and what was seen.

    ``best`` was seen while all of it was on GPUs, and ``now`` is of whatever holds it now: an estimate below
    either is wrong. Nothing is known where nothing was estimated and it never was wholly ``on_gpu``.
    """
    seen = max((rate for rate in (now if estimate or on_gpu else None, best) if rate), default=None)
    if estimate is not None and (seen is None or seen <= estimate.expected):
        return FullRate(estimate.expected, estimate.low, estimate.high, is_measured=False)
    if seen is None:
        return None
    high = seen if estimate is None else max(seen, estimate.high)
    return FullRate(seen, seen, high, is_measured=True)
