"""How fast one request of a runner is now, over seconds, and in which circumstances. Pure."""

from __future__ import annotations

from collections import deque
from statistics import fmean, median
from typing import NamedTuple

from gpumon.app.state.rates.figures import FinishedRequest, RunnerRates

WINDOW_SECONDS = 5.0
"""A rate over less says little: a server pauses for a moment now and then."""
GAP_SECONDS = 3.0
"""After such a silence the rate is measured anew."""
TELLING_TOKENS = 50
TELLING_SECONDS = 1.0
"""A request that generates for less, or fewer tokens, is mostly its beginning and the error of two polls."""


class Pace(NamedTuple):
    """The decode rate of one request at one time."""

    time: float
    tokens_per_second: float
    """Mean of the requests at work."""
    parallel: int
    """Requests at work together."""
    context_tokens: int
    """In the fullest context."""


class PaceTrack:
    """Follows the requests of one runner."""

    def __init__(self) -> None:
        self.latest: Pace | None = None
        """Over the last seconds, or that of a request that ended since; kept until there is another."""
        self.hindered_at: float | None = None
        """When something was last seen to hold it back: such a request teaches nothing."""
        self._points: deque[Pace] = deque()
        self._seen: RunnerRates | None = None

    def see(self, time: float, rates: RunnerRates) -> None:
        """Take in the rates of one poll."""
        if rates is self._seen:
            return
        self._seen = rates
        point = _point(time, rates)
        if point is None or self._is_new_spell(point):
            self._points.clear()
        if point is not None:
            self._add(point)

    def end(self, request: FinishedRequest) -> None:
        """Record that a request has ended: short ones tell nothing until then."""
        rate, parallel, context = request.decode_tokens_per_second, request.parallel, request.context_tokens
        if rate is not None and parallel is not None and context is not None and is_telling(request):
            self.latest = Pace(request.ended, rate, parallel, context)

    def _is_new_spell(self, point: Pace) -> bool:
        if not self._points:
            return False
        last = self._points[-1]
        return point.parallel != last.parallel or point.time - last.time > GAP_SECONDS

    def _add(self, point: Pace) -> None:
        points = self._points
        points.append(point)
        while len(points) > 2 and points[1].time <= point.time - WINDOW_SECONDS:
            points.popleft()
        if point.time - points[0].time >= WINDOW_SECONDS:
            self.latest = point._replace(tokens_per_second=median(one.tokens_per_second for one in points))


def is_telling(request: FinishedRequest) -> bool:
    """Whether a request was long enough for its rate to mean something."""
    tokens, rate = request.decoded_tokens or 0, request.decode_tokens_per_second or 0.0
    return tokens >= TELLING_TOKENS and 0 < rate <= tokens / TELLING_SECONDS


def _point(time: float, rates: RunnerRates) -> Pace | None:
    """Return the rate of this moment; ``None`` where a prompt is computed or a request has just begun."""
    decoding = [
        slot.decode_tokens_per_second
        for slot in rates.slots
        if slot.phase == "decode" and slot.decode_tokens_per_second
    ]
    contexts = [slot.context_tokens for slot in rates.slots if slot.context_tokens is not None]
    if not decoding or len(decoding) != len(rates.slots) or not contexts:
        return None
    return Pace(time, fmean(decoding), len(decoding), max(contexts))
