"""Fuses: a fault of our own costs the part in which it happens, is named on the screen, and mends itself."""

from __future__ import annotations

import logging
from collections.abc import Hashable
from types import TracebackType
from typing import Final

GPUMON_SOURCE: Final = "gpumon"
"""The source that speaks of gpumon's own faults; it is there only while something fails."""

LOGGED_AT_MOST = 500
"""Different faults of which the traceback is logged; beyond that something is broken that no log explains."""

FORGOTTEN_SECONDS = 30.0
"""By the time of the samples: a part that has neither failed nor worked for so long is not there any more."""

_log = logging.getLogger("gpumon.fuses")


class Fuses:
    """Knows which parts of one monitor fail now.

    A *place* is what the user is told (``rule spill``, ``panel models``). Where a place looks at several
    subjects, each of them is a *part* of it: the place has failed as long as one of its parts has.
    """

    def __init__(self) -> None:
        self._blown: dict[tuple[str, Hashable], float] = {}
        """What fails, with the time of its latest failure."""
        self._now = 0.0
        self.is_blown = False
        """Whether anything fails now."""
        self._logged: set[tuple[str, str, str, int]] = set()
        self._recovered: set[str] = set()
        """Places of which that was logged: one that comes and goes fills no log."""
        self.revision = 0
        """Grows when a place begins to fail or is well again."""

    def guard(self, place: str, part: Hashable = None) -> Guard:
        """Return a context that ends at the first exception inside it, without raising it.

        What follows the ``with`` block and not a ``return`` in it is what stands in for a result.
        """
        return Guard(self, place, part)

    @property
    def places(self) -> tuple[str, ...]:
        """The places that fail now, the one that has failed longest first."""
        return tuple(dict.fromkeys(place for place, _ in self._blown))

    def words(self) -> str | None:
        """Return what fails, in one line; ``None`` while all is well."""
        if not self._blown:
            return None
        first, *others = self.places
        return f"internal error in {first}{f' and {len(others)} more' if others else ''}"

    def blow(self, error: Exception, place: str, part: Hashable = None) -> None:
        """Record that a part has failed; the same fault is logged once, with its traceback."""
        if (place, part) not in self._blown:
            self.revision += 1
            self.is_blown = True
        self._blown[place, part] = self._now
        signature = (place, *_origin(error))
        if signature not in self._logged and len(self._logged) < LOGGED_AT_MOST:
            self._logged.add(signature)
            self._recovered.discard(place)
            _log.error("internal error in %s", place, exc_info=error)

    def hold(self, place: str, part: Hashable = None) -> None:
        """Record that a part works, which mends what had failed there."""
        if self._blown.pop((place, part), None) is not None:
            self._mended(place)

    def pass_time(self, now: float) -> None:
        """Record the time of the newest sample, and forget what has not failed again for a while.

        What has failed may not be tried any more: the model was unloaded, the process has ended.
        """
        self._now = now
        if self._blown:
            for key in [key for key, at in self._blown.items() if now - at >= FORGOTTEN_SECONDS]:
                del self._blown[key]
                self._mended(key[0])

    def clear(self) -> None:
        """Forget all that has failed, as before a recording is played again; what is logged stays so."""
        if self._blown:
            self._blown.clear()
            self.is_blown = False
            self.revision += 1

    def _mended(self, place: str) -> None:
        self.revision += 1
        self.is_blown = bool(self._blown)
        if place not in self.places and place not in self._recovered:
            self._recovered.add(place)
            _log.info("%s has recovered", place)


class Guard:
    """One passage through a place. Runs for every sample: it does nothing but compare while all is well."""

    __slots__ = ("_fuses", "_part", "_place")

    def __init__(self, fuses: Fuses, place: str, part: Hashable) -> None:
        self._fuses = fuses
        self._place = place
        self._part = part

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> bool:
        if error is None:
            if self._fuses.is_blown:
                self._fuses.hold(self._place, self._part)
            return False
        if not isinstance(error, Exception):
            return False
        self._fuses.blow(error, self._place, self._part)
        return True


class Unfused(Fuses):
    """Guards nothing: for a caller that wants to hear of every exception."""

    def blow(self, error: Exception, place: str, part: Hashable = None) -> None:  # noqa: ARG002
        """Raise it again."""
        raise error


UNFUSED: Final = Unfused()
"""What pure functions are given by default."""


def _origin(error: Exception) -> tuple[str, str, int]:
    """Return the type of an exception and the file and line in which it was raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__, "", 0
    return type(error).__name__, trace.tb_frame.f_code.co_filename, trace.tb_lineno
