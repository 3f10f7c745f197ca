"""Where a model is wanted to be, as ``gpumon fit`` is asked: the flags of llama-server, and ``num_gpu``."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from gpumon.app.diagnosis.arithmetic import SPARE_BYTES
from gpumon.app.physics.geometry import CacheType, Geometry, LoadOptions, NoGeometry
from gpumon.app.physics.hardware import Band, Hardware
from gpumon.app.physics.orders import ordered, with_experts_kept
from gpumon.app.physics.placement import place
from gpumon.app.physics.speed import decode_tokens_per_second
from gpumon.collectors.samples import ModelFacts, Orders


class Wishes(Struct, frozen=True):
    """What was asked for; ``None`` and empty where nothing was."""

    gpu_layers: int | None = None
    """All where it is more than there are."""
    expert_layers: int | None = None
    all_experts: bool = False
    shares: tuple[float, ...] = ()
    devices: tuple[int, ...] = ()
    """Numbers of the cards to use, as CUDA counts them, in that order."""
    cache_type_k: CacheType | None = None
    cache_type_v: CacheType | None = None

    @property
    def keeps_experts(self) -> bool:
        """Whether experts are to be in RAM."""
        return self.all_experts or bool(self.expert_layers)

    @property
    def asks_of_experts(self) -> bool:
        """Whether it is the question how many: ``--n-cpu-moe 0`` asks it too."""
        return self.gpu_layers is None and (self.all_experts or self.expert_layers is not None)

    @property
    def experts_flag(self) -> str:
        """The flag that asks for them, as it is typed."""
        return "--cpu-moe" if self.all_experts else f"--n-cpu-moe {self.expert_layers}"


NO_WISHES = Wishes()


def with_wishes(options: LoadOptions, wishes: Wishes) -> LoadOptions:
    """Return the options with what was asked for."""
    asked = wishes.gpu_layers
    return replace(
        options,
        gpu_layers=options.gpu_layers if asked is None else asked,
        gpu_shares=wishes.shares or options.gpu_shares,
        cache_type_k=wishes.cache_type_k or options.cache_type_k,
        cache_type_v=wishes.cache_type_v or options.cache_type_v,
    )


def shaped(geometry: Geometry, facts: ModelFacts, wishes: Wishes) -> Geometry | NoGeometry:
    """Return the model with the experts in RAM that were asked for; of one without experts there are none."""
    if not wishes.keeps_experts or not geometry.is_moe:
        return geometry
    return ordered(
        geometry, facts, Orders(expert_layers=wishes.expert_layers, all_experts=wishes.all_experts)
    )


class BestExperts(NamedTuple):
    """The fewest layers whose experts must be in RAM, so that all else is on the cards."""

    layers: int
    need_bytes: int
    decode: Band | None
    gain_percent: int | None
    """Of the rate as it was asked for; ``None`` where one of them cannot be estimated."""

    @property
    def words(self) -> str:
        """Say that it fits, and what it gives: ``--n-cpu-moe 14 also fits: about +20%``."""
        gain = "" if self.gain_percent is None else f": about {self.gain_percent:+d}%"
        return f"--n-cpu-moe {self.layers} also fits{gain}"


def best_experts(
    geometry: Geometry,
    options: LoadOptions,
    hardware: Hardware,
    free_bytes: Sequence[int],
    now: Band | None,
    context_tokens: int,
) -> BestExperts | None:
    """Return it by the free memory of each card, 512 MiB of it left; ``None`` where not even that fits.

    Experts in RAM pass through buffers of the card: one that is full falls off a cliff.
    """
    wanted = replace(options, gpu_layers=None)
    counts = range(len(geometry.layers) + 1)

    def placed_with(layers: int) -> bool:
        return place(with_experts_kept(geometry, layers), wanted, free_bytes, SPARE_BYTES).fits

    layers = bisect_left(counts, 1, key=lambda count: int(placed_with(count)))
    if not geometry.is_moe or not free_bytes or layers == len(counts):
        return None
    shape = with_experts_kept(geometry, layers)
    placed = place(shape, wanted, free_bytes, SPARE_BYTES)
    rate = decode_tokens_per_second(shape, wanted, hardware, placed, context_tokens)
    gain = round(100 * (rate.expected / now.expected - 1)) if rate and now else None
    return BestExperts(layers, placed.vram_bytes, rate, gain)
