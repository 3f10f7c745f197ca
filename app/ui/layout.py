"""How many lines each panel gets: a pure function of the pane's size and of what there is to show.

Lines are granted in order of need, so that a small pane keeps the verdict, a line per GPU and a line per
model, and a large one adds the names of columns, second lines, events, charts and blank lines between panels.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

CHART_HEIGHT = 7
"""Fewest lines in which a chart can be read: title, axis, five of area."""

CHART_COMFORT = 11
"""More lines tell no more, unless a third of the pane is more than that and nothing else wants them."""

SPARED_LINES = ((16, 4), (10, 2), (4, 1), (0, 0))
"""(from height, lines): what many GPUs and models leave for the cure, hints, memory, the newest event."""

FEED_COMFORT = 3
"""Lines of events that come before a chart."""


class Content(Struct, frozen=True):
    """What there is to show; 0 where the panel is empty or switched off."""

    gpus: int
    models: int
    gpu_notes: int = 0
    """Second lines that GPUs ask for."""
    model_notes: int = 0
    verdict: int = 1
    """Lines that the whole verdict takes."""
    models_shown: bool = True
    """Whether the panel is there; without models it says so in one line."""
    sources: int = 0
    """Lines that the problems of sources take."""
    alerts: int = 0
    memory: bool = True
    feed: bool = True
    """Whether events are shown at all; without any there is no panel."""
    chart: bool = True


class Layout(Struct, frozen=True):
    """Lines per panel, the names of columns included; 0 hides the panel."""

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
    gaps: int = 0
    """Blank lines, each above a panel, from the models down."""


def plan(height: int, content: Content) -> Layout:
    """Share ``height`` lines among the panels; the verdict always has the first one."""
    left = max(0, height - 1)
    spared = next(lines for least, lines in SPARED_LINES if height >= least)
    layout, left = _rows(left - spared, content)
    left += spared
    layout, left = _essentials(layout, left, content)
    layout, left = _titles(layout, left, content)
    layout, left = _second_lines(layout, left, content)
    return _comforts(layout, left, height, content)


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
    """Grant the verdict its second line, and one line each to hints, memory and the newest event."""
    hints = 1 if left else 0
    left -= hints
    more = min(content.verdict - 1, left)
    left -= more
    memory = 1 if content.memory and left else 0
    left -= memory
    alerts = min(content.alerts, 1) if content.feed and left else 0
    left -= alerts
    return replace(layout, memory=memory, hints=hints, alerts=alerts, verdict=1 + more), left


def _titles(layout: Layout, left: int, content: Content) -> tuple[Layout, int]:
    """Grant GPUs and models the names of their columns, both or neither."""
    if layout.gpus < content.gpus or (content.models_shown and layout.models < content.models):
        return layout, left
    wanted = sum(1 for lines in (layout.gpus, layout.models) if lines)
    if left < wanted:
        return layout, left
    gpus, models = (lines + 1 if lines else 0 for lines in (layout.gpus, layout.models))
    return replace(layout, gpus=gpus, models=models, titles=True), left - wanted


def _second_lines(layout: Layout, left: int, content: Content) -> tuple[Layout, int]:
    """Grant second lines to models, then to GPUs, where every one that asks gets one."""
    if not layout.titles:
        return layout, left
    if 0 < content.model_notes <= left and layout.models > content.models:
        layout = replace(layout, lines_per_model=2, models=layout.models + content.model_notes)
        left -= content.model_notes
    if 0 < content.gpu_notes <= left and layout.gpus > content.gpus:
        layout = replace(layout, lines_per_gpu=2, gpus=layout.gpus + content.gpu_notes)
        left -= content.gpu_notes
    return layout, left


def _comforts(layout: Layout, left: int, height: int, content: Content) -> Layout:
    """Spend what is left: some events, a chart, blank lines, the other events, a larger chart."""
    if not layout.titles:
        return layout
    layout, left = _more_events(layout, left, FEED_COMFORT, content)
    most = height // 3 if content.chart else 0
    if most >= CHART_HEIGHT <= left:
        chart = min(most, left, CHART_COMFORT)
        layout, left = replace(layout, chart=chart), left - chart
    shown = (layout.models, layout.chart, layout.memory, layout.alerts)
    gaps = min(left, sum(1 for lines in shown if lines))
    layout, left = replace(layout, gaps=gaps), left - gaps
    layout, left = _more_events(layout, left, content.alerts + 1, content)
    if layout.chart:
        larger = min(left, most - layout.chart)
        layout = replace(layout, chart=layout.chart + larger)
    return layout


def _more_events(layout: Layout, left: int, most: int, content: Content) -> tuple[Layout, int]:
    """Grant events up to ``most`` lines, their title included, which comes with the second event."""
    wanted = content.alerts + 1 if content.alerts else 0
    more = min(left, max(0, min(wanted, most) - layout.alerts)) if content.feed else 0
    return replace(layout, alerts=layout.alerts + more), left - more
