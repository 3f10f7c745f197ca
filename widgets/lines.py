"""The drawing vocabulary: a line is a tuple of spans, a span is text with a role."""

from __future__ import annotations

from typing import Literal, NamedTuple

Level = Literal["ok", "watch", "bad", "unknown"]
"""The only meanings that colour carries."""

Role = Literal[
    "plain",
    "dim",  # secondary text, and values that have grown old
    "title",
    "ok",
    "watch",
    "bad",
    "unknown",
    "model",  # VRAM held by a model
    "process",  # VRAM held by another process
    "reserved",  # VRAM kept by the driver
    "track",  # the empty part of a bar
    "ram",  # the part of a model in system RAM
    "cursor",  # the selected row's marker
]


class Span(NamedTuple):
    """A run of text drawn in one style."""

    text: str
    role: Role = "plain"


Line = tuple[Span, ...]
