"""The alert feed: what happened, since when, and whether it still does."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from gpumon.text import units
from gpumon.widgets.columns import Column, Fitted, Row, draw_row, fit
from gpumon.widgets.fitting import in_role, line_width, shorten, shorten_words, text_line
from gpumon.widgets.glyphs import Glyphs
from gpumon.widgets.lines import Line, Span
from gpumon.widgets.panel import LinePanel, title_line
from gpumon.widgets.rows import gutter
from gpumon.widgets.views import AlertRow

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
