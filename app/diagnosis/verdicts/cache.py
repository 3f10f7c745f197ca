"""Verdicts on servers that set memory aside for contexts when they start, or keep weights in RAM."""

from __future__ import annotations

from collections.abc import Iterator

from gpumon.app.diagnosis.diagnosis import Evidence, Verdict
from gpumon.app.diagnosis.subject import Subject
from gpumon.app.diagnosis.words import ARITHMETIC, COMMAND_LINE, METRICS, size_evidence, tokens_evidence
from gpumon.app.insight.pool import Pool, pool_of
from gpumon.app.insight.wording import amount
from gpumon.app.physics.hardware import link_bandwidth
from gpumon.app.state.rates.pool import Fall
from gpumon.app.state.work import answer_of, own_rates
from gpumon.collectors.samples import NO_RESERVE
from gpumon.text import units
from gpumon.text.units import GIB


def cache_full(subject: Subject) -> Verdict | None:
    """Find that requests lose their place in the cache, and have to be read again, because it is full."""
    pool = pool_of(subject.model, subject.state)
    if pool is None or pool.figures.full_since is None:
        return None
    lately = pool.figures.preempted_lately or 0
    words = f"preempts requests: the KV cache is full, {lately} preempted in the last minute"
    return Verdict("cache_full", "watch", f"{subject.name} {words}", tuple(_evidence(subject, pool)))


def prompts_not_found(subject: Subject) -> Verdict | None:
    """Find that far less of the prompts is found in the cache than in the hour before.

    By counters alone: whose prompts they are is not told, so no line to type cures it.
    """
    pool = pool_of(subject.model, subject.state)
    fall = pool.figures.fall if pool is not None else None
    if fall is None:
        return None
    found = f"{units.percent(fall.lately_fraction * 100)} of its prompts' tokens in the cache"
    before = f"{units.percent(fall.usual_fraction * 100)} before"
    words = (
        f"{subject.name} finds {found}, {before}: {units.tokens(fall.tokens)} more read in the last minute"
    )
    return Verdict("prompt_reread", "watch", words, tuple(_of_fall(subject, fall)))


def _of_fall(subject: Subject, fall: Fall) -> Iterator[Evidence]:
    source = source_of(subject)
    yield Evidence("found in the last minute", units.percent(fall.lately_fraction * 100), source)
    yield Evidence("found in the hour before", units.percent(fall.usual_fraction * 100), source)
    rate = own_rates(subject.model, subject.state).prefill_tokens_per_second
    if rate:
        yield Evidence("reading them took", f"about {units.duration(fall.tokens / rate)}", ARITHMETIC)


def _evidence(subject: Subject, pool: Pool) -> Iterator[Evidence]:
    figures, source = pool.figures, source_of(subject)
    rates = own_rates(subject.model, subject.state)
    yield Evidence("preempted in the last minute", str(figures.preempted_lately or 0), source)
    if figures.used_fraction is not None:
        yield Evidence("KV cache in use", units.percent(figures.used_fraction * 100), source)
    if pool.capacity_tokens is not None:
        yield tokens_evidence("KV cache", pool.capacity_tokens, source)
    if rates.running is not None:
        yield Evidence("requests running", str(rates.running), source)
    if rates.waiting:
        yield Evidence("requests waiting", str(rates.waiting), source)
    if pool.size_bytes is not None:
        yield size_evidence("KV cache", pool.size_bytes, pool.source)


def source_of(subject: Subject) -> str:
    """Return where the figures of its cache stand."""
    answer = answer_of(subject.model, subject.state)
    return (answer.origin if answer else None) or METRICS


def offloaded_by_choice(subject: Subject) -> Verdict | None:
    """Find weights that a server was told to keep in RAM, which it reads over the link for each step."""
    reserve = subject.runner.process.settings.reserve if subject.runner else NO_RESERVE
    kept = reserve.weights_in_ram_bytes
    flag = subject.model.kind.flags.get("weights_in_ram_gib")
    if not kept or not flag:
        return None
    setting = f"{flag} {kept / GIB:g}"
    seconds = _seconds_a_step(subject, kept)
    cost = "" if seconds is None else f": reading them takes about {units.duration(seconds)} for each step"
    where = " of each GPU" if reserve.gpu_count > 1 else ""
    return Verdict(
        "in_ram_by_choice",
        "ok",
        f"{subject.name} keeps {amount(kept)} of the weights{where} in RAM by choice ({setting}){cost}",
        tuple(_offload_evidence(kept, seconds)),
    )


def _offload_evidence(kept: int, seconds: float | None) -> Iterator[Evidence]:
    yield size_evidence("weights in RAM", kept, COMMAND_LINE)
    if seconds:
        yield Evidence("steps a second at most", f"about {1 / seconds:.1f}", ARITHMETIC)


def _seconds_a_step(subject: Subject, kept: int) -> float | None:
    """Return how long the link of its slowest GPU takes for what is kept in RAM; ``None`` if not known."""
    gpus, held = subject.state.gpus, subject.runner.vram_by_gpu if subject.runner else {}
    links = [link_bandwidth(gpus[uuid].facts) for uuid in held if uuid in gpus]
    known = [link for link in links if link]
    return kept / min(known) if known and len(known) == len(links) else None
