"""An event: what happened when, to whom, in words of several lengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from gpumon.app.alerts.alert import AlertKind, Severity
from gpumon.text import units

HappeningKind = Literal[
    "load",  # a process has begun to load a model
    "reload",  # the same, of a model that was loaded a moment before
    "ready",
    "load_ended",  # given up before it was ready; a load that failed is an alert
    "evicted",  # left, to make room for another
    "unloaded",  # left, because somebody asked for it
    "expired",  # left, unused for its time
    "left",  # left, and nothing says why
    "context_full",  # a request has filled the context
    "recovered",  # wholly on GPU again
    "gave_back",  # another, while it spills
    "gpu_back",
    "answers",  # a server that had stopped, or did not answer
]
"""What happens and does not last."""

EventKind = HappeningKind | AlertKind
"""Those of alerts have a level."""

About = Literal["model", "gpu", "server", "machine"]


class Said(NamedTuple):
    """An event in words, all harmless to draw."""

    ways: tuple[str, ...]
    """The same ever more briefly, each a line of its own."""
    names: tuple[str, ...] = ()
    """Names in it that may be shortened."""
    bare: tuple[str, ...] = ()
    """The same without the name of its model, for where that is plain."""


class LoggedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened; a new value replaces it when more is known. Times are Unix."""

    number: int
    """Tells it from all others of this run."""
    time: float
    kind: EventKind
    about: About
    subject_id: str
    """Identity of the model, UUID of the GPU, source; as that of an alert."""
    subject: str
    """How that is called on the screen, harmless to draw."""
    said: Said
    level: Severity | None = None
    """Of an alert, the worst that it was."""
    until: float | None = None
    """When it was over, of what lasts: an alert or a load."""
    lasts: bool = False
    """Whether it goes on."""
    acknowledged: bool = False

    @property
    def words(self) -> str:
        """All of it in one line."""
        return self.said.ways[0]

    def duration_seconds(self, now: float) -> float | None:
        """Return how long it has lasted at ``now``, or did last; ``None`` for what does not last."""
        end = now if self.lasts else self.until
        return None if end is None else max(0.0, end - self.time)


class Feed(NamedTuple):
    """What is worth a line on the screen."""

    ongoing: tuple[LoggedEvent, ...]
    """Alerts that are active, the worst and then the newest first."""
    past: tuple[LoggedEvent, ...]
    """Everything else, the newest first; the same object as long as it is the same."""


class Mark(NamedTuple):
    """An event on the axis of a chart."""

    time: float
    word: str


MARK_WORDS: dict[EventKind, str] = {
    "reload": "reload",
    "spill": "spill",
    "hidden_spill": "spill",
    "silent_fallback": "spill",
    "throttling": "throttled",
    "gpu_lost": "lost",
    "xid": "Xid",
    "restarted": "restart",
    "ended": "ended",
}
"""What stands on the axis of a chart: what explains a step in it."""


def change_words(before: float, after: float) -> str:
    """Write what became of a token rate: ``47 → 7.0 tok/s``."""
    return f"{units.rate(before).split()[0]} → {units.rate(after)}"


NAMED = 2
"""Of more models the rest is counted."""


def joined(names: Sequence[str]) -> str:
    """Join names: ``a and b``, ``a, b and 3 more``."""
    if len(names) > NAMED + 1:
        return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def named(name: str, *ways: str) -> Said:
    """Return what is said of a model ever more briefly, with its name and without."""
    bare = tuple(dict.fromkeys(ways))
    return Said(tuple(f"{name} {way}" for way in bare), (name,), bare)
