"""Where a model should be by its settings: what is in RAM by choice, and what is not known here.

An alarm is about the difference between this and what is measured or claimed, and about nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from msgspec import structs

from gpumon.app.insight.shapes import load_options, settings_of, shape_of
from gpumon.app.insight.wording import amount
from gpumon.app.physics.by_card import BUFFERS, Parts, parts_by_card
from gpumon.app.physics.geometry import Geometry, LoadOptions, NoGeometry
from gpumon.app.physics.memory import (
    Placement,
    gpu_weights_bytes,
    output_weights_bytes,
    projector_compute_bytes,
)
from gpumon.app.physics.orders import keeps_weights, pins_weights
from gpumon.app.physics.placement import place
from gpumon.app.physics.shape import geometry_of
from gpumon.app.state.holders.addresses import server_of
from gpumon.app.state.records import Intent, ModelRecord, RunnerRecord
from gpumon.app.state.records.model import Split
from gpumon.app.state.state import State
from gpumon.collectors.samples import NO_ORDERS, UNSETTLED_STATES, Orders, RunnerSettings
from gpumon.collectors.servers.command_line import visible_devices
from gpumon.text import units

HOSTS = frozenset({"none", "CPU", "BLAS"})
"""Devices that are no GPU."""
ALL_ON_CPU = frozenset({"--cpu", "--always-cpu"})
"""Flags of image generators."""
CUDA_DEVICES = "CUDA_VISIBLE_DEVICES"
NO_INTENT = Intent()
_CUDA = re.compile(r"CUDA([0-9]{1,3})\Z", re.ASCII)
_PLENTY_BYTES = 2**50
"""Of free memory: a user who asks for a placement gets it, or none."""


def intent_of(model: ModelRecord, state: State) -> Intent:
    """Return what the settings of a model's process amount to; made once for all that bears on it."""
    runner = state.runner_of(model)
    if runner is None:
        return _intent(model, None, state) if model.claim.settings else NO_INTENT
    basis = _basis(model, runner, state)
    if runner.intent is None or runner.intent_basis != basis or runner.intent_facts is not model.facts:
        runner.intent, runner.intent_basis = _intent(model, runner, state), basis
        runner.intent_facts = model.facts
    return runner.intent


def _basis(model: ModelRecord, runner: RunnerRecord, state: State) -> object:
    """Return what may change while a process runs, beside the facts themselves."""
    return (
        model.facts is None,
        model.claim.context_length,
        runner.facts is None,
        runner.file is None,
        len(runner.vram_by_gpu),
        len(runner.placement.buffers) if runner.placement else 0,
        state.gpu_shown,
    )


def cpu_choice(model: ModelRecord, state: State) -> str | None:
    """Return the setting by which the user has asked for the CPU alone; ``None`` where nobody has."""
    return intent_of(model, state).cpu


def _cpu(
    model: ModelRecord, runner: RunnerRecord | None, settings: RunnerSettings, state: State, *, pinned: bool
) -> str | None:
    asks = runner is None or runner.kind.layers_are_asked
    if settings.offload in ALL_ON_CPU:
        return settings.offload
    if settings.gpu_layers == 0 and asks and not pinned:
        return f"{model.kind.layers_setting} 0"
    devices = settings.orders.devices
    if devices and all(device in HOSTS for device in devices):
        return f"--device {devices[0]}"
    return f"{CUDA_DEVICES} hides all" if _visible(runner, settings, state) == () else None


def hidden_gpus(runner: RunnerRecord | None, state: State) -> frozenset[str]:
    """Return the GPUs that the settings of a process keep it from, as far as they are told apart.

    CUDA counts the fastest card first, the driver by slot: where the cards differ, those that hold the model
    are taken for the ones that are meant.
    """
    if runner is None:
        return frozenset()
    gpus = sorted(state.gpus.values(), key=lambda gpu: gpu.reading.index)
    uuids = [gpu.reading.uuid for gpu in gpus]
    settings = runner.process.settings
    visible = _visible(runner, settings, state)
    orders = NO_ORDERS if _is_placed_by_server(runner) else settings.orders
    chosen = _chosen(uuids, visible, orders)
    if not chosen or len(chosen) >= len(uuids):
        return frozenset()
    named = visible is not None and all(one.startswith("GPU-") for one in visible)
    is_told = named or len({gpu.reading.name for gpu in gpus}) == 1
    held = [uuid for uuid in uuids if runner.vram_by_gpu.get(uuid)]
    if not is_told and len(held) != len(chosen):
        return frozenset()
    return frozenset(uuids) - frozenset(chosen if is_told else held)


def may_use(uuids: list[str], runner: RunnerRecord, state: State) -> list[str]:
    """Return those of the GPUs that a process may use, in its own order, if CUDA counts them as ``uuids``."""
    settings = runner.process.settings
    orders = NO_ORDERS if _is_placed_by_server(runner) else settings.orders
    return _chosen(uuids, _visible(runner, settings, state), orders)


def _chosen(uuids: list[str], visible: tuple[str, ...] | None, orders: Orders) -> list[str]:
    """Return the GPUs that are left by the variables, then by the devices, then by the shares."""
    left = uuids if visible is None else [uuid for one in visible if (uuid := _named(uuids, one))]
    numbers = [int(found[1]) for one in orders.devices if (found := _CUDA.match(one))]
    if numbers:
        left = [left[number] for number in numbers if number < len(left)]
    if orders.split_mode == "none" and (orders.main_gpu or 0) < len(left):
        return [left[orders.main_gpu or 0]]
    if any(orders.tensor_split):
        shares = orders.tensor_split
        return [uuid for at, uuid in enumerate(left) if at < len(shares) and shares[at]]
    return left


def _named(uuids: list[str], said: str) -> str | None:
    """Return the GPU of a number or of the beginning of an identity."""
    if said.isdecimal():
        return uuids[int(said)] if int(said) < len(uuids) else None
    return next((uuid for uuid in uuids if uuid.startswith(said)), None)


def _is_placed_by_server(runner: RunnerRecord) -> bool:
    """Return whether a server that manages memory has chosen the cards of a process."""
    return runner.served_by is not None or runner.process.settings.child_of is not None


def _visible(runner: RunnerRecord | None, settings: RunnerSettings, state: State) -> tuple[str, ...] | None:
    """Return the GPUs that a user has left to a process; to one that a server has placed, those of that."""
    if runner is None or not _is_placed_by_server(runner):
        return settings.orders.visible_devices
    server = server_of(state, runner)
    told = server.settings.get(CUDA_DEVICES) if server else None
    return visible_devices(told)


class _Kept(NamedTuple):
    """What a setting keeps in RAM, and its words."""

    kind: str
    words: str


def _intent(model: ModelRecord, runner: RunnerRecord | None, state: State) -> Intent:
    settings, shape = settings_of(model, runner), shape_of(model, state)
    known_shape = None if isinstance(shape, NoGeometry) else shape
    pinned = bool(known_shape.pinned_bytes) if known_shape else pins_weights(settings.orders)
    kept = tuple(_kept(model, runner, known_shape, pinned=pinned))
    known = Intent(
        setting=_words(kept),
        keeps=_kinds(kept),
        cpu=_cpu(model, runner, settings, state, pinned=pinned),
        elsewhere=_elsewhere(runner, settings.orders, state),
    )
    if isinstance(shape, NoGeometry):
        return structs.replace(known, problem=shape.reason)
    options = load_options(model, runner, state)
    if options is not None:
        return _reckoned(known, shape, options, runner)
    return structs.replace(
        known,
        weights_bytes=shape.file_bytes,
        kept_bytes=shape.kept_bytes if set(known.keeps) <= {"experts", "tensors"} else None,
        problem="its context or the type of its cache is not known",
    )


def _reckoned(known: Intent, shape: Geometry, options: LoadOptions, runner: RunnerRecord | None) -> Intent:
    """Return the intent with its bytes: those on GPUs are the least that is to be expected."""
    wanted = options.gpu_layers if "layers" in known.keeps else len(shape.layers) + 1
    asked = structs.replace(options, gpu_layers=wanted, gpu_shares=())
    placed, draft_bytes = place(shape, asked, [_PLENTY_BYTES]), draft_bytes_of(runner)
    never, held = shape.token_embedding_bytes + shape.host_bytes, placed.vram_bytes + draft_bytes
    (parts,) = parts_by_card(shape, asked, [_PLENTY_BYTES], draft_bytes)
    in_vram = tuple(part for part in parts if part[0] != BUFFERS)
    return structs.replace(
        known,
        weights_bytes=shape.file_bytes,
        kept_bytes=max(0, placed.ram_bytes - never),
        ram_bytes=placed.ram_bytes,
        vram_bytes=held,
        ram_parts=_ram_parts(shape, placed),
        vram_parts=(*in_vram, (BUFFERS, max(0, held - sum(size for _, size in in_vram)))),
    )


def _ram_parts(shape: Geometry, placed: Placement) -> Parts:
    """Return what is in RAM by its class."""
    first = len(shape.layers) - placed.blocks_on_gpu
    whole, kept = shape.layers[:first], shape.layers[first:]
    experts = sum(layer.expert_bytes - layer.pinned_expert_bytes for layer in whole)
    experts += sum(layer.kept_expert_bytes for layer in kept)
    weights = sum(layer.weights_bytes - layer.pinned_bytes for layer in whole)
    weights += sum(layer.kept_bytes for layer in kept)
    parts = {
        "experts": experts,
        "layers": weights - experts + shape.kept_output_bytes,
        "output": 0 if placed.output_on_gpu else _output_in_ram(shape),
        "embedding": shape.token_embedding_bytes + shape.host_bytes,
    }
    parts["context"] = placed.ram_bytes - sum(parts.values())
    return tuple((name, size) for name, size in parts.items() if size > 0)


def _output_in_ram(shape: Geometry) -> int:
    """Return the output and the projector; of a matrix that serves as embedding too there is one copy."""
    tied = shape.token_embedding_bytes if shape.is_tied else 0
    return output_weights_bytes(shape) + shape.projector_bytes + projector_compute_bytes(shape) - tied


def parts_words(total_bytes: int, parts: Parts) -> str:
    """Write a sum with its parts: ``5.6 GiB: experts 2.5, context 1.5, buffers 0.3``."""
    shown = ", ".join(f"{name} {units.gib(size)}" for name, size in parts if units.gib(size) != "0.0")
    return f"{amount(total_bytes)}: {shown}" if shown else amount(total_bytes)


def draft_bytes_of(runner: RunnerRecord | None) -> int:
    """Return the weights of a draft model on GPUs, where its file was read."""
    draft = runner.file.draft if runner and runner.file else None
    if runner is None or draft is None:
        return 0
    orders = runner.process.settings.orders
    if orders.draft_gpu_layers == 0 or set(orders.draft_devices) - HOSTS != set(orders.draft_devices):
        return 0
    shape = geometry_of(draft)
    return 0 if isinstance(shape, NoGeometry) else gpu_weights_bytes(shape)


def _kinds(kept: tuple[_Kept, ...]) -> tuple[str, ...]:
    return tuple(one.kind for one in kept)


def _words(kept: tuple[_Kept, ...]) -> str | None:
    return " ".join(one.words for one in kept) or None


def _kept(
    model: ModelRecord, runner: RunnerRecord | None, shape: Geometry | None, *, pinned: bool
) -> Iterator[_Kept]:
    """Yield the settings that keep a part of the model in RAM."""
    settings = settings_of(model, runner)
    orders, asked = settings.orders, settings.gpu_layers
    asks = runner is None or runner.kind.layers_are_asked
    told_by = runner.server_kind if runner else model.kind
    if asks and shape is not None and _leaves_layers(asked, shape, pinned=pinned):
        but = f" {told_by.setting_words('overrides', None, in_environment=False)}" if pinned else ""
        yield _Kept("layers", f"{model.kind.layers_setting} {asked}{but}")
    if keeps_weights(orders) and (shape is None or shape.kept_bytes):
        for kind, name, value in _weights_kept(orders):
            words = told_by.setting_words(name, value, in_environment=name in orders.by_environment)
            yield _Kept(kind, words)
    if settings.offload is not None:
        yield _Kept("weights", settings.offload)
    if orders.cache_on_gpu is False:
        yield _Kept("cache", told_by.setting_words("cache_on_gpu", None, in_environment=False))


def _leaves_layers(asked: int | None, shape: Geometry, *, pinned: bool) -> bool:
    """Return whether a number of layers leaves some in RAM; 0 is the CPU alone if nothing is pinned."""
    return asked is not None and asked <= len(shape.layers) and (asked > 0 or pinned)


def _weights_kept(orders: Orders) -> Iterator[tuple[str, str, int | None]]:
    """Yield what is kept in RAM, the name of the setting and its number."""
    if orders.all_experts:
        yield "experts", "all_experts", None
    elif orders.expert_layers:
        yield "experts", "expert_layers", orders.expert_layers
    if orders.ffn_layers:
        yield "tensors", "ffn_layers", orders.ffn_layers
    if any(one.device.startswith("CPU") for one in orders.overrides):
        yield "tensors", "overrides", None


def _elsewhere(runner: RunnerRecord | None, orders: Orders, state: State) -> str | None:
    """Say where a part may be that the driver here does not see; ``None`` where it sees all there may be."""
    named = (*orders.devices, *(one.device for one in orders.overrides))
    if orders.other_hosts or "RPC" in named:
        return "a part of it may be on another host (--rpc)"
    unseen = [one for one in (*named, *_logged(runner)) if not _is_seen(one, runner, state)]
    return f"a part of it may be on {unseen[0]}, which the GPU driver here does not know" if unseen else None


def _logged(runner: RunnerRecord | None) -> list[str]:
    """Return the devices that hold a part of it by the log."""
    buffers = runner.placement.buffers if runner and runner.placement else {}
    return [key.device for key in buffers if key.on_gpu and not key.is_of_rank]


def _is_seen(device: str, runner: RunnerRecord | None, state: State) -> bool:
    """Return whether the driver would show what is on a device: Vulkan may use its cards, or others."""
    if device in HOSTS or device.startswith("CPU") or device.endswith("_Host"):
        return True
    if device.startswith("CUDA"):
        return state.gpu_shown
    return device.startswith("Vulkan") and runner is not None and any(runner.vram_by_gpu.values())


def all_on_gpu(model: ModelRecord, state: State) -> Split | None:
    """Return that none of it is in RAM, of a server that fails to start where it does not fit."""
    runner = state.runner_of(model)
    if runner is None or not runner.kind.stays_on_gpu or not runner.measured_vram_bytes:
        return None
    is_settled = runner.answer is not None and runner.answer.state not in UNSETTLED_STATES
    is_split = runner.process.settings.reserve.weights_in_ram_bytes is not None
    return Split(runner.measured_vram_bytes, 0, 0.0) if is_settled and not is_split else None
