"""Spans of time as users write them, and what the minutes of an hour or a day come to. Pure."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from msgspec import Struct

from gpumon.app.history.rows import GpuMinute, ModelMinute, Span

HOUR_SECONDS = 3600.0
DAY_SECONDS = 86_400.0
_UNITS = {"m": 60.0, "h": HOUR_SECONDS, "d": DAY_SECONDS, "w": 7 * DAY_SECONDS}
_AGO = re.compile(r"(\d{1,5})([mhdw])", re.ASCII)
_FORMS = ("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S")
TIME_HELP = (
    "7d, 24h or 90m ago, a day such as 2026-11-01, a time such as 2026-11-01T14:30, today or yesterday"
)

Step = Literal["hour", "day"]
LEVELS = ("bad", "watch", "ok", "unknown")
"""Of several levels the first of these counts."""


def time_of(text: str, now: float) -> float:
    """Return the time that a user means: so long ago, a local day or time, ``today``, ``yesterday``.

    Raises:
        ValueError: it is not written like that.
    """
    if found := _AGO.fullmatch(text):
        return now - int(found[1]) * _UNITS[found[2]]
    today = datetime.fromtimestamp(now).replace(hour=0, minute=0, second=0, microsecond=0)
    if text in {"now", "today", "yesterday"}:
        return now if text == "now" else (today - timedelta(days=text == "yesterday")).timestamp()
    for form in _FORMS:
        try:
            return datetime.strptime(text, form).timestamp()
        except (ValueError, OverflowError):
            continue
    raise ValueError(f"expected {TIME_HELP}")


def step_for(span: Span) -> Step:
    """Return by what a table of a span goes."""
    return "hour" if span.end - span.start <= 2 * DAY_SECONDS else "day"


def start_of(minute: float, step: Step) -> float:
    """Return when the local hour or day begins that a minute is in."""
    moment = datetime.fromtimestamp(minute)
    if step == "hour":
        return minute - moment.minute * 60 - moment.second
    return moment.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


def step_words(start: float, step: Step) -> str:
    """Write an hour or a day: ``2026-12-01 14:00``, ``Tue 2026-12-01``."""
    form = "%Y-%m-%d %H:00" if step == "hour" else "%a %Y-%m-%d"
    return time.strftime(form, time.localtime(start))


class Name(NamedTuple):
    """By what a model is known."""

    host: str
    server: str | None
    kind: str | None
    name: str
    digest: str | None
    quantization: str | None


class ModelSum(Struct, kw_only=True):
    """What a model did in a time; ``None`` is unknown."""

    start: float
    name: Name
    watched_seconds: float = 0.0
    busy_seconds: float = 0.0
    waiting_seconds: float = 0.0
    decoded_tokens: int | None = None
    is_estimate: bool = False
    requests: int = 0
    prompt_tokens: int | None = None
    kept_tokens: int | None = None
    reread_tokens: int | None = None
    lost_seconds: float | None = None
    decode_tokens_per_second: float | None = None
    """Mean of the time with a rate."""
    decode_tokens_per_second_peak: float | None = None
    vram_bytes: int | None = None
    """The most."""
    ram_bytes: int | None = None
    """The most."""
    spilled_seconds: float = 0.0
    level: str = "unknown"
    trouble: str = ""
    energy_joules: float | None = None
    _decoding_seconds: float = 0.0

    def add(self, one: ModelMinute) -> None:
        """Add a minute."""
        self.watched_seconds += one.watched_seconds
        self.busy_seconds += one.busy_seconds
        self.waiting_seconds += one.waiting_seconds
        self.requests += one.requests
        self.is_estimate = self.is_estimate or bool(one.decoded_is_estimate and one.decoded_tokens)
        for figure in ADDED:
            setattr(self, figure, _plus(getattr(self, figure), getattr(one, figure)))
        for figure in ("decode_tokens_per_second_peak", "vram_bytes", "ram_bytes"):
            setattr(self, figure, _most(getattr(self, figure), getattr(one, figure)))
        self.spilled_seconds += one.watched_seconds if one.spill_fraction else 0.0
        self._add_rate(one)
        if LEVELS.index(one.level) < LEVELS.index(self.level):
            self.level, self.trouble = one.level, one.trouble

    def _add_rate(self, one: ModelMinute) -> None:
        rate, seconds = one.decode_tokens_per_second, one.decoding_seconds
        if rate is not None and seconds:
            before = (self.decode_tokens_per_second or 0.0) * self._decoding_seconds
            self._decoding_seconds += seconds
            self.decode_tokens_per_second = (before + rate * seconds) / self._decoding_seconds


ADDED = (
    "decoded_tokens",
    "prompt_tokens",
    "kept_tokens",
    "reread_tokens",
    "lost_seconds",
    "energy_joules",
)
"""Figures that are unknown where each is, and else the sum of those that are known."""


class GpuSum(Struct, kw_only=True):
    """What a GPU did in a time; ``None`` is unknown."""

    start: float
    host: str
    uuid: str
    label: str
    watched_seconds: float = 0.0
    used_bytes_peak: int | None = None
    total_bytes: int | None = None
    utilization_percent: float | None = None
    temperature_celsius_peak: float | None = None
    power_watts: float | None = None
    power_watts_peak: float | None = None
    throttled_seconds: float = 0.0
    throttle_reasons: tuple[str, ...] = ()
    energy_joules: float | None = None
    _known_seconds: dict[str, float] = {}

    def add(self, one: GpuMinute) -> None:
        """Add a minute."""
        self.watched_seconds += one.watched_seconds
        self.throttled_seconds += one.throttled_seconds
        self.energy_joules = _plus(self.energy_joules, one.energy_joules)
        for figure in ("used_bytes_peak", "total_bytes", "temperature_celsius_peak", "power_watts_peak"):
            setattr(self, figure, _most(getattr(self, figure), getattr(one, figure)))
        for figure in ("utilization_percent", "power_watts"):
            self._add_mean(figure, getattr(one, figure), one.watched_seconds)
        reasons = one.throttle_reasons.split(", ") if one.throttle_reasons else ()
        self.throttle_reasons = tuple(dict.fromkeys((*self.throttle_reasons, *reasons)))

    def _add_mean(self, figure: str, value: float | None, seconds: float) -> None:
        if value is not None and seconds:
            known = self._known_seconds.get(figure, 0.0)
            before = (getattr(self, figure) or 0.0) * known
            self._known_seconds[figure] = known + seconds
            setattr(self, figure, (before + value * seconds) / (known + seconds))


def model_sums(minutes: Iterable[ModelMinute], step: Step) -> list[ModelSum]:
    """Return what the minutes of each hour or day and model come to, by time."""
    sums: dict[tuple[float, Name], ModelSum] = {}
    for one in minutes:
        start = start_of(one.minute, step)
        name = Name(one.host, one.server, one.kind, one.name, one.digest, one.quantization)
        found = sums.get((start, name))
        if found is None:
            found = sums[start, name] = ModelSum(start=start, name=name)
        found.add(one)
    return sorted(sums.values(), key=lambda one: (one.start, -(one.decoded_tokens or 0), one.name.name))


def gpu_sums(minutes: Sequence[GpuMinute], step: Step) -> list[GpuSum]:
    """Return what the minutes of each hour or day and GPU come to, by time."""
    sums: dict[tuple[float, str, str], GpuSum] = {}
    for one in minutes:
        start = start_of(one.minute, step)
        found = sums.get((start, one.host, one.uuid))
        if found is None:
            label = f"{'GPU' if one.gpu_index is None else one.gpu_index} {one.name or ''}".strip()
            found = sums[start, one.host, one.uuid] = GpuSum(
                start=start, host=one.host, uuid=one.uuid, label=label
            )
        found.add(one)
    return sorted(sums.values(), key=lambda one: (one.start, one.label))


def _plus(before: float | None, more: float | None) -> float | None:
    return before if more is None else more if before is None else before + more


def _most(before: float | None, more: float | None) -> float | None:
    return before if more is None else more if before is None else max(before, more)
