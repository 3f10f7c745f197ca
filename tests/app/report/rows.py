"""Rows of a history for reports."""

from __future__ import annotations

from itertools import count

from msgspec import convert

from gpumon.app.history.rows import GpuMinute, Load, MachineMinute, ModelMinute, Request, Span, Trouble
from gpumon.app.report.material import Material

MINUTE = 1_800_000_000
HOUR = Span(MINUTE, MINUTE + 3600)
_numbers = count(1)
_OF_MODEL = {
    "server": "http://127.0.0.1:11434",
    "kind": "ollama",
    "name": "llama3:8b",
    "digest": "a1",
    "quantization": "Q4_K_M",
}


def _row(minute: int) -> dict[str, object]:
    number = next(_numbers)
    return {
        "minute": MINUTE + 60 * minute,
        "host": "desk",
        "session": 1,
        "number": number,
        "monotonic_seconds": 100.0 + 60 * minute,
    }


def _values(kind: type, minute: int, known: dict[str, object], more: dict[str, object]) -> dict[str, object]:
    """Return the values of a row: what is not said is unknown."""
    return dict.fromkeys(kind.__struct_fields__) | _row(minute) | known | more  # type: ignore[attr-defined]  # a Struct


def machine_minute(minute: int = 0) -> MachineMinute:
    return convert(_values(MachineMinute, minute, {"watched_seconds": 60.0}, {}), MachineMinute)


def model_minute(minute: int = 0, **more: object) -> ModelMinute:
    known = _OF_MODEL | {
        "watched_seconds": 60.0,
        "busy_seconds": 30.0,
        "decoding_seconds": 20.0,
        "waiting_seconds": 0.0,
        "decoded_tokens": 800,
        "decoded_is_estimate": 0,
        "requests": 1,
        "decode_tokens_per_second": 40.0,
        "level": "ok",
        "trouble": "healthy",
    }
    return convert(_values(ModelMinute, minute, known, more), ModelMinute)


def gpu_minute(minute: int = 0, **more: object) -> GpuMinute:
    known: dict[str, object] = {
        "uuid": "GPU-0",
        "gpu_index": 0,
        "name": "NVIDIA GeForce RTX 4070",
        "watched_seconds": 60.0,
        "throttled_seconds": 0.0,
        "level": "ok",
    }
    return convert(_values(GpuMinute, minute, known, more), GpuMinute)


def request(minute: int = 0, **more: object) -> Request:
    known = _OF_MODEL | {
        "started": MINUTE + 60.0 * minute,
        "ended": MINUTE + 60.0 * minute + 3,
        "seconds": 3.0,
        "source": "/slots",
        "decoded_is_lower_bound": 0,
        "ending": "finished",
    }
    return convert(_values(Request, minute, known, more), Request)


def load(minute: int = 0, **more: object) -> Load:
    known = _OF_MODEL | {
        "pid": 7,
        "started": MINUTE + 60.0 * minute,
        "ended": MINUTE + 60.0 * minute + 8,
        "seconds": 8.0,
        "outcome": "loaded",
        "phases": "{}",
        "evicted": "[]",
        "changes": "[]",
    }
    return convert(_values(Load, minute, known, more), Load)


def trouble(minute: int = 0, **more: object) -> Trouble:
    known = _OF_MODEL | {
        "started": MINUTE + 60.0 * minute,
        "until": MINUTE + 60.0 * minute + 600,
        "trouble": "spilled",
        "level": "bad",
        "sentence": "llama3:8b: 38% in RAM",
        "busy_seconds": 300.0,
    }
    return convert(_values(Trouble, minute, known, more), Trouble)


def material(*rows: object, span: Span = HOUR) -> Material:
    """Return what is known of a span by rows of any kind."""
    return Material(
        span=span,
        machine_minutes=[row for row in rows if isinstance(row, MachineMinute)],
        model_minutes=[row for row in rows if isinstance(row, ModelMinute)],
        gpu_minutes=[row for row in rows if isinstance(row, GpuMinute)],
        requests=[row for row in rows if isinstance(row, Request)],
        loads=[row for row in rows if isinstance(row, Load)],
        troubles=[row for row in rows if isinstance(row, Trouble)],
    )
