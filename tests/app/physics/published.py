"""Decode rates that others have published, with where each stands, and the models that they are of."""

from __future__ import annotations

from typing import NamedTuple

from gpumon.app.physics.geometry import Geometry, Layer
from gpumon.app.physics.hardware import Card, CardClass, Hardware
from gpumon.app.physics.memory import Placement

GB = 10**9
GIB = 1024**3


def model(
    name: str,
    file_bytes: float,
    layers: int,
    vocabulary: int,
    width: int,
    kv_heads: int,
    head_dimension: int = 128,
    *,
    tied: bool = False,
    bits: float = 4.85,
    embedding_bits: float = 4.5,
    output_bits: float = 6.5625,
    full_every: int = 1,
    sliding_window: int | None = None,
    expert_share: float = 0.0,
    experts: tuple[int, int] = (0, 0),
) -> Geometry:
    """Return a model whose blocks are alike; ``full_every``: one in so many attends to everything."""
    embedding = round(vocabulary * width * (output_bits if tied else embedding_bits) / 8)
    output = None if tied else round(vocabulary * width * output_bits / 8)
    block = round((file_bytes - embedding - (output or 0)) / layers)
    kept = kv_heads * head_dimension

    def layer(index: int) -> Layer:
        full = (index + 1) % full_every == 0
        kind = "full" if full else "sliding_window" if sliding_window else "recurrent"
        attends = full or sliding_window is not None
        return Layer(
            kind=kind,  # type: ignore[arg-type]
            weights_bytes=block,
            expert_bytes=round(block * expert_share),
            k_elements_per_token=kept if attends else 0,
            v_elements_per_token=kept if attends else 0,
            window_tokens=sliding_window if not full else None,
            state_bytes=0 if attends else 3_000_000,
        )

    return Geometry(
        architecture=name,
        layers=tuple(layer(index) for index in range(layers)),
        token_embedding_bytes=embedding,
        output_bytes=output,
        other_bytes=0,
        embedding_length=width,
        vocabulary_size=vocabulary,
        head_count=width // 128,
        trained_context_length=131072,
        expert_count=experts[0],
        expert_used_count=experts[1],
        weight_bits=bits,
    )


LLAMA3_3B = model("llama", 1.87 * GIB, 28, 128256, 3072, 8, tied=True)
LLAMA3_8B = model("llama", 4.58 * GIB, 32, 128256, 4096, 8)
LLAMA3_8B_Q4_0 = model("llama", 4.33 * GIB, 32, 128256, 4096, 8, bits=4.64)
LLAMA3_70B = model("llama", 39.59 * GIB, 80, 128256, 8192, 8)
MINISTRAL_8B = model("llama", 4.57 * GIB, 36, 131072, 4096, 8)
MINISTRAL3_3B = model("mistral3", 2.15 * GB, 26, 131072, 3072, 8, tied=True)
QWEN2_14B = model("qwen2", 8.37 * GIB, 48, 152064, 5120, 8)
QWEN3_4B = model("qwen3", 2.33 * GIB, 36, 151936, 2560, 8, tied=True)
QWEN3_8B = model("qwen3", 4.68 * GIB, 36, 151936, 4096, 8)
QWEN3_14B = model("qwen3", 8.38 * GIB, 40, 151936, 5120, 8)
PHI4 = model("phi3", 8.43 * GIB, 40, 100352, 5120, 10)
GEMMA3_12B = model(
    "gemma3", 7.30 * GB, 48, 262208, 3840, 8, 256, tied=True, full_every=6, sliding_window=1024
)
GEMMA4_31B = model(
    "gemma4", 18.3 * GB, 60, 262144, 5376, 16, 256, tied=True, full_every=6, sliding_window=1024
)
QWEN35_4B = model("qwen35", 2.7 * GB, 32, 248320, 2560, 4, 256, tied=True, full_every=4)
QWEN35_9B = model("qwen35", 5.7 * GB, 32, 248320, 4096, 4, 256, full_every=4)
QWEN35_27B = model("qwen35", 16.8 * GB, 64, 248320, 5120, 4, 256, full_every=4)
GPT_OSS_20B = model(
    "gpt-oss", 11.6 * GB, 24, 201088, 2880, 8, 64, full_every=2, sliding_window=128,
    output_bits=8.5, expert_share=0.955, experts=(32, 4), bits=4.45,
)  # fmt: skip
QWEN35_35B_A3B = model(
    "qwen35moe", 22.1 * GB, 40, 248320, 2048, 2, 256, full_every=4, expert_share=0.92, experts=(256, 8),
)  # fmt: skip
GEMMA4_26B_A4B = model(
    "gemma4", 16.9 * GB, 30, 262144, 2816, 8, 256, tied=True, full_every=6, sliding_window=1024,
    expert_share=0.89, experts=(128, 8),
)  # fmt: skip


class Machine(NamedTuple):
    """A card by its data sheet, and the RAM behind it where a split was measured."""

    name: str
    bandwidth_gb: float
    card_class: CardClass
    ram_gb: float | None = None

    def hardware(self, count: int = 1) -> Hardware:
        card = Card(self.name, 24 * GIB, 24 * GIB, self.bandwidth_gb * GB, self.card_class)
        ram = None if self.ram_gb is None else self.ram_gb * GB
        return Hardware((card,) * count, ram)


RTX_2080 = Machine("RTX 2080", 448, "nvidia_gddr6", 93.9)
RTX_3090 = Machine("RTX 3090", 936, "nvidia_gddr6")
RTX_4080 = Machine("RTX 4080", 717, "nvidia_gddr6")
RTX_4090 = Machine("RTX 4090", 1008, "nvidia_gddr6")
RTX_6000_ADA = Machine("RTX 6000 Ada", 960, "nvidia_gddr6")
RTX_5060_TI = Machine("RTX 5060 Ti", 448, "nvidia_gddr7", 51.2)
RTX_5090 = Machine("RTX 5090", 1792, "nvidia_gddr7")
V100 = Machine("V100", 898, "nvidia_hbm")
A100_PCIE = Machine("A100 PCIe 40GB", 1555, "nvidia_hbm")
A100_SXM = Machine("A100 SXM 80GB", 2039, "nvidia_hbm")
H100_SXM = Machine("H100 SXM", 3352, "nvidia_hopper")
H200_SXM = Machine("H200 SXM", 4917, "nvidia_hopper")
GTX_1080 = Machine("GTX 1080", 320, "nvidia_pascal")
P100 = Machine("P100", 732, "nvidia_p100")


class Row(NamedTuple):
    """One published rate: everything on the GPUs unless ``gpu_layers`` says how many blocks were."""

    model: Geometry
    machine: Machine
    rate: float
    source: str
    context_tokens: int = 64
    cards: int = 1
    gpu_layers: int | None = None

    @property
    def placement(self) -> Placement:
        blocks = len(self.model.layers)
        if self.gpu_layers is None:
            share = self.model.file_bytes // self.cards
            return Placement(blocks + 1, blocks + 1, share * self.cards, 0, (share,) * self.cards)
        in_ram = sum(layer.weights_bytes for layer in self.model.layers[: blocks - self.gpu_layers])
        on_gpu = self.model.file_bytes - in_ram
        return Placement(self.gpu_layers, blocks + 1, on_gpu, in_ram, (on_gpu,))


KHMEL = "pavlokhmel.com/llm_throughput_benchmark_on_13_gpus_and_10_models.html"
LLMFIT_773 = "github.com/AlexsJones/llmfit/pull/773"
LLMFIT_774 = "github.com/AlexsJones/llmfit/pull/774"
LLAMA_19053 = "github.com/ggml-org/llama.cpp/pull/19053"
XIONGJIE = "github.com/XiongjieDai/GPU-Benchmarks-on-LLM-Inference"
CONTINUUM = "github.com/CambrianTech/continuum/pull/1627"
CLIFF = "inventivehq.com/blog/vram-offload-cliff-gpu-layers-benchmark"

_KHMEL_CARDS = (GTX_1080, P100, V100, A100_PCIE, A100_SXM, RTX_4080, RTX_4090, H100_SXM, H200_SXM)
_KHMEL_RATES: tuple[tuple[Geometry, tuple[float | None, ...]], ...] = (
    (MINISTRAL3_3B, (65, 65, 151, 184, 211, 210, 271, 308, 319)),
    (QWEN35_4B, (48, 49, 113, 145, 154, 164, 206, 234, 251)),
    (QWEN35_9B, (28, 32, 85, 113, 123, 105, 137, 190, 213)),
    (GPT_OSS_20B, (None, 65, 138, 180, 189, 210, 266, 286, 327)),
    (QWEN35_27B, (None, None, 31, 41, 46, None, 47, 74, 82)),
    (GEMMA4_26B_A4B, (None, None, 84, 108, 116, None, 149, 181, 185)),
    (GEMMA4_31B, (None, None, 28, 37, 43, None, 35, 68, 75)),
    (QWEN35_35B_A3B, (None, None, 92, 120, 128, None, 180, 194, 210)),
)

ON_GPU: tuple[Row, ...] = (
    *(
        Row(geometry, machine, rate, KHMEL)
        for geometry, rates in _KHMEL_RATES
        for machine, rate in zip(_KHMEL_CARDS, rates, strict=True)
        if rate is not None
    ),
    Row(LLAMA3_8B, RTX_2080, 71.9, LLMFIT_773),
    Row(QWEN3_4B, RTX_2080, 110.6, LLMFIT_773),
    Row(QWEN3_8B, RTX_2080, 69.3, LLMFIT_773),
    Row(MINISTRAL_8B, RTX_2080, 70.5, LLMFIT_773),
    Row(LLAMA3_3B, RTX_6000_ADA, 315.5, LLAMA_19053),
    Row(LLAMA3_8B_Q4_0, RTX_6000_ADA, 168.9, LLAMA_19053),
    Row(GPT_OSS_20B, RTX_6000_ADA, 253.8, LLAMA_19053),
    Row(LLAMA3_70B, RTX_3090, 16.57, XIONGJIE, context_tokens=256, cards=2),
    Row(LLAMA3_70B, RTX_4090, 19.22, XIONGJIE, context_tokens=256, cards=2),
    Row(QWEN2_14B, RTX_5060_TI, 43.18, CLIFF),
    Row(QWEN3_8B, RTX_5090, 221.7, CONTINUUM),
)
"""Everything on GPUs."""

SPLIT: tuple[Row, ...] = (
    Row(QWEN2_14B, RTX_5060_TI, 2.89, CLIFF, gpu_layers=0),
    Row(QWEN2_14B, RTX_5060_TI, 3.58, CLIFF, gpu_layers=8),
    Row(QWEN2_14B, RTX_5060_TI, 4.24, CLIFF, gpu_layers=16),
    Row(QWEN2_14B, RTX_5060_TI, 5.61, CLIFF, gpu_layers=24),
    Row(QWEN2_14B, RTX_5060_TI, 7.26, CLIFF, gpu_layers=32),
    Row(QWEN2_14B, RTX_5060_TI, 12.5, CLIFF, gpu_layers=40),
    Row(GEMMA3_12B, RTX_2080, 26.1, LLMFIT_774, gpu_layers=44),
    Row(QWEN3_14B, RTX_2080, 16.9, LLMFIT_774, gpu_layers=32),
    Row(PHI4, RTX_2080, 16.7, LLMFIT_774, gpu_layers=32),
)
"""Partly in RAM: nominal bandwidths of dual DDR4-3200 (assumed) and quad DDR4-2933 (Core i9-10900X)."""
