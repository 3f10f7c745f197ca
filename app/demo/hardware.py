"""The hardware of a simulated machine: its cards, RAM, swap and processor."""

from __future__ import annotations

from msgspec import Struct, field

from gpumon.app.demo.models import hexadecimal, wobble
from gpumon.app.demo.runner import Work
from gpumon.collectors.samples import (
    GpuFacts,
    GpuMemory,
    GpuProcess,
    GpuReading,
    GpuSlow,
    MemoryPressure,
    SystemSample,
)
from gpumon.text.units import GIB, MIB

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
        """Pass a second in which runners hold ``model_bytes`` of RAM and keep ``threads`` busy."""
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


class Card(Struct, frozen=True):
    """A model of graphics card."""

    name: str
    brand: str
    total_mib: int
    reserved_mib: int
    """What the driver keeps (nvmlMemory_v2_t.reserved)."""
    bus_width_bits: int
    sm_clock_mhz: int
    memory_clock_mhz: int
    limit_watts: float
    idle_watts: float
    slowdown_celsius: int
    pcie_generation: int = 4
    has_fan: bool = True
    has_ecc: bool = False

    @property
    def usable_bytes(self) -> int:
        """Capacity without the driver's reserve."""
        return (self.total_mib - self.reserved_mib) * MIB

    @property
    def bandwidth_bytes_per_second(self) -> float:
        """Bandwidth of its memory: two transfers a clock."""
        return self.bus_width_bits / 8 * self.memory_clock_mhz * 1e6 * 2

    def facts(self) -> GpuFacts:
        """Return what does not change while the driver is loaded."""
        return GpuFacts(
            brand=self.brand,
            memory_bus_width_bits=self.bus_width_bits,
            max_sm_clock_mhz=self.sm_clock_mhz,
            max_memory_clock_mhz=self.memory_clock_mhz,
            slowdown_celsius=self.slowdown_celsius,
            shutdown_celsius=self.slowdown_celsius + 3,
            power_limit_default_watts=self.limit_watts,
            power_limit_max_watts=self.limit_watts * 1.1,
            pcie_generation_max=self.pcie_generation,
            pcie_width_max=16,
            persistence_mode=self.has_ecc,
            integrated=False,
        )


RTX_4070 = Card(
    "NVIDIA GeForce RTX 4070", "GeForce", 12282, 257, 192, 3105, 10501, 200.0, 11.0, slowdown_celsius=90
)
RTX_3090 = Card(
    "NVIDIA GeForce RTX 3090", "GeForce", 24576, 452, 384, 2100, 9751, 350.0, 21.0, slowdown_celsius=95
)
RTX_4090 = Card(
    "NVIDIA GeForce RTX 4090", "GeForce", 24564, 474, 384, 3120, 10501, 450.0, 18.0, slowdown_celsius=90
)
L40S = Card(
    "NVIDIA L40S", "NVIDIA", 46068, 602, 384, 2520, 9001, 350.0, 34.0, 90, has_fan=False, has_ecc=True
)


ROOM_CELSIUS = 26.0
RISE_CELSIUS = 45.0
"""Above the room, at the power limit, with the airflow as designed."""
HEAT_SECONDS = 45.0
"""Time constant of cooler and chip."""
SLOW_EVERY_SECONDS = 10
USUAL_CLOCK = 0.9
"""Of the maximum, under load."""
THROTTLED_CLOCK_SHARE = 0.61
"""Of the usual clock."""
THROTTLED_POWER = 0.62
THROTTLE_RELEASE_CELSIUS = 4.0


class Gpu(Struct):
    """One card at one slot; ``step`` once a second, then ``reading``."""

    card: Card
    index: int
    temperature: float = 36.0
    watts: float = 0.0
    work: Work = field(default_factory=Work)
    airflow: float = 1.0
    """Heat that stays: 1 with the airflow as designed, more where it is blocked."""
    airflow_until: float = 0.0
    lost_until: float = 0.0
    throttling: bool = False
    _facts_due: bool = True

    @property
    def uuid(self) -> str:
        """Identity, in the driver's form."""
        digits = hexadecimal(f"{self.card.name} {self.index}", 32)
        return f"GPU-{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    @property
    def clock_share(self) -> float:
        """Its clock, of the usual one under load."""
        return THROTTLED_CLOCK_SHARE if self.throttling else 1.0

    def lost(self, now: float) -> bool:
        """Whether it has fallen off the bus."""
        return now < self.lost_until

    def step(self, works: list[Work], now: float) -> None:
        """Pass a second, with the work of all that runs on it."""
        self.work = Work(
            gpu_share=min(0.99, sum(work.gpu_share for work in works)),
            gpu_effort=min(1.0, sum(work.gpu_effort for work in works)),
            receive_bytes_per_second=min(24e9, sum(work.receive_bytes_per_second for work in works)),
        )
        held = THROTTLED_POWER if self.throttling else 1.0
        span = (self.card.limit_watts - self.card.idle_watts) * held
        ripple = 1 + 0.025 * wobble(self.index, now)
        self.watts = min(self.card.limit_watts, (self.card.idle_watts + span * self.work.gpu_effort) * ripple)
        self._warm(now)

    def reading(self, now: float, processes: tuple[GpuProcess, ...]) -> GpuReading:
        """Return what the driver says; facts and slow fields as seldom as a collector reads them."""
        if self.lost(now):
            self._facts_due = True
            return GpuReading(
                uuid=self.uuid,
                index=self.index,
                name=self.card.name,
                pci_bus_id=self._bus_id,
                state="lost",
                detail="GPU is lost",
            )
        first, self._facts_due = self._facts_due, False
        slow = first or int(now) % SLOW_EVERY_SECONDS == 0
        busy = self.work.gpu_effort > 0.02
        share = self.work.gpu_share + 0.015 * wobble(self.index + 5, now) * (self.work.gpu_share > 0.01)
        return GpuReading(
            uuid=self.uuid,
            index=self.index,
            name=self.card.name,
            pci_bus_id=self._bus_id,
            memory=self._memory(processes),
            utilization_percent=min(100, max(0, round(share * 100))),
            memory_utilization_percent=round(min(0.9, share * 0.62) * 100),
            temperature_celsius=round(self.temperature),
            fan_percent=self._fan_percent() if self.card.has_fan else None,
            power_watts=round(self.watts, 2),
            power_limit_watts=self.card.limit_watts,
            sm_clock_mhz=self._sm_clock(busy, now),
            memory_clock_mhz=self.card.memory_clock_mhz if busy else 405,
            performance_state=2 if busy else 8,
            throttle_reasons=("thermal slowdown (software)",) if self.throttling else (),
            pcie_receive_bytes_per_second=round(self.work.receive_bytes_per_second),
            pcie_transmit_bytes_per_second=round(self.work.receive_bytes_per_second * 0.04),
            processes=processes,
            facts=self.card.facts() if first else None,
            slow=self._slow(busy) if slow else None,
        )

    def _warm(self, now: float) -> None:
        stays = self.airflow if now < self.airflow_until else 1.0
        goal = ROOM_CELSIUS + RISE_CELSIUS * stays * self.watts / self.card.limit_watts + 6.0
        self.temperature += (goal - self.temperature) / HEAT_SECONDS
        release = THROTTLE_RELEASE_CELSIUS if self.throttling else 0.0
        self.throttling = self.temperature >= self.card.slowdown_celsius - release

    @property
    def _bus_id(self) -> str:
        return f"00000000:{1 + self.index * 0x20:02X}:00.0"

    def _memory(self, processes: tuple[GpuProcess, ...]) -> GpuMemory:
        used = sum(process.vram_bytes or 0 for process in processes)
        return GpuMemory(
            total_bytes=self.card.total_mib * MIB,
            used_bytes=used,
            free_bytes=self.card.usable_bytes - used,
            reserved_bytes=self.card.reserved_mib * MIB,
        )

    def _sm_clock(self, busy: bool, now: float) -> int:
        if not busy:
            return 210
        clock = self.card.sm_clock_mhz * USUAL_CLOCK * self.clock_share
        return round(clock * (1 + 0.01 * wobble(self.index + 2, now)) / 15) * 15

    def _fan_percent(self) -> int:
        return 0 if self.temperature < 50 else min(100, round(30 + (self.temperature - 50) * 1.7))

    def _slow(self, busy: bool) -> GpuSlow:
        return GpuSlow(
            pcie_generation=self.card.pcie_generation if busy else 1,
            pcie_width=16,
            encoder_percent=0,
            decoder_percent=0,
            ecc_enabled=True if self.card.has_ecc else None,
            ecc_corrected=0 if self.card.has_ecc else None,
            ecc_uncorrected=0 if self.card.has_ecc else None,
        )
