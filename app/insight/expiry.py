"""When a model is to be unloaded, by the server's own words."""

from __future__ import annotations

from gpumon.app.state.records import ModelRecord
from gpumon.app.state.split import go_round
from gpumon.app.state.state import State

FOREVER_YEARS = 20
"""Beyond this ``ollama ps`` prints "Forever"."""

_HOURS_PER_YEAR = 24 * 365

FOREVER_SECONDS = (FOREVER_YEARS + 1) * _HOURS_PER_YEAR * 3600.0
"""The same in seconds: whole years count."""


def seconds_left(model: ModelRecord, state: State) -> float | None:
    """Return the seconds until the model expires by the server's clock; negative after that time."""
    expires_at = model.claim.expires_at
    source = state.sources.get(model.key.source)
    offset = source.clock_offset_seconds if source else 0.0
    return None if expires_at is None else expires_at - (state.now + offset)


def from_now_words(seconds: float) -> str:
    """Write a time to come as ``ollama ps`` does under UNTIL (ollama: format/time.go, ``HumanTime``)."""
    if seconds >= FOREVER_SECONDS:
        return "Forever"
    return f"{_about(seconds)} from now"


def _about(seconds: float) -> str:
    if seconds < 60:
        whole = int(seconds)
        return "Less than a second" if whole < 1 else _count(whole, "second")
    minutes = int(seconds / 60)
    if minutes < 60:
        return "About a minute" if minutes == 1 else _count(minutes, "minute")
    hours = go_round(seconds / 3600)
    if hours < 48:
        return "About an hour" if hours == 1 else _count(hours, "hour")
    for limit, unit, length in (
        (14 * 24, "day", 24),
        (60 * 24, "week", 168),
        (2 * _HOURS_PER_YEAR, "month", 720),
    ):
        if hours < limit:
            return _count(hours // length, unit)
    return _count(hours // _HOURS_PER_YEAR, "year")


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
