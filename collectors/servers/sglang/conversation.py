"""The talk with an SGLang: ``/v1/loads`` at each look, its model once, counters seldom where they are on.

Several of its GETs change something: ``/health`` and ``/health_generate`` generate a token, ``/flush_cache``,
``/release_memory_occupation``, ``/start_profile`` and others act (sglang 0.5.23:
srt/entrypoints/http_server.py). None of those is ever asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat

from msgspec import structs

from gpumon.collectors.http import fields
from gpumon.collectors.http.client import MAX_LISTING_BYTES
from gpumon.collectors.http.exposition import Series, read_series
from gpumon.collectors.http.fields import RawObject
from gpumon.collectors.samples import CachePool, LoadFacts, ModelClaim, Said, WorkCounters
from gpumon.collectors.servers.conversation import Conversation, Look, UnusableError
from gpumon.collectors.servers.health import foreign
from gpumon.collectors.servers.sglang.kind import LOADS, METRICS, MODELS, called

QUESTION = f"{LOADS}?include=core,memory,queues"
COUNTED = ("sglang:num_retracted_requests_total", "sglang:prompt_tokens_total", "sglang:cached_tokens_total")
METRICS_SECONDS = 5.0
"""Between looks at counters that only ``--enable-metrics`` gives: hundreds of lines for three figures."""
REASONS = ("grammar", "paused")
"""Queues of requests that wait for something else than their turn."""
RANKS = frozenset({"tp_rank", "pp_rank"})
"""Labels of processes that say the same of the same requests."""
GIB = 2**30
NOT_SERVED = f"{LOADS} is not served by this version: no figures"


class SglangConversation(Conversation):
    """One model, and what it does."""

    _model: ModelClaim | None = None
    _throughput: Throughput | None = None
    _counters = WorkCounters()
    _has_loads = _has_metrics = True
    _metrics_due_at = float("-inf")

    def forget(self) -> None:
        """Ask for all of it again."""
        super().forget()
        self._model, self._throughput, self._counters = None, None, WorkCounters()
        self._has_loads = self._has_metrics = True
        self._metrics_due_at = float("-inf")

    async def look(self) -> Look:
        """Ask for the load and, where that is due, for what does not change and for the counters."""
        self._model = self._model or listed_model(await self.get_object(MODELS))
        if self._model is None:
            return Look()
        loads = await self._loads()
        await self._count()
        self._throughput = self._throughput or Throughput()
        said = said_of(loads, self._counters, self._throughput)
        version = fields.text(loads, "version")
        return Look(models=(self._model,), version=version, work=((self._model.name, said),), origin=LOADS)

    async def _loads(self) -> RawObject:
        """Return the load; nothing of versions that do not tell it, which are asked once."""
        reply = await self.get_if_served(QUESTION) if self._has_loads else None
        self._has_loads = reply is not None
        if reply is None:
            return {}
        loads = self.object_of(reply, LOADS)
        if fields.field(loads, "loads", fields.ROWS) is None:
            raise UnusableError(foreign(self.endpoint, self.kind))
        return loads

    async def _count(self) -> None:
        now = self.clock.now()
        if not self._has_metrics or now < self._metrics_due_at:
            return
        self._metrics_due_at = now + METRICS_SECONDS
        reply = await self.client.get(METRICS, MAX_LISTING_BYTES)
        self._has_metrics = reply.status == 200
        if self._has_metrics:
            self._counters = counted(read_series(reply.body, COUNTED))


class Throughput:
    """Takes ``gen_throughput`` for a rate once it has moved since there was no request.

    It is computed every 40 steps and stands still in between, also when work has ended, so that what it says
    at first is of the requests before.
    """

    def __init__(self) -> None:
        self._stale: float | None = None
        """What it said when no request ran last, or at the first look."""
        self._has_looked = False

    def rate(self, told: float | None, running: int | None) -> float | None:
        """Return the rate of now; ``None`` while it may be an old one."""
        if not running or not self._has_looked:
            self._stale, self._has_looked = told, True
            return None
        if told is None or told == self._stale:
            return None
        self._stale = None
        return told if told > 0 else None


def listed_model(listed: RawObject) -> ModelClaim | None:
    """Return the model of ``/v1/models``: the first row that is no adapter."""
    for raw in fields.field(listed, "data", fields.ROWS) or ():
        row = fields.read(raw, fields.OBJECT) or {}
        name = called(fields.text(row, "id"))
        if name is not None and fields.text(row, "parent") is None:
            return ModelClaim(name=name, state="ready", context_length=fields.amount(row, "max_model_len"))
    return None


def said_of(loads: RawObject, counters: WorkCounters, throughput: Throughput) -> Said:
    """Return what all ranks of data parallelism do together; ``counters`` are those of ``/metrics``."""
    rows = [fields.read(raw, fields.OBJECT) or {} for raw in fields.field(loads, "loads", fields.ROWS) or ()]
    if not rows:
        return Said("ready", detail=NOT_SERVED)
    memory, each = [fields.nested(row, "memory") for row in rows], fields.amount(loads, "num_accelerators")
    work = _work(rows, counters)
    throughputs = _sum(map(_figure, rows, repeat("gen_throughput")))
    return Said(
        "ready",
        counters=work,
        decode_tokens_per_second=throughput.rate(throughputs, work.requests_processing),
        facts=LoadFacts(weights_bytes=_bytes(memory, "weight_gb", each)),
        pool=_pool(rows, memory, each),
    )


def _work(rows: Sequence[RawObject], counters: WorkCounters) -> WorkCounters:
    queues = [fields.nested(row, "queues") for row in rows]
    reasons = {name: count for name in REASONS if (count := _total(queues, name))}
    busy_microseconds = _total(rows, "total_prefill_busy_us")
    return structs.replace(
        counters,
        grows_live=True,
        requests_processing=_total(rows, "num_running_reqs"),
        requests_deferred=_total(rows, "num_waiting_reqs"),
        deferred_by_reason=reasons,
        prompt_tokens_total=_total(rows, "total_prefill_uncached_tokens"),
        prompt_seconds_total=None if busy_microseconds is None else busy_microseconds / 1e6,
    )


def _pool(rows: Sequence[RawObject], memory: Sequence[RawObject], each: int | None) -> CachePool:
    """Return the memory for contexts of all ranks; each has as much as the others."""
    shares = [share for row in rows if (share := _figure(row, "token_usage")) is not None]
    return CachePool(
        used_fraction=min(1.0, sum(shares) / len(shares)) if shares else None,
        capacity_tokens=_total(rows, "max_total_num_tokens") or None,
        used_tokens=_total(rows, "num_used_tokens"),
        size_bytes=_bytes(memory, "kv_cache_gb", each),
    )


def counted(series: Iterable[Series]) -> WorkCounters:
    """Return the counters of ``/metrics``: ranks of one model say the same, those of its copies add up."""
    by_name: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for one in series:
        rest = tuple(sorted(item for item in one.labels.items() if item[0] not in RANKS))
        seen = by_name.setdefault(one.name, {})
        seen[rest] = max(seen.get(rest, 0.0), one.value)
    retracted, prompts, cached = (
        sum(by_name[name].values()) if name in by_name else None for name in COUNTED
    )
    return WorkCounters(
        preemptions_total=retracted,
        prompt_tokens_cached_total=cached,
        prefix_tokens_total=prompts,
        prefix_tokens_found_total=cached,
    )


def _total(rows: Iterable[RawObject], key: str) -> int | None:
    known = [count for row in rows if (count := fields.amount(row, key)) is not None]
    return sum(known) if known else None


def _figure(row: RawObject, key: str) -> float | None:
    value = fields.field(row, key, fields.ANYTHING)
    return float(value) if isinstance(value, int | float) and 0 <= value < 1e12 else None


def _sum(figures: Iterable[float | None]) -> float | None:
    known = [figure for figure in figures if figure is not None]
    return sum(known) if known else None


def _bytes(memory: Iterable[RawObject], key: str, each: int | None) -> int | None:
    """Return what ``key`` has in GiB of one GPU of each rank as bytes of all its ``each`` GPUs."""
    gib = _sum(_figure(one, key) for one in memory)
    return round(gib * GIB) * each if gib and each else None
