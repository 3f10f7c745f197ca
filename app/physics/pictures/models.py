"""The models of pictures and videos that are known: their parts, their native sizes, what a step computes.

Sizes are those of the pipelines of Diffusers (snapshot of 23 August 2026) and of the models' own pages, and
so are the steps, on which time alone depends; but for SD 1.5, SDXL and FLUX.1-dev they are the 20 of
ComfyUI's logs (Diffusers: 50, 50, 28), and for FLUX.2-dev the 28 that Hugging Face's post on it proposes
(Diffusers: 50). ``activation_factor`` is what ComfyUI itself reckons with (comfy/supported_models.py, 2026:
``memory_usage_factor``).
"""

from __future__ import annotations

from msgspec import Struct

from gpumon.app.physics.pictures import parts
from gpumon.app.physics.pictures.parts import Decoding, Part, Precision


class Work(Struct, frozen=True):
    """What one step computes, for one picture.

    FLOPs = 2 (``image_parameters`` x n + ``text_parameters`` x t) + 4 ``attention_width`` x tokens squared,
    by n tokens of the picture and t of the prompt. For a UNet a token is a latent pixel.
    """

    image_parameters: int
    """Weights that each token of the picture passes through."""
    text_parameters: int
    text_tokens: int
    attention_width: int
    """Width of an attention times the number of attentions."""
    pixels_per_token: int
    """Side of the square of pixels that is a token."""
    joint: bool = True
    """Whether prompt and picture attend to each other as one sequence."""


class PictureModel(Struct, frozen=True):
    """A model as it is published."""

    key: str
    """Its name, as it is typed."""
    names: tuple[str, ...]
    """Other names."""
    core: Part
    """The UNet or transformer, which is what a step passes through."""
    encoders: tuple[Part, ...]
    vae: Part
    decoding: Decoding
    activation_factor: float
    side: int
    """Pixels of its native square; of a video the width."""
    steps: int
    guided: bool
    """Whether a step computes the prompt and its opposite (classifier-free guidance)."""
    precision: Precision = "bf16"
    """Of the published weights."""
    latent_pixels: int = 8
    """Side of the square of pixels that is a latent pixel."""
    height: int | None = None
    frames: int = 1
    needs_bf16: bool = False
    """Whether it runs in bf16 or fp32 only: on cards older than Ampere in fp32."""
    work: Work | None = None
    """``None``: how long a step takes is not known."""

    @property
    def is_video(self) -> bool:
        """Whether it makes frames."""
        return self.frames > 1

    @property
    def native_height(self) -> int:
        """Pixels of its native height."""
        return self.height or self.side


_T5 = (parts.CLIP_L, parts.T5_XXL)
_SD3 = (parts.CLIP_L, parts.CLIP_G, parts.T5_XXL)
_KL16 = (parts.KL_VAE_16, parts.KL_DECODING)
_WAN = (parts.WAN_VAE, parts.WAN_DECODING)
_FLUX_WORK = Work(6_455_033_856, 6_455_033_856, 512, 57 * 3072, 16)
"""12 x 3072 squared in each of 57 blocks; Diffusers' own count is 59,523 GFLOP for 1024x1024."""
_SDXL_WORK = Work(182_467_651, 0, 0, 700, 8)
"""Diffusers' own count is 5,979.1 GFLOP for 1024x1024, attention aside: 10 of 640 on a quarter of the latent
pixels, 60 of 1280 on a sixteenth."""
_WAN_14B_WORK = Work(11_953_766_400, 2_097_152_000, 512, 40 * 5120, 16, joint=False)
"""Diffusers' own count is 786,000 GFLOP for 832x480 and 81 frames."""


def _sdxl(
    key: str, names: tuple[str, ...], steps: int, *, guided: bool = True, side: int = 1024
) -> PictureModel:
    core = Part("UNet", 2_567_463_684)  # "SDXL loaded completely 4897.05"
    clips = (parts.CLIP_L, parts.CLIP_G)
    return PictureModel(
        key,
        names,
        core,
        clips,
        parts.KL_VAE,
        parts.KL_DECODING,
        0.8,
        side,
        steps,
        guided,
        "fp16",
        work=_SDXL_WORK,
    )


def _sd3(
    key: str, names: tuple[str, ...], parameters: int, steps: int, work: Work, *, guided: bool = True
) -> PictureModel:
    core = Part("transformer", parameters)
    return PictureModel(key, names, core, _SD3, *_KL16, 1.6, 1024, steps, guided, "fp16", work=work)


def _flux(key: str, names: tuple[str, ...], parameters: int, steps: int) -> PictureModel:
    core = Part("transformer", parameters)
    return PictureModel(key, names, core, _T5, *_KL16, 3.1, 1024, steps, guided=False, work=_FLUX_WORK)


def _flux2(
    key: str, names: tuple[str, ...], parameters: int, width: int, encoder: Part, steps: int, blocks: int
) -> PictureModel:
    """13 x width squared in each block; latents of 16 pixels, for which the factor is four times as large."""
    passed = 13 * width * width * blocks
    work = Work(passed, passed, 512, blocks * width, 16)
    factor = 3.1 * 4 * width / 2604
    return PictureModel(
        key,
        names,
        Part("transformer", parameters),
        (encoder,),
        parts.FLUX2_VAE,
        parts.KL_DECODING,
        factor,
        1024,
        steps,
        guided=False,
        latent_pixels=16,
        work=work,
    )


def _wan(
    key: str,
    names: tuple[str, ...],
    parameters: int,
    width: int,
    work: Work,
    *,
    side: int = 832,
    height: int = 480,
) -> PictureModel:
    core = Part("transformer", parameters)
    return PictureModel(
        key,
        names,
        core,
        (parts.UMT5_XXL,),
        *_WAN,
        width / 2222,
        side,
        50,
        guided=True,
        height=height,
        frames=81,
        work=work,
    )


MODELS: tuple[PictureModel, ...] = (
    PictureModel(
        "sd1.5",
        ("sd15", "sd-1.5", "sd1", "stable-diffusion-1.5", "stable-diffusion-v1-5", "sd-v1-5"),
        Part("UNet", 859_520_964),
        (parts.CLIP_L,),
        parts.KL_VAE,
        parts.KL_DECODING,
        1.0,
        512,
        20,
        guided=True,
        precision="fp16",
    ),  # "SD1.5: loaded completely 1639.41"
    _sdxl(
        "sdxl",
        (
            "sd-xl",
            "stable-diffusion-xl",
            "sdxl-base",
            "sdxl-1.0",
            "pony",
            "pony-diffusion-v6",
            "illustrious",
            "illustrious-xl",
            "noobai",
            "noobai-xl",
            "juggernaut-xl",
            "realvisxl",
            "animagine-xl",
        ),
        20,
    ),
    _sdxl("sdxl-turbo", (), 1, guided=False, side=512),
    _sdxl("sdxl-lightning", ("sdxl-lcm", "sdxl-hyper", "dmd2"), 4, guided=False),
    _sd3(
        "sd3-medium",
        ("sd3", "stable-diffusion-3", "stable-diffusion-3-medium"),
        2_028_328_000,
        28,
        Work(679_477_248, 679_477_248, 333, 24 * 1536, 16),
    ),
    _sd3(
        "sd3.5-medium",
        ("sd35-medium", "stable-diffusion-3.5-medium"),
        2_243_171_520,
        28,
        Work(802_160_640, 679_477_248, 333, 37 * 1536, 16),
    ),
    _sd3(
        "sd3.5-large",
        ("sd35", "sd3.5", "sd35-large", "stable-diffusion-3.5", "stable-diffusion-3.5-large"),
        8_056_627_520,
        28,
        Work(2_697_092_000, 2_697_092_000, 333, 38 * 2432, 16),
    ),
    _sd3(
        "sd3.5-large-turbo",
        ("sd35-large-turbo",),
        8_056_627_520,
        4,
        Work(2_697_092_000, 2_697_092_000, 333, 38 * 2432, 16),
        guided=False,
    ),
    _flux(
        "flux.1-dev",
        (
            "flux",
            "flux1",
            "flux.1",
            "flux-dev",
            "flux1-dev",
            "flux1-krea-dev",
            "flux-krea",
            "flux.1-krea-dev",
        ),
        11_901_408_320,
        20,
    ),  # fp8: "Flux loaded completely 11350.067443847656"
    _flux("flux.1-schnell", ("flux-schnell", "flux1-schnell", "schnell"), 11_891_178_560, 4),
    PictureModel(
        "chroma",
        ("chroma1", "chroma1-hd", "chroma-hd"),
        Part("transformer", 8_899_983_424),
        (parts.T5_XXL,),
        *_KL16,
        3.2,
        1024,
        35,
        guided=True,
        work=_FLUX_WORK,
    ),
    _flux2("flux.2-dev", ("flux2", "flux.2", "flux2-dev"), 32_223_281_152, 6144, parts.MISTRAL_24B, 28, 56),
    _flux2(
        "flux.2-klein-4b",
        ("flux2-klein-4b", "flux2-klein", "flux.2-klein", "klein", "klein-4b"),
        3_875_544_576,
        3072,
        parts.QWEN3_4B,
        4,
        25,
    ),
    _flux2("flux.2-klein-9b", ("flux2-klein-9b", "klein-9b"), 9_078_581_248, 4096, parts.QWEN3_8B, 4, 32),
    PictureModel(
        "qwen-image",
        ("qwenimage", "qwen-image-2512"),
        Part("transformer", 20_430_401_088),
        (parts.QWEN25_VL_7B,),
        *_WAN,
        1.8,
        1328,
        50,
        guided=True,
        needs_bf16=True,
        work=Work(6_794_772_480, 6_794_772_480, 100, 60 * 3072, 16),
    ),
    PictureModel(
        "qwen-image-lightning",
        ("qwen-image-lightning-8step",),
        Part("transformer", 20_430_401_088),
        (parts.QWEN25_VL_7B,),
        *_WAN,
        1.8,
        1328,
        8,
        guided=False,
        needs_bf16=True,
        work=Work(6_794_772_480, 6_794_772_480, 100, 60 * 3072, 16),
    ),
    PictureModel(
        "z-image-turbo",
        ("z-image", "zimage", "zimage-turbo", "z-image-turbo-bf16"),
        Part("transformer", 6_154_908_736),
        (parts.QWEN3_4B,),
        *_KL16,
        2.8,
        1024,
        8,
        guided=False,
        needs_bf16=True,
        work=Work(5_662_310_400, 5_662_310_400, 100, 32 * 3840, 16),
    ),
    PictureModel(
        "hidream-i1",
        ("hidream", "hidream-i1-full", "hidream-full"),
        Part("transformer", 17_105_733_184),
        (*_SD3, parts.LLAMA_3_8B),
        *_KL16,
        2.0,
        1024,
        50,
        guided=True,
        needs_bf16=True,
    ),
    _wan(
        "wan2.1-1.3b",
        ("wan-1.3b", "wan2.1-t2v-1.3b", "wan21-1.3b"),
        1_418_996_800,
        1536,
        Work(1_250_426_880, 141_557_760, 512, 30 * 1536, 16, joint=False),
    ),
    _wan(
        "wan2.1-14b",
        ("wan", "wan2.1", "wan21", "wan-14b", "wan2.1-t2v-14b", "wan2.1-i2v-14b"),
        14_288_491_584,
        5120,
        _WAN_14B_WORK,
    ),
    _wan(
        "wan2.2-14b",
        ("wan2.2", "wan22", "wan2.2-t2v-a14b", "wan2.2-i2v-a14b", "wan2.2-a14b"),
        14_288_491_584,
        5120,
        _WAN_14B_WORK,
    ),  # two of them, one after the other: one is on the card at a time
    PictureModel(
        "wan2.2-5b",
        ("wan2.2-ti2v-5b", "wan22-5b", "wan-5b"),
        Part("transformer", 4_999_787_712),
        (parts.UMT5_XXL,),
        parts.WAN22_VAE,
        parts.WAN22_DECODING,
        3072 / 2222,
        1280,
        50,
        guided=True,
        latent_pixels=16,
        height=704,
        frames=121,
        work=Work(4_341_104_640, 566_231_040, 512, 30 * 3072, 32, joint=False),
    ),
    PictureModel(
        "hunyuan-video",
        ("hunyuanvideo", "hunyuan"),
        Part("transformer", 12_821_012_544),
        (parts.CLIP_L, parts.LLAMA_3_8B),
        parts.HUNYUAN_VAE,
        parts.HUNYUAN_DECODING,
        1.8,
        1280,
        50,
        guided=False,
        height=720,
        frames=129,
        needs_bf16=True,
        work=Work(6_794_772_480, 6_794_772_480, 256, 60 * 3072, 16),
    ),
)
"""One for each shape; fine-tuned models have the shape of what they were tuned from."""
