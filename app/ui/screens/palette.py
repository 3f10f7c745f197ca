"""The palette: everything that the keys do, or every theme, to be found by a few letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from gpumon.app.ui.keys import PALETTE_KEYS, bindings
from gpumon.app.ui.screens.base import Cursor, Row
from gpumon.app.ui.textual_internals import Box, SteadyScreen
from gpumon.widgets.kit.lines import Glyphs
from gpumon.widgets.kit.panels import RowPanel
from gpumon.widgets.tables import ChoicePanel
from gpumon.widgets.views import ChoiceRow

PANEL = "choices"


class PaletteScreen(ModalScreen[str], SteadyScreen[str]):
    """Narrows ``rows`` while letters are typed; the result is the key of the chosen one.

    Ours and not Textual's, whose list is filled by tasks that outlive it: quick fingers end the program.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(PALETTE_KEYS)]

    def __init__(self, title: str, rows: Sequence[ChoiceRow], glyphs: Glyphs) -> None:
        super().__init__()
        self._title = title
        self._rows = tuple(rows)
        self._glyphs = glyphs
        self._cursor = Cursor(PANEL)

    def compose(self) -> ComposeResult:
        """Put the box for the letters over the list."""
        words = f"search {self._title.lower()} {self._glyphs.ellipsis}"
        panel = ChoicePanel(glyphs=self._glyphs, id=PANEL)
        panel.title = self._title
        with Vertical():
            yield Box(words)
            yield panel

    def on_mount(self) -> None:
        """List everything."""
        self._list()

    def on_resize(self) -> None:
        """Fit the list to the new size."""
        self._list()

    @on(Input.Changed)
    def _list(self) -> None:
        """List what contains every word that has been typed, the cursor on the first of it."""
        if not self.composed:
            return
        words = self.query_one(Input).value.casefold().split()
        rows = [row for row in self._rows if all(word in row.title.casefold() for word in words)]
        panel = self.query_one(ChoicePanel)
        panel.styles.height = min(1 + max(1, len(rows)), max(1, self.size.height - 1))
        panel.show(rows, "nothing matches")
        self._cursor = Cursor(PANEL)
        self._cursor.place([Row(PANEL, row.key) for row in rows])
        panel.cursor_key = self._cursor.key_in(PANEL)

    # Keys

    def action_move(self, step: int) -> None:
        """Move the cursor."""
        self._cursor.move(step)
        self.query_one(ChoicePanel).cursor_key = self._cursor.key_in(PANEL)

    def action_leave(self) -> None:
        """Close without a choice."""
        self.dismiss()

    @on(Input.Submitted)
    def choose(self) -> None:
        """Close with the row under the cursor, where there is one."""
        if self._cursor.row is not None:
            self.dismiss(self._cursor.row.key)

    @on(RowPanel.RowSelected)
    def choose_clicked(self, message: RowPanel.RowSelected) -> None:
        """Close with the clicked row."""
        self.dismiss(message.key)

    def on_click(self, event: events.Click) -> None:
        """Close for a click beside the list."""
        if event.widget is self:
            self.dismiss()
