"""The words around the unloading of a model: the question before it, and what came of it."""

from __future__ import annotations

from gpumon.app.insight.activity import activity
from gpumon.app.insight.unloading import Unloading, UnloadKind, UnloadOutcome
from gpumon.app.insight.wording import address
from gpumon.app.state.holders.measured import measured_vram_bytes
from gpumon.app.state.records import ModelRecord
from gpumon.app.state.state import State
from gpumon.app.views.page import GPUMON, NVML, PROC, PS
from gpumon.text import units
from gpumon.text.safe import visible
from gpumon.widgets.views import Fact


def unload_facts(model: ModelRecord, state: State) -> tuple[Fact, ...]:
    """Return what the user should know before it is unloaded."""
    return (
        Fact("model", visible(model.claim.name)),
        Fact("server", address(model.key.source)),
        _gain(model, state),
        _requests(model, state),
        Fact("afterwards", "the next request for it loads it again"),
    )


def _gain(model: ModelRecord, state: State) -> Fact:
    measured = measured_vram_bytes(model, state)
    if measured is not None:
        return Fact("returns", f"{units.size(measured)} of VRAM", NVML)
    return Fact("returns", f"{units.size(model.split.gpu_bytes)} of VRAM, by its claim", PS)


def _requests(model: ModelRecord, state: State) -> Fact:
    match activity(model, state):
        case "busy":
            return Fact("requests", "one runs now: it is finished first, nothing is cut off", PROC, "watch")
        case None:
            return Fact("requests", "those that run, if any, are finished first", GPUMON)
        case _:
            return Fact("requests", "none runs now", PROC)


def asked_words(asked: Unloading) -> str:
    """Say that the server has been asked."""
    return f"asked {address(asked.key.source)} to unload {visible(asked.name)}"


def refused_words(asked: Unloading, problem: str) -> str:
    """Say that the server could not be asked, or would not do it."""
    return f"{visible(asked.name)} was not unloaded: {visible(problem)}"


def outcome_words(asked: Unloading, outcome: UnloadOutcome) -> str:
    """Say how it ended, in one line."""
    name, after = visible(asked.name), units.duration(outcome.seconds)
    words: dict[UnloadKind, str] = {
        "unloaded": f"{name} is unloaded: {units.size(outcome.returned_bytes)} of VRAM came back in {after}",
        "unmeasured": f"{name} is unloaded, after {after}; its VRAM is not measured from here",
        "not_returned": f"{name} is gone; {_missing(asked, outcome)} of VRAM did not come back in {after}",
        "reloaded": f"{name} was unloaded and is loaded again: something has asked for it",
        "waiting": f"{name} is still at work after {after}; it goes when its requests have ended",
        "stays": f"{name} is still loaded after {after}, and does nothing: see the server's log",
        "unknown": f"not known whether {name} is unloaded: {address(asked.key.source)} does not answer",
    }
    return words[outcome.kind]


def _missing(asked: Unloading, outcome: UnloadOutcome) -> str:
    return units.size(sum(size for _, size in asked.vram_by_gpu) - (outcome.returned_bytes or 0))
