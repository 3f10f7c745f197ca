"""Published measurements of image and video models, each with where it stands.

GiB are what PyTorch holds of the GPU (``max_memory_reserved``) unless another meter is named; none of the
formulas of memory was fitted on them but for the two of ``DRIVER``. The seconds are those on which the shares
of ``pace.py`` were fitted: there was no second set to hold them against.
"""

from __future__ import annotations

from typing import NamedTuple

from gpumon.app.physics.pictures import parts
from gpumon.app.physics.pictures.parts import Part, Precision


class Loaded(NamedTuple):
    """A line of ComfyUI's log: ``loaded completely ... MB loaded``."""

    part: Part
    precision: Precision
    mib: float


LOADED = (
    Loaded(Part("SD1.5", 859_520_964), "fp16", 1639.41),  # Comfy-Org/ComfyUI#13976
    Loaded(Part("SDXL", 2_567_463_684), "fp16", 4897.0483),
    Loaded(Part("Flux", 11_901_408_320), "fp8", 11350.0674),  # Comfy-Org/ComfyUI discussion 9002
    Loaded(Part("QwenImage", 20_430_401_088), "fp8", 19483.9487),  # Comfy-Org/ComfyUI#11921
    Loaded(
        Part("Lumina2 (z-image)", 6_154_908_736), "fp8", 5869
    ),  # Comfy-Org/ComfyUI#14667, cut to whole MiB
    Loaded(parts.QWEN25_VL_7B, "fp8", 7388.28),  # Comfy-Org/ComfyUI#11921
    Loaded(parts.QWEN3_4B, "fp16", 7672.25),
    Loaded(parts.MISTRAL_24B, "fp16", 33080.59),  # Comfy-Org/workflow_templates#341
    Loaded(parts.KL_VAE, "bf16", 159.557),  # Comfy-Org/ComfyUI#13976
    Loaded(parts.KL_VAE_16, "bf16", 159.8734),  # Comfy-Org/ComfyUI#4561
    Loaded(parts.FLUX2_VAE, "bf16", 160.31),  # Comfy-Org/workflow_templates#341
    Loaded(parts.WAN_VAE, "bf16", 242.0283),  # Comfy-Org/ComfyUI#11921
)

FLUX_PEAK_OVER_LOADED_GIB = (
    4.719, 4.697, 5.159, 4.019, 4.462, 4.472, 3.885, 4.484, 4.503, 4.488, 4.471, 4.488, 4.769,
)  # fmt: skip
"""FLUX.1-dev, 1024x1024, an H100, all parts on it, 13 ways to hold the weights: the peak less what was there
after loading, which is the decoding (huggingface/blog, diffusers-quantization.md, May 2025)."""


class Turns(NamedTuple):
    """A pipeline whose parts take turns on the GPU."""

    model: str
    core: Precision
    encoders: Precision | None
    """``None``: no part of it was there."""
    gib: float


IN_TURNS = (  # derekl35/diffusers-quantization-benchmarks: FLUX.1-dev at 1024x1024 on an H100, CPU offload
    Turns("flux.1-dev", "bf16", "bf16", 23.271),
    Turns("flux.1-dev", "int8", "int8", 12.189),  # torchao
    Turns("flux.1-dev", "fp8", "fp8", 12.348),
    Turns("flux.1-dev", "int8", "int8", 12.166),  # quanto
    Turns("flux.1-dev", "fp8", "fp8", 12.332),
    Turns("flux.1-dev", "q4_1", "bf16", 9.164),
    Turns("flux.1-dev", "q8_0", "bf16", 12.965),
    Turns("flux.1-dev", "q2_k", "bf16", 9.164),
)


class Whole(NamedTuple):
    """A pipeline with all parts on the GPU."""

    model: str
    width: int
    height: int
    frames: int
    gib: float


DRIVER = (
    Whole(
        "sd3-medium", 1024, 1024, 1, 20080 / 1024
    ),  # edge-dit.cpp, docs/performance-4090.md: RTX 4090, bf16
    Whole("sd3.5-medium", 1024, 1024, 1, 20938 / 1024),
)
"""By the driver: what ``OVERHEAD_BYTES`` comes from."""
WHOLE = (Whole("sd3-medium", 1024, 1024, 1, 18.765),)  # huggingface/blog, sd3.md: A100, fp16; by PyTorch
VIDEO = (  # Tencent-Hunyuan/HunyuanVideo, README: peak on an H800, decoded in tiles
    Whole("hunyuan-video", 1280, 720, 129, 60e9 / 2**30),
    Whole("hunyuan-video", 960, 544, 129, 45e9 / 2**30),
)


class Step(NamedTuple):
    """How long a step took."""

    model: str
    width: int
    height: int
    batch: int
    frames: int
    card: str
    seconds: float


STEPS = (  # flux-fp8-api's RTX 4090 at 768x768 is left out: there the smaller picture is the slower one
    Step("flux.1-dev", 1024, 1024, 1, 1, "rtx 4090", 1 / 1.7),  # aredden/flux-fp8-api: weights in fp8
    Step("flux.1-dev", 1024, 1024, 1, 1, "rtx 4090", 13.190 / 20),  # edge-dit.cpp: Diffusers, int8
    Step("flux.1-schnell", 1024, 1024, 1, 1, "rtx 4090", 2.643 / 4),
    Step("sd3-medium", 1024, 1024, 1, 1, "rtx 4090", 3.040 / 20),  # the same: Diffusers, bf16
    Step("wan2.1-1.3b", 832, 480, 1, 41, "rtx 4090", 53.708 / 30),
    Step("sdxl", 832, 1216, 4, 1, "rtx 3060", 2.78),  # chengzeyi/stable-fast#63: ComfyUI without it
    Step("sdxl", 832, 1216, 4, 1, "rtx 4060 ti 16gb", 1.86),
    Step("flux.1-dev", 1024, 1024, 1, 1, "l40", 0.503),  # diffusers/benchmarks, bf16, not compiled
    Step("sdxl-lightning", 1024, 1024, 1, 1, "l40", 0.071),  # the same, SDXL without an opposite prompt
    Step("flux.1-dev", 1024, 1024, 1, 1, "rtx 6000 ada", 1 / 1.74),  # aredden/flux-fp8-api: bf16
    Step("flux.1-dev", 768, 768, 1, 1, "rtx 6000 ada", 1 / 3.01),
    Step("flux.1-dev", 1024, 1024, 1, 1, "h100", 12 / 50),  # diffusers-quantization.md, all of a picture
    Step("sdxl", 1024, 1024, 1, 1, "a100 80gb", 3.315 / 30),  # sayakpaul/sample-datasets, all of a picture
    Step("sdxl", 1024, 1024, 1, 1, "rx 9070 xt", 1 / 4.21),  # ROCm 7.1 on Windows, ComfyUI's log
    Step("sdxl", 1024, 1024, 1, 1, "ryzen ai max+ 395", 1.16),  # MS-S1 Max, ComfyUI's log
)

ADA_D = 14_592 / 16_384
"""An RTX 4090 D has so many of the cores of an RTX 4090."""
FIT_WITHOUT = (
    # Comfy-Org/workflow_templates, image_qwen_image.json: second runs on an RTX 4090 D, weights in fp8,
    # computed in bf16. 71 s of 20 steps with an opposite prompt, 34 s of 8 without: 32 passes are 37 s, and
    # 25 s are not steps. 36 s of 10 steps without (docs.comfy.org has the steps) agree.
    Step("qwen-image-lightning", 1328, 1328, 1, 1, "rtx 4090", (71 - 34) / 32 * ADA_D),
)
"""Nothing was fitted on these."""
COMPUTED_IN_FP8 = Step("wan2.2-14b", 640, 640, 1, 81, "rtx 4090", 2 * (513 - 71) / 36 * ADA_D)
"""The same, video_wan2_2_14B_i2v.json: 513 s of 20 steps with an opposite prompt, 71 s of 4 without. Its file
is ``fp8_scaled``, which ComfyUI multiplies in fp8 (model_detection.py: ``optimizations["fp8"] = True``)."""
