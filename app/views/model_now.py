"""What the page of a model says of now: what it does, who waits, how far prompts are, how full it is."""

from __future__ import annotations

from collections.abc import Iterator

from gpumon.app.diagnosis.words import ESTIMATE, band_words
from gpumon.app.insight.activity import from_now_words
from gpumon.app.insight.waiting import held_words, reading_words, slot_count
from gpumon.app.picture.details import ModelDetails
from gpumon.app.state.rates.figures import RunnerRates
from gpumon.text import units
from gpumon.text.safe import visible
from gpumon.widgets.kit.lines import Level
from gpumon.widgets.views import BarPart, BarRow, Fact, Section

WATCH: Level = "watch"
FULL_CONTEXT = 0.98
"""Of its length: from here on a request has little left to be answered in."""


def now(details: ModelDetails) -> Section:
    """Return what a model does, on how much, how fast it reads, and when it leaves."""
    model = details.picture
    facts = tuple(_now(details, model.rates, model.sentence))
    return Section("NOW", facts=facts, bars=tuple(_context_bar(model.rates)))


def _now(details: ModelDetails, rates: RunnerRates, headline: str) -> Iterator[Fact]:
    model = details.picture
    doing = filter(None, (model.doing, _slots(details), _waiting(rates)))
    yield Fact("", ", ".join(doing))
    if rates.waiting and (held := held_words(rates, _slot_count(details), model.at)):
        yield Fact("", held)
    yield from _reads(rates)
    yield from _context(details, rates)
    yield from _speed(details, rates, headline)
    if model.time_left:
        yield Fact("", f"leaves in {model.time_left} if not used")
    elif model.until is not None and model.until.rstrip(".").casefold() != model.doing:
        forever = model.until == from_now_words(float("inf"))
        yield Fact("", "stays until it is unloaded" if forever else f"until: {model.until}")


def _context(details: ModelDetails, rates: RunnerRates) -> Iterator[Fact]:
    """Say how long the context is where no bar does; of a full one also what the model was trained for."""
    model, held, length = details.picture, rates.context_tokens, rates.context_length
    if held is not None and length:
        if held >= FULL_CONTEXT * length:
            known = details.facts or details.server_facts
            trained = known.trained_context_length if known else None
            more = f"; trained for {units.tokens(trained)}" if trained and trained > length else ""
            words = f"context {units.tokens(held)} of {units.tokens(length)} tokens: full{more}"
            yield Fact("", words, level=WATCH)
    elif model.claim.context_length:
        yield Fact("", f"context of {units.tokens(model.claim.context_length)} tokens")


def _context_bar(rates: RunnerRates) -> Iterator[BarRow]:
    """Draw the fullest slot: what was kept from before, and what has come since."""
    held, length, kept = rates.context_tokens, rates.context_length, rates.context_cached_tokens
    if held is None or not length:
        return
    level = WATCH if held >= FULL_CONTEXT * length else None
    known = min(kept or 0, held)
    parts = (BarPart(float(known), "model"), BarPart(float(held - known), "model2"))
    of = f"of {units.tokens(length)}"
    note = of if kept is None else f"{of}, {units.tokens(known) if known else 'none'} kept from before"
    yield BarRow(
        "context",
        units.tokens(held),
        tuple(one for one in parts if one.size),
        float(length),
        note,
        tracked=True,
        level=level,
    )


def _reads(rates: RunnerRates) -> Iterator[Fact]:
    """Say how far each prompt is that is being read."""
    for slot in rates.slots:
        if slot.prompt is not None:
            yield Fact("", reading_words(slot.prompt), ESTIMATE if slot.prompt.expected_tokens else "")


def _speed(details: ModelDetails, rates: RunnerRates, headline: str) -> Iterator[Fact]:
    """Say how fast it generates, unless the headline does, and reads; or why that is not known."""
    found, decode = details.picture.diagnosis, rates.decode_tokens_per_second
    if decode is not None and units.rate(decode) not in headline:
        yield Fact("", f"generates {'~' if rates.is_estimate else ''}{units.rate(decode)}")
    if found.verdict.kind == "healthy" and found.expected_fitting is not None:
        yield Fact("", f"to be expected: {band_words(found.expected_fitting)}", ESTIMATE)
    if rates.prefill_tokens_per_second is not None:
        yield Fact("", f"reads {units.rate(rates.prefill_tokens_per_second)} of its prompt")
    if details.statistics_detail and not rates.sources:
        what = "steps" if details.picture.kind.makes_pictures else "rates"
        yield Fact("", f"no {what}: {visible(details.statistics_detail)}")


def _slot_count(details: ModelDetails) -> int | None:
    return slot_count(details.picture.process, details.server_facts)


def _slots(details: ModelDetails) -> str:
    running, count = details.picture.rates.running, _slot_count(details)
    if running is None or not count:
        return ""
    return f"{running} of {count} slot{'s' if count > 1 else ''}"


def _waiting(rates: RunnerRates) -> str:
    return f"{rates.waiting} waiting" if rates.waiting else ""
