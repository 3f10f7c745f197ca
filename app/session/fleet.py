"""Several machines in one run: a session of its own for each, and one that runs them all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from gpumon.app.config.settings import Settings
from gpumon.app.feeds.live import Feed
from gpumon.app.fleet.link import HostFeed
from gpumon.app.fleet.prometheus import Machine, PrometheusFeed
from gpumon.app.fleet.ssh import HostSpec
from gpumon.app.monitor import Monitor
from gpumon.app.session.build import live_session
from gpumon.app.session.session import Session
from gpumon.app.views.dashboard import event_rows
from gpumon.app.views.fleet import Link, host_row, link_of, merged, of_host
from gpumon.app.views.prometheus import machine_rows
from gpumon.collectors.http.endpoint import parse_endpoint
from gpumon.collectors.samples import AnySample
from gpumon.text.safe import visible
from gpumon.widgets.views import EventRow, HostRow

if TYPE_CHECKING:
    from gpumon.app.alerts.alert import AlertEvent, AlertKey

PICTURE_SECONDS = 1.0
"""Many hosts say something each second: they are drawn together."""
SETTLED_SECONDS = 60.0
"""After a host has begun anew, what was wrong before and is not any more is forgotten."""

Now = Callable[[], float]


class Host:
    """One machine, with the session that its own dashboard shows."""

    def __init__(self, name: str, session: Session, feed: HostFeed | None, now: Now = time.monotonic) -> None:
        """``feed`` is that of a machine reached over ssh; ``None`` for this one."""
        self.name = name
        self.session = session
        self.feed = feed
        self._now = now
        self._arrived: float | None = None
        self._told: set[AlertKey] = set()
        self._alerts: object = None
        self._began: float | None = None
        self._made: tuple[tuple[int, Link], HostRow] | None = None
        self._events: tuple[object, tuple[EventRow, ...]] | None = None
        session.monitor.listen(self._note_arrival, "arrival")

    def _note_arrival(self, sample: AnySample) -> None:
        del sample
        self._arrived = self._now()

    @property
    def link(self) -> Link:
        """How it is reached now."""
        if self.feed is not None:
            return link_of(self.feed, self._now())
        return Link(None if self._arrived is None else self._now() - self._arrived)

    def row(self) -> HostRow:
        """Return its row, made anew where something has changed."""
        link, monitor = self.link, self.session.monitor
        age = link.age_seconds
        shown = Link(
            None if age is None else round(age) if link.is_old else 0.0,
            link.is_up,
            link.words,
            link.hint,
            link.needs_user,
            None if link.next_try_seconds is None else round(link.next_try_seconds),
            link.notes,
        )
        grounds = (monitor.revision, shown)
        if self._made is None or self._made[0] != grounds:
            self._made = grounds, host_row(self.name, monitor, shown)
        return self._made[1]

    def events(self) -> tuple[EventRow, ...]:
        """Return what has happened there, by our clock and with its name."""
        monitor = self.session.monitor
        feed, now = monitor.events.feed, monitor.state.now
        is_old = self.link.is_old
        grounds = (feed.past, feed.ongoing, round(now), is_old)
        if self._events is None or self._events[0] != grounds:
            stream = self.feed.stream if self.feed is not None else None
            ahead = (stream.clock_ahead_seconds if stream is not None else None) or 0.0
            self._events = grounds, of_host(event_rows(feed, now), self.name, ahead, is_old=is_old)
        return self._events[1]

    def news(self) -> list[AlertEvent]:
        """Return what the user should hear of since the last call.

        After a connection that broke what is still wrong is no news, though its monitor has begun anew.
        """
        alerts = self.session.monitor.alerts
        if alerts is not self._alerts:
            self._alerts, self._began = alerts, self._now()
        news = []
        for event in alerts.fresh():
            is_known = event.alert.key in self._told
            (self._told.discard if event.change == "ended" else self._told.add)(event.alert.key)
            if event.change != "raised" or not is_known or event.alert.kind in {"xid", "restarted"}:
                news.append(event)
        if self._began is not None and self._now() - self._began > SETTLED_SECONDS:
            self._told &= {alert.key for alert in alerts.active}
            self._began = None
        return news


class Fleet(Protocol):
    """What the screen of several machines shows."""

    @property
    def opens(self) -> bool:
        """Whether the dashboard of each can be had."""
        ...

    @property
    def is_empty(self) -> bool:
        """Whether it is known that there is none."""
        ...

    def rows(self) -> Sequence[HostRow]:
        """Return a row for each, in the order in which they were named."""
        ...

    def events(self) -> Sequence[EventRow]:
        """Return what has happened on all of them."""
        ...

    def host(self, key: str) -> Host | str:
        """Return the host of a row; where its dashboard cannot be had, why, in a line."""
        ...


class HostFleet:
    """Machines of which every sample comes here; it is the feed of the session that runs them all."""

    def __init__(self, hosts: Sequence[Host]) -> None:
        self.hosts = tuple(hosts)
        self.is_empty = not self.hosts
        self.opens = True

    def rows(self) -> tuple[HostRow, ...]:
        """Return a row for each, in the order in which they were named."""
        return tuple(host.row() for host in self.hosts)

    def events(self) -> tuple[EventRow, ...]:
        """Return what has happened on all of them."""
        return merged(event for host in self.hosts for event in host.events())

    def host(self, key: str) -> Host | str:
        """Return the host of a row."""
        return next((one for one in self.hosts if one.name == key), "there is no such host any more")

    def marks(self) -> tuple[str, ...]:
        """Return nothing: it is live."""
        return ()

    async def run(self, monitor: Monitor) -> None:
        """Run the feeds of all hosts, each into its own monitor, until cancelled."""
        del monitor
        running = [
            asyncio.create_task(host.session.feed.run(host.session.monitor), name=f"host {host.name}")
            for host in self.hosts
        ]
        try:
            await asyncio.gather(*running)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def close(self) -> None:
        """Close the session of each host."""
        for host in self.hosts:
            await host.session.close()


class PrometheusFleet:
    """Machines of which a Prometheus tells; of their samples none comes here."""

    def __init__(self, feed: PrometheusFeed) -> None:
        self.feed = feed
        self.opens = False
        self._rows: tuple[tuple[Machine, ...], tuple[HostRow, ...]] = ((), ())

    def rows(self) -> tuple[HostRow, ...]:
        """Return a row for each machine, by their names; one that says why where Prometheus is silent."""
        if self._rows[0] is not self.feed.machines:
            self._rows = self.feed.machines, machine_rows(self.feed.machines)
        if not self.feed.problem:
            return self._rows[1]
        where = f"Prometheus at {self.feed.endpoint.authority}"
        silent = HostRow(where, visible(where), "watch", sentence=self.feed.problem)
        return (silent, *(replace(row, is_old=True) for row in self._rows[1]))

    def events(self) -> tuple[EventRow, ...]:
        """Return nothing: series tell of no events."""
        return ()

    def host(self, key: str) -> Host | str:
        """Say how to come to the dashboard of a machine."""
        host = visible(key.rpartition(":")[0] or key)
        return f"no samples of it come here; its own dashboard: gpumon --host {host}"

    @property
    def is_empty(self) -> bool:
        """Whether Prometheus has answered, and knows no machine."""
        return self.feed.asked is not None and not self.feed.machines


def prometheus_fleet(settings: Settings, url: str) -> PrometheusFleet:
    """Return the machines that a Prometheus knows; it is sent the headers that are set for its URL."""
    ca_file = Path(settings.ca_file).expanduser() if settings.ca_file else None
    headers = settings.headers_for(url)
    return PrometheusFleet(PrometheusFeed(parse_endpoint(url, headers, ca_file, settings.insecure)))


def host_fleet(settings: Settings, specs: Sequence[HostSpec]) -> HostFleet:
    """Return the hosts that are named, each once."""
    return HostFleet([_host(settings, spec) for spec in {spec.name: spec for spec in specs}.values()])


def _host(settings: Settings, spec: HostSpec) -> Host:
    if spec.is_local:
        return Host(spec.name, live_session(settings), None)
    feed = HostFeed(spec)
    monitor = Monitor(settings.alerts.limits())
    session = Session(monitor, feed, host=spec.name, gathered_seconds=PICTURE_SECONDS)
    return Host(spec.name, session, feed)


def session_of(settings: Settings, feed: Feed) -> Session:
    """Return the session of the screen that shows them all; its own monitor knows nothing."""
    return Session(Monitor(settings.alerts.limits()), feed, gathered_seconds=PICTURE_SECONDS)
