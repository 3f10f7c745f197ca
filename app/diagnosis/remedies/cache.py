"""What helps a server whose cache of all contexts is full: more room in it, or less that wants room there."""

from __future__ import annotations

from collections.abc import Iterator

from gpumon.app.diagnosis.diagnosis import Remedy
from gpumon.app.diagnosis.subject import Subject
from gpumon.app.insight.pool import Pool, pool_of
from gpumon.app.state.records.machine import free_bytes
from gpumon.app.state.work import own_rates
from gpumon.text import units

SMALLEST_CACHE_TYPES = frozenset({"fp8", "fp8_e4m3", "fp8_e5m2", "fp8_inc", "int8", "nvfp4", "fp4"})
"""Those of half a byte to a byte for a value: there is nothing to be had."""
GPU_SHARE = 0.95
"""More than this leaves no room for what a driver and a desktop take."""
USUAL_SHARE = 0.9
KEPT_FREE_BYTES = 512 * 2**20
CONTEXT_STEP = 1024
LEAST_CONTEXT_TOKENS = 2048


def cache_remedies(subject: Subject) -> Iterator[Remedy]:
    """Yield what would end the preemptions, what costs least first."""
    pool = pool_of(subject.model, subject.state)
    if pool is None or pool.figures.full_since is None:
        return
    yield from more_room(subject, pool)
    less = (_fewer(subject), _shorter(subject, pool))
    yield from (one for one in less if one is not None and one.command is not None)


def more_room(subject: Subject, pool: Pool) -> Iterator[Remedy]:
    """Yield what gives its cache room for more contexts."""
    more = (_smaller_type(subject, pool), _more_of_the_gpu(subject))
    yield from (one for one in more if one is not None and one.command is not None)


def _smaller_type(subject: Subject, pool: Pool) -> Remedy | None:
    settings = subject.runner.process.settings if subject.runner else None
    if settings is not None and settings.cache_type_k in SMALLEST_CACHE_TYPES:
        return None
    line, holds = subject.model.kind.set_cache_type("fp8", has_flash_attention=True), ""
    if (tokens := pool.capacity_tokens) is not None:
        holds = f": {units.tokens(2 * tokens)} tokens in place of {units.tokens(tokens)}"
    words = "keep the KV cache in eight bits"
    return Remedy("quantize_cache", words, line.line, f"holds about twice as much{holds}", where=line.where)


def _more_of_the_gpu(subject: Subject) -> Remedy | None:
    """Suggest more of each GPU where so much is free there; other programs may want it again."""
    runner = subject.runner
    told = runner.process.settings.reserve.gpu_share if runner else None
    share = told or USUAL_SHARE
    if runner is None or share >= GPU_SHARE:
        return None
    gpus = (subject.state.gpus[uuid] for uuid in runner.vram_by_gpu if uuid in subject.state.gpus)
    memories = [memory for gpu in gpus if (memory := gpu.reading.memory) is not None]
    free = [free_bytes(one) or 0 for one in memories]
    wanted = [KEPT_FREE_BYTES + round((GPU_SHARE - share) * one.total_bytes) for one in memories]
    if not memories or any(has < needs for has, needs in zip(free, wanted, strict=True)):
        return None
    kind = subject.model.kind
    flag, where = kind.flags.get("gpu_share"), kind.set_slots(1).where
    line = f"{flag} {GPU_SHARE}" if flag else None
    words = f"let it take {GPU_SHARE:.0%} of each GPU{f' in place of {told:.0%}' if told else ''}"
    return Remedy("grow_cache", words, line, f"{units.gib(sum(free))} GiB are free", where=where)


def _fewer(subject: Subject) -> Remedy | None:
    running = own_rates(subject.model, subject.state).running
    if running is None or running < 2:
        return None
    fewer = running - 1
    line = subject.model.kind.set_slots(fewer)
    words, why = f"work on {fewer} at once", f"{running} do not fit together; the others wait"
    return Remedy("reduce_parallel", words, line.line, why, where=line.where)


def _shorter(subject: Subject, pool: Pool) -> Remedy | None:
    """Suggest the longest context of which each request under way has one."""
    running = own_rates(subject.model, subject.state).running
    longest, tokens = subject.model.claim.context_length, pool.capacity_tokens
    if not running or longest is None or tokens is None:
        return None
    shorter = tokens // running // CONTEXT_STEP * CONTEXT_STEP
    if not LEAST_CONTEXT_TOKENS <= shorter < longest:
        return None
    line = subject.model.kind.set_context(shorter, running)
    words = f"allow contexts of {shorter} tokens in place of {longest}"
    fits = f"{running} of them are {units.tokens(shorter * running)} of {units.tokens(tokens)} tokens"
    return Remedy("shrink_context", words, line.line, fits, where=line.where)
