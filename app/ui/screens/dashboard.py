"""The dashboard: verdict, problems, GPUs, models, memory, events and, where there is room, a chart."""

from __future__ import annotations

from typing import ClassVar

from msgspec.structs import replace
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.geometry import Size

from gpumon.app.insight.wording import DRIVER_SOURCE
from gpumon.app.picture.pictures import Pictures
from gpumon.app.session.session import Session
from gpumon.app.state.records import is_server
from gpumon.app.ui.keys import DASHBOARD_KEYS, PANELS, bindings, switches
from gpumon.app.ui.layout import Layout
from gpumon.app.ui.screens.arrangement import Arrangement
from gpumon.app.ui.screens.base import ListScreen, Row
from gpumon.app.ui.screens.footer import dashboard_hints, means, spare_hints
from gpumon.app.ui.screens.travelling import TimeScreen
from gpumon.app.views.charts import LENGTHS_SECONDS, QUANTITIES, Charts, shown_quantities, span_of
from gpumon.app.views.dashboard import NOTHING, DashboardView, ModelOrder, dashboard_view
from gpumon.app.views.models import SORT_KEYS
from gpumon.app.views.page import caption_hints
from gpumon.widgets.band import SourcePanel, VerdictLine
from gpumon.widgets.event_feed import EventFeed
from gpumon.widgets.gpu_panel import GpuPanel
from gpumon.widgets.hints import Hint, HintBar
from gpumon.widgets.kit.areas import SAMPLES_PER_CELL
from gpumon.widgets.kit.lines import Glyphs
from gpumon.widgets.kit.mouse import Pointed
from gpumon.widgets.kit.rows import RowPanel
from gpumon.widgets.live_chart import LiveCharts, cells_at, count_at
from gpumon.widgets.memory_panel import MemoryPanel
from gpumon.widgets.model_panel import ModelPanel
from gpumon.widgets.views import EventRow, VerdictView

USUAL_SECONDS = 1.0
"""Between samples, unless the user wants it otherwise; then it is said."""

OPEN_KEY = "Enter"
"""Of the keys that the verdict names the one that changes nothing."""

ROOM_FOR_WORDS = 60
"""Cells from which an empty machine is told more than where to go."""


def no_models_words(session: Session, width: int) -> str:
    """Say why no model is listed."""
    if session.choices.filter_text:
        return "no model matches the filter"
    if "panel models" in session.shown.fuses.places:
        return "not known: internal error"
    state = session.shown.state
    if any(is_server(source.name) and source.healthy for source in state.sources.values()):
        return "no model is loaded"
    if state.gpus or DRIVER_SOURCE not in state.sources or session.player is not None:
        return "not known: no server answers"
    see = "to see it at work" if width >= ROOM_FOR_WORDS else "try"
    return f"no server answers; {see}: gpumon demo"


class DashboardScreen(TimeScreen, ListScreen):
    """The main screen."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(DASHBOARD_KEYS)]
    LEADING_HINTS: ClassVar[tuple[Hint, ...]] = ()
    """What its footer names first."""

    def __init__(self, session: Session, glyphs: Glyphs) -> None:
        super().__init__(session, glyphs, prefer="models")
        self._charts = Charts()
        self._charted: Pictures | None = None
        """Of what the charts are kept."""
        self._view: DashboardView | None = None
        self._shown: DashboardView | None = None
        self._rows: list[Row] | None = None
        self._hinted: tuple[object, ...] = ()
        self._arrangement = Arrangement(self, session.choices, glyphs)

    def compose(self) -> ComposeResult:
        """Create every panel once; a layout only changes their heights."""
        yield VerdictLine(glyphs=self.glyphs, id="verdict")
        yield SourcePanel(glyphs=self.glyphs, id="sources")
        yield GpuPanel(glyphs=self.glyphs, id="gpus")
        yield ModelPanel(glyphs=self.glyphs, id="models")
        yield LiveCharts(glyphs=self.glyphs, id="chart")
        yield MemoryPanel(glyphs=self.glyphs, id="memory")
        yield EventFeed(glyphs=self.glyphs, id="alerts")
        yield self.filter_box()
        yield HintBar(glyphs=self.glyphs, id="hints")

    def on_mount(self) -> None:
        """Show the frame at once; figures come with the first samples."""
        self.draw()

    def on_resize(self) -> None:
        """Fold or unfold panels for the new size."""
        self.lay_out()

    def draw(self) -> None:
        """Build the views of what is known now and hand them to the widgets."""
        if self._view is None or not self.session.choices.paused:
            self.redraw()
        else:
            self.lay_out()

    def redraw(self) -> None:
        """Draw what is known now, also while paused: a key was pressed that changes the picture."""
        self._view = self.build(self._view or NOTHING)
        self.lay_out()

    def build(self, before: DashboardView) -> DashboardView:
        """Return what there is to show now, ``before`` it having been shown."""
        choices = self.session.choices
        order = ModelOrder(choices.sort, choices.descending, choices.filter_text)
        return dashboard_view(self.session.shown, order, before)

    def lay_out(self) -> None:
        """Assign each panel its lines and hand it its view."""
        if self._view is None or not self.composed:
            return
        with self.app.batch_update():
            height = max(0, self.size.height - (1 if self.query_one("#filter").display else 0))
            verdict = self._verdict(self._view)
            layout = self._arrangement.lay_out(self._view, verdict, Size(self.size.width, height))
            self._show(self._view, verdict, layout)

    def _show(self, view: DashboardView, verdict: VerdictView, layout: Layout) -> None:
        before, self._shown = self._shown or NOTHING, view
        self.query_one(VerdictLine).show(verdict)
        if view.sources != before.sources:
            self.query_one(SourcePanel).show(view.sources)
        if view.gpus != before.gpus:
            self.query_one(GpuPanel).show(view.gpus)
        largest = max((row.total_bytes or 0 for row in view.gpus), default=0)
        self.query_one(ModelPanel).show(view.models, no_models_words(self.session, self.size.width), largest)
        if view.memory != before.memory:
            self.query_one(MemoryPanel).show(view.memory)
        if view.events != before.events:
            self.query_one(EventFeed).show(view.events)
        self._place_cursor(view, layout)
        self._show_hints()
        if layout.chart:
            self._chart()

    def _verdict(self, view: DashboardView) -> VerdictView:
        seconds, right = self.session.interval_seconds, view.verdict.right
        if self.session.is_past:  # its mark says the time, and nothing is to be typed there
            keys = tuple(key for key in view.verdict.keys if key[0] == OPEN_KEY)
            return replace(view.verdict, marks=self.session.marks(), right=(), keys=keys)
        unusual = () if seconds == USUAL_SECONDS else (f"every {seconds:g} s",)
        return replace(view.verdict, marks=self.session.marks(), right=(*unusual, *right))

    def _chart(self) -> None:
        """Draw the charts, as many as there is room for."""
        choices, width = self.session.choices, self.size.width
        cells = cells_at(width)
        if choices.paused or not cells:
            return
        with self.session.shown.fuses.guard("panel chart"):
            pictures, samples = self.session.shown.pictures, cells * SAMPLES_PER_CELL
            if pictures is not self._charted:
                self._charts, self._charted = Charts(), pictures
            shown = shown_quantities(choices.chart, count_at(width))
            self.query_one(LiveCharts).show(self._charts.views(shown, pictures, choices.window, samples))

    def show_cursor(self) -> None:
        """Mark the row under the cursor, and name the keys that do something to it."""
        super().show_cursor()
        self._show_hints()

    def _show_hints(self) -> None:
        """Name the keys that do something, where that may have changed; what is played moves on anyway."""
        session, view, row = self.session, self._shown or NOTHING, self.cursor.row
        folded = self._arrangement.folded(has_events=bool(view.events))
        shown = (self.size.width, view.events, len(view.gpus), len(view.models), folded, session.is_past)
        grounds = (*shown, row, *means(session, row))
        if grounds == self._hinted and session.player is None:
            return
        self._hinted = grounds
        demo = None if session.is_past else session.demo  # what it says is of now
        caption = caption_hints(demo, self.size.width, self.glyphs)
        keys = dashboard_hints(session, view, row, folded)
        self.query_one(HintBar).show(
            (*caption, *self.LEADING_HINTS, *keys), switches(session.choices.hidden), spare_hints(session)
        )

    def _place_cursor(self, view: DashboardView, layout: Layout) -> None:
        gpus = [Row("gpus", row.key) for row in view.gpus] if layout.gpus else []
        models = [Row("models", row.key) for row in view.models] if layout.models else []
        rows = [*gpus, *models, *(Row("alerts", row.key) for row in view.events if layout.alerts)]
        if rows != self._rows:
            self._rows = rows
            self.cursor.place(rows)
            self.show_cursor()

    @on(Pointed.HeadingClicked)
    def fold(self, message: Pointed.HeadingClicked) -> None:
        """Hide the panel of the clicked title; its switch in the footer shows it again."""
        if message.panel.id in PANELS:
            self.action_toggle_panel(message.panel.id)

    @on(LiveCharts.TimeClicked)
    def go_to_clicked(self, message: LiveCharts.TimeClicked) -> None:
        """Go to the instant of the chart that was clicked."""
        window = span_of(self.session.shown.pictures, self.session.choices.window, 1).window
        self.go_to(window.start + message.share * window.seconds)

    @on(RowPanel.RowSelected, "#alerts")
    def go_to_event(self, message: RowPanel.RowSelected) -> None:
        """Go to the event that was clicked; a second click opens what it is about."""
        event = self._event(Row("alerts", message.key))
        if event is not None and self.cursor.key_in("alerts") != message.key:
            self._travel(lambda travel: travel.to_told(event.number, event.at))

    # Keys

    def action_switch_panel(self, step: int) -> None:
        """Move the cursor to the next panel."""
        self.cursor.switch(step)
        self.show_cursor()

    def open_row(self, row: Row) -> None:
        """Open the page of a model or GPU, or of that which an event is about."""
        from gpumon.app.ui.screens.page import Page  # noqa: PLC0415 - keeps the start quick

        event = self._event(row)
        if event is None:
            self.app.push_screen(Page(row, self.session, self.glyphs))
        elif (subject := self._subject(event)) is not None:
            self.app.push_screen(Page(subject, self.session, self.glyphs, at=event.at))

    @property
    def selected(self) -> Row | None:
        """The row under the cursor, or that which the event there is about."""
        row = self.cursor.row
        event = None if row is None else self._event(row)
        return row if event is None else self._subject(event)

    def _subject(self, event: EventRow) -> Row | None:
        """Return the row that an event is about; of a model that is loaded anew that of its load."""
        models = self._view.models if self._view else ()
        if event.opens is None or event.opens[0] != "models":
            return None if event.opens is None else Row(*event.opens)
        keys = [row.key for row in models if row.key == event.opens[1] or row.name == event.model]
        return Row("models", event.opens[1] if event.opens[1] in keys or not keys else keys[0])

    def _event(self, row: Row) -> EventRow | None:
        events = self._view.events if self._view and row.panel == "alerts" else ()
        return next((event for event in events if event.key == row.key), None)

    def action_fit(self) -> None:
        """List the installed models, to see which would fit."""
        if self.is_refused():
            return
        from gpumon.app.ui.screens.fit import FitList  # noqa: PLC0415 - keeps the start quick

        self.app.push_screen(FitList(self.session, self.glyphs))

    def action_sort(self, step: int) -> None:
        """Sort by the next key."""
        choices = self.session.choices
        choices.sort = SORT_KEYS[(SORT_KEYS.index(choices.sort) + step) % len(SORT_KEYS)]
        self.redraw()

    def action_reverse(self) -> None:
        """Reverse the order."""
        self.session.choices.descending = not self.session.choices.descending
        self.redraw()

    def action_toggle_panel(self, panel: str) -> None:
        """Show or hide a panel."""
        self.session.choices.hidden ^= {panel}
        self.lay_out()

    def action_chart(self) -> None:
        """Chart the next quantity."""
        choices = self.session.choices
        shown = shown_quantities(choices.chart, count_at(self.size.width))
        following = QUANTITIES.index(choices.chart) + 1
        choices.chart = QUANTITIES[following % len(QUANTITIES)]
        if shown_quantities(choices.chart, count_at(self.size.width)) == shown:
            self.action_chart()
        self.redraw()

    def action_window(self) -> None:
        """Chart the next longer time."""
        choices = self.session.choices
        choices.window = (min(choices.window, len(LENGTHS_SECONDS) - 1) + 1) % len(LENGTHS_SECONDS)
        self.redraw()

    def action_acknowledge(self) -> None:
        """Acknowledge every alert."""
        if self.is_refused():
            return
        self.session.monitor.acknowledge()
        self.redraw()

    def action_clear(self) -> None:
        """Go back to now; there, drop the filter."""
        if not self.leave_past():
            self.drop_filter()

    def narrow(self, text: str) -> None:
        """Narrow the models."""
        self.session.choices.filter_text = text
        self.redraw()

    def make_room(self) -> None:
        """Lay out again: the filter's box takes a line."""
        self.lay_out()
