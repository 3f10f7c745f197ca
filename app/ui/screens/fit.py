"""Which of the installed models fit; of one, where each GiB goes and how fast it would be, before a load."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.timer import Timer

from gpumon.app.diagnosis.fit.listing import Answers
from gpumon.app.diagnosis.fit.machine import Installed, installed_models
from gpumon.app.session.session import Session
from gpumon.app.ui.keys import APP_KEYS, FIT_LIST_KEYS, FIT_PAGE_KEYS, bindings, hints
from gpumon.app.ui.screens.base import ListScreen, LiveScreen, Row, Scroll
from gpumon.app.ui.screens.footer import filter_hints
from gpumon.app.views.fit import FitChoice, FitView, fit_view, installed_of, installed_rows, list_verdict
from gpumon.app.views.page import play_hints
from gpumon.text.safe import visible
from gpumon.widgets.band import VerdictLine
from gpumon.widgets.hints import HintBar
from gpumon.widgets.kit.lines import Glyphs
from gpumon.widgets.tables import FactTable, InstalledPanel
from gpumon.widgets.views import VerdictView

GONE = FitView(VerdictView("unknown", "this model is no longer installed"))


CACHE_KEY = next(key.shown for key in FIT_PAGE_KEYS if key.action == "cache")


class FitPage(LiveScreen):
    """Computes again with each answer of the driver, and with each key."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(FIT_PAGE_KEYS)]

    def __init__(self, row: Row, session: Session, glyphs: Glyphs) -> None:
        super().__init__(session, glyphs)
        self._row = row
        self._choice = FitChoice()
        self._view = GONE

    def compose(self) -> ComposeResult:
        """Create the panels once."""
        verdict = VerdictLine(glyphs=self.glyphs)
        verdict.styles.height = "auto"
        yield verdict
        with Scroll(self.glyphs):
            yield FactTable(glyphs=self.glyphs, id="facts")
        yield HintBar(glyphs=self.glyphs, id="hints")

    @property
    def selected(self) -> Row:
        """Its subject."""
        return self._row

    def on_mount(self) -> None:
        """Ask the server what the file holds, where that is not known."""
        state, asked = self.session.monitor.state, self.session.descriptions()
        model = installed_of(state, self._row.key)
        if model is None:
            return
        asked.forget(model.key)
        if unasked := asked.unasked([model], state):
            self.run_worker(asked.ask(unasked, self.draw), name="describe")

    def draw(self) -> None:
        """Compute with what is known now."""
        if not self.composed:
            return
        state = self.session.monitor.state
        model = installed_of(state, self._row.key)
        self._view = (
            GONE if model is None else fit_view(state, model, self._choice, self._missing(model), CACHE_KEY)
        )
        self.query_one(VerdictLine).show(self._view.verdict)
        self.query_one(FactTable).show(self._view.facts)
        keys = hints(APP_KEYS[-1:], FIT_PAGE_KEYS)
        self.query_one(HintBar).show((*play_hints(self.session.player), *keys))

    def _missing(self, model: Installed) -> str:
        return visible(self.session.descriptions().missing_words(model.key))

    # Keys

    def action_context(self, step: int) -> None:
        """Switch to the next larger or smaller context."""
        self._choose(self._view.more if step > 0 else self._view.less)

    def action_cache(self) -> None:
        """Switch to the next cache type."""
        self._choose(self._view.other_cache)

    def action_reset(self) -> None:
        """Go back to the server's own context and cache type."""
        self._choose(FitChoice())

    def _choose(self, choice: FitChoice) -> None:
        if self._view.facts:
            self._choice = choice
            self.draw()

    def action_leave(self) -> None:
        """Go back to the list."""
        self.dismiss()

    def action_scroll(self, step: int) -> None:
        """Scroll by lines."""
        self.query_one(Scroll).scroll_relative(y=step * 2, animate=False)


PANEL = "installed"
AT_ONCE = 16
"""Answers computed before the screen is drawn: some milliseconds each."""
SOON_SECONDS = 0.03


class FitList(ListScreen):
    """The installed models, each with its answer as it comes; Enter opens the page of one."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(FIT_LIST_KEYS)]

    def __init__(self, session: Session, glyphs: Glyphs) -> None:
        super().__init__(session, glyphs, prefer=PANEL)
        self._filter = ""
        self._answers = Answers()
        self._due: Timer | None = None

    def compose(self) -> ComposeResult:
        """Put the filter under the list."""
        yield VerdictLine(glyphs=self.glyphs)
        panel = InstalledPanel(glyphs=self.glyphs, id=PANEL)
        panel.styles.height = "1fr"
        yield panel
        yield self.filter_box()
        yield HintBar(glyphs=self.glyphs, id="hints")

    def draw(self) -> None:
        """List what is installed now, and go on to find out what is not known of it."""
        if not self.composed:
            return
        state, models = self.session.monitor.state, installed_models(self.session.monitor.state)
        is_more_due = self._answers.refresh(state, models, AT_ONCE)
        self._ask(models)
        verdict = list_verdict(state, self._answers.of, self.session.descriptions().asked)
        self.query_one(VerdictLine).show(verdict)
        rows = installed_rows(state, self._filter, self._answers.of)
        self.query_one(InstalledPanel).show(rows, self._empty_words())
        self.cursor.place([Row(PANEL, row.key) for row in rows])
        self.show_cursor()
        filtering = filter_hints(self._filter, "leave")
        keys = hints(APP_KEYS[-1:], FIT_LIST_KEYS, APP_KEYS[-2:-1])
        self.query_one(HintBar).show((*filtering, *play_hints(self.session.player), *keys))
        if is_more_due:
            self._draw_soon()

    def _ask(self, models: Sequence[Installed]) -> None:
        """Ask what the files hold of which nothing is known: nothing is loaded for it."""
        asked = self.session.descriptions()
        if unasked := asked.unasked(models, self.session.monitor.state):
            self.run_worker(asked.ask(unasked, self._draw_soon), name="describe all")
            self._draw_soon()

    def _draw_soon(self) -> None:
        """Draw what comes within a moment together."""
        if self._due is None and self.is_attached:
            self._due = self.set_timer(SOON_SECONDS, self._draw_what_came)

    def _draw_what_came(self) -> None:
        self._due = None
        self.draw()

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
        """Redraw the hints: they name the filter."""
        self.draw()
