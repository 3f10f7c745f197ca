"""What vLLM logs of its start (vllm: v1/worker/gpu_worker.py, v1/core/kv_cache_utils.py), in older words too.

``(EngineCore_DP0 pid=212) INFO 10-06 12:00:31 [kv_cache_utils.py:1087] GPU KV cache size: 49,152 tokens``: of
several workers each names itself in front, and some lines are written by the first alone. Times have neither
year nor zone, so none is taken from them. Requests, which may be logged with their prompts, match nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from gpumon.collectors.samples import BufferComponent, LogEvent, LogEventKind
from gpumon.collectors.server_log.lines import decimal, size_bytes, whole

LONGEST_LINE = 4096
"""The line that tells the whole configuration is longer than others."""
_HEAD = re.compile(
    r"(?:\((?P<process>[\w:]{1,40}) pid=\d{1,10}\) )?"
    r"(?:(?:DEBUG|INFO|WARNING|ERROR|CRITICAL):? +)?(?:\d\d-\d\d \d\d:\d\d:\d\d )?"
    r"(?:\[?[\w./]{1,80}\.py:\d{1,6}\]? )?",
    re.ASCII,
)
_RANK = re.compile(r"(?:TP|PP|EP|DP)(\d{1,3})", re.ASCII)
_SIZE = r"(-?\d{1,9}(?:\.\d{1,6})?) ?(?:GiB|GB)"
"""Before 0.7 GiB were written as GB."""
_COUNT = r"(\d[\d,]{0,17})"
_Builder = Callable[[re.Match[str], str], "LogEvent | None"]


def parse_vllm(line: str) -> LogEvent | None:
    """Return what a line says; ``None`` if it is none of those that matter."""
    if len(line) > LONGEST_LINE:
        line = line[:LONGEST_LINE]
    line = line.strip()
    head = _HEAD.match(line)
    message, process = (line[head.end() :], head["process"] or "") if head else (line, "")
    for pattern, build in _BUILDERS:
        if found := pattern.match(message):
            return build(found, process)
    return None


def device_of(process: str) -> str:
    """Return where a worker is: ``rank 1`` of ``Worker_TP1``; what names no rank is the first."""
    ranks = _RANK.findall(process)
    return f"rank {'.'.join(ranks)}" if ranks else "rank 0"


def _buffer(component: BufferComponent, number: str, process: str) -> LogEvent | None:
    size = size_bytes(f"{number} GiB")
    if size is None:
        return None
    return LogEvent(kind="buffer", component=component, device=device_of(process), size_bytes=size)


def _weights(found: re.Match[str], process: str) -> LogEvent | None:
    return _buffer("model", found[1], process)


def _cache(found: re.Match[str], process: str) -> LogEvent | None:
    if found[1].startswith("-"):
        return LogEvent(kind="load_failed", text="no memory is left for the KV cache")
    return _buffer("kv_cache", found[1], process)


def _graphs(found: re.Match[str], process: str) -> LogEvent | None:
    return _buffer("compute", found[1], process)


def _pool(found: re.Match[str], _process: str) -> LogEvent:
    return LogEvent(kind="cache_pool", count=whole(found[1].replace(",", "")))


def _longest(found: re.Match[str], _process: str) -> LogEvent:
    return LogEvent(kind="cache_pool", total=whole(found[1].replace(",", "")))


def _shards(found: re.Match[str], _process: str) -> LogEvent:
    percent = decimal(found[1])
    return LogEvent(kind="load_progress", fraction=None if percent is None else min(1.0, percent / 100))


def _told(kind: LogEventKind, text: str | None = None) -> _Builder:
    return lambda _found, _process: LogEvent(kind=kind, text=text)


NO_ROOM = "no memory is left for the KV cache"
TOO_LONG = "the KV cache has no room for one request of the longest context (--max-model-len)"
NOT_FREE = "less VRAM is free than it is told to take (--gpu-memory-utilization)"
_BUILDERS: tuple[tuple[re.Pattern[str], _Builder], ...] = tuple(
    (re.compile(pattern, re.ASCII | re.IGNORECASE), build)
    for pattern, build in (
        (r"Initializing an? (?:V[01] )?LLM engine", _told("load_started")),
        (rf"(?:Model loading took|Loading model weights took) {_SIZE}", _weights),
        (rf"Available KV cache memory: {_SIZE}", _cache),
        (rf".{{0,400}}the rest of the memory reserved for KV Cache is {_SIZE}", _cache),
        (rf"GPU KV cache size: {_COUNT} tokens", _pool),
        (rf"Maximum concurrency for {_COUNT} tokens", _longest),
        (rf"Graph capturing finished in [\d.]+ secs?, took {_SIZE}", _graphs),
        (r"Loading \w{1,20} checkpoint shards: +(\d{1,3})%", _shards),
        (r"Application startup complete", _told("load_finished")),
        (r"(?:\w+: )?No available memory for the cache blocks", _told("load_failed", NO_ROOM)),
        (r"(?:\w+: )?To serve at least one request with the model", _told("load_failed", TOO_LONG)),
        (r"(?:\w+: )?The model's max seq len \(\d+\) is larger than", _told("load_failed", TOO_LONG)),
        (r"(?:\w+: )?Free memory on device .{1,80} is less than desired", _told("load_failed", NOT_FREE)),
        (r"(?:[\w.]+: )?(?:CUDA|HIP)(?: error:)? out of memory", _told("out_of_memory", "out of memory")),
    )
)
