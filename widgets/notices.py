"""What is said in words: problems of sources, alerts."""

from __future__ import annotations

from collections.abc import Sequence

from gpumon.widgets.kit.lines import (
    Glyphs,
    Line,
    Span,
    line_width,
    shorten,
    shorten_words,
    text_line,
    wrap_words,
)
from gpumon.widgets.kit.panels import LinePanel, gutter, title_line
from gpumon.widgets.views import SourceRow

WRAP_LIMIT = 3
NAME_LIMIT = 26
"""Cells for ``Ollama at 127.0.0.1:11434``."""


def source_lines(rows: Sequence[SourceRow], width: int, glyphs: Glyphs) -> list[Line]:
    """Draw each row's problem, then its hint beside it or, where that does not fit, below it."""
    name_width = min(
        NAME_LIMIT, max((line_width(_name(row, glyphs)) for row in rows), default=0), max(0, width // 3)
    )
    lines: list[Line] = []
    for row in rows:
        lines += _row_lines(row, width, name_width, glyphs)
    return lines


def brief_lines(rows: Sequence[SourceRow], width: int, glyphs: Glyphs) -> list[Line]:
    """Draw each row's problem on one line, cut between words."""
    lines: list[Line] = []
    for row in rows:
        mark = (*gutter(row.level, False, glyphs), Span(" "))
        said = shorten_words(glyphs.written(f"{row.name}: {row.words}", 1000), width - 3, glyphs.ellipsis)
        lines.append((*mark, Span(said)) if width > 3 else mark[:width])
    return lines


def _row_lines(row: SourceRow, width: int, name_width: int, glyphs: Glyphs) -> list[Line]:
    name = shorten(glyphs.written(row.name), name_width, glyphs.ellipsis)
    blank = " " * (name_width - line_width(text_line(name)))
    head: Line = (*gutter(row.level, False, glyphs), Span(" "), Span(name, "title"), Span(f"{blank}  "))
    start = line_width(head)
    room = width - start
    if room < 8:
        return [line for line in [head[:-1]] if line_width(line) <= width]
    words, hint = glyphs.written(row.words, limit=1000), glyphs.written(row.hint, limit=1000)
    beside = (*head, Span(words), Span("  "), Span(hint, "dim"))
    if not hint or line_width(beside) <= width:
        return [beside] if hint else _wrapped(head, words, room, glyphs)
    below = wrap_words(hint, room, WRAP_LIMIT, glyphs.ellipsis)
    return [*_wrapped(head, words, room, glyphs), *((Span(" " * start), Span(part, "dim")) for part in below)]


def _wrapped(head: Line, words: str, room: int, glyphs: Glyphs) -> list[Line]:
    first, *rest = wrap_words(words, room, WRAP_LIMIT, glyphs.ellipsis)
    return [(*head, Span(first)), *((Span(" " * line_width(head)), Span(part)) for part in rest)]


def _name(row: SourceRow, glyphs: Glyphs) -> Line:
    return text_line(glyphs.written(row.name))


class SourcePanel(LinePanel):
    """The sources that do not deliver; without any it has no lines."""

    _rows: tuple[SourceRow, ...] = ()

    def show(self, rows: Sequence[SourceRow]) -> None:
        """Draw ``rows``."""
        if (shown := tuple(rows)) != self._rows:
            self._rows = shown
            self.redraw()

    def lines_for(self, width: int, height: int | None) -> list[Line]:
        """Return the title and the problems; where they do not fit, a line for each of them."""
        if not self._rows:
            return []
        title = title_line("Sources", "", width, self.glyphs)
        lines = source_lines(self._rows, width, self.glyphs)
        if height is None or len(lines) < height:
            return [title, *lines]
        if len(lines) == height:
            return lines
        brief = brief_lines(self._rows, width, self.glyphs)
        return [title, *brief] if len(brief) < height else brief[:height]
