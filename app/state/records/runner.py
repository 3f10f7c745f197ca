"""What is remembered of a process that holds a model, and by which keys models and processes are known."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from msgspec import Struct, field

from gpumon.app.state.rates.disk import DiskReads
from gpumon.app.state.rates.figures import FinishedRequest, RunnerRates
from gpumon.app.state.rates.log_meter import LogMeter
from gpumon.app.state.rates.meter import RateMeter
from gpumon.app.state.rates.pace import PaceTrack
from gpumon.app.state.rates.pool import PoolTrack
from gpumon.app.state.rates.waits import WaitTrack
from gpumon.app.state.records.log import Placement
from gpumon.app.state.series import Series
from gpumon.collectors.samples import (
    FileFacts,
    LastRequest,
    LoadFacts,
    ModelFacts,
    RunnerProcess,
    WorkSample,
)
from gpumon.collectors.servers.kind import RunnerKind, ServerKind


class ModelKey(NamedTuple):
    """Identity of a loaded model: the server, and the manifest's digest (the name where there is none)."""

    source: str
    """The server's URL; ``process PID`` of a llama-server in a container, whose URL is not known."""
    digest: str


class RunnerKey(NamedTuple):
    """Identity of a process: the PID alone is used again."""

    pid: int
    started: float


class Prediction(Struct):
    """The memory of a model when all of it is on the GPUs that it uses."""

    gpu_uuids: tuple[str, ...]
    uncorrected_vram_bytes: int
    expected_vram_bytes: float
    """On all GPUs together, corrected by what earlier loads have taught. An estimate."""
    measured_vram_bytes: int | None = None
    """What the driver measured when the load was over; ``None`` until then, and where a part is in RAM."""

    @property
    def error_fraction(self) -> float | None:
        """How far the prediction was from the measurement: 0.02 is 2 % too much."""
        if not self.measured_vram_bytes:
            return None
        return self.expected_vram_bytes / self.measured_vram_bytes - 1


class SeenRequest(Struct, frozen=True):
    """What a server says of the latest request that has ended, and when a look found it to be a new one."""

    request: LastRequest
    ended: float | None = None
    """To within a look; ``None`` of one that had ended before the first look."""
    origin: str | None = None
    """Where it stands: a path."""


class Intent(Struct, frozen=True):
    """Where the settings of a process put its model; ``None`` is not known."""

    setting: str | None = None
    """What keeps a part in RAM, as it was typed: ``--n-cpu-moe 40``."""
    keeps: tuple[str, ...] = ()
    """What that is: ``experts``, ``tensors``, ``layers``, ``cache``."""
    kept_bytes: int | None = None
    """In RAM because it was asked for; 0 where nothing is."""
    ram_bytes: int | None = None
    """The same, and what is never on a GPU."""
    vram_bytes: int | None = None
    """The least to be expected on GPUs, in the driver's count."""
    ram_parts: tuple[tuple[str, int], ...] = ()
    """``ram_bytes`` by what they are: ``experts``, ``layers``, ``context``, ``embedding``, …"""
    vram_parts: tuple[tuple[str, int], ...] = ()
    """``vram_bytes`` in the same way."""
    weights_bytes: int | None = None
    cpu: str | None = None
    """The setting by which the user has asked for the CPU alone."""
    elsewhere: str | None = None
    """Why what is measured here says nothing of the rest: it may be on another host, or on another card."""
    problem: str | None = None
    """Why the bytes are not known."""


REQUESTS_KEPT = 50
"""Finished requests, of each process or model."""


class RunnerRecord(Struct):
    """A process that holds, or is loading, one model."""

    key: RunnerKey
    process: RunnerProcess
    kind: RunnerKind
    server_kind: ServerKind
    """The kind of server that holds models in such processes."""
    first_seen: float
    seen: float
    seen_before: float | None = None
    """Time of the look before: what the process used of the CPU is told from there to ``seen``."""
    vram_by_gpu: dict[str, int] = field(default_factory=dict)
    """What the driver measures for it, by GPU UUID; a GPU that does not say is left out."""
    vram_complete: bool = False
    """Whether ``vram_by_gpu`` is all that it holds: every GPU listed its processes and said their sizes."""
    vram_seen: float | None = None
    """Time of the driver's latest list."""
    vram_steady_bytes: int | None = None
    """What its memory has been for some time, but for noise; ``None`` while it is not measured."""
    vram_steady_since: float | None = None
    """Time of the first list that said so."""
    vram_settled_at: float | None = None
    """Time of the first list that said so since it was claimed and ready; before that, of any."""
    vram_confirmed: float | None = None
    """Time of the list before the latest one, where both say the same of it."""
    hidden_vram_bytes: int = 0
    """The most memory without an owner since claim and process were last seen together."""
    ready_since: float | None = None
    """When it first said that it is ready; ``None`` where it says nothing, or that it loads."""
    claimed_since: float | None = None
    """When the server first claimed, of this process, as much VRAM as it still does."""
    model: ModelKey | None = None
    """The model that a server claims for it; ``None`` while it is loading."""
    unclaimed_since: float | None = None
    """When its server stopped to claim it, where it did before."""
    served_by: str | None = None
    """Name of the ``ServerKind`` that has started it and claims its model, also after that has ended."""
    worked: float | None = None
    """When it was last seen at work on a request."""
    answer: WorkSample | None = None
    """The latest poll of its own port."""
    facts: LoadFacts | None = None
    placement: Placement | None = None
    """What the server's log says of its load."""
    load_over: bool = False
    """Whether it has finished to load its model."""
    meter: RateMeter = field(default_factory=RateMeter)
    """Token rates from the polls of its own port."""
    log_meter: LogMeter | None = None
    """Token rates from its server's log, where its own port tells nothing."""
    pool: PoolTrack = field(default_factory=PoolTrack)
    """How full the cache of all its contexts is, where it says so."""
    waits: WaitTrack = field(default_factory=WaitTrack)
    """Since when requests wait for a place."""
    requests: deque[FinishedRequest] = field(default_factory=lambda: deque(maxlen=REQUESTS_KEPT))
    """Requests that were seen to end, oldest first."""
    last: SeenRequest | None = None
    pace: PaceTrack = field(default_factory=PaceTrack)
    """How fast one request is, over seconds."""
    disk: DiskReads = field(default_factory=DiskReads)
    """What it reads from storage while it works."""
    prediction: Prediction | None = None
    """What was predicted of its load; ``None`` where that cannot be done."""
    described: ModelFacts | None = None
    """What ``prediction`` was made from, or could not be."""
    file: FileFacts | None = None
    """What its files hold, where they were read here."""
    intent: Intent | None = None
    """What its settings amount to, as reckoned from ``intent_basis``."""
    intent_basis: object = None
    intent_facts: ModelFacts | None = None
    vram: Series = field(default_factory=Series)

    @property
    def members(self) -> tuple[RunnerKey, ...]:
        """The process and those below it that are on a GPU for it."""
        return (self.key, *(RunnerKey(pid, started) for pid, started in self.process.workers))

    @property
    def pids(self) -> frozenset[int]:
        """The PIDs of ``members``."""
        return frozenset(one.pid for one in self.members)

    @property
    def loaded_since(self) -> float | None:
        """When it was claimed and, where it says so, ready; ``None`` where it is not claimed."""
        if self.claimed_since is None or self.ready_since is None:
            return self.claimed_since
        return max(self.claimed_since, self.ready_since)

    @property
    def rates(self) -> RunnerRates:
        """What the latest poll of its own port amounts to, or else what its server's log says."""
        return self.log_meter.rates if self.log_meter else self.meter.rates

    @property
    def measured_vram_bytes(self) -> int | None:
        """What the driver measures for it over all GPUs; ``None`` where some of it may be missing."""
        return sum(self.vram_by_gpu.values()) if self.vram_complete else None
