"""The parts of a picture model and what they weigh in each precision; the parts that models share.

Counts of parameters are those of the layers that Diffusers builds (huggingface/diffusers, snapshot of 23
August 2026) and Transformers for the text encoders. Where ComfyUI prints what it has loaded, that is the same
to the last digit of its log: it is quoted beside the part, in MiB.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Precision = Literal[
    "fp32",
    "fp16",
    "bf16",
    "fp8",
    "int8",
    "nf4",
    "nvfp4",
    "q8_0",
    "q6_k",
    "q5_k",
    "q5_1",
    "q5_0",
    "q4_k",
    "q4_1",
    "q4_0",
    "q3_k",
    "q2_k",
]

BITS: dict[Precision, float] = {
    "fp32": 32,
    "fp16": 16,
    "bf16": 16,
    "fp8": 8,
    "int8": 8,
    "nf4": 4.5,  # bitsandbytes: 4, and an fp32 scale for 64 weights
    "nvfp4": 4.5,  # 4, and an fp8 scale for 16 weights
    "q8_0": 8.5,  # GGUF, from here on: ggml-common.h
    "q6_k": 6.5625,
    "q5_k": 5.5,
    "q5_1": 6.0,
    "q5_0": 5.5,
    "q4_k": 4.5,
    "q4_1": 5.0,
    "q4_0": 4.5,
    "q3_k": 3.4375,
    "q2_k": 2.625,
}
"""Bits of a weight, with its scale."""

OFFERED: tuple[Precision, ...] = ("bf16", "fp8", "q8_0", "q6_k", "q5_k", "q4_k", "q3_k", "q2_k")
"""What is proposed where a model is too large: from the largest to the smallest."""

_SPELLINGS: dict[str, Precision] = {
    "f32": "fp32",
    "float32": "fp32",
    "f16": "fp16",
    "half": "fp16",
    "float16": "fp16",
    "bfloat16": "bf16",
    "fp8_e4m3fn": "fp8",
    "fp8_e5m2": "fp8",
    "fp8_scaled": "fp8",
    "fp8_e4m3": "fp8",
    "f8": "fp8",
    "float8": "fp8",
    "q8": "q8_0",
    "q6": "q6_k",
    "q5": "q5_k",
    "q4": "q4_k",
    "q3": "q3_k",
    "q2": "q2_k",
    "bnb-nf4": "nf4",
    "4bit": "nf4",
    "8bit": "int8",
    "fp4": "nvfp4",
}
_MIX = ("_s", "_m", "_l")
"""Sizes of a K mix (Q4_K_S, Q4_K_M): they differ by a few percent, which no file's name settles."""

LEAST_QUANTISED_PARAMETERS = 1_000_000_000
"""A text encoder below it is never quantised: CLIP stays in fp16 beside a T5 in fp8 (ComfyUI's log:
``FluxClipModel_ loaded completely 4777.54``)."""


def precision_named(text: str) -> Precision | None:
    """Return the precision that people write so: "Q4_K_S", "fp8_e4m3fn", "half"; ``None``: there is none."""
    word = text.strip().lower()
    known: dict[str, Precision] = {name: name for name in BITS} | _SPELLINGS
    if word not in known and word.endswith(_MIX):
        word = word[:-2]
    return known.get(word)


class Part(Struct, frozen=True):
    """A network of the pipeline."""

    name: str
    parameters: int

    def bytes_in(self, precision: Precision) -> int:
        """Return its weights."""
        return round(self.parameters * BITS[precision] / 8)

    def encoder_bytes(self, precision: Precision) -> int:
        """Return its weights as a text encoder: a small one stays as it is published, in fp16."""
        is_small = self.parameters < LEAST_QUANTISED_PARAMETERS
        return self.bytes_in("fp16" if is_small and BITS[precision] < BITS["fp16"] else precision)


CLIP_L = Part("CLIP-L", 123_060_480)  # openai/clip-vit-large-patch14, text model
CLIP_G = Part("CLIP-G", 694_659_840)  # ViT-bigG-14; with CLIP-L "SDXLClipModel loaded completely 1560.80"
T5_XXL = Part(
    "T5-XXL", 4_762_310_656
)  # google/t5-v1_1-xxl, encoder: "FluxClipModel_ ... 9319.23" with CLIP-L
UMT5_XXL = Part(
    "UMT5-XXL", 5_680_910_336
)  # google/umt5-xxl, encoder; fp8 with its embedding in fp16: "6419.48"
QWEN25_VL_7B = Part(
    "Qwen2.5-VL 7B", 7_747_169_280
)  # no output matrix: "QwenImageTEModel_ ... 7388.28" in fp8
QWEN3_4B = Part("Qwen3 4B", 4_022_468_096)  # "ZImageTEModel_ ... 7672.25"
QWEN3_8B = Part("Qwen3 8B", 7_568_405_504)  # no output matrix
LLAMA_3_8B = Part("Llama 3.1 8B", 7_504_924_672)  # no output matrix
MISTRAL_24B = Part("Mistral Small 24B", 17_343_759_360)  # 30 of 40 layers: "Flux2TEModel_ ... 33080.59"

KL_VAE = Part("VAE", 83_653_863)  # 4 channels: "AutoencoderKL loaded completely 159.56"
KL_VAE_16 = Part("VAE", 83_819_683)  # 16 channels: "AutoencodingEngine loaded completely 159.87"
FLUX2_VAE = Part("VAE", 84_048_600)  # 32 channels; from the log: "AutoencoderKL ... 160.31"
WAN_VAE = Part("VAE", 126_892_531)  # "WanVAE loaded completely 242.03"
WAN22_VAE = Part("VAE", 704_688_668)  # Wan2.2_VAE.safetensors, fp32, is 2,818,778,360 bytes
HUNYUAN_VAE = Part("VAE", 246_500_000)  # hunyuan_video_vae_bf16.safetensors is 493 MB


class Decoding(Struct, frozen=True):
    """What a VAE takes to decode, in numbers per pixel (ComfyUI, comfy/sd.py: ``memory_used_decode``)."""

    per_pixel: int
    of_video: int | None = None
    """The same where there are more frames than four latent ones."""
    is_plain: bool = True
    """Whether it is an AutoencoderKL."""


KL_DECODING = Decoding(2178)
WAN_DECODING = Decoding(2200, 7000, is_plain=False)
WAN22_DECODING = Decoding(8000, is_plain=False)
HUNYUAN_DECODING = Decoding(2800, 22400, is_plain=False)
AMD_DECODING = 2.73
"""Times as much, of an AutoencoderKL on AMD's cards."""
