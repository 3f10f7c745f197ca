"""Why clocks are held down, in plain words."""

from __future__ import annotations

_IDLE = 0x1

_WORDS = {
    0x2: "application clocks",
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "thermal slowdown (software)",
    0x40: "thermal slowdown (hardware)",
    0x80: "power brake",
    0x100: "display clocks",
    0x200: "board limit",
    0x400: "reliability",
}
"""nvml.h: ``nvmlClocksEventReason*``."""


def throttle_words(reasons: int | None) -> tuple[str, ...] | None:
    """Return the set bits of ``nvmlClocksEventReasons`` in words, without "idle", which holds nothing down.

    Bits that nvml.h does not name yet are given as numbers; ``None`` stays ``None``.
    """
    if reasons is None:
        return None
    bits = (1 << position for position in range(reasons.bit_length()))
    return tuple(_WORDS.get(bit, f"reason {bit:#x}") for bit in bits if reasons & bit and bit != _IDLE)
