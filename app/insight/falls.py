"""A model that generates more slowly than it usually does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from gpumon.app.state.holders.measured import runner_of
from gpumon.app.state.learned.baselines import circumstances, counted, nearest
from gpumon.app.state.rates.pace import Pace
from gpumon.app.state.records import (
    STALE_AFTER_SECONDS,
    BaselineKey,
    ModelKey,
    ModelRecord,
    RunnerRecord,
)
from gpumon.app.state.state import State
from gpumon.collectors.samples import RateBaseline
from gpumon.text import units

SLOWER_PERCENT = 20.0
"""A smaller fall is noise, whatever the spread."""
SPREADS = 4.0
"""Median absolute deviations below the median: 2.7 standard deviations."""
HARDER_WORK_SHARE = 0.5
"""Of a rate with a shorter context or fewer requests: what is slower by nature counts from here."""
WEIGHTS_BOUND_TOKENS = 8192
"""Up to such a context reading the weights takes longest; beyond, a rate may fall as the context grows."""


class Comparison(NamedTuple):
    """A rate beside the usual one."""

    pace: Pace
    usual: RateBaseline
    now: BaselineKey
    then: BaselineKey
    """The circumstances of the usual rate; the same as ``now`` where there is one for them."""
    is_below: bool

    @property
    def lost_percent(self) -> float:
        """By how much it is slower; negative if it is faster."""
        return (1 - self.pace.tokens_per_second / self.usual.decode_tokens_per_second) * 100

    @property
    def words(self) -> str:
        """Ready to draw, after a name: ``is slower than usual: 12 tok/s instead of 30 tok/s``."""
        now, usual = self.pace.tokens_per_second, self.usual.decode_tokens_per_second
        return f"is slower than usual: {units.rate(now)} instead of {units.rate(usual)}"


class Paced(NamedTuple):
    """A model of which a rate was measured, and the state that explains it."""

    model: ModelRecord
    runner: RunnerRecord
    pace: Pace
    state: State


def paced_of(model: ModelRecord, state: State) -> Paced | None:
    """Return a model with the rate that was measured last; ``None`` where none was since it was loaded."""
    runner = runner_of(model, state)
    if runner is None or runner.pace.latest is None:
        return None
    return Paced(model, runner, runner.pace.latest, state)


def paced_models(state: State) -> Mapping[ModelKey, Paced]:
    """Return the models of which a rate was measured."""
    found = ((key, paced_of(model, state)) for key, model in state.models.items())
    return {key: paced for key, paced in found if paced is not None}


def compare(paced: Paced, percent: float = SLOWER_PERCENT, *, active: bool = False) -> Comparison | None:
    """Compare what a model does with what is usual; ``None`` at rest, or where nothing is usual yet.

    ``active`` tells that it was found to be slow a moment ago: it must then come half the way back, and a
    spill is measured against the rate before it, though the slow one is about to become the usual.
    """
    pace, state = paced.pace, paced.state
    if state.now - pace.time > STALE_AFTER_SECONDS:
        return None
    now = circumstances(state, paced.model, pace.context_tokens, pace.parallel)
    found = _reference(state, now, active=active) if now is not None else None
    if now is None or found is None:
        return None
    then, usual = found
    is_below = pace.tokens_per_second < _lowest(pace, usual, now, then, percent, active=active)
    return Comparison(pace, usual, now, then, is_below)


def _reference(state: State, now: BaselineKey, *, active: bool) -> tuple[BaselineKey, RateBaseline] | None:
    own = counted(state.learned, now)
    is_spilled = bool(now.spill_percent_up_to)
    if own is not None and not (active and is_spilled):
        return now, own
    other = nearest(state.learned, now, spilled_too=not (active and is_spilled))
    return other if other is not None or own is None else (now, own)


def _lowest(
    pace: Pace,
    usual: RateBaseline,
    now: BaselineKey,
    then: BaselineKey,
    percent: float,
    *,
    active: bool,
) -> float:
    """Return the rate below which it is slower than usual."""
    rate, ease = usual.decode_tokens_per_second, 0.5 if active else 1.0
    if now.parallel > then.parallel or now.context_tokens_up_to > then.context_tokens_up_to:
        return rate * (1 - (1 - HARDER_WORK_SHARE) * (0.8 if active else 1.0))
    margin = max(SPREADS * usual.spread_tokens_per_second, rate * percent / 100)
    return rate * _context_share(pace, usual) - margin * ease


def _context_share(pace: Pace, usual: RateBaseline) -> float:
    """Return what is left of a rate where reading a longer context is all that takes time."""
    before = max(usual.context_tokens or 0, WEIGHTS_BOUND_TOKENS)
    return min(1.0, before / max(pace.context_tokens, WEIGHTS_BOUND_TOKENS))
