"""Colours that can be read: each role's is moved away from its ground until it stands out enough.

Themes, and users who choose colours of their own, name a colour for trouble, not one for each ground.
"""

from __future__ import annotations

from functools import lru_cache

from rich.color import Color, ColorType
from rich.color_triplet import ColorTriplet
from rich.style import Style

from gpumon.widgets.kit.lines import Role

TEXT_LEAST = 4.5
"""Of text and its ground (WCAG 2.2, 1.4.3, level AA)."""
GRAPHIC_LEAST = 3.0
"""Of what tells by its shape and place (WCAG 2.2, 1.4.11)."""

GRAPHICS: frozenset[Role] = frozenset(
    {"model", "model2", "process", "ram", "planned", "planned_ram", "rate", "reserved"}
)
DECORATION: frozenset[Role] = frozenset({"track"})
"""Rules and the empty parts of bars, which tell nothing by themselves."""

STEPS = 20
"""A colour is moved by this part of the way to black or white at a time."""
STYLES_KEPT = 256


@lru_cache(STYLES_KEPT)
def readable(style: Style, role: Role) -> Style:
    """Return ``style`` with a colour that stands out from its ground as much as its role needs.

    A palette of 16 colours, or none, is the terminal's own and stays as it is.
    """
    text, ground = _rgb(style.color), _rgb(style.bgcolor)
    if role in DECORATION or text is None or ground is None:
        return style
    least = GRAPHIC_LEAST if role in GRAPHICS else TEXT_LEAST
    far = ColorTriplet(0, 0, 0) if luminance(ground) > 0.18 else ColorTriplet(255, 255, 255)
    for step in range(STEPS + 1):
        moved = _between(text, far, step / STEPS)
        if contrast(moved, ground) >= least:
            return style if step == 0 else style + Style(color=Color.from_triplet(moved))
    return style


def contrast(one: ColorTriplet, other: ColorTriplet) -> float:
    """Return how far two colours are apart, 1 to 21 (WCAG 2.2: contrast ratio)."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(color: ColorTriplet) -> float:
    """Return how light a colour is, 0 to 1 (WCAG 2.2: relative luminance)."""
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in color.normalized
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _rgb(color: Color | None) -> ColorTriplet | None:
    return color.triplet if color is not None and color.type is ColorType.TRUECOLOR else None


def _between(one: ColorTriplet, other: ColorTriplet, share: float) -> ColorTriplet:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return ColorTriplet(red, green, blue)
