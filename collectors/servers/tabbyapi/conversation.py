"""The talk with a TabbyAPI: its model, and its counters where there are any."""

from __future__ import annotations

from collections.abc import Mapping

from gpumon.collectors.http import fields
from gpumon.collectors.http.client import MAX_LISTING_BYTES
from gpumon.collectors.http.exposition import read_series
from gpumon.collectors.http.fields import RawObject
from gpumon.collectors.samples import (
    CachePool,
    LastRequest,
    LoadFacts,
    ModelClaim,
    RunnerSettings,
    Said,
    WorkCounters,
)
from gpumon.collectors.servers.conversation import Conversation, Look, UnusableError
from gpumon.collectors.servers.health import foreign
from gpumon.collectors.servers.tabbyapi.kind import METRICS, MODEL, NOTHING_LOADED

UNLOADED_STATUSES = frozenset({400, 404, 422, 503})
PREFIX = "tabbyapi:"
COUNTED = (
    "requests_total",
    "prompt_tokens_total",
    "cached_tokens_total",
    "prompt_seconds_total",
    "tokens_predicted_total",
    "tokens_predicted_seconds_total",
    "requests_processing",
    "requests_deferred",
    "kv_cache_usage_ratio",
    "kv_cache_tokens",
    "kv_cache_max_tokens",
)


class TabbyConversation(Conversation):
    """Asks for the model, and for the counters where there are any."""

    _has_metrics = True
    _before: Mapping[str, float] | None = None
    _last: LastRequest | None = None

    def forget(self) -> None:
        """Ask for the counters again, and compare them with none."""
        super().forget()
        self._has_metrics, self._before, self._last = True, None, None

    async def look(self) -> Look:
        """Ask for the model and its counters."""
        reply = await self.client.get(MODEL, MAX_LISTING_BYTES)
        if reply.status in UNLOADED_STATUSES and any(one in reply.body for one in NOTHING_LOADED):
            return Look()
        if self.usable(reply) is None:
            raise UnusableError(foreign(self.endpoint, self.kind))
        card = self.object_of(reply, MODEL)
        claim = claim_of_card(card)
        if claim is None:
            return Look()
        said = self._said(facts_of_card(card), await self._counts())
        return Look(models=(claim,), work=((claim.name, said),), origin=METRICS)

    async def _counts(self) -> Mapping[str, float]:
        if not self._has_metrics:
            return {}
        reply = await self.client.get(METRICS, MAX_LISTING_BYTES)
        self._has_metrics = reply.status == 200
        series = read_series(reply.body, [PREFIX + name for name in COUNTED])
        return {one.name.removeprefix(PREFIX): one.value for one in series}

    def _said(self, facts: LoadFacts, counts: Mapping[str, float]) -> Said:
        if not counts:
            return Said("ready", detail="this version tells nothing of its work", facts=facts)
        self._last = last_request(self._before, counts) or self._last
        self._before = counts
        pool, work = pool_of(counts), work_of(counts)
        return Said("ready", facts=facts, counters=work, pool=pool, last=self._last)


def claim_of_card(card: RawObject) -> ModelClaim | None:
    """Return the model of ``/v1/model``; what its cache is of stands among the settings."""
    name, told = fields.text(card, "id"), fields.nested(card, "parameters")
    if name is None:
        return None
    context, mode = fields.amount(told, "max_seq_len"), fields.text(told, "cache_mode")
    settings = RunnerSettings(
        context_length=context, cache_type_k=mode, parallel=fields.amount(told, "max_batch_size")
    )
    return ModelClaim(name=name, state="ready", context_length=context, settings=settings, format="exl")


def facts_of_card(card: RawObject) -> LoadFacts:
    """Return what does not change while the model is loaded."""
    told = fields.nested(card, "parameters")
    return LoadFacts(
        context_length=fields.amount(told, "max_seq_len"), slot_count=fields.amount(told, "max_batch_size")
    )


def work_of(counts: Mapping[str, float]) -> WorkCounters:
    """Return what is so now; tokens are counted when a request ends, so that they make no rate of now."""
    running, waiting = counts.get("requests_processing"), counts.get("requests_deferred")
    read, kept = counts.get("prompt_tokens_total"), counts.get("cached_tokens_total")
    return WorkCounters(
        grows_live=True,
        requests_processing=None if running is None else int(running),
        requests_deferred=None if waiting is None else int(waiting),
        prompt_tokens_cached_total=kept,
        prefix_tokens_total=None if read is None or kept is None else read + kept,
        prefix_tokens_found_total=kept,
    )


def pool_of(counts: Mapping[str, float]) -> CachePool | None:
    """Return how full its cache is with the contexts of requests at work."""
    capacity, used = counts.get("kv_cache_max_tokens"), counts.get("kv_cache_tokens")
    if not capacity:
        return None
    return CachePool(
        used_fraction=counts.get("kv_cache_usage_ratio"),
        capacity_tokens=int(capacity),
        used_tokens=None if used is None else int(used),
    )


def last_request(before: Mapping[str, float] | None, now: Mapping[str, float]) -> LastRequest | None:
    """Return the latest request by how counters have grown; its figures where it is the only one since."""
    count = now.get("requests_total")
    if count is None or (before is not None and before.get("requests_total") == count):
        return None
    if before is None or count - before.get("requests_total", count) != 1:
        return LastRequest(count=int(count))
    grown = {name: max(0.0, now[name] - before.get(name, now[name])) for name in now}
    read, decoded = grown.get("prompt_tokens_total"), grown.get("tokens_predicted_total")
    kept = grown.get("cached_tokens_total")
    reading, deciding = grown.get("prompt_seconds_total"), grown.get("tokens_predicted_seconds_total")
    return LastRequest(
        count=int(count),
        prompt_tokens=None if read is None or kept is None else round(read + kept),
        cached_tokens=None if kept is None else round(kept),
        decoded_tokens=None if decoded is None else round(decoded),
        prefill_tokens_per_second=read / reading if read and reading else None,
        decode_tokens_per_second=decoded / deciding if decoded and deciding else None,
        seconds=None if reading is None or deciding is None else reading + deciding,
    )
