"""Rows as a gpumon would write them, and the run that writes them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from gpumon.app.history.file import GpuName, HistoryFile, NewRow, Run
from gpumon.app.history.reader import History
from gpumon.app.history.requests import _row
from gpumon.app.history.rows import ModelName, Span

MINUTE = 1_800_000_000
ALL = Span(0, 1e12)
LLAMA = ModelName("http://127.0.0.1:11434", "ollama", "llama3:8b", "a1b2c3d4" * 8, "Q4_K_M")
GPU = GpuName("GPU-0", 0, "RTX 4070")


def run(session: str = "one", host: str = "desk", started: float = MINUTE) -> Run:
    return Run(
        session_id=session,
        boot_id="boot",
        host=host,
        gpumon_version="1",
        command="dashboard",
        started=started,
        started_monotonic=100.0,
    )


def model_minute(
    minute: int = 0,
    *,
    watched: float = 60.0,
    tokens: int | None = 100,
    number: int = 1,
    model: ModelName = LLAMA,
) -> NewRow:
    """A minute of a model, so many after ``MINUTE``."""
    values = {
        "minute": MINUTE + 60 * minute,
        "number": number,
        "monotonic_seconds": 160.0 + 60 * minute,
        "watched_seconds": watched,
        "busy_seconds": 5.0,
        "decoding_seconds": 4.0,
        "waiting_seconds": 0.0,
        "decoded_tokens": tokens,
        "decoded_is_estimate": 0,
        "requests": 1,
        "decode_tokens_per_second": 25.0,
        "decode_tokens_per_second_peak": 30.0,
        "vram_bytes": 8 * 2**30,
        "ram_bytes": 0,
        "spill_fraction": 0.0,
        "level": "ok",
        "trouble": "healthy",
    }
    return NewRow("model_minute_rows", values, model)


def machine_minute(minute: int = 0, *, watched: float = 60.0) -> NewRow:
    """A minute in which somebody watched, so many after ``MINUTE``."""
    values = {
        "minute": MINUTE + 60 * minute,
        "number": 1000 + minute,
        "monotonic_seconds": 160.0 + 60 * minute,
        "watched_seconds": watched,
    }
    return NewRow("machine_minute_rows", values)


def request(ended: float = 10.0, *, number: int = 1, task: int | None = 7, tokens: int = 50) -> NewRow:
    """A request that ended so many seconds after ``MINUTE``."""
    known = _row(started=MINUTE + ended - 3, ended=MINUTE + ended, seconds=3.0, source="/slots", slot_id=0)
    values = {"number": number, "minute": MINUTE, "monotonic_seconds": 100.0 + ended, **known}
    return NewRow("request_rows", values | {"task_id": task, "decoded_tokens": tokens}, LLAMA)


def written(path: Path, rows: Iterable[NewRow], by: Run | None = None) -> None:
    """Write rows as one run does."""
    with contextlib.closing(HistoryFile(path, by or run())) as file:
        assert file.write([*rows], MINUTE) is None


def tokens(path: Path) -> list[int | None]:
    """Read the tokens of every minute of a model."""
    with History.open(path) as history:
        return [one.decoded_tokens for one in history.model_minutes(ALL)]
