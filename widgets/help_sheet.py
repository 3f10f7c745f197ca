"""The help: titled lists of keys, in two columns where there is room."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from gpumon.widgets.kit.lines import Glyphs, Line, Span, line_width, padded
from gpumon.widgets.kit.panels import LinePanel, title_line
from gpumon.widgets.tables import fact_lines
from gpumon.widgets.views import Fact

GAP = 2
TWO_COLUMNS_FROM = 74
"""Below this width the words of two columns would wrap."""


class Section(Struct, frozen=True):
    """A titled list of the help."""

    title: str
    facts: tuple[Fact, ...]


def sheet_lines(sections: Sequence[Section], width: int, glyphs: Glyphs) -> list[Line]:
    """Draw the sections below each other, or in two columns that are as even as whole sections allow."""
    if width < TWO_COLUMNS_FROM:
        return _column(sections, width, glyphs)
    room = (width - GAP) // 2
    heights = [len(_column([section], room, glyphs)) for section in sections]
    cut = min(range(1, len(sections) + 1), key=lambda at: max(sum(heights[:at]), sum(heights[at:])))
    left, right = _column(sections[:cut], room, glyphs), _column(sections[cut:], room, glyphs)
    blank: Line = (Span(" " * GAP),)
    rows = max(len(left), len(right))
    left, right = ([*side, *[()] * (rows - len(side))] for side in (left, right))
    return [(*padded(one, room), *blank, *other) for one, other in zip(left, right, strict=True)]


def _column(sections: Sequence[Section], width: int, glyphs: Glyphs) -> list[Line]:
    lines: list[Line] = []
    for section in sections:
        lines.append(title_line(section.title, "", width, glyphs))
        lines += fact_lines(section.facts, width, glyphs)
    return [line for line in lines if line_width(line) <= width]


class HelpSheet(LinePanel):
    """The lists, at their natural height."""

    _sections: tuple[Section, ...] = ()

    def show(self, sections: Sequence[Section]) -> None:
        """Draw ``sections``."""
        if (shown := tuple(sections)) != self._sections:
            self._sections = shown
            self.redraw()

    def lines_for(self, width: int, height: int | None) -> list[Line]:
        """Return the lines of all sections."""
        return sheet_lines(self._sections, width, self.glyphs)[:height]
