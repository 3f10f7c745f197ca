"""Which of the installed models would fit: a list to choose from."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from gpumon.app.session.session import Session
from gpumon.app.ui.cursor import Row
from gpumon.app.ui.keys import APP_KEYS, FIT_LIST_KEYS, bindings, hints
from gpumon.app.ui.screens.fit_page import FitPage
from gpumon.app.ui.screens.list_screen import ListScreen
from gpumon.app.views.fit import installed_rows
from gpumon.app.views.playing import play_hints
from gpumon.widgets.glyphs import Glyphs
from gpumon.widgets.hint_bar import HintBar
from gpumon.widgets.installed_panel import InstalledPanel

PANEL = "installed"


class FitList(ListScreen):
    """The installed models; Enter opens the page of one."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(FIT_LIST_KEYS)]

    def __init__(self, session: Session, glyphs: Glyphs) -> None:
        super().__init__(session, glyphs, prefer=PANEL)
        self._filter = ""

    def compose(self) -> ComposeResult:
        """Put the filter under the list."""
        panel = InstalledPanel(glyphs=self.glyphs, id=PANEL)
        panel.styles.height = "1fr"
        yield panel
        yield self.filter_box()
        yield HintBar(glyphs=self.glyphs, id="hints")

    def draw(self) -> None:
        """List what is installed now."""
        if not self.composed:
            return
        rows = installed_rows(self.session.monitor.state, self._filter)
        self.query_one(InstalledPanel).show(rows, self._empty_words())
        self.cursor.place([Row(PANEL, row.key) for row in rows])
        self.show_cursor()
        filtering = (("Esc", f"filter: {self._filter}"),) if self._filter else ()
        keys = hints(APP_KEYS[-1:], FIT_LIST_KEYS, APP_KEYS[-2:-1])
        self.query_one(HintBar).show((*filtering, *play_hints(self.session.player), *keys))

    def _empty_words(self) -> str:
        if self._filter:
            return "no model matches the filter"
        is_known = bool(self.session.monitor.state.installed)
        return "no model is installed" if is_known else "not known: no server has listed its models yet"

    # Keys

    def open_row(self, row: Row) -> None:
        """Open the page of a model."""
        self.app.push_screen(FitPage(row, self.session, self.glyphs))

    def action_leave(self) -> None:
        """Drop the filter, or else go back to the dashboard."""
        if self.query_one("#filter").display or self._filter:
            self.drop_filter()
        else:
            self.dismiss()

    def narrow(self, text: str) -> None:
        """Narrow the list."""
        self._filter = text
        self.draw()

    def make_room(self) -> None:
        """Draw the hints anew: they name the filter."""
        self.draw()
