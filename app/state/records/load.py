"""What the state remembers of loads: those in progress, those that ended, and what they taught."""

from __future__ import annotations

from typing import Literal, NamedTuple

from msgspec import Struct, field

from gpumon.app.state.records.evidence import Evidence
from gpumon.app.state.records.log import Placement
from gpumon.app.state.records.runner import ModelKey, RunnerKey
from gpumon.collectors.samples import RunnerSettings

LoadPhase = Literal[
    "starting",  # its port refuses, or has not been asked
    "fitting",  # its port answers, no byte of the weights has moved
    "weights",  # on their way from storage and to the GPU
    "context",  # in place: KV cache and compute buffers are next
    "warm_up",  # all memory is taken
    "ready",
]

PHASES: tuple[LoadPhase, ...] = ("starting", "fitting", "weights", "context", "warm_up", "ready")

TargetOrigin = Literal[
    "learned",  # the pages that an earlier load of the same blob has mapped
    "file",  # the size of the file that its command line names
    "installed",  # /api/tags; with a projector in a file of its own a little more than the weights
    "log",  # the model buffers that the server's log names
]

LoadOutcome = Literal[
    "loaded",
    "failed",  # the process ended before it was ready
    "retried_smaller_context",  # the same, and the server tried again with less context
    "aborted",  # the same, but nobody wanted it any more: the client hung up, or the server ended
]

ReloadCause = Literal[
    "settings",  # the command line has changed
    "memory",  # another model had made it leave
    "expired",  # its keep_alive had run out
]


class SettingChange(NamedTuple):
    """A setting of a runner that differs from that of the runner before it."""

    setting: Literal["context", "parallel", "GPU layers", "cache type"]
    before: int | str | None
    after: int | str | None


class Lesson(Struct, frozen=True):
    """What a load has taught about the next one of the same model."""

    total_seconds: float
    weights_bytes: int | None = None
    """Size of the file, where its pages were seen to be mapped."""
    bytes_seen: bool = False
    """Whether its bytes were seen to arrive, in whatever way."""
    tail_seconds: float | None = None
    """From the arrival of the last byte in RAM until ready."""
    context_seconds: float | None = None
    """From the end of the copy to the GPU until ready."""
    copy_bytes_per_second: float | None = None
    """RAM to GPU, where that came after the arrival in RAM."""


class Load(Struct):
    """A runner that is loading its model."""

    key: RunnerKey
    settings: RunnerSettings
    name: str
    """A model's name where one is known for the blob, else the first 12 hex digits of the blob."""
    started: float
    """When the process started."""
    watched: float
    """When it was first seen to load."""
    model: ModelKey | None = None
    """The key that its model has, or will have once it is claimed; ``None`` where that cannot be told."""
    server_pid: int | None = None
    phase: LoadPhase = "starting"
    phase_since: float = 0.0
    phase_seconds: dict[LoadPhase, float] = field(default_factory=dict)
    """How long each phase that is over has lasted; one that was too short to be seen is left out."""
    target_bytes: int | None = None
    """Size of the weights."""
    target_origin: TargetOrigin | None = None
    loaded_bytes: int | None = None
    """Bytes of the weights that have arrived; never falls. ``None`` where nothing can be seen."""
    fraction: float | None = None
    """0 to 1, never falls; 1 only when ready. Of the bytes; of the time where no bytes can be seen."""
    bytes_per_second: float | None = None
    """Over the last seconds; ``None`` when no weights are seen on their way."""
    seconds_left: float | None = None
    """Until ready; ``None`` until it can be told."""
    estimated: bool = True
    """Whether ``seconds_left`` contains a rule of thumb, for want of an earlier load."""
    vram_by_gpu: dict[str, int] = field(default_factory=dict)
    """What the process has taken so far, by GPU UUID."""
    peak_vram_bytes: int | None = None
    ram_bytes: int | None = None
    """Resident memory of the process, pages of the file included."""
    evicted: tuple[str, ...] = ()
    """Models that were unloaded before their time, to make room for it."""
    placement: Placement | None = None
    """What the server's log says of it."""
    lesson: Lesson | None = None
    """What an earlier load of the same model has taught."""
    copy_bytes_per_second: float | None = None
    """RAM to GPU, as the latest load of any model has shown it."""
    room_bytes: int | None = 0
    """Free device memory when it was first seen; ``None`` where the driver did not say."""
    has_no_gpu: bool = False
    """Whether there is none to fit it into."""
    evidence: Evidence = field(default_factory=Evidence)
    seen_loading: bool = False
    """Whether it was followed from its start, or its port has said that it loads."""
    ready_at: float | None = None

    @property
    def blob(self) -> str | None:
        """``sha256-<hex>`` of the weights."""
        return self.settings.blob

    def elapsed_seconds(self, now: float) -> float:
        """Return how long it has taken so far, or did take until it was ready."""
        return max(0.0, (now if self.ready_at is None else self.ready_at) - self.started)


class FinishedLoad(Struct, frozen=True, kw_only=True):
    """A load that is over."""

    key: RunnerKey
    settings: RunnerSettings
    name: str
    started: float
    ended: float
    """When it was ready, or gone."""
    outcome: LoadOutcome
    total_seconds: float
    phase_seconds: dict[LoadPhase, float]
    target_bytes: int | None = None
    peak_vram_bytes: int | None = None
    vram_by_gpu: dict[str, int]
    ram_bytes: int | None = None
    """Resident memory of the process at the end, pages of the file included."""
    evicted: tuple[str, ...] = ()
    placement: Placement | None = None
    server_pid: int | None = None
    reload_cause: ReloadCause | None = None
    """Why it had to be loaded again; ``None`` for the first time, or where it cannot be told."""
    changes: tuple[SettingChange, ...] = ()

    @property
    def blob(self) -> str | None:
        """``sha256-<hex>`` of the weights."""
        return self.settings.blob

    @property
    def reason(self) -> str | None:
        """What the log says of a load that failed."""
        return self.placement.failure if self.placement else None


class FailedLoad(Struct):
    """The last load of a model has failed, a short while ago."""

    load: FinishedLoad
    retrying: bool = False
    """Whether the same model is loading again."""


class Thrash(Struct, frozen=True):
    """A model that is loaded again and again, or two that make each other leave."""

    names: tuple[str, ...]
    """One name, or two."""
    count: int
    """Loads within the last ten minutes, of both where there are two."""
    cause: ReloadCause | None
    """The most frequent one; ``None`` where it cannot be told."""
    changes: tuple[SettingChange, ...]
    """The latest, where ``cause`` is the settings."""
    since: float
    """When the first of these loads began."""
    until: float
    """When it is over, unless there is another load."""


def identity(settings: RunnerSettings) -> str | None:
    """Return by what two runners are known to load the same: the blob, or the name where there is no file."""
    return settings.blob or settings.model_path or settings.model_name
