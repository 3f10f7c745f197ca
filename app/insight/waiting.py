"""Requests that wait for a place: how many, for how long, and what holds the places."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gpumon.app.state.rates.figures import PromptProgress, RunnerRates, SlotRates
from gpumon.app.state.records import ModelRecord
from gpumon.app.state.state import State
from gpumon.app.state.work import own_rates, pool_figures, server_facts
from gpumon.collectors.samples import LoadFacts, RunnerProcess
from gpumon.text import units

TELLING_SECONDS = 1.0
"""A place that was taken a moment ago is not held."""
NOTED_SECONDS = 3.0
"""A prompt that is read in less is worth no word on a row."""


class Waiting(NamedTuple):
    """Requests that have been waiting for some time."""

    requests: int
    since: float
    seconds: float
    slot_count: int | None
    """Places that there are; ``None`` where the server does not count them so."""
    running: int | None
    """Requests at work."""
    held: str
    """What holds the places, in words; empty where that is not known."""


def waiting_of(model: ModelRecord, state: State) -> Waiting | None:
    """Return who waits for a model; ``None`` where nobody does, not for long, or a full cache says why."""
    told = state.runner_of(model) or model.served
    since = told.waits.since(state.now) if told else None
    if told is None or since is None or told.pool.full_since is not None:
        return None
    runner, rates = state.runner_of(model), own_rates(model, state)
    slots = slot_count(runner.process if runner else None, server_facts(model, state))
    return Waiting(
        requests=max(1, told.waits.count),
        since=since,
        seconds=state.now - since,
        slot_count=slots,
        running=rates.running,
        held=held_words(rates, slots, state.now) or running_words(rates.running),
    )


def slot_count(process: RunnerProcess | None, facts: LoadFacts | None) -> int | None:
    """Return how many requests a model works on at once, by its settings or by what its server says."""
    return (process.settings.parallel if process else None) or (facts.slot_count if facts else None)


def holder_of(rates: RunnerRates) -> SlotRates | None:
    """Return the request that has been at work for longest."""
    known = (slot for slot in rates.slots if slot.started is not None)
    return min(known, key=lambda slot: slot.started or 0.0, default=None)


def is_for_room(model: ModelRecord, state: State) -> bool:
    """Return whether they wait for room in the cache of all contexts, so that more places would not help."""
    pool = pool_figures(model, state)
    reasons = dict(pool.waiting_by_reason) if pool else {}
    return bool(reasons.get("capacity"))


def waiting_words(label: str, found: Waiting) -> str:
    """Say so: ``qwen3:8b lets 2 requests wait, for 24s now``."""
    who = "a request" if found.requests == 1 else f"{found.requests} requests"
    return f"{label} lets {who} wait, for {units.duration(found.seconds)} now"


def held_words(rates: RunnerRates, slots: int | None, now: float) -> str:
    """Say what holds the places: ``its only slot is held for 41s by a request that has generated …``."""
    holder = holder_of(rates)
    seconds = now - holder.started if holder and holder.started is not None else 0.0
    if holder is None or seconds < TELLING_SECONDS:
        return ""
    time = f"{'at least ' if holder.is_older else ''}{units.duration(seconds)}"
    if slots == 1:
        return f"its only slot is held for {time} by a request that {doing_words(holder)}"
    places = f"its {slots} slots are" if slots and slots == len(rates.slots) else "a slot is"
    return f"{places} held, one for {time} by a request that {doing_words(holder)}"


def running_words(running: int | None) -> str:
    """Say how many are at work: ``8 are at work``; empty where that is not known."""
    return "" if not running else f"{running} {'is' if running == 1 else 'are'} at work"


def doing_words(holder: SlotRates) -> str:
    """Say what a request has done: ``has generated 3.1k tokens``, or how far its prompt is."""
    if holder.phase == "decode":
        return f"has generated {units.tokens(holder.decoded_tokens)} tokens"
    return reading_words(holder.prompt) if holder.prompt else "reads its prompt"


def reading_words(prompt: PromptProgress) -> str:
    """Say how far a prompt is: ``reads its prompt: 8.2k of ~18k tokens, ~22s left``."""
    done, expected = units.tokens(prompt.done_tokens), prompt.expected_tokens
    if expected is None:
        return f"reads its prompt: {done} tokens so far"
    left = "" if prompt.seconds_left is None else f", ~{units.duration(prompt.seconds_left)} left"
    return f"reads its prompt: {done} of ~{units.tokens(expected)} tokens{left}"


def prompt_notes(rates: RunnerRates, now: float) -> Iterator[str]:
    """Say how far the prompts are that take a while."""
    for slot in rates.slots:
        seconds = now - slot.started if slot.started is not None else 0.0
        if slot.prompt is not None and seconds >= NOTED_SECONDS:
            yield reading_words(slot.prompt)


def longest_prompt(rates: RunnerRates) -> PromptProgress | None:
    """Return the prompt that is read now; of several the one that has been read for longest."""
    reading = (slot for slot in rates.slots if slot.prompt is not None)
    longest = min(reading, key=lambda slot: slot.started or 0.0, default=None)
    return longest.prompt if longest else None
