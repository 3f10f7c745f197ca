"""What screens of rows have in common: one cursor over them all, and a filter for their names."""

from __future__ import annotations

from functools import cached_property

from textual import on
from textual.widgets import Input

from gpumon.app.session.session import Session
from gpumon.app.ui.cursor import Cursor, Row
from gpumon.app.ui.screens.live_screen import LiveScreen
from gpumon.widgets.glyphs import Glyphs
from gpumon.widgets.rows import RowPanel


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

    def filter_box(self) -> Input:
        """Return the box in which the filter is typed; hidden until it is asked for."""
        return Input(placeholder=f"model name contains {self.glyphs.ellipsis}", id="filter", compact=True)

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

    def action_move(self, step: int) -> None:
        """Move the cursor."""
        self.cursor.move(step)
        self.show_cursor()

    def action_open(self) -> None:
        """Open the row under the cursor."""
        if self.cursor.row is not None:
            self.open_row(self.cursor.row)

    def action_filter(self) -> None:
        """Ask for the text that the names of shown models contain."""
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
