"""Spans as users write them, and what minutes come to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec import convert
from tests.app.history.rows import ALL, LLAMA, MINUTE, model_minute, written

from gpumon.app.history.file import NewRow
from gpumon.app.history.reader import History
from gpumon.app.history.rows import GpuMinute, Span
from gpumon.app.history.sums import ModelSum, Step, gpu_sums, model_sums, start_of, step_for, time_of

NOON = 1_800_014_400.0
"""2027-01-15 12:00 in London."""
Sums = Callable[..., list[ModelSum]]


@pytest.fixture(autouse=True)
def london(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/London")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "seconds_ago"),
    [
        ("90m", 5400),
        ("24h", 86_400),
        ("7d", 7 * 86_400),
        ("2w", 14 * 86_400),
        ("now", 0),
        ("today", 12 * 3600),
        ("yesterday", 36 * 3600),
        ("2027-01-14", 36 * 3600),
        ("2027-01-15 11:30", 1800),
        ("2027-01-15T11:30", 1800),
        ("2027-01-15T11:59:50", 10),
    ],
)
def test_a_time_may_be_written_in_many_ways(text: str, seconds_ago: float) -> None:
    assert NOON - time_of(text, NOON) == seconds_ago


@pytest.mark.parametrize("text", ["", "7", "d", "7x", "tomorrow", "2027-13-01", "1999999d", "2027-01-14 "])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected 7d, 24h"):
        time_of(text, NOON)


def test_a_table_of_some_days_goes_by_the_day() -> None:
    assert [step_for(Span(0, days * 86_400)) for days in (1, 2, 3)] == ["hour", "hour", "day"]


def test_hours_and_days_are_those_of_the_place() -> None:
    summer = 1_782_860_400.0  # 2026-07-01 00:00 in London, an hour ahead of UTC
    assert start_of(summer + 90, "day") == summer
    assert start_of(summer - 60, "day") == summer - 86_400
    assert start_of(summer + 3660, "hour") == summer + 3600


@pytest.fixture
def sums(tmp_path: Path) -> Sums:
    def summed(*rows: NewRow, step: Step = "day") -> list[ModelSum]:
        written(tmp_path / "h.db", rows)
        with History.open(tmp_path / "h.db") as history:
            return model_sums(history.model_minutes(ALL), step)

    return summed


def test_the_minutes_of_a_day_are_added(sums: Sums) -> None:
    [one] = sums(model_minute(0, tokens=100), model_minute(1, tokens=50))
    assert (one.decoded_tokens, one.requests, one.watched_seconds, one.busy_seconds) == (150, 2, 120, 10)
    assert one.decode_tokens_per_second == 25
    assert one.name[2:] == LLAMA[1:]


def test_what_is_known_of_no_minute_is_unknown(sums: Sums) -> None:
    [one] = sums(model_minute(tokens=None))
    assert (one.decoded_tokens, one.energy_joules) == (None, None)


def test_two_models_are_two(sums: Sums) -> None:
    other = LLAMA._replace(name="other")
    found = sums(model_minute(tokens=1), model_minute(tokens=5, model=other, number=2))
    assert [one.name.name for one in found] == ["other", LLAMA.name], "the one that said more first"


def test_hours_are_apart(sums: Sums) -> None:
    assert len(sums(model_minute(0), model_minute(90), step="hour")) == 2


def gpu_minute(minute: int, **figures: object) -> GpuMinute:
    unknown = dict.fromkeys(GpuMinute.__struct_fields__)
    known: dict[str, object] = {
        "minute": MINUTE + 60 * minute,
        "host": "desk",
        "session": 1,
        "number": minute,
        "monotonic_seconds": 0.0,
        "uuid": "GPU-0",
        "gpu_index": 0,
        "name": "RTX",
        "watched_seconds": 60.0,
        "throttled_seconds": 0.0,
        "level": "ok",
    }
    return convert({**unknown, **known, **figures}, GpuMinute)


def test_of_a_gpu_means_are_over_the_time_that_is_known() -> None:
    minutes = [gpu_minute(0, power_watts=100.0), gpu_minute(1), gpu_minute(2, power_watts=200.0)]
    [one] = gpu_sums(minutes, "day")
    assert (one.label, one.power_watts, one.watched_seconds) == ("0 RTX", 150, 180)


def test_each_reason_is_named_once() -> None:
    minutes = [gpu_minute(at, throttled_seconds=10.0, throttle_reasons="power cap, heat") for at in (0, 1)]
    [one] = gpu_sums(minutes, "day")
    assert (one.throttled_seconds, one.throttle_reasons) == (20, ("power cap", "heat"))
