"""Which sources, GPUs and models are not as they should be, at this instant."""

from __future__ import annotations

from typing import Literal

from gpumon.app.fuses import GPUMON_SOURCE
from gpumon.app.insight.activity import is_gone
from gpumon.app.insight.wording import DRIVER_SOURCE
from gpumon.app.state.places import LOG_PREFIX, LOG_SEARCH
from gpumon.app.state.records import GpuRecord, ModelRecord, SourceRecord, is_server
from gpumon.app.state.state import NOT_THERE, State
from gpumon.collectors.samples import GpuState

Fault = Literal["watch", "bad"]

SPILL_BAD_PERCENT = 5.0
"""A spill of 5 % nearly halves the decode rate of a dense model: 1 / (1 + f (R - 1)), with the usual ratio
R = 17 of the bandwidths of GPU memory and RAM."""

GPU_FAULTS: dict[GpuState, Fault] = {"lost": "bad", "failing": "watch"}

LEARNED_SOURCE = "learned"
"""What earlier runs have learned: without it gpumon works as on its first day."""


def hangs(source: SourceRecord) -> bool:
    """Return whether a source was asked and does not answer."""
    return source.silent_seconds is not None or source.health.state == "hanging"


def missing(source: SourceRecord) -> bool:
    """Return whether a source is simply not on this machine, and never was in this run."""
    return source.answered is None and not hangs(source) and source.health.state in NOT_THERE


def is_needed(source: SourceRecord) -> bool:
    """Return whether the main job rests on a source; of others that are missing nothing is said."""
    return source.name == DRIVER_SOURCE or (is_server(source.name) and not source.is_pointless)


def has_trouble(source: SourceRecord) -> bool:
    """Return whether a driver that answers names a GPU that it cannot show: one lost before this run."""
    return source.name == DRIVER_SOURCE and source.health.state == "serving" and bool(source.health.detail)


def source_fault(source: SourceRecord) -> Fault | None:
    """Grade a source that does not deliver; one that is merely missing has no fault.

    Nor has the log of a server that is not there any more.
    A server that stopped may have been stopped on purpose, and one that loads or unloads a model does not
    answer for some seconds: both are only worth watching. A driver that hangs is a sick GPU. A fault of
    gpumon's own must not hide what it still knows.
    """
    if source.healthy:
        return "bad" if has_trouble(source) else None
    if missing(source) or is_optional(source) or _is_unasked_for(source):
        return None
    if source.name == GPUMON_SOURCE:
        return "watch"
    mild = is_server(source.name) and (hangs(source) or source.health.state == "not_running")
    return "watch" if mild else "bad"


def is_optional(source: SourceRecord) -> bool:
    """Whether nothing rests on what a source fails to give: what was learned, and logs."""
    return source.name in {LEARNED_SOURCE, LOG_SEARCH} or source.name.startswith(LOG_PREFIX)


def _is_unasked_for(source: SourceRecord) -> bool:
    """Whether nobody has named a server that was never heard: it starts up, or wants a key of ours."""
    if source.is_pointless and is_server(source.name):
        return True
    silent = source.answered is None and source.health.state in {"refused", "forbidden", "foreign"}
    return source.known_by == "process" and silent


def gpu_fault(gpu: GpuRecord) -> Fault | None:
    """Grade a GPU that does not answer as it should."""
    return GPU_FAULTS.get(gpu.reading.state)


def spill_fault(
    model: ModelRecord, bad_percent: float = SPILL_BAD_PERCENT, *, by_choice: bool = False
) -> Fault | None:
    """Grade a spill by the server's claim; ``None`` where there is none or it is unknown.

    ``by_choice`` tells that the user has asked for the CPU.
    """
    if not model.split.spill_fraction:
        return None
    return "bad" if not by_choice and model.split.spill_fraction * 100 >= bad_percent else "watch"


def spilled_models(state: State) -> list[ModelRecord]:
    """Return the models that are partly or wholly in RAM though a GPU is present, the worst first.

    Those on the CPU by the user's choice come last.
    """
    spilled = [
        model
        for model in state.models.values()
        if model.split.spill_fraction
        and state.gpu_known_at(model.key.source)
        and not (model.runner is None and is_gone(model, state))
    ]
    return sorted(
        spilled,
        key=lambda model: (
            on_cpu_by_choice(model, state),
            -(model.split.spill_fraction or 0.0),
            model.claim.name,
        ),
    )


def on_cpu_by_choice(model: ModelRecord, state: State) -> bool:
    """Return whether the user has asked for the CPU (``num_gpu 0``), by the command line of the process."""
    runner = state.runner_of(model)
    return runner is not None and runner.process.settings.gpu_layers == 0
