"""How many lines each panel gets: a pure function of the pane's size and of what there is to show.

Lines are granted in order of need, so that a small pane keeps the verdict, a line per GPU and a line per
model, and a large one adds titles, second lines, the feed and a chart.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

CHART_HEIGHT = 9
"""Fewest lines in which a chart with axes can be read."""

MEMORY_HEIGHT = 4
"""Lines of the memory panel in full: title, RAM, swap, CPU."""

SPARED_LINES = ((16, 3), (4, 1), (0, 0))
"""(from height, lines): what many GPUs and models leave for hints, memory and the newest alert."""

FEED_COMFORT = 6
"""Lines of alerts that a large pane shows before it adds a chart."""


class Content(Struct, frozen=True):
    """What there is to show; 0 where the panel is empty or switched off."""

    gpus: int
    models: int
    verdict: int = 1
    """Lines that the whole verdict takes."""
    models_shown: bool = True
    """Whether the panel is there; without models it says so in one line."""
    sources: int = 0
    """Lines that the problems of sources take."""
    alerts: int = 0
    memory: bool = True
    feed: bool = True
    """Whether the alert feed is shown at all; without alerts it says so in one line."""
    chart: bool = True


class Layout(Struct, frozen=True):
    """Lines per panel, titles included; 0 hides the panel."""

    verdict: int = 1
    sources: int = 0
    gpus: int = 0
    lines_per_gpu: int = 1
    models: int = 0
    lines_per_model: int = 1
    memory: int = 0
    alerts: int = 0
    chart: int = 0
    hints: int = 0
    titles: bool = False


def plan(height: int, content: Content) -> Layout:
    """Share ``height`` lines among the panels; the verdict always has the first one."""
    left = max(0, height - 1)
    spared = next(lines for least, lines in SPARED_LINES if height >= least)
    layout, left = _rows(left - spared, content)
    left += spared
    layout, left = _essentials(layout, left, content)
    layout, left = _titles(layout, left, content)
    layout, left = _second_lines(layout, left, content)
    return _comforts(layout, left, content)


def _rows(left: int, content: Content) -> tuple[Layout, int]:
    """Grant the lines without which the pane says nothing: problems, GPUs, models."""
    share = left // 4 if content.gpus else left // 2
    sources = min(content.sources, max(1, share), left)
    left -= sources
    models = min(max(1, content.models), left) if content.models_shown else 0
    gpus = min(content.gpus, left)
    if models + gpus > left:
        gpus = min(gpus, max(left // 2, left - models))
        models = left - gpus
    return Layout(sources=sources, gpus=gpus, models=models), left - gpus - models


def _essentials(layout: Layout, left: int, content: Content) -> tuple[Layout, int]:
    """Grant one line each to hints, memory and the newest alert, and the verdict its second line."""
    hints = 1 if left else 0
    left -= hints
    memory = 1 if content.memory and left else 0
    left -= memory
    alerts = min(content.alerts, 1) if content.feed and left else 0
    left -= alerts
    more = min(content.verdict - 1, left)
    return replace(layout, memory=memory, hints=hints, alerts=alerts, verdict=1 + more), left - more


def _titles(layout: Layout, left: int, content: Content) -> tuple[Layout, int]:
    """Grant every shown panel its title line, all or none."""
    if layout.gpus < content.gpus or (content.models_shown and layout.models < content.models):
        return layout, left
    shown = [layout.gpus, layout.models]
    wanted = sum(1 for lines in shown if lines)
    feed = 1 if content.feed and not layout.alerts else 0
    feed_title = 1 if content.feed else 0
    if left < wanted + feed + feed_title:
        return layout, left
    return (
        replace(
            layout,
            gpus=layout.gpus + 1 if layout.gpus else 0,
            models=layout.models + 1 if layout.models else 0,
            alerts=layout.alerts + feed + feed_title,
            titles=True,
        ),
        left - wanted - feed - feed_title,
    )


def _second_lines(layout: Layout, left: int, content: Content) -> tuple[Layout, int]:
    """Grant second lines to models, then to GPUs, where every one of them gets one."""
    if not layout.titles:
        return layout, left
    if 0 < content.models <= left and layout.models > content.models:
        layout = replace(layout, lines_per_model=2, models=layout.models + content.models)
        left -= content.models
    if 0 < content.gpus <= left and layout.gpus > content.gpus:
        layout = replace(layout, lines_per_gpu=2, gpus=layout.gpus + content.gpus)
        left -= content.gpus
    return layout, left


def _comforts(layout: Layout, left: int, content: Content) -> Layout:
    """Spend what is left: more alerts, a chart, then the rest of the alerts."""
    if not layout.titles:
        return layout
    if layout.memory and left >= MEMORY_HEIGHT - 1:
        layout, left = replace(layout, memory=MEMORY_HEIGHT), left - (MEMORY_HEIGHT - 1)
    shown = layout.alerts - 1
    more = min(left, max(0, min(content.alerts, FEED_COMFORT) - shown)) if content.feed else 0
    layout, left = replace(layout, alerts=layout.alerts + more), left - more
    if content.chart and left >= CHART_HEIGHT:
        return replace(layout, chart=left)
    if content.feed:
        return replace(layout, alerts=layout.alerts + left)
    return layout
