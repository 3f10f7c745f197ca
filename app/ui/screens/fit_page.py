"""Whether one installed model fits, where each GiB goes and how fast it would be, before it is loaded."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from gpumon.app.session.session import Session
from gpumon.app.ui.cursor import Row
from gpumon.app.ui.keys import APP_KEYS, FIT_PAGE_KEYS, bindings, hints
from gpumon.app.ui.screens.live_screen import LiveScreen
from gpumon.app.ui.scroll import Scroll
from gpumon.app.views.fit import FitChoice, FitView, fit_view, installed_of
from gpumon.app.views.playing import play_hints
from gpumon.text.safe import visible
from gpumon.widgets.fact_table import FactTable
from gpumon.widgets.glyphs import Glyphs
from gpumon.widgets.hint_bar import HintBar
from gpumon.widgets.verdict import VerdictLine
from gpumon.widgets.views import VerdictView

GONE = FitView(VerdictView("unknown", "this model is no longer installed"))
NOT_DESCRIBED = "what its file holds is not known, and nobody can be asked: this is not live"
ASKING = "asking its server what the file holds"


class FitPage(LiveScreen):
    """Reckons anew with everything that the driver says, and with every key."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(FIT_PAGE_KEYS)]

    def __init__(self, row: Row, session: Session, glyphs: Glyphs) -> None:
        super().__init__(session, glyphs)
        self._row = row
        self._choice = FitChoice()
        self._missing = NOT_DESCRIBED
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
        state = self.session.monitor.state
        model = installed_of(state, self._row.key)
        if model is not None and model.key not in state.facts and model.key.source in self.session.describe:
            self._missing = ASKING
            self.run_worker(self._ask(model.key.source, model.name, model.key.digest), name="describe")

    async def _ask(self, source: str, name: str, digest: str) -> None:
        said = await self.session.describe[source](name, digest)
        if isinstance(said, str):
            self._missing = f"what its file holds is not known: {visible(said)}"
        else:
            self.session.monitor.feed(said)
        self.draw()

    def draw(self) -> None:
        """Reckon with what is known now."""
        if not self.composed:
            return
        state = self.session.monitor.state
        model = installed_of(state, self._row.key)
        self._view = GONE if model is None else fit_view(state, model, self._choice, self._missing)
        self.query_one(VerdictLine).show(self._view.verdict)
        self.query_one(FactTable).show(self._view.facts)
        keys = hints(APP_KEYS[-1:], FIT_PAGE_KEYS)
        self.query_one(HintBar).show((*play_hints(self.session.player), *keys))

    # Keys

    def action_context(self, step: int) -> None:
        """Take the next larger or smaller context."""
        self._choose(self._view.more if step > 0 else self._view.less)

    def action_cache(self) -> None:
        """Take the next type of cache."""
        self._choose(self._view.other_cache)

    def action_reset(self) -> None:
        """Take everything as the server would."""
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
