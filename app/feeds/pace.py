"""The clock of a replay: recorded time that runs at a speed, stands still and jumps."""

from __future__ import annotations

from collections.abc import Callable

SPEED_MINIMUM = 0.25
SPEED_MAXIMUM = 64.0


class PlayClock:
    """Time in the recording as a function of elapsed time outside."""

    def __init__(self, elapsed: Callable[[], float], speed: float = 1.0) -> None:
        self._elapsed = elapsed
        self._anchor_outside = elapsed()
        self._anchor = 0.0
        self._speed = min(max(speed, SPEED_MINIMUM), SPEED_MAXIMUM)
        self._paused = False

    @property
    def time(self) -> float:
        """Seconds since the epoch, in the recording."""
        if self._paused:
            return self._anchor
        return self._anchor + (self._elapsed() - self._anchor_outside) * self._speed

    @property
    def speed(self) -> float:
        """Recorded seconds per second."""
        return self._speed

    @property
    def paused(self) -> bool:
        """Whether it stands still."""
        return self._paused

    def jump(self, time: float) -> None:
        """Go on from ``time``."""
        self._anchor, self._anchor_outside = time, self._elapsed()

    def change_speed(self, speed: float) -> None:
        """Run at ``speed``, kept between 0.25 and 64."""
        self.jump(self.time)
        self._speed = min(max(speed, SPEED_MINIMUM), SPEED_MAXIMUM)

    def pause(self, paused: bool) -> None:
        """Stand still, or go on."""
        self.jump(self.time)
        self._paused = paused

    def until(self, time: float) -> float:
        """Return the seconds outside until it is ``time``; never ends where it stands still."""
        left = (time - self.time) / self._speed
        return float("inf") if self._paused and left > 0 else left
