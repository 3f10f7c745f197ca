"""What the page of a model says of the cache that its server has set aside for all contexts."""

from __future__ import annotations

from collections.abc import Iterator

from gpumon.app.insight.pool import Pool, waiting_words
from gpumon.app.picture.details import ModelDetails
from gpumon.app.picture.model import ModelPicture
from gpumon.text import units
from gpumon.widgets.kit.lines import Level
from gpumon.widgets.views import BarPart, BarRow, Fact, Section

WATCH: Level = "watch"


def cache(details: ModelDetails) -> Section:
    """Return how full it is, what it holds, who waits for it, what is found in it and what it costs."""
    model = details.picture
    pool = model.pool
    if pool is None:
        return Section("")
    return Section("KV CACHE", _size_words(pool), tuple(_facts(model, pool)), bars=_bars(pool))


def _size_words(pool: Pool) -> str:
    """Say how large it is: ``~8.6 GiB set aside (server log)``; nothing where that is not known."""
    if pool.size_bytes is None:
        return ""
    sign = "~" if pool.is_estimate else ""
    return f"{sign}{units.gib(pool.size_bytes)} GiB set aside ({pool.source})"


def _bars(pool: Pool) -> tuple[BarRow, ...]:
    used = pool.figures.used_fraction
    if used is None:
        return ()
    level = WATCH if pool.figures.full_since is not None else None
    note = f"{units.tokens(pool.figures.used_tokens)} of {units.tokens(pool.capacity_tokens)} tokens"
    words = "" if pool.capacity_tokens is None else note
    return (BarRow("in use", units.percent(used * 100), pool_parts(pool, 1.0), 1.0, words, level=level),)


def pool_parts(pool: Pool, size: float) -> tuple[BarPart, ...]:
    """Return a bar of a whole cache of ``size``: what is in use, then what is set aside for more."""
    used = size * (pool.figures.used_fraction or 0.0)
    parts = (BarPart(used, "model"), BarPart(size - used, "reserved"))
    return tuple(part for part in parts if part.size)


def _facts(model: ModelPicture, pool: Pool) -> Iterator[Fact]:
    figures, source = pool.figures, model.rate_source or ""
    if figures.used_fraction is None and pool.capacity_tokens is not None:
        yield Fact("holds", f"{units.tokens(pool.capacity_tokens)} tokens", "server log")
    longest = model.claim.context_length
    if longest and pool.capacity_tokens:
        count = pool.capacity_tokens / longest
        yield Fact("room for", f"{count:.1f} contexts of {units.tokens(longest)}", source)
    if model.rates.waiting:
        yield Fact("waiting", waiting_words(pool) or str(model.rates.waiting), source)
    if figures.preemptions_total is not None:
        level = WATCH if figures.full_since is not None else None
        yield Fact("preempted", _preempted_words(pool), source, level)
    if figures.found_fraction is not None:
        yield Fact("prompt tokens found", _found_words(pool), source)
    if figures.read_bytes_per_second:
        yield Fact("each GPU reads", _read_words(pool), source)


def _preempted_words(pool: Pool) -> str:
    lately, total = pool.figures.preempted_lately or 0, pool.figures.preemptions_total
    return f"{lately} in the last minute, {total} in all" if total else "none"


def _found_words(pool: Pool) -> str:
    """Say which part of the prompt tokens was found there, and not read again."""
    lately, since = pool.figures.found_lately, units.percent((pool.figures.found_fraction or 0.0) * 100)
    whole = f"{since} in all"
    recent = "" if lately is None else f"{units.percent(lately * 100)} in the last minute, "
    return f"{recent}{whole}"


def _read_words(pool: Pool) -> str:
    rate = units.byte_rate(pool.figures.read_bytes_per_second)
    share = pool.read_fraction
    return rate if share is None else f"{rate}, {units.percent(share * 100)} of its best"
