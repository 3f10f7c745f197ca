"""How often Ollama is asked: each poll is a line in its log, which nothing turns off."""

from __future__ import annotations

from gpumon.collectors.samples import ModelClaim

CHANGE_SECONDS = 30.0
"""After the list of loaded models changed, more is likely to happen for so long."""
IDLE_FACTOR = 5.0
IDLE_MINIMUM_SECONDS = 5.0
LOOPBACK_CAP_SECONDS = 5.0
"""A server started on this machine is noticed within this."""
REMOTE_CAP_SECONDS = 10.0
MAX_DOUBLINGS = 10


class Pace:
    """Seconds from poll to poll: the user's interval while busy, slower when idle, doubling on failure."""

    def __init__(self, is_loopback: bool) -> None:
        self._cap = LOOPBACK_CAP_SECONDS if is_loopback else REMOTE_CAP_SECONDS
        self._failures = 0
        self._loaded: frozenset[tuple[str, str | None]] | None = None
        self._changed_at: float | None = None

    def failed(self) -> None:
        """Note a poll that got no list."""
        self._failures += 1

    def listed(self, models: tuple[ModelClaim, ...], now: float) -> None:
        """Note what is loaded at the time ``now``."""
        loaded = frozenset((model.name, model.digest) for model in models)
        if self._loaded is not None and loaded != self._loaded:
            self._changed_at = now
        self._loaded = loaded
        self._failures = 0

    def delay(self, interval: float, now: float) -> float:
        """Return seconds from the last poll's start to the next one."""
        if self._failures:
            doubled = 2.0 ** min(self._failures - 1, MAX_DOUBLINGS)
            return min(max(interval, doubled), self._cap)
        return interval if self._is_busy(now) else max(IDLE_MINIMUM_SECONDS, IDLE_FACTOR * interval)

    def _is_busy(self, now: float) -> bool:
        changed = self._changed_at is not None and now - self._changed_at < CHANGE_SECONDS
        return changed or bool(self._loaded)
