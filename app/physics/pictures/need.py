"""What a picture takes of a GPU: each part, what a step and the decoding need besides, what may wait in RAM.

    sampling = UNet or transformer + activations        decoding = VAE + its activations

A pipeline works in three turns: it encodes the prompt, samples, decodes. So there are three sums. ``low``:
each of the last two alone, prompt and opposite one after the other, decoded in tiles (what ComfyUI falls back
to). ``expected``: each alone, nothing cut. ``high``: all parts on the GPU all the time (Diffusers without
offloading, ComfyUI on a large card). A text encoder that is larger than both passes through in parts, or runs
on the CPU.

Activations are what ComfyUI reckons with before it loads a model: they grow with the latent pixels, not with
their square, because attention is computed in blocks (flash attention, PyTorch's SDPA). docs/fit.md has the
published measurements that they were held against.
"""

from __future__ import annotations

import re
from typing import Literal

from msgspec import Struct

from gpumon.app.physics.hardware import Band, Card
from gpumon.app.physics.pictures import parts
from gpumon.app.physics.pictures.models import PictureModel
from gpumon.app.physics.pictures.parts import Precision
from gpumon.text.units import GIB, MIB

OVERHEAD_BYTES = 820 * MIB
"""The CUDA context, and what cuBLAS and cuDNN keep: the smaller of what two readings of the driver leave over
(SD3 and SD3.5 medium in bf16, all parts on an RTX 4090: edge-dit.cpp, docs/performance-4090.md)."""
LEAST_SAMPLING_BYTES = round(0.8 * GIB)
"""Working room that ComfyUI keeps however small the picture (comfy: ``minimum_inference_memory``)."""
RESERVED_BYTES = 400 * MIB
"""What ComfyUI leaves free of a GPU (comfy: ``EXTRA_RESERVED_VRAM``; 600 to 700 on Windows)."""
BYTES_PER_LATENT = 0.01 * MIB
"""Times the factor of the model and the bytes of a number (comfy: ``memory_required``)."""
TILE_SIDE = 512
"""Pixels of a tile where the decoding is cut (comfy: ``decode_tiled_``, 64 latent pixels)."""

_WITHOUT_BF16 = re.compile(
    r"\b(?:GTX|TITAN|Quadro|RTX 20\d\d|T4|T[46]00|T[12]000|V100|[MP]\d{1,4})\b", re.IGNORECASE
)
"""Before Ampere: bf16 is computed in fp32 (ComfyUI: ``should_use_bf16``)."""


class Wanted(Struct, frozen=True):
    """The picture that is asked for."""

    width: int
    height: int
    batch: int
    frames: int
    precision: Precision
    encoder_precision: Precision

    @property
    def pixels(self) -> int:
        """Of one frame."""
        return self.width * self.height


class Weights(Struct, frozen=True):
    """Bytes of the parts, as they are loaded."""

    core_bytes: int
    encoder_bytes: tuple[tuple[str, int], ...]
    vae_bytes: int

    @property
    def encoders_bytes(self) -> int:
        """All text encoders."""
        return sum(size for _, size in self.encoder_bytes)


class PictureNeed(Struct, frozen=True):
    """Bytes on one GPU."""

    weights: Weights
    sampling_bytes: int
    """Activations of a step."""
    least_sampling_bytes: int
    """The same with prompt and opposite one after the other."""
    decoding_bytes: int
    """Activations of the VAE; of one picture, for they are decoded one at a time where memory is short."""
    tiled_bytes: int
    """The same in tiles."""
    overhead_bytes: int = OVERHEAD_BYTES

    @property
    def total(self) -> Band:
        """The three sums."""
        weights = self.weights
        cut = max(weights.core_bytes + self.least_sampling_bytes, weights.vae_bytes + self.tiled_bytes)
        whole = max(weights.core_bytes + self.sampling_bytes, weights.vae_bytes + self.decoding_bytes)
        every = weights.core_bytes + weights.encoders_bytes + weights.vae_bytes
        high = every + max(self.sampling_bytes, self.decoding_bytes)
        return Band(*(self.overhead_bytes + part for part in (cut, whole, high)))

    @property
    def encoding_bytes(self) -> int:
        """What encoding the prompt takes, all encoders on the GPU."""
        return self.overhead_bytes + self.weights.encoders_bytes


def weights_of(model: PictureModel, precision: Precision, encoder_precision: Precision) -> Weights:
    """Return what the parts of a published model weigh; the VAE is never quantised."""
    return Weights(
        core_bytes=model.core.bytes_in(precision),
        encoder_bytes=tuple((one.name, one.encoder_bytes(encoder_precision)) for one in model.encoders),
        vae_bytes=model.vae.bytes_in("bf16"),
    )


def usual_encoder_precision(precision: Precision) -> Precision:
    """Return what a text encoder is usually in beside a transformer of this precision."""
    if precision == "fp32":
        return "fp32"
    return precision if parts.BITS[precision] == 16 else "nf4" if precision == "nf4" else "fp8"


def picture_need(
    model: PictureModel, wanted: Wanted, card: Card | None = None, weights: Weights | None = None
) -> PictureNeed:
    """Return what the picture takes on a card, an NVIDIA one of Ampere or later where none is given.

    ``weights`` are those of a file, where one is asked about.
    """
    least = sampling_bytes(model, wanted, card, passes=1)
    return PictureNeed(
        weights=weights or weights_of(model, wanted.precision, wanted.encoder_precision),
        sampling_bytes=sampling_bytes(model, wanted, card, passes=2 if model.guided else 1),
        least_sampling_bytes=least,
        decoding_bytes=decoding_bytes(model, wanted, card, wanted.pixels),
        tiled_bytes=decoding_bytes(model, wanted, card, min(wanted.pixels, TILE_SIDE**2)),
    )


def latent_frames(frames: int) -> int:
    """Return how many frames the latent video has: one in four, and the first (Wan, HunyuanVideo)."""
    return (frames - 1) // 4 + 1


def latent_pixels(model: PictureModel, wanted: Wanted) -> int:
    """Return the latent pixels of one picture or video."""
    side = model.latent_pixels
    return -(-wanted.width // side) * -(-wanted.height // side) * latent_frames(wanted.frames)


def sampling_bytes(model: PictureModel, wanted: Wanted, card: Card | None, passes: int) -> int:
    """Return the activations of a step in which so many prompts are computed at once."""
    in_fp32 = model.needs_bf16 and card is not None and not has_bf16(card)
    latents = latent_pixels(model, wanted) * wanted.batch * passes
    computed = latents * BYTES_PER_LATENT * model.activation_factor * (4 if in_fp32 else 2)
    return max(LEAST_SAMPLING_BYTES, round(computed))


def decoding_bytes(model: PictureModel, wanted: Wanted, card: Card | None, pixels: int) -> int:
    """Return what the VAE needs to decode so many pixels of one picture or video."""
    kind = model.decoding
    is_long = latent_frames(wanted.frames) > 4
    per_pixel = kind.of_video if is_long and kind.of_video is not None else kind.per_pixel
    number_bytes = 2 if card is None or has_bf16(card) else 4
    is_amd = card is not None and card.card_class in {"amd", "apu"}
    return round(pixels * per_pixel * number_bytes * (parts.AMD_DECODING if is_amd and kind.is_plain else 1))


def has_bf16(card: Card) -> bool:
    """Return whether a card computes in bf16; an unknown one is taken to."""
    return not _WITHOUT_BF16.search(card.name) and not card.card_class.startswith("nvidia_p")


How = Literal[
    "all_at_once",  # every part stays on the GPU
    "in_turns",  # the text encoders wait in RAM while the model samples
    "tightly",  # so do they; prompt and opposite one after the other, decoded in tiles
    "in_part",  # a part of the UNet or transformer stays in RAM and passes over PCIe at every step
    "not",  # what a step computes does not fit even so
]
FITTING: frozenset[How] = frozenset({"all_at_once", "in_turns", "tightly"})


class PicturePlacement(Struct, frozen=True):
    """Where the bytes go on a given GPU."""

    how: How
    usable_bytes: int
    spilled_bytes: int = 0
    """Weights of the UNet or transformer in RAM while it samples."""

    @property
    def fits(self) -> bool:
        """Whether all that a step passes through is on the GPU."""
        return self.how in FITTING


def place_picture(need: PictureNeed, free_bytes: int) -> PicturePlacement:
    """Return how it would go with so much free memory."""
    usable = max(0, free_bytes - RESERVED_BYTES)
    total, core = need.total, need.weights.core_bytes
    if usable >= total.high:
        return PicturePlacement("all_at_once", usable)
    if usable >= total.expected:
        return PicturePlacement("in_turns", usable)
    if usable >= total.low:
        return PicturePlacement("tightly", usable)
    step = need.overhead_bytes + core + need.least_sampling_bytes
    if usable < max(step - core, need.overhead_bytes + need.weights.vae_bytes + need.tiled_bytes):
        return PicturePlacement("not", usable, core)
    return PicturePlacement("in_part", usable, step - usable)
