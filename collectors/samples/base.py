"""What all samples share: a time, a source, and how a source is doing.

A sample is immutable, typed and serialisable (a tagged ``msgspec`` struct), so that the live view, a
recording, a demonstration and a test are the same stream. ``None`` means that the source did not say.
Sizes are bytes, times are seconds since the Unix epoch, durations are seconds.
"""

from __future__ import annotations

from typing import Literal

import msgspec

SourceState = Literal[
    "serving",  # answering, and has something to report
    "idle",  # answering, nothing loaded
    "absent",  # not installed here: no driver library, no such file
    "not_running",  # nothing listens on this machine's port
    "refused",  # another machine refuses the connection
    "unreachable",  # no route, no such name
    "hanging",  # asked and not answering
    "foreign",  # another program answers at that address
    "nonsense",  # the right program answers what cannot be understood
    "forbidden",  # 401, 403, no permission
    "failing",  # the source says that it has an error
    "asleep",  # a sleeping device that must not be woken
]
"""State of a source; ``serving`` and ``idle`` are the healthy ones."""

HEALTHY_STATES: frozenset[SourceState] = frozenset({"serving", "idle", "asleep"})


class Fact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of every value inside a sample; fields at their default are left out of JSON."""


class Sample(Fact, frozen=True, kw_only=True, tag_field="type"):
    """Base of every sample."""

    time: float
    """When it was said: seconds since the Unix epoch; never goes back within one run."""
    source: str
    """Which source said it: ``nvml``, ``system``, or the URL of a server without credentials."""


class SourceHealth(Fact, frozen=True, kw_only=True):
    """How a source is doing, in words ready for the screen."""

    state: SourceState
    detail: str | None = None
    """What is wrong, one line, no trailing full stop: "connection refused at 127.0.0.1:11434"."""
    hint: str | None = None
    """The next step for the user, one line: "start it with: ollama serve"."""


class SourceSilent(Sample, frozen=True, kw_only=True, tag="silent"):
    """A source was asked and has not answered for ``seconds``; its last values are getting old."""

    seconds: float
    detail: str | None = None
    """What is wrong, where it is not that it does not answer."""
    state: SourceState = "failing"
    """How it is, where there is a ``detail``."""
