"""What one request costs: the time until its first token, and the energy of what it writes. Estimates."""

from __future__ import annotations

from gpumon.app.physics.geometry import Geometry, LoadOptions
from gpumon.app.physics.hardware import Band, Hardware
from gpumon.app.physics.memory import Placement
from gpumon.app.physics.speed import decode_tokens_per_second, prefill_tokens_per_second

DENSE_POWER_SHARE = (0.85, 0.95, 1.0)
"""Of its limit, what a card takes while a dense model on it writes: low, usual, high (RTX 3060: 1.0, RTX 5060
Ti: 0.96)."""
EXPERTS_POWER_SHARE = (0.60, 0.72, 0.85)
"""The same of a model with experts, which reads less than it waits (RTX 4090: 0.65 to 0.8)."""
SPLIT_POWER_SHARE = (0.2, 0.35, 0.5)
"""The same of a model that is partly in RAM: the card waits for the CPU, whose own power is not in it."""
_SECONDS_PER_HOUR = 3600


def first_token_seconds(
    geometry: Geometry,
    options: LoadOptions,
    hardware: Hardware,
    placement: Placement,
    prompt_tokens: int,
) -> Band | None:
    """Return the time until the first token of a prompt that nothing of is cached.

    The prompt is read at the rate of its middle. ``None`` where a rate is not known, or for no prompt.
    """
    if prompt_tokens <= 0:
        return None
    reading = prefill_tokens_per_second(geometry, options, hardware, placement, prompt_tokens // 2)
    writing = decode_tokens_per_second(geometry, options, hardware, placement, prompt_tokens)
    if reading is None or writing is None:
        return None
    low, expected, high = (
        prompt_tokens / one + 1 / two for one, two in zip(reversed(reading), reversed(writing), strict=True)
    )
    return Band(low, expected, high)


def power_watts(geometry: Geometry, hardware: Hardware, placement: Placement) -> Band | None:
    """Return what the cards that hold the model take while it writes; ``None`` without their limits.

    It works on one card after another, so that the others wait: of several the mean counts.
    """
    pairs = zip(hardware.cards, placement.vram_bytes_by_gpu, strict=False)
    limits = [card.power_limit_watts for card, held in pairs if held > 0]
    known = [limit for limit in limits if limit]
    if not known or len(known) < len(limits):
        return None
    in_ram = not placement.fits or bool(geometry.kept_bytes) or placement.overflowing_layers > 0
    whole = EXPERTS_POWER_SHARE if geometry.is_moe else DENSE_POWER_SHARE
    mean = sum(known) / len(known)
    return Band(*(mean * share for share in (SPLIT_POWER_SHARE if in_ram else whole)))


def watt_hours(decode: Band, power: Band, tokens: int = 1000) -> Band:
    """Return the energy of the cards for so many tokens at a rate."""
    return Band(
        power.low * tokens / decode.high / _SECONDS_PER_HOUR,
        power.expected * tokens / decode.expected / _SECONDS_PER_HOUR,
        power.high * tokens / decode.low / _SECONDS_PER_HOUR,
    )
