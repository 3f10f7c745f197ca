"""Whether a model of pictures fits on a GPU: what it takes, how it would run, what is the most that fits."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from gpumon.app.diagnosis.fit.report import HostMemory
from gpumon.app.physics.hardware import Band, Card
from gpumon.app.physics.pictures.models import PictureModel
from gpumon.app.physics.pictures.need import (
    PictureNeed,
    PicturePlacement,
    Wanted,
    Weights,
    picture_need,
    place_picture,
    usual_encoder_precision,
    weights_of,
)
from gpumon.app.physics.pictures.pace import seconds_per_picture, seconds_per_step
from gpumon.app.physics.pictures.parts import BITS, OFFERED, Precision
from gpumon.app.physics.pictures.recognised import FileFacts

MOST_BATCH = 64
SIDE_STEP, MOST_SIDE = 64, 8192
MOST_FRAMES = 1025
_SMALLER_SHARE = 0.97
"""A proposal is smaller than what is there by more than rounding."""


class PictureAsked(Struct, frozen=True):
    """What the user wants to know; ``None`` where nothing was said."""

    name: str
    width: int | None = None
    height: int | None = None
    batch: int = 1
    frames: int | None = None
    steps: int | None = None
    precision: Precision | None = None
    encoder_precision: Precision | None = None


class PictureReport(Struct, frozen=True):
    """What a picture would take, and how it would run; times are estimates."""

    name: str
    model: PictureModel
    wanted: Wanted
    steps: int
    need: PictureNeed
    label: str
    """Precision of the UNet or transformer, as it is told."""
    card: Card | None = None
    card_count: int = 0
    """Of which ``card`` is the one with the most room: these programs use one."""
    placement: PicturePlacement | None = None
    """``None`` without a card."""
    step: Band | None = None
    """Seconds, all of the model on the card; ``None``: not known."""
    picture: Band | None = None
    host: HostMemory | None = None
    most_batch: int | None = None
    """At this size; 0: not even one."""
    most_side: int | None = None
    """Pixels of the largest square, one at a time; of a video ``None``."""
    most_frames: int | None = None
    """At this size; of a picture ``None``."""
    smaller: tuple[Precision, PictureNeed] | None = None
    """The most exact precision in which it would fit, where it does not."""

    @property
    def fits(self) -> bool | None:
        """Whether all that a step passes through is on the GPU; ``None`` without one."""
        return None if self.placement is None else self.placement.fits

    @property
    def ram_bytes(self) -> int:
        """What waits in RAM while it samples."""
        placed = self.placement
        if placed is None or placed.how == "all_at_once":
            return 0
        return self.need.weights.encoders_bytes + placed.spilled_bytes

    @property
    def lacks_ram(self) -> bool:
        """Whether RAM and swap are less than what waits there."""
        return self.host is not None and self.ram_bytes > self.host.bytes

    @property
    def encoders_split(self) -> bool:
        """Whether the text encoders are larger than the GPU's room, so that they run in part from RAM."""
        return self.placement is not None and self.need.encoding_bytes > self.placement.usable_bytes


def wanted_of(asked: PictureAsked, model: PictureModel) -> Wanted:
    """Return the picture that is asked for: the model's own where nothing is said."""
    precision = asked.precision or model.precision
    return Wanted(
        width=asked.width or model.side,
        height=asked.height or model.native_height,
        batch=asked.batch,
        frames=asked.frames or model.frames,
        precision=precision,
        encoder_precision=asked.encoder_precision or usual_encoder_precision(precision),
    )


def file_weights(facts: FileFacts, model: PictureModel, wanted: Wanted) -> Weights:
    """Return what the parts weigh by a file; those that are not in it as they are published."""
    usual = weights_of(model, wanted.precision, wanted.encoder_precision)
    own = (("text encoders", facts.encoder_bytes),) if facts.encoder_bytes else usual.encoder_bytes
    return Weights(facts.core_bytes or usual.core_bytes, own, facts.vae_bytes or usual.vae_bytes)


def picture_report(
    asked: PictureAsked,
    model: PictureModel,
    cards: tuple[Card, ...] = (),
    host: HostMemory | None = None,
    facts: FileFacts | None = None,
) -> PictureReport:
    """Return how a model would run on the card with the most room, as it is published or as a file has it."""
    wanted = wanted_of(asked, model)
    weights = None if facts is None else file_weights(facts, model, wanted)
    card = max(cards, key=lambda one: one.vram_free_bytes, default=None)
    need = picture_need(model, wanted, card, weights)
    label = facts.label if facts is not None and facts.label else wanted.precision
    steps = asked.steps or model.steps
    report = PictureReport(asked.name, model, wanted, steps, need, label, card, len(cards), host=host)
    return report if card is None else _on_card(report, card, weights)


def _on_card(report: PictureReport, card: Card, weights: Weights | None) -> PictureReport:
    model, wanted = report.model, report.wanted
    placed = place_picture(report.need, card.vram_free_bytes)
    step = seconds_per_step(model, wanted, card)

    def fits(changed: Wanted) -> bool:
        return place_picture(picture_need(model, changed, card, weights), card.vram_free_bytes).fits

    return replace(
        report,
        placement=placed,
        step=step,
        picture=None if step is None else seconds_per_picture(model, step, report.steps),
        most_batch=_most(1, MOST_BATCH, 1, lambda batch: fits(replace(wanted, batch=batch))),
        most_side=None if model.is_video else _most_side(wanted, fits),
        most_frames=_most_frames(wanted, fits) if model.is_video else None,
        smaller=None if placed.fits else _smaller(report, card, weights),
    )


def _most(least: int, most: int, step: int, fits: Callable[[int], bool]) -> int:
    """Return the largest of a row of numbers that fits, where a larger one never takes less; 0: none."""
    numbers = range(least, most + 1, step)
    count = bisect_right(numbers, 0, key=lambda number: int(not fits(number)))
    return numbers[count - 1] if count else 0


def _most_side(wanted: Wanted, fits: Callable[[Wanted], bool]) -> int:
    def is_good(side: int) -> bool:
        return fits(replace(wanted, width=side, height=side, batch=1))

    return _most(SIDE_STEP, MOST_SIDE, SIDE_STEP, is_good)


def _most_frames(wanted: Wanted, fits: Callable[[Wanted], bool]) -> int:
    return _most(1, MOST_FRAMES, 4, lambda frames: fits(replace(wanted, frames=frames, batch=1)))


def _smaller(
    report: PictureReport, card: Card, weights: Weights | None
) -> tuple[Precision, PictureNeed] | None:
    model, wanted = report.model, report.wanted
    own = (weights.core_bytes if weights else model.core.bytes_in(wanted.precision)) * _SMALLER_SHARE
    for precision in OFFERED:
        if model.core.bytes_in(precision) >= own:
            continue
        least = min(precision, wanted.encoder_precision, key=lambda one: BITS[one])
        encoders = usual_encoder_precision(least)
        need = picture_need(model, replace(wanted, precision=precision, encoder_precision=encoders), card)
        if place_picture(need, card.vram_free_bytes).fits:
            return precision, need
    return None
