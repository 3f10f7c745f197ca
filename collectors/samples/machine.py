"""What the driver says of the GPUs, and the operating system of RAM, swap and CPU."""

from __future__ import annotations

from typing import Literal

from gpumon.collectors.samples.base import Fact, Sample, SourceHealth


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
    xids: tuple[int, ...] = ()
    """Numbers of the Xid errors that the driver has reported since the reading before, in their order."""


class NvmlSample(Sample, frozen=True, kw_only=True, tag="nvml"):
    """One poll of the driver. ``gpus`` holds every GPU that was ever seen in this run, lost ones too."""

    health: SourceHealth
    driver_version: str | None = None
    gpus: tuple[GpuReading, ...] = ()
    other_makers: tuple[str, ...] = ()
    """Who made the GPUs here that the driver knows nothing of: ``AMD``. Looked up where there is none."""


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
    io_waiting_percent: float | None = None
    """Share of the last 10 s in which a task waited for storage (/proc/pressure/io, some avg10)."""
    ram_bandwidth_bytes_per_second: float | None = None
    """Nominal, of all channels together (SMBIOS type 17, which only root may read on most systems)."""
