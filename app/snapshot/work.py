"""What the snapshot says of a model's work: rates, the latest requests, and prompts that are read again."""

from __future__ import annotations

import msgspec

from gpumon.app.insight.pool import Pool
from gpumon.app.insight.rereads import cause_of
from gpumon.app.insight.waiting import longest_prompt
from gpumon.app.picture.details import ModelDetails
from gpumon.app.picture.rates import FullRate, LastPicture
from gpumon.app.snapshot.schema import BandEntry, ModelEntry
from gpumon.app.snapshot.schema_work import (
    CacheEntry,
    LastRequestEntry,
    PictureEntry,
    RequestEntry,
    RereadEntry,
)
from gpumon.app.state.rates.figures import FinishedRequest
from gpumon.app.state.rates.picture import Drawing
from gpumon.app.state.rates.rereads import Losses
from gpumon.collectors.samples import LastRequest

REQUESTS_TOLD = 20


def with_work(entry: ModelEntry, details: ModelDetails) -> ModelEntry:
    """Return the entry of a model with what it does and has done."""
    model = details.picture
    told = _with_requests(_with_rates(entry, details), details)
    drawn = _picture(model.drawing) if model.drawing else None
    return msgspec.structs.replace(told, makes_pictures=model.kind.makes_pictures, picture=drawn)


def _with_rates(entry: ModelEntry, details: ModelDetails) -> ModelEntry:
    """Return the entry with what is told of its requests."""
    model = details.picture
    rates, total, full = model.rates, model.rates.decoded_total, model.full
    prompt = longest_prompt(rates)
    return msgspec.structs.replace(
        entry,
        prefill_tokens_done=prompt.done_tokens if prompt else None,
        prefill_tokens_expected=prompt.expected_tokens if prompt else None,
        prefill_seconds_left=prompt.seconds_left if prompt else None,
        prefill_is_estimate=None if prompt is None or prompt.expected_tokens is None else True,
        decode_tokens_per_second=rates.decode_tokens_per_second,
        full_tokens_per_second=_full(full) if full else None,
        full_is_measured=full.is_measured if full else None,
        peak_tokens_per_second=model.peak_tokens_per_second,
        last_request=last_request_entry(model.last) if model.last else None,
        prefill_tokens_per_second=rates.prefill_tokens_per_second,
        context_used_tokens=rates.context_tokens,
        requests_running=rates.running,
        requests_waiting=rates.waiting,
        requests_unmeasured=rates.unmeasured_requests,
        cache=_cache(model.pool) if model.pool else None,
        rate_source=model.rate_source,
        rate_is_estimate=None if rates.decode_tokens_per_second is None else rates.is_estimate,
        tokens_generated_total=total,
        tokens_generated_is_lower_bound=None if total is None else rates.decoded_total_is_lower_bound,
    )


def _picture(now: Drawing) -> PictureEntry:
    job = now.job
    return PictureEntry(
        step=job.step,
        step_count=job.step_count,
        seconds_per_step=now.seconds_per_step,
        seconds_left=now.seconds_left,
        started=job.started,
        width=job.width,
        height=job.height,
        batch_size=job.batch_size,
        waiting=job.waiting,
    )


def last_request_entry(last: LastPicture) -> LastRequestEntry:
    """Return the entry of the latest request, as its server tells of it."""
    told = {name: getattr(last.request, name) for name in LastRequest.__struct_fields__}
    return LastRequestEntry(ended=last.ended, source=last.origin, **told)


def _cache(pool: Pool) -> CacheEntry:
    figures, is_sized = pool.figures, pool.size_bytes is not None
    return CacheEntry(
        used_fraction=figures.used_fraction,
        used_tokens=figures.used_tokens,
        capacity_tokens=pool.capacity_tokens,
        size_bytes=pool.size_bytes,
        size_is_estimate=pool.is_estimate if is_sized else None,
        size_by_gpu=pool.by_gpu if is_sized else None,
        waiting_by_reason=dict(figures.waiting_by_reason),
        preemptions_total=figures.preemptions_total,
        preempted_last_minute=figures.preempted_lately,
        full_since=figures.full_since,
        prompt_found_fraction=figures.found_fraction,
        prompt_found_fraction_last_minute=figures.found_lately,
        memory_read_bytes_per_second=figures.read_bytes_per_second,
        memory_read_fraction=pool.read_fraction,
    )


def _full(full: FullRate) -> BandEntry:
    return BandEntry(low=full.low, expected=full.tokens_per_second, high=full.high)


def _with_requests(entry: ModelEntry, details: ModelDetails) -> ModelEntry:
    """Return the entry with the latest requests, and what is read again of them."""
    latest = details.requests[:REQUESTS_TOLD]
    rereads = None if details.rereads is None else _rereads(details.rereads)
    return msgspec.structs.replace(
        entry,
        energy_wh_per_1000_tokens=details.energy_wh_per_1000_tokens,
        requests=tuple(map(_request, latest)),
        prompt_reread=rereads,
    )


def _request(one: FinishedRequest) -> RequestEntry:
    return RequestEntry(
        started=one.started,
        ended=one.ended,
        prompt_tokens=one.prompt_tokens,
        cached_tokens=one.cached_tokens,
        generated_tokens=one.decoded_tokens,
        generated_is_lower_bound=one.decoded_is_lower_bound,
        prefill_tokens_per_second=one.prefill_tokens_per_second,
        decode_tokens_per_second=one.decode_tokens_per_second,
        first_token_seconds=one.first_token_seconds,
        energy_joules=one.energy_joules,
        source=one.source,
    )


def _rereads(losses: Losses) -> RereadEntry:
    return RereadEntry(
        cause=cause_of(losses),
        turns=losses.turns,
        tokens_each=losses.tokens_each,
        seconds_each=losses.seconds_each,
        time_fraction=losses.time_share,
        kept_tokens=losses.same_tokens,
    )
