"""Follows one log and turns what is new in it into samples."""

from __future__ import annotations

from collections import deque

import msgspec

from gpumon.collectors.samples import LogEvent, LogSample, SourceHealth
from gpumon.collectors.server_log.assembler import Assembler
from gpumon.collectors.server_log.places import Place
from gpumon.collectors.server_log.reader import Entry, Reader
from gpumon.collectors.server_log.trouble import trouble

EVENTS_PER_SAMPLE = 500
ENOUGH_LINES = 20
"""So many lines of which none is familiar are another program's, or of a version to come."""

_SERVING = SourceHealth(state="serving")
_NOT_UNDERSTOOD = SourceHealth(
    state="nonsense",
    detail="nothing in it is understood",
    hint="is it the log of Ollama or llama-server? If so, please report its version",
)


class Follower:
    """One place, its reader and what is known of its lines so far."""

    def __init__(self, place: Place, reader: Reader) -> None:
        self.place = place
        self._reader = reader
        self._assembler = Assembler()
        self._events: deque[LogEvent] = deque()
        self._has_told_unknown = False

    def read(self, now: float) -> LogSample:
        """Read what is new; failure is data. What is too much for one sample is in the next ones."""
        try:
            entries = self._reader.read() if len(self._events) < EVENTS_PER_SAMPLE else []
        except OSError as error:
            self._reader.close()
            return self._sample(now, trouble(error, self.place))
        self._events.extend(event for entry in entries if (event := self._event(entry)))
        is_unknown = self._assembler.lines >= ENOUGH_LINES and not self._assembler.familiar
        return self._sample(now, _NOT_UNDERSTOOD if is_unknown else _SERVING)

    def close(self) -> None:
        """Release the file or the journal."""
        self._reader.close()

    def _event(self, entry: Entry) -> LogEvent | None:
        event = self._assembler.feed(entry.text)
        if event is None or event.at is not None or entry.at is None:
            return event
        return msgspec.structs.replace(event, at=entry.at)

    def _sample(self, now: float, health: SourceHealth) -> LogSample:
        count = min(len(self._events), EVENTS_PER_SAMPLE)
        events = tuple(self._events.popleft() for _ in range(count))
        is_news = health is _NOT_UNDERSTOOD and not self._has_told_unknown
        self._has_told_unknown = self._has_told_unknown or is_news
        return LogSample(
            time=now, source=self.place.source, health=health, events=events, unknown_format=is_news
        )
