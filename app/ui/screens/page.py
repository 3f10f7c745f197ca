"""The page of one GPU or one model: its verdict, its history and every figure with its origin."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType

from gpumon.app.log import log_path_words
from gpumon.app.picture.load import LOAD_PREFIX
from gpumon.app.session.session import Session
from gpumon.app.ui.keys import APP_KEYS, MODEL_KEYS, PAGE_KEYS, VIEW_KEYS, Key, bindings, hints
from gpumon.app.ui.screens.base import LiveScreen, Row, Scroll
from gpumon.app.views.dashboard import ModelOrder, dashboard_view
from gpumon.app.views.gpus import gpu_page
from gpumon.app.views.model_page import model_page
from gpumon.app.views.models import load_page
from gpumon.app.views.page import WINDOWS_SECONDS, PageView, play_hints
from gpumon.widgets.band import VerdictLine
from gpumon.widgets.hints import HintBar
from gpumon.widgets.history_chart import HistoryChart
from gpumon.widgets.kit.lines import Glyphs
from gpumon.widgets.tables import FactTable
from gpumon.widgets.views import VerdictView

CHARTS = 4
CHART_HEIGHT = 9
LEAST_HEIGHT_FOR_CHARTS = 16


class Page(LiveScreen):
    """A page that follows one subject, and says so when it has gone."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(PAGE_KEYS)]

    def __init__(self, row: Row, session: Session, glyphs: Glyphs) -> None:
        super().__init__(session, glyphs)
        self._row = row

    def compose(self) -> ComposeResult:
        """Create the panels once."""
        verdict = VerdictLine(glyphs=self.glyphs)
        verdict.styles.height = "auto"
        yield verdict
        with Scroll(self.glyphs):
            yield FactTable(glyphs=self.glyphs, id="first")
            for number in range(CHARTS):
                yield HistoryChart(glyphs=self.glyphs, id=f"chart{number}")
            yield FactTable(glyphs=self.glyphs, id="facts")
        yield HintBar(glyphs=self.glyphs, id="hints")

    @property
    def selected(self) -> Row:
        """Its subject."""
        return self._row

    def draw(self) -> None:
        """Build the page of what is known now."""
        if not self.composed:
            return
        view = self._view()
        with self.app.batch_update():
            self.query_one(VerdictLine).show(view.verdict)
            self._show_charts(view)
            self.query_one("#first", FactTable).show(view.first)
            self.query_one("#facts", FactTable).show(view.facts)
            playing = play_hints(self.session.player)
            keys = hints(APP_KEYS[-1:], VIEW_KEYS, self._model_keys(), APP_KEYS[:1])
            self.query_one(HintBar).show((*playing, *self.working(keys)))

    def _model_keys(self) -> tuple[Key, ...]:
        return MODEL_KEYS if self._row.panel == "models" else ()

    def on_resize(self) -> None:
        """Leave the charts out where the facts alone fill the pane."""
        self.draw()

    def _view(self) -> PageView:
        monitor, name = self.session.monitor, self._row.panel.removesuffix("s")
        with monitor.fuses.guard(f"page {name}", self._row.key):
            return self._built()
        return PageView(
            VerdictView("unknown", f"internal error in page {name}; details in {log_path_words()}")
        )

    def _built(self) -> PageView:
        pictures = self.session.monitor.pictures
        if self._row.key.startswith(LOAD_PREFIX) or pictures.load(self._row.key) is not None:
            return load_page(self._row.key, pictures)
        build = gpu_page if self._row.panel == "gpus" else model_page
        seconds = WINDOWS_SECONDS[self.session.choices.window]
        return build(self._row.key, pictures, seconds)

    def _show_charts(self, view: PageView) -> None:
        room = self.size.height >= LEAST_HEIGHT_FOR_CHARTS
        for number in range(CHARTS):
            chart = self.query_one(f"#chart{number}", HistoryChart)
            chart.display = room and number < len(view.charts)
            chart.styles.height = CHART_HEIGHT
            if chart.display:
                chart.show(view.charts[number])

    def action_leave(self) -> None:
        """Go back to the dashboard."""
        self.dismiss()

    def action_scroll(self, step: int) -> None:
        """Scroll by lines."""
        self.query_one(Scroll).scroll_relative(y=step * 2, animate=False)

    def action_neighbour(self, step: int) -> None:
        """Show the next subject of the dashboard's list."""
        keys = self._listed()
        if keys:
            index = keys.index(self._row.key) if self._row.key in keys else -step
            self._row = Row(self._row.panel, keys[(index + step) % len(keys)])
            self.draw()

    def _listed(self) -> list[str]:
        """Return the keys of its kind that the dashboard lists now: in its order, by its filter."""
        choices = self.session.choices
        order = ModelOrder(choices.sort, choices.descending, choices.filter_text)
        view = dashboard_view(self.session.monitor, order)
        return [row.key for row in (view.gpus if self._row.panel == "gpus" else view.models)]

    def action_window(self) -> None:
        """Show the next longer history."""
        choices = self.session.choices
        choices.window = (choices.window + 1) % len(WINDOWS_SECONDS)
        self.draw()
