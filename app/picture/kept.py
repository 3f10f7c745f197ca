"""What is dear to reckon, kept until it is old or rests on other facts: diagnoses, full rates, forecasts."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import TYPE_CHECKING, NamedTuple

from gpumon.app.fuses import Fuses
from gpumon.app.insight.loaded import Loaded, may_load, shortfall
from gpumon.app.state.records import Load, ModelKey, ModelRecord, RunnerKey
from gpumon.app.state.state import State

if TYPE_CHECKING:
    from gpumon.app.diagnosis.diagnosis import Diagnosis
    from gpumon.app.diagnosis.forecast import Forecast
    from gpumon.app.insight.shapes import Shapes
    from gpumon.app.physics.hardware import Band
    from gpumon.app.physics.memory import MemoryNeed

DIAGNOSIS_SECONDS = 5.0
"""A diagnosis stands so long unless its circumstances change: it is the most expensive part of a picture."""

WELL_SECONDS = 30.0
"""The same of a model that is well: of its diagnosis only that is shown until it is looked at closely."""

FULL_SECONDS = 300.0
"""How long an estimate of the full rate of a load stands: only what is learned meanwhile may change it."""

TIME_SECONDS = 1.0
"""A picture says how old things are and what is left: it is made again as time goes by."""


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
            self._reckon_full(known, state, basis)
        return self._full[key].band if key in self._full else None

    def _reckon_full(self, known: Loaded, state: State, basis: Hashable) -> None:
        key = known.model.key
        with self._fuses.guard("full rate", key):
            self._full[key] = _Full(state.now, basis, self._estimated_full(known, state))

    def refresh(self, key: ModelKey, now: float) -> bool:
        """Have a model that is looked at closely diagnosed again, at most once a second; return whether."""
        kept = self._kept.get(key)
        if kept is not None and kept.is_close and 0 <= now - kept.at < TIME_SECONDS:
            return False
        self._kept.pop(key, None)
        self._closely.add(key)
        return True

    def need(self, model: ModelRecord, state: State) -> MemoryNeed | None:
        """Return what a model takes by part; ``None`` where its file or its settings are not known."""
        from gpumon.app.insight.shapes import Shapes, load_options  # noqa: PLC0415 - a page alone needs it
        from gpumon.app.physics.geometry import NoGeometry  # noqa: PLC0415
        from gpumon.app.physics.memory import memory_need  # noqa: PLC0415

        self._shapes = self._shapes or Shapes()
        runner = state.runner_of(model)
        shape, options = self._shapes.of(model, state), load_options(model, runner, state)
        if isinstance(shape, NoGeometry) or options is None:
            return None
        used = sum(1 for held in runner.vram_by_gpu.values() if held) if runner else 1
        return memory_need(shape, options, max(1, used))

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
        from gpumon.app.diagnosis.subject import estimated_full  # noqa: PLC0415 - keeps the start quick

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
        _step_pace(record),
        known.activity in {"loading", "gone"} and known.activity,
        known.ended_how,
        known.disk is None,
        known.rereads is None,
        known.waiting is None,
        known.filled,
        _preempts(known),
        known.choice,
        known.elsewhere,
        known.gpu_known,
        shortfall(known),
        may_load(known),
        None if estimate is None else estimate.bytes > 0,
        surroundings,
    )


def _preempts(known: Loaded) -> bool:
    """Return whether its server's cache of all contexts is full, and requests lose their place in it."""
    told = known.runner or known.model.served
    return told is not None and told.pool.full_since is not None


def _step_pace(record: ModelRecord) -> Hashable:
    """Return about how long an image generator takes for a step, and at what size."""
    paces = record.history.step_paces
    return (paces[-1].size, math.frexp(paces[-1].seconds_per_step)[1]) if paces else None


class Forecasts:
    """Keeps the forecast of each load, reckoned again after some seconds, or when more is known of it."""

    def __init__(self, fuses: Fuses) -> None:
        self._fuses = fuses
        self._kept: dict[RunnerKey, tuple[Hashable, Forecast | None]] = {}
        self._made: dict[RunnerKey, Forecast] = {}
        """The last one of each process that is there still: its load may be over."""

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
            self._keep(load.key, found, state)
        return kept[1]

    def made(self, key: RunnerKey | None) -> Forecast | None:
        """Return what was last said of the load of a process; ``None`` where nothing was."""
        return None if key is None else self._made.get(key)

    def _keep(self, key: RunnerKey, found: Forecast | None, state: State) -> None:
        if found is not None:
            self._made = {one: made for one, made in self._made.items() if one in state.runners}
            self._made[key] = found
