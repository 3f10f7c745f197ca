"""``gpumon fit sdxl``: the flags of a picture, the files of its weights, and what is printed."""

from __future__ import annotations

import re
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from gpumon.app.errors import GpumonError

if TYPE_CHECKING:
    from argparse import _ArgumentGroup

    from gpumon.app.cli.fit.asked import Asked
    from gpumon.app.diagnosis.fit.pictures import PictureAsked, PictureReport
    from gpumon.app.physics.hardware import Band, Card
    from gpumon.app.physics.pictures.models import PictureModel
    from gpumon.app.physics.pictures.parts import Precision
    from gpumon.app.physics.pictures.recognised import FileFacts

EXIT_FITS, EXIT_DOES_NOT_FIT, EXIT_CANNOT_TELL = 0, 1, 2
LEAST_SIDE, MOST_SIDE = 64, 16384
MOST_BATCH, MOST_FRAMES, MOST_STEPS = 1024, 4097, 10_000
FLAGS = ("size", "batch", "frames", "steps", "quant", "text_quant")
_OTHERS = (
    "num_ctx",
    "kv_cache_type",
    "parallel",
    "num_gpu",
    "n_cpu_moe",
    "cpu_moe",
    "tensor_split",
    "cache_type_k",
    "cache_type_v",
    "params",
)
_SIZE = re.compile(r"([0-9]{1,6})(?:[x*\u00d7]([0-9]{1,6}))?", re.ASCII | re.IGNORECASE)
_FILES = (".safetensors", ".sft")
_PICKLES = (".ckpt", ".pt", ".pth", ".bin")
_FOLDERS = ("checkpoints", "diffusion_models", "unet")


class Seconds(Struct, frozen=True):
    """An estimate."""

    low: float
    expected: float
    high: float


class Bytes(Struct, frozen=True):
    """``low``: by turns, in tiles; ``expected``: by turns; ``high``: all parts at once."""

    low: int
    expected: int
    high: int


class PicturePart(Struct, frozen=True):
    """One network."""

    name: str
    bytes: int


class Smaller(Struct, frozen=True):
    """The most exact precision that fits where the one asked for does not."""

    quant: str
    required_vram_bytes: Bytes


class PictureDocument(Struct, frozen=True):
    """What ``gpumon fit --json`` prints of an image model; ``null`` is not known."""

    model: str
    kind: str
    width: int
    height: int
    frames: int
    batch: int
    steps: int
    quant: str
    fits: bool | None
    how: str | None
    """``all_at_once``, ``in_turns``, ``tightly``, ``in_part``, ``not``."""
    required_vram_bytes: Bytes
    available_vram_bytes: int | None
    parts: tuple[PicturePart, ...]
    sampling_bytes: int
    decoding_bytes: int
    decoding_in_tiles_bytes: int
    overhead_bytes: int
    ram_bytes: int | None
    """What waits in RAM while it samples."""
    spill_fraction: float | None
    """Of the UNet or transformer."""
    largest_batch: int | None
    largest_side: int | None
    longest_frames: int | None
    seconds_per_step: Seconds | None
    """All of it on the GPU."""
    seconds_per_picture: Seconds | None
    smaller: Smaller | None


def add_picture_flags(group: _ArgumentGroup) -> None:
    """Add the flags."""
    group.add_argument(
        "--size", metavar="WxH", help="pixels: 1024x1024; those the model is made for if not set"
    )
    group.add_argument("--batch", metavar="N", help="pictures at a time; 1 if not set")
    group.add_argument("--frames", metavar="N", help="of a video")
    group.add_argument("--steps", metavar="N", help="of sampling, for the time that a picture takes")
    group.add_argument(
        "--quant", metavar="TYPE", help="fp16, bf16, fp8, nf4, q8_0, q5_k, q4_k, …; as published"
    )
    group.add_argument("--text-quant", metavar="TYPE", help="the same of the text encoders")


def is_picture(name: str) -> bool:
    """Return whether a name means an image model, or a file of one."""
    from gpumon.app.physics.pictures.names import picture_named

    lower = name.lower()
    if lower.endswith((*_FILES, *_PICKLES)):
        return True
    return _gguf_family(name) is not None if lower.endswith(".gguf") else picture_named(name) is not None


def _gguf_family(name: str) -> str | None:
    """Return the architecture of a GGUF file of pictures; ``None`` for all others, or an unreadable one."""
    from gpumon.app.physics.pictures.recognised import GGUF_FAMILIES
    from gpumon.collectors.gguf.file import GgufError, read_gguf

    try:
        architecture = read_gguf(Path(name)).architecture
    except GgufError:
        return None
    return architecture if architecture in GGUF_FAMILIES else None


def picture_asked(options: Namespace) -> PictureAsked:
    """Return the flags as values.

    Raises:
        GpumonError: one of them cannot be used, or has no meaning for an image model.
    """
    from gpumon.app.cli.fit.asked import whole
    from gpumon.app.diagnosis.fit.pictures import PictureAsked

    name = options.model
    refuse(options, _OTHERS, f"{name} is an image model")
    width, height = _size(options.size)
    return PictureAsked(
        name=name,
        width=width,
        height=height,
        batch=whole(options.batch, "--batch", MOST_BATCH) or 1,
        frames=whole(options.frames, "--frames", MOST_FRAMES),
        steps=whole(options.steps, "--steps", MOST_STEPS),
        precision=_precision(options.quant, "--quant"),
        encoder_precision=_precision(options.text_quant, "--text-quant"),
    )


def refuse(options: Namespace, flags: tuple[str, ...], why: str) -> None:
    """Raise ``GpumonError`` with the first flag that was given though it means nothing here."""
    given = [flag for flag in flags if getattr(options, flag, None)]
    if given:
        raise GpumonError(f"--{given[0].replace('_', '-')} means nothing here: {why}")


def _size(text: str | None) -> tuple[int | None, int | None]:
    if text is None:
        return None, None
    match = _SIZE.fullmatch(text.strip())
    sides = [int(side) for side in (match[1], match[2] or match[1])] if match else []
    if not sides or not all(LEAST_SIDE <= side <= MOST_SIDE for side in sides):
        raise GpumonError(
            f'--size: "{text}" is no size from {LEAST_SIDE} to {MOST_SIDE} pixels; write it as 1024x1024'
        )
    return sides[0], sides[1]


def _precision(text: str | None, flag: str) -> Precision | None:
    from gpumon.app.physics.pictures.parts import BITS, precision_named

    if text is None:
        return None
    found = precision_named(text)
    if found is None:
        raise GpumonError(f'{flag}: "{text}" is none of {", ".join(BITS)}')
    return found


async def picture_answer(asked: PictureAsked, flags: Asked) -> PictureReport:
    """Read the file where there is one, ask the driver for its free memory, and compute.

    Raises:
        GpumonError: the file cannot be read, or it is not known what it holds.
    """
    from gpumon.app.cli.fit.answer import cards_of_this_machine, read_host
    from gpumon.app.diagnosis.fit.machine import chosen_cards
    from gpumon.app.diagnosis.fit.pictures import picture_report

    model, facts = _model(asked)
    if not model.is_video and (asked.frames or 1) > 1:
        raise GpumonError(f"--frames means nothing here: {model.key} makes pictures")
    own = () if flags.cards else await cards_of_this_machine() or ()
    cards: tuple[Card, ...] = chosen_cards(flags.cards or own, flags.wishes.devices)
    return picture_report(asked, model, cards, read_host() if own else None, facts)


def _model(asked: PictureAsked) -> tuple[PictureModel, FileFacts | None]:
    from gpumon.app.physics.pictures.names import picture_named

    named = picture_named(asked.name)
    if named is not None:
        return named, None
    facts = _file(asked.name)
    if facts.model is None:
        raise GpumonError(_unknown_words(asked.name, facts))
    return facts.model, facts


def _unknown_words(name: str, facts: FileFacts) -> str:
    from gpumon.text.units import GIB

    weights = f"its weights alone take {facts.bytes / GIB:.2f} GiB"
    short = Path(name).name
    if facts.kind == "lora":
        return (
            f"{short} is a LoRA, no model: it takes {facts.bytes / GIB:.2f} GiB besides the model it is for"
        )
    return f"cannot tell what {short} is; {weights}"


def _file(name: str) -> FileFacts:
    from gpumon.app.physics.pictures.recognised import file_facts, gguf_facts
    from gpumon.collectors.gguf.file import GgufError, gguf_file_bytes, read_gguf
    from gpumon.collectors.safetensors import SafetensorsError, read_safetensors

    lower = name.lower()
    if lower.endswith(_PICKLES):
        raise GpumonError(
            f"{Path(name).name} is a pickle, which gpumon does not open: name the model, as in sdxl"
        )
    try:
        if lower.endswith(".gguf"):
            facts = read_gguf(Path(name))
            size = gguf_file_bytes(Path(name))
            return gguf_facts(facts.architecture or "", facts.parameter_count, size, _gguf_label(name))
        return file_facts(read_safetensors(_path_of(name)))
    except (GgufError, SafetensorsError) as error:
        raise GpumonError(str(error)) from None


def _gguf_label(name: str) -> str:
    found = re.search(r"[-_.](I?Q[0-9]_[0-9A-Z_]+|F16|BF16)\.gguf$", Path(name).name, re.IGNORECASE)
    return f"GGUF {found[1].upper()}" if found else "GGUF"


def _path_of(name: str) -> Path:
    """Return the file: as given, else where ComfyUI keeps it in the user's home directory."""
    given = Path(name)
    if given.parent != Path() or given.exists():
        return given
    try:
        models = Path.home() / "ComfyUI" / "models"
    except RuntimeError:
        return given
    return next((one for folder in _FOLDERS if (one := models / folder / name).is_file()), given)


def picture_exit_code(report: PictureReport) -> int:
    """Return what a script sees."""
    if report.fits is None:
        return EXIT_CANNOT_TELL
    return EXIT_FITS if report.fits and not report.lacks_ram else EXIT_DOES_NOT_FIT


def picture_document(report: PictureReport) -> PictureDocument:
    """Return the report as it is printed."""
    need, wanted, placed, smaller = report.need, report.wanted, report.placement, report.smaller
    weights, model = need.weights, report.model
    parts = (
        (model.core.name, weights.core_bytes),
        *weights.encoder_bytes,
        (model.vae.name, weights.vae_bytes),
    )
    return PictureDocument(
        model=model.key,
        kind="video" if model.is_video else "image",
        width=wanted.width,
        height=wanted.height,
        frames=wanted.frames,
        batch=wanted.batch,
        steps=report.steps,
        quant=report.label,
        fits=report.fits,
        how=None if placed is None else placed.how,
        required_vram_bytes=_bytes(need.total),
        available_vram_bytes=None if placed is None else placed.usable_bytes,
        parts=tuple(PicturePart(name, size) for name, size in parts),
        sampling_bytes=need.sampling_bytes,
        decoding_bytes=need.decoding_bytes,
        decoding_in_tiles_bytes=need.tiled_bytes,
        overhead_bytes=need.overhead_bytes,
        ram_bytes=None if placed is None else report.ram_bytes,
        spill_fraction=None
        if placed is None
        else round(placed.spilled_bytes / max(1, weights.core_bytes), 3),
        largest_batch=report.most_batch,
        largest_side=report.most_side,
        longest_frames=report.most_frames,
        seconds_per_step=_seconds(report.step),
        seconds_per_picture=_seconds(report.picture),
        smaller=None if smaller is None else Smaller(smaller[0], _bytes(smaller[1].total)),
    )


def _bytes(band: Band) -> Bytes:
    return Bytes(*(round(part) for part in band))


def _seconds(band: Band | None) -> Seconds | None:
    return None if band is None else Seconds(*(round(part, 3) for part in band))
