"""The one path that every sample takes, wherever it comes from: store, alerts, listeners."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from gpumon.app.alerts.book import AlertBook
from gpumon.app.alerts.limits import Limits
from gpumon.app.insight.learning import learn
from gpumon.app.state.records import ModelKey, ModelRecord
from gpumon.app.state.state import State
from gpumon.app.state.store import Store
from gpumon.collectors.samples import AnySample

if TYPE_CHECKING:
    from gpumon.app.diagnosis.diagnose import Diagnoser
    from gpumon.app.diagnosis.diagnosis import Diagnosis

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
        self._diagnoser: Diagnoser | None = None
        self._diagnosed: tuple[int, Mapping[ModelKey, Diagnosis]] = (-1, {})

    @property
    def state(self) -> State:
        """What is known now."""
        return self._store.state

    @property
    def diagnoses(self) -> Mapping[ModelKey, Diagnosis]:
        """What is wrong with each loaded model; worked out when it is asked for, once for each revision."""
        if self._diagnosed[0] != self.revision:
            self._diagnosed = (self.revision, self._diagnosing().diagnoses(self.state))
        return self._diagnosed[1]

    def spill(self, model: ModelRecord) -> Diagnosis | None:
        """Return why a model spills and what would help, at most seconds old; ``None`` if it does not."""
        return self._diagnosing().spill(model, self.state)

    def _diagnosing(self) -> Diagnoser:
        """Return what diagnoses, made for the first model: the first frame need not wait for it."""
        if self._diagnoser is None:
            from gpumon.app.diagnosis.diagnose import Diagnoser  # noqa: PLC0415 - keeps the start quick

            self._diagnoser = Diagnoser()
        return self._diagnoser

    def listen(self, listener: Listener) -> None:
        """Call ``listener`` with every sample, after the state and the alerts have taken it."""
        self._listeners.append(listener)

    def feed(self, sample: AnySample) -> None:
        """Take one sample."""
        touched = self._store.apply(sample)
        learn(self._store.state, sample, touched)
        self.alerts.observe(self._store.state)
        self.revision += 1
        for listener in self._listeners:
            listener(sample)

    def reset(self) -> None:
        """Forget everything that was fed, as before a seek back in a recording."""
        self._store = Store()
        self._diagnoser = None
        self.alerts = AlertBook(self.limits)
        self.revision += 1
