"""A context that requests fill: whether they do, and what that means for them."""

from __future__ import annotations

from typing import NamedTuple

from gpumon.app.state.rates.figures import FinishedRequest
from gpumon.app.state.records import ModelRecord
from gpumon.app.state.state import State
from gpumon.app.state.work import own_rates, requests_of
from gpumon.text import units

SPARE_TOKENS = 2
"""A request is stopped, or loses its beginning, when the context has room for so few more."""
STANDS_SECONDS = 600.0
"""So long after the latest it is worth a word: people see that an answer ended, and ask again."""


class Filled(NamedTuple):
    """Requests that have filled the context of a model in the last minutes."""

    context_length: int
    """Of one slot."""
    filled: int
    among: int
    """Of so many requests, those at work included."""


def filled(model: ModelRecord, state: State) -> Filled | None:
    """Return how many requests have lately filled the context; ``None`` where none has."""
    requests, rates = requests_of(model, state), own_rates(model, state)
    is_quiet = not requests or state.now - requests[-1].ended > STANDS_SECONDS
    if is_quiet and not rates.slots:
        return None
    runner = state.runner_of(model)
    told = runner.process.settings.context_length if runner else None
    length = told or rates.context_length or model.claim.context_length
    if not length:
        return None
    recent = [one for one in requests if state.now - one.ended <= STANDS_SECONDS]
    ended = [is_full(tokens_of(one), length) or one.has_shifted for one in recent]
    said = [*ended, *(is_full(slot.context_tokens, length) for slot in rates.slots)]
    return Filled(length, sum(said), len(said)) if any(said) else None


def is_full(tokens: int | None, context_length: int | None) -> bool:
    """Return whether so many tokens leave no room in a context."""
    return tokens is not None and bool(context_length) and tokens >= (context_length or 0) - SPARE_TOKENS


def tokens_of(request: FinishedRequest) -> int | None:
    """Return the tokens that a request took of its context, prompt and answer."""
    if request.prompt_tokens is None or request.decoded_tokens is None:
        return request.context_tokens
    return request.prompt_tokens + request.decoded_tokens


def filled_words(label: str, found: Filled, what_then: str) -> str:
    """Say so: ``qwen3:8b fills its context of 4k tokens: the answer ends there``."""
    of = f", {found.filled} of {found.among} requests" if found.among > 1 else ""
    then = f": {what_then}" if what_then else ""
    return f"{label} fills its context of {units.tokens(found.context_length)} tokens{of}{then}"
