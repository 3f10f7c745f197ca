"""What the operating system says of RAM, swap and CPU."""

from __future__ import annotations

from gpumon.collectors.samples.base import Fact, Sample, SourceHealth


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
    ram_bandwidth_bytes_per_second: float | None = None
    """Nominal, of all channels together (SMBIOS type 17, which only root may read on most systems)."""
