"""The picture of a model that has left a short while ago, or whose process still holds memory."""

from __future__ import annotations

from collections.abc import Container

from msgspec import Struct

from gpumon.app.insight.leaving import Left, left_models
from gpumon.app.insight.wording import kind_label, model_id, model_label, source_label
from gpumon.app.state.records import Mark, ModelKey
from gpumon.app.state.state import State
from gpumon.collectors.samples import ModelClaim
from gpumon.collectors.servers.kind import ServerKind


class LeftPicture(Struct, frozen=True, kw_only=True, gc=False):
    """What is said of a model that is no longer loaded; it counts nowhere as one that is."""

    key: ModelKey
    label: str
    """The name, harmless to draw; with the server where several have it."""
    kind: ServerKind
    """What served it."""
    claim: ModelClaim
    """The last word of its server."""
    left: float
    """When it was found to have left."""
    seconds: float
    """Since then."""
    reason: str
    """In a few words, harmless to draw: ``expired``, ``GPU 1 lost``."""
    is_held: bool
    """Whether its process is still there: it is shown for as long as that is so."""
    vram_bytes: int | None
    """What the driver says that its process still holds."""
    age_seconds: float | None
    """Age of what is known of it, where its process is still there."""
    sighted: float
    """When it was first seen in this run."""
    marks: tuple[Mark, ...]

    @property
    def id(self) -> str:
        """The identity of its row, which it had and will have when it is loaded."""
        return model_id(self.key)

    @property
    def runtime_label(self) -> str:
        """What served it: ``Ollama``."""
        return kind_label(self.kind)

    @property
    def server_label(self) -> str:
        """Its server: ``Ollama at 127.0.0.1:11434``."""
        return source_label(self.key.source, self.kind.name)

    @property
    def words(self) -> str:
        """What has become of it, as a sentence: ``qwen3:14b has left: expired``."""
        return f"{self.label} has left: {self.reason}"


def left_pictures(state: State, shared_names: Container[str]) -> tuple[LeftPicture, ...]:
    """Put together what is said of each model that has left, in the order in which they did."""
    return tuple(_picture(left, state, shared_names) for left in left_models(state))


def _picture(left: Left, state: State, shared_names: Container[str]) -> LeftPicture:
    record = left.record
    return LeftPicture(
        key=record.key,
        label=model_label(record, shared_names),
        kind=record.kind,
        claim=record.claim,
        left=record.gone or 0.0,
        seconds=left.seconds,
        reason=left.reason,
        is_held=left.is_held,
        vram_bytes=left.vram_bytes,
        age_seconds=state.now - record.seen if left.is_held else None,
        sighted=record.history.first_seen,
        marks=tuple(record.history.marks),
    )
