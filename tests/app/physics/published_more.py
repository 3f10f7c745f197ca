"""Further published decode rates; every third of them took no part in setting a constant."""

from __future__ import annotations

from typing import Any

from tests.app.physics import published as known
from tests.app.physics.published import GIB, XIONGJIE, Machine, Row, model

from gpumon.app.physics.geometry import Geometry

LLMFIT = "github.com/AlexsJones/llmfit: llmfit-core/data/community"
"""Each a file of its folder: Q4_K_M, one slot, context 4096."""
BENCH = "llama-bench logs found by their table: tg128, ngl 99"

RTX_5070 = Machine("RTX 5070", 672, "nvidia_gddr7")
RTX_3060 = Machine("RTX 3060", 360, "nvidia_gddr6")
RTX_3080 = Machine("RTX 3080", 760, "nvidia_gddr6")
RTX_4070_TI = Machine("RTX 4070 Ti", 504, "nvidia_gddr6")
RTX_4070_LAPTOP = Machine("RTX 4070 Laptop", 256, "nvidia_gddr6")
RTX_PRO_6000 = Machine("RTX PRO 6000", 1792, "nvidia_gddr7")
P40 = Machine("P40", 347, "nvidia_p40")
GB10 = Machine("GB10", 273, "nvidia_soc")
RX_7900_XT = Machine("RX 7900 XT", 800, "amd")


F16: dict[str, Any] = {"bits": 16, "embedding_bits": 16, "output_bits": 16}
Q8: dict[str, Any] = {"bits": 8.5, "embedding_bits": 8.5, "output_bits": 8.5}
Q6: dict[str, Any] = {"bits": 6.56, "embedding_bits": 6.56}
Q5: dict[str, Any] = {"bits": 5.7, "embedding_bits": 5.5}
GEMMA_2: dict[str, Any] = {"tied": True, "full_every": 2, "sliding_window": 4096}
GEMMA_3: dict[str, Any] = {"tied": True, "full_every": 6, "sliding_window": 1024}


def small(
    name: str, gigabytes: float, layers: int, vocabulary: int, width: int, kv_heads: int, length: int = 128,
    **options: Any,  # noqa: ANN401 - those of ``published.model``
) -> Geometry:  # fmt: skip
    """Return a model by the size of its file in 10^9 bytes."""
    return model(name, gigabytes * 1e9, layers, vocabulary, width, kv_heads, length, **options)


LLAMA_1B = small("llama", 0.808, 16, 128256, 2048, 8, 64, tied=True)
SMOLLM2 = small("llama", 1.056, 24, 49152, 2048, 32, 64, tied=True)
SMOLLM2_F16 = model("llama", 3.19 * GIB, 24, 49152, 2048, 32, 64, tied=True, **F16)
QWEN3_1_7B = small("qwen3", 1.107, 28, 151936, 2048, 8, tied=True)
QWEN25_3B = small("qwen2", 1.93, 36, 151936, 2048, 2, tied=True)
GEMMA2_2B = small("gemma2", 1.709, 26, 256000, 2304, 4, 256, **GEMMA_2)
GEMMA2_2B_Q5 = model("gemma2", 1.79 * GIB, 26, 256000, 2304, 4, 256, bits=5.7, **GEMMA_2)
PHI35_MINI = small("phi3", 2.393, 32, 32064, 3072, 32, 96)
GEMMA3_4B = small("gemma3", 2.49, 34, 262208, 2560, 4, 256, **GEMMA_3)
GEMMA3_4B_F16 = model("gemma3", 7.23 * GIB, 34, 262208, 2560, 4, 256, **GEMMA_3, **F16)
GEMMA4_12B = model("gemma4", 6.86 * GIB, 48, 262144, 3840, 8, 256, **GEMMA_3)
MISTRAL_7B = small("llama", 4.372, 32, 32768, 4096, 8)
QWEN25_7B = small("qwen2", 4.683, 28, 152064, 3584, 4)
FALCON3_7B = small("llama", 4.57, 28, 131072, 3072, 4, 256)
GRANITE_8B = small("granite", 4.943, 40, 49155, 4096, 8, tied=True)
YI_9B = small("llama", 5.33, 48, 64000, 4096, 4)
NEMO_12B = small("llama", 7.477, 40, 131072, 5120, 8)
MISTRAL_24B = small("llama", 14.33, 40, 131072, 5120, 8)
PHI3_MEDIUM = small("phi3", 8.57, 40, 32064, 5120, 10)
QWEN25_14B = small("qwen2", 8.988, 48, 152064, 5120, 8)
QWEN25_14B_Q5 = model("qwen2", 9.78 * GIB, 48, 152064, 5120, 8, **Q5)
LLAMA2_7B_Q4_0 = model("llama", 3.56 * GIB, 32, 32000, 4096, 32, bits=4.5)
LLAMA2_7B_Q4_K_S = model("llama", 3.59 * GIB, 32, 32000, 4096, 32, bits=4.58)
LLAMA3_8B_F16 = model("llama", 14.96 * GIB, 32, 128256, 4096, 8, **F16)
LLAMA3_8B_Q8 = model("llama", 7.95 * GIB, 32, 128256, 4096, 8, **Q8)
LLAMA3_8B_Q5 = model("llama", 5.33 * GIB, 32, 128256, 4096, 8, **Q5)
LLAMA3_3B_F16 = model("llama", 5.98 * GIB, 28, 128256, 3072, 8, tied=True, **F16)
QWEN3_4B_F16 = model("qwen3", 7.49 * GIB, 36, 151936, 2560, 8, tied=True, **F16)
MINISTRAL3_3B_F16 = model("mistral3", 6.39 * GIB, 26, 131072, 3072, 8, tied=True, **F16)
MINISTRAL3_14B_Q5 = model("mistral3", 8.95 * GIB, 40, 131072, 5120, 8, **Q5)
MINISTRAL3_14B_Q6 = model("mistral3", 10.32 * GIB, 40, 131072, 5120, 8, **Q6)
NEMOTRON_9B_Q6 = model("nemotron_h", 8.5 * GIB, 56, 131072, 4480, 8, full_every=14, **Q6)
QWEN35_9B_Q8 = model("qwen35", 8.86 * GIB, 32, 248320, 4096, 4, 256, full_every=4, **Q8)
QWEN38_27B = model("qwen35", 15.32 * GIB, 64, 248320, 5120, 4, 256, full_every=4)
DEEPSEEK_LITE = small("deepseek2", 10.36, 27, 102400, 2048, 1, 576, experts=(64, 6), expert_share=0.93)
QWEN3_30B_A3B = small("qwen3moe", 18.56, 48, 151936, 2048, 4, experts=(128, 8), expert_share=0.94)
QWEN35_35B_A3B = model(
    "qwen35moe", 19.71 * GIB, 40, 248320, 2048, 2, 256, full_every=4, expert_share=0.92, experts=(256, 8)
)
GEMMA4_26B_A4B = model(
    "gemma4", 13.26 * GIB, 30, 262144, 2816, 8, 256, **GEMMA_3, bits=4.5, expert_share=0.86, experts=(128, 8)
)

_BY_MACHINE: tuple[tuple[str, Machine, tuple[tuple[Geometry, float], ...]], ...] = (
    (
        LLMFIT,
        RTX_5070,
        (
            (LLAMA_1B, 465.98), (SMOLLM2, 361.96), (QWEN3_1_7B, 321.91), (QWEN25_3B, 208.99),
            (known.LLAMA3_3B, 204.79), (GEMMA2_2B, 199.45), (PHI35_MINI, 176.1), (known.QWEN3_4B, 155.99),
            (GEMMA3_4B, 152.87), (MISTRAL_7B, 111.54), (QWEN25_7B, 110.96), (FALCON3_7B, 108.74),
            (known.LLAMA3_8B, 105.32), (known.MINISTRAL_8B, 104.44), (known.QWEN3_8B, 102.95),
            (GRANITE_8B, 97.38), (YI_9B, 95.56), (NEMO_12B, 72.42), (PHI3_MEDIUM, 63.41),
            (known.GEMMA3_12B, 63.22), (known.QWEN3_14B, 59.01), (known.PHI4, 58.44), (QWEN25_14B, 58.12),
        ),
    ),
    (
        LLMFIT,
        known.RTX_2080,
        (
            (MISTRAL_7B, 77.76), (QWEN25_7B, 76.96), (known.LLAMA3_3B, 140.33), (LLAMA_1B, 304.27),
            (GEMMA2_2B, 140.27), (QWEN25_3B, 136.51), (PHI35_MINI, 121.46), (GRANITE_8B, 65.63),
            (FALCON3_7B, 75.78),
        ),
    ),
    (
        LLMFIT,
        RX_7900_XT,
        (
            (LLAMA_1B, 375.97), (SMOLLM2, 325.08), (QWEN3_1_7B, 282.06), (known.LLAMA3_3B, 200.39),
            (GEMMA2_2B, 192.06), (DEEPSEEK_LITE, 187.82), (PHI35_MINI, 187.18), (QWEN25_3B, 183.78),
            (known.QWEN3_4B, 169.03), (known.GPT_OSS_20B, 162.61), (QWEN3_30B_A3B, 151.77),
            (GEMMA3_4B, 144.35), (known.QWEN35_4B, 126.68), (known.LLAMA3_8B, 115.11),
        ),
    ),
    (
        LLMFIT,
        GB10,
        (
            (known.QWEN35_9B, 35.22), (known.QWEN35_27B, 11.28), (known.QWEN35_35B_A3B, 71.63),
            (known.LLAMA3_8B, 41.2), (known.GEMMA3_12B, 24.9), (known.LLAMA3_70B, 4.57),
            (known.QWEN35_4B, 61.21), (known.QWEN3_14B, 22.72), (known.QWEN3_8B, 40.61),
            (QWEN3_30B_A3B, 87.41), (MISTRAL_24B, 13.23), (NEMO_12B, 27.02), (known.QWEN3_4B, 73.24),
        ),
    ),
    (
        f"{BENCH}; b10970, Windows",
        known.RTX_5090,
        (
            (GEMMA4_12B, 136.35), (NEMOTRON_9B_Q6, 140.61), (LLAMA3_8B_Q8, 164.45), (QWEN38_27B, 75.25),
            (GEMMA4_26B_A4B, 227.82), (QWEN35_35B_A3B, 245.0),
        ),
    ),
    (
        BENCH,
        RTX_3060,
        ((GEMMA2_2B_Q5, 119.0), (LLAMA3_8B_Q5, 53.01), (QWEN25_14B_Q5, 28.88), (SMOLLM2, 218.94),
         (SMOLLM2_F16, 89.41)),
    ),
    ("github.com/ggml-org/llama.cpp/pull/4766", P40, ((LLAMA2_7B_Q4_K_S, 54.23),)),
    (
        BENCH,
        RTX_4070_TI,
        (
            (LLAMA3_8B_Q5, 79.34), (MINISTRAL3_14B_Q5, 47.24), (MINISTRAL3_14B_Q6, 41.40),
            (GEMMA3_4B_F16, 56.04), (QWEN3_4B_F16, 54.8), (MINISTRAL3_3B_F16, 64.38), (LLAMA3_3B_F16, 69.13),
        ),
    ),
    (f"{BENCH}; b6413", RTX_PRO_6000, ((LLAMA2_7B_Q4_0, 278.95),)),
    ("github.com/ggml-org/llama.cpp/pull/4766", P40, ((LLAMA2_7B_Q4_0, 56.79),)),
    (f"{BENCH}; tg20", known.H100_SXM, ((QWEN35_9B_Q8, 210.29),)),
    ("github.com/dmatora/LLM-inference-speed-benchmarks/issues/12", RTX_3080, ((known.LLAMA3_8B, 111.95),)),
    ("github.com/brand-o/normiebench/issues/4", RTX_4070_LAPTOP, ((known.LLAMA3_8B, 48.12),)),
    ("calebcoffie.com/benchmarks/gemma-3-4b-it-gguf", known.RTX_3090, ((GEMMA3_4B, 189.8),)),
)  # fmt: skip

_OF_2024: tuple[tuple[Machine, float, float | None, float | None], ...] = (
    (Machine("RTX 3070 of 2024", 448, "nvidia_gddr6"), 70.94, None, None),
    (Machine("RTX 3080 of 2024", 760, "nvidia_gddr6"), 106.40, None, None),
    (Machine("RTX 3080 Ti of 2024", 912, "nvidia_gddr6"), 106.71, None, None),
    (Machine("RTX 4070 Ti of 2024", 504, "nvidia_gddr6"), 82.21, None, None),
    (Machine("RTX 4080 of 2024", 717, "nvidia_gddr6"), 106.22, 40.29, None),
    (Machine("RTX 4000 Ada of 2024", 360, "nvidia_gddr6"), 58.59, 20.85, None),
    (Machine("RTX 3090 of 2024", 936, "nvidia_gddr6"), 111.74, 46.51, None),
    (Machine("RTX 4090 of 2024", 1008, "nvidia_gddr6"), 127.74, 54.34, None),
    (Machine("RTX 5000 Ada of 2024", 576, "nvidia_gddr6"), 89.87, 32.67, None),
    (Machine("RTX A6000 of 2024", 768, "nvidia_gddr6"), 102.22, 40.25, 14.58),
    (Machine("RTX 6000 Ada of 2024", 960, "nvidia_gddr6"), 130.99, 51.97, 18.36),
    (Machine("A40 of 2024", 696, "nvidia_gddr6"), 88.95, 33.95, 12.08),
    (Machine("L40S of 2024", 864, "nvidia_gddr6"), 113.60, 43.42, 15.31),
    (Machine("A100 PCIe 80GB of 2024", 1935, "nvidia_hbm"), 138.31, 54.56, 22.11),
    (Machine("A100 SXM 80GB of 2024", 2039, "nvidia_hbm"), 133.38, 53.18, 24.33),
    (Machine("H100 PCIe of 2024", 2039, "nvidia_hopper"), 144.49, 67.79, 25.01),
)
"""8B Q4_K_M, 8B F16 and 70B Q4_K_M, 1024 tokens, without flash attention or CUDA graphs."""

MORE_ON_GPU: tuple[Row, ...] = tuple(
    Row(geometry, machine, rate, source) for source, machine, rates in _BY_MACHINE for geometry, rate in rates
)
OF_2024: tuple[Row, ...] = tuple(
    Row(geometry, machine, rate, XIONGJIE, context_tokens=512)
    for machine, *rates in _OF_2024
    for geometry, rate in zip((known.LLAMA3_8B, LLAMA3_8B_F16, known.LLAMA3_70B), rates, strict=True)
    if rate is not None
)

RTX_5050_LAPTOP = Machine("RTX 5050 Laptop", 384, "nvidia_gddr7", 62)
"""Its RAM is not published: what the rate without GPU stands for."""
MORE_SPLIT: tuple[Row, ...] = tuple(
    Row(MISTRAL_7B, RTX_5050_LAPTOP, rate, f"{BENCH}; ngl swept", gpu_layers=layers)
    for layers, rate in ((0, 7.79), (10, 10.24), (20, 15.93), (30, 32.93))
)
