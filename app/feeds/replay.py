"""The feed of a recording."""

from __future__ import annotations

from gpumon.app.feeds.marks import play_marks
from gpumon.app.feeds.player import Player
from gpumon.app.monitor import Monitor
from gpumon.app.recording.reader import Recording


class ReplayFeed:
    """Plays a recording at ``speed``; at its end it stays, to be sought back, or returns as it is told."""

    def __init__(self, recording: Recording, *, speed: float = 1.0, hold_at_end: bool = True) -> None:
        self.recording = recording
        self.player = Player(recording.items, speed=speed, end=recording.last_time(), hold_at_end=hold_at_end)
        """Pause, step, seek and speed."""

    def marks(self) -> tuple[str, ...]:
        """Return ``REPLAY``, how it is played, ``DEMO`` where that was recorded, and what was left out."""
        demo = ("DEMO",) if self.recording.header.demo else ()
        left_out = self.recording.left_out
        return play_marks("REPLAY", self.player) + demo + ((left_out,) if left_out else ())

    async def run(self, monitor: Monitor) -> None:
        """Feed samples into ``monitor`` until they end or it is cancelled."""
        await self.player.run(monitor)

    async def close(self) -> None:
        """Release nothing: the file is open only while it is read."""
