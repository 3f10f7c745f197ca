"""Panels of selectable rows: the window of rows in view, the cursor, and clicks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from msgspec import Struct
from textual import events
from textual.message import Message

from gpumon.widgets.fitting import shorten_words, text_line
from gpumon.widgets.glyphs import UNICODE, Glyphs
from gpumon.widgets.lines import Level, Line, Span
from gpumon.widgets.panel import LinePanel, title_line

ALL = slice(None)
"""Every row."""


class Window(Struct, frozen=True):
    """The rows in view: ``count`` of them from row ``first``, and how many are not."""

    first: int
    count: int
    hidden: int
    titled: bool


def window_of(
    rows: int, lines_per_row: int, height: int | None, cursor: int | None, first: int = 0
) -> Window:
    """Choose the rows in view at ``height`` lines, moving ``first`` only as far as the cursor needs.

    The title's line goes to a row where that shows them all, or where there is but one line.
    """
    if height is None:
        return Window(0, rows, 0, titled=True)
    fits_bare = rows * lines_per_row == height
    titled = not fits_bare and height >= 2
    count = min(rows, max(1 if height else 0, (height - titled) // lines_per_row))
    if cursor is not None:
        first = min(max(first, cursor - count + 1), cursor)
    return Window(max(0, min(first, rows - count)), count, rows - count, titled)


def gutter(level: Level, selected: bool, glyphs: Glyphs) -> Line:
    """Draw the left edge of a row: the cursor's marker if selected, and the level's mark."""
    return (Span(glyphs.cursor if selected else " ", "cursor"), Span(glyphs.mark(level), level))


class RowPanel(LinePanel):
    """A titled panel of rows, each of ``lines_per_row`` lines, one of them under the cursor."""

    title: ClassVar[str]
    """Words in the panel's rule."""
    empty_words = ""
    """What stands where there are no rows."""

    class RowSelected(Message):
        """A row was clicked."""

        def __init__(self, panel: RowPanel, key: str) -> None:
            super().__init__()
            self.panel = panel
            self.key = key

        @property
        def control(self) -> RowPanel:
            """The panel of the row."""
            return self.panel

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
        raise NotImplementedError

    def row_lines(self, width: int, shown: slice) -> Sequence[Line]:
        """Return the lines of the rows ``shown``, ``lines_per_row`` for each, in columns that suit all."""
        raise NotImplementedError

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
            self._cursor_key = key
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
        cursor = keys.index(self._cursor_key) if self._cursor_key in keys else None
        window = window_of(len(keys), self._lines_per_row, height, cursor, self._window.first)
        if height is not None or not self._window.count:
            self._window = window
        note = f"+{window.hidden} more" if window.hidden else ""
        lines = [title_line(self.title, note, width, self.glyphs)] if window.titled else []
        lines += self.row_lines(width, slice(window.first, window.first + window.count))
        return lines[:height]

    def _empty(self, width: int, height: int | None) -> list[Line]:
        words = self.empty_line(width)
        if height == 1:
            return [words] if words else []
        return [title_line(self.title, "", width, self.glyphs), words][:height] if words else []

    def on_click(self, event: events.Click) -> None:
        """Post the key of the row under the mouse."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        line = offset.y - self._window.titled
        row = self._window.first + line // self._lines_per_row
        if line >= 0 and row < min(len(self.keys), self._window.first + self._window.count):
            self.post_message(self.RowSelected(self, self.keys[row]))
