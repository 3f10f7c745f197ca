"""A report of a picture model in words: lines of at most 80 columns."""

from __future__ import annotations

from collections.abc import Iterator

from gpumon.app.diagnosis.fit.pictures import MOST_BATCH, MOST_FRAMES, MOST_SIDE, PictureReport
from gpumon.app.physics.hardware import Band
from gpumon.app.physics.pictures.parts import BITS, Precision
from gpumon.text.safe import short_gpu_name, visible
from gpumon.text.units import GIB

_LABEL_WIDTH = 18
_NAME_WIDTH = 40
_GPU_WIDTH = 24
_VERDICTS = {
    "all_at_once": "fits all at once",
    "in_turns": "fits by turns",
    "tightly": "fits tightly",
    "in_part": "fits in part",
    "not": "does not fit",
}


def picture_lines(report: PictureReport) -> list[str]:
    """Return the report as lines; sizes are GiB, times are estimates and say so."""
    return [
        f"{visible(report.name, _NAME_WIDTH)}  ({_asked(report)})",
        answer_words(report),
        "",
        *(f"  {label:<{_LABEL_WIDTH}}{text}".rstrip() for label, text in picture_rows(report)),
    ]


def picture_rows(report: PictureReport) -> Iterator[tuple[str, str]]:
    """Yield what the answer rests on, label and words."""
    yield from _parts(report)
    yield from _place(report)
    yield from _most(report)
    yield from _times(report)
    yield from _advice(report)


def _asked(report: PictureReport) -> str:
    wanted, model = report.wanted, report.model
    own = "" if model.key == report.name else f"{model.key}, "
    frames = f", {wanted.frames} frames" if model.is_video else ""
    batch = "" if wanted.batch == 1 else f", batch {wanted.batch}"
    return f"{own}{wanted.width}x{wanted.height}{frames}{batch}, {report.label}"


def answer_words(report: PictureReport) -> str:
    """Say whether it fits, what it needs and what there is."""
    needed = f"needs {_gib(_needed(report))} GiB"
    placed, card = report.placement, report.card
    if placed is None or card is None:
        return f"cannot tell: {needed}; of which GPU, say with --gpu NAME or --vram SIZE"
    there = f"can use {_gib(placed.usable_bytes)} GiB of {visible(short_gpu_name(card.name), _GPU_WIDTH)}"
    if report.lacks_ram and report.host is not None:
        words = f"{report.ram_bytes / GIB:.0f} GiB would wait in RAM, {report.host.bytes / GIB:.0f} here"
        return f"does not run: {words}"
    return f"{_VERDICTS[placed.how]}: {needed}, {there}"


def _needed(report: PictureReport) -> float:
    """Return the sum by which it is judged."""
    total, placed = report.need.total, report.placement
    if placed is None:
        return total.expected
    sums = {"all_at_once": total.high, "in_turns": total.expected}
    return sums.get(placed.how, total.low)


def _parts(report: PictureReport) -> Iterator[tuple[str, str]]:
    need, weights = report.need, report.need.weights
    model = report.model
    count = f"{model.core.parameters / 1e9:.1f}B, {report.label}"
    yield model.core.name, f"{_size(weights.core_bytes)}   ({count})"
    names = ", ".join(name for name, _ in weights.encoder_bytes)
    label = "text encoders" if len(weights.encoder_bytes) > 1 else "text encoder"
    named = "" if names == "text encoders" else f"   ({names})"
    yield label, _size(weights.encoders_bytes) + named
    yield "VAE", _size(weights.vae_bytes)
    yield "to sample", f"{_size(need.sampling_bytes)}   (activations of a step)"
    cut = "" if need.tiled_bytes == need.decoding_bytes else f", {_gib(need.tiled_bytes)} in tiles"
    yield "to decode", f"{_size(need.decoding_bytes)}   (activations of the VAE{cut})"
    yield "CUDA, PyTorch", _size(need.overhead_bytes)
    total = need.total
    yield (
        "by turns",
        _size(total.expected) + ("" if total.low == total.expected else f"   ({_gib(total.low)} in tiles)"),
    )
    yield "all at once", _size(total.high)


def _place(report: PictureReport) -> Iterator[tuple[str, str]]:
    placed, weights = report.placement, report.need.weights
    if placed is None:
        return
    if placed.how == "in_part":
        share = placed.spilled_bytes / max(1, weights.core_bytes)
        words = f"{_gib(placed.spilled_bytes)} GiB ({share:.0%}) of the {report.model.core.name}"
        yield "in RAM", f"{words} at every step"
    elif placed.how in {"in_turns", "tightly"}:
        yield "in RAM", f"{_gib(weights.encoders_bytes)} GiB of text encoders while it samples"
    if report.encoders_split and placed.how != "not":
        yield "", "the text encoders are larger than the GPU's room:"
        yield "", "in part, or wholly, they encode from RAM"
    if report.card_count > 1:
        yield "", f"on one of {report.card_count} GPUs: image generators use one"


def _most(report: PictureReport) -> Iterator[tuple[str, str]]:
    if report.most_batch:
        wanted = report.wanted
        more = " or more" if report.most_batch == MOST_BATCH else ""
        yield "largest batch", f"{report.most_batch}{more} of {wanted.width}x{wanted.height}"
    if report.most_side:
        more = " or more" if report.most_side == MOST_SIDE else ""
        yield "largest picture", f"{report.most_side}x{report.most_side}{more}"
    if report.most_frames:
        more = " or more" if report.most_frames >= MOST_FRAMES else ""
        yield "longest video", f"{report.most_frames} frames{more}"


def _times(report: PictureReport) -> Iterator[tuple[str, str]]:
    if report.placement is None or report.placement.how == "not":
        return
    if report.step is None or report.picture is None:
        yield "a step", f"not known: {_why_no_time(report)}"
        return
    what = "a video" if report.model.is_video else "a picture" if report.wanted.batch == 1 else "the batch"
    hold = "" if report.placement.fits else ", if it fitted"
    yield "a step, estimated", _seconds(report.step) + hold
    yield f"{what}, est.", f"{_seconds(report.picture)} in {report.steps} steps{hold}"


def _why_no_time(report: PictureReport) -> str:
    return (
        "nothing is published for this model"
        if report.model.work is None
        else "nothing is published for this GPU"
    )


def _advice(report: PictureReport) -> Iterator[tuple[str, str]]:
    lines = list(_advice_lines(report))
    yield from (("" if index else "to do", line) for index, line in enumerate(lines))


def _advice_lines(report: PictureReport) -> Iterator[str]:
    placed, model, need = report.placement, report.model, report.need
    if placed is None or placed.how == "all_at_once":
        return
    if report.smaller is not None:
        precision, other = report.smaller
        yield f"{_variant(precision)} fits: needs {_gib(other.total.low)} GiB (--quant {precision})"
    elif not placed.fits:
        yield "a smaller --size, fewer --frames" if model.is_video else "a smaller --size, or fewer at a time"
    if placed.how == "in_turns":
        yield "ComfyUI: nothing to set"
    if placed.how == "tightly":
        decoding = need.overhead_bytes + need.weights.vae_bytes + need.decoding_bytes
        is_decoding = decoding > placed.usable_bytes
        yield "ComfyUI: the node VAE Decode (Tiled)" if is_decoding else "ComfyUI: nothing to set"
    if placed.how == "in_part":
        yield "ComfyUI moves it by itself, or as told: --lowvram"
    if model.core.name == "UNet" and placed.how != "not":
        yield f"A1111, Forge: {'--medvram' if placed.fits else '--lowvram'}"


def _variant(precision: Precision) -> str:
    """Name the files that people look for."""
    if precision.startswith("q"):
        return f"GGUF {precision.upper()}"
    return "fp8" if BITS[precision] == 8 else precision


def _seconds(band: Band) -> str:
    return f"about {_duration(band.expected)} ({_duration(band.low)} to {_duration(band.high)})"


def _duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds:.2f} s"
    if seconds < 180:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 10800 else f"{seconds / 3600:.1f} h"


def _size(size_bytes: float) -> str:
    return f"{_gib(size_bytes):>7} GiB"


def _gib(size_bytes: float) -> str:
    return f"{size_bytes / GIB:.2f}"
