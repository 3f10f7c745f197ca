"""What screens have in common: live figures, a cursor over the rows of all panels, a filter, scrolling."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar, NamedTuple

from textual import on
from textual.containers import VerticalScroll
from textual.scrollbar import ScrollBarRender
from textual.widgets import Input

from gpumon.app.session.session import Session
from gpumon.app.ui.screens.footer import works_on
from gpumon.app.ui.textual_internals import Box, SteadyScreen
from gpumon.widgets.hints import Hint
from gpumon.widgets.kit.lines import Glyphs
from gpumon.widgets.kit.rows import RowPanel


class Row(NamedTuple):
    """A row that can be opened."""

    panel: str
    key: str


class Cursor:
    """Stays on its row while rows come and go; on the nearest one if its own goes.

    Until it has been moved it is in the panel that is preferred, once that has a row.
    """

    def __init__(self, prefer: str) -> None:
        self._prefer = prefer
        self._moved = False
        self._index = 0
        self._rows: Sequence[Row] = ()
        self.row: Row | None = None

    def place(self, rows: Sequence[Row]) -> None:
        """Follow the rows that exist now."""
        self._rows = rows
        if not rows:
            self.row = None
        elif not self._moved and (self.row is None or self.row.panel != self._prefer):
            self._put(next((index for index, row in enumerate(rows) if row.panel == self._prefer), 0))
        elif self.row in rows:
            self._put(rows.index(self.row))
        else:
            self._put(min(self._index, len(rows) - 1))

    def move(self, step: int) -> None:
        """Move by ``step`` rows, at most to the first or last one."""
        if self._rows:
            self._moved = True
            self._put(min(max(self._index + step, 0), len(self._rows) - 1))

    def switch(self, step: int = 1) -> None:
        """Go to the first row of the next panel that has rows, or of the one before."""
        panels = list(dict.fromkeys(row.panel for row in self._rows))
        if self.row is None or len(panels) < 2:
            return
        following = panels[(panels.index(self.row.panel) + step) % len(panels)]
        self._moved = True
        self._put(next(index for index, row in enumerate(self._rows) if row.panel == following))

    def select(self, row: Row) -> None:
        """Go to ``row`` if it is there."""
        if row in self._rows:
            self._moved = True
            self._put(self._rows.index(row))

    def key_in(self, panel: str) -> str | None:
        """Return the key of the row under the cursor if it is in ``panel``."""
        return self.row.key if self.row and self.row.panel == panel else None

    def _put(self, index: int) -> None:
        self._index = index
        self.row = self._rows[index]


class WholeCells(ScrollBarRender):
    """Ends a bar at whole cells: what lies between is drawn with blocks that ASCII has not."""

    VERTICAL_BARS: ClassVar[list[str]] = [" "]
    HORIZONTAL_BARS: ClassVar[list[str]] = [" "]


class Scroll(VerticalScroll, can_focus=False):
    """Scrolls what is in it; the keys are those of the screen."""

    def __init__(self, glyphs: Glyphs) -> None:
        super().__init__()
        if glyphs.ascii_only:
            # For this bar alone: set on its class it would hold for every application in the process.
            self.vertical_scrollbar.renderer = WholeCells  # type: ignore[misc]


class LiveScreen(SteadyScreen[None]):
    """A screen that the app asks to draw when there is something new."""

    AUTO_FOCUS = ""
    """Nothing has the focus, so that every key reaches the screen's bindings."""

    def __init__(self, session: Session, glyphs: Glyphs) -> None:
        super().__init__()
        self.session = session
        self.glyphs = glyphs

    @property
    def selected(self) -> Row | None:
        """The row that a key for one model or GPU acts on."""
        raise NotImplementedError

    @property
    def cure(self) -> int | None:
        """The number of the cure whose line is to be copied, from 0; ``None`` for the best that has one."""
        return None

    def draw(self) -> None:
        """Build the views of what is known now and hand them to the widgets."""
        raise NotImplementedError

    def on_screen_resume(self) -> None:
        """Catch up with what happened while another screen was in front."""
        self.draw()

    def is_refused(self) -> bool:
        """Refuse in a line what would change a machine that is not the one shown; return whether it is."""
        return False

    def working(self, keys: Sequence[Hint]) -> tuple[Hint, ...]:
        """Return those of ``keys`` that do something to what is selected."""
        return tuple(key for key in keys if works_on(self.session, self.selected, key.action))


class ListScreen(LiveScreen):
    """A screen of rows that can be opened; ``prefer`` names the panel in which the cursor starts."""

    def __init__(self, session: Session, glyphs: Glyphs, prefer: str) -> None:
        super().__init__(session, glyphs)
        self.cursor = Cursor(prefer)

    @property
    def selected(self) -> Row | None:
        """The row under the cursor."""
        return self.cursor.row

    def open_row(self, row: Row) -> None:
        """Show all that there is about a row."""
        raise NotImplementedError

    def narrow(self, text: str) -> None:
        """Show only rows whose names contain ``text``."""
        raise NotImplementedError

    def make_room(self) -> None:
        """Follow the filter's box, which comes and goes."""

    def filter_box(self) -> Box:
        """Return the box in which the filter is typed; hidden until it is asked for."""
        return Box(f"model name contains {self.glyphs.ellipsis}", id="filter")

    def show_cursor(self) -> None:
        """Mark the row under the cursor in its panel."""
        for panel in self._row_panels:
            panel.cursor_key = self.cursor.key_in(panel.id or "")

    @cached_property
    def _row_panels(self) -> tuple[RowPanel, ...]:
        """Looked up once: they live as long as the screen, and a query walks all of it."""
        return tuple(self.query(RowPanel))

    @on(RowPanel.RowSelected)
    def select_row(self, message: RowPanel.RowSelected) -> None:
        """Move the cursor to the clicked row; a click on the selected row opens it."""
        row = Row(message.panel.id or "", message.key)
        if row == self.cursor.row:
            self.action_open()
        self.cursor.select(row)
        self.show_cursor()

    @on(RowPanel.RowReached)
    def reach_row(self, message: RowPanel.RowReached) -> None:
        """Follow the wheel."""
        self.cursor.select(Row(message.panel.id or "", message.key))
        self.show_cursor()

    def action_move(self, step: int) -> None:
        """Move the cursor."""
        self.cursor.move(step)
        self.show_cursor()

    def action_open(self) -> None:
        """Open the row under the cursor."""
        if self.cursor.row is not None:
            self.open_row(self.cursor.row)

    def action_filter(self) -> None:
        """Open the box for the text that the names of shown models must contain."""
        box = self.query_one("#filter", Input)
        box.display = True
        self.set_focus(box)  # at once: what is typed next belongs to the box
        self.make_room()

    def drop_filter(self) -> None:
        """Show every row again, and put the box away."""
        self.query_one("#filter", Input).value = ""
        self.close_filter()

    @on(Input.Changed, "#filter")
    def take_filter(self, message: Input.Changed) -> None:
        """Narrow the rows while the text is typed."""
        self.narrow(message.value.strip())

    @on(Input.Submitted, "#filter")
    def close_filter(self) -> None:
        """Put the box away, and keep its text."""
        self.query_one("#filter").display = False
        self.set_focus(None)
        self.make_room()
