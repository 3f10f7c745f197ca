"""Several machines: a line for each with the worst that is true there; Enter opens one's own dashboard."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import ClassVar

from msgspec.structs import replace
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.message import Message

from gpumon.app.session.fleet import Fleet, Host
from gpumon.app.session.session import Session
from gpumon.app.ui.keys import APP_KEYS, FLEET_KEYS, HOST_KEYS, bindings, hints
from gpumon.app.ui.screens.base import ListScreen, Row
from gpumon.app.ui.screens.dashboard import DashboardScreen
from gpumon.app.ui.screens.footer import filter_hints
from gpumon.app.views.dashboard import DashboardView
from gpumon.app.views.fleet import HOST_ORDERS, HostOrder, fleet_verdict, link_rows, ordered
from gpumon.text import units
from gpumon.widgets.band import VerdictLine, most_lines, verdict_lines
from gpumon.widgets.event_feed import EventFeed
from gpumon.widgets.hints import Hint, HintBar
from gpumon.widgets.host_panel import HostPanel, has_second_line
from gpumon.widgets.kit.lines import Glyphs
from gpumon.widgets.views import HostRow, VerdictView

PANEL = "hosts"
TICK_SECONDS = 1.0
"""Ages go on while nothing comes."""
LEAST_EVENT_LINES = 3
"""With its title; for less the events are left out."""


class FleetScreen(ListScreen):
    """All hosts, and below them what has happened on any of them."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(FLEET_KEYS)]

    def __init__(self, session: Session, fleet: Fleet, glyphs: Glyphs) -> None:
        super().__init__(session, glyphs, prefer=PANEL)
        self._fleet = fleet
        self._filter = ""
        self._order: HostOrder = HOST_ORDERS[0]
        self._rows: tuple[HostRow, ...] = ()

    def compose(self) -> ComposeResult:
        """Create every panel once."""
        yield VerdictLine(glyphs=self.glyphs, id="verdict")
        yield HostPanel(glyphs=self.glyphs, id=PANEL)
        yield EventFeed(glyphs=self.glyphs, id="alerts")
        yield self.filter_box()
        yield HintBar(glyphs=self.glyphs, id="hints")

    def on_mount(self) -> None:
        """Show the frame at once, and go on while no host says anything."""
        self.draw()
        self.set_interval(TICK_SECONDS, self._tick)

    def on_resize(self) -> None:
        """Share the lines out again."""
        self.draw()

    def _tick(self) -> None:
        if self.is_current:
            self.draw()

    def draw(self) -> None:
        """Draw how each host is now."""
        if not self.composed:
            return
        if not self.session.choices.paused or not self._rows:
            self._rows = tuple(self._fleet.rows())
        rows = ordered(self._rows, self._order, self._filter)
        verdict = replace(fleet_verdict(self._rows, units.clock(time.time())), marks=self.session.marks())
        verdict = verdict if self._fleet.opens else replace(verdict, keys=())
        events = self._fleet.events()
        self._share_lines(rows, verdict, len(events))
        self.query_one(VerdictLine).show(verdict)
        self.query_one(HostPanel).show(rows, self._empty_words())
        self.query_one(EventFeed).show(events)
        places = [Row(PANEL, row.key) for row in rows]
        self.cursor.place([*places, *(Row("alerts", event.key) for event in events)])
        self.show_cursor()
        self._show_hints(len(rows))

    def _empty_words(self) -> str:
        if self._filter:
            return "no host matches the filter"
        return "no gpumon exporter is scraped there" if self._fleet.is_empty else "looking for hosts"

    def _share_lines(self, rows: Sequence[HostRow], verdict: VerdictView, events: int) -> None:
        """Give the hosts what they need, in two lines where there is room, and the events the rest."""
        width, height = self.size
        first = len(verdict_lines(verdict, width, self.glyphs, most_lines(width))) or 1
        left = max(1, height - first - 1 - (1 if self.query_one("#filter").display else 0))
        twice = 1 + len(rows) + sum(map(has_second_line, rows))
        panel, feed = self.query_one(HostPanel), self.query_one(EventFeed)
        panel.lines_per_row = 2 if twice <= left else 1
        wanted = max(2, twice if panel.lines_per_row > 1 else 1 + len(rows))
        spare = left - wanted - 1
        feed.display = events > 0 and spare >= LEAST_EVENT_LINES
        feed.styles.height, feed.styles.margin = max(1, spare), (1, 0, 0, 0)
        panel.styles.height = wanted if feed.display else left
        self.query_one(VerdictLine).styles.height = first

    def _show_hints(self, count: int) -> None:
        order = (Hint("s", f"sort {self._order}", "sort(1)"),) if count > 1 else ()
        filtering = filter_hints(self._filter, "clear")
        keys = hints(FLEET_KEYS[0 if self._fleet.opens else 1 :], APP_KEYS[:1])
        last = hints(APP_KEYS[-2:])
        self.query_one(HintBar).show((last[0], *filtering, last[1], *keys, *order))

    # Keys

    def open_row(self, row: Row) -> None:
        """Open the dashboard of a host, or of that on which something has happened."""
        events = self._fleet.events() if row.panel == "alerts" else ()
        about = next((event.opens for event in events if event.key == row.key and event.opens), None)
        host = self._fleet.host(about[1] if about else row.key)
        if isinstance(host, str):
            self.app.notify(host, severity="warning")
        else:
            host.session.look_back()
            self.post_message(self.HostOpened(host))

    class HostOpened(Message):
        """A host is to be shown."""

        def __init__(self, host: Host) -> None:
            super().__init__()
            self.host = host

    class AllShown(Message):
        """All hosts are seen again."""

    def on_screen_resume(self) -> None:
        """Tell that nothing is shown of one host any more."""
        self.post_message(self.AllShown())

    def action_switch_panel(self, step: int) -> None:
        """Move between hosts and events."""
        self.cursor.switch(step)
        self.show_cursor()

    def action_sort(self, step: int) -> None:
        """Sort by the next order."""
        self._order = HOST_ORDERS[(HOST_ORDERS.index(self._order) + step) % len(HOST_ORDERS)]
        self.draw()

    def action_clear(self) -> None:
        """Drop the filter."""
        self.drop_filter()

    def narrow(self, text: str) -> None:
        """Narrow the hosts."""
        self._filter = text
        self.draw()

    def make_room(self) -> None:
        """Follow the filter's box."""
        self.draw()


class HostScreen(DashboardScreen):
    """The dashboard of one host among several; its name is always seen."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(HOST_KEYS)]
    LEADING_HINTS: ClassVar[tuple[Hint, ...]] = hints(HOST_KEYS)

    def __init__(self, host: Host, glyphs: Glyphs) -> None:
        super().__init__(host.session, glyphs)
        self.host = host

    def on_mount(self) -> None:
        """Go on while the host says nothing."""
        self.set_interval(TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        if self.is_current and self.host.link.is_old:
            self.draw()

    def build(self, before: DashboardView) -> DashboardView:
        """Build the view, with the age of what is not of now."""
        view, link = super().build(before), self.host.link
        if self.host.feed is None:
            return view
        band = view.verdict
        if band.remedy:
            where = ", ".join(filter(None, (f"on {self.host.name}", band.where)))
            view = replace(view, verdict=replace(band, where=where))
        view = replace(view, sources=(*link_rows(self.host.name, link), *view.sources))
        if not link.is_old or self.session.is_past:
            return view
        age = link.age_seconds
        return replace(
            view,
            verdict=replace(view.verdict, right=(f"as of {units.duration(age)} ago",)),
            gpus=tuple(replace(row, age_seconds=age) for row in view.gpus),
            models=tuple(replace(row, age_seconds=age) for row in view.models),
            memory=replace(view.memory, age_seconds=age),
        )

    def action_clear(self) -> None:
        """Go back to now; there, drop the filter; else go back to all hosts."""
        if self.leave_past():
            return
        if self.session.choices.filter_text or self.query_one("#filter").display:
            self.drop_filter()
        else:
            self.dismiss()

    def action_leave(self) -> None:
        """Go back to all hosts."""
        self.dismiss()
