"""The words for how something is played."""

from __future__ import annotations

from gpumon.app.feeds.player import Player


def play_marks(title: str, player: Player) -> tuple[str, ...]:
    """Return ``title``, with the speed where it is not its own, and ``PAUSED`` or ``END``."""
    first = title if player.speed == 1.0 else f"{title} {player.speed:g}x"
    if player.ended:
        return (first, "END")
    return (first, "PAUSED") if player.paused else (first,)
