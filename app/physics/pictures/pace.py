"""How long a step and a picture take, from what a step computes and what the card's tensor cores can.

    seconds a step = FLOPs of a step / (share x FLOP/s in fp16 with fp32 sums, dense)

The shares are fitted to published measurements (``tests/app/physics/published_pictures.py`` has the rows,
docs/fit.md the errors). Where a card's rate or a model's work is not known, or nothing was published for
cards of its kind, nothing is said.
"""

from __future__ import annotations

from typing import NamedTuple

from gpumon.app.physics.cards import card_key
from gpumon.app.physics.hardware import Band, Card
from gpumon.app.physics.pictures.models import PictureModel
from gpumon.app.physics.pictures.need import Wanted, has_bf16, latent_frames


class Share(NamedTuple):
    """What part of its tensor cores' rate a card reaches: every row lies between the ends."""

    low: float
    expected: float
    high: float


HALVED = Share(0.52, 0.68, 0.82)
"""Cards whose tensor cores sum in fp32 at half rate (GeForce since Ampere, L40): 9 rows on 4 cards."""
FULL = Share(0.27, 0.35, 0.45)
"""Professional cards at full rate, A100, H100: bandwidth and power bound them; 4 rows on 3 cards."""
RDNA = Share(0.15, 0.24, 0.35)
"""AMD, by ROCm: 2 rows on 2 cards."""

_TERA = 1e12
_HALVED_TERAFLOPS: dict[str, float] = {
    "rtx 3050": 18.2,
    "rtx 3060": 25.5,
    "rtx 3060 ti": 32.4,
    "rtx 3070": 40.6,
    "rtx 3070 ti": 43.5,
    "rtx 3080": 59.5,
    "rtx 3080 ti": 68.2,
    "rtx 3090": 71.2,
    "rtx 3090 ti": 80.0,
    "rtx 4060": 30.2,
    "rtx 4060 ti": 44.1,
    "rtx 4070": 58.3,
    "rtx 4070 super": 71.0,
    "rtx 4070 ti": 80.2,
    "rtx 4070 ti super": 88.2,
    "rtx 4080": 97.5,
    "rtx 4080 super": 104.4,
    "rtx 4090": 165.2,
    "rtx 5060": 38.4,
    "rtx 5060 ti": 47.4,
    "rtx 5070": 61.7,
    "rtx 5070 ti": 87.9,
    "rtx 5080": 112.6,
    "rtx 5090": 209.5,
    "l40": 181.05,
}
"""NVIDIA's architecture papers (GA102, Ada, RTX Blackwell), without sparsity: twice the fp32 rate, by
which the figures of cards that those papers lack (3050, 4060, 5060, ...) were made."""
_FULL_TERAFLOPS: dict[str, float] = {
    "rtx a4000": 76.7,
    "rtx a5000": 111.1,
    "rtx a6000": 154.8,
    "a10": 125.0,
    "a40": 149.7,
    "a100": 312.0,
    "rtx 6000 ada": 364.2,
    "l40s": 362.05,
    "h100": 989.4,
    "h200": 989.4,
}
"""Data sheets, without sparsity."""
_RDNA_TERAFLOPS: dict[str, float] = {
    "rx 7900 xt": 103.0,
    "rx 7900 xtx": 122.8,
    "rx 9070 xt": 194.6,
    "ryzen ai max+ 395": 59.4,
}
"""AMD's data sheets: fp16 matrix rate, without sparsity."""

_RATES: dict[str, tuple[float, Share]] = {
    card_key(name): (rate * _TERA, share)
    for rates, share in ((_HALVED_TERAFLOPS, HALVED), (_FULL_TERAFLOPS, FULL), (_RDNA_TERAFLOPS, RDNA))
    for name, rate in rates.items()
}


def flops_of_step(model: PictureModel, wanted: Wanted) -> float | None:
    """Return what a step computes of the whole batch; ``None`` where the model's work is not known."""
    work = model.work
    if work is None:
        return None
    side = work.pixels_per_token
    own = -(-wanted.width // side) * -(-wanted.height // side) * latent_frames(wanted.frames)
    text = work.text_tokens
    pairs = (own + text) ** 2 if work.joint else own * (own + text)
    dense = 2 * (work.image_parameters * own + work.text_parameters * text)
    passes = wanted.batch * (2 if model.guided else 1)
    return float(passes * (dense + 4 * work.attention_width * pairs))


def seconds_per_step(model: PictureModel, wanted: Wanted, card: Card) -> Band | None:
    """Return how long a step takes with all of the model on the card; ``None``: not known."""
    flops, known = flops_of_step(model, wanted), _RATES.get(card_key(card.name))
    if flops is None or known is None or not has_bf16(card):
        return None
    rate, share = known
    return Band(*(flops / (rate * part) for part in (share.high, share.expected, share.low)))


def seconds_per_picture(model: PictureModel, step: Band, steps: int | None = None) -> Band:
    """Return how long the steps of a picture take: encoding and decoding, a second or two, come on top."""
    count = steps or model.steps
    return Band(*(count * seconds for seconds in step))
