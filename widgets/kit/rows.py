"""Panels of rows with a cursor among them, and which rows are in view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace
from textual.message import Message

from gpumon.widgets.kit.lines import UNICODE, Glyphs, Line, shorten_words, text_line
from gpumon.widgets.kit.mouse import PointedRows
from gpumon.widgets.kit.panels import LinePanel, title_line

ALL = slice(None)
"""Every row."""


class Window(Struct, frozen=True):
    """The rows in view: ``count`` of them from row ``first``, and how many are not."""

    first: int
    count: int
    hidden: int
    titled: bool


def window_of(
    heights: Sequence[int],
    height: int | None,
    cursor: int | None,
    first: int = 0,
    *,
    keeps_title: bool = False,
) -> Window:
    """Choose the rows in view at ``height`` lines, moving ``first`` only as far as the cursor needs.

    ``heights`` are the lines of each row. The title's line goes to a row where that shows them all and it
    is not kept, or where there is but one line.
    """
    rows = len(heights)
    if height is None:
        return Window(0, rows, 0, titled=True)
    titled = (sum(heights) != height or keeps_title) and height >= 2
    room = height - titled
    if cursor is not None:
        first = min(max(first, _first_with(heights, cursor, room)), cursor)
    first = max(0, min(first, _first_with(heights, rows - 1, room)))
    count = _count_from(heights, first, room)
    return Window(first, count, rows - count, titled)


def _count_from(heights: Sequence[int], first: int, room: int) -> int:
    """Return how many rows from ``first`` on have room; one at least where there is any."""
    count = used = 0
    for height in heights[first:]:
        used += height
        if used > room and (count or not room):
            break
        count += 1
    return count


def _first_with(heights: Sequence[int], last: int, room: int) -> int:
    """Return the first row with which row ``last`` is still wholly in view."""
    first, used = last, heights[last]
    while first > 0 and used + heights[first - 1] <= room:
        first -= 1
        used += heights[first]
    return first


class Keyed(Protocol):
    """A row, by the key that tells it from all others."""

    @property
    def key(self) -> str: ...  # noqa: D102


class RowPanel(LinePanel, PointedRows):
    """A titled panel of rows, each of ``lines_per_row`` lines, one of them under the cursor."""

    title = ""
    """Words in the panel's rule."""
    empty_words = ""
    """What stands where there are no rows."""
    keeps_title = False
    """Whether its title stays where all rows would be seen without it."""
    _rows: tuple[Keyed, ...] = ()

    class RowMessage(Message):
        """Something happened to a row."""

        def __init__(self, panel: RowPanel, key: str) -> None:
            super().__init__()
            self.panel = panel
            self.key = key

        @property
        def control(self) -> RowPanel:
            """The panel of the row."""
            return self.panel

    class RowSelected(RowMessage):
        """A row was clicked."""

    class RowReached(RowMessage):
        """The wheel has taken the cursor along."""

    def __init__(
        self,
        *,
        glyphs: Glyphs = UNICODE,
        lines_per_row: int = 1,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(glyphs=glyphs, id=id, classes=classes)
        self._lines_per_row = lines_per_row
        self._cursor_key: str | None = None
        self._window = Window(0, 0, 0, titled=False)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of all rows, in their order."""
        return tuple(row.key for row in self._rows)

    def show_rows(self, rows: Sequence[Keyed], empty: str = "") -> None:
        """Draw ``rows``, or the words of ``empty`` where there are none."""
        shown = (tuple(rows), empty)
        if shown != (self._rows, self.empty_words):
            self._rows, self.empty_words = shown
            self.redraw()

    def row_lines(self, width: int, shown: slice) -> Sequence[Line]:
        """Return the lines of the rows ``shown``, as many for each as its height."""
        raise NotImplementedError

    def row_height(self, row: int) -> int:  # noqa: ARG002
        """Return how many lines a row takes, at most ``lines_per_row``."""
        return self._lines_per_row

    def heading(self, width: int, note: str) -> Line:
        """Return the line above the rows, with a note on those out of view."""
        return title_line(self.title, note, width, self.glyphs)

    def empty_line(self, width: int) -> Line:
        """Return what is said where there are no rows; nothing where no words were given."""
        if not self.empty_words:
            return ()
        words = f"  {self.glyphs.written(self.empty_words)}"
        return text_line(shorten_words(words, width, self.glyphs.ellipsis), "dim")

    @property
    def cursor_key(self) -> str | None:
        """The key of the row under the cursor; ``None`` for no cursor."""
        return self._cursor_key

    @cursor_key.setter
    def cursor_key(self, key: str | None) -> None:
        if key != self._cursor_key:
            self._cursor_key, self.hover_key = key, None
            self.redraw()

    @property
    def lines_per_row(self) -> int:
        """Lines that each row takes."""
        return self._lines_per_row

    @lines_per_row.setter
    def lines_per_row(self, count: int) -> None:
        if count != self._lines_per_row:
            self._lines_per_row = count
            self.redraw()

    def lines_for(self, width: int, height: int | None) -> list[Line]:
        """Return the title and the rows in view."""
        keys = self.keys
        if not keys:
            return self._empty(width, height)
        window = self._window_at(height, keys)
        if height is not None or not self._window.count:
            self._window = window
        note = f"+{window.hidden} more" if window.hidden else ""
        lines = [self.heading(width, note)] if window.titled else []
        lines += self.row_lines(width, slice(window.first, window.first + window.count))
        return lines[:height]

    def _window_at(self, height: int | None, keys: Sequence[str]) -> Window:
        cursor = keys.index(self._cursor_key) if self._cursor_key in keys else None
        heights = [self.row_height(row) for row in range(len(keys))]
        return window_of(heights, height, cursor, self._window.first, keeps_title=self.keeps_title)

    def _empty(self, width: int, height: int | None) -> list[Line]:
        words = self.empty_line(width)
        if height == 1:
            return [words] if words else []
        return [self.heading(width, ""), words][:height] if words else []

    def row_at(self, line: int) -> int | None:
        """Return the row that is drawn on a line of the panel."""
        window, end = self._window, int(self._window.titled)
        for row in range(window.first, min(len(self.keys), window.first + window.count)):
            start, end = end, end + self.row_height(row)
            if start <= line < end:
                return row
        return None

    def key_at(self, line: int) -> str | None:
        """Return the key of the row that is drawn on a line of the panel."""
        row = self.row_at(line)
        return None if row is None else self.keys[row]

    def has_heading(self, y: int) -> bool:
        """Return whether line ``y`` is the title."""
        return y == 0 and self._window.titled

    def choose(self, key: str) -> None:
        """Post that a row was clicked."""
        self.post_message(self.RowSelected(self, key))

    def wheeled(self, step: int) -> bool:
        """Bring other rows into view; at the edge the cursor is taken along."""
        window = self._window
        first = min(max(window.first + step, 0), window.hidden)
        if first != window.first:
            self._window = replace(window, first=first)
            if self._cursor_key in self.keys:
                row = self.keys.index(self._cursor_key)
                self._reach(self.keys[min(max(row, first), first + window.count - 1)])
            self.redraw()
        return window.hidden > 0

    def _reach(self, key: str) -> None:
        if key != self._cursor_key:
            self._cursor_key = key
            self.post_message(self.RowReached(self, key))
