"""When an idle llama-server is worth a question: each one is a line in its log, and may keep it awake."""

from __future__ import annotations

from collections import deque

IDLE_SECONDS = 10.0
"""Between two idle answers, at the least, where nothing hints at work."""
LONGEST_IDLE_SECONDS = 900.0
ECHO_SECONDS = 2.0
"""So long after work the use of the processor may be that of the work: it is told over the last second."""
OWED_SECONDS = 1.0
"""Between an answer and the look at what may have been its echo."""
FOLLOW_SECONDS = 6.0
"""Requests that are found within this time follow one another."""
STREAK_SECONDS = 4.0
"""So long after the latest of them the next is awaited."""
AWAITED_SECONDS = 1.0
"""Between two questions while it is, where nothing hints at work."""
ALARM_PAUSES = (2.0, 4.0, 8.0, 14.0, 20.0)
"""After the first false alarm and each one that follows: six questions in the first minute."""
FORGIVEN_SECONDS = 60.0
"""False alarms longer ago than this count no more."""


class Streak:
    """Whether requests follow one another, so that the next may begin at any time."""

    def __init__(self) -> None:
        self._found: deque[float] = deque(maxlen=2)

    def note(self, now: float) -> None:
        """Note that a request was found."""
        self._found.append(now)

    def lasts(self, now: float) -> bool:
        """Whether the next one is awaited."""
        if len(self._found) < 2:
            return False
        before, latest = self._found
        return latest - before <= FOLLOW_SECONDS and now - latest <= STREAK_SECONDS


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
        self._streak = Streak()
        self._alarms = 0
        """False ones, since work was last found."""
        self._false_alarm = float("-inf")
        self._rested = True
        self._hinted = False
        """Whether there was a hint since the last answer; it is looked into once, though it is over."""

    def due(self, now: float, active: bool | None) -> bool:
        """Whether to ask now.

        Without a hint by the timer, and often while requests follow one another. With one only when it says
        so: at once if the server has rested since the last answer; else it may be the echo of what has ended,
        or of another program, so after a pause that grows while nothing is found. What was passed over as an
        echo is looked into when the server rests: a short request leaves its number there.
        """
        awaited = self._streak.lasts(now)
        if active is None:
            return now - self._asked >= (AWAITED_SECONDS if awaited else self._pause_seconds)
        if not active:
            self._rested = True
            return self._hinted and not self._alarms and now - self._asked >= OWED_SECONDS
        self._hinted = True
        return awaited or self._is_believed(now)

    def _is_believed(self, now: float) -> bool:
        since_alarm = now - self._false_alarm
        if since_alarm >= FORGIVEN_SECONDS:
            self._alarms = 0
        if self._alarms:
            return since_alarm >= ALARM_PAUSES[min(self._alarms, len(ALARM_PAUSES)) - 1]
        return self._rested or now - self._asked >= ECHO_SECONDS

    def found_idle(self, now: float, active: bool | None, was_busy: bool, slots_read: bool = True) -> None:
        """Note an answer that said idle; ``was_busy`` where a request has ended since the one before."""
        self._pause_seconds = self._next_pause(active, was_busy or not slots_read)
        self._asked, self._hinted = now, False
        self._rested = not active
        if was_busy:
            self._streak.note(now)
            self._alarms = 0
        elif active and not self._streak.lasts(now):
            self._alarms += 1
            self._false_alarm = now

    def found_next(self, now: float) -> None:
        """Note that a request has followed another without a rest."""
        self._streak.note(now)

    def found_loaded(self, now: float) -> None:
        """Note the first answer after a load: what hints at work then is the load."""
        self._asked, self._hinted = now, False
        self._rested = False

    def _next_pause(self, active: bool | None, fresh: bool) -> float:
        if not self._patient or active is not None or fresh or self._asked == float("-inf"):
            return IDLE_SECONDS
        return min(2 * self._pause_seconds, LONGEST_IDLE_SECONDS)
