"""How fast a model generates and reads prompts on given hardware: a band, from bandwidths.

    t_token = sum over GPUs of (weights x q + cache) / (efficiency x bandwidth)
              + weights in RAM / (share x RAM bandwidth) + seconds per block x blocks on GPU

The stages are serial: a GPU waits for the CPU and for the other GPUs. docs/speed.md has sources and errors.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from gpumon.app.physics import efficiency
from gpumon.app.physics.efficiency import (
    BACKEND_COST,
    EFFICIENCY,
    KV_COST,
    KV_COST_WITHOUT_FLASH_ATTENTION,
    KV_TYPE_COST,
    RADEONS,
    SERVER_COST,
)
from gpumon.app.physics.geometry import BYTES_PER_ELEMENT, CacheType, Geometry, Layer, LoadOptions
from gpumon.app.physics.hardware import Band, Card, Hardware
from gpumon.app.physics.memory import Placement


class Traffic(Struct, frozen=True):
    """Bytes per generated token in one place; cache bytes are weighted by what they cost to read."""

    weights_bytes: float = 0.0
    """Of one token: the routed experts that it uses, no others."""
    expert_bytes: float = 0.0
    """Part of ``weights_bytes``."""
    cache_bytes: float = 0.0
    blocks: int = 0
    """Whose kernels run there."""
    expert_layers: int = 0

    def __add__(self, other: Traffic) -> Traffic:
        return _sum((self, other))

    def experts(self) -> Traffic:
        """Return the part of the routed experts."""
        return Traffic(self.expert_bytes, self.expert_bytes, expert_layers=self.expert_layers)

    def without_experts(self) -> Traffic:
        """Return the rest."""
        return Traffic(
            self.weights_bytes - self.expert_bytes, cache_bytes=self.cache_bytes, blocks=self.blocks
        )

    def less(self, part: Traffic) -> Traffic:
        """Return it without what is read elsewhere; the kernels of its blocks stay."""
        return Traffic(
            self.weights_bytes - part.weights_bytes,
            self.expert_bytes - part.expert_bytes,
            self.cache_bytes - part.cache_bytes,
            self.blocks,
            self.expert_layers - part.expert_layers,
        )

    @property
    def total_bytes(self) -> float:
        """Weights and cache."""
        return self.weights_bytes + self.cache_bytes


def traffic_of(
    geometry: Geometry, options: LoadOptions, placement: Placement, context_tokens: int
) -> tuple[Traffic, Traffic]:
    """Return what is read on the GPUs and what in RAM, with ``context_tokens`` in the context.

    The last blocks are on the GPU; of those that overflow before them only the routed experts are in RAM.
    Of the embedding one row is read, which is nothing.
    """
    blocks = _blocks(geometry, options, context_tokens)
    first_whole = len(blocks) - placement.blocks_on_gpu
    first = max(0, first_whole - placement.overflowing_layers)
    kept = [_kept_traffic(layer, geometry, options, context_tokens) for layer in geometry.layers]
    overflowing = _sum(blocks[first:first_whole])
    on_gpu = _sum(blocks[first_whole:]) + overflowing.without_experts()
    on_cpu = _sum(blocks[:first]) + overflowing.experts()
    if placement.layers_on_gpu:
        staying = _sum(kept[first_whole:])
        on_gpu, on_cpu = on_gpu.less(staying), on_cpu + staying
    if geometry.pinned and any(placement.vram_bytes_by_gpu):
        pinned = _sum([_pinned_traffic(layer, geometry) for layer in geometry.layers[:first]])
        on_gpu, on_cpu = on_gpu + pinned, on_cpu.less(pinned)
    output_on_gpu = placement.fits or placement.output_on_gpu
    in_ram = geometry.kept_output_bytes if output_on_gpu else output_bytes(geometry)
    on_gpu += Traffic(weights_bytes=float(output_bytes(geometry) - in_ram))
    return on_gpu, on_cpu + Traffic(weights_bytes=float(in_ram))


def output_bytes(geometry: Geometry) -> int:
    """Return the bytes of the matrix that makes logits: the embedding's own where it is tied."""
    return geometry.token_embedding_bytes if geometry.output_bytes is None else geometry.output_bytes


def used_experts_share(geometry: Geometry) -> float:
    """Return which share of the routed experts one token passes through."""
    return geometry.expert_used_count / geometry.expert_count if geometry.is_moe else 1.0


def _blocks(geometry: Geometry, options: LoadOptions, context_tokens: int) -> list[Traffic]:
    """Return the traffic of each layer; the layers of a model are of a few kinds, each worked out once."""
    kinds: dict[Layer, Traffic] = {}
    for layer in geometry.layers:
        if layer not in kinds:
            kinds[layer] = _layer_traffic(layer, geometry, options, context_tokens)
    return [kinds[layer] for layer in geometry.layers]


def _layer_traffic(layer: Layer, geometry: Geometry, options: LoadOptions, context_tokens: int) -> Traffic:
    experts = layer.expert_bytes * used_experts_share(geometry)
    return Traffic(
        weights_bytes=layer.weights_bytes - layer.expert_bytes + experts,
        expert_bytes=experts,
        cache_bytes=_cache_cost(layer, options, context_tokens),
        blocks=1,
        expert_layers=int(geometry.is_moe and layer.expert_bytes > 0),
    )


def _kept_traffic(layer: Layer, geometry: Geometry, options: LoadOptions, context_tokens: int) -> Traffic:
    """Return what of a layer on a GPU is read in RAM, because the user has asked for it."""
    experts = layer.kept_expert_bytes * used_experts_share(geometry)
    return Traffic(
        weights_bytes=layer.kept_bytes - layer.kept_expert_bytes + experts,
        expert_bytes=experts,
        cache_bytes=0.0 if options.cache_on_gpu else _cache_cost(layer, options, context_tokens),
        expert_layers=int(geometry.is_moe and layer.kept_expert_bytes > 0),
    )


def _pinned_traffic(layer: Layer, geometry: Geometry) -> Traffic:
    """Return what of a layer in RAM is read on a GPU, because the user has asked for it."""
    experts = layer.pinned_expert_bytes * used_experts_share(geometry)
    return Traffic(
        weights_bytes=layer.pinned_bytes - layer.pinned_expert_bytes + experts,
        expert_bytes=experts,
        expert_layers=int(geometry.is_moe and layer.pinned_expert_bytes > 0),
    )


def _cache_cost(layer: Layer, options: LoadOptions, context_tokens: int) -> float:
    """Return the weighted bytes of K and V, or of the state, which is read and written back."""
    if layer.kind == "recurrent":
        return 2.0 * layer.state_bytes
    window = layer.window_tokens if layer.kind == "sliding_window" else None
    tokens = context_tokens if window is None else min(context_tokens, window)
    k = layer.k_elements_per_token * _element_cost(options.cache_type_k)
    v = layer.v_elements_per_token * _element_cost(options.cache_type_v)
    return tokens * (k + v) * (KV_COST if options.flash_attention else KV_COST_WITHOUT_FLASH_ATTENTION)


def _element_cost(cache_type: CacheType) -> float:
    return BYTES_PER_ELEMENT[cache_type] * KV_TYPE_COST.get(cache_type, 1.0)


def _sum(parts: Sequence[Traffic]) -> Traffic:
    return Traffic(
        sum([part.weights_bytes for part in parts]),
        sum([part.expert_bytes for part in parts]),
        sum([part.cache_bytes for part in parts]),
        sum([part.blocks for part in parts]),
        sum([part.expert_layers for part in parts]),
    )


class TokenTime(Struct, frozen=True):
    """Seconds for one token, by where they go; uncalibrated."""

    gpu_seconds: float
    cpu_seconds: float


def decode_tokens_per_second(
    geometry: Geometry,
    options: LoadOptions,
    hardware: Hardware,
    placement: Placement,
    context_tokens: int,
    engine_cost: float = SERVER_COST,
) -> Band | None:
    """Return tokens per second of one request with ``context_tokens`` in its context.

    ``None`` where a bandwidth that matters is not known, and for a model that writes no tokens.
    """
    if not geometry.writes or all(layer.kind == "stateless" for layer in geometry.layers):
        return None
    time = token_time(geometry, options, hardware, placement, context_tokens, engine_cost)
    if time is None:
        return None
    gpu = time.gpu_seconds / hardware.decode_scale
    cpu = time.cpu_seconds / hardware.cpu_scale
    return _band(1 / (gpu + cpu), _spread(geometry, hardware, cpu / (gpu + cpu)))


def token_time(
    geometry: Geometry,
    options: LoadOptions,
    hardware: Hardware,
    placement: Placement,
    context_tokens: int,
    engine_cost: float = SERVER_COST,
) -> TokenTime | None:
    """Return where the time of a token goes, before any calibration; ``None`` without a bandwidth."""
    on_gpu, on_cpu = traffic_of(geometry, options, placement, context_tokens)
    gpu = _gpu_seconds(geometry, on_gpu, hardware, placement)
    cpu = _cpu_seconds(on_cpu, hardware)
    if gpu is None or cpu is None or gpu + cpu <= 0:
        return None
    cost = engine_cost
    return TokenTime(gpu * cost, cpu * cost)


def ram_bandwidth_of_rate(
    geometry: Geometry,
    options: LoadOptions,
    hardware: Hardware,
    placement: Placement,
    context_tokens: int,
    observed_tokens_per_second: float,
) -> float | None:
    """Return the nominal RAM bandwidth with which the prediction is what was observed of a split model.

    ``None`` where nothing is in RAM, or the GPU part alone would take longer.
    """
    unit = _with_ram_bandwidth(hardware, 1.0)
    time = token_time(geometry, options, unit, placement, context_tokens)
    if time is None or observed_tokens_per_second <= 0:
        return None
    fixed = efficiency.EXPERT_LAYER_SECONDS * traffic_of(geometry, options, placement, 0)[1].expert_layers
    left = 1 / observed_tokens_per_second - time.gpu_seconds / hardware.decode_scale - fixed
    reading = time.cpu_seconds - fixed
    return reading / left if left > 0 and reading > 0 else None


def prefill_tokens_per_second(
    geometry: Geometry,
    options: LoadOptions,
    hardware: Hardware,
    placement: Placement,
    context_tokens: int,
    engine_cost: float = SERVER_COST,
) -> Band | None:
    """Return prompt tokens per second, with ``context_tokens`` in the context when they are read.

    Weights in RAM are copied to the GPU for every micro-batch, so that a split model is bound by its PCIe
    link. ``None`` without a GPU, or where a bandwidth or the bits per weight are not known.
    """
    flops = _flops_per_token(geometry, context_tokens)
    speed = _flops_per_second(hardware.cards, placement)
    copying = _copy_seconds(geometry, options, hardware.cards, placement)
    if flops is None or speed is None or copying is None:
        return None
    seconds = (flops / speed + copying) * engine_cost / hardware.decode_scale
    return _band(1 / seconds, efficiency.SPREAD_PREFILL)


def _gpu_seconds(
    geometry: Geometry, traffic: Traffic, hardware: Hardware, placement: Placement
) -> float | None:
    """Return the time of reading, and that of launching the kernels of every block there."""
    if not hardware.cards or (placement.layers_on_gpu == 0 and not geometry.pinned):
        return 0.0
    shares = _shares(hardware.cards, placement)
    speeds = [_bytes_per_second(card) for card, _ in shares]
    if not shares or any(speed is None for speed in speeds):
        return None
    low_bits = geometry.weight_bits is not None and geometry.weight_bits < efficiency.LOW_BITS
    cost = efficiency.LOW_BIT_COST if low_bits else 1.0
    size = traffic.weights_bytes * cost + traffic.cache_bytes
    reading = sum(size * share / speed for (_, share), speed in zip(shares, speeds, strict=True) if speed)
    handover = efficiency.GPU_HANDOVER_COST if len(shares) > 1 else 1.0
    return reading * handover + traffic.blocks * _layer_seconds(geometry, shares)


def _cpu_seconds(traffic: Traffic, hardware: Hardware) -> float | None:
    if traffic.total_bytes <= 0:
        return 0.0
    peak = hardware.ram_bandwidth_bytes_per_second
    if not peak:
        return None
    if not hardware.cards:
        return traffic.total_bytes / (efficiency.CPU_SHARE * peak)
    dense = traffic.total_bytes - traffic.expert_bytes
    return (
        dense / (efficiency.CPU_SHARE_OF_SPLIT * peak)
        + traffic.expert_bytes / (efficiency.CPU_SHARE_OF_EXPERTS * peak)
        + traffic.expert_layers * efficiency.EXPERT_LAYER_SECONDS
    )


def _shares(cards: tuple[Card, ...], placement: Placement) -> list[tuple[Card, float]]:
    """Return the cards that hold a part of the model, each with its share of the part on GPUs."""
    whole = sum(placement.vram_bytes_by_gpu)
    pairs = zip(cards, placement.vram_bytes_by_gpu, strict=False)
    return [(card, held / whole) for card, held in pairs if held > 0]


def _bytes_per_second(card: Card) -> float | None:
    if not card.bandwidth_bytes_per_second:
        return None
    return card.bandwidth_bytes_per_second * EFFICIENCY[card.generation].decode / _backend_cost(card)


def _backend_cost(card: Card) -> float:
    return BACKEND_COST[card.backend] if card.card_class in RADEONS else 1.0


def _layer_seconds(geometry: Geometry, shares: list[tuple[Card, float]]) -> float:
    cost = efficiency.IRREGULAR_LAYER_COST ** (geometry.is_moe + geometry.is_hybrid)
    if geometry.architecture in efficiency.SANDWICH_NORM_ARCHITECTURES:
        cost *= efficiency.SANDWICH_NORM_LAYER_COST
    seconds = [
        EFFICIENCY[card.generation].layer_seconds * _backend_cost(card) * share for card, share in shares
    ]
    return cost * sum(seconds)


def _flops_per_token(geometry: Geometry, context_tokens: int) -> float | None:
    """Return two operations per weight, and per token of context four per attending dimension."""
    if not geometry.weight_bits:
        return None
    on_gpu, on_cpu = traffic_of(geometry, LoadOptions(context_tokens), _EVERYTHING_IN_RAM, 0)
    weights = (on_gpu + on_cpu).weights_bytes * 8 / geometry.weight_bits
    attending = sum(layer.kind in {"full", "mla"} for layer in geometry.layers)
    return 2 * weights + 4 * geometry.embedding_length * attending * context_tokens


_EVERYTHING_IN_RAM = Placement(
    layers_on_gpu=0, layer_count=1, vram_bytes=0, ram_bytes=1, vram_bytes_by_gpu=()
)


def _flops_per_second(cards: tuple[Card, ...], placement: Placement) -> float | None:
    """Return the arithmetic of the cards that hold the model, one after another."""
    shares = _shares(cards, placement)
    if not shares or any(not card.bandwidth_bytes_per_second for card, _ in shares):
        return None
    seconds = sum(
        share / (EFFICIENCY[card.generation].prefill_flops_per_byte * (card.bandwidth_bytes_per_second or 0))
        for card, share in shares
    )
    return 1 / seconds


def _copy_seconds(
    geometry: Geometry, options: LoadOptions, cards: tuple[Card, ...], placement: Placement
) -> float | None:
    """Return the time per token in which weights are copied to the first GPU, all experts included."""
    first_whole = len(geometry.layers) - placement.blocks_on_gpu
    in_ram = sum(layer.weights_bytes for layer in geometry.layers[:first_whole])
    in_ram += sum(layer.kept_bytes for layer in geometry.layers[first_whole:])
    if placement.fits and not geometry.kept_bytes:
        return 0.0
    link = cards[0].link_bytes_per_second if cards else None
    return None if link is None else in_ram / (options.micro_batch_size * link)


def _spread(geometry: Geometry, hardware: Hardware, cpu_share: float) -> float:
    """Return how far nine of ten rates lie from the prediction: that of GPU and CPU, by their time."""
    is_nvidia = all(card.card_class.startswith("nvidia") for card in hardware.cards)
    gpu = efficiency.SPREAD_NVIDIA if is_nvidia else efficiency.SPREAD_OTHER
    cpu = efficiency.SPREAD_CPU_EXPERTS if geometry.is_moe else efficiency.SPREAD_CPU
    if hardware.is_calibrated:
        gpu = efficiency.SPREAD_CALIBRATED
        experts = efficiency.SPREAD_CPU_EXPERTS_CALIBRATED
        cpu = experts if geometry.is_moe else efficiency.SPREAD_CPU_CALIBRATED
    return gpu * (1 - cpu_share) + cpu * cpu_share


def _band(expected: float, spread: float) -> Band:
    return Band(expected / (1 + spread), expected, expected * (1 + spread))


def _with_ram_bandwidth(hardware: Hardware, bytes_per_second: float) -> Hardware:
    return Hardware(hardware.cards, bytes_per_second, hardware.decode_scale, hardware.cpu_scale)
