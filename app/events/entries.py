"""What is kept of the events: so many, the newest, each replaced by a fuller one as more is known."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from msgspec.structs import replace

from gpumon.app.alerts.alert import Alert, AlertKind
from gpumon.app.events.event import MARK_WORDS, EventKind, Feed, HappeningKind, LoggedEvent, Mark, Said, named
from gpumon.app.state.loads.endings import NOTICED_WITHIN_SECONDS
from gpumon.app.state.places import place
from gpumon.app.state.records import is_server
from gpumon.text import units

KEPT = 500
FEED_KEPT = 100
"""The screen shows no more of them."""

RECOVERED: dict[AlertKind, tuple[HappeningKind, str]] = {
    "spill": ("recovered", "is wholly on GPU again"),
    "gpu_lost": ("gpu_back", "is back"),
    "source": ("answers", "answers again"),
}
"""What is worth a line of its own when it is over; of the others it is enough how long they lasted."""

SAID_BY: dict[EventKind, tuple[tuple[AlertKind, str], ...]] = {
    "slower": (("spill", "spill"), ("throttling", "slowed down")),
    "too_hot": (("throttling", "thermal"),),
}
"""What another alert says as well, on the same subject or with its name: this word is in one of the two."""


class Entries:
    """The events that do not go on, by number, and what is made of them for the screen."""

    def __init__(self) -> None:
        self._events: dict[int, LoggedEvent] = {}
        self._last = 0
        self._past: tuple[LoggedEvent, ...] | None = None
        self.has_news = True
        """Whether anything has changed since the feed was asked for, or an alert was among it."""

    def __iter__(self) -> Iterator[LoggedEvent]:
        """Iterate over the events as they were noted."""
        return iter(self._events.values())

    def number(self) -> int:
        """Return the number of the next event."""
        self._last += 1
        return self._last

    def add(self, event: LoggedEvent) -> None:
        """Keep an event, in place of the one that had its number."""
        self._events[event.number] = event
        self._past, self.has_news = None, True
        if len(self._events) > KEPT:
            del self._events[next(iter(self._events))]

    def revise(self, event: LoggedEvent) -> None:
        """Put an event in place of the one that has its number, if that is still kept."""
        if event.number in self._events:
            self.add(event)

    def drop(self, number: int | None) -> None:
        """Forget an event that was none."""
        if number is not None and self._events.pop(number, None) is not None:
            self._past, self.has_news = None, True

    def say(
        self,
        number: int | None,
        kind: HappeningKind,
        time: float,
        subject_id: str,
        said: Said,
        *,
        lasts: bool = False,
    ) -> int:
        """Note what has happened to a model, or say it anew; return its number."""
        event = LoggedEvent(
            number=self.number() if number is None else number,
            time=time,
            kind=kind,
            about="model",
            subject_id=subject_id,
            subject=said.names[0],
            said=said,
            lasts=lasts,
        )
        if number is None:
            self.add(event)
        elif self._events.get(number) != event:
            self.revise(event)
        return event.number

    def close(self, number: int | None, at: float, subject_id: str) -> None:
        """Note that a load is over, and which model it was."""
        event = self._events.get(number or 0)
        if event is not None:
            self.add(replace(event, until=at, lasts=False, subject_id=subject_id))

    def recover(self, alert: Alert, at: float) -> int | None:
        """Note that something is well again where that is worth a line; return the number of that event."""
        kind, words = RECOVERED.get(alert.kind, (None, ""))
        is_about_server = alert.kind == "source"
        if kind is None or (is_about_server and (not is_server(alert.subject_id) or self._restarted(alert))):
            return None
        after = f" after {units.duration(alert.duration_seconds(at))}"
        bare = words if kind == "recovered" else words + after
        is_model = kind == "recovered"
        number = self.number()
        self.add(
            LoggedEvent(
                number=number,
                time=at,
                kind=kind,
                about="model" if is_model else "server" if is_about_server else "gpu",
                subject_id=alert.subject_id,
                subject=alert.subject,
                said=named(alert.subject, bare),
            )
        )
        return number

    def forget_answers(self, alert: Alert) -> None:
        """Forget that a server answers again which has restarted."""
        for event in [one for one in self._events.values() if one.kind == "answers"]:
            is_near = abs(event.time - alert.since) <= NOTICED_WITHIN_SECONDS
            if is_near and place(event.subject_id) == place(alert.subject_id):
                self.drop(event.number)

    def ended_names(self, at: float) -> Collection[str]:
        """Return the names of models whose own processes were told to have ended about then."""
        near = (one for one in self._events.values() if one.kind == "ended" and one.until is None)
        return {one.subject_id for one in near if abs(one.time - at) <= NOTICED_WITHIN_SECONDS}

    def has_load(self, name: str, since: float) -> bool:
        """Return whether a load of a model was told that goes on, or ended since."""
        return any(
            event.kind in {"load", "reload", "ready"}
            and event.subject == name
            and (event.lasts or (event.until or event.time) >= since)
            for event in self._events.values()
        )

    def feed(self, ongoing: Sequence[LoggedEvent]) -> Feed:
        """Return what is worth a line on the screen, where these alerts are active."""
        if self._past is None:
            told = [one for one in self._events.values() if _is_told(one, self._events.values())]
            told.sort(key=lambda event: (event.time, event.number), reverse=True)
            self._past = tuple(told[:FEED_KEPT])
        self.has_news = bool(ongoing)
        return Feed(tuple(one for one in ongoing if _is_told(one, ongoing)), self._past)

    @staticmethod
    def marks(events: Iterable[LoggedEvent], subject_ids: Collection[str]) -> tuple[Mark, ...]:
        """Return what of some events stands on the axis of a chart of these subjects."""
        return tuple(
            Mark(event.time, MARK_WORDS[event.kind])
            for event in events
            if event.kind in MARK_WORDS and event.subject_id in subject_ids
        )

    def _restarted(self, alert: Alert) -> bool:
        """Return whether a server was told to have restarted since it stopped."""
        return any(
            event.kind == "restarted"
            and event.time >= alert.since
            and place(event.subject_id) == place(alert.subject_id)
            for event in self._events.values()
        )


def _is_told(event: LoggedEvent, others: Iterable[LoggedEvent]) -> bool:
    """Return whether an event is worth a line: a load that is over is told by how it ended.

    What another alert says as well is not told twice.
    """
    if event.kind == "load" and not event.lasts:
        return False
    rivals = SAID_BY.get(event.kind, ())
    return not any(one.kind == kind and _says(one, event, word) for kind, word in rivals for one in others)


def _says(one: LoggedEvent, other: LoggedEvent, word: str) -> bool:
    is_about = one.subject_id == other.subject_id or other.subject in one.said.names
    return is_about and word in one.words + other.words and _overlap(one, other)


def _overlap(one: LoggedEvent, other: LoggedEvent) -> bool:
    ends = [float("inf") if event.until is None else event.until for event in (one, other)]
    return one.time <= ends[1] and other.time <= ends[0]
