"""Where a recording is that is being played."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpumon.app.feeds.player import Player

Hint = tuple[str, str]


def play_hints(player: Player | None) -> tuple[Hint, ...]:
    """Return position and length, and how it is played; nothing for what has no end."""
    if player is None or player.start is None or player.position is None or player.end is None:
        return ()
    position = f"{play_time(player.position - player.start)} / {play_time(player.end - player.start)}"
    return ((position, _manner(player)),)


def play_time(seconds: float) -> str:
    """Write a time as players do: ``0:42``, ``12:30``, ``1:02:03``."""
    minutes, rest = divmod(int(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _manner(player: Player) -> str:
    if player.ended:
        return "end"
    return "paused" if player.paused else f"{player.speed:g}x"
