"""Models that have been unloaded a short while ago: why, and whether their processes still hold memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from gpumon.app.insight.activity import GONE_SECONDS, ended_how
from gpumon.app.insight.wording import gpu_label
from gpumon.app.state.holders.measured import is_same
from gpumon.app.state.loads.endings import NOTICED_WITHIN_SECONDS, are_loads_seen, made_room_for
from gpumon.app.state.places import place
from gpumon.app.state.records import GpuRecord, ModelKey, ModelRecord, RunnerKey
from gpumon.app.state.state import State
from gpumon.collectors.samples import GpuProcess
from gpumon.text.safe import visible

SHOWN_SECONDS = 60.0
"""So long a model that has left is spoken of; one whose process still holds memory, until that has gone, and
one that went with its card until that is back."""
LOST_BEFORE_SECONDS = 15.0
"""A process that works on a GPU that is lost ends no later than that, or hangs."""
ASKED_SECONDS = 60.0
"""One that was asked to go leaves when its requests have ended."""
CLOCK_SLACK_SECONDS = 1.0


class Left(NamedTuple):
    """A model that is no longer loaded."""

    record: ModelRecord
    """As it was when it left."""
    seconds: float
    """Since then."""
    reason: str
    """In a few words, harmless to draw: ``expired``, ``made room for qwen3:14b``."""
    is_held: bool
    """Whether its process is still there, or still holds memory of a GPU."""
    vram_bytes: int | None
    """What the driver says that it holds; ``None`` where it lists nothing."""


def left_models(state: State) -> list[Left]:
    """Return the models to be spoken of though they have left, in the order in which they did."""
    if not state.departed:
        return []
    held, seen, found = _held(state), _here(state), []
    for record in reversed(state.departed):
        names = {record.key, (place_of(record.key), record.claim.name)}
        if seen.isdisjoint(names) and not _is_told_of_otherwise(record, state):
            seconds, process = state.now - (record.gone or 0.0), record.holder
            vram_bytes = _vram_bytes(held.get(process.pid, ()), process) if process else None
            is_held = vram_bytes is not None or process in state.runners
            if is_held or seconds < SHOWN_SECONDS or _awaits_its_card(record, state):
                found.append(Left(record, seconds, left_reason(record, state), is_held, vram_bytes))
        seen |= names
    return found[::-1]


def left_reason(record: ModelRecord, state: State) -> str:
    """Say why a model has left, in a few words."""
    return next(_reasons(record, state))


def _reasons(record: ModelRecord, state: State) -> Iterator[str]:
    """Yield what may be the reason, the most certain first; what is seen late may tell better in a while."""
    gone = record.gone or 0.0
    yield from (f"{gpu_label(gpu)} lost" for gpu in _lost(record, state))
    asked = record.unload_asked
    if asked is not None and (record.stop_asked or gone - asked <= ASKED_SECONDS):
        yield "unloaded by you"
    if (other := made_room_for(state, record)) is not None:
        yield f"made room for {visible(other)}"
    if record.server_ended or _is_server_new(record, state):
        yield "server stopped"
    ended = record.runner_ended
    if ended is not None and (gone - ended >= GONE_SECONDS or ended_how(record, state) is not None):
        yield "crashed"
    if record.stop_asked:
        yield "unloaded by request"
    source = state.sources.get(record.key.source)
    if record.claim.expires_at is not None:
        expired = record.claim.expires_at - (source.clock_offset_seconds if source else 0.0)
        if expired <= gone + CLOCK_SLACK_SECONDS:
            yield "expired"
        elif state.now - gone > NOTICED_WITHIN_SECONDS and are_loads_seen(record, state):
            # by then a load that it made room for is seen, and nothing else unloads a model before its time
            yield "unloaded by request"
    yield "unloaded"


def moves_weights(model: ModelRecord, state: State) -> bool:
    """Return whether a model makes room for others while it is loaded, and takes it back."""
    runner = state.runner_of(model)
    return runner is not None and runner.kind.moves_weights


def place_of(key: ModelKey) -> str:
    """Return where its server is, however its URL is spelled."""
    return place(key.source) if "://" in key.source else key.source


def _lost(record: ModelRecord, state: State) -> Iterator[GpuRecord]:
    """Yield the GPUs of a model that were lost when it left."""
    gone = record.gone or 0.0
    for gpu in (state.gpus[uuid] for uuid in record.gpus if uuid in state.gpus):
        lost = gpu.lost_at
        if lost is not None and gone - LOST_BEFORE_SECONDS <= lost <= gone + NOTICED_WITHIN_SECONDS:
            yield gpu


def _awaits_its_card(record: ModelRecord, state: State) -> bool:
    """Return whether a GPU that it left with is lost still: until it is back that explains what is gone."""
    return any(gpu.lost_since is not None for gpu in _lost(record, state))


def _is_server_new(record: ModelRecord, state: State) -> bool:
    """Return whether another process of its server has been started in between."""
    start = state.server_starts.get(record.key.source)
    return start is not None and record.first_seen < start[1] <= (record.gone or 0.0) + CLOCK_SLACK_SECONDS


def _here(state: State) -> set[object]:
    """Return the keys of what is loaded or loading, and where it is by its name."""
    loaded = [(place_of(key), model.claim.name) for key, model in state.models.items()]
    return {*state.models, *loaded, *(load.model for load in state.loads.values())}


def _is_told_of_otherwise(record: ModelRecord, state: State) -> bool:
    """Return whether its process holds a model still that is known by another key now."""
    process = record.holder
    runner = state.runners.get(process) if process else None
    return runner is not None and runner.model in state.models


def _held(state: State) -> dict[int, list[GpuProcess]]:
    """Return what the driver lists of each process, by PID."""
    held: dict[int, list[GpuProcess]] = {}
    for gpu in state.gpus.values():
        for one in gpu.reading.processes or ():
            held.setdefault(one.pid, []).append(one)
    return held


def _vram_bytes(listed: Iterable[GpuProcess], process: RunnerKey) -> int | None:
    """Return what a process holds; ``None`` where nothing of it is listed, or what has its PID now."""
    sizes = [one.vram_bytes for one in listed if one.vram_bytes and is_same(one, process)]
    return sum(sizes) if sizes else None
