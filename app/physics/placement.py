"""Where a model goes on given free memory, as llama.cpp places it, and how much context fits.

Layers are counted from the back, the output being the last: ``offloaded 8/19 layers`` are the output and the
last 7 blocks (llama.cpp b10434 and later). The embedding stays in RAM. Of a model with experts the runtime,
where it may choose, moves nothing but routed experts to RAM, those of the first blocks (llama.cpp:
``common/fit.cpp``). For a model that is loaded already, the placement follows from the server's claim.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from gpumon.app.physics import memory
from gpumon.app.physics.geometry import CacheType, Geometry, LoadOptions
from gpumon.app.physics.memory import PADDING, Placement
from gpumon.text.units import MIB

RUNTIME_MARGIN_BYTES = 457 * MIB
"""What Ollama leaves free of each CUDA device (ollama: ml/device.go, MinimumMemory)."""
LONGEST_CONTEXT = 2**20
"""Where a file does not say what its model was trained with."""


class _Load(NamedTuple):
    """What there is to place."""

    units: list[int]
    """Bytes of each block with its cache and state; the output last."""
    without_experts: list[int]
    """The same, without what a block can leave in RAM."""
    fixed_bytes: int
    """What every GPU that is used holds besides."""
    always_in_ram_bytes: int
    tied_bytes: int
    """Part of ``always_in_ram_bytes`` of which the output is a second copy."""
    pinned: Sequence[int] = ()
    """What each GPU holds wherever the layers are."""


class _Plan(NamedTuple):
    """Layers of each GPU, the last ones of the model, in order."""

    counts: list[int]
    first: int = 0
    """The GPU that holds the rest of the overflowing blocks."""
    overflowing: int = 0
    """Blocks before them of which only the experts are in RAM, the rest on the first GPU."""


def place(
    geometry: Geometry,
    options: LoadOptions,
    free_bytes_by_gpu: Sequence[int],
    margin_bytes: int = RUNTIME_MARGIN_BYTES,
) -> Placement:
    """Return how many layers, and which bytes, go to each GPU.

    Everything goes to one GPU if one has room, else layers are spread by free memory, else as many as fit.
    With ``options.gpu_layers`` so many go there whether they fit or not.
    """
    load, pinned = _load(geometry, options), pinned_by_gpu(geometry, len(free_bytes_by_gpu))
    load = load._replace(pinned=pinned)
    budgets = [
        max(0, free - margin_bytes - held) for free, held in zip(free_bytes_by_gpu, pinned, strict=True)
    ]
    if not budgets:
        load = load._replace(always_in_ram_bytes=load.always_in_ram_bytes + geometry.pinned_bytes)
        return _placement(load, _Plan([]))
    shares = _shares(options, budgets)
    if options.gpu_layers is not None:
        wanted = max(0, min(options.gpu_layers, len(load.units)))
        return _placement(load, _forced(load, budgets, wanted, shares, free_bytes_by_gpu, options.spread))
    if shares:
        plan = _by_share(load, budgets, shares)
        return _placement(load, plan or _partly(load, budgets))
    alone = None if options.spread else _on_one(load, budgets)
    plan = alone or _by_share(load, budgets, free_bytes_by_gpu) or _filled(load, budgets)
    return _placement(load, plan or _partly(load, budgets))


def largest_context(
    geometry: Geometry,
    options: LoadOptions,
    free_bytes_by_gpu: Sequence[int],
    cache_type: CacheType,
    margin_bytes: int = RUNTIME_MARGIN_BYTES,
) -> int | None:
    """Return the most tokens per slot with which all of the model fits; ``None`` if it does not at all.

    A multiple of 256, at most what the model was trained with.
    """
    asked = replace(options, cache_type_k=cache_type, cache_type_v=cache_type, gpu_layers=None)

    def fits(steps: int) -> bool:
        tried = replace(asked, context_length=steps * PADDING)
        return place(geometry, tried, free_bytes_by_gpu, margin_bytes).fits

    low, high = 0, max(1, (geometry.trained_context_length or LONGEST_CONTEXT) // PADDING)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low * PADDING or None


def _load(geometry: Geometry, options: LoadOptions) -> _Load:
    caches = [
        cache + options.parallel * layer.state_bytes
        for layer, cache in zip(geometry.layers, memory.cache_bytes_by_layer(geometry, options), strict=True)
    ]
    moving = caches if options.cache_on_gpu else [0] * len(caches)
    blocks = [layer.movable_bytes + cache for layer, cache in zip(geometry.layers, moving, strict=True)]
    experts = [layer.movable_expert_bytes if geometry.is_moe else 0 for layer in geometry.layers]
    output = memory.output_weights_bytes(geometry)
    output += geometry.projector_bytes + memory.projector_compute_bytes(geometry)
    return _Load(
        units=[*blocks, output],
        without_experts=[*(block - part for block, part in zip(blocks, experts, strict=True)), output],
        fixed_bytes=memory.compute_bytes(geometry, options) + memory.overhead_bytes(),
        always_in_ram_bytes=geometry.token_embedding_bytes
        + geometry.host_bytes
        + geometry.kept_bytes
        + sum(caches)
        - sum(moving),
        tied_bytes=geometry.token_embedding_bytes if geometry.is_tied else 0,
    )


def pinned_by_gpu(geometry: Geometry, gpu_count: int) -> list[int]:
    """Return what each GPU holds of the weights that have one of their own."""
    held = [0] * gpu_count
    for one in geometry.pinned if gpu_count else ():
        held[gpu_of(one.device, gpu_count)] += one.bytes
    return held


def gpu_of(device: str, gpu_count: int) -> int:
    """Return the place of a device by its number, as CUDA counts those that a process may use."""
    number = device[len(device.rstrip("0123456789")) :]
    return min(int(number or 0), gpu_count - 1) if len(number) < 4 else 0


def _shares(options: LoadOptions, budgets: list[int]) -> list[int]:
    """Return what the user has given each GPU, in thousandths; nothing where memory decides."""
    told = [round(1000 * share) for share in options.gpu_shares[: len(budgets)]]
    return told + [0] * (len(budgets) - len(told)) if any(told) else []


def _forced(
    load: _Load, budgets: list[int], wanted: int, shares: list[int], free: Sequence[int], spread: bool
) -> _Plan:
    """Return so many layers, whether they fit or not: as told, else on one GPU if they fit or by memory."""
    best = budgets.index(max(budgets))
    alone = _Plan([wanted if gpu == best else 0 for gpu in range(len(budgets))], best)
    if not shares and not spread and _bytes_by_gpu(load, alone)[best] <= budgets[best]:
        return alone
    counts = shared(wanted, shares or free)
    return _Plan(counts, next((gpu for gpu, count in enumerate(counts) if count), 0))


def _on_one(load: _Load, budgets: list[int]) -> _Plan | None:
    """Return all layers on the GPU with the most room, as Ollama prefers; ``None`` if they do not fit."""
    best = budgets.index(max(budgets))
    plan = _Plan([len(load.units) if gpu == best else 0 for gpu in range(len(budgets))], best)
    return plan if _fits(load, plan, budgets) else None


def _by_share(load: _Load, budgets: list[int], shares: Sequence[int]) -> _Plan | None:
    """Return all layers spread by ``shares``: free memory is llama.cpp's own; ``None`` if they do not fit."""
    plan = _Plan(shared(len(load.units), shares))
    return plan if _fits(load, plan, budgets) else None


def shared(count: int, told: Sequence[int]) -> list[int]:
    """Return how many of ``count`` layers each GPU has by its share of memory, or by ``--tensor-split``.

    Layer ``i`` is on the first GPU with which the shares so far are more than ``i / count`` of all
    (llama.cpp: src/llama-model.cpp, ``get_layer_buft_list``).
    """
    shares = told if any(told) else [1] * len(told)
    ends = [-(-count * sum(shares[: gpu + 1]) // sum(shares)) for gpu in range(len(told))]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def _filled(load: _Load, budgets: list[int]) -> _Plan | None:
    """Return all layers, the GPUs filled from the last layer back; ``None`` if they do not fit."""
    counts = _fill([budget - load.fixed_bytes for budget in budgets], load.units)
    return _Plan(counts) if sum(counts) == len(load.units) else None


def _partly(load: _Load, budgets: list[int]) -> _Plan:
    """Return as many layers as fit, from the first GPU on that can hold any."""
    for first in range(len(budgets)):
        rooms = [budget - load.fixed_bytes if gpu >= first else -1 for gpu, budget in enumerate(budgets)]
        plan = _overflow(load, rooms, first) or _Plan(_fill(rooms, load.units), first)
        if plan.counts[first]:
            return plan
    return _Plan([0] * len(budgets))


def _overflow(load: _Load, rooms: list[int], first: int) -> _Plan | None:
    """Return blocks of which only experts are in RAM; ``None`` if not even the rest of them fits."""
    counts = _fill([room if gpu > first else -1 for gpu, room in enumerate(rooms)], load.units)
    left = len(load.units) - sum(counts)
    rest = load.without_experts[:left]
    experts = [whole - part for whole, part in zip(load.units, rest, strict=False)]
    if not any(experts) or sum(rest) > rooms[first]:
        return None
    (counts[first],) = _fill([rooms[first] - sum(rest)], experts)
    return _Plan(counts, first, left - counts[first])


def _fill(rooms: list[int], units: list[int]) -> list[int]:
    """Return how many units each GPU takes, the last GPU the last units."""
    counts, left = [0] * len(rooms), list(units)
    for gpu in reversed(range(len(rooms))):
        room = rooms[gpu]
        while left and left[-1] <= room:
            room -= left.pop()
            counts[gpu] += 1
    return counts


def _fits(load: _Load, plan: _Plan, budgets: list[int]) -> bool:
    return all(held <= budget for held, budget in zip(_bytes_by_gpu(load, plan), budgets, strict=True))


def _bytes_by_gpu(load: _Load, plan: _Plan) -> list[int]:
    """Return what each GPU holds."""
    start = len(load.units) - sum(plan.counts)
    held = []
    for count in plan.counts:
        held.append(sum(load.units[start : start + count]) + (load.fixed_bytes if count else 0))
        start += count
    if 0 < sum(plan.counts) < len(load.units):
        held[plan.first] += sum(_overflowing(load, plan))
    return held


def _overflowing(load: _Load, plan: _Plan) -> list[int]:
    """Return what is on the first GPU of the blocks whose experts are in RAM."""
    end = len(load.units) - sum(plan.counts)
    return load.without_experts[end - plan.overflowing : end]


def _placement(load: _Load, plan: _Plan) -> Placement:
    on_gpus, held = sum(plan.counts), _bytes_by_gpu(load, plan)
    for gpu, pinned in enumerate(load.pinned[: len(held)]):
        held[gpu] += pinned + (load.fixed_bytes if pinned and not plan.counts[gpu] else 0)
    in_ram = load.always_in_ram_bytes + sum(load.units[: len(load.units) - on_gpus])
    if on_gpus == 0:
        in_ram -= load.tied_bytes  # there is no second copy then
    return Placement(
        layers_on_gpu=on_gpus,
        layer_count=len(load.units),
        vram_bytes=sum(held),
        ram_bytes=in_ram - sum(_overflowing(load, plan)),
        vram_bytes_by_gpu=tuple(held),
        output_on_gpu=on_gpus > 0,
        overflowing_layers=plan.overflowing,
    )


def placement_of_claim(
    geometry: Geometry,
    options: LoadOptions,
    vram_bytes_by_gpu: Sequence[int],
    ram_bytes: int,
) -> Placement:
    """Return the placement that these bytes stand for.

    Layers are in RAM in proportion to the bytes; of a model with experts whose layers the runtime chose,
    the experts of the first blocks (llama.cpp: ``common/fit.cpp``). What its user keeps there moves no layer.
    """
    held, count = sum(vram_bytes_by_gpu), len(geometry.layers) + 1
    beyond = _beyond_kept(geometry, options, ram_bytes)
    in_ram = 0 if beyond <= 0 else max(1, -(-beyond * count // (held + beyond)))
    overflowing = 0
    if in_ram and held and geometry.is_moe and options.gpu_layers is None:
        in_ram = overflowing = _claimed_overflowing(geometry, beyond)
    return Placement(
        layers_on_gpu=count - in_ram,
        layer_count=count,
        vram_bytes=held,
        ram_bytes=ram_bytes,
        vram_bytes_by_gpu=tuple(vram_bytes_by_gpu),
        output_on_gpu=in_ram < count,
        overflowing_layers=overflowing,
    )


def _beyond_kept(geometry: Geometry, options: LoadOptions, ram_bytes: int) -> int:
    """Return what is in RAM beside what its user keeps there, and what always is then."""
    kept = geometry.kept_bytes + (0 if options.cache_on_gpu else memory.kv_cache_bytes(geometry, options))
    if not kept:
        return ram_bytes
    return max(0, ram_bytes - kept - geometry.token_embedding_bytes - geometry.host_bytes)


def _claimed_overflowing(geometry: Geometry, ram_bytes: int) -> int:
    """Return the fewest blocks whose experts, with what is always in RAM, are ``ram_bytes``."""
    left = ram_bytes - geometry.token_embedding_bytes - geometry.host_bytes
    for index, layer in enumerate(geometry.layers):
        if left <= 0:
            return max(1, index)
        left -= layer.movable_expert_bytes
    return len(geometry.layers)
