"""The sample types: what one source said at one instant, nothing derived.

A sample is immutable, typed and serialisable (a tagged ``msgspec`` struct), so that the live view, a
recording, a demonstration and a test are the same stream. ``None`` means that the source did not say.
Sizes are bytes, times are seconds since the Unix epoch, durations are seconds.
"""

from __future__ import annotations

from typing import Literal

import msgspec

SourceState = Literal[
    "serving",  # answering, and has something to report
    "idle",  # answering, nothing loaded
    "absent",  # not installed here: no driver library, no such file
    "not_running",  # nothing listens on this machine's port
    "refused",  # another machine refuses the connection
    "unreachable",  # no route, no such name
    "hanging",  # asked and not answering
    "foreign",  # another program answers at that address
    "nonsense",  # the right program answers what cannot be understood
    "forbidden",  # 401, 403, no permission
    "failing",  # the source says that it has an error
    "asleep",  # a sleeping device that must not be woken
]
"""State of a source; ``serving`` and ``idle`` are the healthy ones."""

HEALTHY_STATES: frozenset[SourceState] = frozenset({"serving", "idle", "asleep"})


class Fact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of every value inside a sample; fields at their default are left out of JSON."""


class Sample(Fact, frozen=True, kw_only=True, tag_field="type"):
    """Base of every sample."""

    time: float
    """When it was said: seconds since the Unix epoch; never goes back within one run."""
    source: str
    """Which source said it: ``nvml``, ``system``, or the URL of a server without credentials."""


class SourceHealth(Fact, frozen=True, kw_only=True):
    """How a source is doing, in words ready for the screen."""

    state: SourceState
    detail: str | None = None
    """What is wrong, one line, no trailing full stop: "connection refused at 127.0.0.1:11434"."""
    hint: str | None = None
    """The next step for the user, one line: "start it with: ollama serve"."""


# --------------------------------------------------------------------------------------------- GPUs


class GpuMemory(Fact, frozen=True, kw_only=True):
    """Device memory of one GPU, in bytes (nvml.h: nvmlMemory_v2_t, or v1 where v2 is missing)."""

    total_bytes: int
    used_bytes: int | None = None
    """Allocated by processes; with the v1 call the driver's reserve is in here too."""
    free_bytes: int | None = None
    reserved_bytes: int | None = None
    """Kept by driver and firmware; ``None`` where only the v1 call exists."""
    unified: bool = False
    """The GPU shares system RAM; the figures are then the system's."""


class GpuProcess(Fact, frozen=True, kw_only=True):
    """One process on one GPU."""

    pid: int
    vram_bytes: int | None = None
    """``None`` where the driver will not say (WDDM, WSL)."""
    kinds: tuple[Literal["compute", "graphics", "mps"], ...] = ()
    name: str | None = None
    """Executable's name; ``None`` for a PID of another namespace (a container) or no permission."""
    started: float | None = None
    """Process start, seconds since the epoch: with ``pid`` the identity of a process."""


class GpuFacts(Fact, frozen=True, kw_only=True):
    """What does not change while a driver is loaded."""

    brand: str | None = None
    memory_bus_width_bits: int | None = None
    max_sm_clock_mhz: int | None = None
    max_memory_clock_mhz: int | None = None
    slowdown_celsius: int | None = None
    shutdown_celsius: int | None = None
    power_limit_default_watts: float | None = None
    power_limit_max_watts: float | None = None
    pcie_generation_max: int | None = None
    pcie_width_max: int | None = None
    persistence_mode: bool | None = None
    integrated: bool | None = None


class GpuSlow(Fact, frozen=True, kw_only=True):
    """What changes seldom and is read seldom."""

    pcie_generation: int | None = None
    pcie_width: int | None = None
    encoder_percent: int | None = None
    decoder_percent: int | None = None
    ecc_enabled: bool | None = None
    ecc_corrected: int | None = None
    """Volatile count since the driver was loaded."""
    ecc_uncorrected: int | None = None
    mig_mode: bool | None = None


GpuState = Literal["ok", "lost", "asleep", "failing"]


class GpuReading(Fact, frozen=True, kw_only=True):
    """One GPU at one instant. ``uuid`` is its identity, ``index`` and ``name`` are labels."""

    uuid: str
    index: int
    name: str | None = None
    pci_bus_id: str | None = None
    state: GpuState = "ok"
    detail: str | None = None
    """The driver's words when ``state`` is not ``ok``."""
    memory: GpuMemory | None = None
    utilization_percent: int | None = None
    memory_utilization_percent: int | None = None
    """Share of time in which memory was read or written; not how full it is."""
    temperature_celsius: int | None = None
    fan_percent: int | None = None
    power_watts: float | None = None
    power_limit_watts: float | None = None
    sm_clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    performance_state: int | None = None
    """0 (P0, fastest) to 15."""
    throttle_reasons: tuple[str, ...] | None = None
    """In words; empty when nothing holds the clocks down."""
    pcie_receive_bytes_per_second: float | None = None
    pcie_transmit_bytes_per_second: float | None = None
    processes: tuple[GpuProcess, ...] | None = None
    """``None`` when the driver would not list them; empty when there are none."""
    facts: GpuFacts | None = None
    """Set in the first reading and after each new start of the driver."""
    slow: GpuSlow | None = None
    """Set in the readings in which the slow fields were read."""


class NvmlSample(Sample, frozen=True, kw_only=True, tag="nvml"):
    """One poll of the driver. ``gpus`` holds every GPU that was ever seen in this run, lost ones too."""

    health: SourceHealth
    driver_version: str | None = None
    gpus: tuple[GpuReading, ...] = ()


# ------------------------------------------------------------------------------------------- system


class MemoryPressure(Fact, frozen=True, kw_only=True):
    """Share of the last 10 s in which tasks waited for memory (/proc/pressure/memory, avg10)."""

    some_percent: float
    full_percent: float | None = None


class SystemSample(Sample, frozen=True, kw_only=True, tag="system"):
    """RAM, swap and CPU of this machine."""

    health: SourceHealth = SourceHealth(state="serving")
    host: str
    ram_total_bytes: int
    ram_used_bytes: int
    ram_available_bytes: int
    swap_total_bytes: int | None = None
    swap_used_bytes: int | None = None
    swap_in_bytes_per_second: float | None = None
    """``None`` in the first sample: a rate needs two."""
    swap_out_bytes_per_second: float | None = None
    cpu_percent: float | None = None
    cpu_percent_by_core: tuple[float, ...] | None = None
    load_average: tuple[float, float, float] | None = None
    pressure: MemoryPressure | None = None


# ------------------------------------------------------------------------------------------- Ollama


class ModelClaim(Fact, frozen=True, kw_only=True):
    """One row of Ollama's ``/api/ps``: what the server believes about a loaded model."""

    name: str
    digest: str | None = None
    """sha256 (hex) of the manifest, the model's identity on that server."""
    size_bytes: int | None = None
    size_vram_bytes: int | None = None
    context_length: int | None = None
    """Tokens per slot."""
    expires_at: float | None = None
    """Unix time; past while a long request runs, about 292 years ahead for "never"."""
    format: str | None = None
    family: str | None = None
    parameter_size: str | None = None
    quantization: str | None = None


class OllamaSample(Sample, frozen=True, kw_only=True, tag="ollama"):
    """One poll of ``/api/ps``."""

    health: SourceHealth
    version: str | None = None
    models: tuple[ModelClaim, ...] | None = None
    """``None`` when the list could not be had; empty when no model is loaded."""
    rejected_rows: int = 0
    """Rows left out because they could not be understood."""
    clock_offset_seconds: float | None = None
    """Server's clock minus ours, from the HTTP ``Date`` header (one-second resolution)."""


class OllamaModelFacts(Sample, frozen=True, kw_only=True, tag="ollama_show"):
    """``/api/show`` of one model, asked once per digest."""

    name: str
    digest: str
    architecture: str | None = None
    blobs: tuple[str, ...] = ()
    """``sha256-<hex>`` of the weights (first) and projectors, from the ``FROM`` lines."""
    capabilities: tuple[str, ...] = ()
    trained_context_length: int | None = None
    layer_count: int | None = None
    embedding_length: int | None = None
    parameter_count: int | None = None
    geometry: dict[str, int | float | str | bool | tuple[int | bool, ...]] = {}
    """Other scalar and short list values of ``model_info``, keys as GGUF spells them."""


class InstalledModel(Fact, frozen=True, kw_only=True):
    """One row of ``/api/tags``."""

    name: str
    digest: str | None = None
    size_bytes: int | None = None
    remote: bool = False
    """Served by a cloud host, never loaded here."""


class OllamaInstalled(Sample, frozen=True, kw_only=True, tag="ollama_tags"):
    """``/api/tags``: what is installed."""

    models: tuple[InstalledModel, ...] = ()


# ----------------------------------------------------------------------------------------- watchdog


class SourceSilent(Sample, frozen=True, kw_only=True, tag="silent"):
    """A source was asked and has not answered for ``seconds``; its last values are getting old."""

    seconds: float
    detail: str | None = None


AnySample = NvmlSample | SystemSample | OllamaSample | OllamaModelFacts | OllamaInstalled | SourceSilent
"""The union that a recording line decodes to."""
