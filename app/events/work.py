"""What requests do that is an event: one that fills its context."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gpumon.app.state.rates.figures import FinishedRequest, SlotRates
from gpumon.app.state.records import ModelKey, ModelRecord, RunnerRecord
from gpumon.app.state.state import Touched

SPARE_TOKENS = 2
"""A request is stopped, or loses its beginning, when the context has room for so few more."""


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
        yield from _full(model.key, request, length, _tokens(request))


def _full(
    key: ModelKey, request: SlotRates | FinishedRequest, length: int | None, tokens: int | None
) -> Iterator[Full]:
    if length and tokens is not None and tokens >= length - SPARE_TOKENS:
        yield Full(key, request.slot_id, request.task_id, length)


def _tokens(request: FinishedRequest) -> int | None:
    """Return the tokens that a request took of its context, prompt and answer."""
    if request.prompt_tokens is None or request.decoded_tokens is None:
        return request.context_tokens
    return request.prompt_tokens + request.decoded_tokens
