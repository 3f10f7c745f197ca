"""What is known now, and what the latest sample has touched of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from msgspec import Struct, field

from gpumon.app.state.places import is_local, is_loopback
from gpumon.app.state.rates.figures import FinishedRequest
from gpumon.app.state.records import (
    Event,
    FailedLoad,
    FinishedLoad,
    GaveBack,
    GpuRecord,
    History,
    LearnedRecord,
    Lesson,
    Load,
    ModelKey,
    ModelRecord,
    Returned,
    RunnerKey,
    RunnerRecord,
    ServerLog,
    SourceRecord,
    SystemRecord,
    Thrash,
    is_server,
)
from gpumon.collectors.samples import (
    HEALTHY_STATES,
    BlobNames,
    HolderProcess,
    InstalledModels,
    MeterSample,
    ModelFacts,
    ServerProcess,
    SourceHealth,
)
from gpumon.collectors.servers.registry import kind_named


class Touched(Struct):
    """Filled while one sample is taken in, and returned by ``Store.apply``.

    A key that is not in the state any more is that of something that has gone.
    """

    sources: set[str] = field(default_factory=set)
    """Sources that are no longer what they were; one that answers as before is not among them."""
    gpus: set[str] = field(default_factory=set)
    """UUIDs of the GPUs that the driver spoke of."""
    claimed: set[ModelKey] = field(default_factory=set)
    """Models of which a server spoke, that came or went, or whose process is another one."""
    measured: set[ModelKey] = field(default_factory=set)
    """Models of whose process the driver or the operating system spoke."""
    worked: dict[ModelKey, bool] = field(default_factory=dict)
    """Models that told how they work, and whether that has changed in more than its counts."""
    requests: dict[RunnerKey, tuple[FinishedRequest, ...]] = field(default_factory=dict)
    """Requests that were seen to end."""
    loads: bool = False
    """Whether loads have failed, been given up, or come to be too many."""
    processes: bool = False
    """Whether servers, their lists or their processes may be others than before."""
    events: list[Event] = field(default_factory=list)
    """What has happened and does not last."""
    system: bool = False
    """Whether the operating system spoke of RAM, swap and CPU."""
    learned: bool = False
    """Whether something was learned of this machine that an earlier run did not know."""

    @property
    def models(self) -> set[ModelKey]:
        """Every model that the sample bears on."""
        return self.claimed | self.measured | self.worked.keys()

    def work(self, model: ModelKey | None, *, changed: bool) -> None:
        """Add that a model told how it works; ``None`` is a process that no server claims."""
        if model is not None:
            self.worked[model] = changed or self.worked.get(model, False)

    def end_requests(self, runner: RunnerKey, requests: Iterable[FinishedRequest]) -> None:
        """Add requests of a runner that have ended."""
        ended = tuple(requests)
        if ended:
            self.requests[runner] = (*self.requests.get(runner, ()), *ended)


DRIVER = "nvml"
NOT_THERE = frozenset({"absent", "not_running"})
"""States of a source that is simply not on this machine, where it never answered."""
DEPARTED_KEPT = 50
RETURNED_KEPT = 50
GIVEN_BACK_KEPT = 50
FINISHED_LOADS_KEPT = 100


class State(Struct, eq=False):
    """What is known now. Read it; only the store writes."""

    now: float = 0.0
    """Time of the newest sample: the only clock there is."""
    began: float | None = None
    """Time of the first sample."""
    sources: dict[str, SourceRecord] = field(default_factory=dict)
    servers_here: list[str] = field(default_factory=list)
    """Those of ``sources`` that are servers of this machine by their URL alone."""
    gpus: dict[str, GpuRecord] = field(default_factory=dict)
    models: dict[ModelKey, ModelRecord] = field(default_factory=dict)
    departed: deque[ModelRecord] = field(default_factory=lambda: deque(maxlen=DEPARTED_KEPT))
    """Models that were unloaded, oldest first."""
    histories: dict[ModelKey, History] = field(default_factory=dict)
    """Of the models that are loaded or loading, and of those that left not too long ago."""
    system: SystemRecord | None = None
    driver_version: str | None = None
    installed: dict[str, InstalledModels] = field(default_factory=dict)
    facts: dict[ModelKey, ModelFacts] = field(default_factory=dict)
    servers: tuple[ServerProcess, ...] = ()
    server_starts: dict[str, tuple[int, float]] = field(default_factory=dict)
    """PID and start of the latest server at each URL of this machine."""
    runners: dict[RunnerKey, RunnerRecord] = field(default_factory=dict)
    """The processes that hold a model each, loading ones included."""
    holders: dict[int, HolderProcess] = field(default_factory=dict)
    """Other processes on a GPU, by PID."""
    returned: deque[Returned] = field(default_factory=lambda: deque(maxlen=RETURNED_KEPT))
    """GPU memory that came back when a process ended, oldest first."""
    given_back: deque[GaveBack] = field(default_factory=lambda: deque(maxlen=GIVEN_BACK_KEPT))
    """GPU memory that processes gave back, at their end or before, oldest first."""
    blob_names: dict[str, BlobNames] = field(default_factory=dict)
    """Names from manifests on disk, by models directory."""
    disk_blobs: dict[str, frozenset[str]] = field(default_factory=dict)
    """Blobs of the weights by the manifest's digest, from ``blob_names``."""
    loads: dict[RunnerKey, Load] = field(default_factory=dict)
    """Loads in progress, by runner."""
    finished_loads: deque[FinishedLoad] = field(default_factory=lambda: deque(maxlen=FINISHED_LOADS_KEPT))
    """Loads that ended, however they did, oldest first."""
    failed_loads: dict[str, FailedLoad] = field(default_factory=dict)
    """Models whose last load failed a short while ago, by ``identity`` of their settings."""
    thrash: dict[str, Thrash] = field(default_factory=dict)
    """Models that are loaded again and again now, by identity; a pair by both names."""
    lessons: dict[tuple[str, int | None], Lesson] = field(default_factory=dict)
    """What earlier loads taught, by identity and context length; the latest last."""
    learned: LearnedRecord = field(default_factory=LearnedRecord)
    """What this run and earlier ones have learned of this machine."""
    logs: dict[str, ServerLog] = field(default_factory=dict)
    """What the servers' logs have said, by source."""
    metered: dict[str, MeterSample | None] = field(default_factory=dict)
    """Servers whose answers come through a pass-through meter, and what that said last."""
    upstreams: dict[str, str] = field(default_factory=dict)
    """URL of the server behind a meter of this machine, by the meter's URL."""
    routed: dict[str, dict[int, str]] = field(default_factory=dict)
    """Names of models by the port of the process that holds each, of servers that only start these."""
    driver_seen: float | None = None
    """Time of the driver's latest sample."""
    hidden_vram_bytes: int = 0
    """Memory in use on all GPUs that processes which the driver does not list may hold."""
    gpu_shown: bool = False
    """Whether the driver has shown a GPU, at any time of this run."""
    other_gpu_makers: tuple[str, ...] = ()
    """Who made the GPUs here that the driver knows nothing of."""
    gpu_claimed: set[str] = field(default_factory=set)
    """Servers that have claimed VRAM, at any time of this run."""
    touched: Touched = field(default_factory=Touched)
    """What the sample that is being taken in, or was the last to be, has touched."""

    @property
    def gpu_known(self) -> bool:
        """Whether the driver has shown a GPU or a server has claimed VRAM, at any time of this run."""
        return self.gpu_shown or bool(self.gpu_claimed)

    def gpu_known_at(self, source: str) -> bool:
        """Return whether a server's machine has a GPU; this machine's says nothing of a remote one."""
        return source in self.gpu_claimed or (self.gpu_shown and is_local(source, self.servers))

    def runner_of(self, model: ModelRecord) -> RunnerRecord | None:
        """Return the process that holds a model, where it is known and still there."""
        return self.runners.get(model.runner) if model.runner else None

    @property
    def runner_pids(self) -> frozenset[int]:
        """The PIDs of all processes that hold models, workers among them."""
        return frozenset().union(*(runner.pids for runner in self.runners.values()))

    @property
    def has_loads(self) -> bool:
        """Whether a load is to be followed: one that is in progress, may be, or has gone wrong."""
        if self.loads or self.failed_loads or self.thrash:
            return True
        return any(not runner.load_over for runner in self.runners.values())

    def lacks_gpu_at(self, source: str) -> bool:
        """Return whether a server's machine is this one, and has no GPU as far as driver and server say."""
        driver = self.sources.get(DRIVER)
        has_gpus = self.gpus or self.other_gpu_makers or self.gpu_known_at(source)
        if driver is None or has_gpus or not is_local(source, self.servers):
            return False
        never_was = driver.answered is None and driver.silent_seconds is None
        return driver.healthy or (never_was and driver.health.state in NOT_THERE)

    def holds_all_in_ram(self, source: str) -> bool:
        """Return whether a server's machine certainly has no GPU, so that nothing can be anywhere else."""
        driver = self.sources.get(DRIVER)
        return self.lacks_gpu_at(source) and driver is not None and driver.health.state == "idle"

    @property
    def has_gpu(self) -> bool:
        """Whether this machine's driver has shown a GPU."""
        return bool(self.gpus)


def hear(
    state: State,
    source: str,
    health: SourceHealth,
    version: str | None = None,
    runtime: str | None = None,
) -> SourceRecord:
    """Record that ``source`` has answered, and how it is; return its record."""
    record = state.sources.get(source)
    if record is None:
        record = add_source(state, source, health, state.now)
    elif record.silent_seconds is not None or record.health != health:
        state.touched.sources.add(source)
        if record.health.state != health.state:
            record.since = state.now
        record.health = health
        record.silent_seconds = record.silent_since = None
    if runtime is not None and runtime != record.runtime:
        state.touched.sources.add(source)
        record.version, record.kind = None, kind_named(runtime)
    record.version = version or record.version
    if health.state in HEALTHY_STATES:
        record.answered = state.now
    return record


def add_source(state: State, name: str, health: SourceHealth, since: float) -> SourceRecord:
    """Add a source that has not been heard of before."""
    state.touched.sources.add(name)
    record = state.sources[name] = SourceRecord(name, health, since)
    if is_server(name) and is_loopback(name):
        state.servers_here.append(name)
    return record
