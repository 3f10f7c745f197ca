"""The one path that every sample takes, wherever it comes from: store, alerts, listeners."""

from __future__ import annotations

from collections.abc import Callable

from gpumon.app.alerts.book import AlertBook
from gpumon.app.alerts.rules import Limits
from gpumon.app.state.state import State
from gpumon.app.state.store import Store
from gpumon.collectors.samples import AnySample

Listener = Callable[[AnySample], None]


class Monitor:
    """State and alerts of one stream of samples."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._listeners: list[Listener] = []
        self._store = Store()
        self.alerts = AlertBook(limits)
        self.revision = 0
        """Grows with every sample: what was drawn at this number is still true at this number."""

    @property
    def state(self) -> State:
        """What is known now."""
        return self._store.state

    def listen(self, listener: Listener) -> None:
        """Call ``listener`` with every sample, after the state and the alerts have taken it."""
        self._listeners.append(listener)

    def feed(self, sample: AnySample) -> None:
        """Take one sample."""
        self._store.apply(sample)
        self.alerts.observe(self._store.state)
        self.revision += 1
        for listener in self._listeners:
            listener(sample)

    def reset(self) -> None:
        """Forget everything that was fed, as before a seek back in a recording."""
        self._store = Store()
        self.alerts = AlertBook(self.limits)
        self.revision += 1
