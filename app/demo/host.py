"""The machine around the cards: RAM, swap and processor."""

from __future__ import annotations

from msgspec import Struct

from gpumon.app.demo.noise import wobble
from gpumon.collectors.samples import MemoryPressure, SystemSample

GIB = 1024**3
KEPT_FREE_BYTES = int(1.4 * GIB)
"""What the kernel defends before it swaps."""
SWAP_BYTES_PER_SECOND = 180 * 1024**2
CHURN_BYTES_PER_SECOND = 26 * 1024**2
SWAP_AT_REST_BYTES = 0.1 * GIB


class Host(Struct):
    """RAM, swap and CPU; ``step`` once a second, then ``sample``."""

    name: str
    ram_gib: int
    cores: int
    base_gib: float
    """Used by everything that is not a model."""
    ram_bandwidth_bytes_per_second: float = 51.2e9
    """Nominal: two channels of DDR4-3200."""
    swap_gib: int = 8
    ram_used: float = 0.0
    swap_used: float = SWAP_AT_REST_BYTES
    swap_out: float | None = None
    busy_threads: float = 0.0
    load: float = 0.4

    def step(self, model_bytes: int, threads: float, now: float) -> None:
        """Take a second in which runners hold ``model_bytes`` of RAM and keep ``threads`` busy."""
        self.busy_threads = min(float(self.cores), threads + 0.35 + 0.2 * wobble(8, now))
        self.load += (self.busy_threads - self.load) / 60
        wanted = self.base_gib * GIB * (1 + 0.004 * wobble(3, now / 20)) + model_bytes
        room = self.ram_gib * GIB - KEPT_FREE_BYTES
        self._swap(wanted - room, first=self.ram_used == 0)
        self.ram_used = min(wanted, room + KEPT_FREE_BYTES * 0.4)

    def _swap(self, missing: float, first: bool) -> None:
        """Move towards what is missing in RAM; while it is short, busy pages come and go as well."""
        goal = min(0.9 * self.swap_gib * GIB, max(SWAP_AT_REST_BYTES, missing))
        moved = min(max(goal - self.swap_used, -SWAP_BYTES_PER_SECOND / 8), SWAP_BYTES_PER_SECOND)
        churn = CHURN_BYTES_PER_SECOND if missing > 0 and self.busy_threads > 4 else 0.0
        self.swap_used += moved
        self.swap_out = None if first else max(0.0, moved) + churn

    def sample(self, now: float) -> SystemSample:
        """Return what a collector would say now."""
        used = int(self.ram_used)
        squeezed = self.ram_used > self.ram_gib * GIB - KEPT_FREE_BYTES
        return SystemSample(
            time=now,
            source="system",
            host=self.name,
            ram_total_bytes=self.ram_gib * GIB,
            ram_used_bytes=used,
            ram_available_bytes=self.ram_gib * GIB - used,
            swap_total_bytes=self.swap_gib * GIB,
            swap_used_bytes=int(self.swap_used),
            swap_in_bytes_per_second=None if self.swap_out is None else round(self.swap_out * 0.3),
            swap_out_bytes_per_second=None if self.swap_out is None else round(self.swap_out),
            cpu_percent=round(self.busy_threads / self.cores * 100, 1),
            cpu_percent_by_core=self._by_core(now),
            load_average=(round(self.load, 2), round(self.load * 0.8, 2), round(self.load * 0.6, 2)),
            ram_bandwidth_bytes_per_second=self.ram_bandwidth_bytes_per_second,
            pressure=MemoryPressure(
                some_percent=18.4 if squeezed else 0.0, full_percent=9.2 if squeezed else 0.0
            ),
        )

    def _by_core(self, now: float) -> tuple[float, ...]:
        full = int(self.busy_threads)
        rest = (self.busy_threads - full) * 100
        start = int(now / 30) % self.cores
        loads = [97.0] * full + [round(rest, 1)] * (full < self.cores) + [0.0] * (self.cores - full - 1)
        return tuple(loads[(core - start) % self.cores] for core in range(self.cores))
