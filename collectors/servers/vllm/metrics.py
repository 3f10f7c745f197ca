"""What ``GET /metrics`` of vLLM says, of the few names that are wanted (vllm: v1/metrics/loggers.py).

Names are those of 0.19 to 0.32; of those that were renamed before, the older one counts where the newer one
is missing. Each series has labels ``model_name`` and ``engine``: with ``--data-parallel-size`` there are
several engines, whose figures are added up, but for shares, of which the mean is taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from gpumon.collectors.http.exposition import Series, read_series
from gpumon.collectors.samples import CachePool, WorkCounters

PREFIX = "vllm:"
RUNNING = "vllm:num_requests_running"
WAITING = "vllm:num_requests_waiting"
REASONS = "vllm:num_requests_waiting_by_reason"
USED = ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")
"""A share of 0 to 1, whatever they are called; the second up to 0.9."""
PROMPT = "vllm:prompt_tokens_total"
CACHED = "vllm:prompt_tokens_cached_total"
"""Part of ``PROMPT``: they are counted there too, and were not computed."""
GENERATED = "vllm:generation_tokens_total"
PREEMPTIONS = "vllm:num_preemptions_total"
LOOKED_UP = ("vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total")
FOUND = ("vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total")
READ = "vllm:estimated_read_bytes_per_gpu_total"
DRAFTED, ACCEPTED = "vllm:spec_decode_num_draft_tokens_total", "vllm:spec_decode_num_accepted_tokens_total"
SLEEP = "vllm:engine_sleep_state"
CACHE = "vllm:cache_config_info"
STARTED = "process_start_time_seconds"
"""Missing where several processes answer (``--api-server-count``)."""
WANTED = frozenset(
    {
        *(RUNNING, WAITING, REASONS, *USED, PROMPT, CACHED, GENERATED, PREEMPTIONS, *LOOKED_UP, *FOUND),
        *(READ, DRAFTED, ACCEPTED, SLEEP, CACHE, STARTED),
    }
)
SLEEPS: Mapping[str, str] = {
    "weights_offloaded": "asleep at level 1: its weights are in RAM",
    "discard_all": "asleep at level 2: its weights are given up",
}
"""Values of the label ``sleep_state`` beside ``awake``."""
MOST_REASONS = 8
REASON_LENGTH = 40


class Metrics(NamedTuple):
    """One answer."""

    model: str | None
    """The name under which it serves its model, the first of several."""
    counters: WorkCounters
    pool: CachePool | None
    sleep: str | None
    """In words, where it sleeps."""
    started: float | None
    """When its process started."""


def read_metrics(body: bytes) -> Metrics | None:
    """Return what an answer says; ``None`` where nothing in it is vLLM's (``--disable-log-stats``)."""
    series = read_series(body, WANTED)
    own = [one for one in series if one.name.startswith(PREFIX)]
    if not own:
        return None
    model = next((one.labels["model_name"] for one in own if one.labels.get("model_name")), None)
    read = _Readings([one for one in own if one.labels.get("model_name", model) == model])
    started = next((one.value for one in series if one.name == STARTED), None)
    return Metrics(model, _counters(read), _pool(read), _sleep(read), started)


def is_exposition(body: bytes) -> bool:
    """Whether it is one at all, vLLM's or not: each family begins with what it is."""
    return body.startswith((b"# HELP ", b"# TYPE ")) or b"\n# TYPE " in body


class _Readings:
    """Series of one model, by name."""

    def __init__(self, series: Iterable[Series]) -> None:
        self._by_name: dict[str, list[Series]] = {}
        for one in series:
            if one.value >= 0:
                self._by_name.setdefault(one.name, []).append(one)

    def of(self, *names: str) -> list[Series]:
        """Return the series of the first of several names that is there."""
        return next((found for name in names if (found := self._by_name.get(name))), [])

    def total(self, *names: str) -> float | None:
        """Return the sum over all engines."""
        found = self.of(*names)
        return sum(one.value for one in found) if found else None

    def count(self, name: str) -> int | None:
        """Return the sum as a whole number."""
        total = self.total(name)
        return None if total is None else int(total)

    def mean(self, *names: str) -> float | None:
        """Return the mean over all engines."""
        found = self.of(*names)
        return sum(one.value for one in found) / len(found) if found else None


def _counters(read: _Readings) -> WorkCounters:
    return WorkCounters(
        grows_live=True,
        prompt_tokens_total=_computed(read.total(PROMPT), read.total(CACHED)),
        prompt_tokens_cached_total=read.total(CACHED),
        decoded_tokens_total=read.total(GENERATED),
        requests_processing=read.count(RUNNING),
        requests_deferred=read.count(WAITING),
        deferred_by_reason=_reasons(read),
        preemptions_total=read.total(PREEMPTIONS),
        prefix_tokens_total=read.total(*LOOKED_UP),
        prefix_tokens_found_total=read.total(*FOUND),
        read_bytes_total=read.mean(READ),
        draft_tokens_total=read.total(DRAFTED),
        draft_accepted_total=read.total(ACCEPTED),
    )


def _computed(prompt: float | None, cached: float | None) -> float | None:
    """Return the prompt tokens that were read: those that were found in the cache cost nothing."""
    return None if prompt is None else max(0.0, prompt - (cached or 0.0))


def _reasons(read: _Readings) -> dict[str, int]:
    reasons: dict[str, int] = {}
    for one in read.of(REASONS):
        reason = one.labels.get("reason", "")[:REASON_LENGTH]
        if one.value and reason and (reason in reasons or len(reasons) < MOST_REASONS):
            reasons[reason] = reasons.get(reason, 0) + int(one.value)
    return reasons


def _pool(read: _Readings) -> CachePool | None:
    """Return the cache of all engines together: blocks of so many tokens, set aside when it starts."""
    used, capacity = read.mean(*USED), _capacity(read)
    if used is None and capacity is None:
        return None
    used = None if used is None else min(used, 1.0)
    tokens = None if used is None or capacity is None else round(used * capacity)
    return CachePool(used_fraction=used, capacity_tokens=capacity, used_tokens=tokens)


def _capacity(read: _Readings) -> int | None:
    engines = [one.labels for one in read.of(CACHE)]
    return sum(_blocks(one, "num_gpu_blocks") * _blocks(one, "block_size") for one in engines) or None


def _blocks(labels: Mapping[str, str], name: str) -> int:
    """Return a figure of the configuration; 0 where it is none, as before the cache is there (``None``)."""
    text = labels.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 12 else 0


def _sleep(read: _Readings) -> str | None:
    """Return how it sleeps: only where no engine is awake."""
    states = {one.labels.get("sleep_state"): one.value for one in read.of(SLEEP) if one.value}
    if "awake" in states:
        return None
    return next((words for state, words in SLEEPS.items() if state in states), None)
