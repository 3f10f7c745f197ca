"""What is known now: the records of every source, GPU, model and process."""

from __future__ import annotations

from collections import deque

from gpumon.app.state.learned_records import LearnedRecord
from gpumon.app.state.load_records import FailedLoad, FinishedLoad, Lesson, Load, Thrash
from gpumon.app.state.log_records import ServerLog
from gpumon.app.state.places import is_local
from gpumon.app.state.records import (
    GpuRecord,
    ModelKey,
    ModelRecord,
    Returned,
    RunnerKey,
    RunnerRecord,
    SourceRecord,
    SystemRecord,
)
from gpumon.collectors.samples import (
    BlobNames,
    HolderProcess,
    MeterSample,
    OllamaInstalled,
    OllamaModelFacts,
    ServerProcess,
)

DEPARTED_KEPT = 50
RETURNED_KEPT = 50
FINISHED_LOADS_KEPT = 100


class State:
    """What is known now. Read it; only the store writes."""

    def __init__(self) -> None:
        self.now = 0.0
        """Time of the newest sample: the only clock there is."""
        self.sources: dict[str, SourceRecord] = {}
        self.gpus: dict[str, GpuRecord] = {}
        self.models: dict[ModelKey, ModelRecord] = {}
        self.departed: deque[ModelRecord] = deque(maxlen=DEPARTED_KEPT)
        """Models that were unloaded, oldest first."""
        self.system: SystemRecord | None = None
        self.driver_version: str | None = None
        self.installed: dict[str, OllamaInstalled] = {}
        self.facts: dict[ModelKey, OllamaModelFacts] = {}
        self.servers: tuple[ServerProcess, ...] = ()
        self.runners: dict[RunnerKey, RunnerRecord] = {}
        """The processes that hold a model each, loading ones included."""
        self.holders: dict[int, HolderProcess] = {}
        """Other processes on a GPU, by PID."""
        self.returned: deque[Returned] = deque(maxlen=RETURNED_KEPT)
        """GPU memory that came back when a process ended, oldest first."""
        self.blob_names: dict[str, BlobNames] = {}
        """Names from manifests on disk, by models directory."""
        self.disk_blobs: dict[str, frozenset[str]] = {}
        """Blobs of the weights by the manifest's digest, from ``blob_names``."""
        self.loads: dict[RunnerKey, Load] = {}
        """Loads in progress, by runner."""
        self.finished_loads: deque[FinishedLoad] = deque(maxlen=FINISHED_LOADS_KEPT)
        """Loads that ended, however they did, oldest first."""
        self.failed_loads: dict[str, FailedLoad] = {}
        """Models whose last load failed a short while ago, by ``load_records.identity``."""
        self.thrash: dict[str, Thrash] = {}
        """Models that are loaded again and again now, by identity; a pair by both names."""
        self.lessons: dict[tuple[str, int | None], Lesson] = {}
        """What earlier loads taught, by identity and context length; the latest last."""
        self.learned = LearnedRecord()
        """What this run and earlier ones have learned of this machine."""
        self.logs: dict[str, ServerLog] = {}
        """What the servers' logs have said, by source."""
        self.metered: dict[str, MeterSample | None] = {}
        """Servers whose answers come through a pass-through meter, and what that said last."""
        self.upstreams: dict[str, str] = {}
        """URL of the server behind a meter of this machine, by the meter's URL."""
        self.driver_seen: float | None = None
        """Time of the driver's latest sample."""
        self.gpu_shown = False
        """Whether the driver has shown a GPU, at any time of this run."""
        self.gpu_claimed: set[str] = set()
        """Servers that have claimed VRAM, at any time of this run."""
        self.gpus_revision = 0
        """Grows with every sample that speaks of GPUs; likewise the next four."""
        self.models_revision = self.runners_revision = 0
        self.loads_revision = self.system_revision = 0

    @property
    def gpu_known(self) -> bool:
        """Whether the driver has shown a GPU or a server has claimed VRAM, at any time of this run."""
        return self.gpu_shown or bool(self.gpu_claimed)

    def gpu_known_at(self, source: str) -> bool:
        """Tell whether the machine of a server has a GPU; this machine's says nothing of a remote server."""
        return source in self.gpu_claimed or (self.gpu_shown and is_local(source, self.servers))

    @property
    def has_gpu(self) -> bool:
        """Whether this machine's driver has shown a GPU."""
        return bool(self.gpus)
