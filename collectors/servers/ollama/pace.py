"""How often Ollama is asked: each poll is a line in its log, which nothing turns off."""

from __future__ import annotations

from gpumon.collectors.samples import ModelClaim
from gpumon.collectors.servers.talk import KnownRunners
from gpumon.collectors.source import Backoff

CHANGE_SECONDS = 30.0
"""After the list of loaded models changed, more is likely to happen for so long."""
IDLE_FACTOR = 5.0
IDLE_MINIMUM_SECONDS = 5.0
LOOPBACK_CAP_SECONDS = 5.0
"""A server started on this machine is noticed within this."""
REMOTE_CAP_SECONDS = 10.0
STEADY_AFTER_SECONDS = 10.0
"""Loaded models of whose processes nothing has changed for so long are asked about more seldom."""
STEADY_FACTOR = 3.0
STEADY_MINIMUM_SECONDS = 3.0
STEADY_MAXIMUM_SECONDS = 8.0
"""What is older than 10 s is no longer drawn as current."""


class Pace:
    """Seconds from poll to poll.

    The user's interval while models are loaded, slower while their processes show that nothing changes or
    when none is loaded, doubling on failure.
    """

    def __init__(self, is_loopback: bool) -> None:
        self._cap = LOOPBACK_CAP_SECONDS if is_loopback else REMOTE_CAP_SECONDS
        self._backoff = Backoff(1.0, self._cap)
        self._loaded: frozenset[tuple[str, str | None]] | None = None
        self._changed_at: float | None = None
        self._runners: KnownRunners | None = None
        self._stirred_at = float("-inf")
        """When the list or the runners were last found to be others than before."""
        self._first_expiry: float | None = None
        """Of the loaded models; ``None`` where one does not say."""

    def failed(self) -> None:
        """Note a poll that got no list."""
        self._backoff.failed()

    def listed(self, models: tuple[ModelClaim, ...], now: float, runners: KnownRunners | None = None) -> None:
        """Note what is loaded at the time ``now``, and what is known of the processes that hold it."""
        loaded = frozenset((model.name, model.digest) for model in models)
        if self._loaded is not None and loaded != self._loaded:
            self._changed_at = now
        if loaded != self._loaded or runners != self._runners:
            self._stirred_at = now
        self._loaded, self._runners = loaded, runners
        self._first_expiry = _first_expiry(models)
        self._backoff.succeeded()

    def delay(self, interval: float, now: float, runners: KnownRunners | None = None) -> float:
        """Return seconds from the last poll's start to the next one."""
        if self._backoff.current:
            return min(max(interval, self._backoff.current), self._cap)
        if _identities(runners) != _identities(self._runners):
            return 0.0
        if runners is not None and runners.loading:
            return interval
        if not self._is_busy(now):
            return max(IDLE_MINIMUM_SECONDS, IDLE_FACTOR * interval)
        return self._while_loaded(interval, now, runners)

    def _while_loaded(self, interval: float, now: float, runners: KnownRunners | None) -> float:
        slow = min(max(STEADY_FACTOR * interval, STEADY_MINIMUM_SECONDS), STEADY_MAXIMUM_SECONDS)
        expires_soon = self._first_expiry is None or self._first_expiry <= now + slow
        is_steady = now - self._stirred_at >= STEADY_AFTER_SECONDS and not expires_soon
        return max(interval, slow) if is_steady and self._is_all_seen(runners) else interval

    def _is_all_seen(self, runners: KnownRunners | None) -> bool:
        """Whether each loaded model may have a process among those that are seen."""
        return runners is not None and 0 < len(self._loaded or ()) <= len(runners.identities)

    def _is_busy(self, now: float) -> bool:
        changed = self._changed_at is not None and now - self._changed_at < CHANGE_SECONDS
        return changed or bool(self._loaded)


def _identities(runners: KnownRunners | None) -> frozenset[tuple[int, float]] | None:
    return None if runners is None else runners.identities


def _first_expiry(models: tuple[ModelClaim, ...]) -> float | None:
    expiries = [model.expires_at for model in models if model.expires_at is not None]
    return min(expiries, default=None) if len(expiries) == len(models) else None
