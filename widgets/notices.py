"""What is said in words: problems of sources, alerts."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from gpumon.text import units
from gpumon.widgets.kit.columns import Column, Fitted, Row, draw_row, fit
from gpumon.widgets.kit.lines import (
    Glyphs,
    Line,
    Span,
    in_role,
    line_width,
    shorten,
    shorten_words,
    text_line,
    wrap_words,
)
from gpumon.widgets.kit.panels import LinePanel, gutter, title_line
from gpumon.widgets.views import AlertRow, SourceRow

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


COLUMNS = (
    Column("mark", (0,)),
    Column("started", (40,), gap=1),
    Column("subject", (10, 30, 50), widths=(8, 16, 30)),
    Column("duration", (20, 60)),
)
MESSAGE_LEAST_WIDTH = 10
NAME_LEAST_WIDTH = 8
WIDE = 100
"""Below this width the message goes before everything but the mark: it says what is wrong."""


def alert_lines(rows: Sequence[AlertRow], width: int, glyphs: Glyphs) -> list[Line]:
    """Draw one line for each row; the message takes what the other columns leave, its last words dropped."""
    cells = [_cells(row, glyphs) for row in rows]
    fitted = fit(COLUMNS, cells, width * 3 // 5 if width >= WIDE else min(width, max(14, width // 3)))
    return [_line(row, row_cells, fitted, width, glyphs) for row, row_cells in zip(rows, cells, strict=True)]


def _line(row: AlertRow, cells: Row, fitted: Sequence[Fitted], width: int, glyphs: Glyphs) -> Line:
    line = draw_row(cells, fitted, glyphs.ellipsis)
    start = sum(place.width for place in fitted) + sum(place.column.gap for place in fitted[1:]) + 2
    if width - start >= MESSAGE_LEAST_WIDTH:
        words = _message(row, width - start, glyphs)
        line = (*line, Span(" " * (start - line_width(line))), Span(words))
    return in_role(line, "dim") if row.acknowledged else line


def _message(row: AlertRow, width: int, glyphs: Glyphs) -> str:
    """Shorten the name in the message before words are dropped: what follows it are the figures."""
    message, name = glyphs.written(row.message, limit=1000), glyphs.written(row.name)
    excess = cell_len(message) - width
    if name and excess > 0:
        short = shorten(name, max(NAME_LEAST_WIDTH, cell_len(name) - excess), glyphs.ellipsis)
        message = message.replace(name, short, 1)
    return shorten_words(message, width, glyphs.ellipsis)


def _cells(row: AlertRow, glyphs: Glyphs) -> Row:
    return {
        "mark": (gutter(row.level, False, glyphs),),
        "started": (text_line(glyphs.written(row.started), "dim"),),
        "subject": (text_line(glyphs.written(row.subject), "title"),),
        "duration": _duration(row),
    }


def _duration(row: AlertRow) -> tuple[Line, ...]:
    length = units.duration(row.duration_seconds)
    if row.acknowledged and row.ongoing:
        return (text_line("ack"), text_line(f"ongoing {length}, acknowledged"))
    if row.ongoing:
        return (text_line("ongoing", row.level), text_line(f"ongoing {length}", row.level))
    return (text_line("over", "dim"), text_line(f"lasted {length}", "dim"))


class AlertFeed(LinePanel):
    """The newest alerts that fit; how many do not is said in the title."""

    _rows: tuple[AlertRow, ...] = ()

    def show(self, rows: Sequence[AlertRow]) -> None:
        """Draw ``rows``, the most important first."""
        if (shown := tuple(rows)) != self._rows:
            self._rows = shown
            self.redraw()

    def lines_for(self, width: int, height: int | None) -> list[Line]:
        """Return the title and the first alerts."""
        titled = height is None or height > 1
        room = len(self._rows) if height is None else max(0, height - titled)
        hidden = len(self._rows) - room
        title = title_line("Alerts", f"+{hidden} more" if hidden > 0 else "", width, self.glyphs)
        rows = alert_lines(self._rows[:room], width, self.glyphs)
        nothing = [text_line(shorten_words("  none so far", width, self.glyphs.ellipsis), "dim")]
        return [*([title] if titled else []), *(rows if self._rows else nothing)][:height]
