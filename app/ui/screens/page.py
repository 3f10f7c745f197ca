"""The page of one GPU or one model: what is wrong and what helps, its figures, and how they went."""

from __future__ import annotations

from typing import ClassVar

from msgspec.structs import replace
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal

from gpumon.app.log import log_path_words
from gpumon.app.picture.load import LOAD_PREFIX, load_id
from gpumon.app.session.session import Session
from gpumon.app.state.records import RunnerKey
from gpumon.app.ui.keys import (
    APP_KEYS,
    CURE_KEYS,
    CURES,
    DETAILS_KEYS,
    MODEL_KEYS,
    PAGE_KEYS,
    PAST_HINTS,
    VIEW_KEYS,
    Key,
    bindings,
    hints,
)
from gpumon.app.ui.screens.base import Row, Scroll
from gpumon.app.ui.screens.travelling import TimeScreen
from gpumon.app.views.dashboard import ModelOrder, dashboard_view
from gpumon.app.views.gpu_page import gpu_page
from gpumon.app.views.model_page import model_page
from gpumon.app.views.models import load_page
from gpumon.app.views.page import LONG_WINDOWS_SECONDS, WINDOWS_SECONDS, PageView, play_hints
from gpumon.text import units
from gpumon.widgets.band import VerdictLine
from gpumon.widgets.hints import Hint, HintBar
from gpumon.widgets.kit.lines import Glyphs
from gpumon.widgets.page_panel import ChartColumn, PagePanel
from gpumon.widgets.views import VerdictView

WINDOW_WORDS = ("up to 5 min", "up to 1 h", "up to 1 d", "up to a week", "up to 30 d")
"""The windows in the footer."""
WIDE = 110
"""Columns from which charts stand beside the figures."""
LEAST_FIGURES, MOST_FIGURES = 54, 84
SHARE, SHARE_OPEN = 0.48, 0.63
"""Columns of the figures beside charts, as part of the pane; more where it is said whence each is."""
LOW_CHARTS, MOST_LOW_CHARTS, TALL = 2, 4, 50
"""Charts below the figures, and in panes of so many lines."""
LEAST_HEIGHT_FOR_MORE = 26
"""Lines of a pane from which requests stand below the charts."""


class Page(TimeScreen):
    """A page that follows one subject, and says so when it has gone."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(PAGE_KEYS),
        *(Binding(str(number), f"cure({number})", show=False) for number in range(2, CURES + 1)),
    ]
    DEFAULT_CSS = """
    Page > Horizontal { height: 1fr; }
    Page ChartColumn { width: 1fr; height: 100%; }
    """

    def __init__(self, row: Row, session: Session, glyphs: Glyphs, at: float | None = None) -> None:
        """Show the subject of ``row``; ``at`` is the time of an event to mark in its charts."""
        super().__init__(session, glyphs)
        self._row = row
        self.at = at
        self._cure = 0
        self._is_open = False
        self._name: str | None = None
        self._view = PageView(VerdictView("unknown", ""))

    def compose(self) -> ComposeResult:
        """Create the panels once."""
        verdict = VerdictLine(glyphs=self.glyphs)
        verdict.styles.height = "auto"
        yield verdict
        with Horizontal():
            with Scroll(self.glyphs):
                yield PagePanel(glyphs=self.glyphs, id="figures")
            yield ChartColumn(glyphs=self.glyphs, id="charts")
        yield HintBar(glyphs=self.glyphs, id="hints")

    @property
    def selected(self) -> Row:
        """Its subject."""
        return self._row

    @property
    def cure(self) -> int | None:
        """The number of the selected cure, from 0; ``None`` where there are none."""
        return min(self._cure, self._cures - 1) if self._cures else None

    @property
    def _cures(self) -> int:
        return sum(len(section.cures) for section in self._view.sections)

    def draw(self) -> None:
        """Build the page of what is known now."""
        if not self.composed:
            return
        self._view = self._guarded()
        with self.app.batch_update():
            self.query_one(VerdictLine).show(self._verdict())
            self._show()
            playing = play_hints(self.session.player)
            keys = hints(APP_KEYS[-1:], VIEW_KEYS, DETAILS_KEYS, self._model_keys(), APP_KEYS[:1])
            travelling = PAST_HINTS if self.session.is_past else ()
            self.query_one(HintBar).show((*travelling, *playing, *map(self._worded, self.working(keys))))

    def _worded(self, hint: Hint) -> Hint:
        """Name the window that is shown in place of the word for it."""
        words = WINDOW_WORDS[self._window]
        return hint._replace(label=words) if hint.action == "window" else hint

    def _model_keys(self) -> tuple[Key, ...]:
        return (*(CURE_KEYS if self._cures else ()), *MODEL_KEYS) if self._row.panel == "models" else ()

    def on_resize(self) -> None:
        """Put the charts beside the figures or below them."""
        self.draw()

    def _guarded(self) -> PageView:
        monitor, name = self.session.shown, self._row.panel.removesuffix("s")
        with monitor.fuses.guard(f"page {name}", self._row.key):
            return self._built()
        return PageView(
            VerdictView("unknown", f"internal error in page {name}; details in {log_path_words()}")
        )

    def _built(self) -> PageView:
        self._follow()
        pictures = self.session.shown.pictures
        if self._row.key.startswith(LOAD_PREFIX) or pictures.load(self._row.key) is not None:
            return load_page(self._row.key, pictures)
        build = gpu_page if self._row.panel == "gpus" else model_page
        seconds = self._windows[self._window]
        return build(self._row.key, pictures, seconds, self.at, self.session.trends())

    @property
    def _windows(self) -> tuple[float, ...]:
        """What can be charted: more where a history is kept."""
        return WINDOWS_SECONDS if self.session.trends() is None else LONG_WINDOWS_SECONDS

    @property
    def _window(self) -> int:
        return min(self.session.choices.window, len(self._windows) - 1)

    def _follow(self) -> None:
        """Go from a load to the model that came of it, and from a model to the load in its place."""
        pictures, key = self.session.shown.pictures, self._row.key
        if self._row.panel != "models":
            return
        if key.startswith(LOAD_PREFIX) and pictures.load(key) is None:
            held = ((one.id, one.process) for one in pictures.models() if one.process is not None)
            loads = {load_id(RunnerKey(process.pid, process.started)): model for model, process in held}
            found = loads.get(key)
        elif pictures.key_of(key) is None:
            found = next((load.id for load in pictures.loads() if load.name == self._name), None)
        else:
            found = None
        if found is not None:
            self._row = Row("models", found)
        shown = pictures.key_of(self._row.key)
        if shown is not None:
            self._name = self.session.shown.state.models[shown].claim.name

    def _verdict(self) -> VerdictView:
        """Return the headline with which one of how many this is, and the time."""
        listed, now = self._listed(), self.session.shown.state.now
        place = f"{listed.index(self._row.key) + 1} of {len(listed)}" if self._row.key in listed else ""
        right = tuple(filter(None, (place, "" if self.session.is_past else units.clock(now))))
        return replace(self._view.verdict, marks=self.session.marks(), right=right)

    def _show(self) -> None:
        view, is_wide = self._view, self.size.width >= WIDE and bool(self._view.charts)
        is_beside = is_wide and self.size.height >= LEAST_HEIGHT_FOR_MORE
        below = MOST_LOW_CHARTS if self.size.height >= TALL else LOW_CHARTS
        beside, charts = self.query_one(ChartColumn), () if is_wide else view.charts[:below]
        beside.display = is_wide
        share = SHARE_OPEN if self._is_open else SHARE
        width = min(MOST_FIGURES, max(LEAST_FIGURES, round(self.size.width * share)))
        self.query_one(Scroll).styles.width = width if is_wide else "1fr"
        sections = view.sections if is_beside else (*view.sections, *view.beside)
        if is_wide:
            beside.show(view.charts, view.beside if is_beside else ())
        self.query_one(PagePanel).show(sections, view.rest, charts, cursor=self.cure, is_open=self._is_open)

    @on(PagePanel.CureClicked)
    async def take_cure(self, message: PagePanel.CureClicked) -> None:
        """Copy the line of the clicked cure."""
        await self.action_cure(message.number)

    def action_back(self) -> None:
        """Go back to now, then to the dashboard."""
        if not self.leave_past():
            self.dismiss()

    def action_leave(self) -> None:
        """Go back to the dashboard, which shows the same instant."""
        self.dismiss()

    def action_scroll(self, step: int) -> None:
        """Go to the next cure, or scroll by lines where there is no further one."""
        scroll, cure = self.query_one(Scroll), self.cure
        if cure is not None and abs(step) == 1 and 0 <= cure + step < self._cures:
            self._cure = cure + step
            self.draw()
            self._bring_into_view(self.query_one(PagePanel).cure_lines[self._cure])
        else:
            scroll.scroll_relative(y=step * 2, animate=False)

    def _bring_into_view(self, line: int) -> None:
        scroll = self.query_one(Scroll)
        top, height = round(scroll.scroll_y), scroll.size.height
        if not top <= line <= top + height - 3:
            scroll.scroll_to(y=max(0, line - height // 2), animate=False)

    async def action_cure(self, number: int) -> None:
        """Copy the line of a cure."""
        if number <= self._cures:
            self._cure = number - 1
            self.draw()
            await self.app.run_action("copy")

    def action_details(self) -> None:
        """Show or hide the rest of the figures."""
        self._is_open = not self._is_open
        self.draw()
        if self._is_open:
            self.call_after_refresh(self._scroll_to_rest)

    def _scroll_to_rest(self) -> None:
        self.query_one(Scroll).scroll_to(y=self.query_one(PagePanel).rest_line, animate=False)

    def action_neighbour(self, step: int) -> None:
        """Show the next subject of the dashboard's list."""
        keys = self._listed()
        if keys:
            index = keys.index(self._row.key) if self._row.key in keys else -step
            self._row = Row(self._row.panel, keys[(index + step) % len(keys)])
            self._cure, self.at = 0, None
            self.query_one(Scroll).scroll_to(y=0, animate=False)
            self.draw()

    def _listed(self) -> list[str]:
        """Return the keys of its kind that the dashboard lists now: in its order, by its filter."""
        choices = self.session.choices
        order = ModelOrder(choices.sort, choices.descending, choices.filter_text)
        view = dashboard_view(self.session.shown, order)
        return [row.key for row in (view.gpus if self._row.panel == "gpus" else view.models)]

    def action_window(self) -> None:
        """Show the next longer history."""
        choices = self.session.choices
        choices.window = (self._window + 1) % len(self._windows)
        self.draw()
