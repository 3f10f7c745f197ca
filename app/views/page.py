"""What pages share: figures with their origin, charts, trends, the hints of a player."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from typing import TYPE_CHECKING

from msgspec import Struct

from gpumon.app.picture.gpu import GpuPicture
from gpumon.app.picture.model import ModelPicture
from gpumon.app.state.series import Series
from gpumon.app.state.state import State
from gpumon.text import units
from gpumon.text.units import GIB
from gpumon.widgets.kit.lines import Glyphs, shorten_words
from gpumon.widgets.views import ChartSeries, ChartView, Fact, Trend, VerdictView

if TYPE_CHECKING:
    from gpumon.app.feeds.demo import DemoFeed
    from gpumon.app.feeds.player import Player


NVML = "NVML"
PS = "/api/ps"
SHOW = "/api/show"
PROC = "/proc"
GPUMON = "gpumon"


class PageView(Struct, frozen=True):
    """One instant of a page."""

    verdict: VerdictView
    facts: tuple[Fact, ...] = ()
    charts: tuple[ChartView, ...] = ()
    first: tuple[Fact, ...] = ()
    """What is said before the charts: a model's diagnosis."""


def of_maximum(value: int | None, maximum: int | None, unit: str = "") -> str:
    """Write a figure with the most it can be: ``16 of 16``; a dash alone where neither is known."""
    if value is None and maximum is None:
        return units.UNKNOWN
    words = text_of(value) if maximum is None else f"{text_of(value)} of {maximum}"
    return f"{words} {unit}".strip()


def prefixed(prefix: str, value: int | None) -> str:
    """Write a number after a prefix: ``P2``."""
    return units.UNKNOWN if value is None else f"{prefix}{value}"


def text_of(value: int | None) -> str:
    """Write a whole number."""
    return units.UNKNOWN if value is None else str(value)


def request_labels(newest: str) -> Iterator[str]:
    """Yield the labels of requests without end, the newest first."""
    return chain((newest,), repeat("  the one before"))


def about(words: str, *, estimate: bool) -> str:
    """Mark an estimate: ``~41 tok/s``; what is unknown stays as it is."""
    return f"~{words}" if estimate and words != units.UNKNOWN else words


WINDOWS_SECONDS: tuple[float, ...] = (300.0, 3600.0, 86400.0)
"""What the history charts can show: 5 minutes, an hour, a day."""

CHART_CELLS = 150

PEAKS_FROM_SECONDS = 1800.0
"""From this window on a cell covers so many samples that the peaks are drawn as well."""


THIS_MACHINE = "http://127.0.0.1"


def vram_chart(state: State, seconds: float) -> ChartView:
    """Return used VRAM of every GPU; without any, used RAM."""
    if not state.gpus and state.system is not None and state.lacks_gpu_at(THIS_MACHINE):
        total = state.system.sample.ram_total_bytes
        line = _line("RAM", state.system.ram_used, state.now, seconds, GIB)
        return ChartView("RAM in use", "GiB", seconds, (line,), total / GIB if total else None)
    gpus = sorted(state.gpus.values(), key=lambda gpu: gpu.reading.index)
    capacities = [gpu.total_bytes for gpu in gpus if gpu.total_bytes]
    series = [_line(f"GPU {gpu.reading.index}", gpu.vram, state.now, seconds, GIB) for gpu in gpus]
    ceiling = max(capacities) / GIB if capacities else None
    return ChartView("VRAM in use", "GiB", seconds, tuple(series), ceiling)


def gpu_charts(gpu: GpuPicture, seconds: float) -> tuple[ChartView, ...]:
    """Return the charts of a GPU's page."""
    series, slowdown, limit = gpu.series, gpu.facts.slowdown_celsius, gpu.reading.power_limit_watts
    total = gpu.memory.total_bytes if gpu.memory else None
    return (
        _chart("VRAM in use", "GiB", series.vram, gpu.at, seconds, total / GIB if total else None, GIB),
        _chart("utilisation", "%", series.utilization, gpu.at, seconds, 100.0),
        _chart("power", "W", series.power, gpu.at, seconds, limit),
        _chart("temperature", "°C", series.temperature, gpu.at, seconds, slowdown),
    )


def model_charts(model: ModelPicture, seconds: float) -> tuple[ChartView, ...]:
    """Return the charts of a model's page."""
    series, now, size = model.series, model.at, model.claim.size_bytes
    parts = []
    if model.memory.claims_memory and not model.memory.has_no_gpu:
        parts.append(_line("VRAM claimed", series.claimed_vram, now, seconds, GIB))
    if model.memory.claims_memory:
        parts.append(_line("RAM claimed", series.claimed_ram, now, seconds, GIB))
    if series.measured_vram.last_time is not None:
        parts.append(_line("VRAM measured", series.measured_vram, now, seconds, GIB))
    charts = (
        [ChartView("memory", "GiB", seconds, tuple(parts), size / GIB if size else None)] if parts else []
    )
    if series.decode.last_time is not None:
        charts.append(_chart("decode rate", "tok/s", series.decode, now, seconds, None))
    if series.prefill.last_time is not None:
        charts.append(_chart("prefill rate", "tok/s", series.prefill, now, seconds, None))
    return tuple(charts)


def _chart(
    title: str,
    unit: str,
    series: Series,
    now: float,
    seconds: float,
    ceiling: float | None,
    scale: float = 1.0,
) -> ChartView:
    line = _line(title, series, now, seconds, scale)
    return ChartView(title, unit, seconds, (line,), ceiling)


def _line(label: str, series: Series, now: float, seconds: float, scale: float) -> ChartSeries:
    cells = min(CHART_CELLS, int(seconds))
    buckets = series.window(now, seconds, cells)
    means = _scaled([bucket.mean if bucket else None for bucket in buckets], scale)
    if seconds < PEAKS_FROM_SECONDS:
        return ChartSeries(label, means)
    maxima = _scaled([bucket.maximum if bucket else None for bucket in buckets], scale)
    return ChartSeries(label, means, maxima)


def _scaled(values: Sequence[float | None], scale: float) -> Trend:
    return tuple(None if value is None else value / scale for value in values)


Hint = tuple[str, str]


def play_hints(player: Player | None) -> tuple[Hint, ...]:
    """Return position and length, and how it is played; nothing for what has no end."""
    if player is None or player.start is None or player.position is None or player.end is None:
        return ()
    position = f"{play_time(player.position - player.start)} / {play_time(player.end - player.start)}"
    return ((position, _manner(player)),)


LEAST_CAPTION_CELLS = 20
"""Of a caption in fewer cells nothing is left that can be understood."""
KEPT_CELLS = 10
"""Room beside a caption for the key that explains all others."""


def caption_hints(demo: DemoFeed | None, width: int, glyphs: Glyphs) -> tuple[Hint, ...]:
    """Return what to look at in a demonstration, in as many whole words as fit into a line of hints."""
    words, room = demo.caption() if demo else "", width - KEPT_CELLS - 3
    if not words or room < LEAST_CAPTION_CELLS:
        return ()
    return ((">" if glyphs.ascii_only else "▸", shorten_words(words, room, glyphs.ellipsis)),)


def play_time(seconds: float) -> str:
    """Write a time as players do: ``0:42``, ``12:30``, ``1:02:03``."""
    minutes, rest = divmod(int(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _manner(player: Player) -> str:
    if player.ended:
        return "end"
    return "paused" if player.paused else f"{player.speed:g}x"
