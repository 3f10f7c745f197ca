"""What is remembered of a server and of a loaded model: the latest claim and its parts."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection
from functools import lru_cache
from typing import Literal, NamedTuple

from msgspec import Struct, field, structs

from gpumon.app.state.rates.figures import FinishedRequest, RunnerRates
from gpumon.app.state.rates.meter import RateMeter
from gpumon.app.state.rates.picture import PictureTrack
from gpumon.app.state.rates.pool import PoolTrack
from gpumon.app.state.rates.waits import WaitTrack
from gpumon.app.state.records.history import History
from gpumon.app.state.records.runner import REQUESTS_KEPT, ModelKey, RunnerKey, SeenRequest
from gpumon.collectors.samples import (
    HEALTHY_STATES,
    KnownBy,
    LoadFacts,
    MeteredModel,
    ModelClaim,
    ModelFacts,
    ModelState,
    SourceHealth,
    WorkSample,
)
from gpumon.collectors.servers.kind import ServerKind
from gpumon.collectors.servers.registry import DEFAULT

STALE_AFTER_SECONDS = 10.0
"""Values of a healthy source are drawn as current up to this age."""


def is_server(source: str) -> bool:
    """Whether a source is a server of models; those are named by their URL."""
    return "://" in source


class SourceRecord(Struct):
    """A source: how it is, since when, and when it last gave values."""

    name: str
    health: SourceHealth
    since: float
    """When ``health.state`` became what it is."""
    answered: float | None = None
    """Time of the last sample with a healthy state."""
    silent_seconds: float | None = None
    """How long the poll under way has been waiting, if it is late."""
    silent_since: float | None = None
    """When that poll began."""
    version: str | None = None
    kind: ServerKind | None = None
    """Set once it has answered as a server."""
    is_pointless: bool = False
    """Whether there is nothing to tell of a server: nobody has named it, and others are there instead."""
    known_by: KnownBy = "url"
    """How gpumon came to ask it, of a server."""
    elsewhere: str | None = None
    """Where a server of its kind runs on this machine, where nothing listens at its own URL."""
    clock_offset_seconds: float = 0.0
    """The server's clock minus ours; 0 where it is within the resolution of the ``Date`` header."""

    @property
    def runtime(self) -> str | None:
        """Name of its ``kind``."""
        return None if self.kind is None else self.kind.name

    @property
    def healthy(self) -> bool:
        """Whether it answers and says what was asked."""
        return self.health.state in HEALTHY_STATES and self.silent_seconds is None

    @property
    def hint(self) -> str | None:
        """Return the next step for the user: not to start what runs already."""
        if self.elsewhere is None or self.health.state != "not_running":
            return self.health.hint
        return f"{(self.kind or DEFAULT).label} runs here, at {self.elsewhere}: check --url"

    def age(self, now: float) -> float | None:
        """Return the age in seconds of its last values where they are no longer current, else ``None``."""
        if self.answered is None:
            return None
        age = now - self.answered
        return None if self.healthy and age <= STALE_AFTER_SECONDS else age


class Split(NamedTuple):
    """The two parts of a model in bytes, and their share; all ``None`` where the claim makes no sense."""

    gpu_bytes: int | None
    ram_bytes: int | None
    spill_fraction: float | None
    """RAM part / all, 0 to 1."""


UNKNOWN_SPLIT = Split(None, None, None)


@lru_cache(maxsize=256)
def split_of(size_bytes: int | None, size_vram_bytes: int | None) -> Split:
    """Split a claim into its GPU and RAM parts."""
    if size_bytes is None or size_vram_bytes is None or size_bytes <= 0:
        return UNKNOWN_SPLIT
    if not 0 <= size_vram_bytes <= size_bytes:
        return UNKNOWN_SPLIT
    ram_bytes = size_bytes - size_vram_bytes
    return Split(size_vram_bytes, ram_bytes, ram_bytes / size_bytes)


def processor_words(size_bytes: int | None, size_vram_bytes: int | None) -> str:
    """Write the PROCESSOR column exactly as ``ollama ps`` does, the order of its cases included."""
    if size_bytes is None or size_vram_bytes is None:
        return "Unknown"
    if size_vram_bytes == 0:
        return "100% CPU"
    if size_vram_bytes == size_bytes:
        return "100% GPU"
    if size_vram_bytes > size_bytes or size_bytes == 0:
        return "Unknown"
    cpu_percent = go_round(float(size_bytes - size_vram_bytes) / float(size_bytes) * 100)
    return f"{cpu_percent}%/{100 - cpu_percent}% CPU/GPU"


def go_round(value: float) -> int:
    """Round half away from zero as Go's ``math.Round`` does; Python's ``round`` goes to even."""
    whole = math.floor(abs(value))
    return int(math.copysign(whole + (abs(value) - whole >= 0.5), value))


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
    pool: PoolTrack = field(default_factory=PoolTrack)
    waits: WaitTrack = field(default_factory=WaitTrack)
    requests: deque[FinishedRequest] = field(default_factory=lambda: deque(maxlen=REQUESTS_KEPT))
    last: SeenRequest | None = None

    def take(self, sample: WorkSample) -> None:
        """Follow the requests of one look."""
        self.pool.feed(sample)
        self.waits.feed(sample)
        self.requests.extend(self.meter.feed(sample))


class ModelRecord(Struct):
    """A loaded model: the latest claim, its facts where asked, and its history."""

    key: ModelKey
    claim: ModelClaim
    first_seen: float
    seen: float
    kind: ServerKind = DEFAULT
    """What serves it."""
    stated: ModelClaim | None = None
    """The latest claim as its server states it; ``claim`` adds what else is known. ``None`` without a URL."""
    served: Served | None = None
    """Set where its server tells at its URL how the model works."""
    process: RunnerKey | None = None
    """Set where nothing but this process tells of the model."""
    gone: float | None = None
    """When the server no longer listed it."""
    server_ended: bool = False
    """Whether it is gone because its server is, or the process that was all there was of it."""
    unload_asked: float | None = None
    """When the user had gpumon ask its server to unload it."""
    gpus: tuple[str, ...] = ()
    """UUIDs of the GPUs on which the driver last measured its process."""
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
    ended_runner: RunnerKey | None = None
    """That process."""
    stop_asked: bool = False
    """Whether its expiry was moved to the past: it has been asked to go, and does so after its requests."""
    joined_by: JoinedBy | None = None
    history: History = field(default_factory=History)
    """Its series, which are those of its loads before, too."""
    behind: str | None = None
    """The server behind its own that tells how it works, where that is asked too."""
    metered: MeteredModel | None = None
    """What a pass-through meter before its server says of it."""
    metered_at: float | None = None
    """When that was said."""
    pictures: PictureTrack | None = None
    """Of an image generator: the picture under way."""

    @property
    def claims_memory(self) -> bool:
        """Whether its server says how much memory it takes; else only the driver and the system tell."""
        return self.claim.size_bytes is not None or self.claim.size_vram_bytes is not None

    @property
    def runtime(self) -> str:
        """Name of its ``kind``."""
        return self.kind.name

    @property
    def split(self) -> Split:
        """GPU and RAM part by the server's claim."""
        return split_of(self.claim.size_bytes, self.claim.size_vram_bytes)

    @property
    def holder(self) -> RunnerKey | None:
        """The process that holds it or, where it has ended, the last that did."""
        return self.runner or self.ended_runner or self.process

    def note_rates(self, rates: RunnerRates, now: float) -> None:
        """Add to its series how fast it works."""
        self.history.take_rates(now, rates, on_gpu=self.split.spill_fraction == 0)

    @property
    def processor(self) -> str:
        """What ``ollama ps`` prints as PROCESSOR."""
        return processor_words(self.claim.size_bytes, self.claim.size_vram_bytes)


def with_facts(claim: ModelClaim, known: ModelClaim) -> ModelClaim:
    """Return ``claim`` with what is known of it besides, where it does not say itself."""
    names: Collection[str] = ModelClaim.__struct_fields__
    missing = {name: getattr(known, name) for name in names if getattr(claim, name) is None}
    return (
        structs.replace(claim, **missing) if any(value is not None for value in missing.values()) else claim
    )
