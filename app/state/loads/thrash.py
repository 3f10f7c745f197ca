"""Thrash: a model loaded again and again, or two that make each other leave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from gpumon.app.state.records import FinishedLoad, ReloadCause, Thrash
from gpumon.app.state.records.load import identity
from gpumon.app.state.state import State

WINDOW_SECONDS = 600.0
LOADS_TOO_MANY = 3
EVICTIONS_TOO_MANY = 3
"""The first to come evicts nobody: three evictions in turn are two rounds."""

Pair = tuple[str, str]


def recount(state: State) -> None:
    """Find out anew who thrashes, from the loads of the last ten minutes."""
    begin = state.now - WINDOW_SECONDS
    recent = [load for load in state.finished_loads if load.outcome == "loaded" and load.ended > begin]
    pairs = _pairs(recent)
    paired = {name for pair in pairs for name in pair}
    state.thrash = {" and ".join(pair): _of_pair(pair, recent, pairs[pair]) for pair in pairs}
    for model, loads in _by_model(recent).items():
        thrash = _of_model(loads) if len(loads) >= LOADS_TOO_MANY else None
        if thrash is not None and not (thrash.cause == "memory" and loads[-1].name in paired):
            state.thrash[model] = thrash


def forget_thrash(state: State) -> None:
    """Count anew if one is over."""
    if any(thrash.until <= state.now for thrash in state.thrash.values()):
        recount(state)


def _by_model(loads: Sequence[FinishedLoad]) -> dict[str, list[FinishedLoad]]:
    models: dict[str, list[FinishedLoad]] = {}
    for load in loads:
        if (model := identity(load.settings)) is not None:
            models.setdefault(model, []).append(load)
    return models


def _of_model(loads: Sequence[FinishedLoad]) -> Thrash:
    cause = _most_frequent([load.reload_cause for load in loads if load.reload_cause is not None])
    changes = [load.changes for load in loads if load.changes]
    return Thrash(
        names=(loads[-1].name,),
        count=len(loads),
        cause=cause,
        changes=changes[-1] if cause == "settings" else (),
        since=loads[0].started,
        until=loads[-LOADS_TOO_MANY].ended + WINDOW_SECONDS,
    )


def _pairs(loads: Sequence[FinishedLoad]) -> dict[Pair, list[FinishedLoad]]:
    """Return the loads that evicted, by the two names, where each of them has made the other leave."""
    found: dict[Pair, list[FinishedLoad]] = {}
    for load in loads:
        for other in load.evicted:
            found.setdefault((min(load.name, other), max(load.name, other)), []).append(load)
    return {
        pair: evicting
        for pair, evicting in found.items()
        if len(evicting) >= EVICTIONS_TOO_MANY and len({load.name for load in evicting}) == 2
    }


def _of_pair(pair: Pair, loads: Sequence[FinishedLoad], evicting: Sequence[FinishedLoad]) -> Thrash:
    own = [load for load in loads if load.name in pair]
    return Thrash(
        names=pair,
        count=len(own),
        cause="memory",
        changes=(),
        since=own[0].started,
        until=evicting[-EVICTIONS_TOO_MANY].ended + WINDOW_SECONDS,
    )


def _most_frequent(causes: Sequence[ReloadCause]) -> ReloadCause | None:
    """Return the most frequent cause, of several the latest."""
    counts = Counter(causes)
    return max(reversed(causes), key=lambda cause: counts[cause], default=None)
