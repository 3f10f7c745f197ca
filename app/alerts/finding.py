"""What a rule finds about one subject, and the comparisons with hysteresis that rules share."""

from __future__ import annotations

from typing import Literal

import msgspec


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule says about one subject at one instant."""

    level: Literal["clear", "unknown", "watch", "bad"]
    subject: str = ""
    message: str = ""
    further: str | None = None
    """The message once it has grown since it was raised."""
    hold_seconds: float = 0.0
    """How long it must last at this level before it is raised."""
    since: float | None = None
    """When it began, where that is known better than by when it was first seen."""
    measure: float | None = None
    step: float | None = None
    """Growth of ``measure`` that renews the alert."""


CLEAR = Finding(level="clear")
UNKNOWN = Finding(level="unknown")
"""Neither raises nor clears."""


def above(value: float, raise_at: float, clear_at: float, active: bool) -> bool:
    """Tell whether ``value`` is too high: from ``raise_at``, and for an active alert from ``clear_at``."""
    return value >= (min(clear_at, raise_at) if active else raise_at)


def below(value: float, raise_at: float, clear_at: float, active: bool) -> bool:
    """Tell whether ``value`` is too low: below ``raise_at``, and for an active alert below ``clear_at``."""
    return value < (max(clear_at, raise_at) if active else raise_at)
