"""The charts of the dashboard: one, or two side by side, that move by a step now and then."""

from __future__ import annotations

from gpumon.widgets.kit.areas import AreaView, beside, chart_cells, chart_lines
from gpumon.widgets.kit.lines import Line
from gpumon.widgets.kit.panels import LinePanel

TWO_FROM_WIDTH = 110
LABEL_CELLS = 3
DIVIDER_CELLS = 2


def count_at(width: int) -> int:
    """Return how many charts stand side by side."""
    return 2 if width >= TWO_FROM_WIDTH else 1


def width_of_one(width: int) -> int:
    """Return the cells of each chart."""
    return width if count_at(width) == 1 else (width - DIVIDER_CELLS) // 2


def cells_at(width: int) -> int:
    """Return how many cells the areas of one chart are wide."""
    return chart_cells(width_of_one(width), LABEL_CELLS)


class LiveCharts(LinePanel):
    """One chart or two, as the width allows."""

    _views: tuple[AreaView, ...] = ()

    def show(self, views: tuple[AreaView, ...]) -> None:
        """Draw ``views``, as many as ``count_at`` says."""
        if views != self._views:
            self._views = views
            self.redraw()

    def lines_for(self, width: int, height: int | None) -> list[Line]:
        """Return the charts' lines."""
        if not self._views or not height:
            return []
        each = width_of_one(width)
        views = self._views[: count_at(width)]
        drawn = [chart_lines(view, each, height, self.glyphs, LABEL_CELLS) for view in views]
        return beside(drawn, each, self.glyphs) if len(drawn) > 1 else drawn[0]
