"""The snapshot document, schema version 2. Every key is always there; ``null`` is unknown.

Documented in docs/snapshot.md. Within a version fields may be added; none is renamed, removed or given
another meaning or unit.
"""

from __future__ import annotations

import msgspec

from gpumon.app.snapshot.schema_work import (
    CacheEntry,
    LastRequestEntry,
    PictureEntry,
    RequestEntry,
    RereadEntry,
)

SCHEMA_VERSION = 2


class SourceEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A source, and how it is."""

    name: str
    state: str
    detail: str | None
    hint: str | None
    age_seconds: float | None


class ProcessEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A process that holds memory of a GPU, by the driver."""

    pid: int
    name: str | None
    vram_bytes: int | None
    model: str | None
    took_bytes: int | None = None
    took_at: float | None = None


class HolderEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What processes that hold no model hold of a GPU, by their kind."""

    group: str
    vram_bytes: int | None
    names: tuple[str, ...]


class XidEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An error that the driver has reported of a GPU in this run, once or many times in a row."""

    number: int
    words: str
    count: int
    last: float


class GpuEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A GPU; ``uuid`` is its identity."""

    uuid: str
    name: str | None
    index: int
    pci_bus_id: str | None
    state: str
    unified: bool | None
    vram_total_bytes: int | None
    vram_used_bytes: int | None
    vram_reserved_bytes: int | None
    vram_free_bytes: int | None
    utilization_percent: int | None
    power_watts: float | None
    power_limit_watts: float | None
    temperature_celsius: int | None
    throttle_reasons: tuple[str, ...] | None
    xid_errors: tuple[XidEntry, ...]
    processes: tuple[ProcessEntry, ...] | None
    holders: tuple[HolderEntry, ...] | None


class MemoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """RAM and swap of the machine."""

    total_bytes: int | None
    available_bytes: int | None
    swap_used_bytes: int | None


class RunnerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """The process that holds a model; settings by its command line, layers and buffers by the log."""

    pid: int
    kind: str
    joined_by: str | None
    user: str | None
    port: int | None
    context_length: int | None
    parallel: int | None
    gpu_layers: int | None
    batch_size: int | None
    kv_cache_type: str | None
    flash_attention: str | None
    layers_on_gpu: int | None
    layer_count: int | None
    layers_with_experts_in_ram: int | None
    buffers_by_device: dict[str, dict[str, int]] | None
    rss_bytes: int | None
    file_bytes: int | None
    ram_limit_bytes: int | None
    cpu_percent: float | None
    disk_read_bytes_per_second: float | None
    major_faults_per_second: float | None
    worker_pids: tuple[int, ...]


class EvidenceEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A figure that a statement rests on, in words."""

    name: str
    value: str
    source: str


class VerdictEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of a model, in one sentence."""

    kind: str
    severity: str
    sentence: str
    evidence: tuple[EvidenceEntry, ...]


class TakerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Someone who took the memory that a model lacks."""

    name: str
    pid: int | None
    url: str | None
    vram_bytes: int
    time: float


class CauseEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Why a model spills, or is slower than it was."""

    kind: str
    sentence: str
    evidence: tuple[EvidenceEntry, ...]
    takers: tuple[TakerEntry, ...] = ()


class BandEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An estimate; nine of ten measurements lie between ``low`` and ``high``."""

    low: float
    expected: float
    high: float


class RemedyEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What would help."""

    action: str
    sentence: str
    command: str | None
    where: str | None
    arithmetic: str
    frees_bytes: int | None
    missing_bytes: int | None = None
    expected_tokens_per_second: BandEntry | None


class PredictionEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What was predicted of a load, and what came of it."""

    vram_bytes: int
    measured_vram_bytes: int | None
    error_fraction: float | None


class ForecastEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What a load will have taken at its end, and how fast its model will be: an estimate."""

    need_vram_bytes: int
    """If all of it were on GPUs."""
    available_vram_bytes: int
    gpu_bytes: int
    ram_bytes: int
    will_spill: bool
    """Whether a part of it will be in RAM that nobody wants there."""
    decode_tokens_per_second: BandEntry | None
    cure: str | None
    command: str | None


class LoadEntry(msgspec.Struct, frozen=True, kw_only=True):
    """How the load of a model goes."""

    phase: str
    fraction: float | None
    seconds: float
    seconds_left: float | None
    seconds_left_is_estimate: bool | None
    loaded_bytes: int | None
    target_bytes: int | None
    bytes_per_second: float | None
    made_room: tuple[str, ...]
    forecast: ForecastEntry | None = None


class ModelEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is loaded or loading; ``digest`` and ``url`` are the identity of one that is loaded."""

    name: str
    digest: str | None = None
    runtime: str | None = None
    url: str | None = None
    level: str
    sentence: str
    load: LoadEntry | None
    claimed_size_bytes: int | None = None
    claimed_vram_bytes: int | None = None
    spill_fraction: float | None = None
    spill_percent: str | None = None
    processor: str
    context_length: int | None = None
    expires_at: float | None = None
    measured_vram_bytes: int | None = None
    measured_vram_by_gpu: dict[str, int] | None = None
    expected_vram_by_gpu: dict[str, dict[str, int]] | None = None
    weights_in_ram_estimate_bytes: int | None = None
    agreement: str = "unknown"
    agreement_cause: str | None = None
    activity: str | None = None
    runner: RunnerEntry | None = None
    decode_tokens_per_second: float | None = None
    prefill_tokens_per_second: float | None = None
    context_used_tokens: int | None = None
    prefill_tokens_done: int | None = None
    prefill_tokens_expected: int | None = None
    prefill_seconds_left: float | None = None
    prefill_is_estimate: bool | None = None
    requests_running: int | None = None
    requests_waiting: int | None = None
    requests_unmeasured: int | None = None
    cache: CacheEntry | None = None
    rate_source: str | None = None
    rate_is_estimate: bool | None = None
    tokens_generated_total: int | None = None
    tokens_generated_is_lower_bound: bool | None = None
    energy_wh_per_1000_tokens: float | None = None
    requests: tuple[RequestEntry, ...] = ()
    prompt_reread: RereadEntry | None = None
    verdict: VerdictEntry
    cause: CauseEntry | None = None
    remedies: tuple[RemedyEntry, ...] = ()
    expected_tokens_per_second: BandEntry | None = None
    full_tokens_per_second: BandEntry | None = None
    full_is_measured: bool | None = None
    peak_tokens_per_second: float | None = None
    baseline_tokens_per_second: float | None = None
    baseline_request_count: int | None = None
    prediction: PredictionEntry | None = None
    makes_pictures: bool = False
    """Whether it is an image generator: it has no figures of tokens."""
    picture: PictureEntry | None = None
    last_request: LastRequestEntry | None = None


class ReturnedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Memory of a GPU that came back when a process ended."""

    uuid: str
    name: str | None
    vram_bytes: int
    time: float


class AlertEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that is active."""

    kind: str
    subject: str
    severity: str
    since: float
    message: str


class LeftEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is no longer loaded; the last minute, and longer while its process holds memory."""

    name: str
    digest: str | None
    runtime: str
    url: str
    time: float
    reason: str
    vram_bytes: int | None


class EventEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Something that has happened; an alert is one with a level."""

    time: float
    kind: str
    level: str | None
    about: str
    subject: str
    subject_id: str
    words: str
    until: float | None
    ongoing: bool
    acknowledged: bool


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The document."""

    schema: int = SCHEMA_VERSION
    time: float
    host: str | None
    level: str
    sentence: str
    complete: bool = True
    missing: tuple[str, ...] = ()
    sources: tuple[SourceEntry, ...]
    gpus: tuple[GpuEntry, ...]
    memory: MemoryEntry
    models: tuple[ModelEntry, ...]
    alerts: tuple[AlertEntry, ...]
    events: tuple[EventEntry, ...]
    returned: tuple[ReturnedEntry, ...]
    left: tuple[LeftEntry, ...] = ()
