"""The dashboard: verdict, problems, GPUs, models, memory, alerts and, where there is room, a chart."""

from __future__ import annotations

from typing import ClassVar

from msgspec.structs import replace
from textual.app import ComposeResult
from textual.binding import BindingType

from gpumon.app.session.session import Session
from gpumon.app.state.records import is_server
from gpumon.app.ui.keys import APP_KEYS, DASHBOARD_KEYS, DEMO_KEYS, REPLAY_KEYS, bindings, hints
from gpumon.app.ui.layout import Content, Layout, plan
from gpumon.app.ui.screens.base import ListScreen, Row
from gpumon.app.views.dashboard import NOTHING, DashboardView, ModelOrder, dashboard_view
from gpumon.app.views.models import SORT_KEYS
from gpumon.app.views.page import WINDOWS_SECONDS, caption_hints, play_hints, vram_chart
from gpumon.widgets.gpu_panel import GpuPanel
from gpumon.widgets.history_chart import HistoryChart
from gpumon.widgets.kit.lines import Glyphs
from gpumon.widgets.memory_panel import MemoryPanel
from gpumon.widgets.model_panel import ModelPanel
from gpumon.widgets.notices import AlertFeed, HintBar, SourcePanel, VerdictLine, source_lines, verdict_lines
from gpumon.widgets.views import VerdictView

HINTS = hints(APP_KEYS[-2:], DASHBOARD_KEYS, APP_KEYS[:1])
"""Help and quit first: what stays where there is room for two."""

CHART_SECONDS = 15.0
"""The chart shows minutes: it is redrawn at most this often, as it costs more than the rest of the screen."""


class DashboardScreen(ListScreen):
    """The main screen."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(DASHBOARD_KEYS)]

    def __init__(self, session: Session, glyphs: Glyphs) -> None:
        super().__init__(session, glyphs, prefer="models")
        self._view: DashboardView | None = None
        self._shown: DashboardView | None = None
        self._rows: list[Row] | None = None
        self._planned: tuple[int, Content] | None = None
        self._plan: Layout | None = None
        self._charted = 0.0

    def compose(self) -> ComposeResult:
        """Create every panel once; a layout only changes their heights."""
        yield VerdictLine(glyphs=self.glyphs, id="verdict")
        yield SourcePanel(glyphs=self.glyphs, id="sources")
        yield GpuPanel(glyphs=self.glyphs, id="gpus")
        yield ModelPanel(glyphs=self.glyphs, id="models")
        yield MemoryPanel(glyphs=self.glyphs, id="memory")
        yield HistoryChart(glyphs=self.glyphs, id="chart")
        yield AlertFeed(glyphs=self.glyphs, id="alerts")
        yield self.filter_box()
        yield HintBar(glyphs=self.glyphs, id="hints")

    def on_mount(self) -> None:
        """Show the frame at once; figures come with the first samples."""
        self.draw()

    def on_resize(self) -> None:
        """Fold or unfold panels for the new size."""
        self._charted = 0.0
        self.lay_out()

    def draw(self) -> None:
        """Build the views of what is known now and hand them to the widgets."""
        if self._view is None or not self.session.choices.paused:
            self.redraw()
        else:
            self.lay_out()

    def redraw(self) -> None:
        """Draw what is known now, also while paused: a key was pressed that changes the picture."""
        choices, monitor = self.session.choices, self.session.monitor
        order = ModelOrder(choices.sort, choices.descending, choices.filter_text)
        before = self._view or NOTHING
        self._view = dashboard_view(monitor, order, self.session.interval_seconds, before)
        self.lay_out()

    def lay_out(self) -> None:
        """Assign each panel its lines and hand it its view."""
        if self._view is None or not self.composed:
            return
        with self.app.batch_update():
            height = max(0, self.size.height - (1 if self.query_one("#filter").display else 0))
            self._show(self._view, self._laid_out(height, self._content(self._view)))

    def _laid_out(self, height: int, content: Content) -> Layout:
        """Return the lines of each panel, planned again where the room or what is to be shown has changed."""
        if self._plan is None or self._planned != (height, content):
            self._planned, layout = (height, content), plan(height, content)
            if layout != self._plan:
                self._plan = layout
                self._apply(layout)
            return layout
        return self._plan

    def _content(self, view: DashboardView) -> Content:
        hidden = self.session.choices.hidden
        verdict = verdict_lines(self._verdict(view), self.size.width, self.glyphs, limit=2)
        problems = len(source_lines(view.sources, self.size.width, self.glyphs))
        return Content(
            gpus=0 if "gpus" in hidden else len(view.gpus),
            models=0 if "models" in hidden else len(view.models),
            models_shown="models" not in hidden,
            verdict=len(verdict),
            sources=0 if "sources" in hidden or not problems else problems + (problems > 1),
            alerts=len(view.alerts),
            memory="memory" not in hidden,
            feed="alerts" not in hidden,
            chart="chart" not in hidden and bool(view.gpus),
        )

    def _apply(self, layout: Layout) -> None:
        heights = {
            "#verdict": layout.verdict,
            "#sources": layout.sources,
            "#gpus": layout.gpus,
            "#models": layout.models,
            "#memory": layout.memory,
            "#chart": layout.chart,
            "#alerts": layout.alerts,
            "#hints": layout.hints,
        }
        for selector, lines in heights.items():
            widget = self.query_one(selector)
            widget.display = lines > 0
            widget.styles.height = lines
        self.query_one("#gpus", GpuPanel).lines_per_row = layout.lines_per_gpu
        self.query_one("#models", ModelPanel).lines_per_row = layout.lines_per_model

    def _show(self, view: DashboardView, layout: Layout) -> None:
        before, self._shown = self._shown or NOTHING, view
        self.query_one(VerdictLine).show(self._verdict(view))
        if view.sources != before.sources:
            self.query_one(SourcePanel).show(view.sources)
        if view.gpus != before.gpus:
            self.query_one(GpuPanel).show(view.gpus)
        self.query_one(ModelPanel).show(view.models, self._no_models_words())
        if view.memory != before.memory:
            self.query_one(MemoryPanel).show(view.memory)
        if view.alerts != before.alerts:
            self.query_one(AlertFeed).show(view.alerts)
        self.query_one(HintBar).show(self._hints())
        self._place_cursor(view, layout)
        if layout.chart:
            self._chart()

    def _verdict(self, view: DashboardView) -> VerdictView:
        return replace(view.verdict, marks=self.session.marks())

    def _chart(self) -> None:
        state = self.session.monitor.state
        if 0 <= state.now - self._charted < CHART_SECONDS or self.session.choices.paused:
            return
        self._charted = state.now
        seconds = WINDOWS_SECONDS[self.session.choices.window]
        with self.session.monitor.fuses.guard("panel chart"):
            self.query_one(HistoryChart).show(vram_chart(state, seconds))

    def _no_models_words(self) -> str:
        if self.session.choices.filter_text:
            return "no model matches the filter"
        if "panel models" in self.session.monitor.fuses.places:
            return "not known: internal error"
        known = any(is_server(s.name) and s.healthy for s in self.session.monitor.state.sources.values())
        return "no model is loaded" if known else "not known: no server answers"

    def _hints(self) -> tuple[tuple[str, str], ...]:
        choices = self.session.choices
        filtering = (("Esc", f"filter: {choices.filter_text}"),) if choices.filter_text else ()
        order = f"by {choices.sort}{' reversed' if choices.descending else ''}"
        replaying = hints(REPLAY_KEYS) if self.session.player else ()
        folded = (("folded:", ", ".join(self._folded())),) if self._folded() else ()
        hidden = (("1-5", "hidden panels"),) if choices.hidden - {"sources"} else ()
        playing = play_hints(self.session.player) if self.session.player else ()
        demo = hints(DEMO_KEYS) if self.session.demo else ()
        first = (*self._caption(), *filtering, *playing, *HINTS[:2], *demo)
        return (*first, *hidden, *folded, *HINTS[2:], ("s", order), *replaying)

    def _caption(self) -> tuple[tuple[str, str], ...]:
        return caption_hints(self.session.demo, self.size.width, self.glyphs)

    def _folded(self) -> list[str]:
        """Name the panels that are wanted but have no room."""
        if self._plan is None:
            return []
        wanted = [name for name in ("memory", "alerts") if name not in self.session.choices.hidden]
        return [name for name in wanted if not getattr(self._plan, name)]

    def _place_cursor(self, view: DashboardView, layout: Layout) -> None:
        gpus = [Row("gpus", row.key) for row in view.gpus] if layout.gpus else []
        models = [Row("models", row.key) for row in view.models] if layout.models else []
        rows = [*gpus, *models]
        if rows != self._rows:
            self._rows = rows
            self.cursor.place(rows)
            self.show_cursor()

    # Keys

    def action_switch_panel(self) -> None:
        """Move the cursor to the other panel."""
        self.cursor.switch()
        self.show_cursor()

    def open_row(self, row: Row) -> None:
        """Open the page of a model or GPU."""
        from gpumon.app.ui.screens.page import Page  # noqa: PLC0415 - keeps the start quick

        self.app.push_screen(Page(row, self.session, self.glyphs))

    def action_fit(self) -> None:
        """List the installed models, to see which would fit."""
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

    def action_acknowledge(self) -> None:
        """Acknowledge every alert."""
        self.session.monitor.alerts.acknowledge_all()
        self.redraw()

    def action_clear(self) -> None:
        """Drop the filter."""
        self.drop_filter()

    def narrow(self, text: str) -> None:
        """Narrow the models."""
        self.session.choices.filter_text = text
        self.redraw()

    def make_room(self) -> None:
        """Lay out again: the filter's box takes a line."""
        self.lay_out()
