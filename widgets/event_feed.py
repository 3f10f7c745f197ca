"""What has happened: the alerts that are active, then everything else, the newest first."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from rich.cells import cell_len

from gpumon.widgets.kit.lines import Glyphs, Line, Role, Span, in_role, line_width, shorten, shorten_words
from gpumon.widgets.kit.panels import gutter
from gpumon.widgets.kit.rows import RowPanel, Window
from gpumon.widgets.views import EventRow

TIMED_WIDTH = 28
"""In a narrower pane the words have the line to themselves."""
ROOMY_WIDTH = 60
"""From here on it is said how long an alert lasts; below, its mark says that it does."""
WIDE = 90
"""From here on there is room to say in full that an alert was acknowledged."""
TIME_WIDTH = 8
WORDS_LEAST_WIDTH = 12
NAME_LEAST_WIDTH = 8


def event_lines(
    rows: Sequence[EventRow], width: int, glyphs: Glyphs, cursor: str | None = None, *, is_single: bool = True
) -> list[Line]:
    """Draw a line for each event.

    ``is_single`` tells that all are about one model: its name then gives way to what happened.
    """
    return [_line(row, width, glyphs, selected=row.key == cursor, is_single=is_single) for row in rows]


def is_about_one(rows: Sequence[EventRow]) -> bool:
    """Return whether all events that are about a model are about the same."""
    return len({row.model for row in rows if row.model}) <= 1


def _line(row: EventRow, width: int, glyphs: Glyphs, *, selected: bool, is_single: bool) -> Line:
    start = _start(row, width, glyphs, selected=selected)
    room = width - line_width(start)
    if room < 1:
        return start[:width]
    end = _lasting(row, width, glyphs) if room >= WORDS_LEAST_WIDTH else ()
    words = Span(words_for(row, room - (line_width(end) + 2 if end else 0), glyphs, is_single=is_single))
    gap = Span(" " * (room - cell_len(words.text) - line_width(end))) if end else Span("")
    line = (*start, words, gap, *end) if end else (*start, words)
    return in_role(line, "dim") if row.acknowledged else line


def _start(row: EventRow, width: int, glyphs: Glyphs, *, selected: bool) -> Line:
    """Draw the cursor, the mark of an alert and the time."""
    cursor, mark = gutter(row.level or "unknown", selected, glyphs)
    if row.level is None:
        mark = Span(" ")
    elif not row.ongoing:
        mark = Span(mark.text, "dim")
    if width < TIMED_WIDTH:
        return (cursor, mark, Span(" "))
    time = Span(shorten(glyphs.written(row.time), TIME_WIDTH, glyphs.ellipsis), "dim")
    return (cursor, mark, Span(" "), time, Span("  " if width >= ROOMY_WIDTH else " "))


def _lasting(row: EventRow, width: int, glyphs: Glyphs) -> Line:
    """Draw how long an alert lasts, where there is room, and that it was acknowledged."""
    if not row.lasting:
        return ()
    if width < ROOMY_WIDTH:
        return (Span("ack", "dim"),) if row.acknowledged and row.ongoing else ()
    lasting = shorten(glyphs.written(row.lasting), width // 4, glyphs.ellipsis)
    if not row.ongoing:
        return (Span(f"lasted {lasting}", "dim"),)
    role: Role = row.level or "plain"
    seen = (", acknowledged" if width >= WIDE else ", ack") if row.acknowledged else ""
    return (Span(f"ongoing {lasting}{seen}", role),)


def words_for(row: EventRow, room: int, glyphs: Glyphs, *, is_single: bool) -> str:
    """Return the fullest way to say an event in ``room`` cells, with names shortened where that is enough."""
    names = [glyphs.written(name) for name in row.names]
    words = ""
    for way, bare in zip_longest(row.ways, row.bare if is_single else ()):
        full = "" if way is None else _written(way, glyphs)
        words = _shortened(full, names, room, glyphs) or words
        for one in (full, "" if bare is None else _written(bare, glyphs), words):
            if one and cell_len(one) <= room:
                return one
    return shorten_words(words, max(0, room), glyphs.ellipsis)


def _written(way: str, glyphs: Glyphs) -> str:
    return glyphs.written(way.replace(" → ", " to ") if glyphs.ascii_only else way, limit=1000)


def _shortened(way: str, names: Sequence[str], room: int, glyphs: Glyphs) -> str:
    """Shorten the names in some words, the longest first, as far as needed."""
    for name in sorted(names, key=cell_len, reverse=True):
        excess = cell_len(way) - room
        if excess > 0 and name:
            short = shorten(name, max(NAME_LEAST_WIDTH, cell_len(name) - excess), glyphs.ellipsis)
            way = way.replace(name, short, 1)
    return way


class EventFeed(RowPanel):
    """The events that fit, each a row that can be opened; without any it has no lines."""

    title = "Events"
    keeps_title = True
    _rows: tuple[EventRow, ...] = ()

    def show(self, rows: Sequence[EventRow]) -> None:
        """Draw ``rows``, the most important first."""
        self.show_rows(rows)

    def lines_for(self, width: int, height: int | None) -> list[Line]:
        """Return the title and the first events, or those about the cursor."""
        if self.cursor_key is None:
            self._window = Window(0, 0, 0, titled=False)  # what is new is on top
        return super().lines_for(width, height)

    def row_lines(self, width: int, shown: slice) -> Sequence[Line]:
        """Return the lines of the events ``shown``."""
        single = is_about_one(self._rows)
        return event_lines(self._rows[shown], width, self.glyphs, self.cursor_key, is_single=single)
