"""What part of its nominal bandwidth a device reaches, and how sure that is: fitted constants.

Fitted to published decode rates; docs/speed.md has the rows, the errors and what they mean.
"""

from __future__ import annotations

from typing import NamedTuple

from gpumon.app.physics.geometry import CacheType
from gpumon.app.physics.hardware import Backend, Generation


class Efficiency(NamedTuple):
    """How a class of cards differs from its data sheet."""

    decode: float
    """Share of the nominal bandwidth while weights are read."""
    layer_seconds: float
    """Launching one block's kernels."""
    prefill_flops_per_byte: float
    """Arithmetic of a prefill, per byte per second of nominal bandwidth (from published pp512 rates)."""


EFFICIENCY: dict[Generation, Efficiency] = {
    "nvidia_turing": Efficiency(0.93, 68e-6, 90),
    "nvidia_gddr6": Efficiency(0.84, 44e-6, 90),
    "nvidia_ada": Efficiency(0.94, 48e-6, 90),
    "nvidia_gddr7": Efficiency(0.91, 44e-6, 110),
    "nvidia_volta": Efficiency(0.92, 144e-6, 32),
    "nvidia_hbm": Efficiency(0.69, 112e-6, 32),
    "nvidia_hopper": Efficiency(0.68, 80e-6, 32),
    "nvidia_pascal": Efficiency(0.49, 76e-6, 25),
    "nvidia_gtx1050": Efficiency(0.42, 132e-6, 18),
    "nvidia_p40": Efficiency(0.68, 60e-6, 25),
    "nvidia_p100": Efficiency(0.30, 200e-6, 15),
    "nvidia_soc": Efficiency(0.75, 40e-6, 130),
    "apple": Efficiency(0.82, 68e-6, 20),
    "amd": Efficiency(0.92, 68e-6, 42),
    "apu": Efficiency(0.86, 82e-6, 50),
}
RADEONS = frozenset({"amd", "apu"})
BACKEND_COST: dict[Backend | None, float] = {"vulkan": 1.0, "hip": 1.14, None: 1.07}
"""Time for a token on a Radeon over that with Vulkan; between the two where it is not known which."""

CPU_SHARE = 0.60
"""Of the nominal RAM bandwidth, where no GPU takes part (0.58 to 0.63)."""
CPU_SHARE_OF_SPLIT = 0.50
"""The same of a split model, where CPU and GPU wait for each other (0.44 to 0.75)."""
CPU_SHARE_OF_EXPERTS = 0.40
"""The same for routed experts, which are scattered over RAM (0.15 to 0.6)."""
EXPERT_LAYER_SECONDS = 0.2e-3
"""Handing over to the CPU and back, for each block whose experts are in RAM."""
IRREGULAR_LAYER_COST = 1.2
"""There are more kernels in a block with experts, and in one of a hybrid model."""
SANDWICH_NORM_LAYER_COST = 1.55
"""The same of a block that normalises before and after both of its parts."""
SANDWICH_NORM_ARCHITECTURES = frozenset({"gemma2", "gemma3", "gemma3n", "gemma4"})

LOW_BITS = 4.32
"""Files below it are 1 to 3 bit types (Q3_K_L: 4.30; MXFP4 and IQ4_XS lie above)."""
LOW_BIT_COST = 1.16
"""Unpacking such weights takes time beyond reading them."""

KV_COST = 1.3
"""A byte of the cache costs so much more to read than one of weights, with flash attention."""
KV_COST_WITHOUT_FLASH_ATTENTION = 2.5
KV_TYPE_COST: dict[CacheType, float] = {
    "q8_0": 1.09,
    "q5_1": 1.4,
    "q5_0": 1.4,
    "q4_1": 1.64,
    "q4_0": 1.64,
    "iq4_nl": 1.64,
}
"""Further cost per byte of a quantised cache, 1 for the others (Strix Halo: 0.74, 0.68, 0.45 of nominal)."""

GPU_HANDOVER_COST = 1.03
"""A model on several GPUs: they work one after another (1.02 to 1.05)."""
BENCHMARK_COST = 1.0
SERVER_COST = 1.03
"""Time for a token over that of llama-bench: a server samples and writes every token, llama-bench does not
(1.07 where averages over wall time were compared, 1.0 where only generation was timed)."""

SPREAD_NVIDIA = 0.25
"""Nine of ten rates on NVIDIA cards lie within this of the prediction, those never seen among them."""
SPREAD_OTHER = 0.40
"""The same for other cards: by which backend they compute is often not known."""
SPREAD_CALIBRATED = 0.20
"""The same after one rate was observed on the machine."""
SPREAD_CPU = 0.26
"""The same for the part in RAM, on machines that were not in the fit."""
SPREAD_CPU_CALIBRATED = 0.22
SPREAD_CPU_EXPERTS = 0.8
"""The same for experts in RAM: a factor of 1.8 either way."""
SPREAD_CPU_EXPERTS_CALIBRATED = 0.40
SPREAD_PREFILL = 0.8
"""Prefill depends on arithmetic units that the driver does not name."""
