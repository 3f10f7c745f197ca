"""What llama.cpp logs, on its own or below Ollama (llama.cpp: src/, common/fit.cpp, tools/server)."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from gpumon.collectors.samples import BufferComponent, LogEvent, LogEventKind
from gpumon.collectors.server_log.lines import decimal, size_bytes, whole
from gpumon.collectors.server_log.ollama_lines import LLAMA_MESSAGES, blob_of, known

_Builder = Callable[[re.Match[str]], LogEvent]

LONGEST_LINE = 1024
"""No line that matters is longer."""

_MIB = 1024**2
_DEVICE = r"([\w.:\[\]]{1,64})"
_NUMBER = r"(\d+(?:\.\d+)?)"
_HEAD = re.compile(r"(?:(?:srv|slot|cmn|que|spec) +)?[\w:.~]{1,64}(?:\(\))?: +", re.ASCII)
_SLOT = re.compile(r"id +(\d{1,9}) \| task +(-?\d{1,15}) \| *", re.ASCII)

_COMPONENTS: dict[str, BufferComponent] = {
    "model": "model",
    "KV": "kv_cache",
    "compute": "compute",
    "output": "output",
    "RS": "recurrent_state",
}


def parse_llama(line: str) -> LogEvent | None:
    """Return what a line without its prefix says; ``None`` if it is none of those that matter."""
    if len(line) > LONGEST_LINE:
        return None
    head = _HEAD.match(line)
    message = " ".join(line[head.end() if head else 0 :].split())
    slot = _SLOT.match(message)
    event = _event(message[slot.end() :] if slot else message)
    if event is None or slot is None:
        return event
    return msgspec.structs.replace(event, slot=int(slot[1]), task=int(slot[2]))


def slot_and_task(line: str) -> tuple[int, int] | None:
    """Return slot and task of a line; timings of 2025 have it in a line of its own in front of theirs."""
    head = _HEAD.match(line)
    slot = _SLOT.match(line, head.end()) if head else None
    return (int(slot[1]), int(slot[2])) if slot else None


def _event(message: str) -> LogEvent | None:
    for pattern, build in _BUILDERS:
        if found := pattern.fullmatch(message):
            return build(found)
    text_and_kind = known(message, LLAMA_MESSAGES)
    if text_and_kind is None:
        return None
    text, kind = text_and_kind
    return LogEvent(kind=kind, text=text)


def _buffer(found: re.Match[str]) -> LogEvent:
    size, component = size_bytes(f"{found[3]} MiB"), _COMPONENTS[found[2]]
    return LogEvent(kind="buffer", device=found[1], component=component, size_bytes=size)


def _layers_offloaded(found: re.Match[str]) -> LogEvent:
    return LogEvent(kind="layers_offloaded", count=whole(found[1]), total=whole(found[2]))


def _layers_overflowing(found: re.Match[str]) -> LogEvent:
    return LogEvent(kind="layers_overflowing", device=found[1], count=whole(found[2]))


def _gpu_selected(found: re.Match[str]) -> LogEvent:
    available = int(found[3]) * _MIB
    return LogEvent(kind="gpu_selected", device=found[1], pci_bus_id=found[2], available_bytes=available)


def _fit_projected(found: re.Match[str]) -> LogEvent:
    device = "Host" if found[2] == "host" else None
    wanted, available = int(found[1]) * _MIB, int(found[3]) * _MIB
    return LogEvent(kind="fit_projected", device=device, size_bytes=wanted, available_bytes=available)


def _load_started(found: re.Match[str]) -> LogEvent:
    return LogEvent(kind="load_started", blob=blob_of(found[1]))


def _load_finished(_found: re.Match[str]) -> LogEvent:
    return LogEvent(kind="load_finished")


def _allocation_failed(found: re.Match[str]) -> LogEvent:
    text = "failed to allocate a buffer"
    return LogEvent(kind="out_of_memory", device=found[1], size_bytes=whole(found[2]), text=text)


def _gpu_out_of_memory(_found: re.Match[str]) -> LogEvent:
    return LogEvent(kind="out_of_memory", text="out of memory")


def _prefill_progress(found: re.Match[str]) -> LogEvent:
    return LogEvent(
        kind="prefill_progress",
        count=whole(found[1]),
        fraction=decimal(found[2]),
        tokens_per_second=decimal(found[3]),
    )


def _decode_progress(found: re.Match[str]) -> LogEvent:
    """Prefer the rate over the last 3 s to the one since the request began."""
    rate = decimal(found[3]) or decimal(found[2])
    return LogEvent(kind="decode_progress", count=whole(found[1]), tokens_per_second=rate)


def _request_timing(found: re.Match[str]) -> LogEvent:
    kind: LogEventKind = "request_prefill" if found[1] else "request_decode"
    return LogEvent(kind=kind, seconds=round(float(found[2]) / 1000, 5), count=whole(found[3]))


def _prompt_compared(found: re.Match[str]) -> LogEvent:
    """Return how many first tokens of a new prompt are those that a slot holds, and how many it has."""
    return LogEvent(kind="prompt_compared", count=whole(found[2]), total=whole(found[3]))


_PREFILL = (
    r"prompt processing(?: progress)?, n_tokens = (\d+),(?: batch\.n_tokens = \d+,)?"
    r" progress = NUMBER(?:, t = [\d.]+ s / NUMBER tokens per second)?"
)
_USING = (
    r"using device DEVICE \(.*?(?: \(([\da-fA-F]{4,8}:[\da-fA-F]{2}:[\da-fA-F]{2}\.\d)\))? - (\d+) MiB free"
)

_BUILDERS: tuple[tuple[re.Pattern[str], _Builder], ...] = tuple(
    (re.compile(pattern.replace("DEVICE", _DEVICE).replace("NUMBER", _NUMBER), re.ASCII), build)
    for pattern, build in (
        (r"DEVICE (model|KV|compute|output|RS) buffer size = NUMBER MiB", _buffer),
        (r"offloaded (\d+)/(\d+) layers to GPU", _layers_offloaded),
        (r"- DEVICE(?: \(.*\))?: \d+ layers \( ?([1-9]\d*) overflowing\).*", _layers_overflowing),
        (_USING, _gpu_selected),
        (r"projected to use (\d+) MiB of (device|host) memory vs\. (\d+) MiB of .*memory", _fit_projected),
        (r"loading model '(.*)'", _load_started),
        (r"model loaded|initializing, n_slots = .*", _load_finished),
        (r"failed to allocate DEVICE buffer of size (\d+)", _allocation_failed),
        (r"(?:CUDA|ROCm|HIP|MUSA) error: out of memory", _gpu_out_of_memory),
        (_PREFILL, _prefill_progress),
        (r"- checking sim = NUMBER \((\d+)/(\d+)\).*", _prompt_compared),
        (r"(?:n_gen|n_decoded) = (\d+), tg = NUMBER t/s(?:, tg_3s = NUMBER t/s)?.*", _decode_progress),
        (r"(prompt )?eval time = NUMBER ms / (\d+) (?:tokens|runs).*", _request_timing),
    )
)
"""Patterns of a whole message in which every run of blanks is one."""
