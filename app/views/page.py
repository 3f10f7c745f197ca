"""What pages share: figures with their origin, windows of time and their charts, the hints of a player."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from gpumon.app.state.series import Series
from gpumon.text import units
from gpumon.widgets.kit.lines import Glyphs, Role, shorten_words
from gpumon.widgets.views import ChartSeries, ChartView, Fact, Section, Trend, VerdictView

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
    """Every figure, with where it comes from."""
    charts: tuple[ChartView, ...] = ()
    sections: tuple[Section, ...] = ()
    """What is said at once, the most needed first."""
    beside: tuple[Section, ...] = ()
    """What stands below the charts where they stand beside the rest."""
    said: tuple[str, ...] = ()
    """Labels of the facts that are among the sections in other words."""

    @property
    def rest(self) -> tuple[Fact, ...]:
        """The facts that are not said at once."""
        return tuple(fact for fact in self.facts if fact.label not in self.said)


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


DAY_SECONDS = 86400.0
WINDOWS_SECONDS: tuple[float, ...] = (300.0, 3600.0, DAY_SECONDS)
"""What the history charts can show: 5 minutes, an hour, a day."""
LONG_WINDOWS_SECONDS: tuple[float, ...] = (*WINDOWS_SECONDS, 7 * 86400.0, 30 * 86400.0)
"""The same where a history is kept: a week and a month."""

CHART_CELLS = 150

PEAKS_FROM_SECONDS = 1800.0
"""From this window on a cell covers so many samples that the peaks are drawn as well."""

FIRST_WINDOWS_SECONDS = (60.0, 120.0, 300.0)
"""Shown while there is no more: a window grows with what is known."""
FIRST_LONG_WINDOWS_SECONDS = (*FIRST_WINDOWS_SECONDS, 3600.0, 86400.0, 7 * 86400.0)
"""The same of windows of more than a day."""
STEPS_SECONDS = ((86400.0, 3600.0), (3600.0, 600.0), (300.0, 60.0), (0.0, 15.0))
"""By how much the right edge moves at a time, in windows longer than so much; in between it stands still."""
PLOT_SECONDS = 3.0
"""A chart is drawn on so often, but for its newest value in words."""

INSTANT = 1e-5
"""Less than any time that matters."""


class Window(NamedTuple):
    """The span of time that a chart shows."""

    end: float
    """Unix time of the right edge, after the newest sample."""
    seconds: float
    now: float
    """Up to when values are drawn."""


def window_of(series: Iterable[Series], now: float, longest: float, at: float | None = None) -> Window:
    """Return the shortest window with all that is known of the ``series`` within ``longest`` seconds.

    ``at`` is a time that must be in it, whatever is chosen.
    """
    known = [begun for one in series if (begun := _begun(one, now, longest)) is not None]
    first = min([*known, *([at] if at is not None else [])], default=now)
    if at is not None and at < now - longest:
        longest = next((one for one in LONG_WINDOWS_SECONDS if at >= now - one), LONG_WINDOWS_SECONDS[-1])
    first_ones = FIRST_WINDOWS_SECONDS if longest <= DAY_SECONDS else FIRST_LONG_WINDOWS_SECONDS
    shorter = [one for one in first_ones if one < longest]
    lengths = [*shorter, longest]
    return next(
        (w for w in (_window(now, one) for one in lengths) if first >= w.end - w.seconds),
        _window(now, longest),
    )


def _window(now: float, seconds: float) -> Window:
    step = next(step for longer_than, step in STEPS_SECONDS if seconds > longer_than)
    return Window(math.ceil(now / step) * step, seconds, math.floor(now / PLOT_SECONDS) * PLOT_SECONDS)


def _begun(series: Series, now: float, seconds: float) -> float | None:
    """Return when the first value within the last ``seconds`` was, to within a cell."""
    if series.last_time is None:
        return None
    cells = min(CHART_CELLS, int(seconds))
    buckets = series.window(now, seconds, cells)
    empty = next((index for index, bucket in enumerate(buckets) if bucket), None)
    return None if empty is None else now - seconds * (cells - empty) / cells


def marks_in(window: Window, happened: Iterable[tuple[float, str]]) -> tuple[tuple[float, str], ...]:
    """Return what happened within a window: seconds before its right edge, and a word."""
    return tuple((window.end - at, word) for at, word in happened if 0 <= window.end - at <= window.seconds)


def happened_at(at: float | None) -> tuple[tuple[float, str], ...]:
    """Return the mark of the event that a page was opened from."""
    return () if at is None else ((at, "event"),)


def area(label: str, series: Series, window: Window, scale: float = 1.0, role: Role = "model") -> ChartSeries:
    """Return what was known of a series in a window, in units of ``scale``."""
    cells = min(CHART_CELLS, int(window.seconds))
    width, until = window.seconds / cells, window.end - INSTANT
    first = math.floor(until / width) - cells + 1
    shown = math.ceil(window.now / width - INSTANT) - first
    buckets = series.window(until, window.seconds, cells)
    buckets = [bucket if index < shown else None for index, bucket in enumerate(buckets)]
    means = _scaled([bucket.mean if bucket else None for bucket in buckets], scale)
    if window.seconds < PEAKS_FROM_SECONDS:
        return ChartSeries(label, means, role=role)
    maxima = _scaled([bucket.maximum if bucket else None for bucket in buckets], scale)
    return ChartSeries(label, means, maxima, role=role)


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
