"""The one path that every sample takes, wherever it comes from: store, alerts, listeners."""

from __future__ import annotations

from collections.abc import Callable

from gpumon.app.alerts.book import AlertBook
from gpumon.app.alerts.limits import Limits
from gpumon.app.fuses import GPUMON_SOURCE, Fuses
from gpumon.app.insight.learning import learn
from gpumon.app.log import log_path_words
from gpumon.app.picture.pictures import Pictures
from gpumon.app.state.state import State
from gpumon.app.state.store import Store
from gpumon.collectors.samples import AnySample, SourceHealth

Listener = Callable[[AnySample], None]


class Monitor:
    """State and alerts of one stream of samples."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.fuses = Fuses()
        """What of gpumon itself fails now; whoever draws what this monitor knows guards it with these."""
        self._faults_told = self.fuses.revision
        self._listeners: list[tuple[str, Listener]] = []
        self._store = Store(self.fuses)
        self.alerts = AlertBook(limits, self.fuses)
        self.revision = 0
        """Grows with every sample: what was drawn at this number is still true at this number."""
        self.pictures = self._pictures()
        """What is said of each model and GPU, and of the whole; made when it is first asked for."""

    @property
    def state(self) -> State:
        """What is known now."""
        return self._store.state

    def _pictures(self) -> Pictures:
        return Pictures(self.state, self.alerts, self.limits.spill_bad_percent, self.fuses)

    def listen(self, listener: Listener, name: str = "listener") -> None:
        """Call ``listener`` with every sample, after the state and the alerts have taken it.

        ``name`` is what the user is told if it fails.
        """
        self._listeners.append((name, listener))

    def feed(self, sample: AnySample) -> None:
        """Take in one sample. Whatever of ours fails over it costs its own part only: see ``fuses``."""
        guard = self.fuses.guard
        touched = self._store.apply(sample)
        self.fuses.pass_time(self.state.now)
        if self.state.runners:  # only of processes is anything learned
            with guard("learning"):
                learn(self.state, touched)
        with guard("alerts"):
            self.alerts.observe(self.state, touched)
        self.note_faults()
        self.pictures.invalidate(touched)
        self.revision += 1
        for name, listener in self._listeners:
            with guard(name, listener):
                listener(sample)

    def note_faults(self) -> bool:
        """Name in the state, as a source, what of gpumon itself fails; return whether that is news."""
        if self._faults_told == self.fuses.revision:
            return False
        self._faults_told = self.fuses.revision
        words = self.fuses.words()
        hint = f"details in {log_path_words()}"
        health = SourceHealth(state="failing", detail=words, hint=hint) if words else None
        self._store.note_own_health(GPUMON_SOURCE, health)
        return True

    def reset(self) -> None:
        """Forget everything that was fed, as before a seek back in a recording."""
        self.fuses.clear()
        self._faults_told = self.fuses.revision
        self._store = Store(self.fuses)
        self.alerts = AlertBook(self.limits, self.fuses)
        self.pictures = self._pictures()
        self.revision += 1
