"""A loaded model."""

from __future__ import annotations

from collections import deque
from typing import Literal

from msgspec import Struct, field

from gpumon.app.state.rates.meter import RateMeter
from gpumon.app.state.rates.values import FinishedRequest
from gpumon.app.state.records.keys import ModelKey, RunnerKey
from gpumon.app.state.records.runner import REQUESTS_KEPT
from gpumon.app.state.series import Series
from gpumon.app.state.split import Split, processor_words, split_of
from gpumon.collectors.samples import (
    LoadFacts,
    MeteredModel,
    ModelClaim,
    ModelFacts,
    ModelState,
    WorkSample,
)
from gpumon.collectors.servers.kind import ServerKind
from gpumon.collectors.servers.registry import DEFAULT, kind_named

JoinedBy = Literal[
    "blob",  # the runner's file is the claim's, by /api/show or by a manifest on disk
    "name",  # the runner's command line names the model
    "only one",  # the server has one runner and one claim, and nothing is known of the claim's file
    "address",  # the process listens where the server's URL leads
    "process",  # a process that is asked on its own port alone
]
"""How a runner and a claim were found to be one."""


class Served(Struct):
    """What a server says at its URL of a model's work; where its process is known, that has the figures."""

    state: ModelState
    answer: WorkSample | None = None
    """The latest poll of its statistics."""
    facts: LoadFacts | None = None
    meter: RateMeter = field(default_factory=RateMeter)
    requests: deque[FinishedRequest] = field(default_factory=lambda: deque(maxlen=REQUESTS_KEPT))


class ModelRecord(Struct):
    """A loaded model: the latest claim, its facts where asked, and its series."""

    key: ModelKey
    claim: ModelClaim
    first_seen: float
    seen: float
    runtime: str = DEFAULT.name
    """Name of the ``ServerKind`` that serves it."""
    served: Served | None = None
    """Set where its server tells at its URL how the model works."""
    process: RunnerKey | None = None
    """Set where nothing but this process tells of the model."""
    gone: float | None = None
    """When the server no longer listed it."""
    claim_steady_bytes: int | None = None
    """What ``size_vram`` has been for some time, but for noise."""
    spilled_since: float | None = None
    facts: ModelFacts | None = None
    expiry_moves: bool = False
    """Whether ``expires_at`` has moved with the clock since the poll before: a request ran in between."""
    runner: RunnerKey | None = None
    """The process that holds it, where one can be told."""
    runner_ended: float | None = None
    """When the process that held it was seen to have ended, where no other has taken its place."""
    joined_by: JoinedBy | None = None
    measured_vram: Series = field(default_factory=Series)
    """What the driver measures for that process, over all GPUs."""
    vram: Series = field(default_factory=Series)
    ram: Series = field(default_factory=Series)
    spill: Series = field(default_factory=Series)
    decode: Series = field(default_factory=Series)
    """Tokens generated per second; a gap where no request is in that phase."""
    prefill: Series = field(default_factory=Series)
    """Prompt tokens computed per second."""
    metered: MeteredModel | None = None
    """What a pass-through meter before its server says of it."""
    metered_at: float | None = None
    """When that was said."""

    @property
    def claims_memory(self) -> bool:
        """Whether its server says how much memory it takes; else only the driver and the system tell."""
        return self.claim.size_bytes is not None or self.claim.size_vram_bytes is not None

    @property
    def kind(self) -> ServerKind:
        """What its kind of server says of itself."""
        return kind_named(self.runtime)

    @property
    def split(self) -> Split:
        """GPU and RAM part by the server's claim."""
        return split_of(self.claim.size_bytes, self.claim.size_vram_bytes)

    @property
    def processor(self) -> str:
        """What ``ollama ps`` prints as PROCESSOR."""
        return processor_words(self.claim.size_bytes, self.claim.size_vram_bytes)
