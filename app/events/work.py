"""What is learned of requests: what became of a model's rate, and one that fills its context."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from gpumon.app.events.event import change_words
from gpumon.app.insight.full_context import is_full, tokens_of
from gpumon.app.state.rates.figures import FinishedRequest, SlotRates
from gpumon.app.state.rates.pace import WINDOW_SECONDS, Pace
from gpumon.app.state.records import ModelKey, ModelRecord, RunnerRecord
from gpumon.app.state.state import Touched

PACES_KEPT = 24
PACE_SECONDS = 2.5
"""Paces nearer to each other say the same: each is taken over seconds."""
MODELS_KEPT = 100


class Drop(NamedTuple):
    """What became of the decode rate of one request."""

    model: str
    """Harmless to draw."""
    before: float
    after: float

    @property
    def words(self) -> str:
        """Ready to draw, without the name."""
        return change_words(self.before, self.after)


class Paces:
    """How fast each model was in the last minutes, one request at a time; outlives its process."""

    def __init__(self) -> None:
        self._paces: dict[ModelKey, deque[Pace]] = {}

    def note(self, key: ModelKey, pace: Pace | None) -> None:
        """Remember a pace that was measured, unless it is the one before."""
        if pace is None:
            return
        paces = self._paces.get(key)
        if paces is None:
            paces = self._paces[key] = deque(maxlen=PACES_KEPT)
            if len(self._paces) > MODELS_KEPT:
                del self._paces[next(iter(self._paces))]
        if not paces or pace.time - paces[-1].time >= PACE_SECONDS:
            paces.append(pace)

    def change(self, key: ModelKey, at: float) -> tuple[float, float] | None:
        """Return the rates before ``at`` and the latest since, with as many requests at work."""
        paces = self._paces.get(key, ())
        before = next((pace for pace in reversed(paces) if pace.time <= at), None)
        after = next((pace for pace in reversed(paces) if pace.time >= at + WINDOW_SECONDS), None)
        if before is None or after is None or before.parallel != after.parallel:
            return None
        return before.tokens_per_second, after.tokens_per_second


class Full(NamedTuple):
    """A request that has filled its context."""

    key: ModelKey
    slot: int
    task: int | None
    context_length: int


def full_context(model: ModelRecord, runner: RunnerRecord | None, touched: Touched) -> Iterator[Full]:
    """Yield the requests of a model that have filled their contexts, at work or at their end."""
    rates = runner.rates if runner else model.served.meter.rates if model.served else None
    for slot in rates.slots if rates else ():
        yield from _full(model.key, slot, slot.context_length, slot.context_tokens)
    if runner is None:
        return
    length = runner.process.settings.context_length or runner.rates.context_length
    for request in touched.requests.get(runner.key, ()):
        yield from _full(model.key, request, length, tokens_of(request))


def _full(
    key: ModelKey, request: SlotRates | FinishedRequest, length: int | None, tokens: int | None
) -> Iterator[Full]:
    if length and is_full(tokens, length):
        yield Full(key, request.slot_id, request.task_id, length)
