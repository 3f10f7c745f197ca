"""The keys that work here, on the last line."""

from __future__ import annotations

from collections.abc import Sequence

from gpumon.widgets.fitting import Part, join_parts
from gpumon.widgets.glyphs import Glyphs
from gpumon.widgets.lines import Line, Span
from gpumon.widgets.panel import LinePanel

Hint = tuple[str, str]
"""A key as it is printed on the keyboard, and what it does in a word."""


def hint_line(hints: Sequence[Hint], width: int, glyphs: Glyphs) -> Line:
    """Draw the hints that fit; the last ones are dropped first."""
    parts = [
        Part((Span(f" {glyphs.written(key)}", "title"), Span(f" {glyphs.written(label)}", "dim")), rank)
        for rank, (key, label) in enumerate(hints)
    ]
    return join_parts(parts, width)


class HintBar(LinePanel):
    """One line of key hints."""

    DEFAULT_CSS = "HintBar { height: 1; }"
    _hints: tuple[Hint, ...] = ()

    def show(self, hints: Sequence[Hint]) -> None:
        """Draw ``hints``, the most needed first."""
        if (shown := tuple(hints)) != self._hints:
            self._hints = shown
            self.redraw()

    def lines_for(self, width: int, height: int | None) -> list[Line]:
        """Return the one line of hints."""
        return [hint_line(self._hints, width, self.glyphs)][:height]
