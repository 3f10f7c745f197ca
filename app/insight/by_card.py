"""What each GPU should hold of a model by its settings and its file, beside what the driver measures there.

Told, never alarmed about: the sum is what alarms are about (``app.insight.agreement``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from gpumon.app.insight.intent import draft_bytes_of, intent_of, may_use
from gpumon.app.insight.left_out import left_out
from gpumon.app.insight.shapes import load_options, settings_of, shape_of
from gpumon.app.physics.by_card import Parts, parts_by_card
from gpumon.app.physics.geometry import Geometry, LoadOptions, NoGeometry
from gpumon.app.state.places import is_local
from gpumon.app.state.records import ModelRecord, RunnerRecord
from gpumon.app.state.records.machine import free_bytes
from gpumon.app.state.state import State

CUT_MODE, UNTOLD_MODE = "row", "tensor"
"""Modes of ``--split-mode`` that cut matrices; of the newer one it is not known here what goes where."""

ALL_LAYERS = 2**16


class CardShare(NamedTuple):
    """What is to be expected on one GPU."""

    uuid: str
    parts: Parts
    """By the class of the tensors; empty where nothing should be there."""
    by_free_memory: bool = False
    """Whether nobody has told the shares: they follow what was free at the load, which is taken from now."""

    @property
    def bytes(self) -> int:
        """All of it."""
        return sum(size for _, size in self.parts)

    @property
    def by_class(self) -> dict[str, int]:
        """The same by class, for scripts: ``attention_and_dense``."""
        return {name.replace(" ", "_"): size for name, size in self.parts}


def expected_by_card(model: ModelRecord, state: State) -> tuple[CardShare, ...]:
    """Return what each GPU of a model should hold, in the order of its devices; none where that is unknown.

    It is unknown of a server that states its own placement, where a part may be elsewhere, and where the
    runtime has chosen itself what to leave in RAM and no log tells what.
    """
    runner, shape = state.runner_of(model), shape_of(model, state)
    intent, options = intent_of(model, state), load_options(model, runner, state)
    if runner is None or isinstance(shape, NoGeometry) or options is None or model.claims_memory:
        return ()
    mode = settings_of(model, runner).orders.split_mode
    is_here = is_local(model.key.source, state.servers)
    if not is_here or intent.elsewhere or intent.cpu or intent.vram_bytes is None or mode == UNTOLD_MODE:
        return ()
    layers = _layers(model, runner, state, options)
    if layers is None:
        return ()
    asked, found = replace(options, gpu_layers=layers), list[tuple[CardShare, ...]]()
    for order in _orders(runner, state):
        found.append(_shares(order, runner, state, shape, asked, by_rows=mode == CUT_MODE))
    return min(found, key=lambda shares: _distance(shares, runner), default=())


def _layers(model: ModelRecord, runner: RunnerRecord, state: State, options: LoadOptions) -> int | None:
    """Return the layers on GPUs: as asked, else as the log says, else all where nothing seems left out."""
    if options.gpu_layers is not None and runner.kind.layers_are_asked:
        return options.gpu_layers
    logged = runner.placement.layers_on_gpu if runner.placement else None
    if logged is not None:
        return logged
    missing = left_out(model, state)
    return None if missing is None or missing.bytes else ALL_LAYERS


def _orders(runner: RunnerRecord, state: State) -> list[list[str]]:
    """Return the GPUs that a process may use, in each order in which CUDA may count them."""
    return [may_use(order, runner, state) for order in cuda_orders(state)]


def cuda_orders(state: State) -> list[list[str]]:
    """Return in which orders CUDA may count the GPUs: by slot and, where they differ, one of them first.

    It counts the fastest first unless ``CUDA_DEVICE_ORDER`` says otherwise.
    """
    gpus = sorted(state.gpus.values(), key=lambda gpu: (gpu.reading.index, gpu.reading.uuid))
    uuids = [gpu.reading.uuid for gpu in gpus]
    firsts = uuids if len({gpu.reading.name for gpu in gpus}) > 1 else uuids[:1]
    return [[first, *(one for one in uuids if one != first)] for first in firsts]


def _shares(
    order: Sequence[str],
    runner: RunnerRecord,
    state: State,
    shape: Geometry,
    options: LoadOptions,
    *,
    by_rows: bool,
) -> tuple[CardShare, ...]:
    free = [_free_for(uuid, runner, state) for uuid in order]
    parts = parts_by_card(shape, options, free, draft_bytes_of(runner), by_rows=by_rows)
    by_memory = len(order) > 1 and not any(options.gpu_shares)
    return tuple(CardShare(uuid, held, by_memory) for uuid, held in zip(order, parts, strict=True))


def _free_for(uuid: str, runner: RunnerRecord, state: State) -> int:
    """Return what is free of a GPU, and what the model itself holds there."""
    memory = state.gpus[uuid].reading.memory
    free = free_bytes(memory) if memory else None
    return (free or 0) + runner.vram_by_gpu.get(uuid, 0)


def _distance(shares: tuple[CardShare, ...], runner: RunnerRecord) -> int:
    """Return how far it is from what is measured, over all GPUs."""
    expected = {share.uuid: share.bytes for share in shares}
    uuids = expected.keys() | runner.vram_by_gpu.keys()
    return sum(abs(expected.get(uuid, 0) - runner.vram_by_gpu.get(uuid, 0)) for uuid in uuids)
