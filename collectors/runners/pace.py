"""When an idle llama-server may be asked: each ``/slots`` or ``/metrics`` then is a line in its log."""

from __future__ import annotations

IDLE_SECONDS = 10.0
"""Between two idle answers, at the least."""
LONGEST_IDLE_SECONDS = 900.0


class IdlePace:
    """Decides from a hint that costs nothing whether an idle server is worth a question.

    ``active`` is the hint: the process uses the CPU or its GPU; ``None`` where there is none.

    ``patient``: of a server far away it is not known whether it is meant to fall asleep, and reading
    its slots restarts its timer. Each time it is found idle it is left alone for twice as long, so that it
    does fall asleep.
    """

    def __init__(self, *, patient: bool = False) -> None:
        self._patient = patient
        self._pause_seconds = IDLE_SECONDS
        self._asked = float("-inf")
        self._false_alarm = float("-inf")
        self._rested = True

    def due(self, now: float, active: bool | None) -> bool:
        """Tell whether to ask now.

        Without a hint by the timer alone. With one only when it says so: at once if it has rested since the
        last answer, else (it may be the echo of what has ended, or of another program) by the timer.
        """
        if active is None:
            return self._timer_is_up(now)
        if not active:
            self._rested = True
            return False
        fresh = self._rested and now - self._false_alarm >= IDLE_SECONDS
        return fresh or self._timer_is_up(now)

    def found_idle(self, now: float, active: bool | None, was_busy: bool, slots_read: bool = True) -> None:
        """Note an answer that said idle; ``was_busy`` where a request has just ended."""
        self._pause_seconds = self._next_pause(active, was_busy or not slots_read)
        self._asked = now
        self._rested = not active
        if active and not was_busy:
            self._false_alarm = now

    def _next_pause(self, active: bool | None, fresh: bool) -> float:
        if not self._patient or active is not None or fresh or self._asked == float("-inf"):
            return IDLE_SECONDS
        return min(2 * self._pause_seconds, LONGEST_IDLE_SECONDS)

    def _timer_is_up(self, now: float) -> bool:
        return now - self._asked >= self._pause_seconds
