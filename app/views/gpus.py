"""GPUs: their rows, and every figure of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gpumon.app.picture.gpu import GpuPicture
from gpumon.app.state.holders.others import GroupHolding, Holding
from gpumon.app.views.models import trend
from gpumon.app.views.page import (
    NVML,
    of_maximum,
    prefixed,
    text_of,
)
from gpumon.collectors.samples import HolderGroup
from gpumon.text import units
from gpumon.text.safe import visible
from gpumon.widgets.views import BarSegment, Fact, GpuRow

RETURNED_SHOWN = 5

GROUP_WORDS: dict[HolderGroup, str] = {
    "desktop": "held by the desktop",
    "browser": "held by browsers",
    "runtime": "held by other runtimes",
    "container": "held in containers",
    "other": "held by others",
}


def gpu_rows(gpus: Iterable[GpuPicture], planned_bytes: int = 0) -> tuple[GpuRow, ...]:
    """Return a row for each GPU; ``planned_bytes`` are what a load has yet to take."""
    return tuple(gpu_row(gpu, planned_bytes) for gpu in gpus)


def gpu_row(gpu: GpuPicture, planned_bytes: int = 0) -> GpuRow:
    """Return the row of one GPU."""
    reading, memory = gpu.reading, gpu.memory
    return GpuRow(
        key=gpu.uuid,
        index=gpu.index,
        name=reading.name or "unnamed GPU",
        level=gpu.level,
        total_bytes=memory.total_bytes if memory else None,
        used_bytes=memory.used_bytes if memory else None,
        free_bytes=memory.free_bytes if memory else None,
        segments=tuple(BarSegment(*segment) for segment in gpu.segments),
        unified=memory.unified if memory else False,
        utilization_percent=reading.utilization_percent,
        utilization_trend=trend(gpu.series.utilization, gpu.at),
        planned_bytes=planned_bytes,
        power_watts=reading.power_watts,
        power_limit_watts=reading.power_limit_watts,
        temperature_celsius=reading.temperature_celsius,
        slowdown_celsius=gpu.facts.slowdown_celsius,
        notes=gpu.notes,
        age_seconds=gpu.age_seconds,
    )


def gpu_facts(gpu: GpuPicture) -> tuple[Fact, ...]:
    """Return the figures of a GPU's page."""
    return (*_gpu_memory(gpu), *holder_facts(gpu), *_gpu_load(gpu), *_gpu_link(gpu))


def holder_facts(gpu: GpuPicture) -> list[Fact]:
    """Return the models on a GPU, then the other processes by group, then what came back of late."""
    if gpu.groups is None:
        return [Fact("processes", "the driver does not list them", NVML)]
    return [*_models(gpu), *map(_group, gpu.groups), *_returned(gpu)]


def _models(gpu: GpuPicture) -> Iterator[Fact]:
    for held in gpu.models:
        words = f"{units.size(held.vram_bytes)}  {visible(held.name)}, pid {held.pid}"
        yield Fact("held by a model", words, NVML)


def _group(group: GroupHolding) -> Fact:
    held = ", ".join(map(_process, group.processes))
    return Fact(GROUP_WORDS[group.group], f"{units.size(group.vram_bytes)}  {held}", NVML)


def _process(process: Holding) -> str:
    name = visible(process.name or "in another namespace")
    return f"{name} {units.size(process.vram_bytes)} (pid {process.pid})"


def _returned(gpu: GpuPicture) -> Iterator[Fact]:
    for one in gpu.returned[:RETURNED_SHOWN]:
        name, when = visible(one.name or "a process"), units.clock(one.time)
        yield Fact("came back", f"{units.size(one.vram_bytes)} at {when}: {name} ended", NVML)


def _gpu_memory(gpu: GpuPicture) -> list[Fact]:
    reading, memory = gpu.reading, gpu.reading.memory
    facts = [
        Fact("UUID", visible(reading.uuid), NVML),
        Fact("PCI bus", visible(reading.pci_bus_id or units.UNKNOWN), NVML),
    ]
    if memory is None:
        return facts
    label = "memory (unified)" if memory.unified else "VRAM"
    used = f"{units.size(memory.used_bytes)} of {units.size(memory.total_bytes)}"
    return [
        *facts,
        Fact(f"{label} in use", used, NVML),
        Fact(f"{label} free", units.size(memory.free_bytes), NVML),
        Fact(f"{label} reserved", units.size(memory.reserved_bytes), NVML),
    ]


def _gpu_load(gpu: GpuPicture) -> list[Fact]:
    reading, facts = gpu.reading, gpu.facts
    throttle = reading.throttle_reasons
    held = units.UNKNOWN if throttle is None else ", ".join(throttle) or "nothing"
    return [
        Fact("utilisation", units.percent(reading.utilization_percent), NVML),
        Fact("memory controller", units.percent(reading.memory_utilization_percent), NVML),
        Fact(
            "power", f"{units.watts(reading.power_watts)} of {units.watts(reading.power_limit_watts)}", NVML
        ),
        Fact("temperature", _temperature(gpu), NVML),
        Fact("fan", units.percent(reading.fan_percent), NVML),
        Fact("SM clock", of_maximum(reading.sm_clock_mhz, facts.max_sm_clock_mhz, "MHz"), NVML),
        Fact("memory clock", of_maximum(reading.memory_clock_mhz, facts.max_memory_clock_mhz, "MHz"), NVML),
        Fact("performance state", prefixed("P", reading.performance_state), NVML),
        Fact("clocks held down by", held, NVML, "watch" if throttle else None),
    ]


def _gpu_link(gpu: GpuPicture) -> list[Fact]:
    reading, slow, facts = gpu.reading, gpu.slow, gpu.facts
    ecc = f"{text_of(slow.ecc_corrected)} corrected, {text_of(slow.ecc_uncorrected)} uncorrected"
    return [
        Fact("PCIe generation", of_maximum(slow.pcie_generation, facts.pcie_generation_max), NVML),
        Fact("PCIe lanes", of_maximum(slow.pcie_width, facts.pcie_width_max), NVML),
        Fact("PCIe in", units.byte_rate(reading.pcie_receive_bytes_per_second), NVML),
        Fact("PCIe out", units.byte_rate(reading.pcie_transmit_bytes_per_second), NVML),
        Fact("memory bus", of_maximum(facts.memory_bus_width_bits, None, "bit"), NVML),
        Fact("encoder", units.percent(slow.encoder_percent), NVML),
        Fact("decoder", units.percent(slow.decoder_percent), NVML),
        Fact("ECC errors", ecc if slow.ecc_enabled else "ECC off or not there", NVML),
        Fact("MIG", {None: "not there", True: "on", False: "off"}[slow.mig_mode], NVML),
    ]


def _temperature(gpu: GpuPicture) -> str:
    reading, facts = gpu.reading, gpu.facts
    now = units.celsius(reading.temperature_celsius)
    if facts.slowdown_celsius is None:
        return now
    limits = f"slows down at {units.celsius(facts.slowdown_celsius)}"
    return f"{now}, {limits}, shuts down at {units.celsius(facts.shutdown_celsius)}"
