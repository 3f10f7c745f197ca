"""A graphics card in motion: power follows the work, heat follows the power, clocks follow the heat."""

from __future__ import annotations

from msgspec import Struct, field

from gpumon.app.demo.cards import MIB, Card
from gpumon.app.demo.noise import hexadecimal, wobble
from gpumon.app.demo.runner import Work
from gpumon.collectors.samples import GpuMemory, GpuProcess, GpuReading, GpuSlow

ROOM_CELSIUS = 26.0
RISE_CELSIUS = 45.0
"""Above the room, at the power limit, with the airflow as designed."""
HEAT_SECONDS = 45.0
"""Time constant of cooler and chip."""
SLOW_EVERY_SECONDS = 10
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

    def lost(self, now: float) -> bool:
        """Whether it has fallen off the bus."""
        return now < self.lost_until

    def step(self, works: list[Work], now: float) -> None:
        """Take a second of work of all that runs on it."""
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
        clock = self.card.sm_clock_mhz * (0.55 if self.throttling else 0.9)
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
