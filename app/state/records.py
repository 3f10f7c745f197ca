"""What the state remembers of each source, GPU, model and of the machine."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from gpumon.app.state.log_meter import LogMeter
from gpumon.app.state.log_records import Placement
from gpumon.app.state.pace import PaceTrack
from gpumon.app.state.prediction import Prediction
from gpumon.app.state.rate_values import FinishedRequest, RunnerRates
from gpumon.app.state.rates import RateMeter
from gpumon.app.state.series import Series
from gpumon.app.state.split import Split, processor_words, split_of
from gpumon.collectors.samples import (
    HEALTHY_STATES,
    GpuFacts,
    GpuReading,
    GpuSlow,
    MeteredModel,
    ModelClaim,
    OllamaModelFacts,
    RunnerFacts,
    RunnerProcess,
    RunnerSample,
    RunnerState,
    ServedModelSample,
    SourceHealth,
    SystemSample,
)

REQUESTS_KEPT = 50

LEFTOVERS_KEPT = 16

STALE_AFTER_SECONDS = 10.0
"""Values of a healthy source are drawn as current up to this age."""


JoinedBy = Literal[
    "blob",  # the runner's file is the claim's, by /api/show or by a manifest on disk
    "name",  # the runner's command line names the model
    "only one",  # the server has one runner and one claim, and nothing is known of the claim's file
    "address",  # a llama-server: the process listens where the URL leads
    "process",  # a llama-server that is asked on its own port alone
]
"""How a runner and a claim were found to be one."""


Runtime = Literal["ollama", "llama_server"]
"""What serves a model."""


class ModelKey(NamedTuple):
    """Identity of a loaded model: the server, and the manifest's digest (the name where there is none)."""

    source: str
    """The server's URL; ``process PID`` of a llama-server in a container, whose URL is not known."""
    digest: str


class RunnerKey(NamedTuple):
    """Identity of a process: the PID alone is used again."""

    pid: int
    started: float


@dataclass(slots=True)
class SourceRecord:
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
    runtime: Runtime | None = None
    """What kind of server it is, of one that has answered."""
    clock_offset_seconds: float = 0.0
    """The server's clock minus ours; 0 where it is within the resolution of the ``Date`` header."""

    @property
    def healthy(self) -> bool:
        """Whether it answers and says what was asked."""
        return self.health.state in HEALTHY_STATES and self.silent_seconds is None

    def age(self, now: float) -> float | None:
        """Return the age in seconds of its last values where they are no longer current, else ``None``."""
        if self.answered is None:
            return None
        age = now - self.answered
        return None if self.healthy and age <= STALE_AFTER_SECONDS else age


class Returned(NamedTuple):
    """Memory of a GPU that came back when a process ended."""

    uuid: str
    name: str | None
    """Of the process, or of the model that it held."""
    vram_bytes: int
    time: float
    pid: int | None = None
    """Of the process that ended."""


class Leftover(NamedTuple):
    """Memory of a GPU that has not come back though its process is no longer listed."""

    pid: int
    name: str | None
    vram_bytes: int
    since: float
    unaccounted_before: int
    """Bytes in use without an owner while the process was there."""


@dataclass(slots=True)
class GpuRecord:
    """A GPU, by UUID: the latest reading, the facts and slow fields read before, and its series."""

    reading: GpuReading
    seen: float
    """Time of the latest reading."""
    lost_since: float | None = None
    facts: GpuFacts = field(default_factory=GpuFacts)
    slow: GpuSlow = field(default_factory=GpuSlow)
    unaccounted_before: int | None = None
    """Bytes in use without an owner in the reading before the latest."""
    leftovers: deque[Leftover] = field(default_factory=lambda: deque(maxlen=LEFTOVERS_KEPT))
    vram: Series = field(default_factory=Series)
    utilization: Series = field(default_factory=Series)
    power: Series = field(default_factory=Series)
    temperature: Series = field(default_factory=Series)

    @property
    def total_bytes(self) -> int | None:
        """Capacity as the driver states it."""
        return self.reading.memory.total_bytes if self.reading.memory else None


@dataclass(slots=True)
class Served:
    """What a llama-server says of a model at its URL, where no process of it is known."""

    state: RunnerState
    answer: ServedModelSample | None = None
    """The latest poll of its statistics."""
    facts: RunnerFacts | None = None
    meter: RateMeter = field(default_factory=RateMeter)
    requests: deque[FinishedRequest] = field(default_factory=lambda: deque(maxlen=REQUESTS_KEPT))


@dataclass(slots=True)
class ModelRecord:
    """A loaded model: the latest claim, its facts where asked, and its series."""

    key: ModelKey
    claim: ModelClaim
    first_seen: float
    seen: float
    runtime: Runtime = "ollama"
    served: Served | None = None
    """Set where a llama-server is asked by its URL."""
    process: RunnerKey | None = None
    """Set where nothing but this process tells of the model."""
    gone: float | None = None
    """When the server no longer listed it."""
    claim_steady_bytes: int | None = None
    """What ``size_vram`` has been for some time, but for noise."""
    spilled_since: float | None = None
    facts: OllamaModelFacts | None = None
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
    def split(self) -> Split:
        """GPU and RAM part by the server's claim."""
        return split_of(self.claim.size_bytes, self.claim.size_vram_bytes)

    @property
    def processor(self) -> str:
        """What ``ollama ps`` prints as PROCESSOR."""
        return processor_words(self.claim.size_bytes, self.claim.size_vram_bytes)


@dataclass(slots=True)
class RunnerRecord:
    """A process that holds, or is loading, one model."""

    key: RunnerKey
    process: RunnerProcess
    first_seen: float
    seen: float
    vram_by_gpu: dict[str, int] = field(default_factory=dict)
    """What the driver measures for it, by GPU UUID; a GPU that does not say is left out."""
    vram_complete: bool = False
    """Whether ``vram_by_gpu`` is all that it holds: every GPU listed its processes and said their sizes."""
    vram_seen: float | None = None
    """Time of the driver's latest list."""
    vram_steady_bytes: int | None = None
    """What its memory has been for some time, but for noise; ``None`` while it is not measured."""
    vram_confirmed: float | None = None
    """Time of the list before the latest one, where both say the same of it."""
    ready_since: float | None = None
    """When it first said that it is ready; ``None`` where it says nothing, or that it loads."""
    claimed_since: float | None = None
    """When the server first claimed, of this process, as much VRAM as it still does."""
    model: ModelKey | None = None
    """The model that a server claims for it; ``None`` while it is loading."""
    worked: float | None = None
    """When it was last seen at work on a request."""
    answer: RunnerSample | None = None
    """The latest poll of its own port."""
    facts: RunnerFacts | None = None
    placement: Placement | None = None
    """What the server's log says of its load."""
    load_over: bool = False
    """Whether it has finished to load its model."""
    meter: RateMeter = field(default_factory=RateMeter)
    """Token rates from the polls of its own port."""
    log_meter: LogMeter | None = None
    """Token rates from its server's log, where its own port tells nothing."""
    requests: deque[FinishedRequest] = field(default_factory=lambda: deque(maxlen=REQUESTS_KEPT))
    """Requests that were seen to end, oldest first."""
    pace: PaceTrack = field(default_factory=PaceTrack)
    """How fast one request is, over seconds."""
    prediction: Prediction | None = None
    """What was reckoned of its load; ``None`` where that cannot be done."""
    described: OllamaModelFacts | None = None
    """What ``prediction`` was made from, or could not be."""
    vram: Series = field(default_factory=Series)

    @property
    def rates(self) -> RunnerRates:
        """What the latest poll of its own port amounts to, or else what its server's log says."""
        return self.log_meter.rates if self.log_meter else self.meter.rates

    @property
    def measured_vram_bytes(self) -> int | None:
        """What the driver measures for it over all GPUs; ``None`` where some of it may be missing."""
        return sum(self.vram_by_gpu.values()) if self.vram_complete else None


@dataclass(slots=True)
class SystemRecord:
    """RAM, swap and CPU: the latest sample and the series."""

    sample: SystemSample
    seen: float
    """Time of the latest sample."""
    ram_used: Series = field(default_factory=Series)
    swap_used: Series = field(default_factory=Series)
    cpu: Series = field(default_factory=Series)
