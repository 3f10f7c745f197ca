"""How full the cache of all contexts is, and what comes of that: preempted requests, prompts found there.

Of servers that set memory aside for all requests together (vLLM, SGLang). Pure: samples say the time.
"""

from __future__ import annotations

from collections import deque

from msgspec import Struct

from gpumon.collectors.samples import CachePool, WorkCounters, WorkSample

LATELY_SECONDS = 60.0
"""What has grown is told over so long."""
RATE_SECONDS = 10.0
"""The same for a rate."""
HOLD_SECONDS = 6.0
"""So long the figures stand without a new look."""
FULL_SHARE = 0.95
"""From here on a cache is full: what a running request takes next may cost another one its place."""
FULL_SECONDS = 10.0
"""It was full if it was within this time: a request that is preempted makes room at once."""
PREEMPTING_SECONDS = 30.0
"""Two looks that find preemptions within this time are no chance; without one for so long it is over."""
POINTS_KEPT = 400
USUAL_SECONDS = 3600.0
"""What is found of prompts usually is told over so long, up to a minute ago."""
USUAL_STEP_SECONDS = 15.0
LEAST_TOKENS = 8_192
"""Fewer in the last minute are a chat's first turn, or a stranger's question."""
LEAST_USUAL_TOKENS = 50_000
"""Fewer before tell nothing of what is usual."""
USUALLY_FOUND = 0.5
FELL_TO = 0.5
"""Of what is usual: from here on it has fallen; a minute in which one new document is read stays above."""
BACK_AT = 0.75
FELL_SECONDS = 10.0
"""So long it must have been seen."""


class Fall(Struct, frozen=True):
    """Far less of the prompts is found in the cache than before, so more is read again."""

    usual_fraction: float
    """Of the tokens of the hour before."""
    lately_fraction: float
    """Of those of the last minute."""
    tokens: int
    """Read in the last minute that would have been found before."""


class PoolFigures(Struct, frozen=True, kw_only=True):
    """A cache at the latest look; ``None`` is unknown."""

    used_fraction: float | None = None
    used_tokens: int | None = None
    capacity_tokens: int | None = None
    size_bytes: int | None = None
    """As the server tells it, on all GPUs together."""
    preemptions_total: int | None = None
    """Since its start."""
    preempted_lately: int | None = None
    """In the last minute."""
    full_since: float | None = None
    """Since when it has been full and preempts requests; ``None`` where it does not."""
    found_lately: float | None = None
    """Share of the prompt tokens of the last minute that were found there; ``None`` where none came."""
    found_fraction: float | None = None
    """The same since its start."""
    fall: Fall | None = None
    """Where far less is found than in the hour before."""
    waiting_by_reason: tuple[tuple[str, int], ...] = ()
    read_bytes_per_second: float | None = None
    """Of its memory by each GPU, as the server reckons it; ``None`` where it does not."""


class _Growth:
    """How much a counter has grown in the last seconds; one that falls is that of a server started anew."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._points: deque[tuple[float, float]] = deque(maxlen=POINTS_KEPT)

    def add(self, time: float, count: float | None) -> None:
        """Take in one look."""
        if count is None or (self._points and count < self._points[-1][1]):
            self._points.clear()
        if count is None:
            return
        self._points.append((time, count))
        while len(self._points) > 2 and self._points[1][0] <= time - self._seconds:
            self._points.popleft()

    @property
    def amount(self) -> float | None:
        """By how much it has grown; ``None`` before the second look."""
        return self._points[-1][1] - self._points[0][1] if len(self._points) > 1 else None

    @property
    def rate(self) -> float | None:
        """The same per second."""
        amount = self.amount
        seconds = self._points[-1][0] - self._points[0][0] if self._points else 0.0
        return None if amount is None or seconds <= 0 else amount / seconds


class _Usual:
    """Tells when far less is found of prompts than before."""

    def __init__(self) -> None:
        self._looked_up, self._found = _Growth(USUAL_SECONDS), _Growth(USUAL_SECONDS)
        self._coming: deque[tuple[float, float, float]] = deque()
        """Looks that are not a minute old."""
        self._since: float | None = None

    def add(self, now: float, looked_up: float | None, found: float | None) -> None:
        """Take in the counters of one look."""
        if looked_up is None or found is None:
            return
        if not self._coming or now >= self._coming[-1][0] + USUAL_STEP_SECONDS:
            self._coming.append((now, looked_up, found))
        while self._coming and self._coming[0][0] <= now - LATELY_SECONDS:
            time, looked_up, found = self._coming.popleft()
            self._looked_up.add(time, looked_up)
            self._found.add(time, found)

    def fall(self, now: float, looked_up: float | None, found: float | None) -> Fall | None:
        """Return how far it has fallen, by what the counters have grown in the last minute."""
        lately, usual = _share(found, looked_up), _share(self._found.amount, self._looked_up.amount)
        is_known = (self._looked_up.amount or 0) >= LEAST_USUAL_TOKENS and (looked_up or 0) >= LEAST_TOKENS
        if not is_known or lately is None or usual is None:
            self._since = None
            return None
        fell = usual >= USUALLY_FOUND and lately < usual * (FELL_TO if self._since is None else BACK_AT)
        self._since = (now if self._since is None else self._since) if fell else None
        if self._since is None or now - self._since < FELL_SECONDS:
            return None
        return Fall(usual, lately, round((usual - lately) * (looked_up or 0)))


class PoolTrack:
    """Follows the cache of one model; takes its samples in time order."""

    def __init__(self) -> None:
        self._figures: PoolFigures | None = None
        self._at = float("-inf")
        self._preempted, self._looked_up, self._found = (_Growth(LATELY_SECONDS) for _ in range(3))
        self._read = _Growth(RATE_SECONDS)
        self._usual = _Usual()
        self._preemptions: float | None = None
        self._full_at = float("-inf")
        self._preempted_at: deque[float] = deque(maxlen=2)
        self._full_since: float | None = None

    def feed(self, sample: WorkSample) -> None:
        """Take in one look; one that says nothing of a cache changes nothing."""
        counters, pool, now = sample.counters, sample.pool or CachePool(), sample.time
        if counters is None or (sample.pool is None and counters.preemptions_total is None):
            return
        self._preempted.add(now, counters.preemptions_total)
        self._looked_up.add(now, counters.prefix_tokens_total)
        self._found.add(now, counters.prefix_tokens_found_total)
        self._read.add(now, counters.read_bytes_total)
        self._usual.add(now, counters.prefix_tokens_total, counters.prefix_tokens_found_total)
        self._follow(now, pool.used_fraction, counters.preemptions_total)
        fall = self._usual.fall(now, self._looked_up.amount, self._found.amount)
        self._at, self._figures = now, self._summary(pool, counters, fall)

    @property
    def full_since(self) -> float | None:
        """Since when it has been found to be full and to preempt requests; ``None`` where it is not."""
        return self._full_since

    def figures(self, now: float) -> PoolFigures | None:
        """Return what still stands."""
        return self._figures if now - self._at <= HOLD_SECONDS else None

    def _follow(self, now: float, used: float | None, preemptions: float | None) -> None:
        """Note when it preempts because it is full: begun by two looks, over when none has for a while."""
        if used is not None and used >= FULL_SHARE:
            self._full_at = now
        before, self._preemptions = self._preemptions, preemptions
        if before is not None and preemptions is not None and preemptions > before:
            self._preempted_at.append(now)
        latest = self._preempted_at[-1] if self._preempted_at else float("-inf")
        if now - latest > PREEMPTING_SECONDS:
            self._full_since = None
        elif self._full_since is None and self._is_no_chance(now):
            self._full_since = now

    def _is_no_chance(self, now: float) -> bool:
        times = self._preempted_at
        is_full = now - self._full_at <= FULL_SECONDS
        return is_full and len(times) > 1 and times[-1] - times[0] <= PREEMPTING_SECONDS

    def _summary(self, pool: CachePool, counters: WorkCounters, fall: Fall | None) -> PoolFigures:
        lately = self._preempted.amount
        return PoolFigures(
            used_fraction=pool.used_fraction,
            used_tokens=pool.used_tokens,
            capacity_tokens=pool.capacity_tokens,
            size_bytes=pool.size_bytes,
            preemptions_total=_whole(counters.preemptions_total),
            preempted_lately=_whole(lately),
            full_since=self._full_since,
            found_lately=_share(self._found.amount, self._looked_up.amount),
            found_fraction=_share(counters.prefix_tokens_found_total, counters.prefix_tokens_total),
            fall=fall,
            waiting_by_reason=tuple(sorted(counters.deferred_by_reason.items())),
            read_bytes_per_second=self._read.rate,
        )


def _whole(count: float | None) -> int | None:
    return None if count is None else int(count)


def _share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else min(1.0, part / whole)
