"""The charts of the dashboard: one, or two side by side, that move by a step now and then."""

from __future__ import annotations

from typing import NamedTuple

from textual.message import Message

from gpumon.widgets.kit.areas import AreaView, beside, chart_cells, chart_lines, title_line
from gpumon.widgets.kit.lines import UNICODE, Glyphs, Line
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


def share_at(x: int, width: int) -> float | None:
    """Return which share of its window had passed at a cell of a chart; ``None`` beside the areas."""
    each, cells = width_of_one(width), cells_at(width)
    at = x % (each + DIVIDER_CELLS) - LABEL_CELLS - 1
    return (at + 0.5) / cells if 0 <= at < cells else None


class _Drawn(NamedTuple):
    """A chart as it was drawn last."""

    view: AreaView
    width: int
    height: int
    lines: list[Line]

    def is_of(self, view: AreaView, width: int, height: int) -> bool:
        """Return whether it is the same but for its title."""
        return self.view.layers is view.layers and (self.width, self.height) == (width, height)


class LiveCharts(LinePanel):
    """One chart or two, as the width allows."""

    _views: tuple[AreaView, ...] = ()

    class TimeClicked(Message):
        """An area was clicked, where a share of its window had passed: 0 to 1."""

        def __init__(self, share: float) -> None:
            super().__init__()
            self.share = share

    def __init__(self, *, glyphs: Glyphs = UNICODE, id: str | None = None) -> None:  # noqa: A002
        super().__init__(glyphs=glyphs, id=id)
        self._kept: dict[int, _Drawn] = {}

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
        drawn = [self._drawn(at, view, each, height) for at, view in enumerate(views)]
        return beside(drawn, each, self.glyphs) if len(drawn) > 1 else drawn[0]

    def clicked(self, x: int, y: int) -> None:
        """Post the time that was clicked; in the title do what a panel does."""
        share = share_at(x, self.content_size.width)
        if share is None or y == 0:
            super().clicked(x, y)
        else:
            self.post_message(self.TimeClicked(share))

    def _drawn(self, at: int, view: AreaView, width: int, height: int) -> list[Line]:
        """Draw one chart; of one of which only the title has changed no more than that."""
        kept = self._kept.get(at)
        if kept is not None and kept.lines[1:] and kept.is_of(view, width, height):
            return [title_line(view, width, self.glyphs), *kept.lines[1:]]
        lines = chart_lines(view, width, height, self.glyphs, LABEL_CELLS)
        self._kept[at] = _Drawn(view, width, height, lines)
        return lines
