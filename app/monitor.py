"""The one path that every sample takes, wherever it comes from: store, alerts, listeners."""

from __future__ import annotations

from collections.abc import Callable

from gpumon.app.alerts.book import AlertBook
from gpumon.app.alerts.limits import Limits
from gpumon.app.picture.pictures import Pictures
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
        self.pictures = self._pictures()
        """What is said of each model and GPU, and of the whole; made when it is first asked for."""

    @property
    def state(self) -> State:
        """What is known now."""
        return self._store.state

    def _pictures(self) -> Pictures:
        return Pictures(self.state, self.alerts, self.limits.spill_bad_percent)

    def listen(self, listener: Listener) -> None:
        """Call ``listener`` with every sample, after the state and the alerts have taken it."""
        self._listeners.append(listener)

    def feed(self, sample: AnySample) -> None:
        """Take one sample."""
        self._store.apply(sample)
        self.alerts.observe(self._store.state)
        self.pictures.invalidate()
        self.revision += 1
        for listener in self._listeners:
            listener(sample)

    def reset(self) -> None:
        """Forget everything that was fed, as before a seek back in a recording."""
        self._store = Store()
        self.alerts = AlertBook(self.limits)
        self.pictures = self._pictures()
        self.revision += 1
