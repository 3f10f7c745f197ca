"""A model that the user has asked to unload: whether it has gone, and whether its memory came back."""

from __future__ import annotations

from typing import Literal, NamedTuple

from gpumon.app.insight.activity import activity
from gpumon.app.state.holders.others import WORTH_TELLING_BYTES
from gpumon.app.state.records import Load, ModelKey, ModelRecord, Returned, RunnerKey
from gpumon.app.state.state import State

PATIENCE_SECONDS = 30.0
"""A server frees the memory of a model without requests within 5 s (ollama: server/sched.go)."""

UnloadKind = Literal[
    "unloaded",  # gone, and what the driver measured for it came back
    "unmeasured",  # gone; nothing was measured for it, so there is nothing to wait for
    "not_returned",  # gone, and its memory did not come back
    "reloaded",  # the server holds it again, or still, in another process
    "waiting",  # still there: its requests are not over
    "stays",  # still there, and it does nothing
    "unknown",  # the server says nothing any more
]


class Unloading(NamedTuple):
    """What was known of the model when the user asked."""

    key: ModelKey
    name: str
    asked: float
    """In the time of the samples, Unix seconds."""
    runner: RunnerKey | None
    """The process that held it, where it is known."""
    vram_by_gpu: tuple[tuple[str, int], ...]
    """GPU UUID and bytes that the driver measured for that process."""


class UnloadOutcome(NamedTuple):
    """How it ended."""

    kind: UnloadKind
    seconds: float
    """Since the user asked."""
    returned_bytes: int | None = None
    """What came back by the driver; ``None`` where nothing did, or it is not measured."""


def unloading_of(model: ModelRecord, state: State) -> Unloading:
    """Note what is known of a model before it is unloaded."""
    runner = state.runner_of(model)
    held = runner.vram_by_gpu if runner else {}
    return Unloading(
        key=model.key,
        name=model.claim.name,
        asked=state.now,
        runner=runner.key if runner else None,
        vram_by_gpu=tuple((uuid, size) for uuid, size in held.items() if size >= WORTH_TELLING_BYTES),
    )


def unloading_of_load(key: ModelKey, load: Load, now: float) -> Unloading:
    """Note what is known of a model that still loads, before it is unloaded."""
    held = tuple((uuid, size) for uuid, size in load.vram_by_gpu.items() if size >= WORTH_TELLING_BYTES)
    return Unloading(key, load.name, now, load.key, held)


def unload_outcome(asked: Unloading, state: State) -> UnloadOutcome | None:
    """Return how the unloading has ended; ``None`` while it goes on."""
    seconds, model = state.now - asked.asked, state.models.get(asked.key)
    if asked.runner in state.loads:
        return UnloadOutcome("waiting", seconds) if seconds >= PATIENCE_SECONDS else None
    if model is None:
        return _gone(asked, state, seconds)
    if model.kind.makes_pictures and (emptied := _emptied(model, asked, state)) is not None:
        return emptied
    if _is_another(model, asked):
        return UnloadOutcome("reloaded", seconds, _returned_bytes(asked, state))
    return UnloadOutcome(_why_it_stays(model, state), seconds) if seconds >= PATIENCE_SECONDS else None


EMPTIED_PART = 0.5
"""Of what it held: an image generator that has freed its model keeps what torch and CUDA need."""


def _emptied(model: ModelRecord, asked: Unloading, state: State) -> UnloadOutcome | None:
    """Return that an image generator, which goes on without a model, has given its memory back."""
    runner, held = state.runner_of(model), sum(size for _, size in asked.vram_by_gpu)
    seconds, measured = state.now - asked.asked, runner.measured_vram_bytes if runner else None
    if not held or measured is None:
        return UnloadOutcome("unmeasured", seconds) if model.claim.name != asked.name else None
    if measured > held * EMPTIED_PART:
        return None
    return UnloadOutcome("unloaded", seconds, held - measured)


def _gone(asked: Unloading, state: State, seconds: float) -> UnloadOutcome | None:
    """Return how much of its memory has come back; ``None`` while that may still do."""
    returned = _returned_bytes(asked, state)
    if not asked.vram_by_gpu:
        return UnloadOutcome("unmeasured", seconds)
    if _all_returned(asked, state):
        return UnloadOutcome("unloaded", seconds, returned)
    if state.now - _went_at(asked, state) >= PATIENCE_SECONDS:
        return UnloadOutcome("not_returned", seconds, returned)
    return None


def _went_at(asked: Unloading, state: State) -> float:
    """Return when the server no longer listed the model."""
    times = (model.gone for model in state.departed if model.key == asked.key and model.gone is not None)
    return max(times, default=asked.asked)


def _is_another(model: ModelRecord, asked: Unloading) -> bool:
    """Return whether the model was loaded again: listed after it had gone, or held by another process."""
    changed = asked.runner is not None and model.runner is not None and model.runner != asked.runner
    return model.first_seen > asked.asked or changed


def _why_it_stays(model: ModelRecord, state: State) -> UnloadKind:
    source = state.sources.get(model.key.source)
    if source is None or not source.healthy:
        return "unknown"
    return "waiting" if activity(model, state) == "busy" else "stays"


def _all_returned(asked: Unloading, state: State) -> bool:
    back = {one.uuid for one in state.returned if _is_of(asked, one)}
    return back >= {uuid for uuid, _ in asked.vram_by_gpu}


def _returned_bytes(asked: Unloading, state: State) -> int | None:
    sizes = [one.vram_bytes for one in state.returned if _is_of(asked, one)]
    return sum(sizes) if sizes else None


def _is_of(asked: Unloading, returned: Returned) -> bool:
    pid = asked.runner.pid if asked.runner else None
    return returned.pid is not None and returned.pid == pid and returned.time >= asked.asked
