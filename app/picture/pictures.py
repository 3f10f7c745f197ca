"""Keeps the pictures of all models, loads and GPUs, each made once per change."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from gpumon.app.alerts.alert import Alert
from gpumon.app.fuses import UNFUSED, Fuses
from gpumon.app.insight.agreement import Loaded, loaded, may_load, shortfall
from gpumon.app.insight.health import SPILL_BAD_PERCENT, Health, Level, Trouble, health, unclaimed_loads
from gpumon.app.insight.wording import model_id, shared_names
from gpumon.app.picture.gpu import GpuPicture, gpu_picture
from gpumon.app.picture.left import LeftPicture, left_pictures
from gpumon.app.picture.load import LoadPicture, load_picture
from gpumon.app.picture.model import ModelDetails, ModelPicture, model_details, model_picture, spill_notes
from gpumon.app.state.holders.measured import is_measurable
from gpumon.app.state.holders.others import holders_by_group
from gpumon.app.state.records import Load, ModelKey, ModelRecord, RunnerKey
from gpumon.app.state.state import State, Touched

if TYPE_CHECKING:
    from gpumon.app.diagnosis.diagnosis import Diagnosis
    from gpumon.app.diagnosis.forecast import Forecast
    from gpumon.app.insight.shapes import Shapes
    from gpumon.app.physics.hardware import Band

DIAGNOSIS_SECONDS = 5.0
"""A diagnosis stands so long unless its circumstances change: it is the most expensive part of a picture."""

WELL_SECONDS = 30.0
"""The same of a model that is well: of its diagnosis only that is shown until it is looked at closely."""

FULL_SECONDS = 300.0
"""How long an estimate of the full rate of a load stands: only what is learned meanwhile may change it."""

TIME_SECONDS = 1.0
"""A picture says how old things are and what is left: it is made again as time goes by."""


class Alerts(Protocol):
    """What the pictures need of the alerts."""

    @property
    def active(self) -> Sequence[Alert]:
        """Those that are active, the worst first."""


class NoAlerts:
    """Where nobody watches."""

    active: Sequence[Alert] = ()


class _Kept(NamedTuple):
    """A diagnosis, when it was made, and of what."""

    at: float
    circumstances: Hashable
    diagnosis: Diagnosis
    is_close: bool
    """Whether it has what only a page or a report shows."""


class _Full(NamedTuple):
    """An estimate of the rate of a model that is wholly on GPUs, when it was made, and of what."""

    at: float
    basis: Hashable
    band: Band | None


class Diagnoses:
    """Keeps the diagnosis of each model until it is old, or what it rests on is no longer the same."""

    def __init__(self, spill_bad_percent: float, fuses: Fuses) -> None:
        self._spill_bad_percent = spill_bad_percent
        self._fuses = fuses
        self._kept: dict[ModelKey, _Kept] = {}
        self._full: dict[ModelKey, _Full] = {}
        self._closely: set[ModelKey] = set()
        """Of these the next diagnosis is one for a page or a report."""
        self._shapes: Shapes | None = None

    def __len__(self) -> int:
        """Return how many are kept."""
        return len(self._kept)

    def of(self, known: Loaded, state: State, surroundings: Hashable) -> Diagnosis:
        """Return the diagnosis of a model; ``surroundings`` are the circumstances that all models share."""
        key, circumstances = known.model.key, _circumstances(known, surroundings)
        kept = self._kept.get(key)
        if kept is None or _is_old(kept, state.now) or kept.circumstances != circumstances:
            is_close = key in self._closely
            self._closely.discard(key)
            found = self._diagnosed(known, state, closely=is_close)
            kept = self._kept[key] = _Kept(state.now, circumstances, found, is_close)
        return kept.diagnosis

    def full(self, known: Loaded, state: State) -> Band | None:
        """Return an estimate of its rate where all of it is on GPUs, reckoned once for a load.

        Of one that is not wholly there it is that of its diagnosis, which is for the context of now.
        """
        key, model = known.model.key, known.model
        kept = self._kept.get(key)
        if kept is not None and model.split.spill_fraction and kept.diagnosis.expected_fitting:
            return kept.diagnosis.expected_fitting
        basis = (model.runner, model.claim.context_length, model.claim.size_bytes, model.facts is None)
        estimate = self._full.get(key)
        if estimate is None or estimate.basis != basis or not 0 <= state.now - estimate.at < FULL_SECONDS:
            with self._fuses.guard("full rate", key):
                band = self._estimated_full(known, state)
                estimate = self._full[key] = _Full(state.now, basis, band)
        return estimate.band if estimate else None

    def refresh(self, key: ModelKey, now: float) -> bool:
        """Have a model that is looked at closely diagnosed again, at most once a second; return whether."""
        kept = self._kept.get(key)
        if kept is not None and kept.is_close and 0 <= now - kept.at < TIME_SECONDS:
            return False
        self._kept.pop(key, None)
        self._closely.add(key)
        return True

    def forget(self, state: State) -> None:
        """Forget the models that are no longer loaded, once they are as many as those that are."""
        models = state.models
        if len(self._kept) > 2 * len(models):
            self._kept = {key: one for key, one in self._kept.items() if key in models}
            self._full = {key: one for key, one in self._full.items() if key in models}
            self._closely &= models.keys()
            if self._shapes is not None:
                self._shapes.forget(state)

    def _diagnosed(self, known: Loaded, state: State, *, closely: bool) -> Diagnosis:
        """Diagnose one model; the first frame, which has none, does not wait for the import."""
        from gpumon.app.diagnosis.diagnose import diagnose  # noqa: PLC0415 - keeps the start quick

        bad_percent, fuses = self._spill_bad_percent, self._fuses
        return diagnose(known.model, state, self._known_shapes(), bad_percent, known, fuses, closely=closely)

    def _estimated_full(self, known: Loaded, state: State) -> Band | None:
        from gpumon.app.diagnosis.full import estimated_full  # noqa: PLC0415 - keeps the start quick

        return estimated_full(known, state, self._known_shapes())

    def _known_shapes(self) -> Shapes:
        from gpumon.app.insight.shapes import Shapes  # noqa: PLC0415 - keeps the start quick

        if self._shapes is None:
            self._shapes = Shapes()
        return self._shapes


def _is_old(kept: _Kept, now: float) -> bool:
    lasts = WELL_SECONDS if kept.diagnosis.verdict.kind == "healthy" else DIAGNOSIS_SECONDS
    return not 0 <= now - kept.at < lasts


def _circumstances(known: Loaded, surroundings: Hashable) -> Hashable:
    """Return what a diagnosis must not outlive: all that its level rests on and that costs little."""
    record, estimate = known.model, known.left_out
    return (
        record.claim.size_bytes,
        record.claim.size_vram_bytes,
        record.claim.context_length,
        record.runner,
        record.facts is None,
        record.spilled_since,
        known.activity in {"loading", "gone"} and known.activity,
        known.ended_how,
        known.disk is None,
        known.choice,
        known.elsewhere,
        known.gpu_known,
        shortfall(known),
        may_load(known),
        None if estimate is None else estimate.bytes > 0,
        surroundings,
    )


class Forecasts:
    """Keeps the forecast of each load, reckoned again after some seconds, or when more is known of it."""

    def __init__(self, fuses: Fuses) -> None:
        self._fuses = fuses
        self._kept: dict[RunnerKey, tuple[Hashable, Forecast | None]] = {}

    def of(self, load: Load, state: State) -> Forecast | None:
        """Return what will come of a load; ``None`` where it cannot be reckoned."""
        from gpumon.app.diagnosis.forecast import forecast  # noqa: PLC0415 - keeps the start quick

        runner = state.runners.get(load.key)
        known = (state.now // DIAGNOSIS_SECONDS, runner is not None and runner.file, len(state.facts))
        kept = self._kept.get(load.key)
        if kept is None or kept[0] != known:
            found = None
            with self._fuses.guard("forecast"):
                found = forecast(load, state)
            self._kept = {key: one for key, one in self._kept.items() if key in state.loads}
            kept = self._kept[load.key] = (known, found)
        return kept[1]


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
            self._details[key] = model_details(self._model(record), record, self.state)
        return self._details[key]

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
            runners = {key.pid: runner for key, runner in self.state.runners.items()}
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
