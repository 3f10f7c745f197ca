"""Keeps the pictures of all models, loads and GPUs, each made once per change."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from gpumon.app.alerts.alert import Alert
from gpumon.app.fuses import UNFUSED, Fuses
from gpumon.app.insight.health import SPILL_BAD_PERCENT, Health, Level, Trouble, health, unclaimed_loads
from gpumon.app.insight.loaded import loaded
from gpumon.app.insight.wording import model_id, shared_names
from gpumon.app.picture.details import ModelDetails, model_details
from gpumon.app.picture.gpu import GpuPicture, gpu_picture
from gpumon.app.picture.kept import TIME_SECONDS, Diagnoses, Forecasts
from gpumon.app.picture.left import LeftPicture, left_pictures
from gpumon.app.picture.load import LoadPicture, load_picture
from gpumon.app.picture.model import ModelPicture, model_picture, spill_notes
from gpumon.app.state.holders.measured import is_measurable
from gpumon.app.state.holders.others import holders_by_group
from gpumon.app.state.records import Load, ModelKey, ModelRecord
from gpumon.app.state.state import State, Touched

if TYPE_CHECKING:
    from gpumon.app.physics.memory import MemoryNeed


class Alerts(Protocol):
    """What the pictures need of the alerts."""

    @property
    def active(self) -> Sequence[Alert]:
        """Those that are active, the worst first."""


class NoAlerts:
    """Where nobody watches."""

    active: Sequence[Alert] = ()


class Pictures:
    """The pictures of what ``state`` and ``alerts`` say now. Whoever feeds these calls ``invalidate``."""

    def __init__(
        self,
        state: State,
        alerts: Alerts | None = None,
        spill_bad_percent: float = SPILL_BAD_PERCENT,
        fuses: Fuses = UNFUSED,
    ) -> None:
        """``fuses`` take what fails over a diagnosis; by default it is raised."""
        self.state = state
        self.alerts = alerts or NoAlerts()
        self.fuses = fuses
        self._spill_bad_percent = spill_bad_percent
        self._models: dict[ModelKey, ModelPicture] = {}
        self._details: dict[ModelKey, ModelDetails] = {}
        self._gpus: dict[str, GpuPicture] = {}
        self._all_gpus: tuple[GpuPicture, ...] | None = None
        self._is_measurable: bool | None = None
        self._all_models: tuple[ModelPicture, ...] | None = None
        self._left: tuple[LeftPicture, ...] | None = None
        self._health: dict[bool, Health] = {}
        self._shared: frozenset[str] | None = None
        self._alerts_by_subject: dict[str, list[Alert]] | None = None
        self._active: tuple[Alert, ...] | None = None
        self._surroundings: Hashable = None
        self._diagnoses = Diagnoses(spill_bad_percent, fuses)
        self._forecasts = Forecasts(fuses)
        self._made = 0.0
        self._keys: frozenset[ModelKey] = frozenset()

    @property
    def now(self) -> float:
        """The instant that the pictures show: the time of the newest sample."""
        return self.state.now

    @property
    def active(self) -> tuple[Alert, ...]:
        """The alerts that are active, the worst first."""
        if self._active is None:
            self._active = tuple(self.alerts.active)
        return self._active

    def invalidate(self, touched: Touched) -> None:
        """Forget the pictures of what a sample has ``touched``.

        What a GPU holds bears on every model. Diagnoses outlive it for some seconds where their circumstances
        stay.
        """
        if self._bears_on_all():
            self._models.clear()
            self._details.clear()
            self._gpus.clear()
            self._all_gpus = None
            self._made, self._keys = self.now, frozenset(self.state.models)
        elif touched.gpus:
            self._models.clear()
            self._details.clear()
        for key in touched.models:
            self._models.pop(key, None)
            self._details.pop(key, None)
        for uuid in touched.gpus:
            self._gpus.pop(uuid, None)
            self._all_gpus = self._is_measurable = None
        self._all_models = self._left = self._shared = self._alerts_by_subject = None
        self._active = self._surroundings = None
        self._health.clear()

    def _bears_on_all(self) -> bool:
        """Return whether time has passed, or alerts or the loaded models are others than were pictured."""
        is_later = abs(self.now - self._made) >= TIME_SECONDS
        return is_later or self._keys != self.state.models.keys() or self._active != tuple(self.alerts.active)

    def refresh(self, key: ModelKey | None = None) -> None:
        """Diagnose again what is looked at closely, at most once a second: one model, or all for ``None``."""
        for one in self.state.models if key is None else self.state.models.keys() & {key}:
            if self._diagnoses.refresh(one, self.now):
                self._models.pop(one, None)
                self._details.pop(one, None)
                self._all_models = None
                self._health.clear()

    def models(self) -> tuple[ModelPicture, ...]:
        """Return the pictures of all loaded models, by name."""
        if self._all_models is None:
            self._diagnoses.forget(self.state)
            records = sorted(self.state.models.values(), key=lambda one: (one.claim.name, one.key))
            self._all_models = tuple(self._model(record) for record in records)
        return self._all_models

    def model(self, key: ModelKey) -> ModelPicture | None:
        """Return the picture of one model; ``None`` where it is not loaded."""
        record = self.state.models.get(key)
        return None if record is None else self._model(record)

    def closely(self, key: ModelKey) -> ModelPicture | None:
        """Return the picture of one model, diagnosed in this second; ``None`` where it is not loaded."""
        self.refresh(key)
        return self.model(key)

    def key_of(self, subject_id: str) -> ModelKey | None:
        """Return the key of the model whose row and alerts bear ``subject_id``."""
        return next((key for key in self.state.models if model_id(key) == subject_id), None)

    def details(self, key: ModelKey) -> ModelDetails | None:
        """Return what a page says of one model; ``None`` where it is not loaded."""
        record = self.state.models.get(key)
        if record is None:
            return None
        if key not in self._details:
            made = self._forecasts.made(record.runner)
            found = model_details(self._model(record), record, self.state)
            self._details[key] = replace(found, forecast=made)
        return self._details[key]

    def need(self, key: ModelKey) -> MemoryNeed | None:
        """Return an estimate of what a loaded model takes, by part, with all of it on GPUs."""
        record = self.state.models.get(key)
        return None if record is None else self._diagnoses.need(record, self.state)

    def loads(self) -> tuple[LoadPicture, ...]:
        """Return the loads of which no server speaks as a model yet, the oldest first."""
        taken: set[ModelKey | None] = {None, *self.state.models}
        pictures = []
        for load in unclaimed_loads(self.state):
            pictures.append(self._load(load, stands_for_model=load.model not in taken))
            taken.add(load.model)
        return tuple(pictures)

    def load(self, load_id: str) -> LoadPicture | None:
        """Return the picture of one load, claimed or not; ``None`` where it is over."""
        claimed = (self._load(load) for load in self.state.loads.values())
        return next((load for load in (*self.loads(), *claimed) if load.id == load_id), None)

    def left(self) -> tuple[LeftPicture, ...]:
        """Return the pictures of models that left a short while ago, or whose process still holds memory."""
        if self._left is None:
            self._left = left_pictures(self.state, self._shared_names()) if self.state.departed else ()
        return self._left

    def gpus(self) -> tuple[GpuPicture, ...]:
        """Return the pictures of all GPUs in the driver's order, lost ones included."""
        if self._all_gpus is None:
            missing = [uuid for uuid in self.state.gpus if uuid not in self._gpus]
            groups = holders_by_group(self.state) if missing else {}
            runners = {pid: runner for runner in self.state.runners.values() for pid in runner.pids}
            for uuid in missing:
                record, alerts = self.state.gpus[uuid], self._alerts_on(uuid)
                self._gpus[uuid] = gpu_picture(record, self.state, groups.get(uuid), alerts, runners)
            pictures = (self._gpus[uuid] for uuid in self.state.gpus)
            self._all_gpus = tuple(sorted(pictures, key=lambda gpu: (gpu.index, gpu.uuid)))
        return self._all_gpus

    def gpu(self, uuid: str) -> GpuPicture | None:
        """Return the picture of one GPU; ``None`` where the driver does not list it."""
        return next((gpu for gpu in self.gpus() if gpu.uuid == uuid), None)

    def level_of(self, subject_id: str) -> Level | None:
        """Return the level of the worst alert that is active on a subject; ``None`` without one."""
        alerts = self._alerts_on(subject_id)
        return alerts[0].severity if alerts else None

    def besides(self, whole: Health) -> tuple[str, ...]:
        """Return what is wrong with no model and is not the verdict on the whole, the worst first."""
        models = {model_id(key) for key in self.state.models}
        others = (alert for alert in self.active if alert.subject_id not in models)
        return tuple(alert.message for alert in others if alert.message not in whole.sentence)

    def health(self, *, explained: bool = False) -> Health:
        """Return the verdict on the whole; ``explained`` adds why the one model that spills does."""
        if explained not in self._health:
            models, loads = self.models(), self.loads()
            by_key = {model.key: model for model in models} if explained else {}
            self._health[explained] = health(
                self.state,
                self.active,
                self._spill_bad_percent,
                lambda record: (
                    "".join(f"; {words}" for words in spill_notes(by_key[record.key].diagnosis))
                    if explained
                    else ""
                ),
                [
                    *(Trouble(model.level, model.sentence, model.trouble, model.id) for model in models),
                    *(Trouble(load.level, load.sentence, "will_spill", load.id) for load in loads),
                ],
            )
        return self._health[explained]

    def _load(self, load: Load, *, stands_for_model: bool = False) -> LoadPicture:
        found = self._forecasts.of(load, self.state)
        return load_picture(load, self.state, found, stands_for_model=stands_for_model)

    def _model(self, record: ModelRecord) -> ModelPicture:
        made = self._models.get(record.key)
        if made is None:
            known = loaded(record, self.state, self._shared_names())
            found = self._diagnoses.of(known, self.state, self._shared_circumstances())
            alerts = self._alerts_on(model_id(record.key))
            full = self._diagnoses.full(known, self.state)
            made = model_picture(known, self.state, found, alerts, self._measurable(), full)
            self._models[record.key] = made
        return made

    def _shared_circumstances(self) -> Hashable:
        """Return what the diagnoses of all models rest on."""
        if self._surroundings is None:
            alerts = frozenset((alert.key, alert.severity) for alert in self.active)
            readings = [gpu.reading for gpu in self.state.gpus.values()]
            gpus = tuple((reading.state, reading.throttle_reasons) for reading in readings)
            self._surroundings = (alerts, gpus, tuple(self.state.thrash), len(self.state.models))
        return self._surroundings

    def _measurable(self) -> bool:
        if self._is_measurable is None:
            self._is_measurable = is_measurable(self.state)
        return self._is_measurable

    def _shared_names(self) -> frozenset[str]:
        if self._shared is None:
            self._shared = shared_names(self.state.models.values())
        return self._shared

    def _alerts_on(self, subject_id: str) -> list[Alert]:
        """Return the active alerts on a subject, the worst first."""
        if self._alerts_by_subject is None:
            self._alerts_by_subject = {}
            for alert in self.active:
                self._alerts_by_subject.setdefault(alert.subject_id, []).append(alert)
        return self._alerts_by_subject.get(subject_id, [])
