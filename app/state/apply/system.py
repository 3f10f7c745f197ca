"""Takes what the operating system says of RAM, swap and CPU."""

from __future__ import annotations

from gpumon.app.state.apply.sources import hear
from gpumon.app.state.records import SystemRecord
from gpumon.app.state.state import State
from gpumon.collectors.samples import SystemSample


def apply_system(state: State, sample: SystemSample) -> None:
    """Take one look at the machine."""
    hear(state, sample.source, sample.health)
    now = state.now
    if state.system is None:
        state.system = SystemRecord(sample, seen=now)
    system = state.system
    system.sample, system.seen = sample, now
    state.system_revision += 1
    system.ram_used.add(now, sample.ram_used_bytes)
    system.swap_used.add(now, sample.swap_used_bytes)
    system.cpu.add(now, sample.cpu_percent)
