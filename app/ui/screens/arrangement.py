"""What there is to show on the dashboard, and how many lines of the pane each panel gets for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gpumon.app.ui.layout import Content, Layout, plan
from gpumon.widgets.band import most_lines, source_lines, verdict_lines
from gpumon.widgets.gpu_panel import columns_for as gpu_columns
from gpumon.widgets.gpu_panel import height_of
from gpumon.widgets.kit.lines import Glyphs
from gpumon.widgets.kit.rows import RowPanel
from gpumon.widgets.model_panel import has_second_line
from gpumon.widgets.views import GpuRow, SourceRow, VerdictView

if TYPE_CHECKING:
    from textual.geometry import Size
    from textual.screen import Screen

    from gpumon.app.session.session import Choices
    from gpumon.app.views.dashboard import DashboardView

GAPPED = ("models", "chart", "memory", "alerts")
"""Panels above which a line may stay blank, in the order in which they get one."""


class Arrangement:
    """Gives the panels of ``screen`` their lines, anew where the room or what is to be shown has changed."""

    def __init__(self, screen: Screen[None], choices: Choices, glyphs: Glyphs) -> None:
        self._screen = screen
        self._choices = choices
        self._glyphs = glyphs
        self._planned: tuple[int, Content] | None = None
        self.layout: Layout | None = None
        """What holds now; ``None`` before the first."""
        self._gpus: tuple[Sequence[GpuRow], int] | None = None
        self._gpu_notes = 0
        self._sources: tuple[Sequence[SourceRow], int] | None = None
        self._problems = 0

    def lay_out(self, view: DashboardView, verdict: VerdictView, size: Size) -> Layout:
        """Share the lines of a pane of this ``size`` among the panels."""
        wanted = (size.height, self._content(view, verdict, size.width))
        if self.layout is None or self._planned != wanted:
            self._planned, layout = wanted, plan(*wanted)
            if layout != self.layout:
                self.layout = layout
                self._apply(layout)
        return self.layout

    def folded(self, *, has_events: bool) -> list[str]:
        """Name the panels that are wanted but have no room."""
        if self.layout is None:
            return []
        wanted = {"memory": "memory", **({"alerts": "events"} if has_events else {})}
        hidden = self._choices.hidden
        return [
            words
            for panel, words in wanted.items()
            if panel not in hidden and not getattr(self.layout, panel)
        ]

    def _content(self, view: DashboardView, verdict: VerdictView, width: int) -> Content:
        hidden = self._choices.hidden
        return Content(
            gpus=0 if "gpus" in hidden else len(view.gpus),
            models=0 if "models" in hidden else len(view.models),
            gpu_notes=self._second_lines(view.gpus, width),
            model_notes=sum(map(has_second_line, view.models)),
            models_shown="models" not in hidden,
            verdict=len(verdict_lines(verdict, width, self._glyphs, most_lines(width))),
            sources=0 if "sources" in hidden else self._problem_lines(view.sources, width),
            alerts=len(view.events),
            memory="memory" not in hidden,
            feed="alerts" not in hidden,
            chart="chart" not in hidden,
        )

    def _second_lines(self, rows: Sequence[GpuRow], width: int) -> int:
        """Return how many second lines the GPUs ask for."""
        if self._gpus != (rows, width):
            self._gpus = rows, width
            fitted = gpu_columns(rows, width, self._glyphs)
            self._gpu_notes = sum(height_of(row, fitted, 2) - 1 for row in rows)
        return self._gpu_notes

    def _problem_lines(self, rows: Sequence[SourceRow], width: int) -> int:
        """Return how many lines the problems of sources take; several have a title."""
        if self._sources != (rows, width):
            self._sources = rows, width
            lines = len(source_lines(rows, width, self._glyphs))
            self._problems = lines + (lines > 1)
        return self._problems

    def _apply(self, layout: Layout) -> None:
        query = self._screen.query_one
        heights = {
            "verdict": layout.verdict,
            "sources": layout.sources,
            "gpus": layout.gpus,
            "models": layout.models,
            "memory": layout.memory,
            "chart": layout.chart,
            "alerts": layout.alerts,
            "hints": layout.hints,
        }
        for panel, lines in heights.items():
            widget = query(f"#{panel}")
            widget.display = lines > 0
            widget.styles.height = lines
        present = [panel for panel in GAPPED if heights[panel]]
        for panel in GAPPED:
            query(f"#{panel}").styles.margin = (int(panel in present[: layout.gaps]), 0, 0, 0)
        query("#gpus", RowPanel).lines_per_row = layout.lines_per_gpu
        query("#models", RowPanel).lines_per_row = layout.lines_per_model
